package dynamostore

import (
	"bytes"
	"context"
	"errors"
	"time"

	"usher/internal/store"
)

type once struct{ db *DB }

var _ store.Once = once{}

// expiringMarks is the index of marks by when they expire.
const expiringMarks = "expiring-marks"

var markKind = kind[store.Mark]{
	key: func(db *DB, m *store.Mark) key { return markKey(db, m.Name) },
	fields: func(a *archive, m *store.Mark) {
		text(a, "name", &m.Name)
		a.bytes("value", &m.Value)
		a.stamp("expires", &m.Expires)
	},
	entries: func(_ *DB, m *store.Mark) []entry {
		return []entry{{slot: "expires", hash: sharded(expiringMarks, m.Name), order: order(m.Expires)}}
	},
}

func markKey(db *DB, name string) key { return key{db.own, join("mark", name), "mark"} }

func (s once) Put(ctx context.Context, now time.Time, m store.Mark) (store.Mark, error) {
	return s.set(ctx, now, m, func(first *store.Mark) error {
		if first != nil {
			return store.ErrExists
		}
		return nil
	})
}

func (s once) Replace(ctx context.Context, now time.Time, old []byte, m store.Mark) (store.Mark, error) {
	return s.set(ctx, now, m, func(first *store.Mark) error {
		switch {
		case first == nil:
			return store.ErrNotFound
		case !bytes.Equal(first.Value, old):
			return store.ErrExists
		}
		return nil
	})
}

// set puts a mark, if may, which is given the one that has its name and has not
// expired, does not object. The error [store.ErrExists] comes with that mark.
func (s once) set(ctx context.Context, now time.Time, m store.Mark, may func(*store.Mark) error) (store.Mark, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return store.Mark{}, err
	}
	defer done()
	at := markKey(s.db, m.Name)
	leave, err := s.db.queues.enter(ctx, at)
	if err != nil {
		return store.Mark{}, err
	}
	defer leave()
	cut(&m.Expires)
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		got, err := s.setOnce(ctx, at, now, m, may)
		if !errors.Is(err, errConflict) {
			return got, err
		}
		if err := s.db.pause(ctx, wait); err != nil {
			return store.Mark{}, err
		}
	}
}

func (s once) setOnce(ctx context.Context, at key, now time.Time, m store.Mark, may func(*store.Mark) error) (store.Mark, error) {
	i, err := s.db.get(ctx, at)
	if err != nil {
		return store.Mark{}, err
	}
	var first *store.Mark
	var before []entry
	if isThere(i) {
		there, err := unpack(i, markKind.fields)
		if err != nil {
			return store.Mark{}, err
		}
		before = markKind.entries(s.db, &there)
		if there.Expires.After(now) {
			first = &there
		}
	}
	switch err := may(first); {
	case errors.Is(err, store.ErrExists):
		return *first, err
	case err != nil:
		return store.Mark{}, err
	}
	u := &update{key: at, old: i, next: pack(i, markKind.fields, &m)}
	if i == nil {
		u.next = pack(at.attributes(), markKind.fields, &m)
	}
	if err := s.db.index(u, before, markKind.entries(s.db, &m)); err != nil {
		return store.Mark{}, err
	}
	if err := s.db.commit(ctx, u); err != nil {
		return store.Mark{}, err
	}
	return m, nil
}

// Take returns an error, and not the mark, if it can't know that it was given it
// alone: then nobody has it.
func (s once) Take(ctx context.Context, now time.Time, name string) (store.Mark, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return store.Mark{}, err
	}
	defer done()
	at := markKey(s.db, name)
	i, err := s.db.get(ctx, at)
	if err != nil {
		return store.Mark{}, err
	}
	if !isThere(i) {
		return store.Mark{}, store.ErrNotFound
	}
	m, err := unpack(i, markKind.fields)
	if err == nil && !m.Expires.After(now) {
		err = store.ErrNotFound
	}
	if err == nil {
		err = s.db.erase(ctx, at, i, markKind.entries(s.db, &m))
	}
	switch {
	case errors.Is(err, errConflict):
		return store.Mark{}, store.ErrNotFound // somebody else took it
	case err != nil:
		return store.Mark{}, err
	}
	return m, nil
}

func (s once) Sweep(ctx context.Context, now time.Time, limit int) (int, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	fs, err := s.db.overdue(ctx, s.db.own, expiringMarks, order(now), limit)
	if err != nil {
		return 0, err
	}
	return sweep(ctx, s.db, markKind, fs)
}

// sweep deletes records as they were found, and returns how many there were.
func sweep[T any](ctx context.Context, db *DB, k kind[T], fs []found) (int, error) {
	for gone, f := range fs {
		record, err := k.unpack(db, f.key, f.head)
		if err == nil {
			err = db.erase(ctx, f.key, f.head, k.entriesOf(db, &record))
		}
		if err != nil && !errors.Is(err, errConflict) {
			return gone, err
		}
	}
	return len(fs), nil
}
