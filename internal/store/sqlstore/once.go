package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"time"

	"usher/internal/store"
)

type once struct{ db *DB }

var _ store.Once = once{}

const (
	selectMark = "SELECT name, value, expires FROM marks WHERE name = $1"
	upsertMark = "INSERT INTO marks (name, value, expires) VALUES ($1, $2, $3)" +
		" ON CONFLICT (name) DO UPDATE SET value = excluded.value, expires = excluded.expires"
	deleteMark = "DELETE FROM marks WHERE name = $1"
	sweepMarks = "DELETE FROM marks WHERE name IN (SELECT name FROM marks WHERE expires < $1 ORDER BY expires LIMIT $2)"
)

func markFields(m *store.Mark) []any {
	return []any{&m.Name, &m.Value, stampField{&m.Expires}}
}

func (s once) Put(ctx context.Context, now time.Time, m store.Mark) (store.Mark, error) {
	cut(&m.Expires)
	var taken store.Mark
	err := s.db.writer.do(ctx, func(t *tx) error {
		first, err := one(context.Background(), t, markFields, selectMark, m.Name)
		switch {
		case err == nil && first.Expires.After(now):
			taken = first
			return store.ErrExists
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return err
		}
		taken = m
		return t.exec(upsertMark, m.Name, m.Value, m.Expires.UnixMicro())
	})
	if err != nil && !errors.Is(err, store.ErrExists) {
		return store.Mark{}, err
	}
	return taken, err
}

func (s once) Replace(ctx context.Context, now time.Time, old []byte, m store.Mark) (store.Mark, error) {
	cut(&m.Expires)
	there := m
	err := s.db.writer.do(ctx, func(t *tx) error {
		current, err := one(context.Background(), t, markFields, selectMark, m.Name)
		switch {
		case err != nil:
			return err
		case !current.Expires.After(now):
			return store.ErrNotFound
		case !bytes.Equal(current.Value, old):
			there = current
			return store.ErrExists
		}
		there = m
		return t.exec(upsertMark, m.Name, m.Value, m.Expires.UnixMicro())
	})
	if err != nil && !errors.Is(err, store.ErrExists) {
		return store.Mark{}, err
	}
	return there, err
}

// Take looks before it writes, so that whoever guesses names costs a read.
func (s once) Take(ctx context.Context, now time.Time, name string) (store.Mark, error) {
	if _, err := one(ctx, s.db.reader, markFields, selectMark, name); err != nil {
		return store.Mark{}, err
	}
	return write(ctx, s.db.writer, func(t *tx) (store.Mark, error) {
		m, err := one(context.Background(), t, markFields, selectMark, name)
		if err != nil {
			return store.Mark{}, err
		}
		if !m.Expires.After(now) {
			return store.Mark{}, store.ErrNotFound
		}
		return m, t.exec(deleteMark, name)
	})
}

func (s once) Sweep(ctx context.Context, now time.Time, n int) (int, error) {
	return write(ctx, s.db.writer, func(t *tx) (int, error) {
		return t.affect(sweepMarks, now.UnixMicro(), limit(n))
	})
}
