package client

import (
	"context"
	"net/http"

	"usher"
)

// Me is a caller, as the server knows it.
type Me struct {
	// Kind is user, guest, client, or local for an operator on the machine itself.
	Kind usher.IdentityKind `json:"kind"`
	// Key names the caller as owners and members are named.
	Key   string `json:"key"`
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	// Groups are those that the issuer says the user is in.
	Groups []string `json:"groups"`
	// Scopes are what a back end may ask for; a user has none.
	Scopes usher.Scopes `json:"scopes"`
	// Operator may see and end everything.
	Operator bool `json:"operator"`
	// Room and Role are those of a guest's invite.
	Room usher.ID   `json:"room,omitempty"`
	Role usher.Role `json:"role,omitempty"`
	// Actor is the key of the back end that acts for the caller.
	Actor string `json:"actor,omitempty"`
	// ExpiresAt is when the proof of who calls ends.
	ExpiresAt Time `json:"expires_at,omitzero"`
}

// Me returns who is calling.
func (a *API) Me(ctx context.Context, options ...Option) (Me, error) {
	var m Me
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"me"}, options: options}, &m)
	return m, err
}
