package signaling

import (
	"bytes"
	"cmp"
	"encoding/json"
	"sync"
	"time"

	"usher"
	"usher/internal/call"
	"usher/internal/socket"
)

var (
	errUnknownAction = usher.Errorf(usher.Invalid, "unknown_action", "There is no such action for clients.")
	errNoDestination = usher.Errorf(usher.Invalid, "no_destination", "The message does not say whom it is for.")
	errUnreachable   = usher.Errorf(usher.NotFound, "unreachable", "Nobody was reached: they are not connected, or have not listed you.")
	errTooLarge      = usher.Errorf(usher.TooLarge, "message_too_large", "With what is said of its sender the message is larger than the %d bytes that the gateway sends.", maxPosted)
	errUsersOnly     = usher.Errorf(usher.Forbidden, "users_only", "Only users, whom an issuer vouches for, can call and be called.")
)

// serve handles a message of an authenticated client.
func (l *link) serve(e *envelope, now time.Time) {
	l.refusals = 0
	switch string(e.action) {
	case "ping":
		_ = l.conn.SendPrepared(pong)
	case "pong":
	case "auth":
		l.renew(e)
	case "ack":
		l.acknowledge(e)
	case "presence":
		l.setStatus(e)
	case "resume", "hello", "error", "contacts.changed":
		l.fail(e, errUnknownAction)
	default:
		var err error
		switch {
		case bytes.HasPrefix(e.action, []byte("call.")):
			err = l.call(e, now)
		case l.hub.turn != nil && (bytes.HasPrefix(e.action, []byte("room.")) || e.has(fieldRoom)):
			err = errNoRooms
		case bytes.HasPrefix(e.action, []byte("room.")):
			err = l.inRoom(e, now)
		case e.has(fieldRoom):
			err = l.relayInRoom(e, now)
		default:
			err = l.relayTo(e, now)
		}
		if err != nil {
			l.fail(e, err)
		}
	}
}

// acknowledge takes that the client has handled call events.
func (l *link) acknowledge(e *envelope) {
	var seq uint64
	if json.Unmarshal(e.seq, &seq) != nil {
		l.fail(e, malformed("An ack needs a seq, which is a number."))
		return
	}
	s := l.session
	s.user.mu.Lock()
	defer s.user.mu.Unlock()
	s.acknowledge(seq)
}

// heldBack is a message that waits until its call's offer has passed.
type heldBack struct {
	frame  socket.Prepared
	handle string
}

// relayTo relays a message to a user, or to the other party of a call.
func (l *link) relayTo(e *envelope, now time.Time) error {
	h, s, me := l.hub, l.session, l.session.user
	if !me.isPerson() {
		return errUnreachable // guests meet others in rooms only
	}
	key, c, err := l.destination(e)
	if err != nil {
		return err
	}
	handle := string(e.toConnection)
	if c != nil && c.Answered() && handle == "" {
		handle = c.Party(key).Device
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	frame := l.lend(buf, e, me.from(key), "", now)
	if h.turn.again() {
		return nil // it was answered before
	}
	if h.turn != nil && len(frame.Text()) > maxPosted {
		return errTooLarge
	}
	if c != nil && candidate(e.action) && h.pending.Hold(*c, me.key, heldBack{frame.Kept(), handle}, len(frame.Text())) {
		l.ack(e, "", nil)
		return nil
	}
	if err := h.turn.failure(); err != nil {
		return err
	}
	allowed, err := h.allows(me, key)
	if err != nil {
		return err
	}
	if !allowed && !s.sharesRoom(key) || !h.deliver(userKey{me.app, key}, frame, handle) {
		return cmp.Or(h.turn.failure(), error(errUnreachable))
	}
	h.metrics.relayed.Inc()
	if c != nil && offer(e.action) {
		h.release(*c, me.key)
	}
	l.ack(e, "", nil)
	return nil
}

// allows reports whether a user may signal another: one who lists the user, or is
// in a call with the user. What costs more is asked last.
func (h *Hub) allows(me *user, key string) (bool, error) {
	if key == me.key || h.turn == nil && me.inCallWith(key) {
		return true, nil
	}
	listed, err := h.Access.Lists(h.base(), me.app, key, me.key)
	if err != nil || listed || h.turn == nil {
		return listed, err
	}
	return me.inCallWith(key), nil // which asks the store
}

// destination returns the key of whom a message is for, and the call that it is
// about, if that is one that the server knows.
func (l *link) destination(e *envelope) (key string, c *usher.Call, err error) {
	me := l.session.user
	if e.has(fieldTo) {
		key = usher.KeyOfUserID(me.issuer, string(e.to))
	}
	if e.has(fieldCallID) {
		c = me.callOf(e.callID, key)
	}
	switch {
	case key != "":
		return key, c, nil
	case c != nil:
		return c.Peer(me.key), c, nil
	case e.has(fieldCallID):
		return "", nil, call.ErrNotFound
	default:
		return "", nil, errNoDestination
	}
}

// candidate reports whether a message may have to wait for an offer.
func candidate(action []byte) bool {
	return string(action) == "candidate" || string(action) == "candidates"
}

// offer reports whether a message is what candidates wait for.
func offer(action []byte) bool {
	switch string(action) {
	case "sdp", "offer", "answer":
		return true
	}
	return false
}

// release sends what was held of a side of a call whose offer has passed.
func (h *Hub) release(c usher.Call, from string) {
	for _, m := range h.pending.Open(c, from) {
		h.sendHeld(c, from, m)
	}
}

// sendHeld sends a message that was held.
func (h *Hub) sendHeld(c usher.Call, from string, m heldBack) {
	to := c.Peer(from)
	if m.handle == "" && c.Answered() {
		m.handle = c.Party(to).Device
	}
	h.queue(userKey{c.App, to}, m.frame, m.handle)
}

// deliver queues a message for a user's connections, or for one of them, and
// reports whether there was any. Whether other nodes got it nobody knows; where a
// gateway holds the connections, it has been asked.
func (h *Hub) deliver(to userKey, m socket.Prepared, handle string) bool {
	there := h.queue(to, m, handle)
	if there && h.turn != nil {
		return h.turn.arrives(to, handle)
	}
	return there
}

func (h *Hub) queue(to userKey, m socket.Prepared, handle string) bool {
	sent := 0
	if u := h.user(to.app, to.key); u != nil {
		sent = u.send(m, handle)
	}
	return h.nodes.relay(h, to, m, handle) || sent > 0
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// frame makes what receivers get of a message: who sent it, and what was sent
// as it was written.
func (l *link) frame(e *envelope, from []byte, participant usher.ID, now time.Time) socket.Prepared {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	return l.lend(buf, e, from, participant, now).Kept()
}

// lend is frame in a buffer that is the caller's again when the message was sent.
func (l *link) lend(buf *[]byte, e *envelope, from []byte, participant usher.ID, now time.Time) socket.Prepared {
	b := appendSender(append((*buf)[:0], make([]byte, socket.Room)...), from, l.session.handle, now)
	if participant != "" {
		b = append(b, `,"fromParticipant":"`...)
		b = append(b, participant...)
		b = append(b, '"')
	}
	b = append(e.appendRelayed(b), '}')
	*buf = b
	return socket.Lend(b)
}
