package identity_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/identity"
)

func TestHostileTokens(t *testing.T) {
	p := newIDP(t)
	ed := edKey(t)
	p.do(func() { p.keys["ed"] = ed })
	oidc := p.issuers(t, func(c *identity.IssuerConfig) { c.TokenUse = []string{"id"} })
	access := p.issuers(t, func(c *identity.IssuerConfig) {
		c.TokenUse, c.Audiences, c.Types = []string{"access"}, []string{"api"}, []string{"at+jwt"}
	})
	open := p.issuers(t, func(c *identity.IssuerConfig) { c.ClientIDs, c.Audiences = nil, []string{"web"} })
	cognito := p.issuers(t, func(c *identity.IssuerConfig) { c.Kind = identity.Cognito })
	cognitoID := p.issuers(t, func(c *identity.IssuerConfig) { c.Kind, c.TokenUse = identity.Cognito, []string{"id"} })
	rs512 := p.issuers(t, func(c *identity.IssuerConfig) { c.Algorithms = []string{"RS512"} })

	id := p.claims()
	at := with(with(id, "aud", "api"), "client_id", "web")
	cid := with(id, "token_use", "id")
	cat := with(with(with(id, "aud", nil), "client_id", "web"), "token_use", "access")
	now := start.Unix()
	head := func(alg, more string) string { return `{"alg":"` + alg + `","kid":"1","typ":"JWT"` + more + `}` }
	atHead := `{"alg":"RS256","kid":"1","typ":"at+jwt"}`
	signed := func(header string, claims map[string]any) string {
		return sign(t, idpKey(), "RS256", header, encode(t, claims))
	}
	good := signed(head("RS256", ""), id)
	part := strings.Split(good, ".")
	strangers := newIDPKey()
	jwk := encode(t, jose.JSONWebKey{KeyID: "1", Key: strangers.Public()})

	for name, test := range map[string]struct {
		by    identity.Authenticator
		token string
		want  error
	}{
		"a good ID token":                                 {oidc, good, nil},
		"a good access token":                             {access, signed(atHead, at), nil},
		"a good ID token of Cognito":                      {cognito, signed(head("RS256", ""), cid), nil},
		"a good access token of Cognito":                  {cognito, signed(head("RS256", ""), cat), nil},
		"nothing":                                         {oidc, "", identity.ErrNotMine},
		"an opaque token":                                 {oidc, "d41d8cd98f00b204", identity.ErrNotMine},
		"two dots":                                        {oidc, "..", identity.ErrNotMine},
		"an API key with dots":                            {oidc, "usher_a.b.c", identity.ErrNotMine},
		"claims that are not JSON":                        {oidc, part[0] + "." + b64("anna") + "." + part[2], identity.ErrNotMine},
		"claims that are a list":                          {oidc, part[0] + "." + b64(`["`+p.URL+`"]`) + "." + part[2], identity.ErrNotMine},
		"iss twice":                                       {oidc, sign(t, idpKey(), "RS256", head("RS256", ""), `{"iss":"https://evil.example","iss":"`+p.URL+`"}`), identity.ErrNotMine},
		"claims that are not UTF-8":                       {oidc, sign(t, idpKey(), "RS256", head("RS256", ""), `{"iss":"`+p.URL+`","sub":"`+"\xff"+`"}`), identity.ErrNotMine},
		"another issuer":                                  {oidc, signed(head("RS256", ""), with(id, "iss", "https://evil.example")), identity.ErrNotMine},
		"the issuer with a slash":                         {oidc, signed(head("RS256", ""), with(id, "iss", p.URL+"/")), identity.ErrNotMine},
		"the issuer in capitals":                          {oidc, signed(head("RS256", ""), with(id, "iss", strings.ToUpper(p.URL))), identity.ErrNotMine},
		"no issuer":                                       {oidc, signed(head("RS256", ""), with(id, "iss", nil)), identity.ErrNotMine},
		"several issuers":                                 {oidc, signed(head("RS256", ""), with(id, "iss", []string{p.URL})), identity.ErrNotMine},
		"a token that is too long":                        {oidc, signed(head("RS256", ""), with(id, "x", strings.Repeat("x", 16<<10))), identity.ErrNotMine},
		"alg none":                                        {oidc, b64(head("none", "")) + "." + part[1] + ".", identity.ErrTokenAlgorithm},
		"alg none with a good signature":                  {oidc, b64(head("none", "")) + "." + part[1] + "." + part[2], identity.ErrTokenAlgorithm},
		"alg NONE":                                        {oidc, b64(head("NONE", "")) + "." + part[1] + ".", identity.ErrTokenAlgorithm},
		"no alg":                                          {oidc, b64(`{"kid":"1"}`) + "." + part[1] + "." + part[2], identity.ErrTokenAlgorithm},
		"HS256 with the public key":                       {oidc, sign(t, idpKey(), "HS256", head("HS256", ""), encode(t, id)), identity.ErrTokenAlgorithm},
		"HS256 under RS256":                               {oidc, sign(t, idpKey(), "HS256", head("RS256", ""), encode(t, id)), identity.ErrTokenSignature},
		"an algorithm that is not configured":             {rs512, good, identity.ErrTokenAlgorithm},
		"another algorithm of the key's kind":             {rs512, sign(t, idpKey(), "RS256", head("RS512", ""), encode(t, id)), identity.ErrTokenSignature},
		"an algorithm of another kind of key":             {oidc, sign(t, ed, "EdDSA", head("EdDSA", ""), encode(t, id)), identity.ErrTokenAlgorithm},
		"RS256 with the kid of an Ed25519 key":            {oidc, sign(t, idpKey(), "RS256", `{"alg":"RS256","kid":"ed"}`, encode(t, id)), identity.ErrTokenAlgorithm},
		"Ed25519, as it should be":                        {oidc, sign(t, ed, "EdDSA", `{"alg":"EdDSA","kid":"ed"}`, encode(t, id)), nil},
		"a stranger's key":                                {oidc, sign(t, strangers, "RS256", head("RS256", ""), encode(t, id)), identity.ErrTokenSignature},
		"a stranger's key, which the header brings":       {oidc, sign(t, strangers, "RS256", head("RS256", `,"jwk":`+jwk), encode(t, id)), identity.ErrTokenSignature},
		"a stranger's key, to which the header points":    {oidc, sign(t, strangers, "RS256", head("RS256", `,"jku":"`+p.URL+`/jwks"`), encode(t, id)), identity.ErrTokenSignature},
		"an unknown key":                                  {oidc, sign(t, strangers, "RS256", `{"alg":"RS256","kid":"9"}`, encode(t, id)), identity.ErrTokenKeyUnknown},
		"no kid":                                          {oidc, signed(`{"alg":"RS256"}`, id), identity.ErrTokenMalformed},
		"a kid that is a number":                          {oidc, signed(`{"alg":"RS256","kid":1}`, id), identity.ErrTokenMalformed},
		"a kid without end":                               {oidc, signed(`{"alg":"RS256","kid":"`+strings.Repeat("1", 300)+`"}`, id), identity.ErrTokenMalformed},
		"a kid with a line break":                         {oidc, signed(`{"alg":"RS256","kid":"1\n"}`, id), identity.ErrTokenMalformed},
		"crit":                                            {oidc, signed(head("RS256", `,"crit":["exp"]`), id), identity.ErrTokenMalformed},
		"b64 false":                                       {oidc, signed(head("RS256", `,"b64":false,"crit":["b64"]`), id), identity.ErrTokenMalformed},
		"alg twice":                                       {oidc, signed(head("RS256", `,"alg":"none"`), id), identity.ErrTokenMalformed},
		"a header that is no JSON":                        {oidc, b64("RS256") + "." + part[1] + "." + part[2], identity.ErrTokenMalformed},
		"a header that is not base64url":                  {oidc, "+/+/." + part[1] + "." + part[2], identity.ErrTokenMalformed},
		"other claims":                                    {oidc, part[0] + "." + b64(encode(t, with(id, "sub", "eve"))) + "." + part[2], identity.ErrTokenSignature},
		"no signature":                                    {oidc, part[0] + "." + part[1] + ".", identity.ErrTokenSignature},
		"half a signature":                                {oidc, good[:len(good)-100], identity.ErrTokenSignature},
		"the typ of an access token, where it is an ID":   {oidc, signed(atHead, id), identity.ErrTokenUse},
		"the typ of a logout token":                       {oidc, signed(`{"alg":"RS256","kid":"1","typ":"logout+jwt"}`, id), identity.ErrTokenUse},
		"the typ of a guest's token":                      {oidc, signed(`{"alg":"RS256","kid":"1","typ":"guest+jwt"}`, id), identity.ErrTokenUse},
		"no typ, where one is required":                   {access, signed(`{"alg":"RS256","kid":"1"}`, at), identity.ErrTokenUse},
		"an ID token, where an access token is wanted":    {access, good, identity.ErrTokenUse},
		"a logout token without typ":                      {oidc, signed(head("RS256", ""), with(id, "events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}})), identity.ErrTokenUse},
		"a token that is bound to a key":                  {oidc, signed(head("RS256", ""), with(id, "cnf", map[string]any{"jkt": "x"})), identity.ErrTokenUse},
		"Keycloak's access token, where an ID is wanted":  {oidc, signed(head("RS256", ""), with(id, "typ", "Bearer")), identity.ErrTokenUse},
		"another audience":                                {oidc, signed(head("RS256", ""), with(with(id, "aud", "mobile"), "nonce", "x")), identity.ErrTokenAudience},
		"an audience that begins alike":                   {oidc, signed(head("RS256", ""), with(with(id, "aud", "web2"), "nonce", "x")), identity.ErrTokenAudience},
		"no audience":                                     {oidc, signed(head("RS256", ""), with(with(id, "aud", nil), "nonce", "x")), identity.ErrTokenAudience},
		"an audience that is a number":                    {oidc, signed(head("RS256", ""), with(with(id, "aud", 7), "nonce", "x")), identity.ErrTokenAudience},
		"an empty audience":                               {oidc, signed(head("RS256", ""), with(with(id, "aud", ""), "nonce", "x")), identity.ErrTokenAudience},
		"several audiences and no azp":                    {oidc, signed(head("RS256", ""), with(id, "aud", []string{"web", "mobile"})), identity.ErrTokenAudience},
		"several audiences and no azp, for any client":    {open, signed(head("RS256", ""), with(id, "aud", []string{"web", "mobile"})), identity.ErrTokenAudience},
		"several audiences and another's azp":             {oidc, signed(head("RS256", ""), with(with(id, "aud", []string{"web", "mobile"}), "azp", "mobile")), identity.ErrTokenAudience},
		"several audiences and our azp":                   {oidc, signed(head("RS256", ""), with(with(id, "aud", []string{"web", "mobile"}), "azp", "web")), nil},
		"one audience and another's azp":                  {oidc, signed(head("RS256", ""), with(id, "azp", "mobile")), identity.ErrTokenAudience},
		"an azp that is no text":                          {oidc, signed(head("RS256", ""), with(id, "azp", []string{"web"})), identity.ErrTokenAudience},
		"our azp and another's client_id":                 {access, signed(atHead, with(with(at, "azp", "web"), "client_id", "mobile")), identity.ErrTokenAudience},
		"an access token of another client":               {access, signed(atHead, with(at, "client_id", "mobile")), identity.ErrTokenAudience},
		"an access token of no client":                    {access, signed(atHead, with(at, "client_id", nil)), identity.ErrTokenAudience},
		"an access token for another API":                 {access, signed(atHead, with(at, "aud", "billing")), identity.ErrTokenAudience},
		"Cognito: no token_use":                           {cognito, good, identity.ErrTokenUse},
		"Cognito: another token_use":                      {cognito, signed(head("RS256", ""), with(cid, "token_use", "refresh")), identity.ErrTokenUse},
		"Cognito: access where id is wanted":              {cognitoID, signed(head("RS256", ""), cat), identity.ErrTokenUse},
		"Cognito: an ID token of another client":          {cognito, signed(head("RS256", ""), with(cid, "aud", "mobile")), identity.ErrTokenAudience},
		"Cognito: an access token of another client":      {cognito, signed(head("RS256", ""), with(cat, "client_id", "mobile")), identity.ErrTokenAudience},
		"Cognito: an ID token with client_id but no aud":  {cognito, signed(head("RS256", ""), with(with(cid, "aud", nil), "client_id", "web")), identity.ErrTokenAudience},
		"Cognito: an access token with aud, no client_id": {cognito, signed(head("RS256", ""), with(with(cat, "client_id", nil), "aud", "web")), identity.ErrTokenAudience},
		"Cognito: Ed25519":                                {cognito, sign(t, ed, "EdDSA", `{"alg":"EdDSA","kid":"ed"}`, encode(t, cid)), identity.ErrTokenAlgorithm},
		"expired":                                         {oidc, signed(head("RS256", ""), with(id, "exp", now-30)), identity.ErrTokenExpired},
		"expired within the leeway":                       {oidc, signed(head("RS256", ""), with(id, "exp", now-29)), nil},
		"no expiry":                                       {oidc, signed(head("RS256", ""), with(id, "exp", nil)), identity.ErrTokenMalformed},
		"an expiry that is text":                          {oidc, signed(head("RS256", ""), with(id, "exp", fmt.Sprint(now+60))), identity.ErrTokenMalformed},
		"an expiry beyond time":                           {oidc, signed(head("RS256", ""), with(id, "exp", 1e300)), identity.ErrTokenMalformed},
		"a negative expiry":                               {oidc, signed(head("RS256", ""), with(id, "exp", -1)), identity.ErrTokenMalformed},
		"not yet valid":                                   {oidc, signed(head("RS256", ""), with(id, "nbf", now+32)), identity.ErrTokenNotYetValid},
		"not yet valid within the leeway":                 {oidc, signed(head("RS256", ""), with(id, "nbf", now+30)), nil},
		"issued in the future":                            {oidc, signed(head("RS256", ""), with(id, "iat", now+32)), identity.ErrTokenNotYetValid},
		"no subject":                                      {oidc, signed(head("RS256", ""), with(id, "sub", nil)), identity.ErrTokenMalformed},
		"an empty subject":                                {oidc, signed(head("RS256", ""), with(id, "sub", "")), identity.ErrTokenMalformed},
		"a subject that is a list":                        {oidc, signed(head("RS256", ""), with(id, "sub", []string{"anna"})), identity.ErrTokenMalformed},
		"a subject without end":                           {oidc, signed(head("RS256", ""), with(id, "sub", strings.Repeat("a", 256))), identity.ErrTokenMalformed},
		"a subject with a line break":                     {oidc, signed(head("RS256", ""), with(id, "sub", "anna\nlevel=ERROR")), identity.ErrTokenMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time it may be remembered
				got, err := bearer(test.by, test.token)
				if !errors.Is(err, test.want) {
					t.Fatalf("%v, want %v", err, test.want)
				}
				if (test.want == nil) != got.Known() {
					t.Errorf("the identity is %+v", got)
				}
				if err == nil {
					continue
				}
				for _, s := range strings.Split(test.token, ".") {
					if len(s) > 8 && strings.Contains(err.Error(), s) {
						t.Errorf("the error %q has a part of the token in it", err)
					}
				}
			}
		})
	}
	if _, err := oidc.Authenticate(t.Context(), identity.Proof{}); !errors.Is(err, identity.ErrNotMine) {
		t.Errorf("no proof: %v, want ErrNotMine", err)
	}
	if got := p.visited(); got > 2*6 {
		t.Errorf("six authenticators asked the issuer %d times, want at most twice each", got)
	}
}

func TestACallerWhoLeavesIsNotRefused(t *testing.T) {
	p := newIDP(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.issuers(t).Authenticate(gone, identity.Proof{Bearer: usher.Secret(p.token(t, p.claims()))})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}

func TestRefusalsOfTokensTellLittle(t *testing.T) {
	sentences := make(map[string][]string)
	for _, err := range []*usher.Error{
		identity.ErrTokenExpired, identity.ErrTokenNotYetValid, identity.ErrTokenAudience, identity.ErrTokenUse, identity.ErrTokenAlgorithm,
		identity.ErrTokenSignature, identity.ErrTokenKeyUnknown, identity.ErrTokenMalformed,
	} {
		if err.Kind != usher.Unauthenticated {
			t.Errorf("%s is of kind %d, want Unauthenticated", err.Code, err.Kind)
		}
		sentences[err.Message] = append(sentences[err.Message], err.Code)
	}
	got := slices.SortedFunc(maps.Values(sentences), func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	want := [][]string{
		{"token_algorithm", "token_signature", "token_key_unknown", "token_malformed"},
		{"token_audience", "token_use"},
		{"token_expired", "token_not_yet_valid"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the classes differ (-want +got):\n%s", diff)
	}
}

func TestIssuerConfigValidate(t *testing.T) {
	good := identity.IssuerConfig{Issuer: "https://id.example.org", ClientIDs: []string{"web"}}
	for name, test := range map[string]struct {
		change func(*identity.IssuerConfig)
		want   []string
	}{
		"good":                             {func(*identity.IssuerConfig) {}, nil},
		"audiences instead of clients":     {func(c *identity.IssuerConfig) { c.ClientIDs, c.Audiences = nil, []string{"api"} }, nil},
		"Cognito":                          {func(c *identity.IssuerConfig) { c.Kind = identity.Cognito }, nil},
		"nothing":                          {func(c *identity.IssuerConfig) { *c = identity.IssuerConfig{} }, []string{"issuer", "clientIds"}},
		"a name for an issuer":             {func(c *identity.IssuerConfig) { c.Issuer = "dev" }, []string{"issuer"}},
		"an issuer with a fragment":        {func(c *identity.IssuerConfig) { c.Issuer += "#a" }, []string{"issuer"}},
		"an issuer with a query":           {func(c *identity.IssuerConfig) { c.Issuer += "?a=b" }, []string{"issuer"}},
		"an issuer with a password":        {func(c *identity.IssuerConfig) { c.Issuer = "https://a:b@id.example.org" }, []string{"issuer"}},
		"files":                            {func(c *identity.IssuerConfig) { c.JWKS = "file:///a" }, []string{"jwks"}},
		"two places for keys":              {func(c *identity.IssuerConfig) { c.JWKS, c.Discovery = c.Issuer, c.Issuer }, []string{"discovery"}},
		"an unknown kind":                  {func(c *identity.IssuerConfig) { c.Kind = "saml" }, []string{"kind"}},
		"Cognito for anybody":              {func(c *identity.IssuerConfig) { c.Kind, c.ClientIDs = identity.Cognito, nil }, []string{"clientIds"}},
		"Cognito with audiences":           {func(c *identity.IssuerConfig) { c.Kind, c.Audiences = identity.Cognito, []string{"a"} }, []string{"audiences"}},
		"an empty client":                  {func(c *identity.IssuerConfig) { c.ClientIDs = []string{""} }, []string{"clientIds"}},
		"an unknown use":                   {func(c *identity.IssuerConfig) { c.TokenUse = []string{"refresh"} }, []string{"tokenUse"}},
		"algorithms with a shared secret":  {func(c *identity.IssuerConfig) { c.Algorithms = []string{"HS256", "RS256", "none"} }, []string{"algorithms", "algorithms"}},
		"a leeway that is no leeway":       {func(c *identity.IssuerConfig) { c.Leeway = time.Hour }, []string{"leeway"}},
		"a leeway that makes tokens older": {func(c *identity.IssuerConfig) { c.Leeway = -time.Second }, []string{"leeway"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			test.change(&c)
			var got []string
			for _, p := range c.Validate() {
				got = append(got, p.Field)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the fields differ (-want +got):\n%s", diff)
			}
			_, err := identity.NewIssuers(identity.IssuersConfig{Issuers: []identity.IssuerConfig{c}})
			if (err == nil) != (test.want == nil) {
				t.Errorf("NewIssuers: %v", err)
			}
		})
	}
	t.Run("an issuer twice", func(t *testing.T) {
		got := identity.ValidateIssuers([]identity.IssuerConfig{good, good})
		if len(got) != 1 || got[0].Field != "1.issuer" {
			t.Errorf("%v, want one problem at 1.issuer", got)
		}
	})
}

// FuzzIssuedToken holds that nobody is known by a token that the issuer has
// not signed, whatever it looks like.
func FuzzIssuedToken(f *testing.F) {
	p := newIDP(f)
	s := p.issuers(f)
	good := p.token(f, p.claims())
	part := strings.Split(good, ".")
	for _, seed := range []string{
		good, part[0] + "." + part[1] + ".", "..", "a.b.c", good + "=", good + "\n",
		b64(`{"alg":"none"}`) + "." + part[1] + ".",
		b64(`{"alg":"HS256","kid":"1"}`) + "." + part[1] + "." + part[2],
		b64(`{"alg":"RS256","kid":"2"}`) + "." + part[1] + "." + part[2],
		b64(`{"alg":"RS256","kid":"1","crit":["a"]}`) + "." + part[1] + "." + part[2],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		id, err := bearer(s, token)
		if err == nil {
			// base64url has several spellings of a last character; what counts is
			// what they spell.
			for i, want := range part {
				got, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
				want, _ := base64.RawURLEncoding.DecodeString(want)
				if string(got) != string(want) {
					t.Errorf("accepted a token that the issuer has not signed: %+v", id)
				}
			}
			return
		}
		if e := usher.AsError(err); id.Known() || !errors.Is(err, identity.ErrNotMine) && e.Kind != usher.Unauthenticated {
			t.Errorf("%+v, %v", id, err)
		}
	})
}

// FuzzIssuedClaims holds that no claims of an issuer make anybody more than a user.
func FuzzIssuedClaims(f *testing.F) {
	p := newIDP(f)
	key := edKey(f)
	p.do(func() { p.keys["ed"] = key })
	s := p.issuers(f, func(c *identity.IssuerConfig) { c.Claims.Groups = "a.b.c" })
	f.Add(encode(f, p.claims()))
	f.Add(encode(f, with(with(p.claims(), "a", map[string]any{"b.c": []string{"g"}}), "email", "a@b.c")))
	f.Add(`{"iss":"` + p.URL + `","exp":1e400,"aud":["web","web"],"azp":null}`)
	f.Fuzz(func(t *testing.T, claims string) {
		// The issuer's address differs from run to run.
		var all map[string]any
		if json.Unmarshal([]byte(claims), &all) == nil && all["iss"] != nil {
			all["iss"] = p.URL
			claims = encode(t, all)
		}
		id, err := bearer(s, sign(t, key, "EdDSA", `{"alg":"EdDSA","kid":"ed"}`, claims))
		if err != nil {
			if e := usher.AsError(err); id.Known() || !errors.Is(err, identity.ErrNotMine) && e.Kind != usher.Unauthenticated {
				t.Errorf("%+v, %v", id, err)
			}
			return
		}
		if id.Kind != usher.UserIdentity || id.Issuer != p.URL || id.Subject == "" || id.Operator || len(id.Scopes) > 0 || id.Actor != "" ||
			!id.Expires.Add(30*time.Second).After(p.clock()) {
			t.Errorf("%s made %+v", claims, id)
		}
	})
}
