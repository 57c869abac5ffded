package store

import (
	"context"
	"time"

	"usher"
)

// Calls keeps calls. A pair has at most one that has not ended, as there is at
// most one room of a name.
type Calls interface {
	// Create adds a call. It returns ErrExists if the key is taken, or if
	// neither the call nor another one of its pair has ended.
	Create(ctx context.Context, c usher.Call) error
	// Find returns a call by its id or by the one that it was merged with.
	Find(ctx context.Context, q CallQuery) (usher.Call, error)
	// Live returns the call of a pair that has not ended.
	Live(ctx context.Context, app string, pair usher.Pair) (usher.Call, error)
	// Active returns the calls of a person that have not ended.
	Active(ctx context.Context, app, user string) ([]usher.Call, error)
	// Update changes one call. It does not make a call live again.
	Update(ctx context.Context, key usher.CallKey, change func(usher.Call) (usher.Call, error)) (usher.Call, error)
	// Missed returns calls that a person missed, the newest first.
	Missed(ctx context.Context, q MissedQuery) ([]usher.Call, error)
	// Due returns calls that have not ended and whose Due is not after now, the
	// longest overdue first.
	Due(ctx context.Context, now time.Time, limit int) ([]usher.CallKey, error)
	// Stranded returns calls that have not ended and of which a party's Node is
	// set and none of the given ones.
	Stranded(ctx context.Context, alive []usher.ID, limit int) ([]usher.CallKey, error)
	// Sweep deletes calls that have ended and whose Due is not after now, at
	// most limit of them, and returns how many there were.
	Sweep(ctx context.Context, now time.Time, limit int) (int, error)
}

// CallQuery selects one call.
type CallQuery struct {
	App string
	ID  string
	// User is one of the two in it, and Peer the other. Peer may be empty; then
	// of several it is the one that has not ended, or else one that was invited
	// last.
	User, Peer string
}

// MissedQuery selects a page of the calls that a person missed.
type MissedQuery struct {
	App  string
	User string
	// From is the Missed of the call to begin with, or empty. That call need not
	// be there any more.
	From  usher.ID
	Limit int
}
