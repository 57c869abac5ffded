package identity

import (
	"container/list"
	"sync"

	"usher"
)

// recent keeps what was proven by the proofs that were used last, by their
// digests, and forgets what was not used for longest.
type recent[V any] struct {
	max int // none are kept if it is not positive

	mu      sync.Mutex
	order   list.List // of recentEntry[V], the last used first
	entries map[usher.Digest]*list.Element
}

type recentEntry[V any] struct {
	digest usher.Digest
	value  V
}

func newRecent[V any](max int) *recent[V] {
	return &recent[V]{max: max, entries: make(map[usher.Digest]*list.Element)}
}

func (r *recent[V]) get(d usher.Digest) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[d]
	if !ok {
		var none V
		return none, false
	}
	r.order.MoveToFront(e)
	return e.Value.(recentEntry[V]).value, true
}

func (r *recent[V]) put(d usher.Digest, v V) {
	if r.max <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.entries[d]; ok {
		e.Value = recentEntry[V]{d, v}
		r.order.MoveToFront(e)
		return
	}
	if r.order.Len() >= r.max {
		last := r.order.Remove(r.order.Back()).(recentEntry[V])
		delete(r.entries, last.digest)
	}
	r.entries[d] = r.order.PushFront(recentEntry[V]{d, v})
}

func (r *recent[V]) remove(d usher.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.entries[d]; ok {
		r.order.Remove(e)
		delete(r.entries, d)
	}
}
