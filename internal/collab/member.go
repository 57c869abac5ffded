package collab

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/limit"
)

// Member is one connection in a room.
type Member struct {
	hub   *Hub
	peer  Peer
	visit *access.Visit
	room  *room
	limit string // under what its rate is limited
	user  string
	write bool
	once  sync.Once

	// index is the member's place among the room's members, -1 if it has none.
	// It belongs to the room's goroutine.
	index int

	// end is why access put the member out, out that nothing of it counts any more.
	end atomic.Pointer[End]
	out atomic.Bool

	mu     sync.Mutex
	joined bool // room is set
}

var _ access.Visitor = (*Member)(nil)

// Detached implements [access.Visitor].
func (m *Member) Detached(end access.End) {
	m.end.CompareAndSwap(nil, &End{end.Why, end.Message})
	m.out.Store(true)
	m.mu.Lock()
	joined := m.joined
	m.mu.Unlock()
	if joined {
		m.room.putOut(m)
	}
}

// putOut has the room put a member out soon. It does not wait for the room.
func (r *room) putOut(m *Member) {
	r.mu.Lock()
	r.ousted = append(r.ousted, m)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Join brings a connection into a room. It hears of everything that happens
// after what [Hub.Document] returns before Join does: a dialect that answers
// that the room is joined only after Join misses nothing.
//
// The errors are access's, and: TooMany "room_crowded", Unavailable
// "room_broken" and "stopping".
func (h *Hub) Join(ctx context.Context, token usher.Secret, room usher.ID, peer Peer) (*Member, error) {
	m := &Member{hub: h, peer: peer, index: -1}
	var err error
	if m.visit, err = h.deps.Access.Visit(ctx, token, room, m); err != nil {
		return nil, err
	}
	m.user, m.write = m.visit.User(), m.visit.Permissions().Has(usher.PublishData)
	m.limit = string(room) + " " + m.user
	if m.room, err = h.enter(m.visit.Room()); err != nil {
		m.visit.End()
		return nil, err
	}
	m.mu.Lock()
	m.joined = true
	m.mu.Unlock()
	var refused *usher.Error
	err = m.room.do(func() {
		if refused = m.room.add(m); refused == nil && m.out.Load() {
			m.room.putOut(m) // it was put out before it was in
		}
	})
	if err == nil && refused != nil {
		err = refused
	}
	if err != nil {
		m.visit.End()
		h.release(m.room)
		return nil, err
	}
	return m, nil
}

// User is what the others know the member by.
func (m *Member) User() string { return m.user }

// Room is the room that the member is in.
func (m *Member) Room() usher.RoomKey { return m.visit.Room() }

// Permissions are what the member may do: PublishData lets it change the
// document. To show something of oneself nothing is needed but to be there. A
// member who may do something else than before is put out, and may come back.
func (m *Member) Permissions() usher.Permissions { return m.visit.Permissions() }

var errLeft = usher.Errorf(usher.Conflict, "left", "The connection is in the room no longer.")

// Submit sends ops, which take place in their order; the peer hears what came of
// each. It waits while the room has much to do, and returns an error only if the
// member is in the room no longer.
func (m *Member) Submit(ops ...Op) error {
	if m.out.Load() {
		return errLeft
	}
	in := input{ops: ops, member: m}
	for i := range ops {
		err := ops[i].validate(m.hub.config.MaxValue)
		if wait, ok := m.hub.limits.Allow(m.limit); !ok && err == nil {
			err = limit.Exceeded(wait)
		}
		if err != nil && in.errs == nil {
			in.errs = make([]*usher.Error, len(ops))
		}
		if err != nil {
			in.errs[i] = err
		}
	}
	return m.room.send(in)
}

// Show sets what the member's user shows under a key until a time. Its errors
// are for the caller: Invalid "name_invalid" and "value_invalid", TooLarge
// "value_too_large" and "presence_too_large", TooMany "rate_limited", and
// Conflict "left".
func (m *Member) Show(key, value string, expires time.Time) error {
	if !validName(key) {
		return errName
	}
	if err := validateValue(value, m.hub.config.MaxPresence); err != nil {
		return err
	}
	if wait, ok := m.hub.limits.Allow(m.limit); !ok {
		return limit.Exceeded(wait)
	}
	p := &Presence{User: m.user, Key: key, Value: value, Expires: expires}
	err, done := errLeft, make(chan struct{})
	sendErr := m.room.send(input{now: func() {
		defer close(done)
		if m.index < 0 || m.out.Load() {
			return
		}
		err = m.room.show(m, p)
	}})
	if sendErr == nil {
		sendErr = m.room.await(done)
	}
	if sendErr == nil && err != nil {
		sendErr = err
	}
	return sendErr
}

// show takes what a member shows and tells the others.
func (r *room) show(m *Member, p *Presence) *usher.Error {
	now := r.hub.deps.Now()
	if err := r.people.show(p, r.hub.config.MaxPresence, now); err != nil {
		return err
	}
	for _, other := range r.members {
		if other != m {
			other.peer.Present(p)
		}
	}
	return nil
}

// Leave ends the membership; only the first call counts. The peer may hear more
// while Leave runs, and nothing after. It must not be called by the peer's own
// methods.
func (m *Member) Leave() {
	m.once.Do(func() {
		grace := m.hub.config.Grace
		// If the room has ended, so has the membership.
		_ = m.room.do(func() { m.room.remove(m, grace) })
		m.out.Store(true)
		m.visit.End()
		m.hub.release(m.room)
	})
}
