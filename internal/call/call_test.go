package call_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"usher"
	"usher/internal/call"
)

func TestInviteIsRefused(t *testing.T) {
	w := newWorld(t, newMemory())
	for name, tt := range map[string]struct {
		in   call.Invitation
		want string
	}{
		"to oneself":           {call.Invitation{ID: "c1", To: "ann"}, "call_to_oneself"},
		"to nobody":            {call.Invitation{ID: "c1"}, "call_to_oneself"},
		"without an id":        {call.Invitation{To: "bob"}, "call_id_invalid"},
		"with a long id":       {call.Invitation{ID: strings.Repeat("c", 65), To: "bob"}, "call_id_invalid"},
		"with a bad character": {call.Invitation{ID: "c\"1", To: "bob"}, "call_id_invalid"},
		"with a huge payload":  {call.Invitation{ID: "c1", To: "bob", Payload: strings.Repeat("p", 64<<10+1)}, "payload_too_large"},
	} {
		if _, err := w.Invite(w.ctx, w.device("ann1"), tt.in); code(t, err) != tt.want {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
	if got := w.state(); got != nil {
		t.Errorf("there are calls: %v", got)
	}
}

// A call is found by its id alone by those who are in it, and by nobody else.
func TestCallWithoutPeer(t *testing.T) {
	w := newWorld(t, newMemory())
	w.must("ann1 invites bob c1", "carl1 invites dave c1")
	if _, err := w.Accept(w.ctx, w.device("bob1"), "", "c1", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Accept(w.ctx, w.device("eve1"), "", "c1", ""); code(t, err) != "call_not_found" {
		t.Errorf("a stranger: got %v", err)
	}
	if _, err := w.End(w.ctx, w.device("eve1"), "", "c1", call.How{Action: call.Hangup}); code(t, err) != "call_not_found" {
		t.Errorf("a stranger's hang-up: got %v", err)
	}
	if got, want := w.state(), []string{"c1 accepted ann1 bob1", "c1 invited carl1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What a client sends with what it does reaches the other side as it is, and a
// stranger's payload does not.
func TestPayloads(t *testing.T) {
	w := newWorld(t, newMemory())
	var got []string
	w.on = func(c usher.Call, notices []call.Notice) {
		for _, n := range notices {
			got = append(got, describe(n)+" "+n.Payload)
		}
	}
	ann, bob := w.device("ann1"), w.device("bob1")
	const text = "{ \"é\" :1}"
	_, err1 := w.Invite(w.ctx, ann, call.Invitation{ID: "c1", To: "bob", Payload: text})
	_, err2 := w.Ringing(w.ctx, bob, "ann", "c1", text+"2")
	_, err3 := w.Accept(w.ctx, bob, "ann", "c1", text+"3")
	c, err4 := w.Get(w.ctx, ann.App, "ann", "bob", "c1")
	_, err5 := w.End(w.ctx, bob, "ann", "c1", call.How{Action: call.Hangup, Reason: "lunch", Payload: text + "4"})
	_, err6 := w.Invite(w.ctx, ann, call.Invitation{ID: "c2", To: "bob", Payload: text, Request: true})
	_, err7 := w.Ringing(w.ctx, bob, "ann", "c2", text)
	for _, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if c.Payload != "" {
		t.Errorf("an accepted call keeps %q", c.Payload)
	}
	want := []string{
		"bob* call.invite " + text, "ann1 call.ringing " + text + "2", "ann1 call.accept " + text + "3", "bob*-bob1 call.taken ",
		"ann* call.hangup lunch " + text + "4", "bob*-bob1 call.hangup lunch " + text + "4", "bob* call.request ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := w.End(w.ctx, bob, "ann", "c2", call.How{Action: call.Reject, Reason: "no way"}); code(t, err) != "reason_invalid" {
		t.Errorf("a reason with a space: got %v", err)
	}
}

// A caller does not hide a call from the list of missed ones by its reason.
func TestReasonHidesNothing(t *testing.T) {
	w := newWorld(t, newMemory())
	w.must("ann1 invites bob c1")
	if _, err := w.End(w.ctx, w.device("ann1"), "bob", "c1", call.How{Action: call.Cancel, Reason: usher.CallReplaced}); err != nil {
		t.Fatal(err)
	}
	if got, want := w.state(), []string{"c1 ended replaced missed"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Whoever does something to a call that is over is told how it ended, also by
// itself and before anybody noticed.
func TestWhoIsLateIsToldHowTheCallEnded(t *testing.T) {
	for name, tt := range map[string]struct {
		before []string
		late   func(*world) error
		want   usher.CallReason
	}{
		"accepting what was cancelled": {
			[]string{"ann1 invites bob c1", "ann1 cancels bob c1"},
			func(w *world) error { _, err := w.Accept(w.ctx, w.device("bob1"), "ann", "c1", ""); return err },
			usher.CallCancelled,
		},
		"inviting what was declined": {
			[]string{"ann1 invites bob c1", "bob1 rejects ann c1"},
			func(w *world) error {
				_, err := w.Invite(w.ctx, w.device("ann1"), call.Invitation{ID: "c1", To: "bob"})
				return err
			},
			usher.CallRejected,
		},
		"connecting when it is too late": {
			[]string{"ann1 invites bob c1", "bob1 accepts ann c1", "1h"},
			func(w *world) error { _, err := w.Connected(w.ctx, w.device("bob1"), "ann", "c1"); return err },
			usher.ICETimeout,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newMemory())
			w.must(tt.before...)
			err := tt.late(w)
			over, ok := errors.AsType[*call.OverError](err)
			if !ok || over.Reason != tt.want || !errors.Is(err, call.ErrOver) {
				t.Errorf("got %v, want that it ended for %s", err, tt.want)
			}
		})
	}
}

func TestPending(t *testing.T) {
	c := usher.Call{App: "a", ID: "c1", Caller: usher.CallParty{User: "ann"}, Callee: usher.CallParty{User: "bob"}, Status: usher.CallInvited}
	p := call.NewPending[int](3)
	hold := func(from string, message int, want bool) {
		t.Helper()
		if got := p.Hold(c, from, message, 1); got != want {
			t.Errorf("message %d of %s: held %t, want %t", message, from, got, want)
		}
	}
	hold("ann", 0, false) // of a call that nobody made
	p.Begin(c.Key())
	for i := range 5 {
		hold("ann", i, true)
		hold("bob", 10+i, true)
	}
	hold("eve", 0, false)
	p.Begin(c.Key()) // again: what is held stays
	if got := p.Open(c, "ann"); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("of ann: got %v", got)
	}
	hold("ann", 9, false)
	hold("bob", 19, true)
	if got := p.Open(c, "ann"); len(got) != 0 {
		t.Errorf("of ann again: got %v", got)
	}
	if got := p.Open(c, "bob"); !slices.Equal(got, []int{10, 11, 12}) {
		t.Errorf("of bob: got %v", got)
	}
	p.End(c.Key())
	hold("ann", 20, false)
	if got := p.Open(c, "bob"); len(got) != 0 {
		t.Errorf("after the end: got %v", got)
	}
}

// What goes with a stranger's call waits for its answer, also if the offer has
// passed, and if another process saw the call begin.
func TestPendingOfAStranger(t *testing.T) {
	for name, begun := range map[string]bool{"seen from its beginning": true, "made elsewhere": false} {
		t.Run(name, func(t *testing.T) {
			c := usher.Call{App: "a", ID: "c1", Caller: usher.CallParty{User: "ann"}, Callee: usher.CallParty{User: "bob"}, Status: usher.CallRinging, Request: true}
			p := call.NewPending[string](3)
			if begun {
				p.Begin(c.Key())
			}
			hold := func(from, message string, want bool) {
				t.Helper()
				if got := p.Hold(c, from, message, 1); got != want {
					t.Errorf("%s of %s: held %t, want %t", message, from, got, want)
				}
			}
			var sent []string
			answer := func() { p.Answer(c.Key(), func(from, message string) { sent = append(sent, from+" "+message) }) }
			hold("ann", "1", true)
			if got := p.Open(c, "ann"); len(got) > 0 {
				t.Errorf("the offer of a stranger let pass %v", got)
			}
			hold("ann", "2", true)
			hold("bob", "3", true)
			answer()
			hold("ann", "4", false) // though who sends it does not know of the answer yet
			c.Status = usher.CallAccepted
			hold("bob", "5", begun) // whose offer is to come
			if got := p.Open(c, "bob"); begun && !slices.Equal(got, []string{"3", "5"}) || !begun && len(got) > 0 {
				t.Errorf("of bob: got %v", got)
			}
			answer()
			want := []string{"ann 1", "ann 2"}
			if !begun {
				want = append(want, "bob 3")
			}
			if slices.Sort(sent); !slices.Equal(sent, want) {
				t.Errorf("the answer let pass %v, want %v", sent, want)
			}
		})
	}
}

// Every message is either held and given back, or passed: none is both.
func TestPendingAtOnce(t *testing.T) {
	c := usher.Call{ID: "c1", Caller: usher.CallParty{User: "ann"}, Callee: usher.CallParty{User: "bob"}, Status: usher.CallInvited}
	p := call.NewPending[int](1000)
	p.Begin(c.Key())
	passed := make([]bool, 200)
	var given []int
	var wg sync.WaitGroup
	for i := range passed {
		wg.Go(func() { passed[i] = !p.Hold(c, "ann", i, 1) })
	}
	wg.Go(func() { given = p.Open(c, "ann") })
	wg.Wait()
	for i, passed := range passed {
		if passed == slices.Contains(given, i) {
			t.Errorf("message %d: passed %t, given back %t", i, passed, !passed)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	if problems := call.DefaultConfig().Validate(); problems != nil {
		t.Errorf("the default: %v", problems)
	}
	var fields []string
	for _, p := range (call.Config{Candidates: 1001}).Validate() {
		fields = append(fields, p.Field)
	}
	if want := []string{"ring", "connect", "grace", "longest", "keepMissed", "candidates"}; !slices.Equal(fields, want) {
		t.Errorf("got %v, want %v", fields, want)
	}
}
