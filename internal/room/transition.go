package room

import (
	"time"

	"usher"
	"usher/internal/store"
)

// The functions of this file are the whole life of a room and its
// participants, as pure steps from one entry to the next. A store may call a
// step more than once, so a step reads nothing but its arguments.

// Errors of a step. Their codes are the native API's.
var (
	ErrEnded   = usher.Errorf(usher.Gone, "room_ended", "The room has ended; it can't be joined or changed any more.")
	errNotOpen = usher.Errorf(usher.Unavailable, "room_not_open", "The room is not open yet.")
	errFull    = usher.Errorf(usher.Unavailable, "room_full", "Every seat in the room is taken; try again when somebody has left.")
	// ErrNoClaim is the one answer for an unknown participant, a wrong secret and a
	// secret that is in use or used up, so that nothing can be found by guessing.
	ErrNoClaim  = usher.Errorf(usher.NotFound, "participant_not_found", "No participant with that id and secret can join the room now.")
	errToken    = usher.Errorf(usher.Unauthenticated, "token_invalid", "The token does not open a connection for this participant, or no longer does.")
	errRemoved  = usher.Errorf(usher.Conflict, "participant_removed", "The participant has already been removed.")
	errGone     = usher.Errorf(usher.Conflict, "participant_left", "The participant has left, and its secret is used up.")
	errRenewed  = usher.Errorf(usher.Conflict, "secret_renewed", "The participant was made before, and its secret has been made anew since.")
	errNotReady = usher.Errorf(usher.Conflict, "participant_joined", "The participant is in the room; its secret can be made anew when it is not.")
)

// moment is when a step is taken, and what the rules are then.
type moment struct {
	now time.Time
	// started is when this process began to serve. Nobody could reconnect
	// before, so no wait that began earlier is over before a grace after it.
	started time.Time
	rules   Config
}

// heldUntil is how long a seat is kept without more news.
func (m moment) heldUntil(p usher.Participant) time.Time {
	if p.UpdatedAt.Before(m.started) && p.Hold != usher.SocketHold {
		return later(p.HeldUntil, m.started.Add(m.rules.Grace))
	}
	return p.HeldUntil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// soonest returns the earlier of two times of which the zero time is never.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// settleRoom brings a room up to date with the time that has passed.
func (m moment) settleRoom(r usher.Room) usher.Room {
	if r.Status == usher.RoomEnded {
		return r
	}
	unjoined, empty := m.roomEnds(r)
	switch {
	case !r.ClosesAt.IsZero() && !m.now.Before(r.ClosesAt):
		return m.endRoom(r, r.ClosesAt, "The room's closing time was reached.")
	case !unjoined.IsZero() && !m.now.Before(unjoined):
		return m.endRoom(r, unjoined, "Nobody joined the room.")
	case !empty.IsZero() && !m.now.Before(empty):
		return m.endRoom(r, empty, "The last participant has left the room.")
	}
	r.Due = soonest(r.ClosesAt, soonest(unjoined, empty))
	return r
}

// roomEnds returns when an ephemeral room ends for want of people; zero is never.
func (m moment) roomEnds(r usher.Room) (unjoined, empty time.Time) {
	if r.Kind != usher.Ephemeral || r.Taken > 0 {
		return time.Time{}, time.Time{}
	}
	if r.Status == usher.RoomReady {
		// A room that opens later has as long to be joined once it is open.
		return later(r.CreatedAt(), r.OpensAt).Add(m.rules.Unjoined), time.Time{}
	}
	// Nobody could come back before this process was there.
	return time.Time{}, later(r.EmptyAt, m.started).Add(m.rules.Grace)
}

func (m moment) endRoom(r usher.Room, at time.Time, reason string) usher.Room {
	r.Status, r.Taken, r.Due = usher.RoomEnded, 0, time.Time{}
	r.EndedAt, r.EndReason = at, reason
	return r
}

// settle brings a participant and its room up to date with the time that has
// passed and with what happened to the room meanwhile.
func (m moment) settle(e store.Entry) store.Entry {
	e.Room = m.settleRoom(e.Room)
	p := &e.Participant
	if !p.Seated() {
		return e
	}
	if e.Room.Status == usher.RoomEnded {
		return m.unseat(e, usher.ParticipantLeft, e.Room.EndedAt)
	}
	if p.HeldUntil.IsZero() {
		return e
	}
	p.HeldUntil = m.heldUntil(*p)
	switch {
	case m.now.Before(p.HeldUntil):
		return e
	case p.Hold == usher.GraceHold:
		return m.unseat(e, usher.ParticipantLeft, p.LostAt)
	case p.Hold == usher.SocketHold:
		return m.unseat(e, usher.ParticipantLeft, p.HeldUntil)
	case !p.LostAt.IsZero():
		return m.unseat(e, usher.ParticipantLeft, p.HeldUntil)
	default:
		return m.undo(e)
	}
}

// undo takes back a claim that was answered but whose connection never came:
// the secret can be used again, and if nobody else has ever been in the room, it
// is as if nobody had joined.
func (m moment) undo(e store.Entry) store.Entry {
	fresh := e.Room.EmptyAt.IsZero()
	e = m.unseat(e, usher.ParticipantReady, e.Participant.HeldUntil)
	if fresh && e.Room.Status == usher.RoomRunning {
		e.Room.EmptyAt = time.Time{}
		if e.Room.Taken == 0 {
			e.Room.Status = usher.RoomReady
		}
		e.Room = m.settleRoom(e.Room)
	}
	return e
}

// unseat ends a participant's stay, which lasted until at, and gives its seat back.
func (m moment) unseat(e store.Entry, status usher.ParticipantStatus, at time.Time) store.Entry {
	seated := e.Participant.Seated()
	p := &e.Participant
	p.Status, p.Hold, p.Token = status, usher.Unheld, usher.Digest{}
	p.HeldUntil, p.LostAt = time.Time{}, time.Time{}
	p.Attachment, p.Node = "", ""
	if seated && e.Room.Status != usher.RoomEnded {
		e.Room.Taken--
		e.Room.EmptyAt = later(e.Room.EmptyAt, at)
		e.Room = m.settleRoom(e.Room)
	}
	return e
}

// expired reports whether the grant that allowed a place has ended.
func (m moment) expired(p usher.Participant) bool {
	return !p.Expires.IsZero() && !m.now.Before(p.Expires)
}

// claim consumes the secret and takes the seat, in one step.
func (m moment) claim(e store.Entry, secret usher.Secret, token usher.Digest) (store.Entry, error) {
	known := e.Participant.Secret.Matches(secret)
	e = m.settle(e)
	p := &e.Participant
	switch {
	case !known || p.Status == usher.ParticipantRemoved || m.expired(*p):
		return e, ErrNoClaim
	case e.Room.Status == usher.RoomEnded:
		return e, ErrEnded
	case p.Status == usher.ParticipantReady:
		if m.now.Before(e.Room.OpensAt) {
			return e, notOpenUntil(e.Room.OpensAt, m.now)
		}
		if e.Room.Full() {
			return e, errFull
		}
		e.Room.Taken++
		e.Room.Status = usher.RoomRunning
		e.Room = m.settleRoom(e.Room)
	case p.Hold == usher.GraceHold:
		// The same client returns; its seat was kept, its earlier token dies.
	default:
		return e, ErrNoClaim
	}
	p.Status, p.Token = usher.ParticipantJoined, token
	p.Hold, p.HeldUntil = usher.LeaseHold, later(p.HeldUntil, m.now.Add(m.rules.Lease))
	return e, nil
}

func notOpenUntil(opens, now time.Time) error {
	err := *errNotOpen
	err.RetryAfter = opens.Sub(now)
	return &err
}

// attach hands the seat to a connection. The newest connection wins: an older
// one of the same participant is no longer its attachment.
func (m moment) attach(e store.Entry, token usher.Secret, attachment, node usher.ID) (store.Entry, error) {
	known := e.Participant.Token.Matches(token)
	e = m.settle(e)
	p := &e.Participant
	switch {
	case !known:
		return e, errToken
	case e.Room.Status == usher.RoomEnded:
		return e, ErrEnded
	case !p.Seated() || m.expired(*p):
		return e, errToken
	}
	// A connection keeps its seat until it ends, and at most for as long as the
	// place is granted.
	p.Hold, p.HeldUntil, p.LostAt = usher.SocketHold, p.Expires, time.Time{}
	p.Attachment, p.Node = attachment, node
	return e, nil
}

// lose keeps the seat of a broken connection for a while. It does no more than
// settle if the participant has another connection by now, or no seat.
func (m moment) lose(e store.Entry, attachment usher.ID) (store.Entry, error) {
	e = m.settle(e)
	p := &e.Participant
	if p.Hold != usher.SocketHold || p.Attachment != attachment {
		return e, nil
	}
	p.Hold, p.LostAt, p.HeldUntil = usher.GraceHold, m.now, m.now.Add(m.rules.Grace)
	p.Attachment, p.Node = "", ""
	return e, nil
}

// leave ends the stay of a participant whose connection said goodbye.
func (m moment) leave(e store.Entry, attachment usher.ID) (store.Entry, error) {
	e = m.settle(e)
	if e.Participant.Hold != usher.SocketHold || e.Participant.Attachment != attachment {
		return e, nil
	}
	return m.unseat(e, usher.ParticipantLeft, m.now), nil
}

// keep holds a seat until a time, without a connection: for the bearer of a
// credential that is used elsewhere. One that is connected here keeps its seat
// by that.
func (m moment) keep(e store.Entry, until time.Time) (store.Entry, error) {
	e = m.settle(e)
	p := &e.Participant
	switch {
	case e.Room.Status == usher.RoomEnded:
		return e, ErrEnded
	case p.Status == usher.ParticipantRemoved:
		return e, errRemoved
	case p.Hold == usher.SocketHold:
		return e, store.ErrUnchanged
	case !p.Seated():
		if m.now.Before(e.Room.OpensAt) {
			return e, notOpenUntil(e.Room.OpensAt, m.now)
		}
		if e.Room.Full() {
			return e, errFull
		}
		e.Room.Taken++
		e.Room.Status = usher.RoomRunning
		e.Room = m.settleRoom(e.Room)
		p.Status = usher.ParticipantJoined
	}
	p.Hold, p.HeldUntil = usher.LeaseHold, later(p.HeldUntil, until)
	p.LostAt = time.Time{}
	return e, nil
}

// yield frees the seat that was kept for a grant by which nobody was let in. One
// that is connected here, or that another grant keeps by now, stays.
func (m moment) yield(e store.Entry, grant usher.ID) (store.Entry, error) {
	e = m.settle(e)
	if e.Participant.Hold == usher.LeaseHold && e.Participant.Grant == grant {
		e.Participant.HeldUntil = m.now
		e = m.undo(e)
	}
	return e, nil
}

// offer makes a place one that can be claimed by the secret that belongs to its
// grant. Who is in the room keeps the secret that it came in by, with which it
// may have to come back; only what it is granted changes.
func (m moment) offer(e store.Entry, place Place, secret func(grant usher.ID) usher.Digest) (store.Entry, error) {
	e = m.settle(e)
	p := &e.Participant
	switch {
	case e.Room.Status == usher.RoomEnded:
		return e, ErrEnded
	case p.Status == usher.ParticipantRemoved:
		return e, errRemoved
	case p.Seated() && p.Secret == secret(p.Grant):
	default:
		p.Grant, p.Secret = place.Grant, secret(place.Grant)
	}
	if p.Status == usher.ParticipantLeft {
		p.Status = usher.ParticipantReady
	}
	p.Role, p.Name, p.Maker = place.Role, place.Name, place.Maker
	p.ProvenAt, p.Expires = stored(place.ProvenAt), stored(place.Expires)
	if p.Hold == usher.SocketHold {
		p.HeldUntil = p.Expires
	}
	return e, nil
}

// remove puts a participant out for good.
func (m moment) remove(e store.Entry, reason string) (store.Entry, error) {
	e = m.settle(e)
	if e.Participant.Status == usher.ParticipantRemoved {
		return e, errRemoved
	}
	e = m.unseat(e, usher.ParticipantRemoved, m.now)
	e.Participant.EndReason = reason
	return e, nil
}

// renew replaces the secret of a participant that is not in the room.
func (m moment) renew(e store.Entry, secret usher.Digest) (store.Entry, error) {
	e = m.settle(e)
	switch {
	case e.Room.Status == usher.RoomEnded:
		return e, ErrEnded
	case e.Participant.Status == usher.ParticipantRemoved:
		return e, errRemoved
	case e.Participant.Status == usher.ParticipantLeft:
		return e, errGone
	case e.Participant.Status == usher.ParticipantJoined:
		return e, errNotReady
	}
	e.Participant.Secret = secret
	return e, nil
}
