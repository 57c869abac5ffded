package identity_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/identity"
)

// idpKey is an issuer's key, of the size that most have.
var idpKey = sync.OnceValue(newIDPKey)

func newIDPKey() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// idp is an issuer with a discovery document and keys, and a clock.
type idp struct {
	*httptest.Server

	mu     sync.Mutex
	now    time.Time
	keys   map[string]crypto.Signer // by kid
	down   bool
	visits int // to the keys
}

func newIDP(t testing.TB) *idp {
	t.Helper()
	p := &idp{now: start, keys: map[string]crypto.Signer{"1": idpKey()}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *idp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.down:
		w.WriteHeader(http.StatusServiceUnavailable)
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		name := p.URL + strings.TrimSuffix(r.URL.Path, "/.well-known/openid-configuration")
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": name, "jwks_uri": p.URL + "/jwks"})
	case strings.HasSuffix(r.URL.Path, "/jwks") || strings.HasSuffix(r.URL.Path, "/.well-known/jwks.json"):
		p.visits++
		var set jose.JSONWebKeySet
		for kid, key := range p.keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{KeyID: kid, Use: "sig", Key: key.Public()})
		}
		_ = json.NewEncoder(w).Encode(set)
	default:
		http.NotFound(w, r)
	}
}

func (p *idp) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// do changes the issuer.
func (p *idp) do(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *idp) visited() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.visits
}

// issuers returns an authenticator for this issuer alone, for the app "web".
func (p *idp) issuers(t testing.TB, change ...func(*identity.IssuerConfig)) *identity.Issuers {
	t.Helper()
	c := identity.IssuerConfig{Issuer: p.URL, ClientIDs: []string{"web"}}
	for _, f := range change {
		f(&c)
	}
	s, err := identity.NewIssuers(identity.IssuersConfig{Issuers: []identity.IssuerConfig{c}, HTTP: p.Client(), Now: p.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// claims are those of a good ID token.
func (p *idp) claims() map[string]any {
	now := p.clock().Unix()
	return map[string]any{"iss": p.URL, "sub": "anna", "aud": "web", "iat": now, "exp": now + 300, "name": "Anna"}
}

// token is signed with the key "1".
func (p *idp) token(t testing.TB, claims map[string]any) string {
	t.Helper()
	return sign(t, idpKey(), "RS256", `{"alg":"RS256","kid":"1","typ":"JWT"}`, encode(t, claims))
}

func bearer(a identity.Authenticator, token string) (usher.Identity, error) {
	return a.Authenticate(context.Background(), identity.Proof{Bearer: usher.Secret(token)})
}

func TestTokensOfManyIssuers(t *testing.T) {
	at, end := start.Unix()-10, start.Unix()+3600
	for name, test := range map[string]struct {
		path   string // of the issuer
		config identity.IssuerConfig
		header string
		claims map[string]any
		want   usher.Identity // but for what is the same for all
	}{
		"Cognito, ID token": {
			path:   "/eu-west-1_AbCdEfGhI",
			config: identity.IssuerConfig{Kind: identity.Cognito, ClientIDs: []string{"4example1client2id"}},
			header: `{"kid":"1","alg":"RS256"}`,
			claims: map[string]any{
				"at_hash": "x", "sub": "aaaaaaaa-bbbb", "cognito:groups": []string{"staff", "admins"}, "email_verified": true,
				"cognito:username": "janedoe", "origin_jti": "x", "aud": "4example1client2id", "event_id": "x", "token_use": "id",
				"auth_time": at, "jti": "x", "email": "jane@example.com",
			},
			want: usher.Identity{Subject: "aaaaaaaa-bbbb", Name: "janedoe", Email: "jane@example.com", Groups: []string{"staff", "admins"}},
		},
		"Cognito, access token": {
			path:   "/eu-west-1_AbCdEfGhI",
			config: identity.IssuerConfig{Kind: identity.Cognito, ClientIDs: []string{"other", "4example1client2id"}},
			header: `{"kid":"1","alg":"RS256"}`,
			claims: map[string]any{
				"sub": "aaaaaaaa-bbbb", "cognito:groups": []string{"staff"}, "version": 2, "client_id": "4example1client2id",
				"token_use": "access", "scope": "openid email", "auth_time": at, "jti": "x", "username": "janedoe",
			},
			want: usher.Identity{Subject: "aaaaaaaa-bbbb", Name: "janedoe", Groups: []string{"staff"}},
		},
		"cognito-local, whose addresses are never verified": {
			path:   "/local_1a2b3c4d",
			config: identity.IssuerConfig{Kind: identity.Cognito, ClientIDs: []string{"abc"}, TrustEmail: true},
			header: `{"alg":"RS256","typ":"JWT","kid":"1"}`,
			claims: map[string]any{
				"sub": "1", "aud": "abc", "token_use": "id", "email": "a@example.org", "email_verified": false, "cognito:username": "1",
			},
			want: usher.Identity{Subject: "1", Name: "1", Email: "a@example.org"},
		},
		"Keycloak, access token": {
			path:   "/realms/acme",
			config: identity.IssuerConfig{Audiences: []string{"account"}, ClientIDs: []string{"spa"}, Claims: identity.ClaimNames{Groups: "realm_access.roles"}},
			header: `{"alg":"RS256","typ":"JWT","kid":"1"}`,
			claims: map[string]any{
				"jti": "x", "aud": "account", "sub": "f3a1", "typ": "Bearer", "azp": "spa", "sid": "x", "acr": "1",
				"realm_access":    map[string]any{"roles": []string{"offline_access", "moderator"}},
				"resource_access": map[string]any{}, "scope": "openid profile email", "email_verified": true,
				"name": "Jane Doe", "preferred_username": "jane", "email": "jane@example.com",
			},
			want: usher.Identity{Subject: "f3a1", Name: "Jane Doe", Email: "jane@example.com", Groups: []string{"offline_access", "moderator"}},
		},
		"Keycloak, ID token": {
			path:   "/realms/acme",
			config: identity.IssuerConfig{ClientIDs: []string{"spa"}, TokenUse: []string{"id"}},
			header: `{"alg":"RS256","typ":"JWT","kid":"1"}`,
			claims: map[string]any{"aud": "spa", "sub": "f3a1", "typ": "ID", "azp": "spa", "email_verified": false, "preferred_username": "jane", "email": "jane@example.com"},
			want:   usher.Identity{Subject: "f3a1", Name: "jane"},
		},
		"Auth0, access token": {
			path: "/",
			config: identity.IssuerConfig{
				Audiences: []string{"https://api.example.com"}, TokenUse: []string{"access"}, ClientIDs: []string{"spa"},
				Claims: identity.ClaimNames{Groups: "https://example.com/roles"},
			},
			header: `{"alg":"RS256","typ":"JWT","kid":"1"}`,
			claims: map[string]any{
				"https://example.com/roles": []string{"host"}, "sub": "auth0|123", "aud": []string{"https://api.example.com", "https://acme.eu.auth0.com/userinfo"},
				"azp": "spa", "scope": "openid profile",
			},
			want: usher.Identity{Subject: "auth0|123", Groups: []string{"host"}},
		},
		"Auth0, ID token": {
			path:   "/",
			config: identity.IssuerConfig{ClientIDs: []string{"spa"}, TokenUse: []string{"id"}},
			header: `{"alg":"RS256","typ":"JWT","kid":"1"}`,
			claims: map[string]any{"nickname": "jane", "name": "Jane", "email": "jane@example.com", "email_verified": true, "sub": "auth0|123", "aud": "spa", "nonce": "x"},
			want:   usher.Identity{Subject: "auth0|123", Name: "Jane", Email: "jane@example.com"},
		},
		"dex": {
			path:   "/dex",
			config: identity.IssuerConfig{ClientIDs: []string{"example-app"}},
			header: `{"alg":"RS256","kid":"1"}`,
			claims: map[string]any{"sub": "CgNmb28SBGxkYXA", "aud": "example-app", "email": "jane@example.com", "email_verified": true, "groups": []string{"dev"}, "name": "jane", "at_hash": "x"},
			want:   usher.Identity{Subject: "CgNmb28SBGxkYXA", Name: "jane", Email: "jane@example.com", Groups: []string{"dev"}},
		},
		"oidc-provider, access token": {
			config: identity.IssuerConfig{Audiences: []string{"urn:usher"}, Types: []string{"at+jwt"}, ClientIDs: []string{"web"}},
			header: `{"alg":"RS256","typ":"at+jwt","kid":"1"}`,
			claims: map[string]any{"jti": "x", "sub": "anna", "scope": "join", "client_id": "web", "aud": "urn:usher"},
			want:   usher.Identity{Subject: "anna"},
		},
		"a backend's own, in another app": {
			config: identity.IssuerConfig{App: "acme", Audiences: []string{"usher"}, Claims: identity.ClaimNames{Subject: "user.id", Name: "user.first", Groups: "team"}},
			header: `{"alg":"RS256","typ":"application/at+JWT","kid":"1"}`,
			claims: map[string]any{"aud": []string{"usher"}, "user": map[string]any{"id": 42, "first": "Jo"}, "team": "red", "email": "jo@example.org", "email_verified": "true"},
			want:   usher.Identity{App: "acme", Subject: "42", Name: "Jo", Email: "jo@example.org", Groups: []string{"red"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newIDP(t)
			issuer := p.URL + test.path
			s := p.issuers(t, func(c *identity.IssuerConfig) {
				*c = test.config
				c.Issuer = issuer
				if test.path == "/" { // the document states the issuer with its slash
					c.Discovery = p.URL + "/.well-known/openid-configuration"
				}
			})
			test.claims["iss"], test.claims["iat"], test.claims["exp"] = issuer, at, end
			got, err := bearer(s, sign(t, idpKey(), "RS256", test.header, encode(t, test.claims)))
			if err != nil {
				t.Fatal(err)
			}
			want := test.want
			want.Kind, want.Issuer, want.Proof = usher.UserIdentity, issuer, "oidc "+issuer+" kid 1"
			want.IssuedAt, want.Expires = time.Unix(at, 0).UTC(), time.Unix(end, 0).UTC()
			if want.App == "" {
				want.App = usher.DefaultApp
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the identity differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProfilesAreCleaned(t *testing.T) {
	p := newIDP(t)
	s := p.issuers(t)
	long := strings.Repeat("é", 150)
	for name, test := range map[string]struct {
		claims map[string]any
		want   usher.Identity
	}{
		"an address that is not verified":       {map[string]any{"email": "a@b.c"}, usher.Identity{Name: "Anna"}},
		"an address that is verified by a yes":  {map[string]any{"email": "a@b.c", "email_verified": "yes"}, usher.Identity{Name: "Anna"}},
		"an address that is verified by a 1":    {map[string]any{"email": "a@b.c", "email_verified": 1}, usher.Identity{Name: "Anna"}},
		"what is no address":                    {map[string]any{"email": "a@b@c", "email_verified": true}, usher.Identity{Name: "Anna"}},
		"an address with a line break":          {map[string]any{"email": "a@b.c\r\nbcc: d@e.f", "email_verified": true}, usher.Identity{Name: "Anna"}},
		"a name that turns the text around":     {map[string]any{"name": "\u202egnp.Anna\x00\n"}, usher.Identity{Name: "gnp.Anna"}},
		"a name without end":                    {map[string]any{"name": long}, usher.Identity{Name: long[:200]}},
		"a name that is a number":               {map[string]any{"name": 7, "nickname": "seven"}, usher.Identity{Name: "seven"}},
		"groups that are no list":               {map[string]any{"groups": map[string]any{"a": 1}}, usher.Identity{Name: "Anna"}},
		"groups of which one can't be printed":  {map[string]any{"groups": []string{"a", "b\n", ""}}, usher.Identity{Name: "Anna", Groups: []string{"a"}}},
		"groups, verified address and no name":  {map[string]any{"groups": "g", "email": "A@b.c", "email_verified": true, "name": nil}, usher.Identity{Email: "A@b.c", Groups: []string{"g"}}},
		"claims that would make the user great": {map[string]any{"operator": true, "Operator": true, "scopes": "meeting:create", "kind": "local"}, usher.Identity{Name: "Anna"}},
	} {
		t.Run(name, func(t *testing.T) {
			claims := p.claims()
			for k, v := range test.claims {
				claims = with(claims, k, v)
			}
			got, err := bearer(s, p.token(t, claims))
			if err != nil {
				t.Fatal(err)
			}
			got = usher.Identity{Name: got.Name, Email: got.Email, Groups: got.Groups, Operator: got.Operator, Scopes: got.Scopes}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the identity differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSeveralIssuers(t *testing.T) {
	a, b := newIDP(t), newIDP(t)
	other := newIDPKey()
	b.do(func() { b.keys["1"] = other })
	s, err := identity.NewIssuers(identity.IssuersConfig{
		Issuers: []identity.IssuerConfig{{Issuer: a.URL, ClientIDs: []string{"web"}}, {Issuer: b.URL, ClientIDs: []string{"web"}}},
		Now:     a.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if id, err := bearer(s, a.token(t, a.claims())); err != nil || id.Issuer != a.URL {
		t.Errorf("a token of the first: %v, %v", id, err)
	}
	if _, err := bearer(s, b.token(t, b.claims())); !errors.Is(err, identity.ErrTokenSignature) {
		t.Errorf("a token of the second, signed by the first: %v, want ErrTokenSignature", err)
	}
	token := sign(t, other, "RS256", `{"alg":"RS256","kid":"1"}`, encode(t, b.claims()))
	if id, err := bearer(s, token); err != nil || id.Issuer != b.URL {
		t.Errorf("a token of the second: %v, %v", id, err)
	}
	if diff := cmp.Diff(map[string]uint64{a.URL: 1, b.URL: 1}, s.Fetches()); diff != "" {
		t.Errorf("the fetches differ (-want +got):\n%s", diff)
	}
}

func TestRotationWithoutARestart(t *testing.T) {
	p := newIDP(t)
	s := p.issuers(t)
	old := p.token(t, p.claims())
	if _, err := bearer(s, old); err != nil {
		t.Fatal(err)
	}
	next := newIDPKey()
	p.do(func() { p.keys["2"] = next })
	if _, err := bearer(s, sign(t, next, "RS256", `{"alg":"RS256","kid":"2"}`, encode(t, p.claims()))); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
	if _, err := bearer(s, old); err != nil {
		t.Errorf("a token of the old key: %v", err)
	}
	// A key that is withdrawn takes its tokens along, also those that were
	// verified before, and so does another of the same name.
	p.do(func() { p.keys = map[string]crypto.Signer{"1": next, "2": next}; p.now = p.now.Add(20 * time.Minute) })
	old2 := p.token(t, p.claims())
	if _, err := bearer(s, old2); !errors.Is(err, identity.ErrTokenSignature) {
		t.Errorf("a token of the withdrawn key: %v, want ErrTokenSignature", err)
	}
	p.do(func() { p.now = p.now.Add(-19 * time.Minute) })
	if _, err := bearer(s, old); !errors.Is(err, identity.ErrTokenSignature) {
		t.Errorf("a token of the withdrawn key that was verified: %v, want ErrTokenSignature", err)
	}
}

func TestWhileTheIssuerIsDown(t *testing.T) {
	p := newIDP(t)
	s, late := p.issuers(t), p.issuers(t)
	if _, err := bearer(s, p.token(t, p.claims())); err != nil {
		t.Fatal(err)
	}
	p.do(func() { p.down = true; p.now = p.now.Add(time.Hour) })
	if _, err := bearer(s, p.token(t, p.claims())); err != nil {
		t.Errorf("with keys: %v", err)
	}
	_, err := bearer(late, p.token(t, p.claims()))
	if e := usher.AsError(err); e.Kind != usher.Unavailable || e.Code != "issuer_unavailable" || e.RetryAfter <= 0 {
		t.Errorf("without keys: %v, want issuer_unavailable", err)
	}
	p.do(func() { p.down = false; p.now = p.now.Add(10 * time.Second) })
	if _, err := bearer(late, p.token(t, p.claims())); err != nil {
		t.Errorf("after the issuer came back: %v", err)
	}
}

func TestProbingIssuers(t *testing.T) {
	p := newIDP(t)
	s := p.issuers(t)
	if names := s.Names(); len(names) != 1 || names[0] != p.URL {
		t.Errorf("got the names %q", names)
	}
	for range 10 {
		if err := s.Probe(t.Context(), p.URL); err != nil {
			t.Error(err)
		}
	}
	if n := p.visited(); n != 1 {
		t.Errorf("it was asked %d times for what was fresh", n)
	}
	p.do(func() { p.down = true; p.now = p.now.Add(time.Hour) })
	for range 10 {
		if s.Probe(t.Context(), p.URL) == nil {
			t.Error("an issuer that is down was well")
		}
	}
	p.do(func() { p.down = false; p.now = p.now.Add(10 * time.Second) })
	if err := s.Probe(t.Context(), p.URL); err != nil {
		t.Errorf("after it came back: %v", err)
	}
	if s.Probe(t.Context(), "https://nobody.example") == nil {
		t.Error("an issuer that is not known was well")
	}
}

func TestAFloodOfUnknownKeysIsBounded(t *testing.T) {
	p := newIDP(t)
	s := p.issuers(t)
	good := p.token(t, p.claims())
	if _, err := bearer(s, good); err != nil {
		t.Fatal(err)
	}
	payload := encode(t, p.claims())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				token := b64(`{"alg":"RS256","kid":"`+rand.Text()+`"}`) + "." + b64(payload) + "." + b64("not a signature")
				if _, err := bearer(s, token); !errors.Is(err, identity.ErrTokenKeyUnknown) {
					t.Errorf("%v, want ErrTokenKeyUnknown", err)
				}
			}
		})
	}
	wg.Wait()
	if got := p.visited(); got != 2 {
		t.Errorf("800 invented keys made the issuer be asked %d times, want 2", got)
	}
	if _, err := bearer(s, good); err != nil {
		t.Errorf("a good token after the flood: %v", err)
	}
}

func TestVerifiedTokensAreRemembered(t *testing.T) {
	p := newIDP(t)
	s := p.issuers(t, func(c *identity.IssuerConfig) { c.Leeway = time.Second })
	token := p.token(t, with(p.claims(), "groups", []string{"a"}))
	first, err := bearer(s, token)
	if err != nil {
		t.Fatal(err)
	}
	want := first
	want.Groups = []string{"a"}
	first.Groups[0] = "operators" // what one caller makes of it is not another's
	again, err := bearer(s, token)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("the identity differs (-want +got):\n%s", diff)
	}
	if allocs := testing.AllocsPerRun(100, func() { _, _ = bearer(s, token) }); allocs > 10 {
		t.Errorf("a known token costs %.0f allocations: it is verified again", allocs)
	}
	p.do(func() { p.now = p.now.Add(301 * time.Second) })
	if _, err := bearer(s, token); !errors.Is(err, identity.ErrTokenExpired) {
		t.Errorf("a token that was verified and has expired: %v, want ErrTokenExpired", err)
	}
}

func BenchmarkIssuers(b *testing.B) {
	for name, remember := range map[string]int{"verify each time": -1, "remember": 0} {
		b.Run(name, func(b *testing.B) {
			p := newIDP(b)
			s, err := identity.NewIssuers(identity.IssuersConfig{
				Issuers: []identity.IssuerConfig{{Issuer: p.URL, ClientIDs: []string{"web"}}}, Remember: remember, Now: p.clock,
			})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(s.Close)
			token := p.token(b, with(p.claims(), "groups", []string{"a", "b"}))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bearer(s, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
