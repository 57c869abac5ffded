package usher

import (
	"slices"
	"strings"
	"time"
)

// IdentityKind is how a caller is known.
type IdentityKind string

// The kinds of identity.
const (
	// Nobody presented nothing. Only an open dialect serves it.
	Nobody IdentityKind = ""
	// UserIdentity is a person, proven by a token of an OIDC issuer, by the
	// app's own session, or in development by name.
	UserIdentity IdentityKind = "user"
	// GuestIdentity was let in by an invite and is marked as guest by us.
	GuestIdentity IdentityKind = "guest"
	// PublicIdentity is anyone at all, served by a dialect that is open to the
	// public.
	PublicIdentity IdentityKind = "public"
	// ClientIdentity is a registered back end.
	ClientIdentity IdentityKind = "client"
	// LocalIdentity is an operator on the machine itself, known by reaching the
	// control socket in the data folder.
	LocalIdentity IdentityKind = "local"
)

// Identity is who is calling, proven. The zero Identity is nobody.
type Identity struct {
	App  string
	Kind IdentityKind
	// Issuer tells the subjects of different issuers apart; empty for clients.
	Issuer string
	// Subject is stable: the issuer's sub, or a client's id.
	Subject string
	// Name is for people to read, and proves nothing.
	Name string
	// Email is set only when it is verified.
	Email string
	// Groups are those that the issuer says the user is in.
	Groups []string
	// Scopes are what a client may ask for; a user has none.
	Scopes Scopes
	// Actor is the key of the client that acts for this identity, if one does.
	Actor string
	// For is the key of the identity on whose call we call ourselves.
	For string
	// Inviter is the key of whoever made the invite that a guest came by.
	Inviter string
	// IssuedAt is when what proves the identity was issued; zero is unknown,
	// which counts as long ago.
	IssuedAt time.Time
	// Expires is when the proof ends; nothing is granted beyond it. Zero is never.
	Expires time.Time
	// Proof says how the identity was proven, for the record: an issuer and a
	// key id, never a token.
	Proof string
	// Room and Role bind a guest to the room and role of its invite, and Role
	// the public to what a dialect gives it.
	Room ID
	Role Role
	// Operator may see and end everything.
	Operator bool
}

// Known reports whether anybody is calling at all.
func (id Identity) Known() bool { return id.Kind != Nobody }

// Key names the identity across issuers, as owners and members are stored:
// "client:<id>" or "user:<issuer>#<subject>".
func (id Identity) Key() string {
	switch {
	case !id.Known():
		return ""
	case id.Issuer == "":
		return string(id.Kind) + ":" + id.Subject
	default:
		return string(id.Kind) + ":" + id.Issuer + "#" + id.Subject
	}
}

// maxGroups bounds the groups of a user that count: a store is asked for all of
// them at once.
const maxGroups = 199

// Keys returns every key by which the identity can be a member or operator:
// its own, and one for each of its groups, "group:<issuer>#<name>".
func (id Identity) Keys() []string {
	keys := []string{id.Key()}
	for _, group := range id.Groups[:min(len(id.Groups), maxGroups)] {
		keys = append(keys, "group:"+id.Issuer+"#"+group)
	}
	return keys
}

// Scope is one thing that a client may ask of us.
type Scope string

// The scopes. The first six are those of VPaaS (protocols/pexip.md, 1.1).
const (
	MeetingCreate     Scope = "meeting:create"
	MeetingRead       Scope = "meeting:read"
	MeetingWrite      Scope = "meeting:write"
	ParticipantCreate Scope = "participant:create"
	ParticipantRead   Scope = "participant:read"
	ParticipantWrite  Scope = "participant:write"
)

// SubjectAct lets a back end act for a subject: see the header Usher-Act-As.
const SubjectAct Scope = "subject:act"

// RoomServiceProvision lets a back end make sessions for its own users, in rooms
// that come into being with them, as Room Service's provisioning does.
const RoomServiceProvision Scope = "roomservice:provision"

// DefaultScopes are those of a client that is registered without any.
var DefaultScopes = Scopes{MeetingCreate, MeetingRead, MeetingWrite, ParticipantCreate, ParticipantRead, ParticipantWrite}

// AllScopes lists every scope.
var AllScopes = append(DefaultScopes[:len(DefaultScopes):len(DefaultScopes)], SubjectAct, RoomServiceProvision)

// Scopes is a set of scopes.
type Scopes []Scope

// ParseScopes reads a space-separated list, as OAuth 2 writes it (RFC 6749,
// section 3.3). It keeps unknown scopes, which a caller holds against what is
// allowed.
func ParseScopes(s string) Scopes {
	var scopes Scopes
	for _, f := range strings.Fields(s) {
		if !slices.Contains(scopes, Scope(f)) {
			scopes = append(scopes, Scope(f))
		}
	}
	return scopes
}

// Has reports whether s is in the set.
func (ss Scopes) Has(s Scope) bool { return slices.Contains(ss, s) }

// And returns what is in both sets, in the order of ss.
func (ss Scopes) And(other Scopes) Scopes {
	var both Scopes
	for _, s := range ss {
		if other.Has(s) {
			both = append(both, s)
		}
	}
	return both
}

// String joins the scopes with spaces.
func (ss Scopes) String() string {
	names := make([]string, len(ss))
	for i, s := range ss {
		names[i] = string(s)
	}
	return strings.Join(names, " ")
}
