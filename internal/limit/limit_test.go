package limit_test

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher"
	"usher/internal/limit"
)

type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func TestABucketGivesWhatItHoldsAndFillsAgain(t *testing.T) {
	var c clock
	l := limit.New(limit.Rate{Count: 3, Per: 3 * time.Second}, c.now)
	for i := range 3 {
		if _, ok := l.Allow("a"); !ok {
			t.Fatalf("the call %d of 3 was refused", i+1)
		}
	}
	wait, ok := l.Allow("a")
	if ok || wait != time.Second {
		t.Errorf("the fourth call: wait %v, %v; want 1s, refused", wait, ok)
	}
	if _, ok := l.Allow("b"); !ok {
		t.Error("another key was refused")
	}
	c.advance(time.Second)
	if _, ok := l.Allow("a"); !ok {
		t.Error("refused after the wait")
	}
	if _, ok := l.Allow("a"); ok {
		t.Error("a second token came back in the time of one")
	}
}

func TestPeekTellsWhatAllowWouldAnswer(t *testing.T) {
	for name, began := range map[string]time.Time{"in 1970": time.Unix(0, 0), "today": time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)} {
		now := began
		l := limit.New(limit.Rate{Count: 2, Per: 2 * time.Second}, func() time.Time { return now })
		for i := range 12 {
			peeked, free := l.Peek("a")
			if again, still := l.Peek("a"); again != peeked || still != free {
				t.Errorf("%s, call %d: looking changed the answer", name, i)
			}
			if i < 2 && !free {
				t.Errorf("%s, call %d: a bucket that was never used is empty", name, i)
			}
			wait, ok := l.Allow("a")
			if ok != free || wait != peeked {
				t.Errorf("%s, call %d: Peek %v, %v; Allow %v, %v", name, i, peeked, free, wait, ok)
			}
			now = now.Add(time.Duration(i%3) * 300 * time.Millisecond)
		}
	}
}

func TestPeekKnowsTheSharedBucket(t *testing.T) {
	var c clock
	l := limit.New(limit.Rate{Count: 1, Per: time.Hour}, c.now)
	for i := range 200_000 {
		l.Allow(fmt.Sprint("flood", i))
	}
	if _, ok := l.Peek("late"); ok {
		t.Error("a key without a bucket of its own was promised a token that is used up")
	}
}

func TestRatesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]limit.Rate{
		"0": {}, "60/1m": {Count: 60, Per: time.Minute}, "1/1h30m": {Count: 1, Per: 90 * time.Minute}, "5/1ms": {Count: 5, Per: time.Millisecond},
	} {
		var got limit.Rate
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
		var again limit.Rate
		written, err := got.MarshalText()
		if err != nil || again.UnmarshalText(written) != nil || again != want {
			t.Errorf("%s is written as %s, %v, which reads as %+v", text, written, err, again)
		}
	}
	for _, text := range []string{"", "60", "60/", "/1m", "0/1m", "-1/1m", "1.5/1m", "60/1", "60/-1m", "60/0s", "60/1us", "60/1m/1m", " 60/1m", "99999999999999999999/1m"} {
		got := limit.Rate{Count: 7, Per: time.Hour}
		if err := got.UnmarshalText([]byte(text)); err == nil || got != (limit.Rate{Count: 7, Per: time.Hour}) {
			t.Errorf("%q: got %+v, %v, want it refused and nothing changed", text, got, err)
		}
	}
}

func FuzzRate(f *testing.F) {
	f.Add("60/1m")
	f.Add("0")
	f.Fuzz(func(t *testing.T, text string) {
		var r, again limit.Rate
		if r.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(r.String())); err != nil || again != r {
			t.Errorf("%q reads as %+v, and what that is written as, %s, as %+v, %v", text, r, r, again, err)
		}
		if wait, ok := limit.New(r, time.Now).Allow("a"); !ok {
			t.Errorf("%q: the first call has to wait %v", text, wait)
		}
	})
}

func TestClientsAreNamedByTheirIDs(t *testing.T) {
	c := limit.DefaultConfig()
	id := string(usher.SystemIDs().New())
	c.Clients = map[string]limit.Rate{id: {}, "shop": {Count: 1, Per: time.Second}}
	problems := c.Validate()
	if len(problems) != 1 || problems[0].Field != "clients.shop" {
		t.Errorf("got %v, want clients.shop alone", problems)
	}
}

func TestNoRateIsNoLimit(t *testing.T) {
	var c clock
	l := limit.New(limit.Rate{}, c.now)
	for range 10_000 {
		if _, ok := l.Allow("a"); !ok {
			t.Fatal("refused")
		}
	}
}

func TestAFloodOfKeysLimitsItselfAndNobodyElse(t *testing.T) {
	var c clock
	l := limit.New(limit.Rate{Count: 2, Per: time.Minute}, c.now)
	if _, ok := l.Allow("regular"); !ok {
		t.Fatal("refused")
	}
	allowed := 0
	for i := range 500_000 {
		if _, ok := l.Allow(fmt.Sprint("flood", i)); ok {
			allowed++
		}
	}
	if allowed > 100_000 {
		t.Errorf("%d of 500,000 keys had a bucket of their own", allowed)
	}
	if _, ok := l.Allow("regular"); !ok {
		t.Error("a key that was there before lost its bucket to the flood")
	}
	c.advance(time.Minute)
	if _, ok := l.Allow("late"); !ok {
		t.Error("refused after the flood was over")
	}
}

func TestConcurrentCallsShareOneBucket(t *testing.T) {
	var c clock
	l := limit.New(limit.Rate{Count: 100, Per: time.Hour}, c.now)
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if _, ok := l.Allow("a"); ok {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := allowed.Load(); got != 100 {
		t.Errorf("%d calls were allowed, want 100", got)
	}
}

func TestNeverMoreThanTheRateInAnyWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c clock
		rate := limit.Rate{Count: rapid.IntRange(1, 20).Draw(t, "count"), Per: time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond}
		l := limit.New(rate, c.now)
		var times []time.Time
		for range rapid.IntRange(1, 200).Draw(t, "calls") {
			c.advance(time.Duration(rapid.IntRange(0, 500).Draw(t, "pause")) * time.Millisecond)
			wait, ok := l.Allow("a")
			if ok {
				times = append(times, c.now())
			} else if wait <= 0 {
				t.Fatalf("refused with a wait of %v", wait)
			}
		}
		// A bucket of n that fills in a period gives at most 2n in a period.
		for i, start := range times {
			n := 0
			for _, at := range times[i:] {
				if at.Sub(start) < rate.Per {
					n++
				}
			}
			if n > 2*rate.Count {
				t.Fatalf("%d calls within %v, want at most %d", n, rate.Per, 2*rate.Count)
			}
		}
	})
}

func TestAddressKey(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7":         "192.0.2.7",
		"::ffff:192.0.2.7":  "192.0.2.7",
		"2001:db8:1:2::1":   "2001:db8:1:2::/64",
		"2001:db8:1:2:f::9": "2001:db8:1:2::/64",
		"fe80::1%eth0":      "fe80::/64",
		"2001:db8:1:3::1":   "2001:db8:1:3::/64",
	} {
		if got := limit.AddressKey(netip.MustParseAddr(in)); got != want {
			t.Errorf("AddressKey(%s) = %s, want %s", in, got, want)
		}
	}
	if got := limit.AddressKey(netip.Addr{}); got != "unknown" {
		t.Errorf("AddressKey of nothing = %s, want unknown", got)
	}
}

func BenchmarkAllow(b *testing.B) {
	l := limit.New(limit.Rate{Count: 1_000_000_000, Per: time.Second}, time.Now)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Allow("192.0.2.7")
		}
	})
}
