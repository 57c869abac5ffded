package sqlstore

import (
	"context"
	"errors"

	"usher"
	"usher/internal/store"
)

// compactStep bounds how many rows one write deletes, and so how long others
// wait for it: they may be large.
const compactStep = 16

type documents struct{ db *DB }

var _ store.Documents = documents{}

// Documents returns the rooms' documents.
func (db *DB) Documents() store.Documents { return documents{db} }

// documentHead is the row of a document.
type documentHead struct {
	key usher.RoomKey
	store.Head
}

var headMapping = mapping[documentHead]{
	table:   "documents",
	columns: []string{"app", "room", "last", "last_at", "snapshot", "snapshot_last", "snapshot_parts"},
	keys:    2,
	fields: func(h *documentHead) []any {
		return []any{
			&h.key.App, (*string)(&h.key.ID), &h.Last, stampField{&h.At},
			(*string)(&h.Snapshot.ID), &h.Snapshot.Last, &h.Snapshot.Parts,
		}
	},
	values: func(h *documentHead) []any {
		return []any{
			h.key.App, string(h.key.ID), h.Last, stamp(h.At),
			string(h.Snapshot.ID), h.Snapshot.Last, int64(h.Snapshot.Parts),
		}
	},
}

var (
	selectHead = headMapping.query("WHERE app = $1 AND room = $2")
	putHead    = headMapping.replacement()
)

const (
	insertEntries = "INSERT INTO document_log (app, room, last, first, made_at, body) VALUES ($1, $2, $3, $4, $5, $6)"
	selectLog     = "SELECT first, last, made_at, body FROM document_log WHERE app = $1 AND room = $2 AND last > $3 ORDER BY last LIMIT $4"
	putPart       = "INSERT INTO document_parts (app, room, snapshot, part, body) VALUES ($1, $2, $3, $4, $5)" +
		" ON CONFLICT (app, room, snapshot, part) DO UPDATE SET body = excluded.body"
	selectPart = "SELECT body FROM document_parts WHERE app = $1 AND room = $2 AND snapshot = $3 AND part = $4"
	trimLog    = "DELETE FROM document_log WHERE app = $1 AND room = $2 AND last IN" +
		" (SELECT last FROM document_log WHERE app = $1 AND room = $2 AND last <= $3 ORDER BY last LIMIT $4)"
	selectOldParts = "SELECT snapshot, part FROM document_parts WHERE app = $1 AND room = $2 AND snapshot <> $3 LIMIT $4"
	deletePart     = "DELETE FROM document_parts WHERE app = $1 AND room = $2 AND snapshot = $3 AND part = $4"
)

func entriesFields(e *store.Entries) []any {
	return []any{&e.First, &e.Last, stampField{&e.At}, &e.Body}
}

// head returns the row of a document, made up if there is none.
func head(ctx context.Context, p preparer, room usher.RoomKey) (documentHead, error) {
	h, err := one(ctx, p, headMapping.fields, selectHead, room.App, string(room.ID))
	if errors.Is(err, store.ErrNotFound) {
		return documentHead{key: room}, nil
	}
	return h, err
}

func (s documents) Head(ctx context.Context, room usher.RoomKey) (store.Head, error) {
	h, err := head(ctx, s.db.reader, room)
	return h.Head, err
}

func (s documents) Append(ctx context.Context, room usher.RoomKey, e store.Entries) error {
	return s.db.writer.do(ctx, func(t *tx) error {
		h, err := head(context.Background(), t, room)
		if err != nil {
			return err
		}
		if e.First != h.Last+1 {
			return store.ErrExists
		}
		if err := t.exec(insertEntries, room.App, string(room.ID), e.Last, e.First, stamp(e.At), e.Body); err != nil {
			return err
		}
		h.Last, h.At = e.Last, e.At
		return t.exec(putHead, headMapping.values(&h)...)
	})
}

func (s documents) Log(ctx context.Context, room usher.RoomKey, after int64, n int) ([]store.Entries, error) {
	return all(ctx, s.db.reader, entriesFields, selectLog, room.App, string(room.ID), after, limit(n))
}

func (s documents) PutPart(ctx context.Context, room usher.RoomKey, snapshot usher.ID, part int, body []byte) error {
	return s.db.writer.do(ctx, func(t *tx) error {
		return t.exec(putPart, room.App, string(room.ID), string(snapshot), int64(part), body)
	})
}

func (s documents) Part(ctx context.Context, room usher.RoomKey, snapshot usher.ID, part int) ([]byte, error) {
	return one(ctx, s.db.reader, func(b *[]byte) []any { return []any{b} }, selectPart, room.App, string(room.ID), string(snapshot), int64(part))
}

func (s documents) Compact(ctx context.Context, room usher.RoomKey, next store.Snapshot, replaces usher.ID) error {
	err := s.db.writer.do(ctx, func(t *tx) error {
		h, err := head(context.Background(), t, room)
		if err != nil {
			return err
		}
		if h.Snapshot.ID != replaces {
			return store.ErrExists
		}
		h.Snapshot = next
		return t.exec(putHead, headMapping.values(&h)...)
	})
	if err != nil {
		return err
	}
	for {
		n, err := write(ctx, s.db.writer, func(t *tx) (int, error) { return sweepDocument(t, room, next) })
		if err != nil || n == 0 {
			return err
		}
	}
}

// sweepDocument deletes some of what a snapshot stands for, and of the other
// snapshots, and returns how many rows went.
func sweepDocument(t *tx, room usher.RoomKey, s store.Snapshot) (int, error) {
	n, err := t.affect(trimLog, room.App, string(room.ID), s.Last, int64(compactStep))
	if err != nil || n > 0 {
		return n, err
	}
	type old struct {
		snapshot string
		part     int64
	}
	parts, err := all(context.Background(), t, func(o *old) []any { return []any{&o.snapshot, &o.part} },
		selectOldParts, room.App, string(room.ID), string(s.ID), int64(compactStep))
	for _, o := range parts {
		if err := t.exec(deletePart, room.App, string(room.ID), o.snapshot, o.part); err != nil {
			return 0, err
		}
	}
	return len(parts), err
}
