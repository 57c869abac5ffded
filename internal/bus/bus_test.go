package bus_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"usher/internal/bus"
)

// inbox keeps what a subscriber receives.
type inbox struct {
	mu       sync.Mutex
	received []string
}

func (i *inbox) receive(data []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.received = append(i.received, string(data))
}

func (i *inbox) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	i.mu.Lock()
	defer i.mu.Unlock()
	if !slices.Equal(i.received, want) {
		t.Errorf("got %v, want %v", i.received, want)
	}
}

func TestMessagesReachThoseWhoAreSubscribedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bus.Local
		var a1, a2, c inbox
		b.Publish("a", []byte("too early"))
		end := b.Subscribe("a", a1.receive)
		b.Subscribe("a", a2.receive)
		b.Subscribe("c", c.receive)
		var want []string
		for i := range 100 {
			want = append(want, fmt.Sprint(i))
			b.Publish("a", []byte(want[i]))
		}
		a1.want(t, want...)
		a2.want(t, want...)
		c.want(t)
		end()
		end()
		b.Publish("a", []byte("last"))
		a1.want(t, want...)
		a2.want(t, append(want, "last")...)
	})
}

// Publishing never waits: what a slow subscriber can't take is lost to it, and
// to nobody else.
func TestASlowSubscriberLosesMessagesAndHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bus.Local
		var quick inbox
		slow, held := 0, make(chan struct{})
		b.Subscribe("a", func([]byte) { <-held; slow++ })
		b.Subscribe("a", quick.receive)
		var want []string
		for i := range 1000 {
			want = append(want, fmt.Sprint(i))
			b.Publish("a", []byte(want[i]))
			synctest.Wait()
		}
		quick.want(t, want...)
		close(held)
		synctest.Wait()
		if slow < 100 || slow > 300 {
			t.Errorf("the slow one received %d messages, want what its queue holds", slow)
		}
	})
}

func TestASubscriptionMayEndItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bus.Local
		var end func()
		calls := 0
		end = b.Subscribe("a", func([]byte) { calls++; end(); b.Publish("a", nil) })
		for range 5 {
			b.Publish("a", nil)
		}
		synctest.Wait()
		if calls != 1 {
			t.Errorf("it was called %d times, want once", calls)
		}
	})
}
