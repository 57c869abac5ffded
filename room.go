package usher

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// RoomKind says how long a room lives.
type RoomKind string

// The kinds of room.
const (
	// Permanent rooms have a name and stay until somebody ends them.
	Permanent RoomKind = "permanent"
	// Ephemeral rooms end when their last participant has left, as a VPaaS
	// meeting does.
	Ephemeral RoomKind = "ephemeral"
)

// RoomStatus is where a room is in its life. It moves forward, but for a room
// whose only claim came to nothing: that is ready again.
type RoomStatus string

// The statuses of a room.
const (
	RoomReady   RoomStatus = "ready"   // nobody has joined yet
	RoomRunning RoomStatus = "running" // somebody has joined
	RoomEnded   RoomStatus = "ended"   // over; it can't be joined again
)

// RoomKey finds a room in a store.
type RoomKey struct {
	App string
	ID  ID
}

// Room is where people meet.
type Room struct {
	App string
	// ID also says when the room was made: see [Room.CreatedAt].
	ID ID
	// Name is the name of a permanent room, unique in its app among the rooms
	// that have not ended; empty for an ephemeral one.
	Name   string
	Kind   RoomKind
	Status RoomStatus
	// Owner is the key of the identity that made the room.
	Owner string
	// Admission says who may enter beside the owner and the members; empty is
	// AdmitMembers.
	Admission Admission
	// Seats is how many participants may be in the room at a time; 0 is no limit.
	Seats int
	// Taken counts the participants that hold a seat.
	Taken int
	// OpensAt and ClosesAt bound the time in which the room can be joined; the
	// zero time is no bound. A room ends at ClosesAt.
	OpensAt, ClosesAt time.Time
	// EmptyAt is since when nobody has held a seat in a running room.
	EmptyAt   time.Time
	UpdatedAt time.Time
	EndedAt   time.Time
	// EndReason says why the room ended, for people.
	EndReason string
	// Due is when the sweeper must look at the room again; zero is never.
	Due time.Time
	// Version grows by one with every change.
	Version int64
}

// Key returns the room's key.
func (r Room) Key() RoomKey { return RoomKey{r.App, r.ID} }

// CreatedAt is when the room was made.
func (r Room) CreatedAt() time.Time { return r.ID.Time() }

// Full reports whether no seat is left.
func (r Room) Full() bool { return r.Seats > 0 && r.Taken >= r.Seats }

// maxRoomName is in bytes: Agora channels, the shortest of the names that we
// carry, have 64 and Room Service references up to 128.
const maxRoomName = 128

// ValidateRoomName checks the name of a permanent room: up to 128 bytes of
// printable text that can't be taken for an id.
func ValidateRoomName(name string) error {
	switch {
	case name == "":
		return Errorf(Invalid, "room_name_invalid", "A permanent room needs a name.")
	case len(name) > maxRoomName:
		return Errorf(Invalid, "room_name_invalid", "The room's name is %d bytes long; at most %d are allowed.", len(name), maxRoomName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return Errorf(Invalid, "room_name_invalid", "The room's name has a character that can't be printed.")
	case strings.TrimSpace(name) != name:
		return Errorf(Invalid, "room_name_invalid", "The room's name begins or ends with a space.")
	case strings.Trim(name, ".") == "":
		return Errorf(Invalid, "room_name_invalid", "The room's name consists of dots, which a URL can't carry.")
	}
	if _, err := ParseID(name); err == nil {
		return Errorf(Invalid, "room_name_invalid", "The room's name has the form of an id; choose one that can't be taken for it.")
	}
	return nil
}

// ValidateName checks a short text that is shown to people: a person's name, a
// reason. It returns what is wrong with it, as "is …" or "has …".
func ValidateName(s string, limit int) error {
	switch {
	case len(s) > limit:
		return fmt.Errorf("has %d bytes, more than %d", len(s), limit)
	case !utf8.ValidString(s):
		return errors.New("is not valid UTF-8")
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("has a character that can't be printed")
	}
	return nil
}
