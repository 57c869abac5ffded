package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"usher"
	"usher/client"
)

// operator is the API of the server for the operator on its machine.
func (s *Server) operator() *client.API {
	s.t.Helper()
	transport := s.control()
	s.t.Cleanup(transport.CloseIdleConnections)
	api, err := client.New(controlBase, client.Options{Transport: transport})
	if err != nil {
		s.t.Fatal(err)
	}
	return api
}

// as is the API of the server for whoever has the token.
func (s *Server) as(token usher.Secret) *client.API {
	s.t.Helper()
	api, err := client.New(s.HTTP, client.Options{Token: token, Transport: s.Client.Transport})
	if err != nil {
		s.t.Fatal(err)
	}
	return api
}

// apiKey registers a back end that calls with a key, and returns its id and key.
func (s *Server) apiKey(scopes usher.Scopes) (usher.ID, usher.Secret) {
	s.t.Helper()
	added, err := s.operator().AddClient(s.t.Context(), client.AddClientRequest{Name: "test-" + rand.Text(), APIKey: true, Scopes: scopes})
	if err != nil {
		s.t.Fatal(err)
	}
	s.Secret(added.APIKey.Reveal())
	return added.ID, added.APIKey
}

// unauthenticated returns how often a caller of the dialect was refused with
// the code for not having proven who it is.
func (s *Server) unauthenticated(dialect, code string) int {
	s.t.Helper()
	line := regexp.MustCompile(`(?m)^usher_unauthenticated_total\{code="` + code + `",dialect="` + dialect + `"\} (\d+)$`)
	m := line.FindSubmatch(s.metrics())
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// recorded returns the events of a query once there are n of them on disk.
func (s *Server) recorded(n int, q client.EventQuery) []client.Event {
	s.t.Helper()
	ctx := within(s.t, time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var events []client.Event
	for {
		page, err := s.operator().EventPage(ctx, q)
		if err == nil {
			events, q.Cursor = append(events, page.Events...), page.NextCursor
		}
		switch {
		case len(events) >= n:
			return events
		case err == nil && page.More:
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("the record has %+v, error %v, want %d events", events, err, n)
		}
	}
}

// issuer is a small issuer of tokens, for tests that are not about issuers.
type issuer struct {
	t   testing.TB
	url string
	key jose.JSONWebKey
}

// audience is what the issuers' tokens are for, and clientID whom they were
// issued to.
const (
	audience = "https://rooms.example"
	clientID = "app-of-ours"
)

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, key: jose.JSONWebKey{Key: private, KeyID: "small", Algorithm: "ES256", Use: "sig"}}
	mux := http.NewServeMux()
	answer := func(pattern string, value any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(value) // fails only if the caller is gone
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.url = server.URL
	answer("GET /.well-known/openid-configuration", map[string]string{"issuer": i.url, "jwks_uri": i.url + "/keys"})
	answer("GET /keys", jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Public()}})
	return i
}

// entry is what a configuration says of the issuer.
func (i *issuer) entry() string {
	return fmt.Sprintf("  - issuer: %s\n    audiences: [%s]\n", i.url, audience)
}

// trusting is a configuration with those issuers.
func trusting(entries ...string) string { return "issuers:\n" + strings.Join(entries, "") }

// user is the key of a user of the issuer.
func (i *issuer) user(subject string) string { return "user:" + i.url + "#" + subject }

// token is a token for a user; more claims come on top.
func (i *issuer) token(subject string, more ...claims) usher.Secret {
	i.t.Helper()
	now := time.Now()
	c := claims{"iss": i.url, "sub": subject, "aud": audience, "name": "User " + subject, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	for _, m := range more {
		maps.Copy(c, m)
	}
	return usher.Secret(signWith(i.t, i.key, nil, c))
}

// signWith signs claims with a private key, under its kid and alg unless the
// header says otherwise.
func signWith(t testing.TB, key jose.JSONWebKey, header map[string]any, c claims) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", key.KeyID)
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key.Key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// within bounds what a test waits for.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// unsigned returns a token that ends where the signature would begin.
func unsigned(t testing.TB, header string, c claims) string {
	t.Helper()
	return signingInput(t, header, c) + "."
}

// publicKeyOf returns the public half of a key as a PEM and as a JWK, which is
// what a verifier that mixes algorithms up may take for a shared secret.
func publicKeyOf(t testing.TB, key jose.JSONWebKey) (asPEM, asJWK []byte) {
	t.Helper()
	public := key.Public()
	der, err := x509.MarshalPKIXPublicKey(public.Key)
	if err != nil {
		t.Fatal(err)
	}
	asJWK, err = public.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), asJWK
}

// devLogin is the development login of whoever says that they have the name.
func (s *Server) devLogin(name string) usher.Secret {
	s.t.Helper()
	a := s.must(http.StatusOK, http.MethodPost, "/dev/login", fmt.Sprintf(`{"name":%q}`, name), asJSON...)
	return usher.Secret(s.Secret(a.text(s.t, "token")))
}
