package dynamostore

import (
	"context"
	"sync"
)

// queues let one writer of this process at a time come to an item, so that those
// of one process do not fail each other's conditions. Nothing is right because
// of them: other processes have their own.
type queues struct {
	mu   sync.Mutex
	held map[key]*queue
}

// queue is a place for one, and how many want it.
type queue struct {
	place chan struct{}
	users int
}

// enter waits for the item's place. The caller must leave it again.
func (q *queues) enter(ctx context.Context, k key) (leave func(), err error) {
	q.mu.Lock()
	one := q.held[k]
	if one == nil {
		one = &queue{place: make(chan struct{}, 1)}
		q.held[k] = one
	}
	one.users++
	q.mu.Unlock()

	forget := func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(q.held, k)
		}
	}
	select {
	case one.place <- struct{}{}:
		return func() { <-one.place; forget() }, nil
	case <-ctx.Done():
		forget()
		return nil, ctx.Err()
	}
}
