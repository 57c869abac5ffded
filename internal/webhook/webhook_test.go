package webhook_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/webhook"
)

func (w *world) wantTold(what string, want map[usher.ID][]usher.ID) {
	w.Helper()
	told, _, _ := w.receiver.snapshot()
	if diff := cmp.Diff(want, told); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestEventsAreToldInOrderFromNowOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.happen("a")
		clear(w.written) // before anybody was to be told
		s := w.server().apply(config())
		w.happen("a", "b", "", "a")
		w.happen("b", "a")
		other := usher.Event{ID: w.ids.New(), Type: usher.Attached, App: "other", Room: "a"}
		w.write(other)
		time.Sleep(5 * time.Second)
		w.wantTold("told", w.written)
		if _, posts, _ := w.receiver.snapshot(); posts != 6 || s.metric("usher_webhook_deliveries_total") != 6 {
			t.Errorf("%d posts", posts)
		}
		seq := slices.Clone(w.receiver.sequence)
		slices.Sort(seq)
		if len(slices.Compact(seq)) != 6 {
			t.Errorf("the sequence is %d", w.receiver.sequence)
		}
		if got := s.status(); len(got.Held) != 0 || !got.FailingSince.IsZero() || got.DeliveredAt.IsZero() || got.Host != "app.example" {
			t.Errorf("the status is %+v", got)
		}
	})
}

func TestOnlyChosenEventsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.server().apply(config(func(c *webhook.Config) { c.Events = []string{"ended"}; c.App = "shop" }))
		w.happen("a")
		ended := usher.Event{ID: w.ids.New(), Type: usher.Ended, App: "shop", Room: "a"}
		w.write(ended, usher.Event{ID: w.ids.New(), Type: usher.Taken, App: "shop", Room: "a"})
		time.Sleep(5 * time.Second)
		w.wantTold("told", map[usher.ID][]usher.ID{"a": {ended.ID}})
	})
}

func TestARoomWaitsForItsEarlierEventsAndOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.server().apply(config())
		poison := w.happen("a", "b")[0].ID
		w.receiver.script(func(_, event usher.ID) (*http.Response, error) {
			if event == poison {
				return answer(http.StatusInternalServerError)
			}
			return nil, nil
		})
		for range 30 {
			w.happen("b", "a", "", "c")
			time.Sleep(time.Minute)
		}
		want := map[usher.ID][]usher.ID{"b": w.written["b"], "": w.written[""], "c": w.written["c"]}
		w.wantTold("while a room waits", want)
		if got := s.status(); len(got.Held) != 1 || got.Held[0] != "a" || s.metric("usher_webhook_rooms_held") != 1 {
			t.Errorf("the status is %+v", got)
		}
		if lag := s.metric("usher_webhook_lag_seconds"); lag < 29*60 {
			t.Errorf("the lag is %v s", lag)
		}
		if _, posts, _ := w.receiver.snapshot(); posts > 91+60 {
			t.Errorf("%d posts", posts)
		}
		w.receiver.script(nil)
		time.Sleep(2 * time.Minute)
		w.wantTold("in the end", w.written)
		if _, _, again := w.receiver.snapshot(); again != 0 || s.metric("usher_webhook_rooms_held") != 0 || s.metric("usher_webhook_lag_seconds") != 0 {
			t.Errorf("%d were told again; the status is %+v", again, s.status())
		}
	})
}

func TestATargetThatIsDownForAWhile(t *testing.T) {
	for name, down := range map[string]func(room, event usher.ID) (*http.Response, error){
		"unreachable": func(usher.ID, usher.ID) (*http.Response, error) { return nil, errors.New("connection refused") },
		"failing":     func(usher.ID, usher.ID) (*http.Response, error) { return answer(http.StatusBadGateway) },
		"redirecting": func(usher.ID, usher.ID) (*http.Response, error) { return answer(http.StatusNotModified) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.server().apply(config())
				w.receiver.script(down)
				for i := range 80 { // more rooms than are begun
					w.happen(fmt.Sprint("room", i), fmt.Sprint("room", i%7), "")
					time.Sleep(3 * time.Second)
				}
				w.wantTold("while it is down", map[usher.ID][]usher.ID{})
				got := s.status()
				if got.FailingSince.IsZero() || got.Failure == "" || len(got.Held) > 64+100 || s.metric("usher_webhook_failing") != 1 {
					t.Errorf("the status is %+v", got)
				}
				if err := s.Check("app"); err == nil {
					t.Error("it is said to be well")
				}
				if log := s.log.String(); strings.Count(log, "takes no events") != 1 || strings.Contains(log, "q=1") {
					t.Errorf("the log has\n%s", log)
				}
				w.receiver.script(nil)
				time.Sleep(3 * time.Minute)
				w.wantTold("in the end", w.written)
				if _, _, again := w.receiver.snapshot(); again != 0 || s.metric("usher_webhook_failing") != 0 {
					t.Errorf("%d were told again", again)
				}
			})
		})
	}
}

func TestASlowTargetHoldsUpNobodyForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.server().apply(config())
		w.receiver.script(func(room, _ usher.ID) (*http.Response, error) {
			if room == "slow" {
				time.Sleep(3 * time.Second)
			}
			return nil, nil
		})
		for range 50 {
			w.happen("slow", "b", "slow")
		}
		time.Sleep(20 * time.Second)
		told, _, _ := w.receiver.snapshot()
		if len(told["b"]) != 50 {
			t.Errorf("of the other room %d were told", len(told["b"]))
		}
		time.Sleep(10 * time.Minute)
		w.wantTold("in the end", w.written)
		if _, posts, again := w.receiver.snapshot(); posts != 150 || again != 0 || s.metric("usher_webhook_failing") != 0 {
			t.Errorf("%d posts, %d again", posts, again)
		}
	})
}

func TestATargetIsLeftAloneForAsLongAsItAsks(t *testing.T) {
	for _, header := range []func() string{
		func() string { return "600" },
		func() string { return time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat) },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.server().apply(config())
			w.receiver.script(func(usher.ID, usher.ID) (*http.Response, error) {
				return answer(http.StatusTooManyRequests, "Retry-After", header())
			})
			w.happen("a")
			time.Sleep(5 * time.Second)
			w.happen("b")
			w.receiver.script(nil)
			time.Sleep(9 * time.Minute)
			if _, posts, _ := w.receiver.snapshot(); posts != 1 {
				t.Errorf("%d posts", posts)
			}
			time.Sleep(2 * time.Minute)
			w.wantTold("after that", w.written)
		})
	}
}

// A server may end at any moment: the next goes on, with no gap and in order.
func TestAKilledServerIsSucceeded(t *testing.T) {
	for killed := range 12 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var mu sync.Mutex
			s, left := w.server().apply(config()), killed
			current := s
			w.receiver.script(func(room, event usher.ID) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				if left--; left == 0 {
					current.dead.Store(true)
				}
				if room == "c" && left > 3 {
					return answer(http.StatusInternalServerError)
				}
				return nil, nil
			})
			for range 4 {
				w.happen("a", "b", "c")
				time.Sleep(time.Second)
			}
			s.dead.Store(true)
			w.happen("a", "c")
			w.server().apply(config())
			w.happen("c", "b")
			time.Sleep(5 * time.Minute)
			w.wantTold(fmt.Sprintf("killed after %d posts", killed), w.written)
		})
	}
}

func TestOfSeveralServersOneDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		several := func(d *webhook.Deps) { d.Alone = false }
		first := w.server(several).apply(config())
		time.Sleep(10 * time.Second)
		second := w.server(several).apply(config())
		third := w.server(several).apply(config())
		for range 300 {
			w.happen("a", "b")
			time.Sleep(time.Second)
		}
		time.Sleep(5 * time.Second)
		w.wantTold("by one", w.written)
		if _, _, again := w.receiver.snapshot(); again != 0 || first.metric("usher_webhook_deliveries_total") != 600 {
			t.Errorf("%d were told again", again)
		}
		first.dead.Store(true)
		w.happen("a", "b")
		time.Sleep(5 * time.Minute)
		w.wantTold("when that is no more", w.written)
		took := second
		if third.metric("usher_webhook_deliveries_total") > 0 {
			took = third
		}
		if took.metric("usher_webhook_deliveries_total") != 2 {
			t.Errorf("the next told %v", took.metric("usher_webhook_deliveries_total"))
		}
		// One that ends in order is followed at once.
		if err := took.Close(); err != nil {
			t.Fatal(err)
		}
		w.happen("a")
		time.Sleep(10 * time.Second)
		w.wantTold("when the next has ended", w.written)
	})
}

func TestEventsAreToldAgainFromACursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.server().apply(config())
		w.happen("a", "b")
		time.Sleep(5 * time.Second)
		middle := s.status().Cursor.String()
		w.happen("a", "c")
		time.Sleep(5 * time.Second)
		replay := func(from string, posts int) {
			t.Helper()
			_, before, _ := w.receiver.snapshot()
			if _, err := s.Replay(t.Context(), operator, "app", from); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			if _, after, _ := w.receiver.snapshot(); after-before != posts {
				t.Errorf("from %s: %d were told, want %d", from, after-before, posts)
			}
		}
		replay(middle, 2)
		replay("begin", 4)
		replay("end", 0)
		replay("0.1", 3)
		w.receiver.script(func(usher.ID, usher.ID) (*http.Response, error) { return answer(http.StatusGone) })
		w.happen("a", "b")
		time.Sleep(5 * time.Second)
		if got := s.status(); len(got.Held) != 2 {
			t.Errorf("the status is %+v", got)
		}
		w.receiver.script(nil)
		replay("end", 0) // what it does not take can be left out
		if got := s.status(); len(got.Held) != 0 {
			t.Errorf("the status is %+v", got)
		}
		for _, from := range []string{"", "99999.0", "-1.0", "middle"} {
			if _, err := s.Replay(t.Context(), operator, "app", from); usher.AsError(err).Code != "cursor_invalid" {
				t.Errorf("from %q: %v", from, err)
			}
		}
		if _, err := s.Replay(t.Context(), operator, "other", "end"); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("another name: %v", err)
		}
		shop := usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "shop", Scopes: usher.AllScopes}
		if _, err := s.Replay(t.Context(), shop, "app", "end"); usher.AsError(err).Kind != usher.Forbidden {
			t.Errorf("a back end: %v", err)
		}
		if _, err := s.Targets(t.Context(), shop); usher.AsError(err).Kind != usher.Forbidden {
			t.Errorf("a back end: %v", err)
		}
	})
}

func TestTargetsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.server().apply(config())
		w.happen("a")
		time.Sleep(5 * time.Second)
		s.apply(nil)
		w.happen("a") // is remembered
		time.Sleep(5 * time.Second)
		if told, _, _ := w.receiver.snapshot(); len(told["a"]) != 1 {
			t.Error("told while it was no target")
		}
		other := usher.Secret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
		s.apply(config(func(c *webhook.Config) { c.Secret, c.FormerSecret = other, secret }))
		w.happen("a")
		time.Sleep(5 * time.Second)
		w.wantTold("in the end", w.written)
		s.apply(config())
		s.apply(config())
		w.happen("a")
		time.Sleep(5 * time.Second)
		w.wantTold("after another change", w.written)
	})
}

func TestWhatTheRecordForgetsIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.server().apply(config())
		if n := len(s.series("usher_webhook_forgotten_total")); n != 1 {
			t.Errorf("before it happens there are %d series that can increase, want 1", n)
		}
		w.happen("a")
		time.Sleep(5 * time.Second)
		s.apply(nil)
		w.happen("a")
		w.happen("b")
		if _, err := w.db.Record().Trim(t.Context(), time.Now().Add(time.Hour), 0); err != nil {
			t.Fatal(err)
		}
		last := w.happen("a")[0]
		s.apply(config())
		time.Sleep(5 * time.Second)
		w.wantTold("what is left", map[usher.ID][]usher.ID{"a": {w.written["a"][0], last.ID}})
		if s.metric("usher_webhook_forgotten_total") != 1 || !strings.Contains(s.log.String(), "forgotten") {
			t.Errorf("it was said %v times, the log has %s", s.metric("usher_webhook_forgotten_total"), s.log)
		}
	})
}

// A room that is held back reads the record at its own place, which the record
// may have forgotten while others went on.
func TestWhatTheRecordForgetsOfARoomThatWaitsIsSaid(t *testing.T) {
	for name, more := range map[string]bool{"and others go on": true, "and nothing has happened since": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.server().apply(config())
				w.receiver.script(func(room, _ usher.ID) (*http.Response, error) {
					if room == "a" {
						return answer(http.StatusGone)
					}
					return nil, nil
				})
				w.happen("a", "b")
				time.Sleep(time.Minute)
				if _, err := w.db.Record().Trim(t.Context(), time.Now().Add(time.Hour), 0); err != nil {
					t.Fatal(err)
				}
				want := map[usher.ID][]usher.ID{"b": w.written["b"]}
				if more {
					want["a"] = []usher.ID{w.happen("a")[0].ID}
				}
				w.receiver.script(nil)
				time.Sleep(2 * time.Minute)
				w.wantTold("what is left", want)
				if s.metric("usher_webhook_forgotten_total") != 1 || !strings.Contains(s.log.String(), "forgotten") {
					t.Errorf("it was said %v times, the log has %s", s.metric("usher_webhook_forgotten_total"), s.log)
				}
			})
		})
	}
}

// A target that asks to be left alone is, which is seen meanwhile, unless an
// operator has it told again.
func TestATargetThatWantsToBeLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.server().apply(config())
		w.receiver.script(func(usher.ID, usher.ID) (*http.Response, error) {
			return answer(http.StatusTooManyRequests, "Retry-After", "3600")
		})
		w.happen("a")
		time.Sleep(30 * time.Minute)
		if _, posts, _ := w.receiver.snapshot(); posts != 1 {
			t.Errorf("it was asked %d times, want once", posts)
		}
		if lag := s.metric("usher_webhook_lag_seconds"); lag < 29*60 {
			t.Errorf("the lag is %v s", lag)
		}
		w.receiver.script(nil)
		if _, err := s.Replay(t.Context(), operator, "app", "begin"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		w.wantTold("after a replay", w.written)
	})
}

// TestNoPrivateAddressIsReached has a real network.
func TestNoPrivateAddressIsReached(t *testing.T) {
	reached := make(chan string, 100)
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached <- "inner" }))
	defer inner.Close()
	outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached <- "outer"
		http.Redirect(w, r, inner.URL, http.StatusPermanentRedirect)
	}))
	defer outer.Close()
	w := newWorld(t)
	s := w.server(func(d *webhook.Deps) { d.Client = nil })
	s.apply([]webhook.Config{
		{Name: "direct", URL: inner.URL, Secret: secret},
		{Name: "named", URL: strings.Replace(inner.URL, "127.0.0.1", "localhost", 1), Secret: secret},
		{Name: "redirecting", URL: outer.URL, Secret: secret, AllowPrivate: true},
	})
	w.happen("a")
	failures := func() map[string]string {
		list, err := s.Targets(t.Context(), operator)
		if err != nil {
			t.Fatal(err)
		}
		m := make(map[string]string)
		for _, x := range list {
			if x.Failure != "" {
				m[x.Name] = x.Failure
			}
		}
		return m
	}
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(failures()) < 3 && time.Now().Before(deadline) {
		<-tick.C
	}
	got := failures()
	if !strings.Contains(got["direct"], "not a public one") || !strings.Contains(got["named"], "not a public one") || !strings.Contains(got["redirecting"], "redirects are not followed") {
		t.Errorf("the failures are %q", got)
	}
	for len(reached) > 0 {
		if who := <-reached; who == "inner" {
			t.Error("a private address was reached")
		}
	}
}
