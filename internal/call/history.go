package call

import (
	"context"
	"errors"
	"time"

	"usher"
	"usher/internal/store"
)

// History is the calls that people missed.
type History struct {
	Store store.Calls
	Now   func() time.Time
}

// Missed returns a page of the calls that a person missed, the newest first.
func (h History) Missed(ctx context.Context, q store.MissedQuery) ([]usher.Call, error) {
	calls, err := h.Store.Missed(ctx, q)
	return calls, wrap("list missed calls", err)
}

// Acknowledge takes a call and all that are older off the list of those that a
// person missed; without an id, all.
func (h History) Acknowledge(ctx context.Context, app, user string, from usher.ID) error {
	m := moment{now: clock(h.Now)}
	for {
		calls, err := h.Store.Missed(ctx, store.MissedQuery{App: app, User: user, From: from, Limit: sweepBatch})
		if err != nil || len(calls) == 0 {
			return wrap("acknowledge", err)
		}
		err = together(calls, func(c usher.Call) error {
			_, err := h.Store.Update(ctx, c.Key(), func(c usher.Call) (usher.Call, error) { return m.acknowledge(c), nil })
			if errors.Is(err, store.ErrNotFound) {
				return nil // forgotten meanwhile
			}
			return err
		})
		if err != nil {
			return wrap("acknowledge", err)
		}
	}
}
