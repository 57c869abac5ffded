package call_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher"
	"usher/internal/call"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
)

// database returns a world on a real store.
func database(t *testing.T) *world {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return newWorld(t, db.Calls())
}

// together runs lines at once, each of its own device, and returns their codes.
func (w *world) together(lines []string) []string {
	for _, line := range lines {
		w.device(strings.Fields(line)[0]) // so that nobody writes the map at once
	}
	codes := make([]string, len(lines))
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i, line := range lines {
		wg.Go(func() {
			<-begin
			codes[i] = w.do(line)
		})
	}
	close(begin)
	wg.Wait()
	return codes
}

func count(codes []string, code string) int {
	n := 0
	for _, c := range codes {
		if c == code {
			n++
		}
	}
	return n
}

func (w *world) find(t *testing.T, id string) usher.Call {
	t.Helper()
	c, err := w.Get(w.ctx, usher.DefaultApp, "ann", "bob", id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOfManyAcceptsAtOnceOneWins(t *testing.T) {
	w := database(t)
	w.must("ann1 invites bob c1")
	w.news()
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("bob%d accepts ann c1", i+1))
	}
	codes := w.together(lines)
	if won, lost := count(codes, ""), count(codes, "call_taken"); won != 1 || lost != len(lines)-1 {
		t.Errorf("%d won and %d were told that it is taken, of %d", won, lost, len(lines))
	}
	winner := fmt.Sprintf("bob%d", slices.Index(codes, "")+1)
	if got := w.find(t, "c1").Callee.Device; got != winner {
		t.Errorf("got the device %s, want %s", got, winner)
	}
	if got, want := w.news(), []string{"ann1 call.accept", "bob*-" + winner + " call.taken"}; !slices.Equal(got, want) {
		t.Errorf("told: got %v, want %v", got, want)
	}
}

// Two processes on one store decide it between them.
func TestOfManyAcceptsAtTwoNodesOneWins(t *testing.T) {
	w := database(t)
	w.must("ann1 invites bob c1")
	other := newWorld(t, w.db)
	nodes := []*world{w, other}
	codes := make([]string, 20)
	var wg sync.WaitGroup
	for i := range codes {
		nodes[i%2].device(fmt.Sprintf("bob%d", i+1))
	}
	for i := range codes {
		wg.Go(func() { codes[i] = nodes[i%2].do(fmt.Sprintf("bob%d accepts ann c1", i+1)) })
	}
	wg.Wait()
	if won := count(codes, ""); won != 1 {
		t.Errorf("%d won: %v", won, codes)
	}
	if told := append(w.news(), other.news()...); len(told) != 3 { // the invite, and what the winner did
		t.Errorf("told: %v", told)
	}
}

func TestCancelAndAcceptAtOnce(t *testing.T) {
	w := database(t)
	for i := range 25 {
		id := fmt.Sprint("c", i)
		w.must("ann1 invites bob " + id)
		w.news()
		codes := w.together([]string{"ann1 cancels bob " + id, "bob1 accepts ann " + id})
		c, told := w.find(t, id), w.news()
		switch {
		case c.Live() || codes[0] != "":
			t.Fatalf("the call is %s, and the cancel was answered %q", c.Status, codes[0])
		case codes[1] == "" && (c.Reason != usher.UserHangup || c.Missed != "" || !slices.Contains(told, "ann1 call.accept")):
			t.Errorf("accepted first: ended with %s, missed %q, told %v", c.Reason, c.Missed, told)
		case codes[1] == "call_over" && (c.Reason != usher.CallCancelled || c.Missed == "" || slices.Contains(told, "ann1 call.accept")):
			t.Errorf("cancelled first: ended with %s, missed %q, told %v", c.Reason, c.Missed, told)
		}
	}
}

func TestInvitesOfBothAtOnceBecomeOneCall(t *testing.T) {
	for _, nodes := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			w := database(t)
			other := w
			if nodes == 2 {
				other = newWorld(t, w.db)
			}
			for i := range 25 {
				w.device("ann1")
				other.device("bob1")
				var codes [2]string
				var wg sync.WaitGroup
				wg.Go(func() { codes[0] = w.do(fmt.Sprintf("ann1 invites bob a%d", i)) })
				wg.Go(func() { codes[1] = other.do(fmt.Sprintf("bob1 invites ann b%d", i)) })
				wg.Wait()
				calls, err := w.Current(w.ctx, usher.DefaultApp, "ann")
				if err != nil || len(calls) != 1 || calls[0].Status != usher.CallAccepted || codes != [2]string{} {
					t.Fatalf("got the calls %v, the codes %q and error %v", calls, codes, err)
				}
				ids := []string{calls[0].ID, calls[0].Merged}
				slices.Sort(ids)
				if want := []string{fmt.Sprint("a", i), fmt.Sprint("b", i)}; !slices.Equal(ids, want) {
					t.Fatalf("got the ids %v, want %v", ids, want)
				}
				w.must("ann1 hangs bob " + calls[0].ID)
			}
		})
	}
}

func TestHangupAndInviteAtOnce(t *testing.T) {
	w := database(t)
	for i := range 25 {
		id := fmt.Sprint("c", i)
		codes := w.together([]string{"ann1 invites bob " + id, "ann1 hangs bob " + id})
		if c := w.find(t, id); c.Live() || codes[1] != "" || codes[0] == "" != (c.Missed != "") {
			t.Fatalf("the call is %s, missed %q, and the codes are %q", c.Status, c.Missed, codes)
		}
	}
}

// What is told of a call comes in the order in which it happened, and each call
// ends once, whatever happens at once.
func TestManyThingsAtOnce(t *testing.T) {
	w := database(t)
	last, ends := map[string]int64{}, map[string]int{}
	var wrong []string
	w.on = func(c usher.Call, _ []call.Notice) {
		if c.Version <= last[c.ID] {
			wrong = append(wrong, fmt.Sprintf("version %d of %s after %d", c.Version, c.ID, last[c.ID]))
		}
		last[c.ID] = c.Version
		if !c.Live() {
			ends[c.ID]++
		}
	}
	for i := range 10 {
		id := fmt.Sprint("c", i)
		w.together([]string{
			"ann1 invites bob " + id, "ann1 invites bob " + id, "bob1 invites ann d" + id, "bob2 rings ann " + id, "bob2 accepts ann " + id,
			"bob3 accepts ann " + id, "ann1 loses", "bob2 loses", "ann1 hangs bob " + id, "bob3 rejects ann " + id, "sweep",
		})
	}
	w.must("25h", "sweep")
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, n := range ends {
		if n != 1 {
			wrong = append(wrong, fmt.Sprintf("%s ended %d times", id, n))
		}
	}
	if len(wrong) > 0 || len(ends) != len(last) || len(ends) == 0 {
		t.Errorf("%d calls, %d of them ended: %s", len(last), len(ends), strings.Join(wrong, "; "))
	}
}

// late is a store whose first update is answered late: when the second is done,
// or could have been.
type late struct {
	store.Calls
	updates atomic.Int32
	next    func()
}

func (s *late) Update(ctx context.Context, key usher.CallKey, change func(usher.Call) (usher.Call, error)) (usher.Call, error) {
	c, err := s.Calls.Update(ctx, key, change)
	if s.updates.Add(1) == 1 {
		done := make(chan struct{})
		go func() { defer close(done); s.next() }()
		select {
		case <-done:
		case <-time.After(100 * time.Millisecond): // as it is, it waits
		}
	}
	return c, err
}

// What happened first is told first, also if its store is slow to answer.
func TestNewsComesInOrder(t *testing.T) {
	db := &late{Calls: newMemory()}
	w := newWorld(t, db)
	w.must("ann1 invites bob c1")
	w.device("bob1")
	w.news()
	var second sync.WaitGroup
	second.Add(1)
	db.next = func() { defer second.Done(); w.must("ann1 hangs bob c1") }
	w.must("bob1 accepts ann c1")
	second.Wait()
	want := []string{"ann1 call.accept", "bob*-bob1 call.taken", "ann*-ann1 call.hangup user_hangup", "bob* call.hangup user_hangup"}
	if got := w.news(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
