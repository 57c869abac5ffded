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

func (s once) Sweep(ctx context.Context, now time.Time, n int) (int, error) {
	return write(ctx, s.db.writer, func(t *tx) (int, error) {
		return t.affect(sweepMarks, now.UnixMicro(), limit(n))
	})
}
