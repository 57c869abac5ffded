package roomservice

import (
	"testing"
	"testing/synctest"
	"time"
)

// A client whose connection broke before it had loaded the room would go on with
// it, if the load succeeded.
func TestALoadForAConnectionThatIsGoneFailsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loads
		want := func(what string, load load, refused bool) {
			t.Helper()
			if err := l.check("token", load); (err != nil) != refused {
				t.Errorf("%s: got %v", what, err)
			}
		}
		begin := func() *loading { return l.begin("token", message{TS: "1000:0"}, time.Now) }
		want("before there was a connection", documentLoad, false)
		gone := begin()
		want("of a connection", documentLoad, false)
		l.end(gone)
		if err := l.check("another", documentLoad); err != nil {
			t.Errorf("another token's: %v", err)
		}
		want("of one that is gone", documentLoad, true)
		want("again", documentLoad, false)
		want("the other", presenceLoad, true)
		want("the other again", presenceLoad, false)

		gone = begin()
		l.done("token", presenceLoad)
		l.end(gone)
		want("what was loaded before", presenceLoad, false)
		next := begin()
		want("while there is another connection", documentLoad, false)
		l.done("token", documentLoad)
		l.done("token", presenceLoad)
		l.end(next)
		want("the rest of the first", documentLoad, true)

		l.end(begin())
		time.Sleep(lostFor)
		synctest.Wait()
		want("long after", documentLoad, false)
		if len(l.lost)+len(l.waiting) > 0 {
			t.Errorf("%d and %d are left", len(l.lost), len(l.waiting))
		}
	})
}

func TestWhatIsSentTogetherWithWhatIsOldIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loads
		w := l.begin("token", message{TS: "1000:0"}, time.Now)
		defer l.end(w)
		for i, tt := range []struct {
			ts      string
			settled bool
		}{
			{"1100:0", false}, // before it has loaded
			{"3400:0", false}, // within the time that it may take
			{"4040:0", false}, // in one go with that, though later
			{"4080:0", false},
			{"4200:0", true},
			{"4200:1", true},
			{"nonsense", true}, // by our clock
		} {
			if i == 1 {
				time.Sleep(time.Second) // loading
				l.done("token", documentLoad)
				l.done("token", presenceLoad)
			}
			if i == 2 {
				w.last = w.last.Add(600 * time.Millisecond) // a long queue, sent without a pause
			}
			if i == 4 {
				time.Sleep(2 * time.Second)
			}
			if got := w.settled(message{TS: tt.ts}); got != tt.settled {
				t.Errorf("%s: settled %v, want %v", tt.ts, got, tt.settled)
			}
		}
	})
}
