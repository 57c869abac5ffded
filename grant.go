package usher

import (
	"encoding/json"
	"time"
)

// Grant is what a decision allowed: who may do what, where, and when.
type Grant struct {
	ID       ID
	Identity Identity
	// Room is the room's id, or its name on the platform that carries it.
	Room        string
	Permissions Permissions
	NotBefore   time.Time
	Expires     time.Time
}

// Credential is a grant in a platform's own format.
type Credential struct {
	Platform string
	Token    Secret
	// URL is where the client goes with the token, if the platform has such.
	URL string
	// ExpiresAt is zero for a credential that ends with its use.
	ExpiresAt time.Time
	// Body is the platform's own answer, for clients that expect it unchanged.
	// It may hold secrets: it goes to the caller and nowhere else.
	Body json.RawMessage
}
