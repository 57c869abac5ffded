package usher

import "time"

// EventType says what an [Event] tells of.
type EventType string

// The types of event.
const (
	Decided  EventType = "decided"  // the policy granted or refused something
	Claimed  EventType = "claimed"  // a participant's secret was consumed
	Attached EventType = "attached" // a participant's connection was accepted
	Detached EventType = "detached" // a participant's connection ended
	Ended    EventType = "ended"    // a room ended
	Taken    EventType = "taken"    // something was taken away: see Reason
	Redeemed EventType = "redeemed" // an invite let a guest in
	Ejected  EventType = "ejected"  // a foreign platform put somebody out of a room, or closed it
	// NotEjected: a foreign platform did not, and is not asked again.
	NotEjected EventType = "not_ejected"
	Listed     EventType = "listed"   // a user made another a contact: see Reason
	Unlisted   EventType = "unlisted" // a user's contact is one no more: see Reason
	Sought     EventType = "sought"   // a user looked for another who is not there
	Erased     EventType = "erased"   // what is kept of a user was deleted: see Reason
	Called     EventType = "called"   // a user called another: see Reason
	Answered   EventType = "answered" // a user accepted the call of another: see Reason
	HungUp     EventType = "hung_up"  // a call ended: see Reason
)

// EventTypes returns all types of event.
func EventTypes() []EventType {
	return []EventType{
		Decided, Claimed, Attached, Detached, Ended, Taken, Redeemed, Listed, Unlisted, Sought, Erased,
		Called, Answered, HungUp, Ejected, NotEjected,
	}
}

// Event is one entry of the record: what happened, and who made it happen.
type Event struct {
	// ID is also how a caller refers to a decision that it was told of.
	ID   ID        `json:"id"`
	Type EventType `json:"type"`
	App  string    `json:"app"`
	// Who is the key of the identity, and Name what people call it.
	Who  string `json:"who,omitempty"`
	Name string `json:"name,omitempty"`
	// Actor is the key of the client that acted for the identity.
	Actor       string `json:"actor,omitempty"`
	Room        ID     `json:"room,omitempty"`
	Participant ID     `json:"participant,omitempty"`
	// Request is the id of the HTTP request, as the log has it.
	Request string `json:"request,omitempty"`
	// Reason is for people.
	Reason   string    `json:"reason,omitempty"`
	Decision *Decision `json:"decision,omitempty"`
}

// Time is when it happened, by the clock of the node that wrote it down.
func (e Event) Time() time.Time { return e.ID.Time() }

// Decision is the policy's answer to a request, with what it was made from.
type Decision struct {
	Action  string `json:"action"`
	Allowed bool   `json:"allowed"`
	// Rule is the rule that decided.
	Rule string `json:"rule"`
	// Code is the stable code of a refusal.
	Code string `json:"code,omitempty"`
	// Role and Permissions are what was granted.
	Role        Role        `json:"role,omitempty"`
	Permissions Permissions `json:"permissions,omitempty"`
	NotBefore   time.Time   `json:"not_before,omitzero"`
	Expires     time.Time   `json:"expires_at,omitzero"`
	// Clamped names what was asked for and granted only in part.
	Clamped []string `json:"clamped,omitempty"`
	// Proof is how the caller was known: the issuer and the key that verified
	// its token, never the token.
	Proof string `json:"proof,omitempty"`
}
