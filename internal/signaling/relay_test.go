package signaling_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"usher"
	"usher/internal/access"
	"usher/internal/limit"
)

func TestWhoCallsIsSaidByTheURL(t *testing.T) {
	w := newWorld(t)
	ann := w.tokens.issue(person("ann"))
	ticket, err := w.access.IssueTicket(t.Context(), person("ann"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		query  url.Values
		status int
	}{
		{"nothing", url.Values{"x": {"y"}}, 401},
		{"a token", url.Values{"Auth": {ann}}, 101},
		{"the parameter in small letters", url.Values{"auth": {ann}}, 401},
		{"a bad token", url.Values{"Auth": {"nonsense"}}, 401},
		{"a ticket", url.Values{"ticket": {ticket.Secret.Reveal()}}, 101},
		{"the same ticket", url.Values{"ticket": {ticket.Secret.Reveal()}}, 401},
		{"a token and a ticket", url.Values{"ticket": {ann}, "Auth": {ann}}, 401},
		{"an expired token", url.Values{"Auth": {w.tokens.issue(func() usher.Identity {
			id := person("ann")
			id.Expires = time.Now().Add(-time.Minute)
			return id
		}())}}, 401},
		{"a back end's token", url.Values{"Auth": {w.tokens.issue(usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "shop"})}}, 403},
	} {
		p, resp, err := w.dial("ann", as{legacy: true, query: tt.query})
		if resp == nil || resp.StatusCode != tt.status {
			t.Errorf("%s: %v, %v, want %d", tt.name, resp, err, tt.status)
		}
		if p != nil {
			p.quiet() // and no hello
		}
	}
}

func TestWhoCallsIsSaidByTheFirstMessage(t *testing.T) {
	w := newWorld(t)
	ann := w.tokens.issue(person("ann"))
	ticket, err := w.access.IssueTicket(t.Context(), person("ann"))
	if err != nil {
		t.Fatal(err)
	}
	first := func(payload string) string { return `{"action":"auth","payload":` + payload + `}` }
	for _, tt := range []struct {
		name, first string
		close       int
	}{
		{"a token", first(`{"token":"` + ann + `"}`), 0},
		{"a ticket", first(`{"ticket":"` + ticket.Secret.Reveal() + `"}`), 0},
		{"the same ticket", first(`{"ticket":"` + ticket.Secret.Reveal() + `"}`), 4401},
		{"nothing", first(`{}`), 4401},
		{"no payload", `{"action":"auth"}`, 4401},
		{"a bad token", first(`{"token":"nonsense"}`), 4401},
		{"a number", first(`{"token":7}`), 4401},
		{"another action", `{"action":"ping"}`, 4401},
		{"no JSON", `hello`, 4401},
		{"a back end's token", first(`{"token":"` + w.tokens.issue(usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "shop"}) + `"}`), 4403},
		{"a session that there is not", `{"action":"resume","payload":{"token":"a.1.b"}}`, 4404},
	} {
		p, _, err := w.dial("ann", as{first: tt.first})
		if err != nil {
			t.Fatal(err)
		}
		if tt.close == 0 {
			p.want("hello")
			continue
		}
		if tt.close != 4404 {
			p.want("error")
		}
		p.wantClosed(tt.close)
	}
}

func TestAnAuthWithoutATokenIsToldWhatToSend(t *testing.T) {
	w := newWorld(t)
	for _, payload := range []string{`{}`, `{"token":""}`, `{"token":"a","ticket":"b"}`} {
		p, _, err := w.dial("ann", as{first: `{"action":"auth","payload":` + payload + `}`})
		if err != nil {
			t.Fatal(err)
		}
		m := p.want("error")["payload"].(map[string]any)
		if want := "The first message must be auth, with a token or a ticket, or resume."; m["message"] != want {
			t.Errorf("%s: got %v, want %q", payload, m, want)
		}
		p.wantClosed(4401)
	}
}

func TestASilentSocketIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, _, err := w.dial("ann", as{first: " "})
		if err != nil {
			t.Fatal(err)
		}
		p.wantClosed(4401)
		silent, _, err := websocket.Dial(t.Context(), "ws://usher.test/signal", &websocket.DialOptions{HTTPClient: w.http, Subprotocols: []string{"usher.v1"}})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, _, err = silent.Read(t.Context())
		if got := websocket.CloseStatus(err); got != 4401 || time.Since(start) > 6*time.Second {
			t.Errorf("closed with %d after %v", got, time.Since(start))
		}
	})
}

func TestPagesOfOtherOriginsAreRefused(t *testing.T) {
	w := newWorld(t)
	for origin, status := range map[string]int{
		"": 101, "https://app.example": 101, base: 101, "https://evil.example": 403, "null": 403, "http://localhost:3000": 403, "https://app.example.evil.example": 403,
	} {
		_, resp, err := w.dial("ann", as{legacy: true, origin: origin})
		if resp == nil || resp.StatusCode != status {
			t.Errorf("%q: %v, %v, want %d", origin, resp, err, status)
		}
	}
}

func TestAPayloadArrivesAsItWasSent(t *testing.T) {
	w := newWorld(t)
	w.list("bob", "ann")
	ann, bob, bobs := w.connect("ann"), w.connect("bob"), w.connect("bob", legacy)
	const payload = "{ \"a\" : [1.0,2e5, \"\\u00e9<&>\\/\"],\n\t\"from\":\"x\",\"to\":\"y\" }"
	for _, name := range []string{"to", "toUserId", "userId", "destination"} {
		ann.ask("%s", `{"action":"sdp","`+name+`":"bob","from":"carl","ts":1,"fromConnection":"x","payload":`+payload+`,"more":[true],"id":"1"}`)
		for _, p := range []*peer{bob, bobs} {
			m := p.next()
			if !strings.Contains(m.text, `"payload":`+payload) || !strings.Contains(m.text, `"more":[true]`) {
				t.Errorf("%s: arrived as %s", name, m.text)
			}
			if m.body["from"] != "ann" || m.body["fromConnection"] != ann.hello["connection"] || m.body["to"] != nil || m.body[name] != nil || m.body["ts"].(float64) < 1e12 {
				t.Errorf("%s: arrived as %s", name, m.text)
			}
		}
	}
	ann.ask(`{"action":"chat","to":"bob","toConnection":%q,"id":"1"}`, bob.hello["connection"])
	if m := bob.want("chat"); len(m) != 4 {
		t.Errorf("got %v", m)
	}
	bobs.quiet()
	ann.refused("unreachable", `{"action":"chat","to":"bob","toConnection":"nobody"}`)
}

func TestOnlyWhoIsListedCanSignal(t *testing.T) {
	w := newWorld(t)
	w.list("ann", "bob") // which says nothing of whether bob wants to hear of ann
	ann, bob := w.connect("ann"), w.connect("bob")
	ann.refused("unreachable", `{"action":"sdp","to":"bob"}`)
	ann.refused("unreachable", `{"action":"sdp","to":"nobody"}`)
	bob.quiet()
	bob.ask(`{"action":"sdp","to":"ann","id":"1"}`)
	ann.want("sdp")
	w.list("bob", "ann")
	ann.ask(`{"action":"sdp","to":"bob","id":"1"}`)
	bob.want("sdp")
	if err := w.access.RemoveContact(t.Context(), person("bob"), person("ann").Key()); err != nil {
		t.Fatal(err)
	}
	ann.refused("unreachable", `{"action":"sdp","to":"bob"}`)
	ann.ask(`{"action":"sdp","to":"ann","id":"2"}`) // one's own devices
	ann.refused("no_destination", `{"action":"sdp"}`)
	ann.refused("call_not_found", `{"action":"sdp","callId":"c"}`)
}

func TestWhatOneSendsToAnotherStaysInOrder(t *testing.T) {
	w := newWorld(t, func(s *setup) {
		s.config.Relay, s.config.Queue = limit.Rate{Count: 1 << 20, Per: time.Second}, 32<<20
	})
	w.list("bob", "ann")
	ann, bob := w.connect("ann"), w.connect("bob")
	const n = 3000
	go func() {
		for i := range n {
			ann.send(fmt.Sprintf(`{"action":"x","to":"bob","payload":{"n":%d,"pad":%q}}`, i, strings.Repeat("p", i%7*300)))
		}
	}()
	for i := range n {
		if got := bob.want("x")["payload"].(map[string]any)["n"]; got != float64(i) {
			t.Fatalf("message %v, want %d", got, i)
		}
	}
}

func TestHostileMessagesAreAnsweredAndDoNoHarm(t *testing.T) {
	w := newWorld(t)
	w.list("bob", "ann")
	ann, bob := w.connect("ann"), w.connect("bob")
	for text, code := range map[string]string{
		`x`: "malformed", `{"action":"sdp","to":"bob","From":"x"}`: "malformed", `{"action":"sdp","to":1}`: "malformed", `{"action":"a","action":"b"}`: "malformed",
		strings.Repeat("[", 100_000): "malformed",
		`{"action":"hello"}`:         "unknown_action", `{"action":"error"}`: "unknown_action", `{"action":"resume"}`: "unknown_action", `{"action":"contacts.changed"}`: "unknown_action",
		`{"action":"call.nothing","callId":"c"}`: "unknown_action", `{"action":"room.nothing"}`: "unknown_action", `{"action":"room.roster"}`: "unknown_action",
		`{"action":"call.accept"}`: "no_destination", `{"action":"call.invite"}`: "no_destination", `{"action":"call.accept","callId":"c"}`: "call_not_found",
		`{"action":"call.invite","to":"ann"}`: "call_to_oneself", `{"action":"presence"}`: "malformed", `{"action":"presence","payload":{"status":"busy"}}`: "malformed",
		`{"action":"ack"}`: "malformed", `{"action":"ack","seq":-1}`: "malformed", `{"action":"room.join"}`: "malformed", `{"action":"room.join","payload":{"room":"x","secret":"y"}}`: "malformed",
		`{"action":"room.message","room":"x"}`: "not_in_room", `{"action":"sdp","room":"` + strings.Repeat("a", 26) + `","to":"bob"}`: "not_in_room",
		`{"action":"room.join","payload":{"room":"nowhere"}}`: "room_not_found",
		`{"action":"auth","payload":{"token":"nonsense"}}`:    "credentials_invalid", `{"action":"auth","payload":{"token":"` + w.tokens.issue(person("carl")) + `"}}`: "identity_changed",
	} {
		ann.refused(code, "%s", text)
	}
	bob.quiet()
	ann.ask(`{"action":"sdp","to":"bob","id":"%s"}`, strings.Repeat("i", 64))
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) {
			s.config.Relay, s.config.Calls = limit.Rate{Count: 10, Per: 10 * time.Second}, limit.Rate{Count: 2, Per: 2 * time.Second}
			s.config.MaxMessage, s.config.Connections = 2048, 2
		})
		w.list("bob", "ann")
		ann, bob := w.connect("ann"), w.connect("bob")
		for i := range 10 {
			ann.ask(`{"action":"x","to":"bob","id":"%d"}`, i)
		}
		ann.send(`{"action":"x","to":"bob","id":"late"}`)
		m := ann.want("error")
		if p := m["payload"].(map[string]any); p["code"] != "rate_limited" || p["retryAfter"] != 1.0 || m["ref"] != "late" {
			t.Errorf("got %v", m)
		}
		pass(time.Second)
		ann.ask(`{"action":"x","to":"bob","id":"again"}`)
		for range 11 {
			bob.want("x")
		}
		bob.quiet()

		pass(10 * time.Second)
		for range 2 {
			ann.refused("call_not_found", `{"action":"call.accept","callId":"c"}`)
		}
		ann.refused("rate_limited", `{"action":"call.accept","callId":"c"}`)

		second := w.connect("ann")
		third, _, err := w.dial("ann", as{})
		if err != nil {
			t.Fatal(err)
		}
		third.wantError("too_many_connections", "")
		third.wantClosed(4429)
		second.send(`{"action":"x","to":"bob","payload":"` + strings.Repeat("x", 2048) + `"}`)
		second.wantClosed(1009)

		for range 1100 { // as fast as it can
			if err := ann.conn.Write(context.Background(), websocket.MessageText, []byte(`{"action":"ping"}`)); err != nil {
				break
			}
		}
		ann.wantClosed(4429)
	})
}

func TestATokenExpires(t *testing.T) {
	until := func(name string, d time.Duration) usher.Identity {
		id := person(name)
		id.Expires = time.Now().Add(d)
		return id
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ann := w.connect("ann", with(w.tokens.issue(until("ann", 90*time.Second+700*time.Millisecond))))
		old := w.connect("ann", with(w.tokens.issue(until("ann", 90*time.Second))), legacy)
		if ann.hello["expiresIn"] != 90.0 {
			t.Errorf("the hello says %v", ann.hello)
		}
		pass(32 * time.Second)
		if m := ann.want("auth"); m["payload"].(map[string]any)["expiresIn"].(float64) > 60 {
			t.Errorf("told %v", m)
		}
		ann.send(`{"action":"auth","id":"r","payload":{"token":"` + w.tokens.issue(until("ann", 3*time.Minute)) + `"}}`)
		ann.want("auth")
		ann.want("ack")
		pass(59 * time.Second)
		old.wantClosed(4401)
		ann.quiet()
		pass(2 * time.Minute)
		ann.want("auth")
		pass(10 * time.Second)
		ann.wantClosed(4401)
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.config.TokenExpiry = "close" })
		ann := w.connect("ann", with(w.tokens.issue(until("ann", 70*time.Second))))
		ann.refused("renewal_off", `{"action":"auth","payload":{"token":"x"}}`)
		pass(72 * time.Second)
		ann.wantClosed(4401)
	})
}

func TestTheLimitsOfAWS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.config.Preset, s.config.Idle = "aws", time.Minute })
		silent, talks := w.connect("ann", legacy), w.connect("bob")
		if talks.hello["limits"].(map[string]any)["lifetime"] != 7200.0 {
			t.Errorf("the hello says %v", talks.hello)
		}
		for range 2 {
			pass(50 * time.Second)
			talks.quiet()
		}
		silent.wantClosed(1001) // it was not even pinged
		big := w.connect("ann", legacy)
		big.send(`{"action":"x","payload":"` + strings.Repeat("x", 128<<10) + `"}`)
		big.wantClosed(1009)
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.config.Lifetime = time.Minute })
		ann := w.connect("ann")
		pass(58 * time.Second)
		ann.quiet()
		pass(4 * time.Second)
		ann.wantClosed(1001)
		w.connect("ann", ann.resume(0)).quiet()
	})
}

func TestWhatIsRevokedIsClosedAndStaysOut(t *testing.T) {
	w := newWorld(t)
	token := w.tokens.issue(person("ann"))
	ann, old, bob := w.connect("ann", with(token)), w.connect("ann", legacy, with(token)), w.connect("bob")
	if _, err := w.access.Revoke(t.Context(), operator, access.Revocation{Target: usher.Target{Identity: person("ann").Key()}}); err != nil {
		t.Fatal(err)
	}
	ann.wantClosed(4403)
	old.wantClosed(4403)
	bob.quiet()
	back := func(n *node, what string) {
		t.Helper()
		if _, resp, _ := w.dial("ann", as{node: n, legacy: true, token: token}); resp == nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s, by the URL: %v, want 401", what, resp)
		}
		p, _, err := w.dial("ann", as{node: n, token: token})
		if err != nil {
			t.Fatal(err)
		}
		p.want("error")
		p.wantClosed(4401)
		again := as{node: n}
		ann.resume(0)(&again)
		if p, _, err = w.dial("ann", again); err != nil {
			t.Fatal(err)
		}
		p.wantClosed(4404)
	}
	back(w.node, "at once")
	w.stop()
	back(w.start(), "after a restart")
}

func TestOneWhoDoesNotReadHarmsNobody(t *testing.T) {
	w := newWorld(t, func(s *setup) {
		s.config.Relay = limit.Rate{Count: 1 << 20, Per: time.Second}
		s.config.Queue = 64 << 10
	})
	w.list("bob", "ann")
	ann, reads := w.connect("ann"), w.connect("bob")
	lazy, _, err := websocket.Dial(t.Context(), "ws://usher.test/signal?"+url.Values{"Auth": {w.tokens.issue(person("bob"))}}.Encode(), &websocket.DialOptions{HTTPClient: w.http})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lazy.CloseNow() }()
	const n = 200
	for range n {
		ann.send(`{"action":"x","to":"bob","payload":"` + strings.Repeat("x", 1000) + `"}`)
		reads.want("x")
	}
	heard := 0
	for {
		if _, _, err = lazy.Read(t.Context()); err != nil {
			break
		}
		heard++
	}
	if got := websocket.CloseStatus(err); got != 1013 || heard >= n {
		t.Errorf("who did not read heard %d messages and was closed with %d (%v), want 1013", heard, got, err)
	}
}
