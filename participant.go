package usher

import "time"

// ParticipantStatus is where a participant is in its life.
type ParticipantStatus string

// The statuses of a participant.
const (
	ParticipantReady   ParticipantStatus = "ready"   // may claim its place
	ParticipantJoined  ParticipantStatus = "joined"  // holds its seat
	ParticipantLeft    ParticipantStatus = "left"    // gone by itself; its secret is used up
	ParticipantRemoved ParticipantStatus = "removed" // put out; it can't come back
)

// Hold is by what a joined participant keeps its seat.
type Hold string

// The holds.
const (
	// Unheld is every participant that is not joined.
	Unheld Hold = ""
	// LeaseHold keeps the seat between the claim and the connection, until HeldUntil.
	LeaseHold Hold = "lease"
	// SocketHold keeps the seat for as long as the attachment lives.
	SocketHold Hold = "socket"
	// GraceHold keeps the seat of a lost connection for the same participant,
	// until HeldUntil.
	GraceHold Hold = "grace"
)

// ParticipantKey finds a participant in a store.
type ParticipantKey struct {
	App  string
	Room ID
	ID   ID
}

// Participant is one identity's place in one room.
type Participant struct {
	App  string
	Room ID
	// ID also says when the participant was made: see [Participant.CreatedAt].
	ID     ID
	Status ParticipantStatus
	Role   Role
	// Name is shown to others.
	Name string
	// Identity is the key of who the place is for, if that is known.
	Identity string
	// Maker is the key of whoever made the participant, and ProvenAt when that
	// was proven; zero is unknown, which counts as long ago. A place is void
	// with the proof that it was got by.
	Maker    string
	ProvenAt time.Time
	// Grant is the id of the decision that allowed the place, and Expires when
	// it ends: it can't be claimed or connected to any more. Zero is never.
	Grant   ID
	Expires time.Time
	// Secret is the digest of the one-time secret that claims the place.
	Secret Digest
	// Token is the digest of the token that the last claim was answered with;
	// it opens connections for as long as the participant is joined.
	Token Digest
	// Hold is by what the seat is kept, and HeldUntil how long without more
	// news: for a SocketHold until the grant ends. The zero time is without end.
	Hold      Hold
	HeldUntil time.Time
	// Attachment is the live connection of a SocketHold, and Node the epoch of
	// the process that serves it.
	Attachment ID
	Node       ID
	// LostAt is when the connection of a GraceHold broke.
	LostAt    time.Time
	UpdatedAt time.Time
	// EndReason says why the participant was removed, for people.
	EndReason string
	Version   int64
}

// Key returns the participant's key.
func (p Participant) Key() ParticipantKey { return ParticipantKey{p.App, p.Room, p.ID} }

// RoomKey returns the key of the participant's room.
func (p Participant) RoomKey() RoomKey { return RoomKey{p.App, p.Room} }

// CreatedAt is when the participant was made.
func (p Participant) CreatedAt() time.Time { return p.ID.Time() }

// Seated reports whether the participant holds a seat.
func (p Participant) Seated() bool { return p.Status == ParticipantJoined }
