package call

import (
	"sync"

	"usher"
)

// Pending holds back what would come too early: candidates of a call, in each
// direction, until they may pass. It is safe for concurrent use.
//
// What one side sends must come here in order, and what is given back must be
// sent before what comes after it.
type Pending[T any] struct {
	limit int
	mu    sync.Mutex
	calls map[usher.CallKey]map[string]*held[T] // by who sends
}

type held[T any] struct {
	open     bool
	messages []T
	size     int // of the messages together
}

// maxHeld is how many bytes are held of a side: those who let calls ring decide
// how much memory it takes.
const maxHeld = 64 << 10

// NewPending returns a Pending that holds as many messages of each side of a
// call as limit says.
func NewPending[T any](limit int) *Pending[T] {
	return &Pending[T]{limit: limit, calls: make(map[usher.CallKey]map[string]*held[T])}
}

// Begin holds back from now on what the two send of a call that is new.
func (p *Pending[T]) Begin(call usher.CallKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls[call] == nil {
		p.calls[call] = map[string]*held[T]{call.Pair.Low: {}, call.Pair.High: {}}
	}
}

// Hold keeps a message of a side, which has size bytes, or drops it if that side
// has as much held as it may. It reports false if nothing is held of it: the message is to be sent.
func (p *Pending[T]) Hold(call usher.CallKey, from string, message T, size int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.calls[call][from]
	if h == nil || h.open {
		return false
	}
	if len(h.messages) < p.limit && h.size+size <= maxHeld {
		h.messages, h.size = append(h.messages, message), h.size+size
	}
	return true
}

// Open lets pass from now on what a side sends, and returns what was held of it.
func (p *Pending[T]) Open(call usher.CallKey, from string) []T {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.calls[call][from]
	if h == nil {
		return nil
	}
	messages := h.messages
	h.open, h.messages = true, nil
	return messages
}

// End forgets a call.
func (p *Pending[T]) End(call usher.CallKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calls, call)
}
