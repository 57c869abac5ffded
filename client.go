package usher

import "time"

// Client is a registered back end of an app.
type Client struct {
	App string
	// ID is also the client id of OAuth 2.
	ID   ID
	Name string
	// PublicKey is the PEM (SPKI) that the client's assertions are verified with.
	PublicKey string
	// APIKey is the digest of the key that the client calls with instead of
	// assertions, if it has one.
	APIKey Digest
	// Expires is when the client loses all access by itself; zero is never.
	Expires time.Time
	// LastUsed is when the client was last seen, to the minute or so.
	LastUsed time.Time
	// Scopes are the most that the client is ever granted.
	Scopes    Scopes
	UpdatedAt time.Time
	// NotBefore voids every token that was issued to the client earlier: it is
	// set when its key is rotated.
	NotBefore time.Time
	// RevokedAt is when the client lost all access; zero while it has it.
	RevokedAt time.Time
	Version   int64
}

// CreatedAt is when the client was registered.
func (c Client) CreatedAt() time.Time { return c.ID.Time() }

// Revoked reports whether the client has lost all access.
func (c Client) Revoked() bool { return !c.RevokedAt.IsZero() }

// Expired reports whether the client's access has ended by itself.
func (c Client) Expired(now time.Time) bool { return !c.Expires.IsZero() && !now.Before(c.Expires) }
