package keys_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"usher/internal/keys"
)

// rawJWK is a key as an issuer writes it, with members changed.
func rawJWK(t *testing.T, k jose.JSONWebKey, members map[string]any) string {
	t.Helper()
	data, err := k.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]any)
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for name, value := range members {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	if data, err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRemoteLeavesOutKeysOfNoUse(t *testing.T) {
	weak := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	huge := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 8192), E: 65537}
	even := &rsa.PublicKey{N: rsaKey().N, E: 65536}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecPrivate, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := rawJWK(t, jwk("good", "", edKey()), nil)
	for name, key := range map[string]string{
		"a shared secret":         `{"kty":"oct","kid":"bad","alg":"HS256","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
		"a private Ed25519 key":   rawJWK(t, jose.JSONWebKey{KeyID: "bad", Key: private}, nil),
		"a private EC key":        rawJWK(t, jose.JSONWebKey{KeyID: "bad", Key: ecPrivate}, nil),
		"a private RSA key":       rawJWK(t, jose.JSONWebKey{KeyID: "bad", Key: rsaKey()}, nil),
		"RSA of 1024 bits":        rawJWK(t, jwk("bad", "", weak), nil),
		"RSA of 8193 bits":        rawJWK(t, jwk("bad", "", huge), nil),
		"RSA with exponent 1":     rawJWK(t, jwk("bad", "", &rsaKey().PublicKey), map[string]any{"e": "AQ"}),
		"RSA with an even one":    rawJWK(t, jwk("bad", "", even), nil),
		"a key for encryption":    rawJWK(t, jwk("bad", "", &rsaKey().PublicKey), map[string]any{"use": "enc"}),
		"a point off the curve":   rawJWK(t, jwk("bad", "", ecKey(elliptic.P256())), map[string]any{"x": strings.Repeat("A", 43)}),
		"a curve that is unknown": rawJWK(t, jwk("bad", "", ecKey(elliptic.P256())), map[string]any{"crv": "secp256k1"}),
		"a kind that is unknown":  `{"kty":"XYZ","kid":"bad"}`,
		"no kind":                 `{"kid":"bad"}`,
		"X25519":                  rawJWK(t, jwk("bad", "", edKey()), map[string]any{"crv": "X25519"}),
		"half an Ed25519 key":     rawJWK(t, jwk("bad", "", edKey()), map[string]any{"x": strings.Repeat("A", 20)}),
		"a number":                `42`,
		"a member twice":          `{"kty":"OKP","crv":"Ed25519","kid":"good","kid":"bad","x":"` + strings.Repeat("A", 43) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			is := newIssuer(t)
			is.handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, `{"keys":[%s,%s]}`, key, good) })
			r := is.remote(t)
			want(t, r, "good", "EdDSA", nil)
			for _, alg := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
				want(t, r, "bad", alg, keys.ErrUnknownKey)
			}
		})
	}
	t.Run("no kid", func(t *testing.T) {
		is := newIssuer(t, jwk("good", "", edKey()), jwk("", "", edKey()))
		want(t, is.remote(t), "", "EdDSA", keys.ErrUnknownKey)
	})
}

func TestRemoteRefusesAnswers(t *testing.T) {
	good := rawJWK(t, jwk("a", "", edKey()), nil)
	for name, answer := range map[string]http.HandlerFunc{
		"nothing":                    func(http.ResponseWriter, *http.Request) {},
		"a page":                     text("<html>sign in</html>"),
		"a list":                     text("[" + good + "]"),
		"a key by itself":            text(good),
		"no keys":                    text(`{"keys":[]}`),
		"keys twice":                 text(`{"keys":[` + good + `],"keys":[` + good + `]}`),
		"half":                       text(`{"keys":[` + good),
		"101 keys":                   text(`{"keys":[` + strings.Repeat(good+",", 100) + good + `]}`),
		"257 KiB":                    text(`{"keys":[` + good + `],"padding":"` + strings.Repeat("x", 257<<10) + `"}`),
		"keys, but with status 404":  func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404); text(`{"keys":[`+good+`]}`)(w, r) },
		"keys, but with status 203":  func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(203); text(`{"keys":[`+good+`]}`)(w, r) },
		"redirects without end":      func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) },
		"a connection that is reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a body without end": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 1<<20))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			is := newIssuer(t, jwk("a", "", edKey()))
			fresh, used := is.remote(t), is.remote(t)
			want(t, used, "a", "EdDSA", nil)
			is.handle(answer)
			want(t, fresh, "a", "EdDSA", keys.ErrUnavailable)
			want(t, used, "b", "EdDSA", keys.ErrUnavailable)
			want(t, used, "a", "EdDSA", nil) // still serves what it had
		})
	}
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

func TestRemoteRedirects(t *testing.T) {
	elsewhere := newIssuer(t, jwk("a", "", edKey()))
	is := newIssuer(t)
	keysAt := func(path string) http.HandlerFunc {
		body := `{"keys":[` + rawJWK(t, jwk("a", "", edKey()), nil) + `]}`
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != path {
				http.Redirect(w, r, path, http.StatusFound)
				return
			}
			_, _ = w.Write([]byte(body))
		}
	}
	is.handle(keysAt("/moved"))
	want(t, is.remote(t), "a", "EdDSA", nil)
	is.handle(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) })
	want(t, is.remote(t), "a", "EdDSA", keys.ErrUnavailable)
	if n := elsewhere.asked(); n != 0 {
		t.Errorf("another server was asked %d times, want not at all", n)
	}
}

func TestRemoteDiscovery(t *testing.T) {
	elsewhere := newIssuer(t, jwk("a", "", edKey()))
	tls := httptest.NewTLSServer(text(`{"keys":[` + rawJWK(t, jwk("a", "", edKey()), nil) + `]}`))
	t.Cleanup(tls.Close)
	set := `{"keys":[` + rawJWK(t, jwk("a", "", edKey()), nil) + `]}`
	for name, test := range map[string]struct {
		issuer   string // without it, the server's own address
		doc      string // SELF is the server's own address
		explicit bool
		want     error
	}{
		"as it should be":                   {doc: `{"issuer":"SELF","jwks_uri":"SELF/keys"}`},
		"an issuer that ends with a slash":  {issuer: "SELF/", doc: `{"issuer":"SELF/","jwks_uri":"SELF/keys"}`},
		"an issuer with a path":             {issuer: "SELF/realms/a", doc: `{"issuer":"SELF/realms/a","jwks_uri":"SELF/keys"}`},
		"another issuer":                    {doc: `{"issuer":"https://example.org","jwks_uri":"SELF/keys"}`, want: keys.ErrUnavailable},
		"an issuer but for a slash":         {doc: `{"issuer":"SELF/","jwks_uri":"SELF/keys"}`, want: keys.ErrUnavailable},
		"no issuer":                         {doc: `{"jwks_uri":"SELF/keys"}`, want: keys.ErrUnavailable},
		"another issuer, known to be lying": {doc: `{"issuer":"http://localhost:9229/x","jwks_uri":"SELF/keys"}`, explicit: true},
		"no jwks_uri":                       {doc: `{"issuer":"SELF"}`, want: keys.ErrUnavailable},
		"a file":                            {doc: `{"issuer":"SELF","jwks_uri":"file:///etc/passwd"}`, want: keys.ErrUnavailable},
		"a relative address":                {doc: `{"issuer":"SELF","jwks_uri":"/keys"}`, want: keys.ErrUnavailable},
		"keys on another server, in clear":  {doc: `{"issuer":"SELF","jwks_uri":"` + elsewhere.URL + `"}`, want: keys.ErrUnavailable},
		"keys on another local server":      {doc: `{"issuer":"SELF","jwks_uri":"` + tls.URL + `"}`, want: keys.ErrUnavailable},
		"keys on localhost":                 {doc: `{"issuer":"SELF","jwks_uri":"https://localhost/keys"}`, want: keys.ErrUnavailable},
		"keys on the metadata service":      {doc: `{"issuer":"SELF","jwks_uri":"https://169.254.169.254/keys"}`, want: keys.ErrUnavailable},
		"keys on a private address":         {doc: `{"issuer":"SELF","jwks_uri":"https://10.0.0.1/keys"}`, want: keys.ErrUnavailable},
		"keys on a private IPv6 address":    {doc: `{"issuer":"SELF","jwks_uri":"https://[fd00::1]/keys"}`, want: keys.ErrUnavailable},
		"keys on a mapped loopback address": {doc: `{"issuer":"SELF","jwks_uri":"https://[::ffff:127.0.0.1]/keys"}`, want: keys.ErrUnavailable},
		"too long":                          {doc: `{"issuer":"SELF","jwks_uri":"SELF/keys","x":"` + strings.Repeat("x", 257<<10) + `"}`, want: keys.ErrUnavailable},
		"not JSON":                          {doc: `issuer: SELF`, want: keys.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			is := newIssuer(t)
			issuer := strings.ReplaceAll(test.issuer, "SELF", is.URL)
			if issuer == "" {
				issuer = is.URL
			}
			path := strings.TrimSuffix(strings.TrimPrefix(issuer, is.URL), "/") + "/.well-known/openid-configuration"
			is.handle(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case path:
					text(strings.ReplaceAll(test.doc, "SELF", is.URL))(w, r)
				case "/keys":
					text(set)(w, r)
				default:
					http.NotFound(w, r)
				}
			})
			r := is.remote(t, func(c *keys.RemoteConfig) {
				c.Issuer, c.JWKS = issuer, ""
				c.HTTP = tls.Client()
				if test.explicit {
					c.Issuer, c.Discovery = "https://id.example.org", is.URL+path
				}
			})
			want(t, r, "a", "EdDSA", test.want)
		})
	}
	if n := elsewhere.asked(); n != 0 {
		t.Errorf("another server was asked %d times, want not at all", n)
	}
}

func TestNewRemoteRefuses(t *testing.T) {
	for name, c := range map[string]keys.RemoteConfig{
		"nothing":            {},
		"an issuer by name":  {Issuer: "example"},
		"a file":             {Issuer: "https://example.org", JWKS: "file:///keys.json"},
		"a relative address": {Issuer: "https://example.org", Discovery: "/.well-known"},
		"a negative time":    {Issuer: "https://example.org", MaxAge: -1},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := keys.NewRemote(c); err == nil {
				t.Error("it was accepted")
			}
		})
	}
}
