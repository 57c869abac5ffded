package keys_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"usher"
	"usher/internal/keys"
	"usher/internal/store"
)

func TestSignAndVerify(t *testing.T) {
	m := open(t, new(memory))
	for name, claims := range map[string]any{
		"a struct": struct {
			Subject string `json:"sub"`
		}{"anna"},
		"a map":                    map[string]any{"sub": "anna", "scope": []string{"a", "b"}},
		"no claims":                struct{}{},
		"raw JSON":                 json.RawMessage(`{"sub":"anna"}`),
		"text that JSON escapes":   map[string]string{"name": "<Änna> \"&\" \u2028"},
		"a long list of something": map[string]string{"sub": strings.Repeat("x", 8000)},
	} {
		t.Run(name, func(t *testing.T) {
			token := sign(t, m, claims)
			payload, kid, err := m.Verify(token, typ)
			if err != nil {
				t.Fatal(err)
			}
			if want, _ := json.Marshal(claims); string(payload) != string(want) {
				t.Errorf("the claims are %s, want %s", payload, want)
			}
			if want := string(keyIn(t, m, store.CurrentKey).ID); kid != want {
				t.Errorf("the kid is %q, want %q", kid, want)
			}
			for what, other := range map[string]string{"at": "at", "JWT": "JWT", "AT+JWT": "AT+JWT", "nothing": ""} {
				if _, _, err := m.Verify(token, other); !errors.Is(err, keys.ErrType) {
					t.Errorf("Verify as a token of type %s: %v, want ErrType", what, err)
				}
			}
		})
	}
}

func TestSignRefuses(t *testing.T) {
	m := open(t, new(memory))
	for name, test := range map[string]struct {
		claims any
		typ    string
	}{
		"claims that JSON can't say":      {math.NaN(), typ},
		"a token that is too long":        {map[string]string{"sub": strings.Repeat("x", 1<<16)}, typ},
		"no type":                         {struct{}{}, ""},
		"a type that breaks out":          {struct{}{}, `a","alg":"none`},
		"a type with a space":             {struct{}{}, "at jwt"},
		"a type that is longer than ever": {struct{}{}, strings.Repeat("a", 65)},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := m.Sign(test.claims, test.typ); err == nil {
				t.Error("it was signed")
			}
		})
	}
}

// TestPeer lets another implementation of JOSE verify our tokens with what we
// publish.
func TestPeer(t *testing.T) {
	m := open(t, new(memory))
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(m.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	token, err := jose.ParseSignedCompact(sign(t, m, map[string]string{"sub": "anna"}), []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	header := token.Signatures[0].Protected
	if got := header.ExtraHeaders["typ"]; got != typ {
		t.Errorf("typ is %v, want %q", got, typ)
	}
	found := set.Key(header.KeyID)
	if len(found) != 1 || !found[0].Valid() || !found[0].IsPublic() || found[0].Use != "sig" || found[0].Algorithm != "EdDSA" {
		t.Fatalf("the kid names %d keys, want one public key for EdDSA signatures", len(found))
	}
	payload, err := token.Verify(found[0])
	if err != nil || string(payload) != `{"sub":"anna"}` {
		t.Errorf("the peer reads %q, %v", payload, err)
	}
	if len(set.Keys) != 2 {
		t.Errorf("%d keys are published, want the current and the next", len(set.Keys))
	}
}

// forge signs with EdDSA, whatever the header says.
func forge(private ed25519.PrivateKey, header, payload string) string {
	signed := b64(header) + "." + b64(payload)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(private, []byte(signed)))
}

func TestVerifyRefuses(t *testing.T) {
	m := open(t, new(memory))
	kid := string(keyIn(t, m, store.CurrentKey).ID)
	next := string(keyIn(t, m, store.NextKey).ID)
	stranger := string(usher.SystemIDs().New())
	good := sign(t, m, map[string]string{"sub": "anna"})
	part := strings.Split(good, ".")
	claims := `{"sub":"anna"}`
	header := func(alg, kid, more string) string {
		return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":%q%s}`, alg, kid, typ, more)
	}

	var set jose.JSONWebKeySet
	if err := json.Unmarshal(m.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	public := set.Key(kid)[0].Key.(ed25519.PublicKey)
	_, mine, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	myJWK, err := json.Marshal(jose.JSONWebKey{Key: mine.Public(), KeyID: kid})
	if err != nil {
		t.Fatal(err)
	}
	hs256 := func(secret []byte) string {
		signed := b64(header("HS256", kid, "")) + "." + b64(claims)
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	es256 := func() string {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signed := b64(header("ES256", kid, "")) + "." + b64(claims)
		hash := sha256.Sum256([]byte(signed))
		r, s, err := ecdsa.Sign(rand.Reader, private, hash[:])
		if err != nil {
			t.Fatal(err)
		}
		return signed + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	}
	// The last character of a signature carries four bits that encode nothing.
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(good) - 1
	respelled := good[:last] + string(digits[strings.IndexByte(digits, good[last])+1])

	// What is remembered of the good one must not help any other.
	if _, _, err := m.Verify(good, typ); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"nothing":                                 {"", keys.ErrForeign},
		"dots":                                    {"..", keys.ErrForeign},
		"one part":                                {part[0], keys.ErrForeign},
		"two parts":                               {part[0] + "." + part[1], keys.ErrForeign},
		"four parts":                              {good + "." + part[2], keys.ErrForeign},
		"five parts, as of JWE":                   {part[0] + ".." + part[1] + "." + part[1] + "." + part[2], keys.ErrForeign},
		"a JSON serialization":                    {fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, part[0], part[1], part[2]), keys.ErrForeign},
		"a token without end":                     {part[0] + "." + strings.Repeat("A", 1<<20) + "." + part[2], keys.ErrForeign},
		"alg none without a signature":            {b64(header("none", kid, "")) + "." + b64(claims) + ".", keys.ErrForeign},
		"alg none with our signature":             {b64(header("none", kid, "")) + "." + part[1] + "." + part[2], keys.ErrForeign},
		"alg None":                                {b64(header("None", kid, "")) + "." + b64(claims) + ".", keys.ErrForeign},
		"no alg":                                  {forge(mine, fmt.Sprintf(`{"kid":%q,"typ":%q}`, kid, typ), claims), keys.ErrForeign},
		"HS256 with our public key":               {hs256(public), keys.ErrForeign},
		"HS256 with our public key in base64":     {hs256([]byte(base64.RawURLEncoding.EncodeToString(public))), keys.ErrForeign},
		"HS256 with our JWKS":                     {hs256(m.JWKS()), keys.ErrForeign},
		"ES256":                                   {es256(), keys.ErrForeign},
		"ES256 over our signature":                {b64(header("ES256", kid, "")) + "." + part[1] + "." + part[2], keys.ErrForeign},
		"Ed25519 as alg":                          {b64(header("Ed25519", kid, "")) + "." + part[1] + "." + part[2], keys.ErrForeign},
		"a kid that we don't know":                {forge(mine, header("EdDSA", stranger, ""), claims), keys.ErrForeign},
		"a kid that is a path":                    {forge(mine, header("EdDSA", "../../../../dev/null......", ""), claims), keys.ErrForeign},
		"no kid":                                  {forge(mine, `{"alg":"EdDSA","typ":"at+jwt"}`, claims), keys.ErrForeign},
		"an empty kid":                            {forge(mine, header("EdDSA", "", ""), claims), keys.ErrForeign},
		"our kid, another's signature":            {forge(mine, header("EdDSA", kid, ""), claims), keys.ErrSignature},
		"the next key's kid over our signature":   {b64(header("EdDSA", next, "")) + "." + part[1] + "." + part[2], keys.ErrSignature},
		"crit":                                    {forge(mine, header("EdDSA", kid, `,"crit":["exp"],"exp":1`), claims), keys.ErrForeign},
		"b64 false":                               {forge(mine, header("EdDSA", kid, `,"b64":false,"crit":["b64"]`), claims), keys.ErrForeign},
		"an embedded jwk":                         {forge(mine, header("EdDSA", kid, `,"jwk":`+string(myJWK)), claims), keys.ErrForeign},
		"an embedded jwk with a kid of its own":   {forge(mine, header("EdDSA", stranger, `,"jwk":`+string(myJWK)), claims), keys.ErrForeign},
		"a jku":                                   {forge(mine, header("EdDSA", kid, `,"jku":"https://example.org/jwks"`), claims), keys.ErrForeign},
		"an x5c":                                  {forge(mine, header("EdDSA", kid, `,"x5c":["MIIB"]`), claims), keys.ErrForeign},
		"a header member twice":                   {forge(mine, header("EdDSA", kid, `,"alg":"none"`), claims), keys.ErrForeign},
		"a typ that breaks out":                   {forge(mine, fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"%s","crit":["x"]}`, kid, typ), claims), keys.ErrForeign},
		"another typ":                             {forge(mine, fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"JWT"}`, kid), claims), keys.ErrType},
		"an empty typ":                            {forge(mine, fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":""}`, kid), claims), keys.ErrForeign},
		"no typ":                                  {forge(mine, fmt.Sprintf(`{"alg":"EdDSA","kid":%q}`, kid), claims), keys.ErrForeign},
		"members in another order":                {forge(mine, fmt.Sprintf(`{"typ":%q,"kid":%q,"alg":"EdDSA"}`, typ, kid), claims), keys.ErrForeign},
		"a header that is not JSON":               {b64("EdDSA") + "." + part[1] + "." + part[2], keys.ErrForeign},
		"a header that is not base64url":          {"+/+/." + part[1] + "." + part[2], keys.ErrForeign},
		"padding":                                 {good + "==", keys.ErrSignature},
		"a line break in the header":              {"\n" + good, keys.ErrForeign},
		"a line break in the claims":              {part[0] + ".\n" + part[1] + "." + part[2], keys.ErrSignature},
		"a line break in the signature":           {good + "\n", keys.ErrSignature},
		"a signature with line breaks for digits": {part[0] + "." + part[1] + "." + part[2][:84] + "\r\n", keys.ErrSignature},
		"another spelling of the signature":       {respelled, keys.ErrSignature},
		"no signature":                            {part[0] + "." + part[1] + ".", keys.ErrSignature},
		"half a signature":                        {good[:len(good)-43], keys.ErrSignature},
		"a signature of zeroes":                   {part[0] + "." + part[1] + "." + strings.Repeat("A", 86), keys.ErrSignature},
		"other claims":                            {part[0] + "." + b64(`{"sub":"eve"}`) + "." + part[2], keys.ErrSignature},
		"no claims":                               {part[0] + ".." + part[2], keys.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _ = m.Verify(test.token, typ) // nor the first refusal the second try
			payload, gotKid, err := m.Verify(test.token, typ)
			if !errors.Is(err, test.want) || payload != nil || gotKid != "" {
				t.Fatalf("Verify = %q, %q, %v; want nothing and %v", payload, gotKid, err, test.want)
			}
			for _, p := range strings.Split(test.token, ".") {
				if len(p) > 8 && strings.Contains(err.Error(), p) {
					t.Errorf("the error %q has a part of the token in it", err)
				}
			}
		})
	}
	if _, _, err := m.Verify(good, typ); err != nil {
		t.Fatalf("the token that all of these come from is refused: %v", err)
	}
}

// FuzzVerify holds that every token that is accepted is, byte for byte, one
// that we would write.
func FuzzVerify(f *testing.F) {
	m := open(f, new(memory))
	good := sign(f, m, map[string]string{"sub": "anna"})
	part := strings.Split(good, ".")
	for _, seed := range []string{
		good, good + "\n", good + "=", good + ".", part[0], "..", "",
		part[0] + "." + part[1] + ".",
		b64(`{"alg":"none"}`) + "." + part[1] + ".",
		b64(`{"alg":"EdDSA","kid":"aaaaaaaaaaaaaaaaaaaaaaaaaa","typ":"at+jwt"}`) + "." + part[1] + "." + part[2],
		b64(`{"alg":"EdDSA","kid":"","typ":""}`) + "." + part[1] + "." + part[2],
	} {
		f.Add(seed, typ)
	}
	f.Add(good, "JWT")
	f.Fuzz(func(t *testing.T, token, typ string) {
		payload, kid, err := m.Verify(token, typ)
		if err != nil {
			if !errors.Is(err, keys.ErrForeign) && !errors.Is(err, keys.ErrType) && !errors.Is(err, keys.ErrSignature) {
				t.Errorf("an error of another sort: %v", err)
			}
			if payload != nil || kid != "" {
				t.Error("a refused token yields something")
			}
			return
		}
		if want, err := m.Sign(json.RawMessage(payload), typ); err != nil || token != want {
			t.Errorf("accepted a token that we don't write: %v", err)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	m := open(b, new(memory))
	claims := benchClaims
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Sign(claims, typ); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	m := open(b, new(memory))
	token := sign(b, m, benchClaims)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := m.Verify(token, typ); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyUnknownKey is what a flood of invented kids costs.
func BenchmarkVerifyUnknownKey(b *testing.B) {
	m := open(b, new(memory))
	part := strings.Split(sign(b, m, benchClaims), ".")
	token := b64(fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":%q}`, usher.SystemIDs().New(), typ)) + "." + part[1] + "." + part[2]
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := m.Verify(token, typ); !errors.Is(err, keys.ErrForeign) {
			b.Fatal(err)
		}
	}
}

// benchClaims are of the size of an access token's.
var benchClaims = struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Scope    string `json:"scope"`
	ID       string `json:"jti"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}{
	"https://usher.example.org", "https://usher.example.org", "mfrggzdfmztwq2lknnwg23tpoa",
	usher.AllScopes.String(), "mfrggzdfmztwq2lknnwg23tpob", 1790000000, 1790003600,
}
