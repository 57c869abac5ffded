package call

import (
	"sync"

	"usher"
)

// line is between two people.
type line struct {
	app  string
	pair usher.Pair
}

// lines lets one thing at a time happen on each line, so that what this process
// tells of a call is in the order of what it did. What the call becomes does
// not hang on it: that is the store's to decide, also between processes.
type lines struct {
	mu   sync.Mutex
	busy map[line]*waiting
}

type waiting struct {
	mu sync.Mutex
	n  int // who holds the line or waits for it
}

// hold waits until the line is free, and returns what frees it again.
func (l *lines) hold(key line) (free func()) {
	l.mu.Lock()
	w := l.busy[key]
	if w == nil {
		w = &waiting{}
		l.busy[key] = w
	}
	w.n++
	l.mu.Unlock()
	w.mu.Lock()
	return func() {
		w.mu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if w.n--; w.n == 0 {
			delete(l.busy, key)
		}
	}
}
