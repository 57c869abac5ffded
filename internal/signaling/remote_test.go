package signaling_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/signaling"
)

func TestRemoteMessagesAreRelayedByTheRulesOfTheHub(t *testing.T) {
	c := newCloud(t)
	c.friends("ann", "bob")
	ann, bob, phone := c.connect("ann"), c.connect("bob"), c.connect("bob")
	ann.want("presence")
	bob.take()
	ann.send(`{"action":"sdp","to":"bob","from":"mallory","id":"1","payload":{ "a" : [1,2] },"extra":"x"}`)
	ann.want("ack")
	for _, p := range []*remotePeer{bob, phone} {
		heard := p.take()
		if len(heard) != 1 {
			t.Fatalf("%s heard %v", p.id, heard)
		}
		text, m := heard[0].text, heard[0].body
		if !strings.HasSuffix(text, `"payload":{ "a" : [1,2] },"extra":"x"}`) || m["from"] != "ann" || m["fromConnection"] != ann.id || m["to"] != nil || m["id"] != nil || m["ts"] == nil {
			t.Errorf("bob was sent %s", text)
		}
	}
	ann.send(`{"action":"chat","toUserId":"bob","toConnection":%q}`, phone.id)
	ann.want()
	bob.want()
	phone.want("chat")

	carl := c.connect("carl")
	carl.send(`{"action":"sdp","to":"bob","id":"1"}`)
	carl.wantError("unreachable")
	ann.send(`{"action":"sdp","to":"nobody"}`)
	ann.wantError("unreachable")
	ann.send(`{"action":"sdp"}`)
	ann.wantError("no_destination")
	ann.send(`nonsense`)
	ann.wantError("malformed")
	ann.send("{\"action\":\"chat\",\"to\":\"bob\",\"payload\":\"\xff\"}")
	ann.wantError("malformed")
	ann.send(`{"action":"chat","to":"bob","payload":%q}`, strings.Repeat("x", 128<<10))
	ann.wantError("malformed")
	ann.send(`{"action":"room.join","payload":{"room":"x"}}`)
	ann.wantError("rooms_unavailable")
	ann.send(`{"action":"room.message","room":"x"}`)
	ann.wantError("rooms_unavailable")
	ann.send(`{"action":"resume","payload":{"token":"x"}}`)
	ann.wantError("unknown_action")
	bob.want()
	phone.want()
}

func TestRemotePresenceIsToldToMutualContacts(t *testing.T) {
	c := newCloud(t)
	c.friends("ann", "bob")
	c.list("carl", "bob")
	ann, carl := c.connect("ann"), c.connect("carl")
	bob := c.connect("bob")
	ann.wantStatus("bob", "online")
	phone := c.connect("bob")
	ann.want() // no news
	if !c.online("ann", "bob") || c.online("carl", "bob") {
		t.Error("who is online to whom is wrong")
	}
	bob.send(`{"action":"presence","payload":{"status":"away"},"id":"1"}`)
	bob.want("ack")
	ann.want()
	phone.send(`{"action":"presence","payload":{"status":"away"}}`)
	ann.wantStatus("bob", "away")
	bob.send(`{"action":"presence","payload":{"status":"online"}}`)
	ann.wantStatus("bob", "online")
	bob.leave(true)
	ann.wantStatus("bob", "away")
	phone.leave(true)
	ann.wantStatus("bob", "offline")
	if c.online("ann", "bob") {
		t.Error("bob is online still")
	}
	carl.want()
	c.wantRows("bob", 0)
}

func TestRemoteDevicesThatComeAndGoAtOnce(t *testing.T) {
	c := newCloud(t)
	c.friends("ann", "bob")
	ann := c.connect("ann")
	for range 10 {
		peers := make([]*remotePeer, 4)
		var wg sync.WaitGroup
		for i := range peers {
			peers[i] = &remotePeer{c: c, name: "bob", id: fmt.Sprintf("bob%d=", i), made: true}
			c.conns[peers[i].id] = peers[i]
		}
		for i, p := range peers {
			wg.Go(func() {
				if err := c.all[i%3].remote.Connect(t.Context(), p.event(""), person("bob"), nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		ann.wantLast("bob", "online")
		for i, p := range peers {
			wg.Go(func() {
				if err := c.all[i%3].remote.Disconnect(t.Context(), p.event("")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		ann.wantLast("bob", "offline")
	}
}

// What one event tells may arrive after what a later one has told.
func TestTheLastThatIsToldOfSomebodyIsTrue(t *testing.T) {
	c := newCloud(t)
	c.friends("ann", "bob")
	ann, bob := c.connect("ann"), c.connect("bob")
	ann.take()
	again := &remotePeer{c: c, name: "bob", id: "again=", made: true}
	c.conns[again.id] = again
	var late atomic.Bool
	c.before = func(connection string) {
		// The first to tell ann anything is held up until bob is back, and ann told.
		if connection == ann.id && late.CompareAndSwap(false, true) {
			if err := c.all[0].remote.Connect(t.Context(), again.event(""), person("bob"), nil); err != nil {
				t.Error(err)
			}
		}
	}
	bob.leave(true)
	ann.wantLast("bob", "online")
}

// wantLast checks what somebody heard last of another.
func (p *remotePeer) wantLast(of, status string) {
	p.c.t.Helper()
	heard := p.take()
	if len(heard) == 0 {
		p.c.t.Fatalf("%s heard nothing, want that %s is %s", p.name, of, status)
	}
	if got := heard[len(heard)-1].body["payload"].(map[string]any); got["userId"] != of || got["status"] != status {
		p.c.t.Errorf("%s heard %v, want that %s is %s", p.name, heard, of, status)
	}
}

func TestRemoteCalls(t *testing.T) {
	c := newCloud(t)
	c.friends("ann", "bob")
	c.friends("bob", "eve")
	eve := c.connect("eve")
	ann, bob, phone := c.connect("ann"), c.connect("bob"), c.connect("bob")
	for _, p := range []*remotePeer{ann, bob, eve} {
		p.take()
	}
	ann.send(`{"action":"call.invite","to":"bob","callId":"c1","id":"1","payload":{"media":{"audio":true}}}`)
	if p := ann.want("ack")["payload"].(map[string]any); p["state"] != "ringing" {
		t.Errorf("the ack has %v", p)
	}
	for _, p := range []*remotePeer{bob, phone} {
		if call := callOf(t, p.want("call.invite"), "ann", "c1"); call["name"] != "Ann" {
			t.Errorf("bob was told %v", call)
		}
	}
	eve.want() // who is only rung is not busy
	bob.send(`{"action":"call.ringing","callId":"c1"}`)
	ann.want("call.ringing")
	phone.send(`{"action":"call.accept","callId":"c1","id":"2","payload":{"x":1}}`)
	phone.want("presence", "ack") // ann is busy
	bob.want("call.taken", "presence")
	ann.want("call.accept", "presence")
	eve.wantStatus("bob", "busy")
	bob.send(`{"action":"call.accept","callId":"c1"}`)
	bob.wantError("call_taken")

	ann.send(`{"action":"sdp","callId":"c1","payload":1}`)
	phone.want("sdp")
	bob.want()
	ann.send(`{"action":"call.connected","callId":"c1"}`)
	phone.send(`{"action":"call.hangup","callId":"c1"}`)
	ann.want("call.hangup", "presence")
	eve.wantStatus("bob", "online")
	phone.take()
	ann.send(`{"action":"sdp","callId":"c1"}`)
	ann.wantError("call_not_found")
}

func TestRemoteCallsEndByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.friends("ann", "bob")
		ann, bob := c.connect("ann"), c.connect("bob")
		ann.take()
		ann.send(`{"action":"call.invite","to":"bob","callId":"c1"}`)
		bob.want("call.invite")
		time.Sleep(61 * time.Second)
		// It is decided on whoever looks, and told by the schedule.
		bob.send(`{"action":"call.accept","callId":"c1"}`)
		bob.wantError("call_over")
		c.sweep()
		bob.want("call.missed")
		ann.want("call.hangup")

		ann.send(`{"action":"call.invite","to":"bob","callId":"c2"}`)
		bob.take()
		bob.send(`{"action":"call.accept","callId":"c2"}`)
		ann.take()
		bob.leave(true)
		ann.take()
		time.Sleep(31 * time.Second) // the grace
		c.sweep()
		if call := ann.want("call.hangup")["call"].(map[string]any); call["reason"] != "connection_lost" {
			t.Errorf("ann was told %v", call)
		}
	})
}

func TestWhatRingsReachesAConnectionWhenItSpeaks(t *testing.T) {
	c := newCloud(t)
	c.friends("ann", "bob")
	ann := c.connect("ann")
	ann.send(`{"action":"call.invite","to":"bob","callId":"c1"}`)
	bob := c.open("bob")
	bob.want() // nothing could be sent while it was made
	if c.asked[bob.id] > 0 {
		t.Error("a connection was sent to that was being made")
	}
	bob.send(`{"action":"ping"}`)
	bob.want("call.invite", "pong")
	bob.send(`{"action":"ping"}`)
	bob.want("pong")
}

func TestRemoteTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.friends("ann", "bob")
		c.friends("carl", "bob")
		until := func(name string, d time.Duration) usher.Identity {
			id := person(name)
			id.Expires = time.Now().Add(d)
			return id
		}
		for _, name := range []string{"ann", "bob"} {
			if _, err := c.dial(until(name, -time.Second)); err == nil {
				t.Errorf("%s connected with a token that has expired", name)
			}
		}
		ann, err := c.dial(until("ann", time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		ann.make()
		carl, err := c.dial(until("carl", time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		carl.make()
		// A newer token of the same user prolongs it.
		ann.send(`{"action":"auth","id":"1","payload":{"token":%q}}`, c.tokens.issue(until("ann", time.Hour)))
		ann.want("auth", "ack")
		carl.send(`{"action":"auth","id":"1","payload":{"token":%q}}`, c.tokens.issue(until("ann", time.Hour)))
		carl.wantError("identity_changed")
		time.Sleep(2 * time.Minute)
		ann.send(`{"action":"ping"}`)
		ann.want("pong")
		carl.send(`{"action":"ping"}`)
		carl.wantError("token_expired")
		c.wantRows("carl", 0)
		if len(c.closed) != 1 || c.closed[0] != carl.id {
			t.Errorf("closed are %q", c.closed)
		}
	})
}

func TestWhoIsRevokedIsPutOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.friends("ann", "bob")
		ann, bob := c.connect("ann"), c.connect("bob")
		ann.take()
		if _, err := c.all[0].access.Revoke(t.Context(), operator, access.Revocation{Target: usher.Target{Identity: person("bob").Key()}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		// Nothing that bob says passes, and nothing reaches bob.
		ann.send(`{"action":"chat","to":"bob"}`)
		heard := ann.take()
		if len(heard) == 0 || heard[0].body["action"] != "error" {
			t.Errorf("ann heard %v", heard)
		}
		for _, m := range bob.take() {
			if m.body["action"] == "chat" {
				t.Error("bob heard what ann said")
			}
		}
		bob.send(`{"action":"chat","to":"ann"}`)
		for _, m := range ann.take() {
			if m.body["action"] == "chat" {
				t.Error("ann heard what bob said")
			}
		}
		c.wantRows("bob", 0)
		if c.online("ann", "bob") {
			t.Error("bob is online")
		}
		if len(c.closed) == 0 || c.closed[0] != bob.id {
			t.Errorf("closed are %q", c.closed)
		}
	})
}

func TestRowsOfAnotherProgram(t *testing.T) {
	c := newCloud(t)
	c.friends("ann", "bob")
	ann := c.connect("ann")
	theirs := &remotePeer{c: c, name: "bob", id: "theirs="}
	theirs.make()
	key := usher.AttachmentKey{App: usher.DefaultApp, User: person("bob").Key(), Connection: theirs.id}
	if err := c.db.Attachments().Create(t.Context(), usher.Attachment{AttachmentKey: key, Version: 1}); err != nil {
		t.Fatal(err)
	}
	if c.online("ann", "bob") {
		t.Error("bob counts as there by a row that nobody prolongs")
	}
	ann.send(`{"action":"sdp","to":"bob","id":"1"}`)
	ann.want("ack")
	theirs.want("sdp")
	theirs.leave(false)
	ann.send(`{"action":"sdp","to":"bob"}`)
	ann.wantError("unreachable")
	c.wantRows("bob", 0)

	// One who was let in by it has to come back: who it is only it knows.
	if err := c.db.Attachments().Create(t.Context(), usher.Attachment{AttachmentKey: key, Version: 1}); err != nil {
		t.Fatal(err)
	}
	theirs.make()
	theirs.send(`{"action":"sdp","to":"ann"}`)
	ann.want()
	c.wantRows("bob", 0)
	if len(c.closed) != 1 {
		t.Errorf("closed are %q", c.closed)
	}
}

func TestWhoMayConnectRemotely(t *testing.T) {
	c := newCloud(t, func(_ *signaling.RemoteDeps, config *signaling.Config) { config.Connections = 2 })
	if _, err := c.dial(guest("gus", "q5dnrkwsxmi7dkxn66mg2yr3ia")); usher.AsError(err).Code != "users_only" {
		t.Errorf("a guest: %v", err)
	}
	if _, err := c.dial(person("ann"), "usher.v1"); usher.AsError(err).Code != "subprotocol_unavailable" {
		t.Errorf("usher.v1: %v", err)
	}
	c.wantRows("ann", 0)
	c.connect("ann")
	c.connect("ann")
	if _, err := c.dial(person("ann")); usher.AsError(err).Code != "too_many_connections" {
		t.Errorf("a third connection: %v", err)
	}
	for _, name := range []string{"", `a"b`, "a b", strings.Repeat("x", 65)} {
		e := signaling.Event{Connection: name, App: "default", User: person("ann").Key()}
		if err := c.next().remote.Connect(t.Context(), e, person("ann"), nil); usher.AsError(err).Code != "connection_invalid" {
			t.Errorf("the connection %q: %v", name, err)
		}
		if err := c.next().remote.Message(t.Context(), e, []byte(`{}`)); usher.AsError(err).Code != "connection_invalid" {
			t.Errorf("a message of %q: %v", name, err)
		}
	}
}

func TestRemoteContactsAreToldOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		ann, bob := c.connect("ann"), c.connect("bob")
		change := func(f func(p *process) error) {
			t.Helper()
			time.Sleep(2 * time.Second) // until every process knows what another has changed
			p := c.next()
			if err := f(p); err != nil {
				t.Fatal(err)
			}
			if err := p.remote.TellContacts(t.Context()); err != nil {
				t.Error(err)
			}
		}
		for _, name := range []string{"ann", "bob"} {
			change(func(p *process) error { _, err := p.access.User(t.Context(), person(name)); return err })
		}
		add := func(owner, other string) {
			t.Helper()
			change(func(p *process) error {
				_, _, err := p.access.AddContact(t.Context(), person(owner), access.ContactSpec{User: person(other).Key()})
				return err
			})
		}
		add("ann", "bob")
		ann.want("contacts.changed")
		bob.want()
		add("bob", "ann")
		ann.wantStatus("bob", "online")
		bob.want("contacts.changed", "presence")
		change(func(p *process) error {
			return p.access.RemoveContact(t.Context(), person("ann"), person("bob").Key())
		})
		ann.want("contacts.changed", "presence")
		bob.wantStatus("ann", "offline")
	})
}

func TestRatesCountOverEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.all = c.all[:1] // a process counts what comes to it
		ann := c.connect("ann")
		refused := 0
		for range 1200 {
			ann.send(`{"action":"ping"}`)
		}
		for _, m := range ann.take() {
			if m.body["action"] == "error" {
				refused++
			}
		}
		if refused < 150 || refused > 201 {
			t.Errorf("%d of 1200 messages at once were refused", refused)
		}
	})
}
