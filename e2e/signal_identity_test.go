package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// ways are how somebody with a token connects.
func (s *Server) ways(token usher.Secret) map[string]client.SignalOptions {
	s.t.Helper()
	return map[string]client.SignalOptions{
		"the token in the URL":                 {InURL: true},
		"a ticket in the URL":                  {InURL: true, Ticket: s.ticket(token)},
		"the token in the first message":       {},
		"a ticket in the first message":        {Ticket: s.ticket(token)},
		"a page of ours, the token there":      {Origin: ownPage},
		"a page of ours, the token in the URL": {Origin: ownPage, InURL: true},
	}
}

func TestTheSocketKnowsTheUsersOfEveryIssuer(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newUserPool(t)
	c.addUser("ben@example.org")
	s := start(t, options{Config: trusting(p.entry(), c.entry()) + unlimited + "server: {origins: ['" + ownPage + "']}\n"})
	for issuer, users := range map[string][2]issuedTokens{
		p.url:      {p.signIn(clientID, "ann", audience), p.signIn(clientID, "ben", audience)},
		c.issuer(): {c.signIn(c.app), c.signInAs(c.app, "ben@example.org")},
	} {
		ann, ben := users[0], users[1]
		annID, _ := claimsOf(t, payloadOf(t, ann.ID))["sub"].(string)
		benID, _ := claimsOf(t, payloadOf(t, ben.ID))["sub"].(string)
		s.wantMutual(usher.Secret(ann.ID), usher.Secret(ben.ID))
		there := s.signal(usher.Secret(ben.Access), client.SignalOptions{})
		if got := there.Hello().UserID; got != benID {
			t.Errorf("ben of %s is %q to himself, want %q", issuer, got, benID)
		}
		for kind, token := range map[string]usher.Secret{"an ID token": usher.Secret(ann.ID), "an access token": usher.Secret(ann.Access)} {
			for way, o := range s.ways(token) {
				here := s.signal(token, o)
				payload := asPayload(t, kind+", "+way)
				here.ask(client.Message{Action: "greeting", To: benID, Payload: payload, From: "somebody else"})
				if m := there.hear("greeting"); m.From != annID || string(m.Payload) != string(payload) {
					t.Errorf("%s, %s: ben of %s hears %s from %q, want %q", kind, way, issuer, m.Payload, m.From, annID)
				}
				if o.Ticket != "" { // which was good for that one connection
					_, err := s.trySignal("", o)
					if o.InURL {
						wantStatus(t, way+", again", err, http.StatusUnauthorized)
					} else {
						wantCode(t, way+", again", err, 4401)
					}
				}
				for _, origin := range []string{"https://evil.example", "null", ownPage + ".evil.example"} {
					o.Origin, o.Ticket = origin, ""
					_, err := s.trySignal(token, o)
					wantStatus(t, "a page of "+origin, err, http.StatusForbidden)
				}
				if err := here.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func TestHostileTokensAreRefusedAtTheSocket(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newUserPool(t)
	s := start(t, options{Config: trusting(p.entry(), c.entry()) + videoChat + unlimited})
	tests, genuine := hostileTokens(t, p, c)
	tests["nothing"] = hostileToken{}
	for name, test := range tests {
		token := usher.Secret(test.token)
		_, err := s.trySignal(token, client.SignalOptions{InURL: true})
		wantStatus(t, name+" in the URL", err, http.StatusUnauthorized)
		_, err = s.trySignal(token, client.SignalOptions{})
		wantCode(t, name+" in the first message", err, 4401)
		if token == "" {
			continue
		}
		_, err = s.trySignal("", client.SignalOptions{InURL: true, Ticket: token})
		wantStatus(t, name+" as a ticket in the URL", err, http.StatusUnauthorized)
		_, err = s.trySignal("", client.SignalOptions{Ticket: token})
		wantCode(t, name+" as a ticket", err, 4401)
		_, err = s.trySignal("", client.SignalOptions{Resume: token})
		wantCode(t, name+" to resume with", err, 4404)
	}
	if n := s.metric("usher_signaling_connections"); n != 0 {
		t.Errorf("%d connections were let in", n)
	}
	s.signal(usher.Secret(genuine), client.SignalOptions{InURL: true})
	until(t, "the genuine one is not counted", socketTime, func() bool { return s.metric("usher_signaling_connections") == 1 })
}

// A token's end is far enough for a busy machine to do all before it.
const shortLife = 20 * time.Second

func TestATokenThatExpiresEndsItsConnectionUnlessItIsRenewed(t *testing.T) {
	t.Parallel()
	for policy, renews := range map[string]bool{"renew": true, "close": false} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			s := start(t, options{Config: trusting(i.entry()+"    leeway: 1s\n") + "signaling: {tokenExpiry: " + policy + "}\n"})
			short := func(name string) usher.Secret {
				return usher.Secret(s.Secret(i.token(name, claims{"exp": time.Now().Add(shortLife).Unix()}).Reveal()))
			}
			ending := map[string]signalConn{
				"in the URL":           s.signal(short("ann"), client.SignalOptions{InURL: true}),
				"in the first message": s.signal(short("ann"), client.SignalOptions{}),
			}
			going := s.signal(short("ann"), client.SignalOptions{})
			if left := going.Hello().ExpiresIn; left <= 0 || left > int((shortLife+2*time.Second).Seconds()) {
				t.Errorf("the connection is told that its token is good for %v s", left)
			}
			with := func(token usher.Secret) client.Message {
				return client.Message{Action: "auth", Payload: asPayload(t, map[string]string{"token": s.Secret(token.Reveal())})}
			}
			if renews {
				var told struct{ ExpiresIn int }
				if err := json.Unmarshal(going.hear("auth").Payload, &told); err != nil || told.ExpiresIn <= 0 {
					t.Errorf("the connection is told that its token will expire in %v s, error %v", told.ExpiresIn, err)
				}
				going.refused("identity_changed", with(i.token("ben")))
				going.refused("credentials_invalid", with("nonsense"))
				going.ask(with(i.token("ann")))
			} else {
				going.refused("renewal_off", with(i.token("ann")))
				ending["not renewed"] = going
			}
			for name, c := range ending {
				if got := c.closing(time.Minute); got != 4401 {
					t.Errorf("%s: closed with %d, want 4401", name, got)
				}
			}
			if renews {
				if err := going.Send(within(t, socketTime), client.Message{Action: "ping"}); err != nil {
					t.Fatal(err)
				}
				going.hear("pong")
			}
		})
	}
}

func TestTheURLOfAConnectionIsInNoLog(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry())})
	s.signal(i.token("ann"), client.SignalOptions{InURL: true})
	s.signal(i.token("ann"), client.SignalOptions{InURL: true, Ticket: s.ticket(i.token("ann"))})
	s.Stop()
	if text := string(s.output.Bytes()); strings.Contains(text, "Auth=") || strings.Contains(text, "ticket=") || !strings.Contains(text, "/signal") {
		t.Errorf("the log tells the wrong things of the connections:\n%s", s.output.tail())
	}
}
