package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"usher"
	"usher/client"
)

// held is everything that somebody can have of a room.
type held struct {
	name  string
	key   string // of the identity
	token usher.Secret
	room  string
	// unclaimed and renewed are places with secrets, the second of them new
	// from the room's host; replayed is a place that its idempotency key gives
	// again.
	unclaimed, renewed, replayed place
	// seated was claimed and never connected; connected has an open socket.
	seated    seat
	connected *socketConn
}

const replayKey = "the same again"

// hold lets the bearer of a token have all of it. The room belongs to host.
func (s *Server) hold(name string, token usher.Secret, room string, host *client.API) *held {
	s.t.Helper()
	s.Secret(token.Reveal())
	ctx := within(s.t, time.Minute)
	api := s.as(token)
	me, err := api.Me(ctx)
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	h := &held{name: name, key: me.Key, token: token, room: room}
	add := func(options ...client.Option) place {
		s.t.Helper()
		made, err := api.AddParticipant(ctx, room, client.AddParticipantRequest{}, options...)
		if err != nil {
			s.t.Fatalf("%s: %v", name, err)
		}
		return place{room, string(made.ID), s.Secret(made.Secret.Reveal())}
	}
	h.unclaimed, h.renewed, h.replayed = add(), add(), add(client.IdempotencyKey(replayKey))
	renewed, err := host.RenewSecret(ctx, room, usher.ID(h.renewed.Participant))
	if err != nil {
		s.t.Fatalf("%s: renew: %v", name, err)
	}
	h.renewed.Secret = s.Secret(renewed.Secret.Reveal())
	h.seated = s.joined(add())
	h.connected = dialSeat(s.t, s, s.joined(add()))
	h.connected.authenticate(s.t)
	return h
}

// closing returns what will tell when a socket was closed and with which code.
func (c *socketConn) closing() <-chan closed {
	told := make(chan closed, 1)
	go func() {
		code := c.untilClosed()
		told <- closed{code, time.Now()}
	}()
	return told
}

type closed struct {
	code int
	at   time.Time
}

// wantOut checks that an open socket is closed for good, within a second of
// the answer that said that all is taken.
func wantOut(t *testing.T, told <-chan closed, taken time.Time) {
	t.Helper()
	got := <-told
	if !finalCode(got.code) || got.code == 1000 {
		t.Errorf("the open socket was closed with %d, after which the SDK comes back or takes it for its own end", got.code)
	}
	// It takes milliseconds; the bound leaves room for a machine that is busy.
	if late := got.at.Sub(taken); late > 10*time.Second {
		t.Errorf("the open socket was closed %v after the answer", late)
	}
}

// wantNothing checks that nothing of what was held opens anything.
func (h *held) wantNothing(t *testing.T, s *Server, host *client.API) {
	t.Helper()
	ctx := within(t, time.Minute)
	for what, p := range map[string]place{"the secret of a place": h.unclaimed, "a renewed secret": h.renewed, "a secret that can be had again": h.replayed} {
		_, err := s.as("").Claim(ctx, usher.ID(p.Room), usher.ID(p.Participant), usher.Secret(p.Secret))
		if got := refusedWith(err); got != "participant_not_found" && got != "room_ended" {
			t.Errorf("%s: a claim got the error %v", what, err)
		}
		if a, err := s.join(p); err != nil || a.Status != http.StatusNotFound && a.Status != http.StatusGone {
			t.Errorf("%s: a join got status %d and error %v: %s", what, a.Status, err, a.Body)
		}
	}
	for what, at := range map[string]seat{"a seat": h.seated, "a seat that was connected": h.connected.seat} {
		c, err := dial(s, at)
		if err != nil {
			continue // not even a connection
		}
		if m, err := c.tryAuthenticate(); err == nil && m.Type == "success" {
			t.Errorf("%s: its token still opens a connection", what)
		}
		_ = c.conn.CloseNow()
		if a, err := s.join(at.place); err != nil || a.Status != http.StatusNotFound && a.Status != http.StatusGone {
			t.Errorf("%s: its secret, used before, got status %d and error %v: %s", what, a.Status, err, a.Body)
		}
	}
	// The host can't bring it back by renewing the secret.
	if renewed, err := host.RenewSecret(ctx, h.room, usher.ID(h.unclaimed.Participant)); err == nil {
		p := place{h.room, h.unclaimed.Participant, s.Secret(renewed.Secret.Reveal())}
		if a, err := s.join(p); err != nil || a.Status != http.StatusNotFound {
			t.Errorf("a secret renewed since: got status %d and error %v: %s", a.Status, err, a.Body)
		}
	}
}

// wantNoEntry checks that the token makes no place in the room any more, not
// even one that it made before.
func (h *held) wantNoEntry(t *testing.T, s *Server, code string) {
	t.Helper()
	for what, options := range map[string][]client.Option{"a new place": nil, "an earlier place again": {client.IdempotencyKey(replayKey)}} {
		_, err := s.as(h.token).AddParticipant(within(t, time.Minute), h.room, client.AddParticipantRequest{}, options...)
		if got := refusedWith(err); got != code {
			t.Errorf("%s: got the error %v, want %s", what, err, code)
		}
	}
}

// routes are all of the native API, from the description that the server serves.
func (s *Server) routes() [][2]string {
	s.t.Helper()
	var spec struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	_, host := s.apiKey(nil)
	a := s.must(http.StatusOK, http.MethodGet, "/api/v1/openapi.yaml", "", bearer(host.Reveal())...)
	if err := yaml.Unmarshal([]byte(a.Body), &spec); err != nil {
		s.t.Fatal(err)
	}
	var routes [][2]string
	for path, operations := range spec.Paths {
		for method := range operations {
			if method = strings.ToUpper(method); strings.Contains("GET POST PUT PATCH DELETE", method) {
				routes = append(routes, [2]string{method, path})
			}
		}
	}
	if len(routes) < 20 {
		s.t.Fatalf("only %d routes were found", len(routes))
	}
	return routes
}

// wantNoRoute checks that the token is refused on every route that asks who calls.
func (h *held) wantNoRoute(t *testing.T, s *Server) {
	t.Helper()
	fill := strings.NewReplacer("{room}", h.room, "{participant}", h.unclaimed.Participant, "{member}", url.PathEscape(h.key),
		"{invite}", h.room, "{ban}", h.room, "{client}", h.room, "{decision}", h.room, "{kid}", h.room)
	for _, r := range append(s.routes(), [2]string{"GET", "/metrics"}, [2]string{"POST", "/meetings"}, [2]string{"POST", "/v1/meetings"}) {
		switch r[1] {
		case "/api/v1/invites/redeem", "/api/v1/rooms/{room}/participants/{participant}/claim", "/dev/login", "/api/v1/web/config":
			continue // anybody may call these
		}
		a := s.do(r[0], fill.Replace(r[1]), "{}", append(bearer(h.token.Reveal()), asJSON...)...)
		if a.Status != http.StatusUnauthorized {
			t.Errorf("%s %s: got status %d: %.200s", r[0], r[1], a.Status, a.Body)
		}
	}
}

// Nothing that was held works after what took it was acknowledged, although the
// server was killed at that moment.
func TestWhatWasTakenStaysTakenWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	// Development mode has every kind of caller, those of an issuer included.
	dir := t.TempDir()
	file := filepath.Join(dir, "usher.yaml")
	if err := os.WriteFile(file, []byte(trusting(i.entry())), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, options{Dir: dir, Args: []string{"--config", file}})
	operator := s.operator()
	hostID, hostKey := s.apiKey(nil)
	host := s.as(hostKey)
	open := func() string {
		t.Helper()
		return s.must(http.StatusCreated, http.MethodPost, "/api/v1/rooms", `{"admission":"open"}`, append(bearer(hostKey.Reveal()), asJSON...)...).text(t, "id")
	}
	user := func(name string) func(string) *held {
		return func(room string) *held { return s.hold(name, i.token(name), room, host) }
	}
	developer := func(room string) *held { return s.hold("dev", s.devLogin("Dev"), room, host) }
	guest := func(room string) *held {
		invite, err := host.CreateInvite(within(t, time.Minute), room, client.CreateInviteRequest{})
		if err != nil {
			t.Fatal(err)
		}
		redeemed, err := s.as("").Redeem(within(t, time.Minute), client.RedeemRequest{Code: invite.Code, Name: "Guest"})
		if err != nil {
			t.Fatal(err)
		}
		s.Secret(invite.Code.Reveal())
		return s.hold("guest", redeemed.Token, room, host)
	}
	// A back end holds places in a room of its own.
	backEndOf := func(token usher.Secret) *held {
		own, err := s.as(token).CreateRoom(within(t, time.Minute), client.CreateRoomRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return s.hold("back end", token, string(own.ID), s.as(token))
	}
	withKey := func(string) *held {
		_, key := s.apiKey(usher.AllScopes)
		return backEndOf(key)
	}
	withToken := func(string) *held {
		token, err := s.newBackEnd().token()
		if err != nil {
			t.Fatal(err)
		}
		return backEndOf(token)
	}
	ban := func(ctx context.Context, h *held) error {
		_, err := host.Ban(ctx, h.room, client.BanRequest{Identity: h.key, Reason: "enough"})
		return err
	}
	banPlace := func(ctx context.Context, h *held) error {
		_, err := host.Ban(ctx, h.room, client.BanRequest{Participant: usher.ID(h.seated.Participant)})
		return err
	}
	revoke := func(req func(h *held) client.RevokeRequest) func(context.Context, *held) error {
		return func(ctx context.Context, h *held) error {
			_, err := operator.Revoke(ctx, req(h))
			return err
		}
	}
	identity := revoke(func(h *held) client.RevokeRequest { return client.RevokeRequest{Identity: h.key} })
	forever := revoke(func(h *held) client.RevokeRequest { return client.RevokeRequest{Identity: h.key, Forever: true} })
	ofClient := revoke(func(h *held) client.RevokeRequest {
		return client.RevokeRequest{Client: usher.ID(strings.TrimPrefix(h.key, "client:"))}
	})
	ofRoom := revoke(func(h *held) client.RevokeRequest { return client.RevokeRequest{Room: h.room} })

	for _, test := range []struct {
		name  string
		holds func(room string) *held
		take  func(context.Context, *held) error
		// entry is the code with which entering is refused; empty where it is not.
		entry string
		// known says that the token is still one of a known caller.
		known bool
	}{
		{"a user is banned", user("banned"), ban, "banned", true},
		{"a user is banned by a place that it has", user("place"), banPlace, "banned", true},
		{"a developer is banned", developer, ban, "banned", true},
		{"a guest is banned", guest, ban, "banned", true},
		{"a user's identity is revoked", user("revoked"), identity, "revoked", false},
		{"a user's identity is revoked for ever", user("forever"), forever, "revoked", false},
		{"a developer's identity is revoked", developer, identity, "revoked", false},
		{"a guest's identity is revoked", guest, identity, "revoked", false},
		{"a guest's room is revoked", guest, ofRoom, "revoked", false},
		{"a user's room is revoked", user("room"), ofRoom, "", true},
		{"a back end with a key is revoked", withKey, ofClient, "revoked", false},
		{"a back end with a token is revoked", withToken, ofClient, "revoked", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := test.holds(open())
			owner := host
			if strings.HasPrefix(h.key, "client:") {
				owner = operator // its own token is gone
			}
			told := h.connected.closing()
			if err := test.take(within(t, time.Minute), h); err != nil {
				t.Fatal(err)
			}
			wantOut(t, told, time.Now())
			s.Kill()
			s.Restart()
			h.wantNothing(t, s, owner)
			if test.entry != "" {
				h.wantNoEntry(t, s, test.entry)
			}
			if !test.known {
				h.wantNoRoute(t, s)
			}
		})
	}

	t.Run("at the moment of the answer", func(t *testing.T) {
		h := user("moment")(open())
		if err := ban(within(t, time.Minute), h); err != nil {
			t.Fatal(err)
		}
		s.Kill()
		s.Restart()
		h.wantNothing(t, s, host)
		h.wantNoEntry(t, s, "banned")
	})

	t.Run("one grant is taken, and the others stay", func(t *testing.T) {
		h := user("grants")(open())
		var last usher.ID
		for _, e := range s.recorded(5, client.EventQuery{Type: usher.Decided, Who: h.key}) {
			if e.Decision.Action == "room.enter" && e.Decision.Allowed {
				last = e.ID
			}
		}
		told := h.connected.closing()
		if _, err := operator.Revoke(within(t, time.Minute), client.RevokeRequest{Grant: last}); err != nil {
			t.Fatal(err)
		}
		wantOut(t, told, time.Now())
		s.Kill()
		s.Restart()
		if a, err := s.join(h.unclaimed); err != nil || a.Status != http.StatusOK {
			t.Errorf("another grant's secret: got status %d and error %v", a.Status, err)
		}
		if m, err := dialSeat(t, s, h.connected.seat).tryAuthenticate(); err == nil && m.Type == "success" {
			t.Error("the token of the grant still opens a connection")
		}
	})

	t.Run("what comes after it is good", func(t *testing.T) {
		room := open()
		h := s.hold("later", i.token("later"), room, host)
		if err := identity(within(t, time.Minute), h); err != nil {
			t.Fatal(err)
		}
		again := i.token("later", claims{"iat": time.Now().Add(2 * time.Second).Unix()})
		if _, err := s.as(again).AddParticipant(within(t, time.Minute), room, client.AddParticipantRequest{}); err != nil {
			t.Errorf("a token that was issued since: %v", err)
		}
		never := user("never")(room)
		if err := forever(within(t, time.Minute), never); err != nil {
			t.Fatal(err)
		}
		never.token = i.token("never", claims{"iat": time.Now().Add(2 * time.Second).Unix()})
		never.wantNoEntry(t, s, "revoked")
	})

	t.Run("a ban ends when it is lifted, and what it took stays taken", func(t *testing.T) {
		h := user("lifted")(open())
		if err := ban(within(t, time.Minute), h); err != nil {
			t.Fatal(err)
		}
		if err := host.UnbanIdentity(within(t, time.Minute), h.room, client.UnbanRequest{Identity: h.key}); err != nil {
			t.Fatal(err)
		}
		h.wantNothing(t, s, host)
		s.Kill()
		s.Restart()
		h.wantNothing(t, s, host)
		if _, err := s.as(h.token).AddParticipant(within(t, time.Minute), h.room, client.AddParticipantRequest{}); err != nil {
			t.Errorf("who is banned no more asks again: %v", err)
		}
	})

	// Until now the host could do all of it. Its own key is void too, now.
	if _, err := operator.Revoke(within(t, time.Minute), client.RevokeRequest{Client: hostID}); err != nil {
		t.Fatal(err)
	}
	if _, err := host.Me(within(t, time.Minute)); err == nil {
		t.Error("the host's key is revoked, and still good")
	}
	rotated, err := operator.RotateClient(within(t, time.Minute), hostID, client.RotateClientRequest{APIKey: true})
	if err != nil {
		t.Fatal(err)
	}
	if me, err := s.as(rotated.APIKey).Me(within(t, time.Minute)); err != nil || me.Key != fmt.Sprintf("client:%s", hostID) {
		t.Errorf("with a new key the host is %+v, error %v", me, err)
	}
}
