package usher

import "time"

// TakingKind is a way of taking something away.
type TakingKind string

// The kinds of taking.
const (
	// Revocation voids what was issued: to an identity, by a client, in a room,
	// or by one grant.
	Revocation TakingKind = "revocation"
	// Ban keeps an identity out of a room until it ends or is lifted.
	Ban TakingKind = "ban"
	// Unban lifts a ban.
	Unban TakingKind = "unban"
	// Change says that an identity may do something else in a room than before:
	// connections that it made earlier must be made anew.
	Change TakingKind = "change"
)

// Taking is one entry of the sequence in which everything that was taken away
// is written down. Every node follows the sequence, so that what it says holds
// everywhere; the later entry counts.
type Taking struct {
	// Seq is given by the store, and grows in the order of commits.
	Seq  int64
	ID   ID
	App  string
	Kind TakingKind
	// Target is what is taken from. A revocation has exactly one of its fields,
	// all else has Room and Identity.
	Target Target
	// Before voids what was issued earlier. Forever voids also what would be
	// issued later.
	Before  time.Time
	Forever bool
	// Until is when a ban ends by itself; zero is never.
	Until time.Time
	// By is the key of whoever took it away, and Reason why.
	By     string
	Reason string
}

// At is when it was taken away.
func (t Taking) At() time.Time { return t.ID.Time() }

// Target names what something is taken from.
type Target struct {
	Grant    ID
	Identity string // an identity's key
	Client   ID
	Room     ID
}
