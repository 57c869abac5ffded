package contact

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"usher/internal/store"
)

// What is remembered of who lists whom: on the node of a change it is forgotten
// at once, on others after rememberFor. Where there are no others, rememberAlone
// is for those who change the database by hand.
const (
	rememberFor   = time.Second
	rememberAlone = time.Minute
	rememberPairs = 1 << 16
)

// askFor is how long the store may take to say who lists whom, whatever time the
// caller has: a message waits for it, and all that come after that.
const askFor = 10 * time.Second

// pair is two users, of whom one may list the other.
type pair struct{ app, owner, user string }

// answer is whether the owner of a pair lists the user, as of a time.
type answer struct {
	listed bool
	read   time.Time
}

// pairs remembers answers, so that a message between two users need not ask the
// store whether it may pass.
type pairs struct {
	now  func() time.Time
	good time.Duration // how long an answer is

	mu sync.RWMutex
	// changes counts what was forgotten: an answer that was read before a change
	// and comes after it is not remembered.
	changes uint64
	known   map[pair]answer
}

func newPairs(now func() time.Time, alone bool) *pairs {
	p := &pairs{now: now, good: rememberFor, known: make(map[pair]answer)}
	if alone {
		p.good = rememberAlone
	}
	return p
}

// get returns the answer, if it is known and fresh, and else what put is to be
// called with.
func (p *pairs) get(of pair) (listed, known bool, changes uint64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	a, known := p.known[of]
	return a.listed, known && p.now().Sub(a.read) < p.good, p.changes
}

func (p *pairs) put(of pair, listed bool, read time.Time, changes uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changes != changes {
		return
	}
	if len(p.known) >= rememberPairs {
		clear(p.known) // rarely, and each costs one read to know again
	}
	p.known[of] = answer{listed, read}
}

func (p *pairs) forget(of pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes++
	delete(p.known, of)
}

func (p *pairs) forgetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes++
	clear(p.known)
}

// Lists reports whether the owner lists the user. It answers from memory where
// it can: what was changed on this node counts at once, what was on another
// within a second.
func (s *Service) Lists(ctx context.Context, app, owner, user string) (bool, error) {
	of := pair{app, owner, user}
	listed, known, changes := s.pairs.get(of)
	if known {
		return listed, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	read := s.Now()
	_, err := s.Deps.Contacts.Get(ctx, app, owner, user)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, fmt.Errorf("contact: read: %w", err)
	}
	s.pairs.put(of, err == nil, read, changes)
	return err == nil, nil
}
