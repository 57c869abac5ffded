// Package recent remembers what was proven by the proofs that were used last,
// so that a signature need not be verified again for each call.
package recent

import (
	"container/list"
	"sync"

	"usher"
)

// Map keeps values by the digests of the proofs that they belong to, and
// forgets what was not used for longest. It is safe for concurrent use.
type Map[V any] struct {
	max int

	mu      sync.Mutex
	order   list.List // of entry[V], the last used first
	entries map[usher.Digest]*list.Element
}

type entry[V any] struct {
	digest usher.Digest
	value  V
}

// New returns a map of at most max values; it keeps none if that is not positive.
func New[V any](max int) *Map[V] {
	return &Map[V]{max: max, entries: make(map[usher.Digest]*list.Element)}
}

// Get returns the value of a proof, which counts as used.
func (m *Map[V]) Get(d usher.Digest) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[d]
	if !ok {
		var none V
		return none, false
	}
	m.order.MoveToFront(e)
	return e.Value.(entry[V]).value, true
}

// Put keeps a value.
func (m *Map[V]) Put(d usher.Digest, v V) {
	if m.max <= 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.entries[d]; ok {
		e.Value = entry[V]{d, v}
		m.order.MoveToFront(e)
		return
	}
	if m.order.Len() >= m.max {
		last := m.order.Remove(m.order.Back()).(entry[V])
		delete(m.entries, last.digest)
	}
	m.entries[d] = m.order.PushFront(entry[V]{d, v})
}

// Remove forgets a value.
func (m *Map[V]) Remove(d usher.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.entries[d]; ok {
		m.order.Remove(e)
		delete(m.entries, d)
	}
}
