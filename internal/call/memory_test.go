package call_test

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	"usher"
	"usher/internal/store"
)

// memory is a store of calls that is fast enough for thousands of histories.
type memory struct {
	mu    sync.Mutex
	calls map[usher.CallKey]usher.Call
}

var _ store.Calls = (*memory)(nil)

func newMemory() *memory { return &memory{calls: map[usher.CallKey]usher.Call{}} }

// all returns the calls that keep is true of, in one order.
func (m *memory) all(keep func(usher.Call) bool) []usher.Call {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []usher.Call
	for _, c := range m.calls {
		if keep(c) {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b usher.Call) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Pair().Low, b.Pair().Low), cmp.Compare(a.Pair().High, b.Pair().High))
	})
	return found
}

func (m *memory) Create(_ context.Context, c usher.Call) error {
	taken := m.all(func(other usher.Call) bool {
		return other.Key() == c.Key() || other.App == c.App && other.Pair() == c.Pair() && other.Live() && c.Live()
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(taken) > 0 {
		return store.ErrExists
	}
	m.calls[c.Key()] = c
	return nil
}

func (m *memory) Find(_ context.Context, q store.CallQuery) (usher.Call, error) {
	found := m.all(func(c usher.Call) bool {
		return c.App == q.App && (c.ID == q.ID || q.ID != "" && c.Merged == q.ID) && c.Pair().Has(q.User) &&
			(q.Peer == "" || c.Pair() == usher.PairOf(q.User, q.Peer))
	})
	if len(found) == 0 {
		return usher.Call{}, store.ErrNotFound
	}
	return slices.MaxFunc(found, func(a, b usher.Call) int {
		switch {
		case a.Live() && !b.Live():
			return 1
		case b.Live() && !a.Live():
			return -1
		}
		return a.InvitedAt.Compare(b.InvitedAt)
	}), nil
}

func (m *memory) Live(_ context.Context, app string, pair usher.Pair) (usher.Call, error) {
	found := m.all(func(c usher.Call) bool { return c.App == app && c.Pair() == pair && c.Live() })
	if len(found) == 0 {
		return usher.Call{}, store.ErrNotFound
	}
	return found[0], nil
}

func (m *memory) Active(_ context.Context, app, user string) ([]usher.Call, error) {
	return m.all(func(c usher.Call) bool { return c.App == app && c.Pair().Has(user) && c.Live() }), nil
}

// Update calls the change twice, as a store that lost a race does.
func (m *memory) Update(_ context.Context, key usher.CallKey, change func(usher.Call) (usher.Call, error)) (usher.Call, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.calls[key]
	if !ok {
		return old, store.ErrNotFound
	}
	_, _ = change(old)
	next, err := change(old)
	switch {
	case errors.Is(err, store.ErrUnchanged):
		return old, nil
	case err != nil:
		return usher.Call{}, err
	case next.Key() != key:
		return usher.Call{}, errors.New("the key was changed")
	case !old.Live() && next.Live():
		return usher.Call{}, errors.New("a call was made live again")
	}
	next.Version = old.Version
	if !reflect.DeepEqual(next, old) {
		next.Version++
	}
	m.calls[key] = next
	return next, nil
}

func (m *memory) Missed(_ context.Context, q store.MissedQuery) ([]usher.Call, error) {
	newer := func(a, b usher.ID) int { return cmp.Or(b.Time().Compare(a.Time()), cmp.Compare(b, a)) }
	found := m.all(func(c usher.Call) bool {
		return c.App == q.App && c.Callee.User == q.User && c.Missed != "" && (q.From == "" || newer(q.From, c.Missed) <= 0)
	})
	slices.SortFunc(found, func(a, b usher.Call) int { return newer(a.Missed, b.Missed) })
	if q.Limit > 0 {
		found = found[:min(len(found), q.Limit)]
	}
	return found, nil
}

func (m *memory) Due(_ context.Context, now time.Time, limit int) ([]usher.CallKey, error) {
	return keys(m.all(func(c usher.Call) bool { return c.Live() && !now.Before(c.Due) }), limit), nil
}

func (m *memory) Stranded(_ context.Context, alive []usher.ID, limit int) ([]usher.CallKey, error) {
	gone := func(p usher.CallParty) bool { return p.Node != "" && !slices.Contains(alive, p.Node) }
	return keys(m.all(func(c usher.Call) bool { return c.Live() && (gone(c.Caller) || gone(c.Callee)) }), limit), nil
}

func (m *memory) Sweep(_ context.Context, now time.Time, limit int) (int, error) {
	gone := keys(m.all(func(c usher.Call) bool { return !c.Live() && !now.Before(c.Due) }), limit)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range gone {
		delete(m.calls, key)
	}
	return len(gone), nil
}

func keys(calls []usher.Call, limit int) []usher.CallKey {
	var keys []usher.CallKey
	for _, c := range calls {
		if limit <= 0 || len(keys) < limit {
			keys = append(keys, c.Key())
		}
	}
	return keys
}
