package identity_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/internal/identity"
	"usher/internal/keys"
	"usher/internal/store/sqlstore"
)

const (
	audience = "https://usher.example/oauth/token"
	issuer   = "https://usher.example"
)

// start is when the worlds of these tests begin.
var start = time.Date(2026, time.November, 21, 12, 0, 0, 250_000_000, time.UTC)

// rsaKey is made once, since it takes a while.
var rsaKey = sync.OnceValue(func() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		panic(err)
	}
	return key
})

func ecKey(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func edKey(t testing.TB) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicPEM(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// world is a store with what authenticates clients on it, and a clock.
type world struct {
	db         *sqlstore.DB
	ids        *usher.IDSource
	assertions *identity.Assertions
	tokens     *identity.AccessTokens
	log        *bytes.Buffer

	mu  sync.Mutex
	now time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{now: start, log: new(bytes.Buffer)}
	var err error
	w.db, err = sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.db.Close(); err != nil {
			t.Error(err)
		}
	})
	if w.ids, err = usher.NewIDSource(w.clock, rand.Reader); err != nil {
		t.Fatal(err)
	}
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	manager, err := keys.Open(t.Context(), keys.Config{Store: w.db.Keys(), Sealer: sealer, Retain: time.Hour, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	w.assertions = &identity.Assertions{
		Clients: w.db.Clients(), Once: w.db.Once(), Now: w.clock,
		Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	w.tokens = &identity.AccessTokens{
		Keys: manager, Clients: w.db.Clients(), Issuer: issuer, Now: w.clock, Lifetime: time.Hour,
	}
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// client registers a client with that key.
func (w *world) client(t testing.TB, key crypto.Signer, scopes ...usher.Scope) usher.Client {
	t.Helper()
	id := w.ids.New()
	c := usher.Client{
		App: usher.DefaultApp, ID: id, Name: "client " + string(id), PublicKey: publicPEM(t, key),
		Scopes: scopes, UpdatedAt: w.clock(), Version: 1,
	}
	if err := w.db.Clients().Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// change changes a stored client.
func (w *world) change(t testing.TB, id usher.ID, change func(*usher.Client)) {
	t.Helper()
	_, err := w.db.Clients().Update(t.Context(), id, func(c usher.Client) (usher.Client, error) {
		change(&c)
		c.Version++
		return c, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) exchange(assertion string) (identity.Asserted, error) {
	return w.assertions.Exchange(context.Background(), usher.Secret(assertion), []string{"https://other.example/oauth/token", audience})
}

// claims are those of a good assertion, as the tutorial's back end makes it.
func (w *world) claims(c usher.Client) map[string]any {
	now := w.clock().Unix()
	return map[string]any{
		"iss": c.ID, "sub": c.ID, "aud": audience, "iat": now, "exp": now + 60,
		"jti": rand.Text(),
	}
}

// with returns changed claims; nil takes one away.
func with(claims map[string]any, name string, value any) map[string]any {
	claims = maps.Clone(claims)
	if claims[name] = value; value == nil {
		delete(claims, name)
	}
	return claims
}

func encode(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign signs whatever text it is given, with whatever algorithm.
func sign(t testing.TB, key crypto.Signer, alg, header, payload string) string {
	t.Helper()
	signed := b64(header) + "." + b64(payload)
	return signed + "." + b64(signature(t, key, alg, signed))
}

func signature(t testing.TB, key crypto.Signer, alg, signed string) string {
	t.Helper()
	digest := func(h crypto.Hash) []byte {
		sum := h.New()
		sum.Write([]byte(signed))
		return sum.Sum(nil)
	}
	by := func(digest []byte, opts crypto.SignerOpts) string {
		sig, err := key.Sign(rand.Reader, digest, opts)
		if err != nil {
			t.Fatal(err)
		}
		return string(sig)
	}
	switch alg {
	case "RS256":
		return by(digest(crypto.SHA256), crypto.SHA256)
	case "RS384":
		return by(digest(crypto.SHA384), crypto.SHA384)
	case "RS512":
		return by(digest(crypto.SHA512), crypto.SHA512)
	case "PS384":
		return by(digest(crypto.SHA384), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA384})
	case "EdDSA":
		return by([]byte(signed), crypto.Hash(0))
	case "ES384":
		r, s, err := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), digest(crypto.SHA384))
		if err != nil {
			t.Fatal(err)
		}
		var sig [96]byte
		r.FillBytes(sig[:48])
		s.FillBytes(sig[48:])
		return string(sig[:])
	case "HS256": // with the text of the public key as the shared secret
		mac := hmac.New(sha256.New, []byte(publicPEM(t, key)))
		mac.Write([]byte(signed))
		return string(mac.Sum(nil))
	case "none":
		return ""
	}
	t.Fatalf("no algorithm %s", alg)
	return ""
}

func header(alg string) string { return `{"alg":"` + alg + `","typ":"JWT"}` }
