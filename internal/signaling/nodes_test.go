package signaling_test

import (
	"testing"
	"testing/synctest"
	"time"

	"usher"
)

func TestPeopleInOneRoomAtTwoNodesSignalEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		other := w.start()
		pass(met)
		r := w.meeting("ann")
		ann, bob, carl := w.connect("ann"), w.connect("bob", on(other)), w.connect("carl", on(other))
		pass(time.Second)
		ann.refused("unreachable", `{"action":"sdp","to":"bob"}`)
		ann.join(`{"room":%q}`, r.ID)
		bob.join(`{"room":%q}`, r.ID)
		pass(time.Second)
		ann.ask(`{"action":"sdp","to":"bob","id":"1"}`)
		bob.want("sdp")
		bob.ask(`{"action":"candidate","to":"ann","id":"2"}`)
		ann.want("candidate")
		ann.refused("unreachable", `{"action":"sdp","to":"carl"}`)
		carl.refused("unreachable", `{"action":"sdp","to":"ann"}`)
		bob.ask(`{"action":"room.leave","room":%q,"id":"3"}`, r.ID)
		pass(time.Second)
		ann.refused("unreachable", `{"action":"sdp","to":"bob"}`)
		bob.refused("unreachable", `{"action":"sdp","to":"ann"}`)
	})
}

func TestTwoNodesAreAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		other := w.start()
		pass(6 * time.Second) // they have met
		w.friends("ann", "bob")
		r := w.meeting("ann")
		ann := w.connect("ann")
		pass(time.Second)
		bob := w.connect("bob", on(other))
		if list := bob.hello["presence"].([]any); len(list) != 1 {
			t.Errorf("bob's hello says %v", list)
		}
		ann.status("bob", "online")
		if there := online(t, w.access, "ann"); !there["bob@example.org"] {
			t.Error("the first node does not know of bob")
		}
		ann.ask(`{"action":"sdp","to":"bob","id":"1","payload":{"a": 1}}`)
		bob.want("sdp")
		ann.ask(`{"action":"call.invite","to":"bob","callId":"c","id":"2"}`)
		callOf(t, bob.want("call.invite"), "ann", "c")
		bob.ask(`{"action":"call.accept","callId":"c","id":"1"}`)
		callOf(t, ann.want("call.accept"), "bob", "c")
		ann.ask(`{"action":"sdp","callId":"c","id":"3"}`)
		bob.want("sdp")
		ann.join(`{"room":%q}`, r.ID)
		bob.join(`{"room":%q}`, r.ID)
		ann.ask(`{"action":"room.message","room":%q,"id":"4"}`, r.ID)
		bob.want("room.message")

		// A node that comes later learns who is there.
		late := w.start()
		pass(6 * time.Second)
		keys := []string{person("ann").Key(), person("bob").Key()}
		if there, err := late.hub.Online(t.Context(), usher.DefaultApp, keys); err != nil || len(there) != 2 {
			t.Errorf("the new node knows of %v, %v", there, err)
		}

		// A node that goes takes its people with it, also if it says nothing.
		other.stop()
		bob.wantClosed(1012)
		ann.status("bob", "offline")
		ann.refused("unreachable", `{"action":"sdp","to":"bob"}`)
	})
}
