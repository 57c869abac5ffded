package identity

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"usher"
	"usher/internal/keys"
	"usher/internal/store"
)

// accessTokenType is the typ of our access tokens (RFC 9068, section 2.1).
const accessTokenType = "at+jwt"

// AccessTokens issues access tokens to clients and knows their bearers. It is
// safe for concurrent use.
type AccessTokens struct {
	Keys    *keys.Manager
	Clients store.Clients
	// Issuer is what we call ourselves: the iss and the aud of our tokens.
	Issuer string
	Now    func() time.Time
	// Lifetime is how long a token is valid, if the client is not revoked
	// before. The keys must be retained for as long.
	Lifetime time.Duration
	// Random is where the tokens' ids come from; nil is crypto/rand.
	Random io.Reader
}

var _ Authenticator = (*AccessTokens)(nil)

// accessClaims are the claims of an access token (RFC 9068, section 2.2).
type accessClaims struct {
	Issuer   string      `json:"iss"`
	Audience string      `json:"aud"`
	Subject  string      `json:"sub"`
	ClientID string      `json:"client_id"`
	Scope    string      `json:"scope"`
	IssuedAt numericDate `json:"iat"`
	Expires  numericDate `json:"exp"`
	ID       string      `json:"jti"`
}

// Issue makes a token for a client that has proven itself.
func (t *AccessTokens) Issue(a Asserted) (usher.Secret, error) {
	random := t.Random
	if random == nil {
		random = rand.Reader
	}
	var jti [16]byte
	if _, err := io.ReadFull(random, jti[:]); err != nil {
		return "", fmt.Errorf("identity: issue access token: %w", err)
	}
	token, err := t.Keys.Sign(accessClaims{
		Issuer: t.Issuer, Audience: t.Issuer, Subject: a.Identity.Subject, ClientID: a.Identity.Subject,
		Scope: a.Identity.Scopes.String(), IssuedAt: numericDate{a.At}, Expires: numericDate{a.At.Add(t.Lifetime)},
		ID: base64.RawURLEncoding.EncodeToString(jti[:]),
	}, accessTokenType)
	if err != nil {
		return "", fmt.Errorf("identity: issue access token: %w", err)
	}
	return usher.Secret(token), nil
}

// Authenticate implements [Authenticator]. The client is read on each call, so
// that what was taken from it since the token was issued is gone at once.
func (t *AccessTokens) Authenticate(ctx context.Context, p Proof) (usher.Identity, error) {
	if p.Bearer == "" {
		return usher.Identity{}, ErrNotMine
	}
	payload, kid, err := t.Keys.Verify(p.Bearer.Reveal(), accessTokenType)
	switch {
	case errors.Is(err, keys.ErrForeign), errors.Is(err, keys.ErrType):
		return usher.Identity{}, ErrNotMine
	case err != nil:
		return usher.Identity{}, ErrBad
	}
	c, err := decodeClaims(payload)
	switch {
	case err != nil:
		return usher.Identity{}, ErrBad
	case c.Issuer != t.Issuer:
		return usher.Identity{}, ErrNotMine
	case !slices.Contains(c.Audience, t.Issuer) || c.Scope == nil || !t.Now().Before(c.Expires.Time):
		return usher.Identity{}, ErrBad
	}
	id, err := usher.ParseID(c.Subject)
	if err != nil {
		return usher.Identity{}, ErrBad
	}
	client, err := t.Clients.Get(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return usher.Identity{}, ErrBad
	case err != nil:
		return usher.Identity{}, fmt.Errorf("identity: read client: %w", err)
	case client.Revoked() || client.Expired(t.Now()) || c.IssuedAt.Before(client.NotBefore):
		return usher.Identity{}, ErrBad
	}
	who := clientIdentity(client, usher.ParseScopes(*c.Scope).And(client.Scopes))
	who.IssuedAt, who.Expires, who.Proof = c.IssuedAt.Time, c.Expires.Time, "access token, key "+kid
	return who, nil
}
