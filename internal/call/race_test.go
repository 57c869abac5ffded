package call_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// outcome is what came of a script.
type outcome struct {
	// codes are those of the racing lines, in their order.
	codes []string
	// told is who was told what since they began.
	told []string
	// calls are the calls in the end.
	calls []string
}

// race runs a script: what is so before, and then the lines that race.
func race(t *testing.T, before, racing []string) outcome {
	w := newWorld(t, newMemory())
	w.must(before...)
	w.news()
	var o outcome
	for _, line := range racing {
		o.codes = append(o.codes, w.do(line))
	}
	o.told, o.calls = w.news(), w.state()
	return o
}

func wantOutcome(t *testing.T, got, want outcome) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(outcome{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Each pair of what can race, in both orders, on one device and on two.
func TestRaces(t *testing.T) {
	ringing := []string{"ann1 invites bob c1", "bob1 rings ann c1"}
	for name, tt := range map[string]struct {
		before, racing []string
		want           outcome
	}{
		"cancel, then accept": {ringing,
			[]string{"ann1 cancels bob c1", "bob1 accepts ann c1"},
			outcome{[]string{"", "call_over"}, []string{"bob* call.cancel cancelled", "bob* call.missed cancelled"}, []string{"c1 ended cancelled missed"}}},
		"accept, then cancel": {ringing,
			[]string{"bob1 accepts ann c1", "ann1 cancels bob c1"},
			outcome{[]string{"", ""}, []string{"ann1 call.accept", "bob*-bob1 call.taken",
				"ann*-ann1 call.hangup user_hangup", "bob* call.hangup user_hangup"}, []string{"c1 ended user_hangup"}}},
		"cancel at another device of the caller, then accept": {ringing,
			[]string{"ann2 cancels bob c1", "bob1 accepts ann c1"},
			outcome{[]string{"call_taken", ""}, []string{"ann1 call.accept", "bob*-bob1 call.taken"}, []string{"c1 accepted ann1 bob1"}}},
		"accept, then cancel at another device of the caller": {ringing,
			[]string{"bob1 accepts ann c1", "ann2 cancels bob c1"},
			outcome{[]string{"", "call_taken"}, []string{"ann1 call.accept", "bob*-bob1 call.taken"}, []string{"c1 accepted ann1 bob1"}}},

		"accept twice at one device": {ringing,
			[]string{"bob1 accepts ann c1", "bob1 accepts ann c1"},
			outcome{[]string{"", ""}, []string{"ann1 call.accept", "bob*-bob1 call.taken"}, []string{"c1 accepted ann1 bob1"}}},
		"accept at one device, then at the other": {ringing,
			[]string{"bob1 accepts ann c1", "bob2 accepts ann c1"},
			outcome{[]string{"", "call_taken"}, []string{"ann1 call.accept", "bob*-bob1 call.taken"}, []string{"c1 accepted ann1 bob1"}}},
		"accept at the other device, then at the one": {ringing,
			[]string{"bob2 accepts ann c1", "bob1 accepts ann c1"},
			outcome{[]string{"", "call_taken"}, []string{"ann1 call.accept", "bob*-bob2 call.taken"}, []string{"c1 accepted ann1 bob2"}}},

		"accept, then reject at one device": {ringing,
			[]string{"bob1 accepts ann c1", "bob1 rejects ann c1"},
			outcome{[]string{"", ""}, []string{"ann1 call.accept", "bob*-bob1 call.taken",
				"ann* call.hangup user_hangup", "bob*-bob1 call.hangup user_hangup"}, []string{"c1 ended user_hangup"}}},
		"reject, then accept at one device": {ringing,
			[]string{"bob1 rejects ann c1", "bob1 accepts ann c1"},
			outcome{[]string{"", "call_over"}, []string{"ann1 call.reject rejected", "bob*-bob1 call.taken rejected"}, []string{"c1 ended rejected"}}},
		"accept at one device, then reject at the other": {ringing,
			[]string{"bob1 accepts ann c1", "bob2 rejects ann c1"},
			outcome{[]string{"", "call_taken"}, []string{"ann1 call.accept", "bob*-bob1 call.taken"}, []string{"c1 accepted ann1 bob1"}}},
		"reject at one device, then accept at the other": {ringing,
			[]string{"bob1 rejects ann c1", "bob2 accepts ann c1"},
			outcome{[]string{"", "call_over"}, []string{"ann1 call.reject rejected", "bob*-bob1 call.taken rejected"}, []string{"c1 ended rejected"}}},

		"cancel, then reject": {ringing,
			[]string{"ann1 cancels bob c1", "bob1 rejects ann c1"},
			outcome{[]string{"", ""}, []string{"bob* call.cancel cancelled", "bob* call.missed cancelled"}, []string{"c1 ended cancelled missed"}}},
		"reject, then cancel": {ringing,
			[]string{"bob1 rejects ann c1", "ann1 cancels bob c1"},
			outcome{[]string{"", ""}, []string{"ann1 call.reject rejected", "bob*-bob1 call.taken rejected"}, []string{"c1 ended rejected"}}},
		"busy at one device, then ringing at the other": {ringing,
			[]string{"bob1 busies ann c1", "bob2 rings ann c1"},
			outcome{[]string{"", "call_over"}, []string{"ann1 call.busy user_busy", "bob*-bob1 call.taken user_busy"}, []string{"c1 ended user_busy"}}},
		"ignore at one device, then accept at the other": {ringing,
			[]string{"bob1 ignores ann c1", "bob2 accepts ann c1"},
			outcome{[]string{"", ""}, []string{"ann1 call.accept", "bob*-bob2 call.taken"}, []string{"c1 accepted ann1 bob2"}}},
		"accept at one device, then ignore at the other": {ringing,
			[]string{"bob1 accepts ann c1", "bob2 ignores ann c1"},
			outcome{[]string{"", "call_taken"}, []string{"ann1 call.accept", "bob*-bob1 call.taken"}, []string{"c1 accepted ann1 bob1"}}},
		"two devices ring": {[]string{"ann1 invites bob c1"},
			[]string{"bob1 rings ann c1", "bob2 rings ann c1", "bob1 rings ann c1"},
			outcome{[]string{"", "", ""}, []string{"ann1 call.ringing"}, []string{"c1 ringing ann1"}}},

		"ann invites, then bob": {nil,
			[]string{"ann1 invites bob c1", "bob1 invites ann c2"},
			outcome{[]string{"", ""}, []string{"bob* call.invite", "ann1 call.accept", "bob*-bob1 call.taken", "bob1 call.accept"}, []string{"c1+c2 accepted ann1 bob1"}}},
		"bob invites, then ann": {nil,
			[]string{"bob1 invites ann c2", "ann1 invites bob c1"},
			outcome{[]string{"", ""}, []string{"ann* call.invite", "bob1 call.accept", "ann*-ann1 call.taken", "ann1 call.accept"}, []string{"c2+c1 accepted bob1 ann1"}}},
		"both invite with one id": {nil,
			[]string{"ann1 invites bob c1", "bob1 invites ann c1"},
			outcome{[]string{"", ""}, []string{"bob* call.invite", "ann1 call.accept", "bob*-bob1 call.taken", "bob1 call.accept"}, []string{"c1 accepted ann1 bob1"}}},
		"both invite, and the merged invite comes again": {nil,
			[]string{"ann1 invites bob c1", "bob1 invites ann c2", "bob1 invites ann c2", "ann1 invites bob c1"},
			outcome{[]string{"", "", "", ""}, []string{"bob* call.invite", "ann1 call.accept", "bob*-bob1 call.taken", "bob1 call.accept"}, []string{"c1+c2 accepted ann1 bob1"}}},
		"both invite, and bob again with ann's id": {nil,
			[]string{"ann1 invites bob c1", "bob1 invites ann c2", "bob1 invites ann c1", "ann1 invites bob c2"},
			outcome{[]string{"", "", "call_exists", "call_exists"}, []string{"bob* call.invite", "ann1 call.accept", "bob*-bob1 call.taken", "bob1 call.accept"}, []string{"c1+c2 accepted ann1 bob1"}}},
		"ann invites, then bob at two devices": {nil,
			[]string{"ann1 invites bob c1", "bob1 invites ann c2", "bob2 invites ann c3"},
			outcome{[]string{"", "", "call_exists"}, []string{"bob* call.invite", "ann1 call.accept", "bob*-bob1 call.taken", "bob1 call.accept"}, []string{"c1+c2 accepted ann1 bob1"}}},
		"bob accepts at one device and invites at the other": {ringing,
			[]string{"bob1 accepts ann c1", "bob2 invites ann c2"},
			outcome{[]string{"", "call_exists"}, []string{"ann1 call.accept", "bob*-bob1 call.taken"}, []string{"c1 accepted ann1 bob1"}}},
		"bob invites at one device and accepts at the other": {ringing,
			[]string{"bob2 invites ann c2", "bob1 accepts ann c1"},
			outcome{[]string{"", "call_taken"}, []string{"ann1 call.accept", "bob*-bob2 call.taken", "bob2 call.accept"}, []string{"c1+c2 accepted ann1 bob2"}}},
		"both invite, and bob cancels what was merged": {nil,
			[]string{"ann1 invites bob c1", "bob1 invites ann c2", "bob1 cancels ann c2"},
			outcome{[]string{"", "", ""}, []string{"bob* call.invite", "ann1 call.accept", "bob*-bob1 call.taken", "bob1 call.accept",
				"ann* call.hangup user_hangup", "bob*-bob1 call.hangup user_hangup"}, []string{"c1+c2 ended user_hangup"}}},
		"both invite, ann cancels before": {nil,
			[]string{"ann1 invites bob c1", "ann1 cancels bob c1", "bob1 invites ann c2"},
			outcome{[]string{"", "", ""}, []string{"bob* call.invite", "bob* call.cancel cancelled", "bob* call.missed cancelled", "ann* call.invite"},
				[]string{"c1 ended cancelled missed", "c2 invited bob1"}}},
		"the same invite twice": {nil,
			[]string{"ann1 invites bob c1", "ann1 invites bob c1"},
			outcome{[]string{"", ""}, []string{"bob* call.invite"}, []string{"c1 invited ann1"}}},
		"the same invite from another device": {nil,
			[]string{"ann1 invites bob c1", "ann2 invites bob c1"},
			outcome{[]string{"", "call_exists"}, []string{"bob* call.invite"}, []string{"c1 invited ann1"}}},
		"an invite from each device of one person": {nil,
			[]string{"ann1 invites bob c1", "ann2 invites bob c2"},
			outcome{[]string{"", "call_exists"}, []string{"bob* call.invite"}, []string{"c1 invited ann1"}}},
		"an invite anew while it rings": {ringing,
			[]string{"ann1 invites bob c2"},
			outcome{[]string{""}, []string{"bob* call.cancel replaced", "bob* call.invite"}, []string{"c1 ended replaced", "c2 invited ann1"}}},

		"hang-up before invite": {nil,
			[]string{"ann1 hangs bob c1", "ann1 invites bob c1"},
			outcome{[]string{"", "call_over"}, nil, []string{"c1 ended cancelled"}}},
		"invite before hang-up": {nil,
			[]string{"ann1 invites bob c1", "ann1 hangs bob c1"},
			outcome{[]string{"", ""}, []string{"bob* call.invite", "bob* call.cancel cancelled", "bob* call.missed cancelled"}, []string{"c1 ended cancelled missed"}}},
		"cancel before invite": {nil,
			[]string{"ann1 cancels bob c1", "ann1 cancels bob c1", "ann1 invites bob c1", "ann1 invites bob c1"},
			outcome{[]string{"", "", "call_over", "call_over"}, nil, []string{"c1 ended cancelled"}}},
		"hang-up before invite, at another device": {nil,
			[]string{"ann2 hangs bob c1", "ann1 invites bob c1"},
			outcome{[]string{"", "call_over"}, nil, []string{"c1 ended cancelled"}}},
		"invite before hang-up, at another device": {nil,
			[]string{"ann1 invites bob c1", "ann2 hangs bob c1"},
			outcome{[]string{"", "call_taken"}, []string{"bob* call.invite"}, []string{"c1 invited ann1"}}},
		"hang-up before invite, and another call": {nil,
			[]string{"ann1 hangs bob c1", "ann1 invites bob c2", "ann1 invites bob c1"},
			outcome{[]string{"", "", "call_over"}, []string{"bob* call.invite"}, []string{"c1 ended cancelled", "c2 invited ann1"}}},
		"hang-up of nobody's call by nobody's name": {nil,
			[]string{"ann1 hangs ann c1", "ann1 rejects bob c1"},
			outcome{[]string{"call_not_found", "call_not_found"}, nil, nil}},

		"both hang up": {[]string{"ann1 invites bob c1", "bob1 accepts ann c1"},
			[]string{"ann1 hangs bob c1", "bob1 hangs ann c1"},
			outcome{[]string{"", ""}, []string{"ann*-ann1 call.hangup user_hangup", "bob* call.hangup user_hangup"}, []string{"c1 ended user_hangup"}}},
		"both hang up, the other first": {[]string{"ann1 invites bob c1", "bob1 accepts ann c1"},
			[]string{"bob1 hangs ann c1", "ann1 hangs bob c1"},
			outcome{[]string{"", ""}, []string{"ann* call.hangup user_hangup", "bob*-bob1 call.hangup user_hangup"}, []string{"c1 ended user_hangup"}}},
		"another device hangs up": {[]string{"ann1 invites bob c1", "bob1 accepts ann c1"},
			[]string{"bob2 hangs ann c1", "ann2 hangs bob c1"},
			outcome{[]string{"call_taken", "call_taken"}, nil, []string{"c1 accepted ann1 bob1"}}},
		"connected at both, and hung up": {[]string{"ann1 invites bob c1", "bob1 accepts ann c1"},
			[]string{"ann1 connects bob c1", "bob1 connects ann c1", "bob2 connects ann c1", "bob1 hangs ann c1", "ann1 connects bob c1"},
			outcome{[]string{"", "", "call_taken", "", "call_over"}, []string{"ann* call.hangup user_hangup", "bob*-bob1 call.hangup user_hangup"}, []string{"c1 ended user_hangup"}}},
		"called anew in a call, by the caller": {[]string{"ann1 invites bob c1", "bob1 accepts ann c1"},
			[]string{"ann1 invites bob c2"},
			outcome{[]string{""}, []string{"ann*-ann1 call.hangup replaced", "bob* call.hangup replaced", "bob* call.invite"},
				[]string{"c1 ended replaced", "c2 invited ann1"}}},
		"called anew in a call, by the callee": {[]string{"ann1 invites bob c1", "bob1 accepts ann c1", "bob1 connects ann c1"},
			[]string{"bob1 invites ann c2"},
			outcome{[]string{""}, []string{"ann* call.hangup replaced", "bob*-bob1 call.hangup replaced", "ann* call.invite"},
				[]string{"c1 ended replaced", "c2 invited bob1"}}},
		"called anew in a call, at another device": {[]string{"ann1 invites bob c1", "bob1 accepts ann c1"},
			[]string{"ann2 invites bob c2", "bob2 invites ann c3"},
			outcome{[]string{"call_exists", "call_exists"}, nil, []string{"c1 accepted ann1 bob1"}}},
		"called anew in a call, at another device, when the first is lost": {[]string{"ann1 invites bob c1", "bob1 accepts ann c1", "ann1 loses"},
			[]string{"ann2 invites bob c2"},
			outcome{[]string{""}, []string{"ann*-ann2 call.hangup replaced", "bob* call.hangup replaced", "bob* call.invite"},
				[]string{"c1 ended replaced", "c2 invited ann2"}}},
		"both call anew at once": {[]string{"ann1 invites bob c1", "bob1 accepts ann c1"},
			[]string{"ann1 invites bob c2", "bob1 invites ann c3"},
			outcome{[]string{"", ""}, []string{"ann*-ann1 call.hangup replaced", "bob* call.hangup replaced", "bob* call.invite",
				"ann1 call.accept", "bob*-bob1 call.taken", "bob1 call.accept"}, []string{"c1 ended replaced", "c2+c3 accepted ann1 bob1"}}},

		"what is the other side's to do": {ringing,
			[]string{"ann1 accepts bob c1", "ann1 rings bob c1", "ann1 ignores bob c1", "ann1 rejects bob c1", "ann1 busies bob c1", "bob1 cancels ann c1", "ann1 connects bob c1"},
			outcome{[]string{"not_your_call", "not_your_call", "not_your_call", "not_your_call", "not_your_call", "not_your_call", "call_state"}, nil, []string{"c1 ringing ann1"}}},
		"a stranger acts": {ringing,
			[]string{"carl1 accepts ann c1", "carl1 cancels ann c9", "carl1 rings bob c1"},
			outcome{[]string{"call_not_found", "", "call_not_found"}, nil, []string{"c1 ringing ann1", "c9 ended cancelled"}}},
	} {
		t.Run(name, func(t *testing.T) { wantOutcome(t, race(t, tt.before, tt.racing), tt.want) })
	}
}

// Who is in a call with somebody else is busy; a stranger does not learn that.
func TestBusy(t *testing.T) {
	talking := []string{"ann1 invites bob c1", "bob1 accepts ann c1"}
	for name, tt := range map[string]struct {
		before, racing []string
		want           outcome
	}{
		"called while in a call": {talking,
			[]string{"carl1 invites bob c2"},
			outcome{[]string{""}, []string{"carl1 call.busy user_busy", "bob* call.missed user_busy"}, []string{"c1 accepted ann1 bob1", "c2 ended user_busy missed"}}},
		"the caller is as busy as the callee": {talking,
			[]string{"carl1 invites ann c2"},
			outcome{[]string{""}, []string{"carl1 call.busy user_busy", "ann* call.missed user_busy"}, []string{"c1 accepted ann1 bob1", "c2 ended user_busy missed"}}},
		"called by a stranger while in a call": {talking,
			[]string{"carl1 requests bob c2", "bob1 rings carl c2"},
			outcome{[]string{"", ""}, []string{"bob* call.request"}, []string{"c1 accepted ann1 bob1", "c2 ringing carl1"}}},
		"called by two": {nil,
			[]string{"ann1 invites bob c1", "carl1 invites bob c2", "bob1 accepts ann c1", "bob2 accepts carl c2"},
			outcome{[]string{"", "", "", ""}, []string{"bob* call.invite", "bob* call.invite", "ann1 call.accept", "bob*-bob1 call.taken", "carl1 call.accept", "bob*-bob2 call.taken"},
				[]string{"c1 accepted ann1 bob1", "c2 accepted carl1 bob2"}}},
		"called by whom one calls while in a call": {append(talking, "bob1 invites carl c2"),
			[]string{"carl1 invites bob c3"},
			outcome{[]string{""}, []string{"bob1 call.accept", "carl*-carl1 call.taken", "carl1 call.accept"}, []string{"c1 accepted ann1 bob1", "c2+c3 accepted bob1 carl1"}}},
		"called when the call is over by its time": {append(talking, "21s"),
			[]string{"carl1 invites bob c2"},
			outcome{[]string{""}, []string{"bob* call.invite"}, []string{"c1 accepted ann1 bob1", "c2 invited carl1"}}},
		"called after a busy signal": {append(talking, "carl1 invites bob c2", "bob1 hangs ann c1"),
			[]string{"carl1 invites bob c2", "carl1 invites bob c3"},
			outcome{[]string{"call_over", ""}, []string{"bob* call.invite"}, []string{"c1 ended user_hangup", "c2 ended user_busy missed", "c3 invited carl1"}}},
	} {
		t.Run(name, func(t *testing.T) { wantOutcome(t, race(t, tt.before, tt.racing), tt.want) })
	}
}
