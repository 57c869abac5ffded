package e2e_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
)

// wantWelcome checks that a token makes its bearer that user, on the native API
// and in an open room.
func wantWelcome(t *testing.T, s *Server, room, token, user, email string) {
	t.Helper()
	s.Secret(token)
	me, err := s.as(usher.Secret(token)).Me(within(t, time.Minute))
	if err != nil {
		t.Fatalf("who am I: %v", err)
	}
	if me.Key != user || me.Email != email || me.Operator {
		t.Errorf("the server takes the bearer for %+v, want %s with the address %q", me, user, email)
	}
	a := s.must(http.StatusCreated, http.MethodPost, "/api/v1/rooms/"+room+"/participants", "{}", append(bearer(token), asJSON...)...)
	s.Secret(a.text(t, "secret"))
	if got := a.text(t, "identity"); got != user {
		t.Errorf("the place is for %q, want %q", got, user)
	}
}

// openRoom makes a room that every user may enter.
func (s *Server) openRoom() string {
	s.t.Helper()
	_, key := s.apiKey(nil)
	return s.must(http.StatusCreated, http.MethodPost, "/api/v1/rooms", `{"admission":"open"}`,
		append(bearer(key.Reveal()), asJSON...)...).text(s.t, "id")
}

func TestUsersOfAnOpenIDProviderAreKnown(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := start(t, options{Config: trusting(p.entry())})
	room := s.openRoom()

	ann := p.signIn(clientID, "ann", audience)
	wantWelcome(t, s, room, ann.ID, "user:"+p.url+"#ann", "ann@example.org")
	wantWelcome(t, s, room, ann.Access, "user:"+p.url+"#ann", "")
	unverified := p.signIn(clientID, "unverified-bob", audience)
	wantWelcome(t, s, room, unverified.ID, "user:"+p.url+"#unverified-bob", "")
	me, err := s.as(usher.Secret(ann.ID)).Me(within(t, time.Minute))
	if diff := cmp.Diff([]string{"staff"}, me.Groups); err != nil || diff != "" {
		t.Errorf("the user's groups: error %v (-want +got):\n%s", err, diff)
	}

	t.Run("the issuer rotates its keys", func(t *testing.T) {
		first, second, third := p.keys[0], newRSAKey(t, "second"), newRSAKey(t, "third")
		p.rotate(second, first)
		after := p.signIn(clientID, "ann", audience)
		wantWelcome(t, s, room, after.ID, "user:"+p.url+"#ann", "ann@example.org")
		wantWelcome(t, s, room, ann.ID, "user:"+p.url+"#ann", "ann@example.org")
		p.rotate(third, second)
		wantWelcome(t, s, room, p.signIn(clientID, "ann", audience).Access, "user:"+p.url+"#ann", "")
		// The first key is withdrawn, and what it signed with it.
		wantTokensRefused(t, s, map[string]forged{"of a key that was withdrawn": {ann.ID, http.StatusUnauthorized, "token_key_unknown"}})
	})
}

func TestUsersOfACognitoPoolAreKnown(t *testing.T) {
	t.Parallel()
	c := newUserPool(t)
	s := start(t, options{Config: trusting(c.entry())})
	room := s.openRoom()

	tokens := c.signIn(c.app)
	subject, _ := claimsOf(t, payloadOf(t, tokens.ID))["sub"].(string)
	for _, token := range []string{tokens.ID, tokens.Access} {
		wantWelcome(t, s, room, token, "user:"+c.issuer()+"#"+subject, "") // the address is not verified
	}
}

func payloadOf(t testing.TB, token string) string {
	t.Helper()
	return decodeSegment(t, strings.Split(token, ".")[1])
}

// forged is a token that must be refused.
type forged struct {
	token  string
	status int
	code   string
}

// wantTokensRefused presents each token to the native API, and to a dialect, and checks that it
// is refused with its code, which an operator finds in the metrics and the log.
func wantTokensRefused(t *testing.T, s *Server, tests map[string]forged) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		test := tests[name]
		t.Run(name, func(t *testing.T) {
			before, logged := s.unauthenticated("native", test.code), len(s.output.Bytes())
			s.Secret(test.token)
			a := s.do(http.MethodGet, "/api/v1/me", "", bearer(test.token)...)
			if a.Status != test.status || a.text(t, "code") != test.code {
				t.Errorf("got status %d: %s\nwant %d with the code %s", a.Status, a.Body, test.status, test.code)
			}
			if test.status == http.StatusUnauthorized && a.Header.Get("WWW-Authenticate") == "" {
				t.Error("the answer does not say how to authenticate")
			}
			if test.status == http.StatusUnauthorized && s.unauthenticated("native", test.code) != before+1 {
				t.Errorf("the refusal was not counted as %s", test.code)
			}
			if err := s.output.await(within(t, time.Minute), "code="+test.code, logged); err != nil {
				t.Error(err)
			}
			if a := s.do(http.MethodPost, "/v1/meetings", "", bearer(test.token)...); a.Status != test.status {
				t.Errorf("to the VPaaS dialect: got status %d: %s\nwant %d", a.Status, a.Body, test.status)
			}
		})
	}
}

// unlimited lets a test fail to authenticate as often as it likes.
const unlimited = "limits: {mint: \"0\", room: \"0\", claim: \"0\", open: \"0\", failed: \"0\"}\n"

// without returns the claims but for one.
func (c claims) without(name string) claims {
	c = maps.Clone(c)
	delete(c, name)
	return c
}

// with returns the claims with one replaced.
func (c claims) with(name string, value any) claims {
	c = maps.Clone(c)
	c[name] = value
	return c
}

func TestHostileTokensAreRefusedWithTheirCodes(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newUserPool(t)
	s := start(t, options{Config: trusting(p.entry(), c.entry()) + unlimited})
	const no = http.StatusUnauthorized
	now := time.Now()

	genuine := p.signIn(clientID, "ann", audience)
	id, access := claimsOf(t, payloadOf(t, genuine.ID)), claimsOf(t, payloadOf(t, genuine.Access))
	key := p.keys[0]
	sign := func(c claims) string { return signWith(t, key, nil, c) }
	another := newRSAKey(t, key.KeyID)
	nowhere := newRSAKey(t, "nowhere")
	publicPEM, publicJWK := publicKeyOf(t, key)
	hmac := func(secret []byte) string {
		return signHS256(t, secret, `{"alg":"HS256","typ":"JWT","kid":"first"}`, id)
	}
	part := strings.Split(genuine.ID, ".")
	others := p.signIn(stranger, "ann", audience)
	wantTokensRefused(t, s, map[string]forged{
		"an ID token of another app":        {others.ID, no, "token_audience"},
		"an access token of another app":    {others.Access, no, "token_audience"},
		"an access token for another API":   {p.signIn(clientID, "ann", otherAudience).Access, no, "token_audience"},
		"an ID token without an audience":   {sign(id.without("aud")), no, "token_audience"},
		"issued to another party":           {sign(id.with("azp", stranger)), no, "token_audience"},
		"several audiences and no party":    {sign(id.with("aud", []string{clientID, stranger})), no, "token_audience"},
		"not signed at all":                 {unsigned(t, `{"alg":"none","typ":"JWT"}`, id), no, "token_algorithm"},
		"not signed, in capitals":           {unsigned(t, `{"alg":"NONE","typ":"JWT","kid":"first"}`, id), no, "token_algorithm"},
		"HS256 with the public key's PEM":   {hmac(publicPEM), no, "token_algorithm"},
		"HS256 with the public key's JWK":   {hmac(publicJWK), no, "token_algorithm"},
		"signed with another key":           {signWith(t, another, nil, id), no, "token_signature"},
		"another's claims":                  {part[0] + "." + strings.Split(sign(id.with("sub", "boss")), ".")[1] + "." + part[2], no, "token_signature"},
		"without a signature":               {part[0] + "." + part[1] + ".", no, "token_signature"},
		"a key that it brings itself":       {signWith(t, nowhere, map[string]any{"jwk": nowhere.Public()}, id), no, "token_key_unknown"},
		"a key that it points to":           {signWith(t, nowhere, map[string]any{"jku": "http://127.0.0.1:1/keys"}, id), no, "token_key_unknown"},
		"a critical extension":              {signWith(t, key, map[string]any{"crit": []string{"x"}, "x": 1}, id), no, "token_malformed"},
		"expired":                           {sign(id.with("exp", now.Add(-time.Minute).Unix())), no, "token_expired"},
		"an access token that has expired":  {signWith(t, key, map[string]any{"typ": "at+jwt"}, access.with("exp", now.Add(-time.Minute).Unix())), no, "token_expired"},
		"without an end":                    {sign(id.without("exp")), no, "token_malformed"},
		"not yet valid":                     {sign(id.with("nbf", now.Add(time.Hour).Unix())), no, "token_not_yet_valid"},
		"issued in the future":              {sign(id.with("iat", now.Add(time.Hour).Unix())), no, "token_not_yet_valid"},
		"a time that is text":               {sign(id.with("exp", "tomorrow")), no, "token_malformed"},
		"of another type":                   {signWith(t, key, map[string]any{"typ": "logout+jwt"}, id), no, "token_use"},
		"about a logout":                    {sign(id.with("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}})), no, "token_use"},
		"bound to a key of the sender":      {sign(access.with("cnf", map[string]any{"jkt": "x"})), no, "token_use"},
		"of an issuer that nobody trusts":   {sign(id.with("iss", p.url+"/other")), no, "credentials_invalid"},
		"of an issuer with one more slash":  {sign(id.with("iss", p.url+"/")), no, "credentials_invalid"},
		"without a subject":                 {sign(id.without("sub")), no, "token_malformed"},
		"the keys of one issuer at another": {sign(id.with("iss", c.issuer()).with("token_use", "id").with("aud", c.app)), no, "token_key_unknown"},
	})

	mine, foreign := c.signIn(c.app), c.signIn(c.other)
	poolID, poolAccess := claimsOf(t, payloadOf(t, mine.ID)), claimsOf(t, payloadOf(t, mine.Access))
	inPool := func(c2 claims) string { return signWith(t, c.key, nil, c2) }
	rs512 := c.key
	rs512.Algorithm = "RS512"
	poolPEM, _ := publicKeyOf(t, c.key)
	wantTokensRefused(t, s, map[string]forged{
		"Cognito: an ID token of another client":      {foreign.ID, no, "token_audience"},
		"Cognito: an access token of another client":  {foreign.Access, no, "token_audience"},
		"Cognito: an access token with aud instead":   {inPool(poolAccess.without("client_id").with("aud", c.app)), no, "token_audience"},
		"Cognito: a use that there is not":            {inPool(poolID.with("token_use", "refresh")), no, "token_use"},
		"Cognito: no use":                             {inPool(poolAccess.without("token_use")), no, "token_use"},
		"Cognito: an access token that says it is ID": {inPool(poolAccess.with("token_use", "id")), no, "token_audience"},
		"Cognito: another algorithm":                  {signWith(t, rs512, nil, poolID), no, "token_algorithm"},
		"Cognito: HS256 with the public key":          {signHS256(t, poolPEM, `{"alg":"HS256","kid":"CognitoLocal"}`, poolID), no, "token_algorithm"},
		"Cognito: expired":                            {inPool(poolAccess.with("exp", now.Add(-time.Minute).Unix())), no, "token_expired"},
		"Cognito: another pool":                       {inPool(poolID.with("iss", c.base+"/local_other")), no, "credentials_invalid"},
	})

	// What all of them were made from is good.
	room := s.openRoom()
	wantWelcome(t, s, room, genuine.ID, "user:"+p.url+"#ann", "ann@example.org")
	wantWelcome(t, s, room, mine.Access, "user:"+c.issuer()+"#"+poolID["sub"].(string), "")

	t.Run("where only access tokens are taken", func(t *testing.T) {
		strict := start(t, options{Config: trusting(p.entry()+"    tokenUse: [access]\n", c.entry()+"    tokenUse: [access]\n") + unlimited})
		wantTokensRefused(t, strict, map[string]forged{
			"an ID token":          {genuine.ID, no, "token_use"},
			"Cognito: an ID token": {mine.ID, no, "token_use"},
		})
		wantWelcome(t, strict, strict.openRoom(), genuine.Access, "user:"+p.url+"#ann", "")
	})
}

func TestAFloodOfInventedKeysDoesNotReachTheIssuer(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := start(t, options{Config: trusting(p.entry()) + unlimited})
	room := s.openRoom()
	genuine := p.signIn(clientID, "ann", audience)
	wantWelcome(t, s, room, genuine.ID, "user:"+p.url+"#ann", "ann@example.org")

	const flood = 500
	begun, before := time.Now(), p.fetches()
	key := p.keys[0]
	c := claimsOf(t, payloadOf(t, genuine.ID))
	codes := make([]string, flood)
	err := atOnce(flood, func(i int) error {
		key := key
		key.KeyID = "invented-" + strings.Repeat("x", i%100) + string(rune('a'+i/100))
		a, err := send(s.Client, http.MethodGet, s.HTTP+"/api/v1/me", "", bearer(signWith(t, key, nil, c))...)
		if err == nil {
			codes[i] = a.text(t, "code")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range codes {
		if code != "token_key_unknown" {
			t.Errorf("a token of an invented key was refused with %q", code)
		}
	}
	// One search, and one more for each pause of 10 s that the flood outlasted.
	most := 1 + int(time.Since(begun)/(10*time.Second))
	if got := p.fetches() - before; got < 1 || got > most {
		t.Errorf("%d invented keys made the server ask the issuer %d times, want once, or at most %d times", flood, got, most)
	}
	t.Logf("figure: %d invented keys within %v: the issuer was asked %d times", flood, time.Since(begun).Round(time.Millisecond), p.fetches()-before)
	wantWelcome(t, s, room, genuine.ID, "user:"+p.url+"#ann", "ann@example.org")
}

func TestAnIssuerThatIsDownDoesNotPutItsUsersOut(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := start(t, options{Config: trusting(p.entry()) + unlimited})
	room := s.openRoom()
	known, late := p.signIn(clientID, "ann", audience), p.signIn(clientID, "bob", audience)
	wantWelcome(t, s, room, known.ID, "user:"+p.url+"#ann", "ann@example.org")

	p.kill()
	wantWelcome(t, s, room, known.ID, "user:"+p.url+"#ann", "ann@example.org")
	wantWelcome(t, s, room, late.ID, "user:"+p.url+"#bob", "bob@example.org") // never seen before

	s.Stop()
	s.Restart() // its keys were in memory
	wantTokensRefused(t, s, map[string]forged{"without the issuer's keys": {late.ID, http.StatusServiceUnavailable, "issuer_unavailable"}})
	if a := s.do(http.MethodGet, "/api/v1/me", "", bearer(late.ID)...); a.Header.Get("Retry-After") == "" {
		t.Error("the answer does not say when to try again")
	}

	p.start(t)
	deadline := within(t, time.Minute)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		a := s.do(http.MethodGet, "/api/v1/me", "", bearer(late.ID)...)
		if a.Status == http.StatusOK {
			break
		}
		select {
		case <-tick.C:
		case <-deadline.Done():
			t.Fatalf("the issuer is back, and its user is still not known: %s", a.Body)
		}
	}
}
