package call

import (
	"sync"

	"usher"
)

// Pending holds back what would come too early: candidates of a call, in each
// direction, until they may pass. Those of a call of a stranger wait until it is
// answered, whatever else passes. It is safe for concurrent use.
//
// What one side sends must come here in order, and what is given back must be
// sent before what comes after it.
type Pending[T any] struct {
	limit int
	mu    sync.Mutex
	calls map[usher.CallKey]*waitingRoom[T]
}

type waitingRoom[T any] struct {
	answered bool
	sides    map[string]*held[T] // by who sends
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
	return &Pending[T]{limit: limit, calls: make(map[usher.CallKey]*waitingRoom[T])}
}

// Begin holds back from now on what the two send of a call that is new.
func (p *Pending[T]) Begin(call usher.CallKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begin(call, false)
}

// begin returns what there is of a call, and makes it if there is nothing.
func (p *Pending[T]) begin(call usher.CallKey, open bool) *waitingRoom[T] {
	w := p.calls[call]
	if w == nil {
		w = &waitingRoom[T]{sides: map[string]*held[T]{call.Pair.Low: {open: open}, call.Pair.High: {open: open}}}
		p.calls[call] = w
	}
	return w
}

// Hold keeps a message of a side, which has size bytes, or drops it if that side
// has as much held as it may. It reports false if nothing is held of it: the
// message is to be sent. Of the call of a stranger that was not answered all is
// held, also if this process has not seen it begin.
func (p *Pending[T]) Hold(c usher.Call, from string, message T, size int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.calls[c.Key()]
	if w == nil {
		if !c.Request || !c.Ringing() {
			return false
		}
		w = p.begin(c.Key(), true)
	}
	h := w.sides[from]
	if h == nil || h.open && (w.answered || !c.Request) {
		return false
	}
	if len(h.messages) < p.limit && h.size+size <= maxHeld {
		h.messages, h.size = append(h.messages, message), h.size+size
	}
	return true
}

// Open lets pass from now on what a side sends, and returns what was held of it;
// of the call of a stranger, not before it is answered.
func (p *Pending[T]) Open(c usher.Call, from string) []T {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.calls[c.Key()]
	if w == nil || w.sides[from] == nil {
		return nil
	}
	h := w.sides[from]
	h.open = true
	if c.Request && !w.answered {
		return nil
	}
	return h.take()
}

// take returns what was held.
func (h *held[T]) take() []T {
	messages := h.messages
	h.messages, h.size = nil, 0
	return messages
}

// Answer notes that the call of a stranger was answered, and sends what was held
// of those sides for which Open was called. Send must not call the Pending: what
// comes meanwhile waits, so that it comes after.
func (p *Pending[T]) Answer(call usher.CallKey, send func(from string, message T)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.begin(call, true)
	if w.answered {
		return
	}
	w.answered = true
	for from, h := range w.sides {
		if !h.open {
			continue
		}
		for _, m := range h.take() {
			send(from, m)
		}
	}
}

// End forgets a call.
func (p *Pending[T]) End(call usher.CallKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calls, call)
}
