// Package bus carries small messages between the nodes of one Usher: that a
// room changed, that somebody was removed.
//
// Delivery is at most once. A bus makes news fast, never true: whoever acts on
// a message reads the store, and whoever misses one finds out from the store.
package bus

import "sync"

// Bus is the contract that the in-process bus and a network one share.
type Bus interface {
	// Publish sends data to everyone who is subscribed to the subject, the
	// publisher's own node included. It does not block and does not fail: a
	// message that can't be delivered is lost.
	Publish(subject string, data []byte)
	// Subscribe calls receive for each message, one after the other and in
	// order for one publisher. The returned function ends the subscription; it
	// does not wait for a call that is under way, and may be called in one.
	Subscribe(subject string, receive func(data []byte)) (unsubscribe func())
}

// queueLimit is how many messages may wait for one subscriber before more are lost.
const queueLimit = 256

// Local is a bus for one process. Its zero value is ready to use.
type Local struct {
	mu       sync.RWMutex
	subjects map[string]map[*subscription]struct{}
}

var _ Bus = (*Local)(nil)

type subscription struct {
	receive func([]byte)

	mu      sync.Mutex
	queue   [][]byte
	running bool
	ended   bool
}

// Publish implements [Bus].
func (b *Local) Publish(subject string, data []byte) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for s := range b.subjects[subject] {
		s.push(data)
	}
}

// Subscribe implements [Bus].
func (b *Local) Subscribe(subject string, receive func([]byte)) func() {
	s := &subscription{receive: receive}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subjects == nil {
		b.subjects = make(map[string]map[*subscription]struct{})
	}
	if b.subjects[subject] == nil {
		b.subjects[subject] = make(map[*subscription]struct{})
	}
	b.subjects[subject][s] = struct{}{}
	return func() { b.unsubscribe(subject, s) }
}

func (b *Local) unsubscribe(subject string, s *subscription) {
	s.mu.Lock()
	s.ended, s.queue = true, nil
	s.mu.Unlock()

	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subjects[subject], s)
	if len(b.subjects[subject]) == 0 {
		delete(b.subjects, subject)
	}
}

// push queues a message and makes sure that a goroutine delivers it; there is
// none while the queue is empty.
func (s *subscription) push(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || len(s.queue) >= queueLimit {
		return
	}
	s.queue = append(s.queue, data)
	if !s.running {
		s.running = true
		go s.deliver()
	}
}

func (s *subscription) deliver() {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.running, s.queue = false, nil
			s.mu.Unlock()
			return
		}
		data := s.queue[0]
		s.queue = s.queue[1:]
		s.mu.Unlock()
		s.receive(data)
	}
}
