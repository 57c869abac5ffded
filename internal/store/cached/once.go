package cached

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"usher/internal/store"
)

// once keeps marks that were taken. None changes before it expires, so that
// they are true for as long, whoever else writes; to find a name taken needs no
// write then.
type once struct {
	store.Once
	db  *DB
	max int

	mu    sync.Mutex
	taken map[string]store.Mark
}

var _ store.Once = (*once)(nil)

// Put implements [store.Once].
func (s *once) Put(ctx context.Context, now time.Time, m store.Mark) (store.Mark, error) {
	if first, ok := s.first(m.Name, now); ok {
		return first, cmp.Or(ctx.Err(), store.ErrExists)
	}
	m, err := s.Once.Put(ctx, now, m)
	if err == nil || errors.Is(err, store.ErrExists) {
		s.keep(m)
	}
	return m, err
}

// first returns the mark that has taken a name, if it is known.
func (s *once) first(name string, now time.Time) (store.Mark, bool) {
	if s.db.closed.Load() {
		return store.Mark{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.taken[name]
	m.Value = bytes.Clone(m.Value) // the caller's own
	return m, ok && m.Expires.After(now)
}

func (s *once) keep(m store.Mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept, ok := s.taken[m.Name]; ok && kept.Expires.After(m.Expires) {
		return // a later one was told of faster
	}
	makeRoom(s.taken, s.max, func(store.Mark) bool { return true })
	m.Value = bytes.Clone(m.Value)
	s.taken[m.Name] = m
}

// Sweep implements [store.Once].
func (s *once) Sweep(ctx context.Context, now time.Time, limit int) (int, error) {
	s.mu.Lock()
	for name, m := range s.taken {
		if m.Expires.Before(now) {
			delete(s.taken, name)
		}
	}
	s.mu.Unlock()
	return s.Once.Sweep(ctx, now, limit)
}
