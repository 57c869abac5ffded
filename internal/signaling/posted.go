package signaling

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"usher"
	"usher/internal/socket"
	"usher/internal/store"
)

// posted is a connection that a gateway holds, as one turn uses it.
type posted struct {
	turn *turn

	mu      sync.Mutex
	row     usher.Attachment
	queue   [][]byte
	closing bool
	over    bool // it has turned out not to be there
	// reached says that the last flush sent or kept all that was queued.
	reached bool
}

var _ wire = (*posted)(nil)

// SendPrepared implements wire.
func (p *posted) SendPrepared(m socket.Prepared) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.closing {
		return socket.ErrClosed
	}
	p.queue = append(p.queue, m.Kept().Text())
	return nil
}

// Offer implements wire: there is room for whatever one event queues.
func (p *posted) Offer(m socket.Prepared) error { return p.SendPrepared(m) }

// Heard implements wire.
func (p *posted) Heard() time.Time { return p.row.SeenAt }

// Close implements wire. The gateway gives no code: what a client is to know of
// the reason is queued before.
func (p *posted) Close(socket.Code, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = true
}

// Subprotocol implements wire: there is none.
func (p *posted) Subprotocol() string { return "" }

// waiting reports whether there is anything to flush.
func (p *posted) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.over && (p.closing || len(p.queue) > 0)
}

// How long a connection may be about to be made, and how often it is asked for
// until what is meant for it is kept. API Gateway gives a function 29 seconds.
const (
	makingTime = 30 * time.Second
	makingWait = 50 * time.Millisecond
	makingTry  = 4
	longestTry = time.Second
)

// maxPosted is the longest message that API Gateway takes for a connection.
const maxPosted = 128 << 10

// The bounds of what is kept for a connection that is about to be made.
const (
	maxHeldFrames = 64
	maxHeldBytes  = 64 << 10
)

// flush sends what is queued, in order, or keeps it, and then closes the
// connection if it shall be.
func (p *posted) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	queue := p.queue
	p.queue, p.reached = nil, true
	for len(queue) > 0 && !p.over {
		if p.turn.making == p.row.Connection {
			held := p.hold(queue)
			p.reached = p.reached && held
			break
		}
		err := p.post(queue[0])
		switch {
		case err == nil:
			queue = queue[1:]
			p.heard(&queue)
			continue
		case errors.Is(err, ErrGone) && p.young():
			if held := p.hold(queue); held || !p.row.Made {
				p.reached = p.reached && held
				queue = nil
			} // else it was made meanwhile
			continue
		case errors.Is(err, ErrGone):
			p.over = true
			p.turn.gone(p.row)
		default:
			p.turn.Logger.Error("a message could not be sent to a connection", "error", err)
			queue = queue[1:]
		}
		p.reached = false
	}
	if p.closing && !p.over {
		p.over = true
		if err := p.turn.Gateway.Close(p.turn.ctx, p.endpoint(), p.row.Connection); err != nil && !errors.Is(err, ErrGone) {
			p.turn.Logger.Error("a connection could not be closed", "error", err)
		}
		p.turn.gone(p.row)
	}
}

func (p *posted) endpoint() string { return cmp.Or(p.row.Endpoint, p.turn.endpoint) }

// young reports whether the connection may be about to be made.
func (p *posted) young() bool {
	return p.row.ID != "" && !p.row.Made && p.turn.Now().Sub(p.row.ID.Time()) < makingTime
}

// post sends one message, again for as long as that can help.
func (p *posted) post(data []byte) error {
	for try, wait := 1, makingWait; ; try, wait = try+1, min(2*wait, longestTry) {
		err := p.turn.Gateway.Post(p.turn.ctx, p.endpoint(), p.row.Connection, data)
		if err == nil || !errors.Is(err, ErrBusy) && !(errors.Is(err, ErrGone) && p.young() && try < makingTry) {
			return err
		}
		if !rest(p.turn.ctx, wait) {
			return err
		}
	}
}

// rest waits, and reports whether there is time left.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// hold keeps messages until the connection speaks, and reports whether it did:
// not if the connection has been made meanwhile, or is gone, or there is too much.
func (p *posted) hold(queue [][]byte) (held bool) {
	row, err := p.turn.Attachments.Update(p.turn.ctx, p.row.AttachmentKey, func(a usher.Attachment) (usher.Attachment, error) {
		size := 0
		for _, m := range slices.Concat(a.Held, queue) {
			size += len(m)
		}
		if held = !a.Made && a.ID == p.row.ID && len(a.Held)+len(queue) <= maxHeldFrames && size <= maxHeldBytes; !held {
			return a, store.ErrUnchanged
		}
		a.Held = slices.Concat(a.Held, queue)
		a.UpdatedAt = p.turn.Now()
		return a, nil
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		p.over = true
		return false
	case err != nil:
		p.turn.fail("what waits for a connection could not be kept", err)
		return false
	}
	p.row.Made = row.Made
	return held
}

// heard notes that something has reached the connection. What waited for it is
// sent next, before the rest of the queue.
func (p *posted) heard(queue *[][]byte) {
	if p.row.ID == "" {
		return
	}
	row, held, err := p.turn.prolong(p.row)
	switch {
	case errors.Is(err, store.ErrNotFound):
		p.over = true
	case err != nil:
		p.turn.fail("it could not be noted that a connection is there", err)
		p.row.Made, p.row.SeenAt = true, p.turn.Now()
	default:
		p.row = row
		*queue = slices.Concat(held, *queue)
	}
}

// arrives sends what is queued for a user, and reports whether it reached any of
// the user's connections, or the one of that handle.
func (t *turn) arrives(to userKey, handle string) bool {
	u := t.user(to)
	if u == nil {
		return false
	}
	var conns []*posted
	for _, s := range u.sessions {
		if conn := s.link.conn.(*posted); handle == "" || s.handle == handle {
			conns = append(conns, conn)
		}
	}
	atOnce(len(conns), func(i int) { conns[i].flush() })
	return slices.ContainsFunc(conns, func(p *posted) bool { return p.reached })
}

// gone notes that a connection is over, which is settled later.
func (t *turn) gone(row usher.Attachment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = append(t.over, row)
}

// settle sends all that is queued, and forgets the connections that turn out to
// be over, until nothing is left to do.
func (t *turn) settle() error {
	for {
		t.mu.Lock()
		over, told, conns := t.over, t.told, slices.Clone(t.conns)
		t.over, t.told = nil, make(map[userKey]status)
		t.mu.Unlock()
		conns = slices.DeleteFunc(conns, func(p *posted) bool { return !p.waiting() })
		if len(conns) == 0 && len(over) == 0 {
			return t.failure()
		}
		atOnce(len(conns), func(i int) { conns[i].flush() })
		for _, row := range over {
			t.ended(row)
		}
		for key, now := range told {
			t.confirm(key, now)
		}
	}
}
