package client

import (
	"encoding/json"
	"reflect"
	"time"

	"usher"
)

// Room is where people meet, as the native API writes it.
type Room struct {
	ID usher.ID `json:"id"`
	// Name is the name of a permanent room.
	Name   string           `json:"name,omitempty"`
	Kind   usher.RoomKind   `json:"kind"`
	Status usher.RoomStatus `json:"status"`
	// Owner is the key of the identity that made the room. A participant, who
	// is told of the room by a claim, is not told of its owner.
	Owner string `json:"owner,omitempty"`
	// Admission says who may enter beside the owner and the members; empty
	// leaves it to the server's configuration.
	Admission usher.Admission `json:"admission,omitempty"`
	// Seats is how many participants may be in the room at a time; 0 is no limit.
	Seats int `json:"seats"`
	// Taken is how many seats are taken.
	Taken     int    `json:"taken"`
	OpensAt   Time   `json:"opens_at,omitzero"`
	ClosesAt  Time   `json:"closes_at,omitzero"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
	EndedAt   Time   `json:"ended_at,omitzero"`
	EndReason string `json:"end_reason,omitempty"`
	// Version grows with every change; see [IfVersion].
	Version int64 `json:"version"`
}

// CreateRoomRequest says what a new room shall be. The zero request makes an
// ephemeral room with the server's own limits.
type CreateRoomRequest struct {
	// Name makes the room permanent.
	Name string `json:"name,omitempty"`
	// Admission is open, members or invite; empty leaves it to the server.
	Admission usher.Admission `json:"admission,omitempty"`
	// Seats is the number of seats, 0 for no limit; nil takes the server's number.
	Seats    *int `json:"seats,omitempty"`
	OpensAt  Time `json:"opens_at,omitzero"`
	ClosesAt Time `json:"closes_at,omitzero"`
}

// ChangeRoomRequest says what shall be different about a room; what is not set
// stays as it is.
type ChangeRoomRequest struct {
	// Admission, if empty, leaves it to the server again.
	Admission *usher.Admission `json:"admission,omitempty"`
	Seats     *int             `json:"seats,omitempty"`
	OpensAt   TimeChange       `json:"opens_at,omitzero"`
	ClosesAt  TimeChange       `json:"closes_at,omitzero"`
}

// EndRequest gives a reason to those whom a call puts out of a room.
type EndRequest struct {
	Reason string `json:"reason,omitempty"`
}

// RoomPage is one page of a list of rooms.
type RoomPage struct {
	Rooms []Room `json:"rooms"`
	// NextCursor asks for the next page; empty on the last one.
	NextCursor string `json:"next_cursor"`
}

// Participant is one identity's place in one room.
type Participant struct {
	ID     usher.ID                `json:"id"`
	Room   usher.ID                `json:"room"`
	Status usher.ParticipantStatus `json:"status"`
	Role   usher.Role              `json:"role"`
	// Name is shown to others.
	Name string `json:"name,omitempty"`
	// Identity is the key of who the place is for, if that is known.
	Identity string `json:"identity,omitempty"`
	// Grant is the id of the decision that allowed the place, and ExpiresAt when
	// the place ends.
	Grant     usher.ID `json:"grant,omitempty"`
	ExpiresAt Time     `json:"expires_at,omitzero"`
	CreatedAt Time     `json:"created_at"`
	UpdatedAt Time     `json:"updated_at"`
	// EndReason says why the participant was removed.
	EndReason string `json:"end_reason,omitempty"`
	Version   int64  `json:"version"`
}

// Invited is a participant with the one-time secret that claims its place. The
// secret is told once; like every [usher.Secret] it is not written back into JSON.
type Invited struct {
	Participant
	// Permissions are what the role may do.
	Permissions usher.Permissions `json:"permissions"`
	// Clamped names what was asked for and granted only in part: role, lifetime.
	Clamped []string     `json:"clamped"`
	Secret  usher.Secret `json:"secret"`
}

// AddParticipantRequest says who a new participant shall be.
type AddParticipantRequest struct {
	// Role is host, speaker, viewer or one of the server's configuration; empty
	// is what is usual for who asks.
	Role usher.Role `json:"role,omitempty"`
	// TTL is for how many seconds the place can be used; 0 is what is usual.
	TTL  int64  `json:"ttl,omitempty"`
	Name string `json:"name,omitempty"`
	// For is the key of the identity that a back end makes the place for. Users
	// and guests make places for themselves.
	For string `json:"for,omitempty"`
}

// ParticipantPage is one page of a list of participants.
type ParticipantPage struct {
	Participants []Participant `json:"participants"`
	// NextCursor asks for the next page; empty on the last one.
	NextCursor string `json:"next_cursor"`
}

// ClaimRequest presents a participant's one-time secret.
type ClaimRequest struct {
	Secret usher.Secret `json:"secret"`
}

// Claimed is a place that its participant has claimed.
type Claimed struct {
	// Token opens the participant's connections.
	Token usher.Secret `json:"token"`
	// ConnectIn is how many seconds the seat waits for the first connection.
	ConnectIn   int         `json:"connect_in"`
	Room        Room        `json:"room"`
	Participant Participant `json:"participant"`
}

// Client is a registered back end.
type Client struct {
	// ID is also the client id of OAuth 2.
	ID   usher.ID `json:"id"`
	Name string   `json:"name"`
	// PublicKey is the PEM that the client's assertions are verified with, if it
	// has one.
	PublicKey string `json:"public_key,omitempty"`
	// HasAPIKey says that the client can call with a key of ours.
	HasAPIKey bool         `json:"has_api_key"`
	Scopes    usher.Scopes `json:"scopes"`
	// ExpiresAt is when the client loses all access by itself.
	ExpiresAt Time `json:"expires_at,omitzero"`
	// LastUsedAt is when its API key was last used, to the minute or so.
	LastUsedAt Time `json:"last_used_at,omitzero"`
	CreatedAt  Time `json:"created_at"`
	UpdatedAt  Time `json:"updated_at"`
	// NotBefore voids the access tokens that were issued earlier.
	NotBefore Time `json:"not_before,omitzero"`
	// RevokedAt is when the client lost all access.
	RevokedAt Time  `json:"revoked_at,omitzero"`
	Version   int64 `json:"version"`
}

// KeyedClient is a back end with the API key that was just made for it, if one
// was. The key is told once; like every [usher.Secret] it is not written back
// into JSON.
type KeyedClient struct {
	Client
	APIKey usher.Secret `json:"api_key,omitempty"`
}

// AddClientRequest registers a back end. It needs a public key, an API key, or
// both.
type AddClientRequest struct {
	Name string `json:"name"`
	// PublicKey is a PEM (SPKI): RSA of at least 4096 bits, P-384 or Ed25519.
	PublicKey string `json:"public_key,omitempty"`
	// APIKey asks for a key of ours.
	APIKey bool `json:"api_key,omitempty"`
	// Scopes are the most that the client is ever granted; nil is all but
	// [usher.SubjectAct].
	Scopes usher.Scopes `json:"scopes,omitzero"`
	// ExpiresAt is when the client loses all access by itself; zero is never.
	ExpiresAt Time `json:"expires_at,omitzero"`
}

// RotateClientRequest gives a back end a new public key, a new API key, or both.
type RotateClientRequest struct {
	PublicKey string `json:"public_key,omitempty"`
	APIKey    bool   `json:"api_key,omitempty"`
}

// ClientPage is one page of a list of back ends.
type ClientPage struct {
	Clients []Client `json:"clients"`
	// NextCursor asks for the next page; empty on the last one.
	NextCursor string `json:"next_cursor"`
}

// Problem is a failure in the form of RFC 9457.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Code is stable and for programs: "room_full".
	Code string `json:"code"`
	// Detail is a sentence that a person can act on.
	Detail string `json:"detail"`
	// RequestID finds the request in the server's log.
	RequestID string `json:"request_id"`
	// Decision is the id of a refusal in the record, by which an operator can
	// explain it.
	Decision usher.ID `json:"decision,omitempty"`
	// Fields names what is wrong with single fields of the request.
	Fields []usher.FieldProblem `json:"fields,omitempty"`
}

// Time is a time as the API writes it: UTC, RFC 3339, always with
// microseconds, so that times compare as text.
type Time struct{ time.Time }

const timeLayout = "2006-01-02T15:04:05.000000Z"

// MarshalJSON implements [json.Marshaler].
func (t Time) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, len(timeLayout)+2)
	b = t.UTC().AppendFormat(append(b, '"'), timeLayout)
	return append(b, '"'), nil
}

// UnmarshalJSON reads any RFC 3339 time of the years 1970 to 9999. Null is no time.
func (t *Time) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*t = Time{}
		return nil
	}
	var read time.Time
	if err := read.UnmarshalJSON(data); err != nil {
		return notATime("something else")
	}
	if read = read.UTC(); read.Year() < 1970 || read.Year() > 9999 {
		return notATime("one outside the years 1970 to 9999")
	}
	t.Time = read
	return nil
}

// notATime is the error that a decoder completes with the name of the field.
func notATime(found string) error {
	return &json.UnmarshalTypeError{Value: found, Type: reflect.TypeFor[Time]()}
}

// TimeChange is a new value for a time that can also be taken away. Its zero
// value leaves the time as it is.
type TimeChange struct {
	Set bool
	// Time is the new time; the zero time takes it away.
	Time Time
}

// ChangeTime sets a time; the zero time takes it away.
func ChangeTime(t time.Time) TimeChange { return TimeChange{Set: true, Time: Time{t}} }

// IsZero reports whether the time stays as it is.
func (c TimeChange) IsZero() bool { return !c.Set }

// MarshalJSON writes null to take a time away.
func (c TimeChange) MarshalJSON() ([]byte, error) {
	if c.Time.IsZero() {
		return []byte("null"), nil
	}
	return c.Time.MarshalJSON()
}

// UnmarshalJSON implements [json.Unmarshaler].
func (c *TimeChange) UnmarshalJSON(data []byte) error {
	c.Set = true
	return c.Time.UnmarshalJSON(data)
}
