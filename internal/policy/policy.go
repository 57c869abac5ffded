// Package policy decides whether a caller is allowed to do what it asks for,
// and what it is granted. It is pure: it reads nothing but its arguments, so
// that any decision can be made again, and explained.
package policy

import (
	"slices"
	"time"

	"usher"
)

// Action is what a caller wants to do.
type Action string

// The actions.
const (
	CreateRoom        Action = "room.create"
	ListRooms         Action = "room.list"
	ReadRoom          Action = "room.read"
	ChangeRoom        Action = "room.change"
	EndRoom           Action = "room.end"
	ManageRoom        Action = "room.manage" // members, invites, bans
	EnterRoom         Action = "room.enter"  // for oneself
	AddParticipant    Action = "participant.add"
	ReadParticipant   Action = "participant.read"
	RemoveParticipant Action = "participant.remove"
	OpenMeeting       Action = "meeting.open"
	EnterMeeting      Action = "meeting.enter"
	Operate           Action = "operate"      // clients, keys, revocations
	Authenticate      Action = "authenticate" // only ever refused, for what was revoked
	ReadRecord        Action = "record.read"  // events and decisions
	Watch             Action = "server.watch" // figures, health, configuration
	Inspect           Action = "token.inspect"
	UseRelay          Action = "relay.use"      // of TURN
	ReadUser          Action = "user.read"      // oneself
	EraseUser         Action = "user.erase"     // oneself
	ListContacts      Action = "contact.list"   // one's own
	AddContact        Action = "contact.add"    // to one's own
	RemoveContact     Action = "contact.remove" // from one's own
	Signal            Action = "signal"         // with others, over a socket
	PlaceCall         Action = "call.place"
	ReadCalls         Action = "call.read"        // those that oneself has missed
	Reach             Action = "connection.reach" // of somebody else, by its handle
)

// Request is a question to the policy.
type Request struct {
	Identity usher.Identity
	Action   Action
	// Room is what the action is about; nil where there is no room yet.
	Room *usher.Room
	// Members are those of the identity's keys that are members of the room.
	Members []usher.Member
	// Banned says that the identity is banned from the room.
	Banned bool
	// Role and Lifetime are what the caller asks for; zero is what is usual.
	Role     usher.Role
	Lifetime time.Duration
	// Permissions, if any are named, are all that is asked for of the role's.
	Permissions usher.Permissions
}

// Verdict is the answer.
type Verdict struct {
	usher.Decision
	// Err is what a refused caller is told; nil if it is allowed.
	Err *usher.Error
}

// Policy is a configuration, ready to decide.
type Policy struct {
	config Config
	roles  map[usher.Role]usher.Permissions
}

// New returns the policy of a configuration that Validate found sound.
func New(config Config) *Policy {
	p := &Policy{config: config, roles: usher.BuiltinRoles()}
	for name, names := range config.Roles {
		permissions, err := usher.ParsePermissions(names)
		if err != nil {
			panic(err) // Validate was not asked
		}
		p.roles[usher.Role(name)] = permissions
	}
	return p
}

// Permissions returns what a role may do, and whether there is such a role.
func (p *Policy) Permissions(role usher.Role) (usher.Permissions, bool) {
	permissions, known := p.roles[role]
	return permissions, known
}

// Decide answers a request. What no rule allows is refused.
func (p *Policy) Decide(req Request, now time.Time) Verdict {
	standing, refusal := p.standing(req)
	v := Verdict{Decision: usher.Decision{Action: string(req.Action), Rule: standing.rule}, Err: refusal}
	v.Proof = req.Identity.Proof
	if v.Err == nil && req.Action == ManageRoom {
		v.Err = p.giving(req.Role, standing)
	}
	if v.Err == nil && grants(req.Action) {
		v.Err = p.grant(&v.Decision, req, standing, now)
	}
	v.Allowed = v.Err == nil
	if v.Err != nil {
		v.Code = v.Err.Code
	}
	return v
}

// giving refuses to let a role be given, by a membership or an invite, that may
// do more than the giver: nobody gets more by way of somebody else.
func (p *Policy) giving(role usher.Role, s standing) *usher.Error {
	if role == "" || s.most == "" || p.roles[role].Within(p.roles[s.most]) {
		return nil
	}
	return usher.Errorf(usher.Forbidden, "role_exceeds", "The role %s may do more than you may in this room; %s is the most that you can give.", role, s.most)
}

// grants reports whether the action makes a place in a room, or its equal.
func grants(action Action) bool {
	return action == EnterRoom || action == AddParticipant || action == EnterMeeting || action == UseRelay
}

// personal reports whether the action is about the caller as a person, which
// back ends and operators on the machine are not.
func personal(action Action) bool {
	switch action {
	case ReadUser, EraseUser, ListContacts, AddContact, RemoveContact, Signal, PlaceCall, ReadCalls:
		return true
	}
	return false
}

// standing is what a caller is to a room, by the first rule that knows it, and
// the most that it can be granted there.
type standing struct {
	rule string
	// most is the role beyond which nothing is granted, and usual the role of
	// who asks for none.
	most, usual usher.Role
}

// What refused callers are told.
var (
	errNobody   = usher.Errorf(usher.Unauthenticated, "credentials_required", "This call needs to know who is calling.")
	errOperator = usher.Errorf(usher.Forbidden, "operators_only", "Only operators may do this.")
	errBanned   = usher.Errorf(usher.Forbidden, "banned", "You are banned from this room.")
	errMember   = usher.Errorf(usher.Forbidden, "not_member", "Only members may enter this room; ask one of its hosts to add you.")
	errInvited  = usher.Errorf(usher.Forbidden, "invite_required", "This room is entered with an invite; ask one of its hosts for one.")
	errHost     = usher.Errorf(usher.Forbidden, "host_only", "Only the room's owner and its hosts may do this.")
	errKind     = usher.Errorf(usher.Forbidden, "not_allowed", "Guests and unknown callers may not do this.")
	errUsers    = usher.Errorf(usher.Forbidden, "users_only", "Only users, whom an issuer vouches for, may do this: sign in as one.")
	errNoRoom   = usher.Errorf(usher.NotFound, "room_not_found", "There is no such room.")
)

// standing finds the rule for a request, or why there is none.
func (p *Policy) standing(req Request) (standing, *usher.Error) {
	id := req.Identity
	switch {
	case !id.Known():
		return standing{rule: "nobody"}, errNobody
	case personal(req.Action) && id.Kind != usher.UserIdentity && !(req.Action == Signal && id.Kind == usher.GuestIdentity):
		return standing{rule: "users only"}, errUsers
	case id.Kind == usher.LocalIdentity:
		return standing{"local operator", usher.Host, usher.Speaker}, nil
	case req.Banned && (grants(req.Action) || !id.Operator):
		return standing{rule: "ban"}, errBanned
	case id.Operator && !grants(req.Action):
		// An operator sees and ends everything, but enters a room as anybody.
		return standing{rule: "operator"}, nil
	case req.Action == Operate || req.Action == ReadRecord || req.Action == Watch:
		return standing{rule: "operators only"}, errOperator
	case req.Room == nil:
		return p.withoutRoom(req)
	default:
		return p.inRoom(req)
	}
}

// withoutRoom decides what is not about one room of ours.
func (p *Policy) withoutRoom(req Request) (standing, *usher.Error) {
	if req.Action == Reach && req.Identity.Kind != usher.ClientIdentity {
		return standing{rule: "no rule"}, errKind
	}
	switch req.Identity.Kind {
	case usher.UserIdentity, usher.ClientIdentity:
		return standing{"known caller", usher.Speaker, usher.Speaker}, nil
	case usher.GuestIdentity:
		if req.Action == UseRelay || req.Action == Signal {
			return standing{"invite", req.Identity.Role, req.Identity.Role}, nil
		}
	case usher.PublicIdentity:
		if req.Action == OpenMeeting || req.Action == EnterMeeting {
			return standing{"public dialect", req.Identity.Role, req.Identity.Role}, nil
		}
	}
	return standing{rule: "no rule"}, errKind
}

// inRoom decides what is about a room: by ownership, then membership, then
// admission. The public is nobody's owner or member.
func (p *Policy) inRoom(req Request) (standing, *usher.Error) {
	id, room := req.Identity, req.Room
	if id.Kind == usher.PublicIdentity {
		if req.Action == EnterRoom && p.admission(room) == usher.AdmitOpen {
			return standing{"public dialect", id.Role, id.Role}, nil
		}
		return standing{rule: "stranger"}, errNoRoom
	}
	owns := room.Owner == id.Key()
	if owns && req.Action == EnterRoom {
		return standing{"owner", usher.Host, usher.Host}, nil
	}
	if owns || id.Actor != "" && room.Owner == id.Actor {
		return standing{"owner", usher.Host, usher.Speaker}, nil
	}
	if id.Kind == usher.GuestIdentity {
		if id.Room != room.ID || !guestMay(req.Action) {
			return standing{rule: "guest of another room"}, errNoRoom
		}
		return standing{"invite", id.Role, id.Role}, nil
	}
	if member, ok := p.strongest(req.Members); ok {
		s := standing{"member " + member.Identity, member.Role, member.Role}
		if membersMay(req.Action) || p.roles[member.Role].Has(usher.Moderate) {
			return s, nil
		}
		return s, errHost
	}
	if req.Action != EnterRoom || id.Kind != usher.UserIdentity {
		// Whether the room exists is nobody's business but its people's.
		return standing{rule: "stranger"}, errNoRoom
	}
	switch p.admission(room) {
	case usher.AdmitOpen:
		return standing{"admission open", p.config.OpenRole, p.config.OpenRole}, nil
	case usher.AdmitInvite:
		return standing{rule: "admission invite"}, errInvited
	default:
		return standing{rule: "admission members"}, errMember
	}
}

func guestMay(action Action) bool   { return action == EnterRoom || action == ReadRoom }
func membersMay(action Action) bool { return guestMay(action) || action == ReadParticipant }

func (p *Policy) admission(room *usher.Room) usher.Admission {
	if room.Admission == "" {
		return p.config.Admission
	}
	return room.Admission
}

// strongest returns the membership that allows the most: someone can be a
// member by name and by group.
func (p *Policy) strongest(members []usher.Member) (usher.Member, bool) {
	if len(members) == 0 {
		return usher.Member{}, false
	}
	return slices.MaxFunc(members, func(a, b usher.Member) int {
		return len(p.roles[a.Role]) - len(p.roles[b.Role])
	}), true
}
