package signaling_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"usher"
	"usher/internal/store"
)

// gated holds up, or fails, what is read next of somebody's calls.
type gated struct {
	store.Calls
	next atomic.Pointer[func() error] // called with what was read in hand
}

func (g *gated) hold(f func() error) { g.next.Store(&f) }

func (g *gated) Active(ctx context.Context, app, user string) ([]usher.Call, error) {
	calls, err := g.Calls.Active(ctx, app, user)
	if f := g.next.Swap(nil); f != nil && err == nil {
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

	read, goOn := make(chan struct{}), make(chan struct{})
	g.hold(func() error {
		close(read)
		<-goOn
		return nil
	})
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
