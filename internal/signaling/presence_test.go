package signaling_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"usher/internal/access"
)

func online(t *testing.T, a *access.Access, of string) map[string]bool {
	t.Helper()
	list, err := a.Contacts(t.Context(), person(of))
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, c := range list {
		there[c.Email] = c.Online
	}
	return there
}

func TestOnlyWhoListEachOtherKnowOfEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.friends("ann", "bob")
		w.list("carl", "ann") // who does not list carl
		ann, carl := w.connect("ann"), w.connect("carl", legacy)
		pass(time.Second)
		bob := w.connect("bob")
		ann.status("bob", "online")
		if list := bob.hello["presence"].([]any); len(list) != 1 || list[0].(map[string]any)["userId"] != "ann" {
			t.Errorf("bob's hello says %v", list)
		}
		if there := online(t, w.access, "carl"); there["ann@example.org"] {
			t.Error("carl is told of ann")
		}
		if there := online(t, w.access, "bob"); !there["ann@example.org"] {
			t.Error("bob is not told of ann")
		}
		pass(time.Second)
		carl.still()
		ann.ask(`{"action":"presence","id":"1","payload":{"status":"away"}}`)
		bob.status("ann", "away")
		second := w.connect("ann")
		bob.status("ann", "online") // one of two devices is not away
		second.leave(websocket.StatusNormalClosure)
		bob.status("ann", "away")

		// Who comes back soon was never gone.
		ann.leave(websocket.StatusGoingAway)
		pass(time.Second)
		ann = w.connect("ann")
		bob.status("ann", "online") // and not away
		pass(10 * time.Second)
		bob.still()

		start := time.Now()
		ann.leave(websocket.StatusNormalClosure)
		bob.status("ann", "offline")
		if took := time.Since(start); took > 5*time.Second || took < 2*time.Second {
			t.Errorf("ann was offline after %v", took)
		}
		if there := online(t, w.access, "bob"); there["ann@example.org"] {
			t.Error("bob is told of ann, who has left")
		}
		ann = w.connect("ann")
		bob.status("ann", "online")
		start = time.Now()
		ann.drop()
		pass(20 * time.Second)
		bob.still()
		bob.status("ann", "offline")
		if took := time.Since(start); took < 29*time.Second || took > 33*time.Second {
			t.Errorf("ann was offline %v after she was lost", took)
		}
	})
}

func TestContactsThatChangeAreToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.list("ann")
		w.list("bob", "ann")
		ann, phone, bob := w.connect("ann"), w.connect("ann"), w.connect("bob")
		pass(time.Second)
		bob.still()
		w.list("ann", "bob")
		for _, p := range []*peer{ann, phone} {
			if m := p.next(); m.body["action"] != "contacts.changed" {
				t.Errorf("heard %s, want contacts.changed", m.text)
			}
			p.status("bob", "online")
		}
		bob.status("ann", "online")
		if err := w.access.RemoveContact(t.Context(), person("ann"), person("bob").Key()); err != nil {
			t.Fatal(err)
		}
		bob.status("ann", "offline")
		ann.status("bob", "offline")
		pass(time.Second)
		bob.still()
	})
}
