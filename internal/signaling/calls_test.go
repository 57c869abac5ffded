package signaling_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// callOf checks a call event and returns what the server says of the call.
func callOf(t *testing.T, m map[string]any, from, id string) map[string]any {
	t.Helper()
	if got, _ := m["from"].(string); got != from || m["callId"] != id {
		t.Errorf("got %v, want from %q about %s", m, from, id)
	}
	return m["call"].(map[string]any)
}

func TestACallRingsEverywhereAndIsAnsweredOnce(t *testing.T) {
	w := newWorld(t)
	w.friends("ann", "bob")
	ann, bob, phone, old := w.connect("ann"), w.connect("bob"), w.connect("bob"), w.connect("bob", legacy)
	ack := ann.ask(`{"action":"call.invite","to":"bob","callId":"c1","id":"1","payload":{ "media":{"audio":true} }}`)
	if p := ack["payload"].(map[string]any); ack["callId"] != "c1" || p["state"] != "ringing" || p["expiresIn"].(float64) > 60 {
		t.Errorf("the ack is %v", ack)
	}
	for _, p := range []*peer{bob, phone, old} {
		m := p.want("call.invite")
		if c := callOf(t, m, "ann", "c1"); c["name"] != "Ann" || c["state"] != "ringing" || c["email"] != nil {
			t.Errorf("bob is told %v", m)
		}
		if (m["seq"] != nil) != (p != old) {
			t.Errorf("seq of %v", m)
		}
	}
	bob.ask(`{"action":"call.ringing","callId":"c1","id":"1"}`)
	callOf(t, ann.want("call.ringing"), "bob", "c1")
	phone.ask(`{"action":"call.accept","callId":"c1","id":"1","payload":{"x": 1}}`)
	accept := ann.next()
	for accept.body["action"] == "presence" {
		accept = ann.next()
	}
	callOf(t, accept.body, "bob", "c1")
	if accept.body["fromConnection"] != phone.hello["connection"] || !strings.HasSuffix(accept.text, `"payload":{"x": 1}}`) {
		t.Errorf("ann is told %s", accept.text)
	}
	for _, p := range []*peer{bob, old} {
		if c := callOf(t, p.want("call.taken"), "bob", "c1"); c["by"] != phone.hello["connection"] {
			t.Errorf("bob's other devices are told %v", c)
		}
	}
	bob.refused("call_taken", `{"action":"call.accept","callId":"c1"}`)

	// The two devices have it now; nothing of it goes to the others.
	ann.ask(`{"action":"sdp","callId":"c1","id":"2","payload":1}`)
	phone.want("sdp")
	phone.ask(`{"action":"sdp","callId":"c1","id":"2","payload":2}`)
	ann.want("sdp")
	bob.quiet()
	ann.ask(`{"action":"call.connected","callId":"c1","id":"3"}`)
	phone.ask(`{"action":"call.hangup","callId":"c1","id":"4","payload":{"reason":"ice_failed"}}`)
	m := ann.want("call.hangup")
	if c := callOf(t, m, "bob", "c1"); c["reason"] != "ice_failed" || c["state"] != "ended" {
		t.Errorf("ann is told %v", m)
	}
	ann.refused("call_not_found", `{"action":"sdp","callId":"c1"}`)
}

func TestAStrangersCallIsARequest(t *testing.T) {
	w := newWorld(t)
	w.list("ann")
	w.list("carl")
	ann, carl := w.connect("ann"), w.connect("carl")
	carl.ask(`{"action":"call.invite","to":"ann","callId":"c2","id":"1","payload":{"description":{"sdp":"addresses"}}}`)
	m := ann.want("call.request")
	if c := callOf(t, m, "carl", "c2"); c["name"] != "Carl" || c["email"] != "carl@example.org" || m["payload"] != nil {
		t.Errorf("ann is told %v", m)
	}
	carl.refused("unreachable", `{"action":"sdp","to":"ann","callId":"c2"}`)
	carl.ask(`{"action":"candidate","to":"ann","callId":"c2","id":"2","payload":1}`)
	ann.quiet()
	ann.ask(`{"action":"call.accept","callId":"c2","id":"1"}`)
	carl.want("call.accept")
	ann.quiet() // the candidate waits for the offer
	carl.ask(`{"action":"sdp","callId":"c2","id":"3"}`)
	ann.want("sdp")
	ann.want("candidate")
	ann.ask(`{"action":"sdp","to":"carl","id":"3"}`) // though carl does not list ann
	carl.want("sdp")
	ann.ask(`{"action":"call.hangup","callId":"c2","id":"4"}`)
	carl.want("call.hangup")
	carl.refused("unreachable", `{"action":"sdp","to":"ann"}`)
}

// Where the two could signal each other before: one of them lists the other, or
// they share a room.
func TestCandidatesOfAStrangersCallWaitForTheAnswer(t *testing.T) {
	w := newWorld(t)
	w.list("carl", "ann") // and not the other way round
	r := w.meeting("ann")
	ann, carl := w.connect("ann"), w.connect("carl")
	ann.join(`{"room":%q}`, r.ID)
	carl.join(`{"room":%q}`, r.ID)
	carl.ask(`{"action":"call.invite","to":"ann","callId":"c","id":"1"}`)
	ann.want("call.request")
	for _, p := range []*peer{ann, carl} {
		p.ask(`{"action":"sdp","callId":"c","id":"2"}`)
		p.ask(`{"action":"candidate","callId":"c","id":"3","payload":"early"}`)
	}
	ann.want("sdp")
	carl.want("sdp")
	ann.quiet()
	carl.quiet()
	ann.ask(`{"action":"call.accept","callId":"c","id":"4"}`)
	ann.want("candidate")
	carl.want("call.accept")
	carl.want("candidate")
	carl.ask(`{"action":"candidate","callId":"c","id":"5","payload":"late"}`)
	if m := ann.want("candidate"); m["payload"] != "late" {
		t.Errorf("ann got %v", m)
	}
}

func TestCandidatesWaitForTheOffer(t *testing.T) {
	w := newWorld(t)
	w.friends("ann", "bob")
	ann, bob := w.connect("ann"), w.connect("bob")
	ann.ask(`{"action":"call.invite","to":"bob","callId":"c","id":"i"}`)
	bob.want("call.invite")
	for i := range 35 {
		ann.ask(`{"action":"candidate","callId":"c","id":"1","payload":%d}`, i)
	}
	ann.ask(`{"action":"candidate","to":"bob","callId":"other","id":"1","payload":"at once"}`)
	if m := bob.want("candidate"); m["payload"] != "at once" {
		t.Errorf("got %v", m)
	}
	bob.quiet()
	ann.ask(`{"action":"sdp","callId":"c","id":"2"}`)
	bob.want("sdp")
	for i := range 30 {
		if m := bob.want("candidate"); m["payload"] != float64(i) {
			t.Errorf("got %v, want %d", m, i)
		}
	}
	bob.quiet()
	ann.ask(`{"action":"candidates","callId":"c","id":"3"}`)
	bob.want("candidates")
}

func TestTwoWhoCallEachOtherAreInOneCall(t *testing.T) {
	w := newWorld(t)
	w.friends("ann", "bob")
	ann, bob := w.connect("ann"), w.connect("bob")
	ann.ask(`{"action":"call.invite","to":"bob","callId":"a","id":"1"}`)
	bob.ask(`{"action":"call.invite","to":"ann","callId":"b","id":"1"}`)
	callOf(t, ann.want("call.accept"), "bob", "a")
	callOf(t, bob.want("call.invite"), "ann", "a")
	if c := callOf(t, bob.want("call.accept"), "ann", "a"); c["merged"] != "b" {
		t.Errorf("bob is told %v", c)
	}
	ann.ask(`{"action":"sdp","callId":"a","id":"2"}`)
	bob.want("sdp")
	bob.ask(`{"action":"sdp","callId":"b","id":"2"}`)
	ann.want("sdp")
}

func TestACallThatNobodyAnswersIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.friends("ann", "bob")
		ann, bob := w.connect("ann"), w.connect("bob")
		ann.ask(`{"action":"call.invite","to":"bob","callId":"c","id":"1"}`)
		bob.want("call.invite")
		pass(30 * time.Second)
		bob.leave(1001)
		bob = w.connect("bob") // a reload still rings
		m := bob.want("call.invite")
		if c := callOf(t, m, "ann", "c"); c["name"] != "Ann" || c["expiresIn"].(float64) > 30 {
			t.Errorf("bob is told %v", m)
		}
		pass(31 * time.Second)
		if c := callOf(t, bob.want("call.missed"), "", "c"); c["reason"] != "invite_timeout" {
			t.Errorf("bob is told %v", c)
		}
		if c := callOf(t, ann.want("call.hangup"), "", "c"); c["reason"] != "invite_timeout" {
			t.Errorf("ann is told %v", c)
		}
		missed, _, err := w.access.MissedCalls(t.Context(), person("bob"), "", 10)
		if err != nil || len(missed) != 1 {
			t.Errorf("missed: %v, %v", missed, err)
		}
	})
}

func TestWhoIsInACallIsBusy(t *testing.T) {
	w := newWorld(t)
	w.friends("ann", "bob")
	w.friends("bob", "carl")
	ann, bob, carl := w.connect("ann"), w.connect("bob"), w.connect("carl")
	bob.status("carl", "online")
	ann.ask(`{"action":"call.invite","to":"bob","callId":"c","id":"1"}`)
	bob.want("call.invite")
	bob.ask(`{"action":"call.accept","callId":"c","id":"1"}`)
	carl.status("bob", "busy")
	ack := carl.ask(`{"action":"call.invite","to":"bob","callId":"d","id":"1"}`)
	if p := ack["payload"].(map[string]any); p["state"] != "ended" {
		t.Errorf("the ack is %v", ack)
	}
	carl.want("call.busy")
	bob.want("call.missed")
	bob.ask(`{"action":"call.hangup","callId":"c","id":"2"}`)
	carl.status("bob", "online")
	ann.want("call.accept")
	ann.want("call.hangup")
}

func TestASessionIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.friends("ann", "bob")
		ann, bob := w.connect("ann"), w.connect("bob")
		ann.ask(`{"action":"call.invite","to":"bob","callId":"c","id":"1"}`)
		seq := bob.want("call.invite")["seq"].(float64)

		// What it has not acknowledged is told again, once.
		ann.quiet()
		again := w.connect("bob", bob.resume(0))
		bob.wantClosed(4409)
		again.want("call.invite")
		again.quiet()
		bob = again
		bob.ask(`{"action":"call.accept","callId":"c","id":"1"}`)
		ann.want("call.accept")

		// What happened while it was lost is told when it is back.
		token := bob.resume(int(seq))
		bob.drop()
		pass(10 * time.Second)
		ann.quiet() // the call goes on
		ann.refused("unreachable", `{"action":"sdp","callId":"c"}`)
		ann.ask(`{"action":"call.hangup","callId":"c","id":"2"}`)
		back := w.connect("bob", token)
		if back.hello["resumed"] != true || back.hello["connection"] != bob.hello["connection"] {
			t.Errorf("the hello says %v", back.hello)
		}
		m := back.want("call.hangup")
		if m["seq"] != seq+1 {
			t.Errorf("resumed with %v after %v", m, seq)
		}
		ann.ask(`{"action":"sdp","to":"bob","id":"3"}`)
		back.want("sdp")

		// The newest wins, and each token is good once.
		newest := w.connect("bob", back.resume(2))
		back.wantClosed(4409)
		newest.quiet() // and what it had is not sent again
		stale, _, err := w.dial("bob", func() (a as) { back.resume(0)(&a); return a }())
		if err != nil {
			t.Fatal(err)
		}
		stale.wantClosed(4404)
		newest.quiet()

		// After the window, and after leaving on purpose, it is gone.
		token = newest.resume(9)
		newest.drop()
		pass(32 * time.Second)
		gone, _, err := w.dial("bob", func() (a as) { token(&a); return a }())
		if err != nil {
			t.Fatal(err)
		}
		gone.wantClosed(4404)
		left := w.connect("bob")
		token = left.resume(0)
		left.leave(1000)
		pass(4 * time.Second)
		gone, _, err = w.dial("bob", func() (a as) { token(&a); return a }())
		if err != nil {
			t.Fatal(err)
		}
		gone.wantClosed(4404)
	})
}

func TestAcknowledgedEventsAreNotSentAgain(t *testing.T) {
	w := newWorld(t)
	w.friends("ann", "bob")
	ann, bob := w.connect("ann"), w.connect("bob")
	for i := range 3 {
		ann.ask(`{"action":"call.invite","to":"bob","callId":"c%d","id":"1"}`, i)
		bob.want("call.invite")
		ann.ask(`{"action":"call.cancel","callId":"c%d","id":"1"}`, i)
		bob.want("call.cancel")
		bob.want("call.missed")
	}
	bob.send(`{"action":"ack","seq":7}`)
	bob.quiet()
	back := w.connect("bob", bob.resume(0))
	for want := 8; want <= 9; want++ {
		if m := back.next(); m.body["seq"] != float64(want) {
			t.Errorf("got %s, want event %d", m.text, want)
		}
	}
	back.quiet()
}

func TestADeviceThatDoesNotComeBackEndsItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.friends("ann", "bob")
		ann, bob := w.connect("ann"), w.connect("bob")
		ann.ask(`{"action":"call.invite","to":"bob","callId":"c","id":"1"}`)
		bob.want("call.invite")
		bob.ask(`{"action":"call.accept","callId":"c","id":"1"}`)
		ann.want("call.accept")
		ann.ask(`{"action":"call.connected","callId":"c","id":"1"}`)
		bob.drop()
		pass(29 * time.Second)
		ann.quiet()
		pass(3 * time.Second)
		if c := callOf(t, ann.want("call.hangup"), "", "c"); c["reason"] != "connection_lost" {
			t.Errorf("ann is told %v", c)
		}

		// Who comes back too late is told how it ended.
		bob = w.connect("bob")
		bob.send(`{"action":"call.connected","callId":"c","to":"ann","id":"2"}`)
		m := bob.want("error")
		if c, _ := m["call"].(map[string]any); m["ref"] != "2" || c["state"] != "ended" || c["reason"] != "connection_lost" {
			t.Errorf("bob is told %v", m)
		}
	})
}

func TestARestartWhileItRings(t *testing.T) {
	w := newWorld(t)
	w.friends("ann", "bob")
	ann, bob := w.connect("ann"), w.connect("bob")
	ann.ask(`{"action":"call.invite","to":"bob","callId":"c","id":"1","payload":"p"}`)
	bob.want("call.invite")
	w.stop()
	ann.wantClosed(1012)
	bob.wantClosed(1012)
	w.node = w.start()
	bob = w.connect("bob")
	if m := bob.want("call.invite"); m["payload"] != "p" || callOf(t, m, "ann", "c")["name"] != "Ann" {
		t.Errorf("bob is told %v", m)
	}
	ann = w.connect("ann")
	bob.ask(`{"action":"call.accept","callId":"c","id":"1"}`)
	ann.quiet() // she was another device
}
