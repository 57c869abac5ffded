package dynamostore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"usher"
	"usher/internal/store"
)

// attachments keeps connections in the table of the video chat, in rows as its
// own program writes and reads them: userId and connectionId. A row that has
// nothing else is an attachment without an ID.
type attachments struct{ db *DB }

var _ store.Attachments = attachments{}

// dueAttachments is the index of attachments by when they are due.
const dueAttachments = "due-attachments"

var attachmentKind = kind[usher.Attachment]{
	key: func(db *DB, a *usher.Attachment) key { return attachmentKey(db, a.AttachmentKey) },
	fields: func(a *archive, t *usher.Attachment) {
		text(a, "usherId", &t.ID)
		text(a, "usherEndpoint", &t.Endpoint)
		a.attachment("usherBody", t)
		a.flag("usherMade", &t.Made)
		a.flag("usherAway", &t.Away)
		a.stamp("usherSeenAt", &t.SeenAt)
		a.stamp("usherDue", &t.Due)
		a.stamp("usherUpdatedAt", &t.UpdatedAt)
		number(a, "usherVersion", &t.Version)
	},
	entries: func(_ *DB, t *usher.Attachment) []entry {
		if t.Due.IsZero() {
			return nil
		}
		return []entry{{slot: "due", hash: sharded(dueAttachments, t.Connection), order: order(t.Due)}}
	},
	version:  func(t *usher.Attachment) *int64 { return &t.Version },
	complete: func(db *DB, at key, t *usher.Attachment) { t.AttachmentKey = db.attachmentAt(at) },
}

// attachmentBody is what of an attachment no query asks for.
type attachmentBody struct {
	Who  usher.Identity `json:"who"`
	Held [][]byte       `json:"held,omitempty"`
}

// attachment keeps the body of an attachment.
func (a *archive) attachment(name string, t *usher.Attachment) {
	if !a.reading {
		cut(&t.Who.IssuedAt, &t.Who.Expires)
		body, err := json.Marshal(attachmentBody{t.Who, t.Held})
		if err != nil {
			panic(err) // strings, times and bytes
		}
		encoded := string(body)
		text(a, name, &encoded)
		return
	}
	var encoded string
	if text(a, name, &encoded); encoded == "" {
		return // written by somebody else
	}
	var body attachmentBody
	if err := json.Unmarshal([]byte(encoded), &body); err != nil {
		a.err = fmt.Errorf("dynamostore: the body of an attachment: %w", err)
		return
	}
	t.Who, t.Held = body.Who, body.Held
}

func attachmentKey(db *DB, k usher.AttachmentKey) key {
	return key{db.connections, db.userID(k.App, k.User), k.Connection}
}

// attachmentAt is the inverse of attachmentKey.
func (db *DB) attachmentAt(at key) usher.AttachmentKey {
	app, user := db.userOf(at.hash)
	return usher.AttachmentKey{App: app, User: user, Connection: at.sort}
}

func (s attachments) Create(ctx context.Context, made usher.Attachment) error {
	done, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return attachmentKind.create(ctx, s.db, made)
}

func (s attachments) Get(ctx context.Context, k usher.AttachmentKey) (usher.Attachment, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Attachment{}, err
	}
	defer done()
	return attachmentKind.read(ctx, s.db, attachmentKey(s.db, k))
}

func (s attachments) Of(ctx context.Context, app, user string) ([]usher.Attachment, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	rows, err := s.db.first(ctx, span{table: s.db.connections, hash: s.db.userID(app, user)}, 0)
	if err != nil {
		return nil, err
	}
	var list []usher.Attachment
	for _, i := range rows {
		if !isThere(i) {
			continue
		}
		at := s.db.connections.keyOf(i)
		a, err := attachmentKind.unpack(s.db, at, i)
		if err != nil {
			// Everybody who is to hear of the user reads this: one row must not
			// keep them all from what they do.
			s.db.log.ErrorContext(ctx, "a row of a connection can't be read and is passed over", "connection", at.sort, "error", err)
			continue
		}
		list = append(list, a)
	}
	return list, nil
}

func (s attachments) Update(ctx context.Context, k usher.AttachmentKey, change func(usher.Attachment) (usher.Attachment, error)) (usher.Attachment, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Attachment{}, err
	}
	defer done()
	at := attachmentKey(s.db, k)
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		next, err := attachmentKind.change(ctx, s.db, at, change)
		if !errors.Is(err, store.ErrDelete) {
			return next, err
		}
		next, err = s.remove(ctx, at, change)
		if !errors.Is(err, errConflict) {
			return next, err
		}
		if err := s.db.pause(ctx, wait); err != nil {
			return usher.Attachment{}, err
		}
	}
}

// remove deletes an attachment that change wants deleted, as it is now.
func (s attachments) remove(ctx context.Context, at key, change func(usher.Attachment) (usher.Attachment, error)) (usher.Attachment, error) {
	i, err := s.db.get(ctx, at)
	if err != nil {
		return usher.Attachment{}, err
	}
	if !isThere(i) {
		return usher.Attachment{}, store.ErrNotFound
	}
	old, err := attachmentKind.unpack(s.db, at, i)
	if err != nil {
		return usher.Attachment{}, err
	}
	if _, err := change(old); !errors.Is(err, store.ErrDelete) {
		return usher.Attachment{}, errConflict // not any more
	}
	if old, err = attachmentKind.unpack(s.db, at, i); err != nil { // change may have written into it
		return usher.Attachment{}, err
	}
	return old, s.db.erase(ctx, at, i, attachmentKind.entriesOf(s.db, &old))
}

func (s attachments) Due(ctx context.Context, now time.Time, limit int) ([]usher.AttachmentKey, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	fs, err := s.db.overdue(ctx, s.db.connections, dueAttachments, order(now)+beyond, limit)
	if err != nil {
		return nil, err
	}
	var keys []usher.AttachmentKey
	for _, f := range fs {
		keys = append(keys, s.db.attachmentAt(f.key))
	}
	return keys, nil
}
