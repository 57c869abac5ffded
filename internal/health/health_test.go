package health_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/internal/health"
)

func results(t *testing.T, c *health.Checks) []health.Result {
	t.Helper()
	list, err := c.Results(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestEverythingIsAskedAtOnceAndNothingForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		defer close(over)
		c := health.New([]health.Check{
			{health.Store, "store", func(context.Context) error { time.Sleep(time.Second); return nil }},
			{health.Platform, "agora", nil},
			{health.Platform, "janus", func(context.Context) error { return fmt.Errorf("no address: %w", errors.ErrUnsupported) }},
			{health.Platform, "vpaas", func(context.Context) error { return errors.New("connection refused") }},
			{health.Issuer, "https://id.example", func(ctx context.Context) error { <-over; return nil }},
		}, time.Now)
		start := time.Now()
		want := []health.Result{
			{health.Store, "store", health.Well, "", start, time.Second},
			{health.Platform, "agora", health.Silent, "", start, 0},
			{health.Platform, "janus", health.Silent, "", start, 0},
			{health.Platform, "vpaas", health.Failing, "connection refused", start, 0},
			{health.Issuer, "https://id.example", health.Failing, "it did not answer within 5s", start, health.Timeout},
		}
		if diff := cmp.Diff(want, results(t, c)); diff != "" {
			t.Error(diff)
		}
		if took := time.Since(start); took != health.Timeout {
			t.Errorf("took %v, want %v", took, health.Timeout)
		}
	})
}

func TestAnswersAreKeptAndShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		c := health.New([]health.Check{{health.Store, "store", func(context.Context) error {
			asked.Add(1)
			time.Sleep(time.Second)
			return nil
		}}}, time.Now)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { results(t, c) })
		}
		wg.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("20 who wanted to know at once made it be asked %d times", n)
		}
		time.Sleep(health.Keep - time.Second)
		results(t, c)
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times before the answer was old", n)
		}
		time.Sleep(time.Second)
		results(t, c)
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times after the answer was old, want twice", n)
		}
	})
}

func TestWhoGoesAwayDoesNotSpoilTheAnswerForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := health.New([]health.Check{{health.Store, "store", func(ctx context.Context) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}}, time.Now)
		hasty, leave := context.WithCancel(t.Context())
		go func() { _, _ = c.Results(hasty) }()
		synctest.Wait()
		leave()
		if got := results(t, c); got[0].State != health.Well {
			t.Errorf("got %+v", got)
		}
	})
}
