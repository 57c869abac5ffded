package usher

import "time"

// Session is what an opaque token stands for: one identity's access to the
// documents of some rooms, as a Room Service token is.
type Session struct {
	// Token is the digest of what the bearer presents, by which a store finds
	// the session.
	Token Digest
	// ID is what the session is called where its token can't be: in the record,
	// and by whoever revokes it. It also says when the session was made.
	ID  ID
	App string
	// Who is whom the session is for, as that was proven. It is decided on anew
	// when the session is renewed.
	Who Identity
	// User is what the others in the rooms know it by, whatever it looks like.
	User string
	// Passes are what it may do, room by room.
	Passes []Pass
	// Expires is when the session ends, unless it is renewed before.
	Expires   time.Time
	UpdatedAt time.Time
	Version   int64
}

// Pass is the part of a [Session] that is about one room.
type Pass struct {
	Room ID
	// Grant is the id of the decision that allowed it.
	Grant ID
	// Permissions are those that were granted, and Most, if there are any, those
	// that they are cut down to for now: see [Pass.May].
	Permissions Permissions
	Most        Permissions
}

// May returns the permissions that are in force.
func (p Pass) May() Permissions {
	if len(p.Most) == 0 {
		return p.Permissions
	}
	return p.Permissions.And(p.Most)
}

// CreatedAt is when the session was made.
func (s Session) CreatedAt() time.Time { return s.ID.Time() }

// Expired reports whether the session's time is over.
func (s Session) Expired(now time.Time) bool { return !now.Before(s.Expires) }

// Pass returns what the session may do in a room, and whether it is for that
// room at all.
func (s Session) Pass(room ID) (Pass, bool) {
	for _, p := range s.Passes {
		if p.Room == room {
			return p, true
		}
	}
	return Pass{}, false
}
