package usher

import (
	"slices"
	"time"
)

// CallStatus is where a call is in its life. It moves forward only.
type CallStatus string

// The statuses of a call.
const (
	CallInvited   CallStatus = "invited"   // no device of the callee has said yet that it rings
	CallRinging   CallStatus = "ringing"   // at least one does
	CallAccepted  CallStatus = "accepted"  // two devices have it; the media is not there yet
	CallConnected CallStatus = "connected" // a device has said that it is
	CallEnded     CallStatus = "ended"
)

// CallReason says why a call ended. A client may give one of its own as well:
// see [CallReason.Valid].
type CallReason string

// The reasons that a call ends for. The first seven are Matrix's.
const (
	UserHangup     CallReason = "user_hangup"
	UserBusy       CallReason = "user_busy"
	MediaFailed    CallReason = "user_media_failed"
	InviteTimeout  CallReason = "invite_timeout" // nobody accepted in time
	ICEFailed      CallReason = "ice_failed"
	ICETimeout     CallReason = "ice_timeout" // accepted, but the media did not come in time
	UnknownError   CallReason = "unknown_error"
	CallRejected   CallReason = "rejected"
	CallCancelled  CallReason = "cancelled"
	ConnectionLost CallReason = "connection_lost" // a device did not come back in time
	CallReplaced   CallReason = "replaced"        // one of the two called anew
	CallTooLong    CallReason = "too_long"
)

// Valid reports whether the reason has the form of one: at most 64 ASCII
// letters, digits, underscores and hyphens.
func (r CallReason) Valid() bool {
	for i := range len(r) {
		c := r[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return r != "" && len(r) <= 64
}

// Pair is two different people, whoever of them calls. Its zero value is nobody.
type Pair struct {
	Low, High string // the keys of the two, in the order of their bytes
}

// PairOf returns the pair of two people's keys.
func PairOf(a, b string) Pair { return Pair{min(a, b), max(a, b)} }

// Has reports whether somebody is one of the two.
func (p Pair) Has(user string) bool { return user == p.Low || user == p.High }

// CallKey finds a call in a store. An id is the clients' and tells the calls of
// one pair apart, so that nobody can use up those of others.
type CallKey struct {
	App  string
	ID   string
	Pair Pair
}

// CallParty is one of the two in a call.
type CallParty struct {
	// User is the key of the person: see [Identity.Key].
	User string
	// Device is the one device of the person that has the call: for a callee
	// empty until it is accepted.
	Device string
	// Connection is the device's newest connection, and Node the epoch of the
	// process that serves it; both are empty while it has none.
	Connection, Node ID
	// LostAt is since when it has none; zero if it has one.
	LostAt time.Time
}

// Lost reports whether the device of the party has lost its connection.
func (p CallParty) Lost() bool { return !p.LostAt.IsZero() }

// Call is a ring between two people, and what came of it.
type Call struct {
	App            string
	ID             string
	Caller, Callee CallParty
	Status         CallStatus
	// Merged is the id of the callee's own invite, if the two called each other
	// and it became this call.
	Merged string
	// Request says that the caller is a stranger to the callee.
	Request bool
	// Payload is what the caller's client sent with the invite, byte for byte,
	// for as long as the call may ring.
	Payload string
	// Ignored are the callee's devices that do not ring any more.
	Ignored []string
	// InvitedAt is zero for a call that was ended before its invite came.
	InvitedAt, AcceptedAt, ConnectedAt, EndedAt time.Time
	// EndedBy is the key of who ended the call; empty if nobody did.
	EndedBy string
	Reason  CallReason
	// Missed is the id of the call in the list of those that its callee missed,
	// and also says when; empty if it is not on it.
	Missed ID
	// Due is when something happens to the call by itself. That is never zero:
	// in the end, it is forgotten.
	Due       time.Time
	UpdatedAt time.Time
	Version   int64
}

// Pair returns the two people of the call.
func (c Call) Pair() Pair { return PairOf(c.Caller.User, c.Callee.User) }

// Key returns the call's key.
func (c Call) Key() CallKey { return CallKey{c.App, c.ID, c.Pair()} }

// Live reports whether the call has not ended.
func (c Call) Live() bool { return c.Status != CallEnded }

// Ringing reports whether the call waits to be accepted.
func (c Call) Ringing() bool { return c.Status == CallInvited || c.Status == CallRinging }

// Answered reports whether the two are in the call now: they are busy.
func (c Call) Answered() bool { return c.Status == CallAccepted || c.Status == CallConnected }

// Peer returns the key of the other of the two.
func (c Call) Peer(user string) string {
	if user == c.Caller.User {
		return c.Callee.User
	}
	return c.Caller.User
}

// Party returns one of the two by the key of the person, or nil.
func (c *Call) Party(user string) *CallParty {
	switch user {
	case c.Caller.User:
		return &c.Caller
	case c.Callee.User:
		return &c.Callee
	}
	return nil
}

// RingsAt reports whether the call rings at a device of somebody.
func (c Call) RingsAt(user, device string) bool {
	return c.Ringing() && user == c.Callee.User && !slices.Contains(c.Ignored, device)
}
