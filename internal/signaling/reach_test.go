package signaling_test

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/policy"
)

var backEnd = usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "AKIDBACKEND"}

func TestABackEndReachesConnectionsByTheirHandles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.deps.Origin = true })
		w.friends("ann", "bob")
		ann, other := w.connect("ann"), w.connect("ann")
		handle := ann.hello["connection"].(string)
		ctx, connected := t.Context(), time.Now()
		pass(time.Minute)
		ann.ask(`{"action":"presence","id":"1","payload":{"status":"away"}}`)

		if err := w.hub.Post(ctx, backEnd, handle, []byte(`{"action":"contacts.changed","payload":{}}`)); err != nil {
			t.Fatal(err)
		}
		ann.want("contacts.changed")
		pass(time.Second)
		other.still()
		got, err := w.hub.Reached(ctx, backEnd, handle)
		if err != nil || got.ConnectedAt.Sub(connected).Abs() > time.Second || time.Since(got.HeardAt) > 2*time.Second || !strings.HasPrefix(got.UserAgent, "Go-http-client") || got.Address != (netip.Addr{}) {
			t.Errorf("got %+v, error %v", got, err)
		}

		gone := func(when, handle string) {
			t.Helper()
			_, err := w.hub.Reached(ctx, backEnd, handle)
			for what, err := range map[string]error{
				"a message": w.hub.Post(ctx, backEnd, handle, []byte(`{}`)), "its end": w.hub.Dismiss(ctx, backEnd, handle), "its figures": err,
			} {
				if usher.AsError(err).Kind != usher.Gone {
					t.Errorf("%s, %s: got error %v, want it to be gone", when, what, err)
				}
			}
		}
		for _, handle := range []string{"", "L0SM9cOFvHcCIhw=", "unknown"} {
			gone("of another gateway", handle)
		}
		if err := w.hub.Dismiss(ctx, backEnd, handle); err != nil {
			t.Fatal(err)
		}
		ann.wantClosed(1000)
		gone("once dismissed", handle)
		pass(time.Second)
		other.send(`{"action":"ping"}`) // which harmed nobody else
		other.want("pong")

		handle = other.hello["connection"].(string)
		if err := w.hub.Post(ctx, backEnd, handle, []byte("\xff")); usher.AsError(err).Code != "not_text" {
			t.Errorf("what is no text: got error %v", err)
		}
		for name, id := range map[string]usher.Identity{"a user": person("ann"), "a guest": guest("carl", "r"), "nobody": {App: usher.DefaultApp}} {
			if err := w.hub.Post(ctx, id, handle, []byte(`{}`)); err == nil || usher.AsError(err).Kind == usher.Gone {
				t.Errorf("%s reaches a connection: error %v", name, err)
			}
		}
		stranger := backEnd
		stranger.App = "other"
		if err := w.hub.Post(ctx, stranger, handle, []byte(`{}`)); usher.AsError(err).Kind != usher.Gone {
			t.Errorf("a back end of another app: got error %v, want it to be gone", err)
		}
		// A socket that is lost is gone, and back once its session is resumed.
		other.drop()
		pass(time.Second)
		gone("while it is lost", handle)
	})
}

func TestWhatABackEndDoesToConnectionsIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ann := w.connect("ann")
		if err := w.hub.Post(t.Context(), backEnd, ann.hello["connection"].(string), []byte(`{"action":"contacts.changed","payload":{}}`)); err != nil {
			t.Fatal(err)
		}
		_ = w.hub.Post(t.Context(), person("eve"), ann.hello["connection"].(string), []byte(`{}`))
		pass(time.Second)
		var got []string
		events, _, _, err := w.access.Events(t.Context(), operator, access.EventQuery{Type: usher.Decided, Limit: 100})
		for _, e := range events {
			if e.Decision.Action == string(policy.Reach) {
				got = append(got, e.Who+map[bool]string{true: " may", false: " may not"}[e.Decision.Allowed])
			}
		}
		if want := "client:AKIDBACKEND may, " + person("eve").Key() + " may not"; err != nil || strings.Join(got, ", ") != want {
			t.Errorf("the record has %q, error %v, want %q", got, err, want)
		}
	})
}
