package identity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"usher"
	"usher/internal/store"
)

// ErrInvalidClient refuses an assertion, whatever is wrong with it: only the
// log tells, so that nobody learns by trying which clients there are.
var ErrInvalidClient = usher.Errorf(usher.Invalid, "invalid_client",
	"The client could not be authenticated: its id, key, or the audience, times or jti of its assertion were not accepted.")

// ErrInvalidScope refuses a client that asks only for what it may not have.
var ErrInvalidScope = usher.Errorf(usher.Invalid, "invalid_scope",
	"None of the scopes that were asked for may be granted to this client.")

const (
	// leeway is how far a client's clock may be ahead of ours. An expiry has
	// none: a client chooses it itself, and late by a second is late.
	leeway = time.Minute
	// maxAssertionLife is how far ahead an assertion may expire. Clients use a
	// minute, some libraries up to an hour. Since an assertion works once, a long
	// life is no danger to others; the bound is what keeps used ones from
	// having to be remembered for years.
	maxAssertionLife = time.Hour
	maxAssertion     = 16 << 10 // bytes
	maxJTI           = 256      // bytes
)

// Assertions authenticates clients by private_key_jwt: an assertion that the
// client signed with its key (RFC 7523, sections 2.2 and 3; OpenID Connect
// Core, section 9). It is safe for concurrent use.
type Assertions struct {
	Clients store.Clients
	// Once remembers the assertions that were used.
	Once store.Once
	Now  func() time.Time
	// Logger is told at level debug why an assertion was refused.
	Logger *slog.Logger

	keys keyCache
}

// Asserted is a client that has proven itself.
type Asserted struct {
	Identity usher.Identity
	// At is from before the client's record was read, so that what is issued for
	// it is older than a rotation of the key that comes after.
	At time.Time
}

// Exchange accepts an assertion that is meant for one of the audiences, once.
// What the client is granted is the part of what the assertion asks for that
// the client may have, or all of that if it asks for nothing.
//
// The error is [ErrInvalidClient], [ErrInvalidScope], or our own failure.
func (a *Assertions) Exchange(ctx context.Context, assertion usher.Secret, audiences []string) (Asserted, error) {
	now := a.Now().UTC().Truncate(time.Microsecond)
	client, c, err := a.verify(ctx, assertion.Reveal())
	if err == nil {
		err = c.check(client.ID, audiences, now)
	}
	if err != nil {
		return Asserted{}, a.refuse(ctx, client.ID, err)
	}
	scopes := client.Scopes
	if c.Scope != nil {
		asked := usher.ParseScopes(*c.Scope)
		scopes = asked.And(client.Scopes)
		if len(asked) > 0 && len(scopes) == 0 {
			return Asserted{}, ErrInvalidScope
		}
	}
	// Only what is good in every other way is marked as used: nobody but the
	// client itself can use up an assertion.
	jti := sha256.Sum256([]byte(c.ID))
	mark := store.Mark{Name: "assertion:" + string(client.ID) + ":" + hex.EncodeToString(jti[:]), Expires: c.Expires.Time}
	if _, err := a.Once.Put(ctx, now, mark); errors.Is(err, store.ErrExists) {
		return Asserted{}, a.refuse(ctx, client.ID, refusal("the assertion was used before"))
	} else if err != nil {
		return Asserted{}, fmt.Errorf("identity: mark assertion as used: %w", err)
	}
	return Asserted{Identity: clientIdentity(client, scopes), At: now}, nil
}

func clientIdentity(c usher.Client, scopes usher.Scopes) usher.Identity {
	return usher.Identity{App: c.App, Kind: usher.ClientIdentity, Subject: string(c.ID), Name: c.Name, Scopes: scopes}
}

// refusal is why an assertion is not accepted. It quotes nothing of it.
type refusal string

func (r refusal) Error() string { return string(r) }

// refuse hides a refusal from the caller. Our own failures pass.
func (a *Assertions) refuse(ctx context.Context, client usher.ID, err error) error {
	why, ok := errors.AsType[refusal](err)
	if !ok {
		return err
	}
	a.Logger.DebugContext(ctx, "an assertion was refused", "client", client, "cause", string(why))
	return ErrInvalidClient
}

// verify finds the client that an assertion names and checks that its key has
// signed it, with the one algorithm of that key.
func (a *Assertions) verify(ctx context.Context, assertion string) (usher.Client, claims, error) {
	if len(assertion) > maxAssertion {
		return usher.Client{}, claims{}, refusal("the assertion is too long")
	}
	if err := checkHeader(assertion); err != nil {
		return usher.Client{}, claims{}, err
	}
	signed, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.RS384, jose.ES384, jose.EdDSA})
	if err != nil {
		return usher.Client{}, claims{}, refusal("the assertion is malformed, or signed with another algorithm than RS384, ES384 or EdDSA")
	}
	c, err := decodeClaims(signed.UnsafePayloadWithoutVerification())
	if err != nil {
		return usher.Client{}, claims{}, refusal(err.Error())
	}
	id, err := usher.ParseID(c.Issuer)
	if err != nil {
		return usher.Client{}, claims{}, refusal("iss is not a client id")
	}
	client, err := a.Clients.Get(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return usher.Client{}, claims{}, refusal("iss is no client of this server")
	case err != nil:
		return usher.Client{}, claims{}, fmt.Errorf("identity: read client: %w", err)
	case client.Revoked():
		return client, claims{}, refusal("the client is revoked")
	case client.Expired(a.Now()):
		return client, claims{}, refusal("the client's access has expired")
	case client.PublicKey == "":
		return client, claims{}, refusal("the client has an API key only")
	}
	key, err := a.keys.get(client)
	if err != nil {
		return client, claims{}, fmt.Errorf("identity: stored key of client %s: %w", client.ID, err)
	}
	if signed.Signatures[0].Protected.Algorithm != key.Algorithm() {
		return client, claims{}, refusal("alg is not that of the client's key, " + key.Algorithm())
	}
	if _, err := signed.Verify(key.key); err != nil {
		return client, claims{}, refusal("the signature is not that of the client's key")
	}
	return client, c, nil
}

// checkHeader refuses a header that asks for more than a plain signature or
// that brings a key along, before anything looks at it.
func checkHeader(assertion string) error {
	encoded, _, _ := strings.Cut(assertion, ".")
	data, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return refusal("the header is not base64url")
	}
	var header map[string]any
	if err := json.Unmarshal(data, &header); err != nil {
		return refusal("the header can't be read")
	}
	for _, name := range []string{"crit", "b64", "jwk", "jku", "x5c", "x5u", "zip"} {
		if _, there := header[name]; there {
			return refusal("the header has " + name)
		}
	}
	typ, there := header["typ"]
	if text, _ := typ.(string); there && !strings.EqualFold(text, "JWT") {
		return refusal("typ is not JWT")
	}
	return nil
}

// check holds the claims of a genuine assertion against what they must be.
func (c claims) check(client usher.ID, audiences []string, now time.Time) error {
	switch {
	case c.Subject != string(client):
		return refusal("sub is not iss")
	case !slices.ContainsFunc(c.Audience, func(aud string) bool { return slices.Contains(audiences, aud) }):
		return refusal("aud is not " + strings.Join(audiences, " or "))
	case c.Expires.IsZero():
		return refusal("exp is missing")
	case !now.Before(c.Expires.Time):
		return refusal("exp has passed")
	case c.Expires.Sub(now) > maxAssertionLife:
		return refusal("exp is more than " + maxAssertionLife.String() + " ahead")
	case c.NotBefore.Sub(now) > leeway:
		return refusal("nbf is in the future")
	case c.IssuedAt.Sub(now) > leeway:
		return refusal("iat is in the future")
	case c.ID == "" || len(c.ID) > maxJTI:
		return refusal("jti is missing or too long")
	}
	return nil
}

// maxCachedKeys bounds a [keyCache]; a client beyond it costs a parse a call.
const maxCachedKeys = 1024

// keyCache keeps the parsed keys of clients.
type keyCache struct {
	mu   sync.Mutex
	keys map[usher.ID]cachedKey
}

type cachedKey struct {
	version int64
	key     PublicKey
}

// get returns the key of that version of the client.
func (kc *keyCache) get(c usher.Client) (PublicKey, error) {
	kc.mu.Lock()
	cached, ok := kc.keys[c.ID]
	kc.mu.Unlock()
	if ok && cached.version == c.Version {
		return cached.key, nil
	}
	key, err := ParsePublicKey(c.PublicKey)
	if err != nil {
		return PublicKey{}, err
	}
	kc.mu.Lock()
	defer kc.mu.Unlock()
	if kc.keys == nil {
		kc.keys = make(map[usher.ID]cachedKey)
	}
	if len(kc.keys) >= maxCachedKeys {
		for id := range kc.keys { // any one
			delete(kc.keys, id)
			break
		}
	}
	kc.keys[c.ID] = cachedKey{c.Version, key}
	return key, nil
}
