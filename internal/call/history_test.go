package call_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"usher"
	"usher/internal/call"
)

var crowd = []string{"ann1", "ann2", "bob1", "bob2", "carl1"}

// history is a world in which anything may happen, held against the model.
type history struct {
	*world
	t     *rapid.T
	model *model
	last  map[usher.CallKey]usher.Call // as they were told to be
	ends  map[usher.CallKey]int
}

// actions are drawn by how often they shall happen.
func (h *history) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){"": func(*rapid.T) { h.check() }, "time": h.pass, "sweep": h.sweep, "restart": h.restart, "loses": h.lose, "loses again": h.lose, "attaches": h.attach}
	for i, verb := range []string{
		"invites", "invites", "invites", "requests", "rings", "accepts", "accepts", "accepts", "ignores", "connects", "connects",
		"cancels", "rejects", "busies", "hangs",
	} {
		actions[fmt.Sprint(verb, i)] = func(t *rapid.T) { h.act(t, verb) }
	}
	return actions
}

func (h *history) pass(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{time.Microsecond, time.Second, 10 * time.Second, rules.Connect, rules.Grace, rules.Ring,
		10 * time.Minute, rules.Longest, rules.KeepMissed}).Draw(t, "time")
	h.now = h.now.Add(d)
	h.model.now = h.now
	h.model.tick()
}

func (h *history) sweep(*rapid.T) {
	h.must("sweep")
	h.model.sweep()
}

// restart begins a new process after the old one has swept: what fell due in
// its last second gets another wait, since nobody could come back meanwhile.
func (h *history) restart(*rapid.T) {
	h.must("sweep", "restart")
	h.model.restart()
}

func (h *history) lose(t *rapid.T) {
	device := rapid.SampledFrom(crowd).Draw(t, "device")
	h.must(device + " loses")
	h.model.connection(strings.TrimRight(device, "12"), device, false)
}

func (h *history) attach(t *rapid.T) {
	device := rapid.SampledFrom(crowd).Draw(t, "device")
	h.must(device + " attaches")
	h.model.connection(strings.TrimRight(device, "12"), device, true)
}

// act does something to a call, which is mostly one that there is.
func (h *history) act(t *rapid.T, verb string) {
	device := rapid.SampledFrom(crowd).Draw(t, "device")
	user := strings.TrimRight(device, "12")
	others := slices.DeleteFunc([]string{"ann", "bob", "carl"}, func(other string) bool { return other == user })
	peer := rapid.SampledFrom(others).Draw(t, "peer")
	id := rapid.SampledFrom([]string{"c1", "c2", "c3", "c4"}).Draw(t, "id")
	if c := h.model.live(func(c *modelCall) bool { return c.between(user, peer) }); c != nil && rapid.IntRange(0, 3).Draw(t, "live") > 0 {
		id = c.id
		if c.merged != "" && rapid.Bool().Draw(t, "by the merged id") {
			id = c.merged
		}
	}
	var want string
	switch verb {
	case "invites", "requests":
		want = h.model.invite(user, device, peer, id, verb == "requests")
	case "accepts", "rings", "ignores":
		want = h.model.respond(user, device, peer, id, verb == "accepts")
	case "connects":
		want = h.model.connect(user, device, peer, id)
	default:
		want = h.model.finish(user, device, peer, id, verb)
	}
	line := fmt.Sprintf("%s %s %s %s", device, verb, peer, id)
	if got := h.do(line); got != want {
		t.Fatalf("%s: got %q, want %q", line, got, want)
	}
}

// check holds what is there against the model, and against what is always true.
func (h *history) check() {
	var got, want []string
	live := map[usher.Pair]int{}
	for _, c := range h.db.(*memory).all(func(usher.Call) bool { return true }) {
		if c.Due.IsZero() {
			h.t.Fatalf("the %s call %s has no timer", c.Status, c.ID)
		}
		if c.Answered() != (c.Callee.Device != "") && c.Live() {
			h.t.Fatalf("the %s call %s has the callee's device %q", c.Status, c.ID, c.Callee.Device)
		}
		if c.Live() {
			if live[c.Pair()]++; live[c.Pair()] > 1 {
				h.t.Fatalf("two calls of %v live", c.Pair())
			}
		}
		seen, err := h.Get(h.ctx, c.App, c.Caller.User, c.Callee.User, c.ID)
		if err != nil || seen.Key() != c.Key() {
			h.t.Fatalf("Get of %s: got %s and error %v", c.ID, seen.ID, err)
		}
		got = append(got, summary(seen))
	}
	for _, c := range h.model.calls {
		want = append(want, c.summary())
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Fatalf("calls (-model +got):\n%s", diff)
	}
}

func summary(c usher.Call) string {
	stage := map[usher.CallStatus]string{
		usher.CallInvited: "rings", usher.CallRinging: "rings", usher.CallAccepted: "answered", usher.CallConnected: "connected", usher.CallEnded: "over",
	}[c.Status]
	s := fmt.Sprintf("%s+%s from %s to %s %s", c.ID, c.Merged, c.Caller.User, c.Callee.User, stage)
	if c.Live() {
		return fmt.Sprintf("%s at %s %s, lost %t %t", s, c.Caller.Device, c.Callee.Device, c.Caller.Lost(), c.Callee.Lost())
	}
	return fmt.Sprintf("%s by %s, missed %t", s, c.Reason, c.Missed != "")
}

func (c *modelCall) summary() string {
	s := fmt.Sprintf("%s+%s from %s to %s %s", c.id, c.merged, c.caller, c.callee, c.stage)
	if c.stage == "over" {
		return fmt.Sprintf("%s by %s, missed %t", s, c.reason, c.missed)
	}
	_, callerLost := c.lost[c.caller]
	_, calleeLost := c.lost[c.callee]
	return fmt.Sprintf("%s at %s %s, lost %t %t", s, c.device[c.caller], c.device[c.callee], callerLost, calleeLost)
}

// changed holds each change and its notices against what is always true.
func (h *history) changed(c usher.Call, notices []call.Notice) {
	key := c.Key()
	before, known := h.last[key]
	if known && !before.Live() && before.Version < c.Version {
		h.t.Fatalf("%s was changed after its end", c.ID)
	}
	if known && before.Version >= c.Version && before.InvitedAt.Equal(c.InvitedAt) {
		h.t.Fatalf("version %d of %s was told after %d", c.Version, c.ID, before.Version)
	}
	if known && before.Answered() && !before.Callee.Lost() && c.Callee.Device != before.Callee.Device {
		h.t.Fatalf("%s went from %s to %s", c.ID, before.Callee.Device, c.Callee.Device)
	}
	h.last[key] = c
	if !c.Live() {
		h.ends[key]++
	}
	if c.Version == 1 {
		h.ends[key] = 0 // a call of that id was forgotten
		if !c.Live() {
			h.ends[key] = 1
		}
	}
	if h.ends[key] > 1 || !c.Live() && c.Reason == "" {
		h.t.Fatalf("%s ended for the %d. time, with the reason %q", c.ID, h.ends[key], c.Reason)
	}
	accepts := 0
	for _, n := range notices {
		if !c.Pair().Has(n.To) || n.From != "" && !c.Pair().Has(n.From) || n.Device != "" && strings.TrimRight(n.Device, "12") != n.To {
			h.t.Fatalf("an outsider was told of %s: %s", c.ID, describe(n))
		}
		if n.Action == call.Accept {
			accepts++
		}
		if n.By != "" && n.To == n.From && n.For(n.By) {
			h.t.Fatalf("%s was told what it did itself: %s", n.By, describe(n))
		}
	}
	if (accepts > 0) != (c.Answered() && !before.Answered()) && !(known && before.Answered()) && c.Live() {
		h.t.Fatalf("the %s call %s was told to be accepted %d times", c.Status, c.ID, accepts)
	}
}

func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{world: newWorld(t, newMemory()), t: t, last: map[usher.CallKey]usher.Call{}, ends: map[usher.CallKey]int{}}
		h.model = &model{now: h.now, started: h.now}
		h.on = h.changed
		t.Repeat(h.actions())
	})
}
