package e2e_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/client"
)

// The whole video chat as its clients know it, with users of an issuer: the four
// calls, the socket with the token in its URL, who is online, and a call.
func TestTheVideoChatInProduction(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	p := newSecureProvider(t, a)
	app := a.serve(phoneApp(t))
	s := start(t, options{TLS: a, Config: documented(t, "video-chat.md#With another issuer",
		"https://id.example.com", p.url, "video-chat", clientID, "https://app.example.com", app)})
	wantVideoChatOfProvider(s, p)

	b := startBrowser(t, chromiumOptions{Flags: phoneFlags}.trusting(a))
	pick := func(name string) phone {
		token := usher.Secret(s.Secret(p.signIn(clientID, name, audience).ID))
		c := phone{page: b.open("page of "+name, app), user: devUser{id: name, token: token}}
		c.connect(s)
		return c
	}
	ann, ben := pick("ann"), pick("ben")
	for _, pair := range [][2]phone{{ann, ben}, {ben, ann}} {
		me, other := pair[0].user.id, pair[1].user.id
		pair[0].wantRest(200, "GET", "/user", `{"userId":"`+me+`","email":"`+me+`@example.org","name":"User `+me+`"}`)
		pair[1].wantRest(200, "GET", "/user", `{"userId":"`+other+`","email":"`+other+`@example.org","name":"User `+other+`"}`)
		var added restAnswer
		pair[0].run(`return phone.rest('POST', '/contacts', {email: arg})`, other+"@example.org", &added)
		if added.Status != http.StatusCreated {
			t.Errorf("%s adds %s: got %+v", me, other, added)
		}
	}
	const online = `await until('the other to be online', async () => (await phone.rest('GET', '/contacts')).body[0].online)`
	ann.run(online, nil, nil)
	ben.run(online, nil, nil)
	const comesAndGoes = `await until(arg.who + ' to be ' + arg.status,
		() => phone.heard.findLast(m => m.action === 'presence' && m.payload.userId === arg.who)?.payload.status === arg.status)`
	ben.run(`phone.socket.close(1000)`, nil, nil)
	ann.run(comesAndGoes, map[string]string{"who": "ben", "status": "offline"}, nil)
	ben.connect(s)
	ann.run(comesAndGoes, map[string]string{"who": "ben", "status": "online"}, nil)

	wantCall(ann, ben)
	hangUp(ann, ben)
	ann.wantRest(204, "DELETE", "/contacts/ben", `null`)
	ann.wantRest(200, "GET", "/contacts", `[]`)

	// Who is put out is so at once, and stays out.
	if _, err := s.operator().Revoke(within(t, time.Minute), client.RevokeRequest{Identity: p.user("ann"), Forever: true, Reason: "Enough."}); err != nil {
		t.Fatal(err)
	}
	var code int
	ann.run(`await until('end', () => phone.closes.length > 0); return phone.closes[0]`, nil, &code)
	if code != 4403 {
		t.Errorf("who was put out is told %d, want 4403", code)
	}
	s.Kill()
	s.Restart()
	for _, token := range []string{ann.user.token.Reveal(), s.Secret(p.signIn(clientID, "ann", audience).ID)} {
		ann.run(`phone.token = arg`, token, nil)
		ann.wantRest(http.StatusUnauthorized, "GET", "/user", `{"message":"Unauthorized"}`)
	}
	ben.wantRest(200, "GET", "/user", `{"userId":"ben","email":"ben@example.org","name":"User ben"}`)
	s.wantDecision(p.user("ann"), "contact.add", p.url)
	s.wantDecision(p.user("ann"), "call.place", p.url)

	// Who is of another app of the issuer is a stranger, and can read that.
	foreign := s.Secret(p.signIn(stranger, "eve", audience).ID)
	eve := phone{page: b.open("page of eve", app)}
	eve.run(`window.phone = Object.assign(Object.create(Phone.prototype), arg)`, map[string]string{"url": s.signalURL(), "token": foreign}, nil)
	for path, method := range map[string]string{"/user": "GET", "/contacts": "GET", "/contacts/ben": "DELETE"} {
		eve.wantRest(http.StatusUnauthorized, method, path, `{"message":"Unauthorized"}`)
	}
	var opened bool
	eve.run(`const socket = new WebSocket(phone.url + '?Auth=' + encodeURIComponent(phone.token));
		return new Promise(resolve => { socket.onopen = () => resolve(true); socket.onclose = () => resolve(false); })`, nil, &opened)
	if opened {
		t.Error("a stranger is let in at the socket")
	}
	answer := s.must(http.StatusUnauthorized, http.MethodGet, "/api/v1/me", "", bearer(foreign)...)
	if answer.text(t, "detail") == "" {
		t.Errorf("natively a stranger is told no sentence: %s", answer.Body)
	}
	if got := s.unauthenticated("videochat", "token_audience"); got != 3 {
		t.Errorf("%d calls were refused for being of another app, want 3", got)
	}
}

// The same with a user pool, as people have who come from the tutorial.
func TestTheVideoChatInProductionWithAUserPool(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	c := newSecureUserPool(t, a)
	s := start(t, options{TLS: a, Config: documented(t, "video-chat.md",
		"https://cognito-idp.us-east-1.amazonaws.com/us-east-1_XXXXXXXXX", c.issuer(), "1example23456789", c.app)})
	wantVideoChatOfPool(s, c)
}

// The app of our own, whose people sign in at an issuer and call each other.
func TestTheAppInProduction(t *testing.T) {
	t.Parallel()
	builtWeb(t)
	a := newAuthority(t)
	address := "localhost:" + unusedPort(t)
	p := newSecureProvider(t, a, "https://"+address+"/signed-in")
	wantPeopleOfTheIssuer(openApp(t, options{TLS: a, HTTPS: address, Config: trusting(p.entry()) + appOfIssuer}), "localhost")
}

// signalURL is where the socket is.
func (s *Server) signalURL() string { return "ws" + s.HTTPS[len("http"):] + "/signal" }

// connect has a page do as that of the video chat, until its socket is open.
func (c phone) connect(s *Server) {
	c.t.Helper()
	c.run(`window.phone = new Phone(arg); phone.polite = arg.polite; await until('socket', () => phone.socket.readyState === WebSocket.OPEN)`,
		map[string]any{"url": s.signalURL(), "token": c.user.token.Reveal(), "old": true, "polite": c.user.id == "ben"}, nil)
}

// restAnswer is what a page can read of an answer.
type restAnswer struct {
	Status int
	Body   json.RawMessage
}

// wantRest has a page make one of the calls, and compares what it can read.
func (c phone) wantRest(status int, method, path, want string) {
	c.t.Helper()
	var got restAnswer
	c.run(`return phone.rest(arg.method, arg.path)`, map[string]string{"method": method, "path": path}, &got)
	var gotBody, wantBody any
	if err := json.Unmarshal(got.Body, &gotBody); err != nil {
		c.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &wantBody); err != nil {
		c.t.Fatal(err)
	}
	if diff := cmp.Diff(wantBody, gotBody); got.Status != status || diff != "" {
		c.t.Errorf("%s %s in the %s: got status %d, want %d (-want +got):\n%s", method, path, c.name, got.Status, status, diff)
	}
}
