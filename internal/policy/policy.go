// Package policy decides, purely, whether a caller is allowed to do what it
// asks for. It reads nothing but its arguments, so that any decision can be
// made again and explained.
package policy

import (
	"usher"
)

// Action is what a caller wants to do.
type Action string

// The actions.
const (
	CreateRoom        Action = "room.create"
	ReadRoom          Action = "room.read"
	ChangeRoom        Action = "room.change"
	EndRoom           Action = "room.end"
	AddParticipant    Action = "participant.add"
	ReadParticipant   Action = "participant.read"
	RemoveParticipant Action = "participant.remove"
	ManageClients     Action = "clients.manage"
	OpenMeeting       Action = "meeting.open"
	EnterMeeting      Action = "meeting.enter"
)

// Request is a question to the policy.
type Request struct {
	Identity usher.Identity
	Action   Action
	// Room is what the action is about; nil where there is no room yet.
	Room *usher.Room
}

// Verdict is the answer, and the rule that gave it.
type Verdict struct {
	Allowed bool
	Rule    string
	// Err is what a refused caller is told.
	Err error
}

// Decide answers a request. What no rule allows is refused.
func Decide(req Request) Verdict {
	switch {
	case !req.Identity.Known():
		return refuse("nobody", usher.Errorf(usher.Unauthenticated, "credentials_required", "This call needs to know who is calling."))
	case req.Identity.Operator:
		return Verdict{Allowed: true, Rule: "operator"}
	case req.Action == ManageClients:
		return refuse("operators only", usher.Errorf(usher.Forbidden, "operators_only", "Only operators may call this."))
	case req.Room == nil:
		return Verdict{Allowed: true, Rule: "known caller"}
	case req.Room.Owner == req.Identity.Key():
		return Verdict{Allowed: true, Rule: "owner"}
	default:
		// Whether the room exists is nobody's business but its owner's.
		return refuse("not the owner", usher.Errorf(usher.NotFound, "room_not_found", "There is no such room."))
	}
}

func refuse(rule string, err error) Verdict { return Verdict{Rule: rule, Err: err} }
