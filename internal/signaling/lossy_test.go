package signaling_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/bus"
)

// lossyBus is a bus that loses what comes to one node.
type lossyBus struct {
	bus.Bus
	loses atomic.Pointer[func(data []byte) bool]
}

func (b *lossyBus) Subscribe(subject string, receive func([]byte)) func() {
	return b.Bus.Subscribe(subject, func(data []byte) {
		if loses := b.loses.Load(); loses == nil || !(*loses)(data) {
			receive(data)
		}
	})
}

// lose says what is lost from now on.
func (b *lossyBus) lose(which func(data []byte) bool) { b.loses.Store(&which) }

func everything([]byte) bool { return true }
func nothing([]byte) bool    { return false }

// behind starts a node that is behind a lossy bus.
func (w *world) behind() (*node, *lossyBus) {
	w.t.Helper()
	b := &lossyBus{Bus: w.bus}
	return w.start(func(s *setup) { s.deps.Bus = b }), b
}

const met = 6 * time.Second // by then every node has given a sign of life

func TestPresenceThatANodeMissedIsToldWhenItNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far, line := w.behind()
		pass(met)
		w.friends("ann", "bob")
		bob := w.connect("bob", on(far))

		line.lose(everything)
		ann := w.connect("ann")
		pass(time.Second)
		bob.still()
		line.lose(nothing)
		pass(met)
		bob.status("ann", "online")

		line.lose(everything)
		ann.leave(1000)
		pass(4 * time.Second)
		line.lose(nothing)
		pass(met)
		bob.status("ann", "offline")

		// What the other node says of who is there can be lost as well.
		line.lose(everything)
		w.connect("ann")
		pass(time.Second)
		answers := 0
		line.lose(func(data []byte) bool {
			if !bytes.Contains(data, []byte(`"kind":"state"`)) {
				return false
			}
			answers++
			return answers == 1
		})
		pass(2 * met)
		bob.status("ann", "online")
		if answers != 2 {
			t.Errorf("the other node was asked %d times, want twice", answers)
		}
		bob.still()
	})
}

// One node does not hear of the other for so long that it takes it for gone, and
// tells it nothing any more, while the other hears of it.
func TestANodeThatIsNotHeardOfMissesNothingForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far, line := w.behind()
		pass(met)
		w.friends("ann", "bob")
		ann := w.connect("ann")
		pass(time.Second)
		bob := w.connect("bob", on(far)) // whose hello has ann
		ann.status("bob", "online")
		line.lose(everything)
		pass(21 * time.Second)
		bob.status("ann", "offline")
		carl := w.connect("carl")
		w.friends("carl", "bob")
		pass(time.Second)
		bob.leave(1000)
		pass(4 * time.Second)
		line.lose(nothing)
		pass(met)
		ann.status("bob", "offline")
		carl.quiet()
		back := w.connect("bob", on(far))
		if list := back.hello["presence"].([]any); len(list) != 2 {
			t.Errorf("bob is greeted with %v, want ann and carl", list)
		}
	})
}

func TestCallsThatANodeMissedAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		far, line := w.behind()
		pass(met)
		w.friends("ann", "bob")
		ann, bob, second := w.connect("ann"), w.connect("bob", on(far)), w.connect("bob", on(far))
		pass(time.Second)
		missing := func(what func()) {
			line.lose(everything)
			what()
			pass(time.Second)
			bob.quiet()
			line.lose(nothing)
			pass(met)
		}
		missing(func() { ann.ask(`{"action":"call.invite","to":"bob","callId":"c1","id":"1","payload":{"n": 1}}`) })
		if m := bob.want("call.invite"); callOf(t, m, "ann", "c1")["name"] != "Ann" || m["payload"].(map[string]any)["n"] != 1.0 {
			t.Errorf("bob is told %v", m)
		}
		callOf(t, second.want("call.invite"), "ann", "c1")
		missing(func() { ann.ask(`{"action":"call.cancel","callId":"c1","id":"2"}`) })
		callOf(t, bob.want("call.cancel"), "ann", "c1")
		bob.want("call.missed")

		bob.ask(`{"action":"call.invite","to":"ann","callId":"c2","id":"1"}`)
		ann.want("call.invite")
		missing(func() { ann.ask(`{"action":"call.accept","callId":"c2","id":"3"}`) })
		callOf(t, bob.want("call.accept"), "ann", "c2")
		bob.ask(`{"action":"sdp","callId":"c2","id":"2"}`) // it knows at which device
		ann.want("sdp")
		missing(func() { ann.ask(`{"action":"call.hangup","callId":"c2","id":"4"}`) })
		callOf(t, bob.want("call.hangup"), "ann", "c2")
		bob.refused("call_not_found", `{"action":"sdp","callId":"c2"}`)
		bob.quiet()
		second.until("call.hangup")
	})
}
