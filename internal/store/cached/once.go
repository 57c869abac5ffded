package cached

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"time"

	"usher/internal/store"
)

// once keeps marks by their names: to find a name taken needs no write then.
type once struct {
	store.Once
	kept *table[string, store.Mark]
}

var _ store.Once = (*once)(nil)

// Put implements [store.Once].
func (s *once) Put(ctx context.Context, now time.Time, m store.Mark) (store.Mark, error) {
	first, r, ok := s.kept.get(m.Name)
	if ok && first.Expires.After(now) {
		first.Value = bytes.Clone(first.Value) // the caller's own
		return first, cmp.Or(ctx.Err(), store.ErrExists)
	}
	there, err := s.Once.Put(ctx, now, m)
	if err == nil || errors.Is(err, store.ErrExists) {
		kept := there
		kept.Value = bytes.Clone(kept.Value)
		s.kept.put(r, kept)
	}
	return there, err
}

// Replace implements [store.Once].
func (s *once) Replace(ctx context.Context, now time.Time, old []byte, m store.Mark) (store.Mark, error) {
	defer s.kept.writing(m.Name)()
	return s.Once.Replace(ctx, now, old, m)
}

// Take implements [store.Once].
func (s *once) Take(ctx context.Context, now time.Time, name string) (store.Mark, error) {
	defer s.kept.writing(name)()
	return s.Once.Take(ctx, now, name)
}

// Sweep implements [store.Once].
func (s *once) Sweep(ctx context.Context, now time.Time, limit int) (int, error) {
	defer s.kept.forget(func(m store.Mark) bool { return m.Expires.Before(now) })
	return s.Once.Sweep(ctx, now, limit)
}
