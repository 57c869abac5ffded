package access

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/store"
)

// Connection is a transport's end of an attachment. Its methods are called
// from other goroutines, must not block, and may be called before Attach has
// returned and after the attachment has ended.
type Connection interface {
	// Detached says that the attachment has ended and why: the connection must
	// be closed.
	Detached(End)
	// Roster gives the full list of those who are in the room, whenever it changes.
	Roster([]Present)
}

// End is why an attachment ended.
type End struct {
	Why EndReason
	// Message is for the person at the other end.
	Message string
}

// EndReason is a kind of end.
type EndReason string

// The reasons. After each of them but Replaced the participant can't return.
const (
	Removed   EndReason = "removed"
	RoomEnded EndReason = "room_ended"
	// Replaced means that the same participant has a newer connection.
	Replaced EndReason = "replaced"
	// Revoked means that what let the participant in was taken away.
	Revoked EndReason = "revoked"
)

// Present is a participant as others in the room see it.
type Present struct {
	ID usher.ID
	// Who is the key of the participant's identity, which is for nobody to see.
	Who  string
	Name string
	Role usher.Role
	// Guest says that the participant came by an invite: its name proves nothing.
	Guest bool
}

// Attachment is one live connection of one participant.
type Attachment struct {
	access *Access
	id     usher.ID
	key    usher.ParticipantKey
	conn   Connection
	hall   *hall
	once   sync.Once

	// place is the participant as it was when the connection took its seat;
	// nil before.
	place atomic.Pointer[usher.Participant]
	// news is the newest role that the participant was given meanwhile.
	news atomic.Pointer[given]
	// out says that the connection was told to close: it has no grace.
	out atomic.Bool
}

// detach tells the connection to close, once.
func (at *Attachment) detach(end End) {
	if at.out.CompareAndSwap(false, true) {
		at.conn.Detached(end)
	}
}

// farewell bounds how long writing down the end of a connection may take.
const farewell = 10 * time.Second

// Attach hands a claimed seat to a live connection. The connection is
// registered before the store is asked, so that a removal that commits
// meanwhile finds it.
func (a *Access) Attach(ctx context.Context, key usher.ParticipantKey, token usher.Secret, conn Connection) (*Attachment, error) {
	at := &Attachment{access: a, id: a.config.IDs.New(), key: key, conn: conn}
	a.enter(at)
	e, err := a.rooms.Attach(ctx, key, token, at.id)
	if _, refused := errors.AsType[*usher.Error](err); refused && !errors.Is(err, store.ErrUnavailable) {
		a.exit(at)
		return nil, err
	}
	a.metrics.attachments.Inc()
	if err != nil {
		// It may have been written all the same. The seat must not be held by a
		// connection that never lived.
		at.Lose()
		return nil, err
	}
	at.place.Store(&e.Participant)
	at.takeNews()
	// A revocation either finds the connection or is found here.
	if t, ok := a.taken.fromParticipant(e.Participant, a.now()); ok {
		at.detach(End{Revoked, reasonOf(t)})
		at.Leave()
		return nil, errTokenRevoked
	}
	a.tell(ctx, usher.Event{Type: usher.Attached, App: key.App, Who: e.Participant.Identity, Name: e.Participant.Name, Room: key.Room, Participant: key.ID})
	a.announce(roomKey(key), notice{Kind: participantAttached, Participant: key.ID, Attachment: at.id})
	return at, nil
}

// Leave ends the attachment of a connection that was closed on purpose: the
// participant has left.
func (at *Attachment) Leave() { at.end(at.access.rooms.Leave) }

// LeaveNow is Leave, but the participant has left when it returns.
func (at *Attachment) LeaveNow() {
	at.once.Do(func() {
		at.unregister()
		at.part(at.access.rooms.Leave)
	})
}

// Lose ends the attachment of a connection that broke: the participant has the
// grace to come back, unless it was told to go.
func (at *Attachment) Lose() {
	if at.out.Load() {
		at.Leave()
		return
	}
	at.end(at.access.rooms.Lose)
}

var errTokenRevoked = usher.Errorf(usher.Unauthenticated, "token_invalid", "The token does not open a connection for this participant, or no longer does.")

// end writes down, in the background, that the connection is no more. The
// first end counts.
func (at *Attachment) end(write leaving) {
	at.once.Do(func() {
		at.unregister()
		at.access.background.Go(func() { at.part(write) })
	})
}

type leaving func(context.Context, usher.ParticipantKey, usher.ID) (entry, error)

func (at *Attachment) unregister() {
	at.access.exit(at)
	at.access.metrics.attachments.Dec()
}

// part writes down that the connection is no more, and reports whether that is
// done with; if it is not, it is tried again.
func (at *Attachment) part(write leaving) bool {
	a := at.access
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	e, err := write(ctx, at.key, at.id)
	if err != nil {
		// It is no use to try again what was refused.
		if _, refused := errors.AsType[*usher.Error](err); refused && !store.Away(err) || errors.Is(err, store.ErrClosed) {
			a.config.Logger.Error("the end of a connection could not be written down", "participant", at.key.ID, "error", err)
			return true
		}
		a.late.add(a.config.Logger, late{at, write}, err)
		return false
	}
	a.tell(ctx, usher.Event{Type: usher.Detached, App: at.key.App, Who: e.Participant.Identity, Name: e.Participant.Name,
		Room: at.key.Room, Participant: at.key.ID, Reason: string(e.Participant.Status)})
	a.announce(roomKey(at.key), notice{Kind: rosterChanged})
	return true
}

func roomKey(key usher.ParticipantKey) usher.RoomKey {
	return usher.RoomKey{App: key.App, ID: key.Room}
}

// enter registers an attachment with its room's hall, which the first one opens.
func (a *Access) enter(at *Attachment) {
	key := roomKey(at.key)
	a.mu.Lock()
	defer a.mu.Unlock()
	at.hall = a.hallOf(key)
	at.hall.add(at)
}

// exit takes an attachment out of its hall, which the last one closes.
func (a *Access) exit(at *Attachment) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at.hall.drop(at)
	a.closeEmpty(at.hall)
}
