package signaling

import (
	"context"
	"errors"
	"net/netip"
	"time"
	"unicode/utf8"

	"usher"
	"usher/internal/socket"
)

// Reached is what a back end may know of a connection.
type Reached struct {
	// ConnectedAt is when the socket was opened, and HeardAt when the client last
	// sent anything.
	ConnectedAt, HeardAt time.Time
	Address              netip.Addr
	UserAgent            string
}

// origin is where a socket comes from. It is kept only where [Deps.Origin] says
// that somebody may ask.
type origin struct {
	at      time.Time
	address netip.Addr
	agent   string
}

// maxAgent is how much of what a client calls itself is kept.
const maxAgent = 512

// What a back end is told that reaches for a connection.
var (
	errNotThere = usher.Errorf(usher.Gone, "connection_gone", "There is no such connection, or no longer.")
	errFull     = usher.Errorf(usher.TooMany, "connection_full", "The client reads too slowly: what was sent before still waits. Send again later.")
	errNotText  = usher.Errorf(usher.Invalid, "not_text", "A message is text, in UTF-8.")
)

// Post queues a text for the connection of that handle, as it is, on behalf of a
// back end. What no longer fits in its queue is refused, and the connection goes
// on.
func (h *Hub) Post(ctx context.Context, id usher.Identity, handle string, text []byte) error {
	if err := h.Access.MayReach(ctx, id); err != nil {
		return err
	}
	if !utf8.Valid(text) {
		return errNotText
	}
	return h.reach(id.App, handle, func(_ *session, l *link) error {
		err := l.conn.Offer(socket.Prepare(text))
		if errors.Is(err, socket.ErrFull) {
			return errFull
		}
		if err != nil {
			return errNotThere
		}
		return nil
	})
}

// Dismiss closes the connection of that handle for good, on behalf of a back end.
func (h *Hub) Dismiss(ctx context.Context, id usher.Identity, handle string) error {
	if err := h.Access.MayReach(ctx, id); err != nil {
		return err
	}
	var there *session
	err := h.reach(id.App, handle, func(s *session, _ *link) error {
		there = s
		return nil
	})
	if err == nil {
		there.putOut(socket.CodeNormal, "The application closed the connection.")
	}
	return err
}

// Reached tells a back end of the connection of that handle.
func (h *Hub) Reached(ctx context.Context, id usher.Identity, handle string) (r Reached, err error) {
	if err := h.Access.MayReach(ctx, id); err != nil {
		return Reached{}, err
	}
	err = h.reach(id.App, handle, func(_ *session, l *link) error {
		r.HeardAt = l.conn.Heard()
		if o := l.origin; o != nil {
			r.ConnectedAt, r.Address, r.UserAgent = o.at, o.address, o.agent
		}
		return nil
	})
	return r, err
}

// reach finds a session that has a socket, which stays its own during the call.
func (h *Hub) reach(app, handle string, do func(*session, *link) error) error {
	h.mu.RLock()
	s := h.sessions[handle]
	h.mu.RUnlock()
	if s == nil || s.user.app != app {
		return errNotThere
	}
	s.user.mu.Lock()
	defer s.user.mu.Unlock()
	if s.link == nil || s.final != 0 {
		return errNotThere
	}
	return do(s, s.link)
}
