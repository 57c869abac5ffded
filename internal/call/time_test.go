package call_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/call"
	"usher/internal/store"
)

// Every state has a timer; a device that comes back in each of them finds the
// call as it left it, and one that does not ends it.
func TestTimers(t *testing.T) {
	invited := []string{"ann1 invites bob c1"}
	ringing := append(slices.Clone(invited), "bob1 rings ann c1")
	accepted := append(slices.Clone(ringing), "bob1 accepts ann c1")
	connected := append(slices.Clone(accepted), "ann1 connects bob c1")
	timedOut := []string{"ann1 call.hangup invite_timeout", "bob* call.missed invite_timeout"}
	lost := []string{"ann* call.hangup connection_lost", "bob* call.hangup connection_lost"}
	for name, tt := range map[string]struct {
		before, racing []string
		want           outcome
	}{
		"nobody rings":                     {invited, []string{"59s", "sweep", "1s", "sweep"}, outcome{nil, timedOut, []string{"c1 ended invite_timeout missed"}}},
		"nobody answers":                   {ringing, []string{"59s", "sweep", "1s", "sweep"}, outcome{nil, timedOut, []string{"c1 ended invite_timeout missed"}}},
		"answered in the last moment":      {ringing, []string{"59s", "bob1 accepts ann c1", "2s", "sweep"}, outcome{nil, []string{"ann1 call.accept", "bob*-bob1 call.taken"}, []string{"c1 accepted ann1 bob1"}}},
		"answered too late":                {ringing, []string{"60s", "bob1 accepts ann c1", "sweep"}, outcome{[]string{"call_over"}, timedOut, []string{"c1 ended invite_timeout missed"}}},
		"cancelled too late":               {ringing, []string{"60s", "ann1 cancels bob c1"}, outcome{nil, timedOut, []string{"c1 ended invite_timeout missed"}}},
		"called again after the time":      {ringing, []string{"60s", "ann1 invites bob c2"}, outcome{nil, append(slices.Clone(timedOut), "bob* call.invite"), []string{"c1 ended invite_timeout missed", "c2 invited ann1"}}},
		"called back after the time":       {ringing, []string{"60s", "bob1 invites ann c2"}, outcome{nil, append(slices.Clone(timedOut), "ann* call.invite"), []string{"c1 ended invite_timeout missed", "c2 invited bob1"}}},
		"the same invite after the time":   {ringing, []string{"60s", "ann1 invites bob c1"}, outcome{[]string{"call_over"}, nil, []string{"c1 ringing ann1"}}},
		"never connected":                  {accepted, []string{"19s", "sweep", "1s", "sweep"}, outcome{nil, []string{"ann* call.hangup ice_timeout", "bob* call.hangup ice_timeout"}, []string{"c1 ended ice_timeout"}}},
		"connected, which the ring outran": {connected, []string{"60s", "sweep", "2h", "sweep"}, outcome{nil, []string{"ann* call.hangup too_long", "bob* call.hangup too_long"}, []string{"c1 ended too_long"}}},

		"connected twice": {connected, []string{"1h", "bob1 connects ann c1", "1h", "sweep"}, outcome{nil, []string{"ann* call.hangup too_long", "bob* call.hangup too_long"}, []string{"c1 ended too_long"}}},

		"the caller is lost while nobody rings":           {invited, []string{"ann1 loses", "29s", "sweep", "1s", "sweep"}, outcome{nil, []string{"ann1 call.hangup connection_lost", "bob* call.missed connection_lost"}, []string{"c1 ended connection_lost missed"}}},
		"the caller is lost while it rings":               {ringing, []string{"ann1 loses", "29s", "sweep", "1s", "sweep"}, outcome{nil, []string{"ann1 call.hangup connection_lost", "bob* call.missed connection_lost"}, []string{"c1 ended connection_lost missed"}}},
		"the caller comes back while it rings":            {ringing, []string{"ann1 loses", "29s", "ann1 attaches", "30s", "sweep"}, outcome{nil, nil, []string{"c1 ringing ann1"}}},
		"the caller is back, and the ring ends":           {ringing, []string{"ann1 loses", "29s", "ann1 attaches", "31s", "sweep"}, outcome{nil, timedOut, []string{"c1 ended invite_timeout missed"}}},
		"the ring ends before the grace":                  {ringing, []string{"45s", "ann1 loses", "15s", "sweep"}, outcome{nil, timedOut, []string{"c1 ended invite_timeout missed"}}},
		"a device of the callee is lost, and it rings on": {ringing, []string{"bob1 loses", "31s", "sweep", "bob2 accepts ann c1"}, outcome{nil, []string{"ann1 call.accept", "bob*-bob2 call.taken"}, []string{"c1 accepted ann1 bob2"}}},
		"accepted while the caller is away":               {ringing, []string{"ann1 loses", "bob1 accepts ann c1", "ann1 attaches", "19s", "sweep"}, outcome{nil, []string{"ann1 call.accept", "bob*-bob1 call.taken"}, []string{"c1 accepted ann1 bob1"}}},
		"the caller does not come back, accepted":         {connected, []string{"ann1 loses", "30s", "sweep"}, outcome{nil, lost, []string{"c1 ended connection_lost"}}},
		"the callee does not come back":                   {connected, []string{"bob1 loses", "30s", "sweep"}, outcome{nil, lost, []string{"c1 ended connection_lost"}}},
		"both are lost, one comes back":                   {connected, []string{"ann1 loses", "bob1 loses", "29s", "bob1 attaches", "1s", "sweep"}, outcome{nil, lost, []string{"c1 ended connection_lost"}}},
		"both come back":                                  {connected, []string{"ann1 loses", "bob1 loses", "29s", "bob1 attaches", "ann1 attaches", "1h", "sweep"}, outcome{nil, nil, []string{"c1 connected ann1 bob1"}}},
		"the callee is lost before it is connected":       {accepted, []string{"10s", "bob1 loses", "10s", "sweep"}, outcome{nil, []string{"ann* call.hangup ice_timeout", "bob* call.hangup ice_timeout"}, []string{"c1 ended ice_timeout"}}},
		"the callee is back before it is connected":       {accepted, []string{"10s", "bob1 loses", "bob1 attaches", "bob1 connects ann c1", "1h", "sweep"}, outcome{nil, nil, []string{"c1 connected ann1 bob1"}}},
		"another device is lost":                          {connected, []string{"ann2 loses", "1h", "sweep"}, outcome{nil, nil, []string{"c1 connected ann1 bob1"}}},
		"it comes back after the end":                     {ringing, []string{"ann1 loses", "ann1 cancels bob c1", "ann1 attaches"}, outcome{nil, []string{"bob* call.cancel cancelled", "bob* call.missed cancelled"}, []string{"c1 ended cancelled missed"}}},
		"it comes back too late":                          {connected, []string{"ann1 loses", "30s", "ann1 attaches", "sweep"}, outcome{nil, lost, []string{"c1 ended connection_lost"}}},
		"another device hangs up what is lost":            {connected, []string{"ann1 loses", "ann2 hangs bob c1"}, outcome{nil, []string{"ann*-ann2 call.hangup user_hangup", "bob* call.hangup user_hangup"}, []string{"c1 ended user_hangup"}}},
		"another device cancels what is lost":             {ringing, []string{"ann1 loses", "ann2 cancels bob c1"}, outcome{nil, []string{"ann1 call.hangup cancelled", "bob* call.cancel cancelled", "bob* call.missed cancelled"}, []string{"c1 ended cancelled missed"}}},

		"another device invites again for what is lost":    {ringing, []string{"ann1 loses", "ann2 invites bob c1", "40s", "sweep", "bob1 accepts ann c1", "ann1 attaches"}, outcome{nil, []string{"ann2 call.accept", "bob*-bob1 call.taken"}, []string{"c1 accepted ann2 bob1"}}},
		"another device accepts again for what is lost":    {accepted, []string{"bob1 loses", "bob2 accepts ann c1", "bob1 attaches", "bob1 connects ann c1", "bob2 connects ann c1", "1h", "sweep"}, outcome{[]string{"call_taken"}, nil, []string{"c1 connected ann1 bob2"}}},
		"another device goes on in a call that is lost":    {connected, []string{"10m", "restart", "ann3 connects bob c1", "bob3 connects ann c1", "1h", "sweep"}, outcome{nil, nil, []string{"c1 connected ann3 bob3"}}},
		"another device takes nothing that is not lost":    {connected, []string{"ann2 connects bob c1", "bob2 accepts ann c1", "ann2 invites bob c1"}, outcome{[]string{"call_taken", "call_taken", "call_exists"}, nil, []string{"c1 connected ann1 bob1"}}},
		"another device invites again when it is too late": {ringing, []string{"ann1 loses", "30s", "ann2 invites bob c1", "sweep"}, outcome{[]string{"call_over"}, []string{"ann1 call.hangup connection_lost", "bob* call.missed connection_lost"}, []string{"c1 ended connection_lost missed"}}},

		"the server restarts while nobody rings":        {invited, []string{"30s", "restart", "bob1 rings ann c1"}, outcome{nil, []string{"ann1 call.ringing"}, []string{"c1 ringing ann1"}}},
		"the server restarts while it rings":            {ringing, []string{"30s", "restart", "ann1 attaches", "29s", "sweep", "bob2 accepts ann c1"}, outcome{nil, []string{"ann1 call.accept", "bob*-bob2 call.taken"}, []string{"c1 accepted ann1 bob2"}}},
		"the server restarts, and nobody answers":       {ringing, []string{"30s", "restart", "ann1 attaches", "30s", "sweep"}, outcome{nil, timedOut, []string{"c1 ended invite_timeout missed"}}},
		"the server is away for longer than it rings":   {ringing, []string{"61s", "restart", "sweep"}, outcome{nil, timedOut, []string{"c1 ended invite_timeout missed"}}},
		"the caller does not come back to a new server": {ringing, []string{"10s", "restart", "29s", "sweep", "1s", "sweep"}, outcome{nil, []string{"ann1 call.hangup connection_lost", "bob* call.missed connection_lost"}, []string{"c1 ended connection_lost missed"}}},
		"the server restarts in a call":                 {connected, []string{"10m", "restart", "29s", "sweep", "ann1 attaches", "bob1 attaches", "1h", "sweep"}, outcome{nil, nil, []string{"c1 connected ann1 bob1"}}},
		"the server restarts in a call, one is gone":    {connected, []string{"10m", "restart", "ann1 attaches", "30s", "sweep"}, outcome{nil, lost, []string{"c1 ended connection_lost"}}},
		"the server is away while a device is lost":     {connected, []string{"ann1 loses", "10m", "restart", "29s", "sweep", "ann1 attaches", "bob1 attaches", "1h", "sweep"}, outcome{nil, nil, []string{"c1 connected ann1 bob1"}}},
		"the server is away while it is to connect":     {accepted, []string{"19s", "restart", "19s", "sweep", "ann1 attaches", "bob1 attaches", "bob1 connects ann c1", "1h", "sweep"}, outcome{nil, nil, []string{"c1 connected ann1 bob1"}}},
		"the server restarts and it is never connected": {accepted, []string{"19s", "restart", "ann1 attaches", "bob1 attaches", "20s", "sweep"}, outcome{nil, []string{"ann* call.hangup ice_timeout", "bob* call.hangup ice_timeout"}, []string{"c1 ended ice_timeout"}}},

		"what ended is forgotten":            {ringing, []string{"bob1 rejects ann c1", "599s", "sweep", "1s", "sweep"}, outcome{nil, []string{"ann1 call.reject rejected", "bob*-bob1 call.taken rejected"}, nil}},
		"what was missed is kept":            {ringing, []string{"60s", "sweep", "23h", "sweep"}, outcome{nil, timedOut, []string{"c1 ended invite_timeout missed"}}},
		"what was missed is forgotten":       {ringing, []string{"60s", "sweep", "24h", "sweep"}, outcome{nil, timedOut, nil}},
		"what was ended before is forgotten": {nil, []string{"ann1 hangs bob c1", "10m", "sweep", "ann1 invites bob c1"}, outcome{nil, []string{"bob* call.invite"}, []string{"c1 invited ann1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := race(t, tt.before, tt.racing)
			got.codes = slices.DeleteFunc(got.codes, func(code string) bool { return code == "" })
			wantOutcome(t, got, tt.want)
		})
	}
}

// A connection that broke does not count if the device has a newer one.
func TestOlderConnectionTakesNothingAway(t *testing.T) {
	w := newWorld(t, newMemory())
	w.must("ann1 invites bob c1", "bob1 accepts ann c1", "ann1 connects bob c1")
	older := w.device("ann1")
	w.must("ann1 attaches")
	if err := w.Lose(w.ctx, older); err != nil {
		t.Fatal(err)
	}
	w.must("1h", "sweep")
	if diff := cmp.Diff([]string{"c1 connected ann1 bob1"}, w.state()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A page that is loaded anew hears what rings, with what the caller sent, and
// what its device has; not what it was told to ignore.
func TestAttachTellsWhatConcernsTheDevice(t *testing.T) {
	w := newWorld(t, newMemory())
	w.must("ann1 invites bob c1", "carl1 requests bob c2", "bob2 ignores carl c2", "bob3 invites dave d1", "dave1 accepts bob d1")
	for device, want := range map[string][]string{
		"bob1": {"c1", "c2"}, "bob2": {"c1"}, "bob3": {"c1", "c2", "d1"}, "ann1": {"c1"}, "ann2": nil, "carl1": {"c2"}, "dave1": {"d1"}, "dave2": nil, "eve1": nil,
	} {
		calls, err := w.Attach(w.ctx, w.device(device))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range calls {
			got = append(got, c.ID)
			if c.ID == "c1" && c.Payload != "offer" {
				t.Errorf("the payload of %s is %q", c.ID, c.Payload)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", device, diff)
		}
	}
	w.must("60s") // no sweep
	for device, want := range map[string]int{"bob1": 0, "dave1": 0, "ann1": 0} {
		if calls, err := w.Attach(w.ctx, w.device(device)); err != nil || len(calls) != want {
			t.Errorf("%s, too late: got %v and error %v", device, calls, err)
		}
	}
}

// The list of missed calls is read page by page, and acknowledged from an entry
// downwards.
func TestMissedCalls(t *testing.T) {
	w := newWorld(t, newMemory())
	for _, line := range []string{"ann1 invites bob c1", "carl1 requests bob c2", "ann1 invites bob c3"} {
		w.must(line, "1s")
		if line[:4] == "ann1" {
			w.must("ann1 cancels bob "+line[len(line)-2:], "1s")
		}
	}
	w.must("60s", "sweep", "bob1 invites ann c4", "bob1 cancels ann c4")
	h := call.History{Store: w.db, Now: func() time.Time { return w.now }}
	list := func(from usher.ID, limit int) (ids []string, missed []usher.ID) {
		calls, err := h.Missed(w.ctx, store.MissedQuery{App: usher.DefaultApp, User: "bob", From: from, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range calls {
			ids, missed = append(ids, c.ID), append(missed, c.Missed)
		}
		return ids, missed
	}
	want := []string{"c2", "c3", "c1"} // c2 rang until its time was over
	ids, missed := list("", 0)
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	if page, _ := list(missed[1], 1); !slices.Equal(page, want[1:2]) {
		t.Errorf("the second page: got %v", page)
	}
	acknowledge := func(from usher.ID, want ...string) {
		t.Helper()
		if err := h.Acknowledge(w.ctx, usher.DefaultApp, "bob", from); err != nil {
			t.Fatal(err)
		}
		if ids, _ := list("", 0); !slices.Equal(ids, want) {
			t.Errorf("after acknowledging: got %v, want %v", ids, want)
		}
	}
	acknowledge(missed[1], "c2")
	acknowledge(missed[1], "c2")
	acknowledge("")
	w.must("10m", "sweep")
	if diff := cmp.Diff([]string{"c4 ended cancelled missed"}, w.state()); diff != "" { // that ann has missed
		t.Errorf("what is kept (-want +got):\n%s", diff)
	}
}

// Run does what is due without being asked.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newMemory())
		start := time.Now()
		w.Service.Now = func() time.Time { return begin.Add(time.Since(start)) }
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		w.must("ann1 invites bob c1")
		w.news()
		time.Sleep(rules.Ring + 2*time.Second) // of the bubble's clock
		stop()
		<-done
		if diff := cmp.Diff([]string{"ann1 call.hangup invite_timeout", "bob* call.missed invite_timeout"}, w.news()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
