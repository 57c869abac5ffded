package cached_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher"
	"usher/internal/store"
	"usher/internal/store/cached"
)

// countersDB is a store of clients whose versions only grow.
type countersDB struct {
	store.DB
	counters *counters
}

func (d countersDB) Rooms() store.Rooms     { return nil }
func (d countersDB) Members() store.Members { return nil }
func (d countersDB) Once() store.Once       { return nil }
func (d countersDB) Clients() store.Clients { return d.counters }

type counters struct {
	store.Clients
	mu       sync.Mutex
	versions map[usher.ID]int64
	// pause is called where others may come between: with a value in hand, and
	// before and after a write.
	pause func()
	// fails says whether a read that ends now fails.
	fails func() bool
}

func (c *counters) Get(_ context.Context, id usher.ID) (usher.Client, error) {
	v := c.version(id)
	c.pause()
	if c.fails() {
		return usher.Client{}, errRead
	}
	return usher.Client{ID: id, Version: v}, nil
}

var errRead = errors.New("the store can't be read")

func (c *counters) version(id usher.ID) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.versions[id]
}

func (c *counters) Update(_ context.Context, id usher.ID, _ func(usher.Client) (usher.Client, error)) (usher.Client, error) {
	c.pause()
	c.mu.Lock()
	c.versions[id]++
	v := c.versions[id]
	c.mu.Unlock()
	c.pause()
	return usher.Client{ID: id, Version: v}, nil
}

// history is a random one of reads, writes, writes of another process and time
// that passes, one in the middle of the other.
type history struct {
	*testing.T
	random   *rand.Rand
	db       *cached.DB
	below    *counters
	now      time.Time
	depth    int
	answered map[usher.ID]int64    // the version that the last write of ours left
	seen     map[usher.ID][]commit // every version, in order
	reads    int
}

type commit struct {
	version int64
	at      time.Time
}

// bound is the version that no reading that begins now may be older than.
func (h *history) bound(id usher.ID) int64 {
	least := h.answered[id]
	for _, c := range h.seen[id] {
		if !c.at.After(h.now.Add(-cached.Fresh)) {
			least = max(least, c.version)
		}
	}
	return least
}

func (h *history) step() {
	id := []usher.ID{"a", "b", "c"}[h.random.IntN(3)]
	switch h.random.IntN(6) {
	case 0:
		h.now = h.now.Add(time.Duration(h.random.Int64N(int64(cached.Fresh))))
	case 1:
		_, _ = h.db.Clients().Update(h.Context(), id, nil) // it does not fail
		h.answered[id] = h.below.version(id)
	case 2:
		_, _ = h.below.Update(h.Context(), id, nil)
	default:
		least := h.bound(id)
		c, err := h.db.Clients().Get(h.Context(), id)
		if errors.Is(err, errRead) {
			return
		}
		if err != nil || c.Version < least || c.Version > h.below.version(id) {
			h.Fatalf("read version %d, %v; want %d to %d", c.Version, err, least, h.below.version(id))
		}
		h.reads++
	}
}

// pause notes what was committed, and lets something else happen.
func (h *history) pause() {
	for id, v := range h.below.versions {
		if list := h.seen[id]; len(list) == 0 || list[len(list)-1].version < v {
			h.seen[id] = append(list, commit{v, h.now})
		}
	}
	for h.depth < 4 && h.random.IntN(2) == 0 {
		h.depth++
		h.step()
		h.depth--
	}
}

func TestNoHistoryShowsAnOldValue(t *testing.T) {
	for seed := range uint64(500) {
		h := &history{
			T: t, random: rand.New(rand.NewPCG(seed, 0)), now: start,
			answered: make(map[usher.ID]int64), seen: make(map[usher.ID][]commit),
			below: &counters{versions: make(map[usher.ID]int64)},
		}
		h.below.pause = h.pause
		h.below.fails = func() bool { return h.random.IntN(8) == 0 }
		h.db = cached.NewSmall(countersDB{counters: h.below}, func() time.Time { return h.now }, int(1+seed%4))
		for h.reads < 100 {
			h.step()
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Who reads after a write of this process was answered reads it, however many
// read and write at the same time.
func TestReadersAndWritersAtOnce(t *testing.T) {
	below := &counters{versions: make(map[usher.ID]int64), pause: func() {}, fails: func() bool { return false }}
	db := cached.New(countersDB{counters: below}, still)
	var answered atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 2000 {
				c, _ := db.Clients().Update(t.Context(), "a", nil) // it does not fail
				for at := answered.Load(); at < c.Version && !answered.CompareAndSwap(at, c.Version); at = answered.Load() {
				}
			}
		})
		all.Go(func() {
			last := int64(0)
			for range 10_000 {
				least := max(last, answered.Load())
				c, err := db.Clients().Get(t.Context(), "a")
				if err != nil || c.Version < least {
					t.Errorf("read version %d, %v, after version %d", c.Version, err, least)
					return
				}
				last = c.Version
			}
		})
	}
	all.Wait()
}
