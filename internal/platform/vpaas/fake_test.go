package vpaas_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/vpaas"
)

const (
	base     = "https://vpaas.example"
	clientID = "euopeke6qei65m5prjcvnqv2lq"
	meeting  = "mzcmlqfurei65dh2cimd3aag5q"
	secret   = "MMh8jo7t4DE-Eg2L1hULA7Gc6sEZW_Go0PpuGODZeuM"
	// The spacing, the order and the unknown fields must survive.
	meetingBody     = "{ \"id\": \"" + meeting + "\",\n  \"status\":\"ready\", \"z\":1.0, \"a\":\"\\u00e4/<>&\" }\n"
	participantBody = `{"meeting_id":"` + meeting + `","id":"qnol2zvurei65axj5zspbecjne","participant_secret":"` + secret + `","status":"ready","x":{"y":[null]}}`
)

// fake is a VPaaS that accepts nothing but what is documented of it.
type fake struct {
	t      *testing.T
	public crypto.PublicKey
	alg    jose.SignatureAlgorithm
	now    func() time.Time

	// expiresIn is the JSON of that member of token answers.
	expiresIn string
	// before, if set, may answer a request itself and return true.
	before func(w http.ResponseWriter, r *http.Request) bool

	mu     sync.Mutex
	issued int             // access tokens
	good   map[string]bool // access tokens
	used   map[string]bool // jti
	calls  []string        // what was asked with a good token
}

func newFake(t *testing.T, public crypto.PublicKey, alg jose.SignatureAlgorithm) *fake {
	return &fake{
		t: t, public: public, alg: alg, now: time.Now, expiresIn: "3600",
		good: make(map[string]bool), used: make(map[string]bool),
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.before != nil && f.before(w, r) {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Errorf("read a request: %v", err)
	}
	if r.Method != http.MethodPost {
		f.t.Errorf("got a %s", r.Method)
	}
	if got := r.Header.Get("Accept"); got != "application/json" {
		f.t.Errorf("got Accept %q", got)
	}
	switch path := r.URL.EscapedPath(); path {
	case "/oauth/token":
		f.token(w, r, string(body))
	case "/v1/meetings":
		f.resource(w, r, body, path, meetingBody)
	case "/v1/meetings/" + meeting + "/participants":
		f.resource(w, r, body, path, participantBody)
	default:
		f.t.Errorf("a call to the path %s", path)
		w.WriteHeader(http.StatusNotFound)
	}
}

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func (f *fake) token(w http.ResponseWriter, r *http.Request, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.checkAssertion(r, body); err != nil {
		f.t.Errorf("a token request is wrong: %v", err)
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"status":400,"reason":"invalid_client"}`)
		return
	}
	f.issued++
	access := fmt.Sprintf("access-token-%d", f.issued)
	f.good[access] = true
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":%s,"scope":"meeting:create"}`, access, f.expiresIn)
}

func (f *fake) checkAssertion(r *http.Request, body string) error {
	if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Header["Authorization"] != nil {
		return fmt.Errorf("header %v", r.Header)
	}
	form, err := url.ParseQuery(body)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(body, "grant_type=client_credentials&client_assertion_type=") || len(form) != 3 ||
		form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return fmt.Errorf("form %v", form)
	}
	token, err := jwt.ParseSigned(form.Get("client_assertion"), []jose.SignatureAlgorithm{f.alg})
	if err != nil {
		return err
	}
	if h := token.Headers[0]; h.KeyID != "" || h.JSONWebKey != nil || h.ExtraHeaders[jose.HeaderType] != "JWT" {
		return fmt.Errorf("protected header %+v", h)
	}
	var claims map[string]any
	if err := token.Claims(f.public, &claims); err != nil {
		return err
	}
	now, made := float64(f.now().Unix()), number(claims["iat"])
	switch {
	case claims["iss"] != clientID || claims["sub"] != clientID || claims["aud"] != base+"/oauth/token",
		claims["scope"] != "meeting:create meeting:read meeting:write participant:create participant:read participant:write",
		made > now || made < now-5 || claims["exp"] != made+60 || len(claims) != 7:
		return fmt.Errorf("claims %v at %v", claims, now)
	}
	jti, _ := claims["jti"].(string)
	if !uuid4.MatchString(jti) || f.used[jti] {
		return fmt.Errorf("jti %q, used before: %t", jti, f.used[jti])
	}
	f.used[jti] = true
	return nil
}

func number(v any) float64 {
	n, _ := v.(float64)
	return n
}

func (f *fake) resource(w http.ResponseWriter, r *http.Request, body []byte, path, answer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Header.Get("Content-Type") != "application/json" || string(body) != "{}" {
		f.t.Errorf("%s: got the %s body %q", path, r.Header.Get("Content-Type"), body)
	}
	access, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !f.good[access] {
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"status":401,"reason":"Unauthorized"}`)
		return
	}
	f.calls = append(f.calls, path)
	io.WriteString(w, answer)
}

// revoke makes every access token so far a bad one.
func (f *fake) revoke() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.good)
}

func (f *fake) tokenRequests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.issued
}

func (f *fake) callsMade() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// transport serves requests in the goroutine that makes them, so that a test
// in a synctest bubble needs no network.
type transport struct{ http.Handler }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	t.ServeHTTP(rec, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

// p384 is a key that is made fast.
func p384(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// connect returns a fake and a client of it, which option may change first.
func connect(t *testing.T, options ...func(*vpaas.Config)) (*fake, *vpaas.Platform) {
	t.Helper()
	key := p384(t)
	f := newFake(t, key.Public(), jose.ES384)
	config := vpaas.Config{APIAddress: base, ClientID: clientID, Signer: key, HTTP: &http.Client{Transport: transport{f}}}
	for _, o := range options {
		o(&config)
	}
	p, err := vpaas.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return f, p
}

// request asks for a place in the meeting with a speaker's rights.
func request(room string) platform.Request {
	return platform.Request{Grant: usher.Grant{Room: room, Permissions: usher.BuiltinRoles()[usher.Speaker]}}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}
