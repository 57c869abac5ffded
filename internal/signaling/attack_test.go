package signaling_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/limit"
	"usher/internal/store"
)

// gated holds up, or fails, what is read next of somebody's calls.
type gated struct {
	store.Calls
	next atomic.Pointer[func() error] // called with what was read in hand
	all  atomic.Pointer[func() error] // the same, for every read
}

func (g *gated) hold(f func() error) { g.next.Store(&f) }

func (g *gated) Active(ctx context.Context, app, user string) ([]usher.Call, error) {
	calls, err := g.Calls.Active(ctx, app, user)
	f := g.next.Swap(nil)
	if f == nil {
		f = g.all.Load()
	}
	if f != nil && err == nil {
		err = (*f)()
	}
	return calls, err
}

func TestACallThatEndsWhileADeviceConnectsDoesNotRingThere(t *testing.T) {
	var g gated
	w := newWorld(t, func(s *setup) { g.Calls = s.deps.Calls; s.deps.Calls = &g })
	w.friends("ann", "bob")
	ann, bob := w.connect("ann"), w.connect("bob")
	ann.ask(`{"action":"call.invite","to":"bob","callId":"c","id":"1"}`)
	bob.want("call.invite")

	// Every read is held up: whether somebody is busy is read at any time, too.
	read, goOn := make(chan struct{}, 1), make(chan struct{})
	held := func() error {
		select {
		case read <- struct{}{}:
		default:
		}
		<-goOn
		return nil
	}
	g.all.Store(&held)
	phone := w.connect("bob")
	<-read
	ann.send(`{"action":"call.cancel","callId":"c","id":"2"}`)
	bob.want("call.cancel")
	close(goOn)
	for {
		m := phone.next().body
		if m["action"] == "call.missed" {
			break
		}
		if m["action"] == "call.invite" {
			t.Fatal("the phone rings for a call that is over")
		}
	}
	phone.quiet()
	phone.refused("call_not_found", `{"action":"sdp","callId":"c"}`)
}

func TestADeviceThatCantBeToldOfItsCallsComesAgain(t *testing.T) {
	var g gated
	w := newWorld(t, func(s *setup) { g.Calls = s.deps.Calls; s.deps.Calls = &g })
	w.friends("ann", "bob")
	ann := w.connect("ann")
	ann.ask(`{"action":"call.invite","to":"bob","callId":"c","id":"1"}`)
	g.hold(func() error { return errors.New("the disk is gone") })
	bob := w.connect("bob")
	bob.wantClosed(1011)
	w.connect("bob", bob.resume(0)).want("call.invite")
}

func TestWhoComesBackCountsAmongTheConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.config.Connections = 2 })
		var lost []*peer
		for range 2 {
			p := w.connect("ann")
			p.leave(4000)
			lost = append(lost, p)
		}
		pass(time.Second)
		first, second := w.connect("ann"), w.connect("ann")
		for _, p := range lost {
			var a as
			p.resume(0)(&a)
			again, _, err := w.dial("ann", a)
			if err != nil {
				t.Fatal(err)
			}
			again.wantError("too_many_connections", "")
			again.wantClosed(4429)
		}
		w.connect("ann", second.resume(0)).quiet() // in the place of its own socket
		second.wantClosed(4409)
		first.leave(4000)
		pass(time.Second)
		w.connect("ann", lost[0].resume(0)).quiet()
	})
}

// TestAGuestOfAPersonWhoIsRevokedStays holds what docs/operations.md says: a
// guest's way in hangs on the back end that invited it, and not on a person.
func TestAGuestOfAPersonWhoIsRevokedStays(t *testing.T) {
	w := newWorld(t)
	r := w.meeting("ann")
	shop := usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: string(usher.SystemIDs().New())}
	connect := func(name string, inviter usher.Identity) *peer {
		id := guest(name, r.ID)
		id.Inviter = inviter.Key()
		return w.connect(name, with(w.tokens.issue(id)))
	}
	ofAnn, ofShop := connect("gast", person("ann")), connect("kunde", shop)
	for _, target := range []usher.Target{{Identity: person("ann").Key()}, {Client: usher.ID(shop.Subject)}} {
		if _, err := w.access.Revoke(t.Context(), operator, access.Revocation{Target: target}); err != nil {
			t.Fatal(err)
		}
	}
	ofShop.wantClosed(4403)
	ofAnn.quiet()
}

func TestWhoFailsToRenewHindersNobodyElse(t *testing.T) {
	w := newWorld(t, func(s *setup) { s.deps.Failed = limit.Rate{Count: 2, Per: time.Hour} })
	ann, bob := w.connect("ann"), w.connect("bob") // by one proxy
	for _, code := range []string{"credentials_invalid", "credentials_invalid", "rate_limited"} {
		ann.refused(code, `{"action":"auth","payload":{"token":"nonsense"}}`)
	}
	bob.ask(`{"action":"auth","id":"1","payload":{"token":%q}}`, w.tokens.issue(person("bob")))
	w.connect("carl")
}

func TestALimitOutlivesASocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) {
			s.config.Relay, s.config.Calls = limit.Rate{Count: 10, Per: time.Hour}, limit.Rate{Count: 2, Per: time.Hour}
		})
		ann := w.connect("ann")
		for range 2 {
			ann.refused("call_not_found", `{"action":"call.accept","callId":"c"}`)
		}
		ann.drop()
		back := w.connect("ann", ann.resume(0))
		back.refused("rate_limited", `{"action":"call.accept","callId":"c"}`)
		for range 7 {
			back.refused("unreachable", `{"action":"x","to":"bob"}`)
		}
		back.drop()
		w.connect("ann", back.resume(0)).refused("rate_limited", `{"action":"ping"}`)
	})
}

func TestWhatIsKeptForOthersIsBounded(t *testing.T) {
	w := newWorld(t)
	w.friends("ann", "bob")
	ann, bob := w.connect("ann"), w.connect("bob")
	pad := strings.Repeat("x", 40<<10)
	for i := range 4 { // each takes the place of the one before
		ann.ask(`{"action":"call.invite","to":"bob","callId":"c%d","id":"1","payload":%q}`, i, pad)
	}
	for bob.want("call.invite")["callId"] != "c3" {
		bob.want("call.cancel")
	}
	back := w.connect("bob", bob.resume(0))
	m := back.next().body
	for m["action"] == "presence" {
		m = back.next().body
	}
	if m["action"] != "call.cancel" || m["callId"] != "c0" { // the three invites after that are 120 KiB
		t.Errorf("the first event that is sent again is of %v, want c0", m["callId"])
	}

	for i := range 3 {
		ann.ask(`{"action":"candidate","callId":"c3","id":"1","payload":{"n":%d,"pad":%q}}`, i, pad[:30<<10])
	}
	ann.ask(`{"action":"sdp","callId":"c3","id":"2"}`)
	back.until("sdp")
	for i := range 2 {
		if m := back.want("candidate"); m["payload"].(map[string]any)["n"] != float64(i) {
			t.Errorf("got candidate %v, want %d", m["payload"].(map[string]any)["n"], i)
		}
	}
	back.quiet()
}

func TestWhoLeavesOneNodeIsStillOnAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		other := w.start()
		pass(6 * time.Second) // they have met
		w.friends("ann", "bob")
		bob, ann := w.connect("bob"), w.connect("ann")
		w.connect("ann", on(other))
		bob.status("ann", "online")
		pass(time.Second)
		ann.leave(1000)
		pass(10 * time.Second)
		for bob.send(`{"action":"ping"}`); ; {
			m := bob.next()
			if m.body["action"] == "pong" {
				break
			}
			if m.body["payload"].(map[string]any)["status"] != "online" {
				t.Errorf("bob heard %s", m.text)
			}
		}
	})
}

func TestALossThatCouldNotBeWrittenDownEndsTheCallAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gated
		w := newWorld(t, func(s *setup) { g.Calls = s.deps.Calls; s.deps.Calls = &g })
		w.friends("ann", "bob")
		ann, bob := w.connect("ann"), w.connect("bob")
		ann.ask(`{"action":"call.invite","to":"bob","callId":"c","id":"1"}`)
		bob.ask(`{"action":"call.accept","callId":"c","id":"1"}`)
		bob.ask(`{"action":"call.connected","callId":"c","id":"2"}`)
		g.hold(func() error { return errors.New("the disk is gone") })
		ann.leave(1000)
		pass(time.Minute)
		if c := callOf(t, bob.until("call.hangup"), "", "c"); c["reason"] != "connection_lost" {
			t.Errorf("bob is told %v", c)
		}
	})
}
