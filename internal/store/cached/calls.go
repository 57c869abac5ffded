package cached

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"usher"
	"usher/internal/store"
)

// calls keeps who has calls that have not ended. Most have none, and that is
// asked whenever somebody connects. It can be kept where no other process writes.
//
// A call is entered before it is written, and taken out when the store has said
// that it has ended: who is not there has none, and of who is there the store is
// asked.
type calls struct {
	store.Calls
	db *DB

	mu     sync.Mutex
	live   map[usher.CallKey]int // how often it was entered: it may be made twice at once
	people map[person]int        // how many of live each is in
}

var _ store.Calls = (*calls)(nil)

type person struct{ app, key string }

// newCalls reads which calls live.
func newCalls(ctx context.Context, db *DB) (*calls, error) {
	s := &calls{Calls: db.DB.Calls(), db: db, live: make(map[usher.CallKey]int), people: make(map[person]int)}
	keys, err := s.Due(ctx, always, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		s.enter(key)
	}
	return s, nil
}

// always is after everything that is due at some time.
var always = time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC)

// enter enters a call that may be about to be made.
func (s *calls) enter(key usher.CallKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[key]++; s.live[key] > 1 {
		return
	}
	s.people[person{key.App, key.Pair.Low}]++
	s.people[person{key.App, key.Pair.High}]++
}

// takeBack takes back what one enter did.
func (s *calls) takeBack(key usher.CallKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[key] > 1 {
		s.live[key]--
		return
	}
	s.remove(key)
}

// takeOut takes out a call that has ended, however often it was entered.
func (s *calls) takeOut(key usher.CallKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(key)
}

// remove is takeOut for who holds s.mu.
func (s *calls) remove(key usher.CallKey) {
	if _, there := s.live[key]; !there {
		return
	}
	delete(s.live, key)
	for _, p := range []person{{key.App, key.Pair.Low}, {key.App, key.Pair.High}} {
		if s.people[p]--; s.people[p] == 0 {
			delete(s.people, p)
		}
	}
}

// Create implements [store.Calls].
func (s *calls) Create(ctx context.Context, c usher.Call) error {
	if !c.Live() {
		return s.Calls.Create(ctx, c)
	}
	s.enter(c.Key())
	err := s.Calls.Create(ctx, c)
	// The pair has another, or this one is there, or has ended; or nothing can be
	// written. After any other error it may be there.
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNoRoom) {
		s.takeBack(c.Key())
	}
	return err
}

// Update implements [store.Calls].
func (s *calls) Update(ctx context.Context, key usher.CallKey, change func(usher.Call) (usher.Call, error)) (usher.Call, error) {
	c, err := s.Calls.Update(ctx, key, change)
	if err == nil && !c.Live() {
		s.takeOut(key) // none begins to live again
	}
	return c, err
}

// Active implements [store.Calls].
func (s *calls) Active(ctx context.Context, app, user string) ([]usher.Call, error) {
	s.mu.Lock()
	none := s.people[person{app, user}] == 0
	s.mu.Unlock()
	if none && !s.db.closed.Load() {
		return nil, ctx.Err()
	}
	return s.Calls.Active(ctx, app, user)
}
