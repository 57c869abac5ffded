package client

import (
	"context"
	"net/http"

	"usher"
)

// Key is what anybody may know of one of the server's signing keys.
type Key struct {
	// ID is the kid.
	ID        usher.ID `json:"kid"`
	Algorithm string   `json:"algorithm"`
	// State is next, current or retired.
	State     string `json:"state"`
	CreatedAt Time   `json:"created_at"`
	// NotAfter is until when a retired key is published and accepted.
	NotAfter Time `json:"not_after,omitzero"`
}

// KeyList is the server's signing keys.
type KeyList struct {
	Keys []Key `json:"keys"`
}

// Keys returns the server's signing keys in the order in which they are
// published. Only operators may.
func (a *API) Keys(ctx context.Context) ([]Key, error) {
	var l KeyList
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"keys"}}, &l)
	return l.Keys, err
}

// RotateKeys makes the next signing key the current one, and returns it. What
// the one before signed stays valid.
func (a *API) RotateKeys(ctx context.Context) (Key, error) {
	var k Key
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"keys", "rotate"}}, &k)
	return k, err
}

// RetireKey ends a signing key at once: what it signed is void.
func (a *API) RetireKey(ctx context.Context, id usher.ID) error {
	return a.do(ctx, call{method: http.MethodDelete, path: []string{"keys", string(id)}}, nil)
}
