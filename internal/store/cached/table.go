package cached

import (
	"context"
	"sync"
	"time"
)

// table keeps values that were read from the store, by key.
//
// What it must never do is answer with a value from before a write of this
// process that has been answered. Whoever reads the store takes the key's slot
// before, and puts the value into it after. A write shuts the slot before it
// begins, so that nothing is taken from it nor any reading begun with it, and
// throws it away when it has ended, however it ended. So what was read before a
// write, or beside it, goes to a slot that nobody looks into any more.
type table[K comparable, V any] struct {
	db  *DB
	max int
	now func() time.Time

	mu    sync.Mutex
	slots map[K]*slot[V]
}

// slot holds the value of a key, or its place while it is read or written.
type slot[V any] struct {
	value V
	// read is when reading the value began; it is zero while there is none.
	read time.Time
	// writes is how many writes of the key are under way. While there are any,
	// the slot is shut.
	writes int
}

// reading is a read of the store that has begun.
type reading[V any] struct {
	slot  *slot[V] // nil if what is read can't be kept
	began time.Time
}

func newTable[K comparable, V any](db *DB, max int, now func() time.Time) *table[K, V] {
	return &table[K, V]{db: db, max: max, now: now, slots: make(map[K]*slot[V])}
}

// get returns the value of a key. Without one that is fresh, the caller reads
// the store, and gives what it finds to [table.put].
func (t *table[K, V]) get(key K) (V, reading[V], bool) {
	var none V
	if t.db.closed.Load() {
		return none, reading[V]{}, false
	}
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.slots[key]
	if s == nil {
		makeRoom(t.slots, t.max, func(s *slot[V]) bool { return s.writes == 0 })
		s = &slot[V]{}
		t.slots[key] = s
	}
	if s.writes > 0 {
		return none, reading[V]{}, false
	}
	// The zero time is long ago; a clock that was set back makes nothing fresh.
	if age := now.Sub(s.read); age >= 0 && age < Fresh {
		return s.value, reading[V]{}, true
	}
	return none, reading[V]{s, now}, false
}

// put keeps what was read, unless a later reading was faster.
func (t *table[K, V]) put(r reading[V], value V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.slot != nil && !r.began.Before(r.slot.read) {
		r.slot.value, r.slot.read = value, r.began
	}
}

// writing is called before a key is written, and what it returns after.
func (t *table[K, V]) writing(key K) (done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.slots[key]
	if s == nil {
		s = &slot[V]{}
		t.slots[key] = s
	}
	s.writes++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if s.writes--; s.writes == 0 {
			delete(t.slots, key)
		}
	}
}

// forget drops the values that which is true of, and whatever is being read.
func (t *table[K, V]) forget(which func(V) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, s := range t.slots {
		if s.writes == 0 && (s.read.IsZero() || which(s.value)) {
			delete(t.slots, key)
		}
	}
}

// through returns the value of a key, from the store if it must. That there is
// none is not kept.
func (t *table[K, V]) through(ctx context.Context, key K, read func() (V, error)) (V, error) {
	value, r, ok := t.get(key)
	if ok {
		return value, ctx.Err()
	}
	value, err := read()
	if err == nil {
		t.put(r, value)
	}
	return value, err
}

// makeRoom lets one more into a map that holds max at most. Any may go that can:
// a map begins its round anywhere.
func makeRoom[K comparable, V any](m map[K]V, max int, can func(V) bool) {
	if len(m) < max {
		return
	}
	for key, v := range m {
		if can(v) {
			delete(m, key)
			return
		}
	}
}
