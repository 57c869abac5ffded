package roomservice

import (
	"sync"
	"time"

	"usher"
)

// load is one of the two requests by which a client loads a room after it has
// joined it.
type load uint8

const (
	documentLoad load = 1 << iota
	presenceLoad
	bothLoads = documentLoad | presenceLoad
)

// loads tells connections when their client has loaded the room: only the token
// connects a client's requests with its socket.
type loads struct {
	mu      sync.Mutex
	waiting map[usher.Digest][]*loading
	// lost are connections that broke before their client had loaded the room.
	lost map[usher.Digest]*loading
}

// lostFor is how long after a connection broke its client may still be loading
// the room for it.
const lostFor = 3 * time.Second

var errLost = usher.Errorf(usher.Unavailable, "connection_lost", "The connection that this is loaded for is gone; connect again.")

// check refuses a load for a connection that is gone. The client does not notice
// that by itself: it would go on with a socket that is closed, and never open
// another, where a load that fails makes it try again.
func (l *loads) check(token usher.Secret, what load) error {
	digest := token.Digest()
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.lost[digest]
	if w == nil || len(l.waiting[digest]) > 0 {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen&what != 0 {
		return nil
	}
	if w.seen |= what; w.seen == bothLoads {
		delete(l.lost, digest)
	}
	return errLost
}

// loading is a connection whose client has not loaded the room yet, or just has.
type loading struct {
	token usher.Digest
	// sent is when the client asked to join, by its own clock, and joined when
	// we answered, by ours.
	sent, joined time.Time
	clock        bool // sent is known
	now          func() time.Time

	mu   sync.Mutex
	seen load
	at   time.Time // when the client was answered both

	// The read loop's own.
	flushing bool
	last     time.Time // of the message before, by the client's clock
}

// How a client goes on after it has loaded the room: it first sends, at once,
// what it did before that.
const (
	// flushStart is how long the client may take from our answer to its first
	// command; flushPause is how long it never pauses in between.
	flushStart = 2 * time.Second
	flushPause = 50 * time.Millisecond
)

// begin notes that a client has joined, and will load the room.
func (l *loads) begin(token usher.Secret, joined message, now func() time.Time) *loading {
	w := &loading{token: token.Digest(), joined: now(), now: now}
	w.sent, w.clock = joined.sent()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		l.waiting = make(map[usher.Digest][]*loading)
	}
	l.waiting[w.token] = append(l.waiting[w.token], w)
	return w
}

// done notes that the bearer of a token was answered.
func (l *loads) done(token usher.Secret, what load) {
	digest := token.Digest()
	l.mu.Lock()
	defer l.mu.Unlock()
	var left []*loading
	for _, w := range l.waiting[digest] {
		if !w.saw(what) {
			left = append(left, w)
		}
	}
	l.set(digest, left)
}

// end forgets a connection.
func (l *loads) end(w *loading) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var left []*loading
	for _, other := range l.waiting[w.token] {
		if other != w {
			left = append(left, other)
		}
	}
	l.set(w.token, left)
	if w.loaded() {
		return
	}
	if l.lost == nil {
		l.lost = make(map[usher.Digest]*loading)
	}
	l.lost[w.token] = w
	time.AfterFunc(lostFor, func() { l.forget(w) })
}

// forget drops a connection that broke a while ago.
func (l *loads) forget(w *loading) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost[w.token] == w {
		delete(l.lost, w.token)
	}
}

// set replaces the connections of a token. l.mu is held.
func (l *loads) set(token usher.Digest, left []*loading) {
	if len(left) == 0 {
		delete(l.waiting, token)
		return
	}
	l.waiting[token] = left
}

// saw notes one of the loads, and reports whether it was the last.
func (w *loading) saw(what load) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen |= what; w.seen != bothLoads {
		return false
	}
	w.at = w.now()
	return true
}

// loaded reports whether the client was answered both loads.
func (w *loading) loaded() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen == bothLoads
}

// settled reports whether the client did what it sends after it had loaded the
// room, so that it holds it already. What it did before, and sends now, it has
// forgotten in loading. The client's clock says when it sent something, so that
// what is late on its way is judged by when it left.
func (w *loading) settled(m message) bool {
	w.mu.Lock()
	loaded := w.at
	w.mu.Unlock()
	sent, known := m.sent()
	before := w.last
	w.last = sent
	if loaded.IsZero() {
		w.flushing = true
		return false
	}
	since := w.now().Sub(loaded)
	if known && w.clock {
		since = sent.Sub(w.sent) - loaded.Sub(w.joined)
	}
	if since < flushStart {
		w.flushing = true
	} else if w.flushing && (!known || sent.Sub(before) > flushPause) {
		w.flushing = false
	}
	return !w.flushing
}
