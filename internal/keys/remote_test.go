package keys_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"usher/internal/keys"
)

// issuer publishes keys on a server of its own.
type issuer struct {
	*httptest.Server

	mu       sync.Mutex
	now      time.Time
	answer   http.HandlerFunc
	requests int
}

func newIssuer(t testing.TB, set ...jose.JSONWebKey) *issuer {
	t.Helper()
	is := &issuer{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	is.Server = httptest.NewServer(is)
	t.Cleanup(is.Close)
	is.publish(set...)
	return is
}

func (is *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	is.mu.Lock()
	is.requests++
	answer := is.answer
	is.mu.Unlock()
	answer(w, r)
}

func (is *issuer) handle(answer http.HandlerFunc) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.answer = answer
}

func (is *issuer) publish(set ...jose.JSONWebKey) {
	body, err := json.Marshal(jose.JSONWebKeySet{Keys: set})
	if err != nil {
		panic(err)
	}
	is.handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
}

func (is *issuer) fail() {
	is.handle(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) })
}

// hang makes the issuer answer with the keys when release is called.
func (is *issuer) hang(t *testing.T, set ...jose.JSONWebKey) (asked chan struct{}, release func()) {
	body, err := json.Marshal(jose.JSONWebKeySet{Keys: set})
	if err != nil {
		t.Fatal(err)
	}
	asked, gate := make(chan struct{}, 100), make(chan struct{})
	is.handle(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-gate
		_, _ = w.Write(body)
	})
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	return asked, release
}

func (is *issuer) pass(d time.Duration) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.now = is.now.Add(d)
}

func (is *issuer) clock() time.Time {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.now
}

func (is *issuer) asked() int {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.requests
}

func (is *issuer) remote(t testing.TB, change ...func(*keys.RemoteConfig)) *keys.Remote {
	t.Helper()
	c := keys.RemoteConfig{Issuer: is.URL, JWKS: is.URL + "/keys", HTTP: is.Client(), Now: is.clock}
	for _, f := range change {
		f(&c)
	}
	r, err := keys.NewRemote(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// settle waits until no fetch of the remote is under way.
func settle(t *testing.T, r *keys.Remote) {
	t.Helper()
	// A search joins a fetch that is under way, and waits for it.
	if _, err := r.Key(t.Context(), "no such key", "ES256"); err == nil {
		t.Fatal("there is a key that nobody has made")
	}
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func ecKey(curve elliptic.Curve) *ecdsa.PublicKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return &key.PublicKey
}

func edKey() ed25519.PublicKey {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return public
}

func jwk(kid, alg string, key crypto.PublicKey) jose.JSONWebKey {
	return jose.JSONWebKey{KeyID: kid, Algorithm: alg, Use: "sig", Key: key}
}

func want(t *testing.T, r *keys.Remote, kid, alg string, wantErr error) {
	t.Helper()
	key, err := r.Key(t.Context(), kid, alg)
	if !errors.Is(err, wantErr) || (key == nil) != (wantErr != nil) {
		t.Errorf("Key(%q, %q) = %v, %v; want the error %v", kid, alg, key, err, wantErr)
	}
}

func wantFetches(t *testing.T, r *keys.Remote, is *issuer, n int) {
	t.Helper()
	if got := is.asked(); got != n || r.Fetches() != uint64(n) {
		t.Errorf("the issuer was asked %d times and %d were counted, want %d", got, r.Fetches(), n)
	}
}

func TestRemoteFindsKeysByIDAndAlgorithm(t *testing.T) {
	is := newIssuer(t,
		jwk("rsa", "RS256", &rsaKey().PublicKey), jwk("rsa, any", "", &rsaKey().PublicKey),
		jwk("p256", "", ecKey(elliptic.P256())), jwk("p384", "", ecKey(elliptic.P384())), jwk("p521", "", ecKey(elliptic.P521())),
		jwk("ed", "", edKey()),
		jwk("twice", "RS256", &rsaKey().PublicKey), jwk("twice", "ES256", ecKey(elliptic.P256())),
		jwk("for encryption", "RSA-OAEP", &rsaKey().PublicKey),
	)
	r := is.remote(t)
	algorithms := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512", "none", ""}
	for kid, fitting := range map[string][]string{
		"rsa":            {"RS256"},
		"rsa, any":       {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
		"p256":           {"ES256"},
		"p384":           {"ES384"},
		"p521":           {"ES512"},
		"ed":             {"EdDSA"},
		"twice":          {"RS256", "ES256"},
		"for encryption": {},
	} {
		for _, alg := range algorithms {
			wantErr := keys.ErrKeyAlgorithm
			for _, f := range fitting {
				if f == alg {
					wantErr = nil
				}
			}
			want(t, r, kid, alg, wantErr)
		}
	}
	wantFetches(t, r, is, 1)
}

func TestRemoteSharesOneFetch(t *testing.T) {
	is := newIssuer(t)
	asked, release := is.hang(t, jwk("a", "", edKey()))
	r := is.remote(t)

	impatient, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := r.Key(impatient, "a", "EdDSA")
		left <- err
	}()
	<-asked
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { want(t, r, "a", "EdDSA", nil) })
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who goes away gets %v, want context.Canceled", err)
	}
	release()
	wg.Wait()
	wantFetches(t, r, is, 1)
}

func TestRemoteFloodOfUnknownKeys(t *testing.T) {
	is := newIssuer(t, jwk("a", "", edKey()))
	r := is.remote(t)
	want(t, r, "a", "EdDSA", nil)
	flood := func() {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 125 {
					want(t, r, fmt.Sprint(i, "-", j), "EdDSA", keys.ErrUnknownKey)
				}
			})
		}
		wg.Wait()
	}
	flood()
	wantFetches(t, r, is, 2)
	is.pass(9 * time.Second)
	flood()
	wantFetches(t, r, is, 2)
	is.pass(time.Second)
	flood()
	wantFetches(t, r, is, 3)
	want(t, r, "a", "EdDSA", nil)
	is.pass(-time.Hour) // the clock was wrong and is put right
	flood()
	wantFetches(t, r, is, 4)
}

func TestRemoteFloodByCallersWhoDoNotWait(t *testing.T) {
	is := newIssuer(t, jwk("a", "", edKey()))
	r := is.remote(t)
	want(t, r, "a", "EdDSA", nil)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 100 {
		_, _ = r.Key(gone, fmt.Sprint(i), "EdDSA")
		settle(t, r)
	}
	wantFetches(t, r, is, 2)
}

func TestRemoteFollowsRotation(t *testing.T) {
	is := newIssuer(t, jwk("0", "", edKey()))
	r := is.remote(t)
	want(t, r, "0", "EdDSA", nil)
	for i := 1; i <= 3; i++ { // without a pause: each search finds something
		is.publish(jwk(fmt.Sprint(i-1), "", edKey()), jwk(fmt.Sprint(i), "", edKey()))
		want(t, r, fmt.Sprint(i), "EdDSA", nil)
		want(t, r, fmt.Sprint(i-1), "EdDSA", nil)
	}
	want(t, r, "0", "EdDSA", keys.ErrUnknownKey) // withdrawn
}

func TestRemoteForgetsWithdrawnKeys(t *testing.T) {
	is := newIssuer(t, jwk("old", "", edKey()))
	r := is.remote(t)
	want(t, r, "old", "EdDSA", nil)
	is.publish(jwk("new", "", edKey()))
	is.pass(10*time.Minute - time.Second)
	want(t, r, "old", "EdDSA", nil)
	wantFetches(t, r, is, 1)
	is.pass(10*time.Minute + time.Second) // idle for so long that the answer must be waited for
	want(t, r, "old", "EdDSA", keys.ErrUnknownKey)
	want(t, r, "new", "EdDSA", nil)
}

func TestRemoteRefreshesInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := &issuer{Server: &httptest.Server{URL: "https://issuer.example"}, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
		is.publish(jwk("a", "", edKey()))
		r := is.remote(t, func(c *keys.RemoteConfig) { c.HTTP = &http.Client{Transport: direct{is}} })
		want(t, r, "a", "EdDSA", nil)
		_, release := is.hang(t, jwk("b", "", edKey()))
		is.pass(10 * time.Minute)
		want(t, r, "a", "EdDSA", nil) // while the issuer has not answered
		synctest.Wait()
		want(t, r, "a", "EdDSA", nil)
		release()
		synctest.Wait()
		want(t, r, "b", "EdDSA", nil)
		wantFetches(t, r, is, 2)
		want(t, r, "a", "EdDSA", keys.ErrUnknownKey)
	})
}

// direct reaches a handler without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	d.ServeHTTP(answer, r)
	return answer.Result(), nil
}

func TestRemoteHeedsCacheControl(t *testing.T) {
	for name, test := range map[string]struct {
		header string
		fresh  time.Duration
	}{
		"nothing":                         {"", 10 * time.Minute},
		"shorter than our own bound":      {"public, max-age=60, must-revalidate", time.Minute},
		"longer than our own bound":       {"max-age=21600", 10 * time.Minute},
		"shorter than the pause":          {"max-age=0", 10 * time.Second},
		"no-store":                        {"no-store", 10 * time.Second},
		"nonsense":                        {"max-age=-1", 10 * time.Minute},
		"more than any number":            {"max-age=99999999999999999999", 10 * time.Minute},
		"in capitals and between quotes":  {`Max-Age="30"`, 30 * time.Second},
		"what is meant for proxies alone": {"s-maxage=1", 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			body, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk("a", "", edKey())}})
			is := newIssuer(t)
			is.handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cache-Control", test.header)
				_, _ = w.Write(body)
			})
			r := is.remote(t)
			want(t, r, "a", "EdDSA", nil)
			is.pass(test.fresh - time.Second)
			want(t, r, "a", "EdDSA", nil)
			if got := r.Fetches(); got != 1 {
				t.Errorf("%d fetches before its time, want 1", got)
			}
			is.pass(time.Second)
			want(t, r, "a", "EdDSA", nil)
			if got := r.Fetches(); got != 2 {
				t.Errorf("%d fetches at its time, want 2", got)
			}
		})
	}
}

func TestRemoteWhileTheIssuerIsDown(t *testing.T) {
	t.Run("without keys", func(t *testing.T) {
		is := newIssuer(t)
		is.fail()
		r := is.remote(t)
		for range 100 {
			want(t, r, "a", "EdDSA", keys.ErrUnavailable)
		}
		wantFetches(t, r, is, 1)
		is.publish(jwk("a", "", edKey()))
		is.pass(10 * time.Second)
		want(t, r, "a", "EdDSA", nil)
	})
	t.Run("with keys", func(t *testing.T) {
		is := newIssuer(t, jwk("a", "", edKey()))
		r := is.remote(t)
		want(t, r, "a", "EdDSA", nil)
		is.fail()
		for range 100 {
			want(t, r, "b", "EdDSA", keys.ErrUnavailable)
			want(t, r, "a", "EdDSA", nil)
			want(t, r, "a", "ES256", keys.ErrKeyAlgorithm)
		}
		wantFetches(t, r, is, 2)
		is.pass(24*time.Hour - time.Second)
		want(t, r, "a", "EdDSA", nil)
		settle(t, r)
		is.pass(time.Second)
		want(t, r, "a", "EdDSA", keys.ErrUnavailable)
		is.publish(jwk("a", "", edKey()))
		is.pass(10 * time.Second)
		want(t, r, "a", "EdDSA", nil)
	})
	t.Run("and hangs", func(t *testing.T) {
		is := newIssuer(t, jwk("a", "", edKey()))
		r := is.remote(t)
		want(t, r, "a", "EdDSA", nil)
		is.fail()
		is.pass(time.Hour)
		want(t, r, "a", "EdDSA", nil)
		asked, _ := is.hang(t)
		is.pass(time.Hour)
		// Nobody waits again for an issuer that failed before.
		hurried, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.Key(hurried, "a", "EdDSA"); err != nil {
			t.Errorf("a known key: %v", err)
		}
		<-asked
	})
}

func TestRemoteSlowIssuer(t *testing.T) {
	is := newIssuer(t)
	_, release := is.hang(t, jwk("a", "", edKey()))
	r := is.remote(t, func(c *keys.RemoteConfig) { c.Timeout = 20 * time.Millisecond })
	want(t, r, "a", "EdDSA", keys.ErrUnavailable)
	_, err := r.Key(t.Context(), "a", "EdDSA")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the cause is %v, want that the time was up", err)
	}
	release()
}

func TestRemoteClose(t *testing.T) {
	is := newIssuer(t, jwk("a", "", edKey()))
	r := is.remote(t)
	want(t, r, "a", "EdDSA", nil)
	asked, _ := is.hang(t)
	is.pass(10 * time.Minute)
	want(t, r, "a", "EdDSA", nil)
	<-asked
	r.Close() // ends the fetch
	want(t, r, "a", "EdDSA", nil)
	want(t, r, "b", "EdDSA", keys.ErrUnavailable)
	is.pass(time.Minute)
	want(t, r, "b", "EdDSA", keys.ErrUnavailable)
	wantFetches(t, r, is, 2)
}

func BenchmarkRemoteKey(b *testing.B) {
	is := newIssuer(b, jwk("a", "", edKey()))
	r := is.remote(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Key(b.Context(), "a", "EdDSA"); err != nil {
			b.Fatal(err)
		}
	}
}
