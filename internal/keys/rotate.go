package keys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher"
	"usher/internal/store"
)

// errMoved: the next key is not the one that was waited for.
var errMoved = errors.New("another node rotated the keys")

// Rotate lets the next key sign from now on, and returns it. The key that
// signed until now is retired: it stays published until all that it signed has
// expired. A fresh key becomes the next one.
//
// Rotate first waits until the next key has been published by every node: for
// what is left of Config.Refresh if it was made just now.
func (m *Manager) Rotate(ctx context.Context) (Key, error) {
	for {
		next := m.ring.Load().next.record
		if err := m.awaitPublished(ctx, next); err != nil {
			return Key{}, fmt.Errorf("keys: rotate: %w", err)
		}
		fresh, err := m.newKey(store.NextKey)
		if err != nil {
			return Key{}, fmt.Errorf("keys: rotate: %w", err)
		}
		err = m.change(ctx, m.rotation(next.ID, fresh))
		if errors.Is(err, errMoved) {
			err = m.Refresh(ctx)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return Key{}, fmt.Errorf("keys: rotate: %w", err)
		}
		m.log.Info("rotated the signing keys", "current", next.ID, "next", fresh.ID)
		return Key{ID: next.ID, Algorithm: next.Algorithm, State: store.CurrentKey}, nil
	}
}

// awaitPublished waits until every node has had the time to read the key.
func (m *Manager) awaitPublished(ctx context.Context, k store.Key) error {
	// A node whose clock is ahead must not make us wait for longer.
	wait := min(k.UpdatedAt.Add(m.refresh).Sub(m.now()), m.refresh)
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rotation moves every key on by one state, if the next one still is the one
// that is meant.
func (m *Manager) rotation(next usher.ID, fresh store.Key) func([]store.Key) ([]store.Key, error) {
	now := fresh.UpdatedAt
	return func(old []store.Key) ([]store.Key, error) {
		var keys []store.Key
		for _, k := range old {
			switch {
			case expired(k, now):
				continue
			case k.State == store.NextKey && k.ID != next:
				return nil, errMoved
			case k.State == store.NextKey:
				k.State, k.UpdatedAt = store.CurrentKey, now
			case k.State == store.CurrentKey:
				// A node that has not read this change yet still signs with it.
				k.State, k.UpdatedAt, k.NotAfter = store.RetiredKey, now, now.Add(m.retain+m.refresh)
			}
			keys = append(keys, k)
		}
		return append(keys, fresh), nil
	}
}

// Retire takes a key out of use at once, with all that it ever signed: this
// node refuses it when Retire returns, every other within Config.Refresh. The
// next key is replaced by a fresh one. The current key can't be retired.
func (m *Manager) Retire(ctx context.Context, id usher.ID) error {
	fresh, err := m.newKey(store.NextKey)
	if err != nil {
		return fmt.Errorf("keys: retire: %w", err)
	}
	err = m.change(ctx, func(old []store.Key) ([]store.Key, error) {
		var keys []store.Key
		found := false
		for _, k := range old {
			if k.ID != id {
				keys = append(keys, k)
				continue
			}
			found = true
			switch k.State {
			case store.CurrentKey:
				return nil, usher.Errorf(usher.Conflict, "key_current",
					"The key %s is the one that signs at present; rotate the keys first, then retire it.", id)
			case store.NextKey:
				keys = append(keys, fresh)
			}
		}
		if !found {
			return nil, usher.Errorf(usher.NotFound, "key_not_found", "There is no signing key %q.", id)
		}
		return keys, nil
	})
	if err != nil {
		return fmt.Errorf("keys: retire: %w", err)
	}
	m.log.Info("retired a signing key at once", "kid", id)
	return nil
}

// Run keeps the keys as the store has them, and deletes retired keys whose
// time is over, until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	ticker := time.NewTicker(max(m.refresh/2, 1))
	defer ticker.Stop()
	failing := false // one line in the log for one outage
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := m.Tend(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			m.log.Error("can't read the signing keys; those in memory stay in use", "err", err)
		case err == nil && failing:
			m.log.Info("the signing keys can be read again")
		}
		failing = err != nil
	}
}

// Tend does once what Run does all the time.
func (m *Manager) Tend(ctx context.Context) error {
	err := m.Refresh(ctx)
	if err == nil && m.ring.Load().overdue {
		err = m.prune(ctx)
	}
	return err
}

// prune deletes retired keys whose time is over.
func (m *Manager) prune(ctx context.Context) error {
	now := m.time()
	err := m.change(ctx, func(old []store.Key) ([]store.Key, error) {
		var keys []store.Key
		for _, k := range old {
			if !expired(k, now) {
				keys = append(keys, k)
			}
		}
		if len(keys) == len(old) {
			return nil, store.ErrUnchanged
		}
		return keys, nil
	})
	if err != nil {
		return fmt.Errorf("keys: delete retired keys: %w", err)
	}
	return nil
}
