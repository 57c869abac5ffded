package signaling_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAConnectionThatIsBeingMadeIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.friends("ann", "bob")
		ann := c.connect("ann")
		bob, err := c.dial(person("bob"))
		if err != nil {
			t.Fatal(err)
		}
		// It is made while somebody sends to it.
		c.before = func(connection string) {
			if connection == bob.id && c.asked[bob.id] == 2 {
				bob.make()
			}
		}
		ann.take()
		ann.send(`{"action":"sdp","to":"bob","id":"1"}`)
		ann.want("ack")
		bob.want("sdp")

		// It takes longer: what was sent is kept, in order, and the connection too.
		c.before = nil
		phone, err := c.dial(person("bob"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			ann.send(`{"action":"sdp","to":"bob","toConnection":%q,"payload":%d,"id":"1"}`, phone.id, i)
			ann.want("ack")
		}
		c.wantRows("bob", 2)
		phone.make()
		phone.send(`{"action":"ping"}`)
		var order []any
		for _, m := range phone.take() {
			order = append(order, m.body["payload"])
		}
		if fmt.Sprint(order) != "[0 1 2 <nil>]" {
			t.Errorf("phone heard %v", order)
		}

		// One that is not there after all is forgotten in the end.
		lost, err := c.dial(person("bob"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		ann.send(`{"action":"sdp","to":"bob","toConnection":%q}`, lost.id)
		ann.wantError("unreachable")
		c.wantRows("bob", 2)
	})
}

// A connection that speaks at the very moment in which something is to be kept for
// it would never be told.
func TestAConnectionThatIsMadeAtTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.friends("ann", "bob")
		ann := c.connect("ann")
		bob, err := c.dial(person("bob"))
		if err != nil {
			t.Fatal(err)
		}
		ann.take()
		var late atomic.Bool
		c.before = func(connection string) {
			if connection == bob.id && c.asked[bob.id] == 3 && late.CompareAndSwap(false, true) {
				bob.make()
				bob.send(`{"action":"ping"}`)
				c.denied[bob.id] = 1
			}
		}
		ann.send(`{"action":"sdp","to":"bob","id":"1"}`)
		ann.want("ack")
		bob.want("pong", "sdp")
	})
}

func TestWhatIsKeptForAConnectionIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.friends("ann", "bob")
		ann := c.connect("ann")
		bob, err := c.dial(person("bob"))
		if err != nil {
			t.Fatal(err)
		}
		kept := 0
		for range 10 {
			ann.take()
			ann.send(`{"action":"sdp","to":"bob","id":"1","payload":%q}`, strings.Repeat("x", 10<<10))
			if ann.take()[0].body["action"] == "ack" {
				kept++
			}
		}
		if kept != 6 {
			t.Errorf("%d messages of 10 KiB were kept", kept)
		}
		c.wantRows("bob", 1)
		bob.make()
		bob.send(`{"action":"ping"}`)
		if heard := bob.take(); len(heard) != 7 {
			t.Errorf("bob heard %d messages", len(heard))
		}
	})
}

func TestAConnectionThatIsGoneIsForgotten(t *testing.T) {
	c := newCloud(t)
	c.friends("ann", "bob")
	ann, bob := c.connect("ann"), c.connect("bob")
	ann.wantStatus("bob", "online")
	bob.leave(false) // and the gateway says nothing
	ann.send(`{"action":"sdp","to":"bob","id":"1"}`)
	heard := ann.take()
	if len(heard) != 2 || heard[0].body["action"] != "error" || heard[1].body["payload"].(map[string]any)["status"] != "offline" {
		t.Errorf("ann heard %v", heard)
	}
	c.wantRows("bob", 0)
	if err := c.next().remote.Disconnect(t.Context(), bob.event("")); err != nil { // it says so after all
		t.Error(err)
	}
	ann.want()
}

func TestADisconnectThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.friends("ann", "bob")
		ann, bob := c.connect("ann"), c.connect("bob")
		for range 12 { // a client that speaks stays
			time.Sleep(time.Minute)
			ann.send(`{"action":"ping"}`)
			bob.send(`{"action":"ping"}`)
		}
		c.sweep()
		if !c.online("ann", "bob") {
			t.Error("bob, who speaks, is not online")
		}
		bob.leave(false)
		ann.take()
		time.Sleep(12 * time.Minute)
		if c.online("ann", "bob") {
			t.Error("bob is online twelve minutes after he spoke last")
		}
		ann.send(`{"action":"ping"}`) // which spoke late, but is there
		ann.want("pong")
		asked := c.asked[bob.id]
		c.sweep()
		ann.wantStatus("bob", "offline")
		c.wantRows("bob", 0)
		c.wantRows("ann", 1)
		if c.asked[bob.id] != asked {
			t.Error("a connection was sent to that is over")
		}
	})
}

func TestASocketLastsAsLongAsTheGatewaysDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		ann := c.connect("ann")
		for range 2*60 + 2 {
			time.Sleep(time.Minute)
			ann.send(`{"action":"ping"}`)
		}
		ann.take()
		c.wantRows("ann", 0)
		if len(c.closed) != 1 {
			t.Errorf("closed are %q", c.closed)
		}
	})
}

func TestEventsThatComeTwice(t *testing.T) {
	c := newCloud(t)
	c.friends("ann", "bob")
	ann, bob := c.connect("ann"), c.connect("bob")
	ann.take()
	for range 2 {
		ann.say("twice", `{"action":"chat","to":"bob","id":"1"}`)
	}
	bob.want("chat")
	ann.want("ack")
	for range 2 {
		ann.say("again", `{"action":"call.invite","to":"bob","callId":"c1"}`)
	}
	bob.want("call.invite")
	for range 2 {
		bob.say("hangup", `{"action":"call.reject","callId":"c1"}`)
	}
	ann.want("call.reject")
	bob.take()
	if err := c.next().remote.Connect(t.Context(), bob.event(""), person("bob"), nil); err != nil {
		t.Error(err)
	}
	c.wantRows("bob", 1)
	ann.want()
	for range 2 {
		if err := c.next().remote.Disconnect(t.Context(), bob.event("")); err != nil {
			t.Error(err)
		}
	}
	ann.wantStatus("bob", "offline")
	// What it said before may come after.
	bob.send(`{"action":"chat","to":"ann"}`)
	ann.want()
	c.wantRows("bob", 0)
}

func TestEventsThatComeInAnotherOrder(t *testing.T) {
	c := newCloud(t)
	c.friends("ann", "bob")
	ann, bob := c.connect("ann"), c.connect("bob")
	ann.take()
	ann.send(`{"action":"call.invite","to":"bob","callId":"c1"}`)
	bob.take()
	bob.send(`{"action":"call.accept","callId":"c1"}`)
	ann.take()
	bob.take()
	for i := range 3 { // before the offer that they belong to
		ann.send(`{"action":"candidate","callId":"c1","payload":%d,"id":"1"}`, i)
		ann.want("ack")
	}
	bob.want()
	ann.send(`{"action":"sdp","callId":"c1","payload":"offer"}`)
	var order []any
	for _, m := range bob.take() {
		order = append(order, m.body["payload"])
	}
	if fmt.Sprint(order) != "[offer 0 1 2]" {
		t.Errorf("bob heard %v", order)
	}
	ann.send(`{"action":"candidate","callId":"c1","payload":3}`)
	bob.want("candidate")
	ann.send(`{"action":"call.hangup","callId":"c1"}`)
	ann.take()
	bob.take()

	// A hang-up that overtakes its invite kills it.
	ann.send(`{"action":"call.hangup","to":"bob","callId":"c2"}`)
	ann.send(`{"action":"call.invite","to":"bob","callId":"c2"}`)
	ann.wantError("call_over")
	bob.want()
}

// A gateway takes as much from a client as it sends to one, and what is sent has
// more in it.
func TestAMessageThatTheGatewayWouldNotSend(t *testing.T) {
	c := newCloud(t)
	c.friends("ann", "bob")
	ann, bob := c.connect("ann"), c.connect("bob")
	ann.take()
	const most, rest = 128 << 10, len(`{"action":"sdp","to":"bob","payload":""}`)
	asked := c.asked[bob.id]
	ann.send(`{"action":"sdp","to":"bob","payload":"%s"}`, strings.Repeat("x", most-rest))
	ann.wantError("message_too_large")
	bob.want()
	if n := c.asked[bob.id] - asked; n != 0 {
		t.Errorf("the gateway was asked %d times to send it", n)
	}
	ann.send(`{"action":"sdp","to":"bob","payload":"%s"}`, strings.Repeat("x", most-rest-256))
	ann.want()
	bob.want("sdp")
}

func TestHowMuchIsHeldOfACall(t *testing.T) {
	c := newCloud(t)
	c.friends("ann", "bob")
	ann, bob := c.connect("ann"), c.connect("bob")
	ann.send(`{"action":"call.invite","to":"bob","callId":"c1"}`)
	for i := range 40 {
		ann.send(`{"action":"candidate","callId":"c1","payload":%d}`, i)
	}
	bob.take()
	ann.send(`{"action":"sdp","callId":"c1"}`)
	if heard := bob.take(); len(heard) != 31 {
		t.Errorf("bob heard %d messages, want the offer and 30 candidates", len(heard))
	}
}

func TestAGatewayThatIsBusyIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(t)
		c.friends("ann", "bob")
		ann, bob := c.connect("ann"), c.connect("bob")
		ann.take()
		c.busy[bob.id] = 5
		ann.send(`{"action":"sdp","to":"bob","id":"1"}`)
		bob.want("sdp")
		ann.want("ack")

		// As long as the event has time, and no longer.
		c.busy[bob.id] = 1000
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		_ = c.next().remote.Message(ctx, ann.event("late"), []byte(`{"action":"sdp","to":"bob","id":"2"}`))
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		c.busy[bob.id] = 0
		c.wantRows("bob", 1)
		bob.want()
	})
}
