package e2e_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

// Claim 6: forged and confused assertions.
func TestNoForgedAssertionIsAccepted(t *testing.T) {
	t.Parallel()
	x := newTarget(t)
	key, stranger := clientKey(t), strangerKey(t)
	public := readFile(t, key.Public)
	good := func() claims { return x.assertion(x.client) }
	with := func(name string, value any) claims {
		c := good()
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return c
	}
	sign := func(c claims) string { return signRS384(t, key, rs384, c) }
	unsigned := func(header string) string { return signingInput(t, header, good()) }
	second := start(t, options{})
	for name, assertion := range map[string]string{
		"no algorithm":                    unsigned(`{"alg":"none","typ":"JWT"}`) + ".",
		"no algorithm, in capitals":       unsigned(`{"alg":"NONE"}`) + ".",
		"no algorithm and a signature":    unsigned(`{"alg":"none"}`) + "." + signatureOf(sign(good())),
		"HS256 with the public key":       signHS256(t, public, `{"alg":"HS256","typ":"JWT"}`, good()),
		"HS256 that says RS384":           signHS256(t, public, rs384, good()),
		"HS256 with nothing":              signHS256(t, nil, `{"alg":"HS256","typ":"JWT"}`, good()),
		"another's key":                   signRS384(t, stranger, rs384, good()),
		"the key that it brings along":    signRS384(t, stranger, `{"alg":"RS384","jwk":`+jwkOf(t, stranger)+`}`, good()),
		"the key from an address":         signRS384(t, stranger, `{"alg":"RS384","jku":"https://evil.example/keys"}`, good()),
		"a header that it calls crucial":  signRS384(t, key, `{"alg":"RS384","crit":["exp"],"exp":1}`, good()),
		"a signature of another text":     unsigned(rs384) + "." + signatureOf(sign(with("jti", "another"))),
		"half of a signature":             sign(good())[:900],
		"no signature":                    unsigned(rs384),
		"RS384 that says RS256":           signRS384(t, key, `{"alg":"RS256","typ":"JWT"}`, good()),
		"a header twice":                  signRS384(t, key, `{"alg":"none","alg":"RS384"}`, good()),
		"another type of token":           signRS384(t, key, `{"alg":"RS384","typ":"at+jwt"}`, good()),
		"another audience":                sign(with("aud", "https://crud.pexip.rocks/oauth/token")),
		"the audience of another server":  sign(with("aud", second.HTTPS+"/oauth/token")),
		"our address but not the path":    sign(with("aud", x.HTTPS)),
		"no audience":                     sign(with("aud", nil)),
		"expired":                         sign(with("exp", 1_700_000_000)),
		"without an end":                  sign(with("exp", nil)),
		"with an end that is text":        sign(with("exp", "tomorrow")),
		"with an end in a thousand years": sign(with("exp", 33_000_000_000)),
		"not yet valid":                   sign(with("nbf", 33_000_000_000)),
		"made in the future":              sign(with("iat", 33_000_000_000)),
		"without an id":                   sign(with("jti", nil)),
		"with an id that is empty":        sign(with("jti", "")),
		"for another subject":             sign(with("sub", "aaaaaaaaaaaaaaaaaaaaaaaaaa")),
		"by another issuer":               sign(with("iss", "aaaaaaaaaaaaaaaaaaaaaaaaaa")),
		"by an issuer that is a path":     sign(with("iss", "../"+x.client)),
		"too long":                        sign(with("jti", strings.Repeat("a", 20_000))),
		"our own access token":            x.token,
		"five parts":                      "a.b.c.d.e",
		"nothing but dots":                "..",
		"JSON instead":                    `{"payload":"","signatures":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			x.Secret(assertion)
			a, _ := x.raw(t, rawRequest{
				Method: "POST", Target: "/oauth/token", Body: tokenRequest(assertion),
				Headers: []string{"Content-Type: application/x-www-form-urlencoded"},
			})
			x.wantRefused(t, a, http.StatusBadRequest, vpaasShape, assertion)
			if reason, _ := optionalText(a, "reason"); reason != "invalid_client" {
				t.Errorf("the reason tells more than that: %q", reason)
			}
		})
	}
	// The same assertion unforged is good, so that it is the forgery that failed.
	x.must(http.StatusOK, http.MethodPost, "/oauth/token", tokenRequest(sign(good())), asForm...)
}

// Claim 6: forged and confused access tokens.
func TestNoForgedAccessTokenIsAccepted(t *testing.T) {
	t.Parallel()
	x := newTarget(t)
	key := clientKey(t)
	parts := strings.Split(x.token, ".")
	second := start(t, options{})
	payload := decodeSegment(t, parts[1])
	widened := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(payload, "meeting:create", "meeting:create ", 1)))
	jwks := x.must(http.StatusOK, http.MethodGet, "/.well-known/jwks.json", "").Body
	for name, token := range map[string]string{
		"no algorithm":                base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + parts[1] + ".",
		"our header and no signature": parts[0] + "." + parts[1] + ".",
		"another payload":             parts[0] + "." + widened + "." + parts[2],
		"half of it":                  x.token[:len(x.token)/2],
		"its end changed":             x.token[:len(x.token)-4] + "AAAA",
		"twice":                       x.token + x.token,
		"an assertion":                signRS384(t, key, rs384, x.assertion(x.client)),
		"signed by the client itself": signRS384(t, key, `{"alg":"RS384","typ":"at+jwt"}`, claimsOf(t, payload)),
		"HS256 with our public keys":  signHS256(t, []byte(jwks), `{"alg":"HS256","typ":"at+jwt"}`, claimsOf(t, payload)),
		"of another server":           second.token(second.register(key.Public), key),
		"a secret of a participant":   x.meeting.Secret,
		"very long":                   strings.Repeat("a", 20_000),
		"undefined":                   "undefined",
		"dots":                        "..",
	} {
		for path, form := range map[string]shape{"/v1/meetings": vpaasShape, "/api/v1/rooms": problemShape, "/meetings": textShape} {
			t.Run(name+" at "+path, func(t *testing.T) {
				x.Secret(token)
				a, _ := x.raw(t, rawRequest{
					Method: "POST", Target: path, Body: "{}",
					Headers: []string{"Content-Type: application/json", "Authorization: Bearer " + token},
				})
				x.wantRefused(t, a, http.StatusUnauthorized, form, token)
			})
		}
	}
	x.must(http.StatusOK, http.MethodGet, "/v1/meetings", "", bearer(x.token)...)
}

func signatureOf(token string) string { return token[strings.LastIndex(token, ".")+1:] }
