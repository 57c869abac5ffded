package usher

import "time"

// Admission says who may enter a room beside its owner and its members.
type Admission string

// The admissions.
const (
	AdmitOpen    Admission = "open"    // every known user
	AdmitMembers Admission = "members" // nobody else
	AdmitInvite  Admission = "invite"  // whoever has an invite
)

// Member is an identity with a standing role in a room.
type Member struct {
	App  string
	Room ID
	// Identity is an identity's key, or that of a group: see [Identity.Keys].
	Identity string
	Role     Role
	// Name is what people call the member; no guest can take it.
	Name      string
	AddedBy   string
	UpdatedAt time.Time
}

// Invite is a code that lets guests into one room.
type Invite struct {
	App  string
	Room ID
	// ID also says when the invite was made.
	ID ID
	// Code is the digest of what the guest presents.
	Code Digest
	Role Role
	// Uses counts redemptions, of which there may be MaxUses; 0 is no limit.
	Uses, MaxUses int
	Expires       time.Time
	By            string
	RevokedAt     time.Time
	UpdatedAt     time.Time
	Version       int64
}

// CreatedAt is when the invite was made.
func (i Invite) CreatedAt() time.Time { return i.ID.Time() }
