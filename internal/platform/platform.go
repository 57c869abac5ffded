// Package platform is the contract between Usher and what carries the media or
// the data: each platform turns a grant into a credential of its own format.
package platform

import (
	"context"
	"encoding/json"

	"usher"
)

// Platform issues credentials. An issuer never widens: what it can't express
// it refuses or leaves out.
type Platform interface {
	// Issue makes a credential for a grant.
	Issue(ctx context.Context, req Request) (usher.Credential, error)
}

// Request asks for a credential.
type Request struct {
	Grant usher.Grant
}

// RoomOpener is a platform on which a room must be made before it is used.
type RoomOpener interface {
	// Open makes a room and returns the platform's own answer and the room's
	// name there.
	Open(ctx context.Context) (Opened, error)
}

// Opened is a room on a platform.
type Opened struct {
	Room string
	// Body is the platform's own answer, for clients that expect it unchanged.
	Body json.RawMessage
}
