package usher

import "time"

// StayKey finds a stay in a store.
type StayKey struct {
	App      string
	Room     ID
	Platform string
	// Identity is the key of who asked for the credential, and Subject whom the
	// platform knows its bearer as. Both are empty for the room itself.
	Identity string
	Subject  string
}

// Stay is what a room of ours has on a foreign platform and may have to be
// taken back: somebody who was given a credential for it, or, without a
// subject, the room itself.
type Stay struct {
	App      string
	Room     ID
	Platform string
	Identity string
	Subject  string

	// Maker, ProvenAt and Grant are those of the last credential, as a
	// participant has them; Participant is the place that holds its seat, if one
	// does.
	Maker       string
	ProvenAt    time.Time
	Grant       ID
	Participant ID
	// Expires is when the last of the credentials ends; zero for a room.
	Expires time.Time

	// Over is since when the stay must end on the platform, and Reason why; the
	// zero time is that it need not.
	Over   time.Time
	Reason string
	// Due is when the platform is asked next; zero is never. Whoever asks moves
	// it on before, so that no other node asks meanwhile.
	Due time.Time
	// Attempts is how often the platform was asked in vain, and Failure what
	// came of it last.
	Attempts int
	Failure  string
	// Done is when the platform first did as it was asked. It is asked again
	// while the credential is still good, by which its bearer can come back.
	Done time.Time
	// Version grows by one with every change.
	Version int64
}

// Key returns the stay's key.
func (s Stay) Key() StayKey { return StayKey{s.App, s.Room, s.Platform, s.Identity, s.Subject} }

// RoomKey returns the key of the stay's room.
func (s Stay) RoomKey() RoomKey { return RoomKey{s.App, s.Room} }

// IssuedAt is when the last credential was decided on; zero for a room.
func (s Stay) IssuedAt() time.Time { return s.Grant.Time() }
