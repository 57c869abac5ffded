package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"usher"
	"usher/internal/store"
)

type attachments struct{ db *DB }

var _ store.Attachments = attachments{}

// attachmentBody is what of an attachment no query asks for.
type attachmentBody struct {
	Who  usher.Identity `json:"who"`
	Held [][]byte       `json:"held,omitempty"`
}

// attachmentField scans the body of an attachment.
type attachmentField struct{ a *usher.Attachment }

// Scan implements [database/sql.Scanner].
func (f attachmentField) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("the body of an attachment is stored as %T", v)
	}
	var body attachmentBody
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		return fmt.Errorf("the body of an attachment: %w", err)
	}
	f.a.Who, f.a.Held = body.Who, body.Held
	return nil
}

func attachmentBodyOf(a *usher.Attachment) string {
	body, err := json.Marshal(attachmentBody{a.Who, a.Held})
	if err != nil {
		panic(err) // strings, times and bytes
	}
	return string(body)
}

var attachmentMapping = mapping[usher.Attachment]{
	table:   "attachments",
	columns: []string{"app", "identity", "connection", "id", "endpoint", "body", "made", "away", "seen_at", "due", "updated_at", "version"},
	keys:    3,
	fields: func(a *usher.Attachment) []any {
		return []any{
			&a.App, &a.User, &a.Connection, (*string)(&a.ID), &a.Endpoint, attachmentField{a}, &a.Made, &a.Away,
			stampField{&a.SeenAt}, stampField{&a.Due}, stampField{&a.UpdatedAt}, &a.Version,
		}
	},
	values: func(a *usher.Attachment) []any {
		return []any{
			a.App, a.User, a.Connection, string(a.ID), a.Endpoint, attachmentBodyOf(a), a.Made, a.Away,
			stamp(a.SeenAt), stamp(a.Due), stamp(a.UpdatedAt), a.Version,
		}
	},
	version: func(a *usher.Attachment) *int64 { return &a.Version },
}

const attachmentKey = "app = $1 AND identity = $2 AND connection = $3"

var (
	selectAttachment    = attachmentMapping.query("WHERE " + attachmentKey)
	selectAttachmentsOf = attachmentMapping.query("WHERE app = $1 AND identity = $2 ORDER BY connection")
)

const (
	deleteAttachment     = "DELETE FROM attachments WHERE " + attachmentKey
	selectAttachmentsDue = "SELECT app, identity, connection FROM attachments WHERE due IS NOT NULL AND due <= $1 ORDER BY due LIMIT $2"
)

func attachmentArgs(key usher.AttachmentKey) []any {
	return []any{key.App, key.User, key.Connection}
}

func cutAttachment(a *usher.Attachment) {
	cut(&a.SeenAt, &a.Due, &a.UpdatedAt, &a.Who.IssuedAt, &a.Who.Expires)
}

func (s attachments) Create(ctx context.Context, made usher.Attachment) error {
	cutAttachment(&made)
	return s.db.writer.do(ctx, func(t *tx) error { return attachmentMapping.insert(t, &made) })
}

func (s attachments) Get(ctx context.Context, key usher.AttachmentKey) (usher.Attachment, error) {
	return one(ctx, s.db.reader, attachmentMapping.fields, selectAttachment, attachmentArgs(key)...)
}

func (s attachments) Of(ctx context.Context, app, user string) ([]usher.Attachment, error) {
	return all(ctx, s.db.reader, attachmentMapping.fields, selectAttachmentsOf, app, user)
}

func (s attachments) Update(ctx context.Context, key usher.AttachmentKey, change func(usher.Attachment) (usher.Attachment, error)) (usher.Attachment, error) {
	return write(ctx, s.db.writer, func(t *tx) (usher.Attachment, error) {
		read := func() (usher.Attachment, error) {
			return one(context.Background(), t, attachmentMapping.fields, selectAttachment, attachmentArgs(key)...)
		}
		old, err := read()
		if err != nil {
			return usher.Attachment{}, err
		}
		next, err := change(old)
		switch {
		case errors.Is(err, store.ErrUnchanged):
			return read() // change may have written into what old refers to
		case errors.Is(err, store.ErrDelete):
			old, err := read()
			if err != nil {
				return usher.Attachment{}, err
			}
			return old, t.exec(deleteAttachment, attachmentArgs(key)...)
		case err != nil:
			return usher.Attachment{}, err
		}
		if old, err = read(); err != nil {
			return usher.Attachment{}, err
		}
		cutAttachment(&next)
		if err := attachmentMapping.update(t, &old, &next); err != nil {
			return usher.Attachment{}, err
		}
		return next, nil
	})
}

func (s attachments) Due(ctx context.Context, now time.Time, n int) ([]usher.AttachmentKey, error) {
	fields := func(k *usher.AttachmentKey) []any { return []any{&k.App, &k.User, &k.Connection} }
	return all(ctx, s.db.reader, fields, selectAttachmentsDue, now.UnixMicro(), limit(n))
}
