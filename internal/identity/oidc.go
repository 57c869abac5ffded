package identity

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"usher"
	"usher/internal/keys"
	"usher/internal/recent"
)

// Why a token of an issuer that we know is refused. The code says what is
// wrong; the sentence says no more than what the caller can do about it.
var (
	ErrTokenExpired      = usher.Errorf(usher.Unauthenticated, "token_expired", tokenTimes)
	ErrTokenNotYetValid  = usher.Errorf(usher.Unauthenticated, "token_not_yet_valid", tokenTimes)
	ErrTokenAudience     = usher.Errorf(usher.Unauthenticated, "token_audience", tokenForeign)
	ErrTokenUse          = usher.Errorf(usher.Unauthenticated, "token_use", tokenForeign)
	ErrTokenAlgorithm    = usher.Errorf(usher.Unauthenticated, "token_algorithm", tokenForged)
	ErrTokenSignature    = usher.Errorf(usher.Unauthenticated, "token_signature", tokenForged)
	ErrTokenKeyUnknown   = usher.Errorf(usher.Unauthenticated, "token_key_unknown", tokenForged)
	ErrTokenMalformed    = usher.Errorf(usher.Unauthenticated, "token_malformed", tokenForged)
	ErrIssuerUnavailable = &usher.Error{Kind: usher.Unavailable, Code: "issuer_unavailable", RetryAfter: retryIssuer, Message: issuerUnavailable}
)

// errNoIssuer: the token's issuer is none of ours, or it is no token.
var errNoIssuer = errors.New("no issuer of that name")

const (
	tokenTimes        = "The token has expired, or is not valid yet: get a new one from where it came from."
	tokenForeign      = "The token is meant for another app, or for another use: get one for this server."
	tokenForged       = "The token was not accepted: sign in again to get another."
	issuerUnavailable = "Who you are could not be checked, because the service that knows it does not answer; try again in a while."
)

const (
	// retryIssuer is the pause of [keys.Remote] after a failure.
	retryIssuer = 10 * time.Second
	// maxIssuedToken bounds a token in bytes: what fits into a header of HTTP.
	maxIssuedToken = 16 << 10
	maxKeyID       = 256 // bytes
	// rememberTokens is how many verified tokens are kept, of about 1 KiB each.
	rememberTokens = 4096
)

// IssuersConfig says whose tokens are accepted.
type IssuersConfig struct {
	Issuers []IssuerConfig
	// Remember is how many verified tokens are kept, so that a signature is not
	// verified again for each call: 4096 if zero, none if negative.
	Remember int

	// What follows may be left out for that of the system; without a Logger
	// nothing is logged.
	HTTP   *http.Client
	Now    func() time.Time
	Logger *slog.Logger
}

// Issuers knows the bearers of tokens of other people's issuers: ID tokens and
// access tokens of OpenID Connect (RFC 7519, RFC 9068) and of Cognito. It is
// safe for concurrent use.
type Issuers struct {
	now    func() time.Time
	byName map[string]*trusted
	recent *recent.Map[verified]
}

var _ Authenticator = (*Issuers)(nil)

// trusted is an issuer that we accept tokens of.
type trusted struct {
	IssuerConfig
	keys *keys.Remote
}

// verified is a token whose signature need not be verified again while its key
// is the issuer's.
type verified struct {
	by       *trusted
	kid, alg string
	key      crypto.PublicKey
	claims   issued
}

// issued is what a genuine token says.
type issued struct {
	notBefore, issuedAt, expires time.Time
	profile                      profile
}

// NewIssuers returns an authenticator that has asked no issuer for anything yet.
func NewIssuers(c IssuersConfig) (*Issuers, error) {
	if problems := ValidateIssuers(c.Issuers); len(problems) > 0 {
		return nil, fmt.Errorf("identity: issuers: %s", problems[0])
	}
	s := &Issuers{now: c.Now, byName: make(map[string]*trusted)}
	if s.now == nil {
		s.now = time.Now
	}
	if c.Remember == 0 {
		c.Remember = rememberTokens
	}
	s.recent = recent.New[verified](c.Remember)
	for _, ic := range c.Issuers {
		ic = ic.complete()
		remote, err := keys.NewRemote(keys.RemoteConfig{
			Issuer: ic.Issuer, JWKS: ic.JWKS, Discovery: ic.Discovery, HTTP: c.HTTP, Now: s.now, Logger: c.Logger,
		})
		if err != nil {
			return nil, fmt.Errorf("identity: issuers: %w", err)
		}
		s.byName[ic.Issuer] = &trusted{IssuerConfig: ic, keys: remote}
	}
	return s, nil
}

// Close ends what is being asked of issuers, and waits for it.
func (s *Issuers) Close() {
	for _, t := range s.byName {
		t.keys.Close()
	}
}

// Fetches returns how often each issuer was asked for its keys.
func (s *Issuers) Fetches() map[string]uint64 {
	fetches := make(map[string]uint64, len(s.byName))
	for name, t := range s.byName {
		fetches[name] = t.keys.Fetches()
	}
	return fetches
}

// Names returns the issuers' names, in order.
func (s *Issuers) Names() []string { return slices.Sorted(maps.Keys(s.byName)) }

// Probe returns why the keys of an issuer of that name can't be had.
func (s *Issuers) Probe(ctx context.Context, name string) error {
	t := s.byName[name]
	if t == nil {
		return errNoIssuer
	}
	return t.keys.Probe(ctx)
}

// Authenticate implements [Authenticator]. A token is ours to judge if it is a
// JWT whose iss, though not verified yet, is one of our issuers.
func (s *Issuers) Authenticate(ctx context.Context, p Proof) (usher.Identity, error) {
	token := p.Bearer.Reveal()
	if len(token) > maxIssuedToken || strings.Count(token, ".") != 2 {
		return usher.Identity{}, ErrNotMine
	}
	digest := p.Bearer.Digest()
	v, ok := s.recent.Get(digest)
	if ok {
		key, err := v.by.key(ctx, v.kid, v.alg)
		if err != nil {
			s.recent.Remove(digest)
			return usher.Identity{}, err
		}
		ok = equal(key, v.key)
	}
	if !ok {
		var err error
		if v, err = s.verify(ctx, token); errors.Is(err, errNoIssuer) {
			return usher.Identity{}, ErrNotMine
		} else if err != nil {
			return usher.Identity{}, err
		}
	}
	if err := v.claims.current(s.now(), v.by.Leeway); err != nil {
		s.recent.Remove(digest)
		return usher.Identity{}, err
	}
	if !ok {
		s.recent.Put(digest, v)
	}
	return v.identity(), nil
}

// equal reports whether an issuer's key is still the one that verified.
func equal(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// identity is who presents the token.
func (v verified) identity() usher.Identity {
	p := v.claims.profile
	return usher.Identity{
		App: v.by.App, Kind: usher.UserIdentity, Issuer: v.by.Issuer, Subject: p.subject,
		Name: p.name, Email: p.email, Groups: slices.Clone(p.groups),
		IssuedAt: v.claims.issuedAt, Expires: v.claims.expires,
		Proof: "oidc " + v.by.Issuer + " kid " + v.kid,
	}
}

// verify checks everything about a token but its times.
func (s *Issuers) verify(ctx context.Context, token string) (verified, error) {
	part := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		return verified{}, errNoIssuer
	}
	claims, err := decodeClaimSet(payload)
	if err != nil {
		return verified{}, errNoIssuer
	}
	t := s.byName[claims.text("iss")]
	if t == nil {
		return verified{}, errNoIssuer
	}
	head, err := t.header(part[0])
	if err != nil {
		return verified{}, err
	}
	key, err := t.key(ctx, head.KeyID, head.Algorithm)
	if err != nil {
		return verified{}, err
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(head.Algorithm)})
	if err != nil {
		return verified{}, because(ErrTokenMalformed, "it is not a JWS")
	}
	if genuine, err := signed.Verify(key); err != nil || !bytes.Equal(genuine, payload) {
		return verified{}, because(ErrTokenSignature, fmt.Sprintf("the key %q did not sign it", head.KeyID))
	}
	v := verified{by: t, kid: head.KeyID, alg: head.Algorithm, key: key}
	if v.claims, err = t.judge(head, claims); err != nil {
		return verified{}, err
	}
	return v, nil
}

// tokenHeader is what is looked at of a token's header. A key that it brings or
// points to (jwk, jku, x5c, x5u) is not: only the issuer's own are used.
type tokenHeader struct {
	Algorithm string          `json:"alg"`
	Type      string          `json:"typ"`
	KeyID     string          `json:"kid"`
	Critical  json.RawMessage `json:"crit"`
	Base64    json.RawMessage `json:"b64"`
}

// header reads a token's header and refuses one that no token of this issuer has.
func (t *trusted) header(encoded string) (tokenHeader, error) {
	var h tokenHeader
	data, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || json.Unmarshal(data, &h) != nil {
		return h, because(ErrTokenMalformed, "the header can't be read")
	}
	h.Type = strings.TrimPrefix(strings.ToLower(h.Type), "application/")
	switch {
	case !slices.Contains(t.Algorithms, h.Algorithm):
		return h, because(ErrTokenAlgorithm, fmt.Sprintf("alg is %.32q", h.Algorithm))
	case h.Critical != nil || h.Base64 != nil:
		return h, because(ErrTokenMalformed, "the header has crit or b64")
	case h.KeyID == "" || len(h.KeyID) > maxKeyID || strings.IndexFunc(h.KeyID, notPrintable) >= 0:
		return h, because(ErrTokenMalformed, "kid is missing, too long or has characters that can't be printed")
	case !t.hasType(h.Type):
		return h, because(ErrTokenUse, fmt.Sprintf("typ is %.32q", h.Type))
	}
	return h, nil
}

func (t *trusted) hasType(typ string) bool {
	if len(t.Types) == 0 {
		return typ == "" || typ == "jwt" || typ == accessTokenType
	}
	return slices.ContainsFunc(t.Types, func(want string) bool {
		return strings.TrimPrefix(strings.ToLower(want), "application/") == typ
	})
}

// key asks for the issuer's key and says what it means that there is none.
func (t *trusted) key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	key, err := t.keys.Key(ctx, kid, alg)
	switch {
	case err == nil:
		return key, nil
	case errors.Is(err, keys.ErrUnknownKey):
		return nil, because(ErrTokenKeyUnknown, fmt.Sprintf("%s has no key %q", t.Issuer, kid))
	case errors.Is(err, keys.ErrKeyAlgorithm):
		return nil, because(ErrTokenAlgorithm, fmt.Sprintf("the key %q is not for %s", kid, alg))
	case errors.Is(err, keys.ErrUnavailable):
		return nil, refuse(ErrIssuerUnavailable, err)
	default:
		return nil, fmt.Errorf("identity: issuer %s: %w", t.Issuer, err)
	}
}

// because returns a refusal with its cause, which is for the log.
func because(base *usher.Error, cause string) error { return refuse(base, errors.New(cause)) }

func refuse(base *usher.Error, cause error) error {
	e := *base
	e.Err = cause
	return &e
}
