package e2e_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// provider is npm's oidc-provider.
type provider struct {
	*peer
	url    string
	dir    string
	port   int
	keys   []jose.JSONWebKey
	client *http.Client
	// certFile and keyFile are what it shows over TLS.
	certFile, keyFile string
	// redirects are where it sends our app's users to.
	redirects []string
}

const (
	// stranger is an app of the same issuer that is not ours.
	stranger       = "app-of-others"
	otherAudience  = "https://elsewhere.example"
	signedInTarget = "http://127.0.0.1/signed-in"
)

func newProvider(t testing.TB) *provider {
	t.Helper()
	p := makeProvider(t)
	p.url, p.client = fmt.Sprintf("http://127.0.0.1:%d", p.port), http.DefaultClient
	p.start(t)
	return p
}

// newSecureProvider starts one that is called over TLS, with a certificate of
// the authority, and knows pages of our app that its users come back to.
func newSecureProvider(t testing.TB, a *authority, redirects ...string) *provider {
	t.Helper()
	p := makeProvider(t)
	p.url, p.client = fmt.Sprintf("https://localhost:%d", p.port), a.client()
	p.certFile, p.keyFile = a.issue()
	p.redirects = append(p.redirects, redirects...)
	p.start(t)
	return p
}

func makeProvider(t testing.TB) *provider {
	t.Helper()
	port, err := strconv.Atoi(unusedPort(t))
	if err != nil {
		t.Fatal(err)
	}
	return &provider{
		dir: nodeDir(t, "oidc-provider"), port: port, keys: []jose.JSONWebKey{newRSAKey(t, "first")}, redirects: []string{signedInTarget},
	}
}

func (p *provider) start(t testing.TB) {
	t.Helper()
	settings, err := json.Marshal(map[string]any{
		"issuer": p.url, "port": p.port, "certFile": p.certFile, "keyFile": p.keyFile,
		"keys": jose.JSONWebKeySet{Keys: p.keys}, "resources": []string{audience, otherAudience},
		"clients": []map[string]any{{"id": clientID, "redirects": p.redirects}, {"id": stranger, "redirects": []string{signedInTarget}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.peer = startPeer(t, p.client, p.dir, p.url+"/test/fetches", []string{"E2E_SETTINGS=" + string(settings)}, "oidc.mjs")
}

func newRSAKey(t testing.TB, kid string) jose.JSONWebKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: private, KeyID: kid, Algorithm: "RS256", Use: "sig"}
}

// rotate replaces the issuer's keys.
func (p *provider) rotate(keys ...jose.JSONWebKey) {
	p.t.Helper()
	body, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		p.t.Fatal(err)
	}
	a, err := send(p.client, http.MethodPut, p.url+"/test/keys", string(body))
	if err != nil || a.Status != http.StatusOK {
		p.t.Fatalf("rotate: status %d and error %v: %s", a.Status, err, a.Body)
	}
	p.keys = keys
}

// fetches is how often the keys were fetched.
func (p *provider) fetches() int {
	p.t.Helper()
	a, err := send(p.client, http.MethodGet, p.url+"/test/fetches", "")
	if err != nil {
		p.t.Fatal(err)
	}
	n, err := strconv.Atoi(a.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// user is the key of a user of the provider.
func (p *provider) user(subject string) string { return "user:" + p.url + "#" + subject }

// entry is what a configuration says of the provider.
func (p *provider) entry() string {
	return fmt.Sprintf("  - issuer: %s\n    clientIds: [%s]\n    audiences: [%s, %s]\n", p.url, clientID, clientID, audience)
}

// issuedTokens are what an app gets for its user.
type issuedTokens struct {
	ID     string `json:"id_token"`
	Access string `json:"access_token"`
}

// signIn gets tokens for a user, by the pages that a person would see in a
// browser.
func (p *provider) signIn(app, user, resource string) issuedTokens {
	p.t.Helper()
	flow := codeFlow{p, app, signedInTarget, resource, rand.Text() + rand.Text()}
	browser := newBrowser(p.t, p.client.Transport)
	page := browser.get(flow.begin())
	page = browser.post(page, url.Values{"prompt": {"login"}, "login": {user}, "password": {"any"}})
	page = browser.post(page, url.Values{"prompt": {"consent"}})
	code := page.Query().Get("code")
	if code == "" {
		p.t.Fatalf("signing in ended at %s", page)
	}
	tokens, err := flow.end(code)
	if err != nil {
		p.t.Fatal(err)
	}
	return tokens
}

// codeFlow is one sign-in at the provider by a code, with PKCE (RFC 7636).
type codeFlow struct {
	*provider
	app, redirect, resource, verifier string
}

// begin is where a browser is sent to.
func (f codeFlow) begin() string {
	challenge := sha256.Sum256([]byte(f.verifier))
	return f.url + "/auth?" + url.Values{
		"client_id": {f.app}, "response_type": {"code"}, "redirect_uri": {f.redirect},
		"scope": {"openid email profile rooms"}, "resource": {f.resource}, "nonce": {rand.Text()},
		"code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}.Encode()
}

// end gets the tokens for the code that the browser came back with.
func (f codeFlow) end(code string) (tokens issuedTokens, err error) {
	a, err := send(f.client, http.MethodPost, f.url+"/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {f.app}, "code": {code}, "redirect_uri": {f.redirect},
		"code_verifier": {f.verifier}, "resource": {f.resource},
	}.Encode(), asForm...)
	if err != nil || a.Status != http.StatusOK {
		return tokens, fmt.Errorf("the code for tokens: status %d and error %w: %s", a.Status, err, a.Body)
	}
	return tokens, json.Unmarshal([]byte(a.Body), &tokens)
}

// browser follows redirects, with cookies, until the app that it came from.
type browser struct {
	t      testing.TB
	client *http.Client
}

func newBrowser(t testing.TB, transport http.RoundTripper) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, &http.Client{Transport: transport, Jar: jar, Timeout: 10 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), signedInTarget) {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

func (b *browser) get(address string) *url.URL {
	b.t.Helper()
	return b.land(b.client.Get(address))
}

func (b *browser) post(page *url.URL, form url.Values) *url.URL {
	b.t.Helper()
	return b.land(b.client.PostForm(page.String(), form))
}

// land returns where a request led to.
func (b *browser) land(resp *http.Response, err error) *url.URL {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 400 {
		b.t.Fatalf("%s: status %d and error %v: %s", resp.Request.URL, resp.StatusCode, err, body)
	}
	if location, err := resp.Location(); !errors.Is(err, http.ErrNoLocation) {
		return location
	}
	return resp.Request.URL
}
