// Package identity finds out who is calling: it turns a [Proof], from wherever
// in a request or message it came, into a [usher.Identity].
package identity

import (
	"context"
	"errors"
	"net/http"

	"usher"
)

// Proof is what a caller presents. The zero Proof presents nothing.
type Proof struct {
	// Bearer is the token of an Authorization header or of a first message.
	Bearer usher.Secret
	// Malformed says that an Authorization header was there and could not be
	// understood, which is not the same as none.
	Malformed bool
	// Local says that the call came over the control socket in the data
	// folder, which only its owner can open.
	Local bool
	// Session holds the headers by which the app's own session may be known. It is
	// set only for dialects that allow it, and only for calls that pass [SameSite],
	// since a browser sends cookies along whoever made it call.
	Session http.Header
}

// Empty reports whether nothing was presented at all. Session does not count:
// browsers send cookies that mean nothing to us.
func (p Proof) Empty() bool { return p.Bearer == "" && !p.Malformed && !p.Local }

// ErrNotMine is what an [Authenticator] answers to a proof that is none of its
// kind, so that the next one is asked. Any other error means that the proof is
// of its kind and bad, and nobody else is asked.
var ErrNotMine = errors.New("proof is of another kind")

// ErrUnknown refuses a caller that presented nothing, or nothing that anyone knows.
var ErrUnknown = usher.Errorf(usher.Unauthenticated, "credentials_required",
	"This call needs credentials: send a token in the Authorization header, as 'Bearer TOKEN'.")

// ErrBad refuses credentials without saying what is wrong with them.
var ErrBad = usher.Errorf(usher.Unauthenticated, "credentials_invalid",
	"The credentials were not accepted: they are malformed, expired, revoked or meant for another server.")

// Authenticator turns proofs of one kind into identities.
type Authenticator interface {
	Authenticate(ctx context.Context, p Proof) (usher.Identity, error)
}

// Chain asks one authenticator after the other.
type Chain []Authenticator

// Authenticate returns the first identity or refusal. What nobody claims as
// theirs is refused: with [ErrUnknown] if it is nothing, and else [ErrBad].
func (c Chain) Authenticate(ctx context.Context, p Proof) (usher.Identity, error) {
	for _, a := range c {
		id, err := a.Authenticate(ctx, p)
		if errors.Is(err, ErrNotMine) {
			continue
		}
		return id, err
	}
	if p.Empty() {
		return usher.Identity{}, ErrUnknown
	}
	return usher.Identity{}, ErrBad
}

// Local knows the callers of the control socket: operators on the machine.
type Local struct{}

// Authenticate implements [Authenticator].
func (Local) Authenticate(_ context.Context, p Proof) (usher.Identity, error) {
	if !p.Local {
		return usher.Identity{}, ErrNotMine
	}
	return LocalOperator(), nil
}

// LocalOperator is whoever works on the machine itself, and has shown it by
// reaching the data folder.
func LocalOperator() usher.Identity {
	return usher.Identity{
		App: usher.DefaultApp, Kind: usher.LocalIdentity, Subject: "operator",
		Name: "an operator on this machine", Operator: true, Scopes: usher.AllScopes,
	}
}

// Dev, last in the chain of development mode, takes whoever presents nothing
// for the developer, who may do everything on this machine.
type Dev struct{}

// Authenticate implements [Authenticator].
func (Dev) Authenticate(_ context.Context, p Proof) (usher.Identity, error) {
	if !p.Empty() {
		return usher.Identity{}, ErrNotMine
	}
	return usher.Identity{
		App: usher.DefaultApp, Kind: usher.LocalIdentity, Subject: "developer",
		Name: "Developer", Operator: true, Scopes: usher.AllScopes,
	}, nil
}
