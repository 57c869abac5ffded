package janus_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/janus"
)

// mint issues a token that is good for a while from now, by the system's clock.
func mint(t *testing.T, p *janus.Platform, format, room string, lifetime time.Duration) string {
	t.Helper()
	now := time.Now()
	return issue(t, p, platform.Request{
		Grant:  usher.Grant{Room: room, Permissions: usher.BuiltinRoles()[usher.Speaker], Expires: now.Add(lifetime)},
		Format: format, Now: now,
	}).Token.Reveal()
}

// expired is a token that was good until three seconds ago.
func expired(t *testing.T, p *janus.Platform, format, room string) string {
	t.Helper()
	then := time.Now().Add(-time.Minute)
	return issue(t, p, platform.Request{
		Grant:  usher.Grant{Room: room, Permissions: usher.AllPermissions, Expires: time.Now().Add(-3 * time.Second)},
		Format: format, Now: then,
	}).Token.Reveal()
}

func TestRealJanusHoldsOurTokens(t *testing.T) {
	s := startJanus(t)
	p := s.platform(t)
	foreign := s.platform(t, func(c *janus.Config) { c.TokenAuthSecret = "a secret of somebody else" })
	const room, other = "stand-up", "stand-up-2"
	for _, name := range []string{room, other} {
		if err := p.OpenRoom(bounded(t), name); err != nil {
			t.Fatal(err)
		}
	}
	good, ticket := mint(t, p, "core", room, time.Minute), mint(t, p, "videoroom", room, time.Minute)

	for name, test := range map[string]struct {
		token string
		code  int
	}{
		"a core token":                       {good, 0},
		"none":                               {"", 403},
		"one that has expired":               {expired(t, p, "core", room), 403},
		"one by another secret":              {mint(t, foreign, "core", room, time.Minute), 403},
		"one that was made to last":          {"9" + good, 403},
		"one for a room, instead":            {ticket, 403},
		"a permission token, instead":        {mint(t, newPlatform(t, config()), "sfu", room, time.Minute), 403},
		"one of which the end was cut off":   {good[:len(good)-1], 403},
		"one with white space after it":      {good + " ", 403},
		"one with another plugin written in": {strings.Replace(good, "janus.plugin.videoroom", "janus.plugin.streaming", 1), 403},
	} {
		if got := s.browser(t).enter(test.token); got != test.code {
			t.Errorf("a session with %s: got %d, want %d", name, got, test.code)
		}
	}

	for name, test := range map[string]struct {
		token string
		code  int
	}{
		"the room's token":         {ticket, 0},
		"none":                     {"", 433},
		"one that has expired":     {expired(t, p, "videoroom", room), 433},
		"one by another secret":    {mint(t, foreign, "videoroom", room, time.Minute), 433},
		"one for another room":     {mint(t, p, "videoroom", other, time.Minute), 433},
		"one for half of its name": {mint(t, p, "videoroom", room[:5], time.Minute), 433},
		"a core token":             {good, 433},
	} {
		b := s.browser(t)
		if code := b.enter(good); code != 0 {
			t.Fatalf("a session: %d", code)
		}
		if _, got := b.join(good, room, test.token, "alice"); got != test.code {
			t.Errorf("a join with %s: got %d, want %d", name, got, test.code)
		}
		b.ask(good, map[string]any{"janus": "destroy"})
	}
}

func TestRealJanusHoldsTheLongestNames(t *testing.T) {
	s := startJanus(t)
	p := s.platform(t)
	good := mint(t, p, "core", "any", time.Minute)
	for _, room := range []string{strings.Repeat("a", 94), "stand-up", "caf\u00e9", "a b", "a.b=c;d|e/f\\g", `"quoted"`, "1234", "room=x"} {
		if err := p.OpenRoom(bounded(t), room); err != nil {
			t.Errorf("%q: %v", room, err)
			continue
		}
		b := s.browser(t)
		b.enter(good)
		if _, code := b.join(good, room, mint(t, p, "videoroom", room, time.Minute), "alice"); code != 0 {
			t.Errorf("%q can't be entered with its token: %d", room, code)
		}
	}
}

func TestRealJanusRoomsAreLookedAfter(t *testing.T) {
	for name, change := range map[string]func(*server){
		"rooms with names":   func(*server) {},
		"rooms with numbers": func(s *server) { s.NumericRooms = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := startJanus(t, change)
			p := s.platform(t, func(c *janus.Config) { c.NumericRooms = s.NumericRooms })
			opened, err := p.Open(bounded(t))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(opened.Body), `"created"`) || !strings.Contains(string(opened.Body), opened.Room) {
				t.Errorf("Janus answered %s for the room %s", opened.Body, opened.Room)
			}
			lookAfter(t, s, p, opened.Room)
		})
	}
}

// lookAfter has two come into a room, puts one out and ends it.
func lookAfter(t *testing.T, s server, p *janus.Platform, room string) {
	count := func(want int) {
		t.Helper()
		if got, err := p.Count(bounded(t), room); got != want || err != nil {
			t.Errorf("%d are in the room, %v, want %d", got, err, want)
		}
	}
	count(0)
	good := mint(t, p, "core", room, time.Minute)
	alice, bob := s.browser(t), s.browser(t)
	for i, b := range []*browser{alice, bob} {
		if code := b.enter(good); code != 0 {
			t.Fatalf("a session: %d", code)
		}
		if code := b.joinAs(p, good, room, i+1); code != 0 {
			t.Fatalf("a join: %d", code)
		}
	}
	count(2)
	if err := p.OpenRoom(bounded(t), room); err != nil {
		t.Errorf("a room that is open is opened again: %v", err)
	}
	count(2)
	for range 2 { // gone already is no error
		if err := p.Eject(bounded(t), room, "1"); err != nil {
			t.Error(err)
		}
		count(1)
	}
	if a, _ := alice.ask(good, map[string]any{"janus": "keepalive"}); a.Janus != "ack" {
		t.Errorf("the session of who was ejected: %+v", a)
	}
	if !slices.ContainsFunc(alice.events, func(e string) bool { return strings.Contains(e, `"kicked"`) }) {
		t.Errorf("who was ejected was told %q", alice.events)
	}
	for range 2 {
		if err := p.CloseRoom(bounded(t), room); err != nil {
			t.Error(err)
		}
		count(0)
	}
	if code := alice.joinAs(p, good, room, 3); code != 426 {
		t.Errorf("a room that was closed is entered: %d", code)
	}
	if err := p.Eject(bounded(t), room, "2"); err != nil {
		t.Errorf("from a room that is gone: %v", err)
	}
}

// joinAs joins with a number for an id, which is right for both sorts of room.
func (b *browser) joinAs(p *janus.Platform, token, room string, id int) int {
	b.t.Helper()
	var name, number any = room, id
	if len(room) < 20 { // a room with a number, as Open makes them
		name = numeral(room)
	} else {
		number = string(rune('0' + id))
	}
	handle, code := b.attach(token)
	if code != 0 {
		return code
	}
	a, code := b.ask(token, map[string]any{"janus": "message", "handle_id": handle, "body": map[string]any{
		"request": "join", "ptype": "publisher", "room": name, "id": number, "token": mint(b.t, p, "videoroom", room, time.Minute),
	}})
	if code != 0 {
		return code
	}
	return pluginCode(b.t, a)
}

func TestRealJanusRoomsOfOthers(t *testing.T) {
	s := startJanus(t)
	p := s.platform(t)
	stranger := s.platform(t, func(c *janus.Config) { c.TokenAuthSecret = "a secret of somebody else" })
	if err := stranger.OpenRoom(bounded(t), "theirs"); err != nil {
		t.Fatal(err)
	}
	if err := p.OpenRoom(bounded(t), "theirs"); !errors.Is(err, &usher.Error{Kind: usher.Conflict, Code: "janus_room_foreign"}) {
		t.Errorf("a room of somebody else is taken for ours: %v", err)
	}
	if err := p.CloseRoom(bounded(t), "theirs"); !errors.Is(err, &usher.Error{Kind: usher.Upstream, Code: "janus_refused"}) {
		t.Errorf("a room of somebody else is closed: %v", err)
	}
	for name, change := range map[string]func(*janus.Config){
		"the admin_secret": func(c *janus.Config) { c.AdminSecret = "not-the-admin-secret" },
		"the admin_key":    func(c *janus.Config) { c.AdminKey = "not-the-admin-key" },
	} {
		_, err := s.platform(t, change).Open(bounded(t))
		if !errors.Is(err, &usher.Error{Kind: usher.Upstream, Code: "janus_refused"}) {
			t.Errorf("without %s: %v", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "not-the-admin") || strings.Contains(err.Error(), "canary")) {
			t.Errorf("there is a secret in %v", err)
		}
	}
}

// TestRealJanusSessionOutlivesItsTokens renews tokens of two seconds each second,
// beside a session that keeps its first one and ends by it.
func TestRealJanusSessionOutlivesItsTokens(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s")
	}
	const lifetime, lives = 2 * time.Second, 8
	const firstLifetime = 5 * time.Second
	s := startJanus(t)
	p := s.platform(t)
	if err := p.OpenRoom(bounded(t), "long"); err != nil {
		t.Fatal(err)
	}
	first := mint(t, p, "core", "long", firstLifetime)
	renews, stops := s.browser(t), s.browser(t)
	for name, b := range map[string]*browser{"renews": renews, "stops": stops} {
		if code := b.enter(first); code != 0 {
			t.Fatalf("%s: a session: %d", name, code)
		}
		if _, code := b.join(first, "long", mint(t, p, "videoroom", "long", firstLifetime), name); code != 0 {
			t.Fatalf("%s: a join: %d", name, code)
		}
	}
	tick := time.NewTicker(lifetime / 2)
	defer tick.Stop()
	refused := 0
	for range 2 * lives {
		<-tick.C
		if a, code := renews.ask(mint(t, p, "core", "long", lifetime), map[string]any{"janus": "keepalive"}); a.Janus != "ack" {
			t.Fatalf("who renews is refused: %d", code)
		}
		if _, code := stops.ask(first, map[string]any{"janus": "keepalive"}); code == 403 {
			refused++
		}
	}
	if refused < lives {
		t.Errorf("who does not renew was refused %d times of %d", refused, 2*lives)
	}
	if n, err := p.Count(bounded(t), "long"); n != 1 || err != nil {
		t.Errorf("%d are in the room after %v, %v, want who renews", n, lives*lifetime, err)
	}
	// A new handle, as each new participant needs, goes by the token of the day.
	if _, code := renews.join(mint(t, p, "core", "long", lifetime), "long", mint(t, p, "videoroom", "long", lifetime), "again"); code != 0 {
		t.Errorf("who renews can't join again: %d", code)
	}
	if _, code := renews.attach(first); code != 403 {
		t.Errorf("the first token is still good: %d", code)
	}
}
