package identity_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/identity"
	"usher/internal/store"
)

func TestGoodAssertions(t *testing.T) {
	w := newWorld(t)
	for alg, key := range map[string]crypto.Signer{"RS384": rsaKey(), "ES384": ecKey(t, elliptic.P384()), "EdDSA": edKey(t)} {
		c := w.client(t, key, usher.AllScopes...)
		good := w.claims(c)
		now := float64(start.UnixMicro()) / 1e6
		for name, test := range map[string]struct {
			header string
			claims any
		}{
			"as the tutorial makes it":           {header(alg), good},
			"without typ, as Python makes it":    {`{"alg":"` + alg + `"}`, good},
			"with a kid, which is not looked at": {`{"typ":"jwt","kid":"../../etc/passwd","alg":"` + alg + `"}`, good},
			"with fractional dates":              {header(alg), with(with(with(good, "iat", now), "nbf", now-30.5), "exp", now+60.25)},
			"with an exponent":                   {header(alg), with(good, "exp", 1.7952624e9+90)},
			"with several audiences":             {header(alg), with(good, "aud", []string{"https://elsewhere.example", audience})},
			"without iat":                        {header(alg), with(good, "iat", nil)},
			"with a clock ahead by a minute":     {header(alg), with(with(good, "iat", now+59), "nbf", now+59)},
			"that expires in an hour":            {header(alg), with(good, "exp", now+3600)},
			"with claims that nobody knows":      {header(alg), with(good, "extra", map[string]any{"a": []int{1}})},
		} {
			t.Run(alg+" "+name, func(t *testing.T) {
				claims := with(test.claims.(map[string]any), "jti", "jti "+name)
				got, err := w.exchange(sign(t, key, alg, test.header, encode(t, claims)))
				if err != nil {
					t.Fatal(err, w.log)
				}
				want := identity.Asserted{At: start, Identity: usher.Identity{
					App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: string(c.ID), Name: c.Name, Scopes: usher.AllScopes,
				}}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("got (+), want (-):\n%s", diff)
				}
			})
		}
	}
}

func TestScopesOfAnAssertion(t *testing.T) {
	w := newWorld(t)
	key := edKey(t)
	c := w.client(t, key, usher.MeetingCreate, usher.ParticipantCreate)
	for name, test := range map[string]struct {
		scope any
		want  string
		err   error
	}{
		"none is asked for":               {nil, "meeting:create participant:create", nil},
		"an empty list is asked for":      {"", "", nil},
		"one is asked for":                {"participant:create", "participant:create", nil},
		"the order is the client's":       {"participant:create meeting:create", "participant:create meeting:create", nil},
		"more is asked for than allowed":  {"meeting:read meeting:create", "meeting:create", nil},
		"something unknown is asked for":  {"org:write meeting:create", "meeting:create", nil},
		"only what is not allowed":        {"meeting:read", "", identity.ErrInvalidScope},
		"only what nobody knows":          {"everything", "", identity.ErrInvalidScope},
		"the scope is not a list in text": {[]string{"meeting:create"}, "", identity.ErrInvalidClient},
	} {
		t.Run(name, func(t *testing.T) {
			claims := with(with(w.claims(c), "scope", test.scope), "jti", name)
			got, err := w.exchange(sign(t, key, "EdDSA", header("EdDSA"), encode(t, claims)))
			if !errors.Is(err, test.err) || got.Identity.Scopes.String() != test.want {
				t.Errorf("got %q, %v; want %q, %v", got.Identity.Scopes, err, test.want, test.err)
			}
		})
	}
}

func TestHostileAssertions(t *testing.T) {
	w := newWorld(t)
	rs, es, ed := rsaKey(), ecKey(t, elliptic.P384()), edKey(t)
	rsClient, esClient, edClient := w.client(t, rs), w.client(t, es), w.client(t, ed)
	revoked := w.client(t, ed)
	w.change(t, revoked.ID, func(c *usher.Client) { c.RevokedAt = start })

	now := float64(start.Unix())
	good := func(c usher.Client) map[string]any { return with(w.claims(c), "jti", "jti") }
	for name, assertion := range map[string]string{
		"no algorithm":                         sign(t, rs, "none", header("none"), encode(t, good(rsClient))),
		"no algorithm, in other letters":       sign(t, rs, "none", header("nOnE"), encode(t, good(rsClient))),
		"RS384 without a signature":            sign(t, rs, "none", header("RS384"), encode(t, good(rsClient))),
		"HS256 with the public key as secret":  sign(t, rs, "HS256", header("HS256"), encode(t, good(rsClient))),
		"HS256 that says RS384":                sign(t, rs, "HS256", header("RS384"), encode(t, good(rsClient))),
		"RS256 with the right key":             sign(t, rs, "RS256", header("RS256"), encode(t, good(rsClient))),
		"RS512 with the right key":             sign(t, rs, "RS512", header("RS512"), encode(t, good(rsClient))),
		"PS384 with the right key":             sign(t, rs, "PS384", header("PS384"), encode(t, good(rsClient))),
		"PS384 that says RS384":                sign(t, rs, "PS384", header("RS384"), encode(t, good(rsClient))),
		"EdDSA for a client with an RSA key":   sign(t, ed, "EdDSA", header("EdDSA"), encode(t, good(rsClient))),
		"ES384 for a client with an RSA key":   sign(t, es, "ES384", header("ES384"), encode(t, good(rsClient))),
		"the key of another client":            sign(t, edKey(t), "EdDSA", header("EdDSA"), encode(t, good(edClient))),
		"a kid that names another client":      sign(t, ed, "EdDSA", `{"alg":"EdDSA","kid":"`+string(edClient.ID)+`"}`, encode(t, good(esClient))),
		"a key in the header":                  sign(t, ed, "EdDSA", `{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"`+b64(strings.Repeat("x", 32))+`"}}`, encode(t, good(edClient))),
		"the address of a key in the header":   sign(t, ed, "EdDSA", `{"alg":"EdDSA","jku":"https://evil.example/jwks"}`, encode(t, good(edClient))),
		"a certificate in the header":          sign(t, ed, "EdDSA", `{"alg":"EdDSA","x5c":["MII"]}`, encode(t, good(edClient))),
		"a critical extension":                 sign(t, ed, "EdDSA", `{"alg":"EdDSA","crit":["exp"]}`, encode(t, good(edClient))),
		"an unencoded payload":                 sign(t, ed, "EdDSA", `{"alg":"EdDSA","b64":true}`, encode(t, good(edClient))),
		"an access token's type":               sign(t, ed, "EdDSA", `{"alg":"EdDSA","typ":"at+jwt"}`, encode(t, good(edClient))),
		"a type that is not text":              sign(t, ed, "EdDSA", `{"alg":"EdDSA","typ":1}`, encode(t, good(edClient))),
		"two algorithms":                       sign(t, ed, "EdDSA", `{"alg":"none","alg":"EdDSA"}`, encode(t, good(edClient))),
		"a client that nobody knows":           sign(t, ed, "EdDSA", header("EdDSA"), encode(t, good(usher.Client{ID: w.ids.New()}))),
		"a client that is no id":               sign(t, ed, "EdDSA", header("EdDSA"), encode(t, good(usher.Client{ID: "../clients"}))),
		"a revoked client":                     sign(t, ed, "EdDSA", header("EdDSA"), encode(t, good(revoked))),
		"an issuer of another case":            sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "iss", strings.ToUpper(string(edClient.ID))))),
		"no issuer":                            sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "iss", nil))),
		"no subject":                           sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "sub", nil))),
		"another subject":                      sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "sub", rsClient.ID))),
		"no audience":                          sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "aud", nil))),
		"another audience":                     sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "aud", "https://elsewhere.example/oauth/token"))),
		"an audience that begins alike":        sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "aud", audience+"/"))),
		"the issuer as audience":               sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "aud", issuer))),
		"an empty list of audiences":           sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "aud", []string{}))),
		"an audience that is no text":          sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "aud", map[string]any{audience: 1}))),
		"no expiry":                            sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "exp", nil))),
		"expired":                              sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "exp", now-60))),
		"expired just now, with a fraction":    sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "exp", now+0.25))),
		"an expiry beyond an hour":             sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "exp", now+3601))),
		"an expiry beyond all numbers":         sign(t, ed, "EdDSA", header("EdDSA"), strings.Replace(encode(t, with(good(edClient), "exp", 12345)), "12345", "1e999", 1)),
		"an expiry in text":                    sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "exp", "1795269600"))),
		"an expiry that is null":               sign(t, ed, "EdDSA", header("EdDSA"), strings.Replace(encode(t, with(good(edClient), "exp", 12345)), "12345", "null", 1)),
		"a negative expiry":                    sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "exp", -1))),
		"not valid yet":                        sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "nbf", now+62))),
		"issued in the future":                 sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "iat", now+62))),
		"no jti":                               sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "jti", nil))),
		"an empty jti":                         sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "jti", ""))),
		"a jti that is a number":               sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "jti", 1))),
		"a jti that is too long":               sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "jti", strings.Repeat("j", 257)))),
		"a claim that is there twice":          sign(t, ed, "EdDSA", header("EdDSA"), strings.Replace(encode(t, good(edClient)), "{", `{"exp":1,`, 1)),
		"an unknown claim that is there twice": sign(t, ed, "EdDSA", header("EdDSA"), strings.Replace(encode(t, good(edClient)), "{", `{"x":1,"x":2,`, 1)),
		"claims in other letters":              sign(t, ed, "EdDSA", header("EdDSA"), strings.Replace(encode(t, good(edClient)), `"exp"`, `"EXP"`, 1)),
		"claims that are not UTF-8":            sign(t, ed, "EdDSA", header("EdDSA"), strings.Replace(encode(t, good(edClient)), `"jti":"jti"`, "\"jti\":\"j\xffi\"", 1)),
		"claims that are null":                 sign(t, ed, "EdDSA", header("EdDSA"), "null"),
		"claims that are a list":               sign(t, ed, "EdDSA", header("EdDSA"), "[]"),
		"two JSON values":                      sign(t, ed, "EdDSA", header("EdDSA"), encode(t, good(edClient))+"{}"),
		"a huge claim":                         sign(t, ed, "EdDSA", header("EdDSA"), encode(t, with(good(edClient), "x", strings.Repeat("x", 20<<10)))),
		"deeply nested claims":                 sign(t, ed, "EdDSA", header("EdDSA"), strings.Repeat("[", 9000)),
		"a header that is no JSON":             sign(t, ed, "EdDSA", "alg", encode(t, good(edClient))),
		"nothing":                              "",
		"two parts":                            b64(header("EdDSA")) + "." + b64(encode(t, good(edClient))),
		"four parts":                           sign(t, ed, "EdDSA", header("EdDSA"), encode(t, good(edClient))) + ".",
		"dots":                                 "..",
		"the JSON serialization":               `{"payload":"` + b64(encode(t, good(edClient))) + `","protected":"` + b64(header("EdDSA")) + `","signature":""}`,
		"what a broken client sends":           "[object Promise]",
	} {
		t.Run(name, func(t *testing.T) {
			w.log.Reset()
			got, err := w.exchange(assertion)
			if !errors.Is(err, identity.ErrInvalidClient) {
				t.Errorf("got %v, want ErrInvalidClient", err)
			}
			if got.Identity.Known() {
				t.Errorf("the refused caller is %v", got.Identity)
			}
			if !strings.Contains(w.log.String(), "cause=") {
				t.Errorf("the log does not say why: %s", w.log)
			}
			for part := range strings.SplitSeq(assertion, ".") {
				if len(part) > 20 && strings.Contains(w.log.String()+err.Error(), part) {
					t.Errorf("a part of the assertion was told: %s", w.log)
				}
			}
		})
	}

	// None of these has used up the jti that they share with a good one.
	for alg, test := range map[string]struct {
		key    crypto.Signer
		client usher.Client
	}{"RS384": {rs, rsClient}, "ES384": {es, esClient}, "EdDSA": {ed, edClient}} {
		if _, err := w.exchange(sign(t, test.key, alg, header(alg), encode(t, good(test.client)))); err != nil {
			t.Errorf("%s: a good assertion after the hostile ones: %v", alg, err)
		}
	}
}

func TestADamagedSignatureIsRefused(t *testing.T) {
	w := newWorld(t)
	for alg, key := range map[string]crypto.Signer{"RS384": rsaKey(), "ES384": ecKey(t, elliptic.P384()), "EdDSA": edKey(t)} {
		c := w.client(t, key)
		signed := b64(header(alg)) + "." + b64(encode(t, w.claims(c)))
		good := signature(t, key, alg, signed)
		for name, sig := range map[string]string{
			"a bit":    good[:10] + string(good[10]^1) + good[11:],
			"too long": good + "\x00", "too short": good[:len(good)-1], "zeroes": strings.Repeat("\x00", len(good)),
		} {
			if _, err := w.exchange(signed + "." + b64(sig)); !errors.Is(err, identity.ErrInvalidClient) {
				t.Errorf("%s, %s: %v, want ErrInvalidClient", alg, name, err)
			}
		}
	}
}

func TestAnAssertionWorksOnce(t *testing.T) {
	w := newWorld(t)
	key := edKey(t)
	c, other := w.client(t, key), w.client(t, key)
	claims := with(with(w.claims(c), "jti", "once"), "exp", start.Unix()+60)
	assertion := sign(t, key, "EdDSA", header("EdDSA"), encode(t, claims))

	var accepted, refused atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			switch _, err := w.exchange(assertion); {
			case err == nil:
				accepted.Add(1)
			case errors.Is(err, identity.ErrInvalidClient):
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if accepted.Load() != 1 || refused.Load() != 99 {
		t.Errorf("of 100 at once %d were accepted and %d refused; want 1 and 99", accepted.Load(), refused.Load())
	}

	if _, err := w.exchange(sign(t, key, "EdDSA", header("EdDSA"), encode(t, with(claims, "exp", start.Unix()+90)))); !errors.Is(err, identity.ErrInvalidClient) {
		t.Errorf("the same jti in another assertion: %v, want ErrInvalidClient", err)
	}
	theirs := with(with(w.claims(other), "jti", "once"), "exp", start.Unix()+60)
	if _, err := w.exchange(sign(t, key, "EdDSA", header("EdDSA"), encode(t, theirs))); err != nil {
		t.Errorf("the same jti of another client: %v", err)
	}

	w.pass(2 * time.Minute)
	later := with(with(w.claims(c), "jti", "once"), "exp", w.clock().Unix()+60)
	if _, err := w.exchange(sign(t, key, "EdDSA", header("EdDSA"), encode(t, later))); err != nil {
		t.Errorf("the same jti after the first has expired: %v", err)
	}
	if _, err := w.exchange(assertion); !errors.Is(err, identity.ErrInvalidClient) {
		t.Errorf("the first one after it has expired: %v, want ErrInvalidClient", err)
	}
}

func TestARotatedKeyIsUsedAtOnce(t *testing.T) {
	w := newWorld(t)
	before, after := edKey(t), ecKey(t, elliptic.P384())
	c := w.client(t, before)
	if _, err := w.exchange(sign(t, before, "EdDSA", header("EdDSA"), encode(t, w.claims(c)))); err != nil {
		t.Fatal(err)
	}
	w.change(t, c.ID, func(c *usher.Client) { c.PublicKey = publicPEM(t, after) })
	if _, err := w.exchange(sign(t, before, "EdDSA", header("EdDSA"), encode(t, w.claims(c)))); !errors.Is(err, identity.ErrInvalidClient) {
		t.Errorf("the earlier key: %v, want ErrInvalidClient", err)
	}
	if _, err := w.exchange(sign(t, after, "ES384", header("ES384"), encode(t, w.claims(c)))); err != nil {
		t.Errorf("the new key: %v", err)
	}
}

// brokenClients fails as a store that can't be reached.
type brokenClients struct{ store.Clients }

var errBroken = errors.New("disk on fire")

func (brokenClients) Get(context.Context, usher.ID) (usher.Client, error) {
	return usher.Client{}, errBroken
}

func TestOurOwnFailureIsNotTheClients(t *testing.T) {
	w := newWorld(t)
	key := edKey(t)
	c := w.client(t, key)
	w.assertions.Clients = brokenClients{}
	_, err := w.exchange(sign(t, key, "EdDSA", header("EdDSA"), encode(t, w.claims(c))))
	if !errors.Is(err, errBroken) || usher.AsError(err).Kind != usher.Internal {
		t.Errorf("got %v, want our own failure", err)
	}
}

func FuzzAssertion(f *testing.F) {
	w := newWorld(f)
	key := edKey(f)
	c := w.client(f, key)
	stranger := edKey(f)
	f.Add(header("EdDSA"), encode(f, w.claims(c)), "x")
	f.Add(header("none"), encode(f, w.claims(c)), "")
	f.Add(`{"alg":"RS384","crit":[]}`, `{"iss":"`+string(c.ID)+`","exp":1e9}`, "..")
	f.Fuzz(func(t *testing.T, header, payload, tail string) {
		signed := b64(header) + "." + b64(payload)
		for _, assertion := range []string{
			header, payload + "." + tail, signed + "." + tail,
			signed + "." + b64(signature(t, stranger, "EdDSA", signed)),
		} {
			if _, err := w.exchange(assertion); !errors.Is(err, identity.ErrInvalidClient) {
				t.Fatalf("%q: %v, want ErrInvalidClient", assertion, err)
			}
		}
	})
}

func FuzzAssertionClaims(f *testing.F) {
	w := newWorld(f)
	key := edKey(f)
	c := w.client(f, key)
	f.Add(encode(f, w.claims(c)))
	f.Add(`{"iss":"` + string(c.ID) + `","aud":["` + audience + `"],"exp":1795262460.5,"jti":null,"scope":"meeting:read"}`)
	f.Fuzz(func(t *testing.T, payload string) {
		got, err := w.exchange(sign(t, key, "EdDSA", header("EdDSA"), payload))
		switch {
		case err == nil:
			if got.Identity.Subject != string(c.ID) || !strings.Contains(payload, string(c.ID)) {
				t.Fatalf("%q was accepted as %v", payload, got.Identity)
			}
		case !errors.Is(err, identity.ErrInvalidClient) && !errors.Is(err, identity.ErrInvalidScope):
			t.Fatalf("%q: %v", payload, err)
		}
	})
}
