// Package platform is the contract between Usher and what carries the media or
// the data: each platform turns a grant into a credential of its own format.
//
// What a platform can do beyond that is a small interface of its own, found by
// type assertion.
package platform

import (
	"context"
	"encoding/json"
	"time"

	"usher"
)

// Platform issues credentials. An issuer never widens: what it can't express
// it refuses or leaves out.
type Platform interface {
	// Issue makes a credential for a grant.
	Issue(ctx context.Context, req Request) (usher.Credential, error)
}

// Request asks for a credential.
type Request struct {
	Grant usher.Grant
	// Subject is whom the platform shall know the bearer as, in its own terms:
	// an Agora uid or account, a LiveKit identity. Empty leaves it to the platform.
	Subject string
	// Format chooses among a platform's formats: "007", "006/rtm". Empty is the
	// platform's usual one.
	Format string
	// Now is when the credential is issued.
	Now time.Time
}

// RoomOpener is a platform that makes rooms, and names them.
type RoomOpener interface {
	// Open makes a room and returns the platform's own answer and the room's
	// name there.
	Open(ctx context.Context) (Opened, error)
}

// Opened is a room on a platform.
type Opened struct {
	Room string
	// Body is the platform's own answer, for clients that expect it unchanged.
	Body json.RawMessage
}

// RoomKeeper is a platform some of whose rooms must be open before anybody can
// enter them, and can be lost there.
type RoomKeeper interface {
	// KeepsRoom reports whether a credential of that format is for such a room.
	KeepsRoom(format string) bool
	// OpenRoom opens the room of that name, unless it is open.
	OpenRoom(ctx context.Context, room string) error
}

// RoomCloser is a platform that can end a room. It is asked again until it says
// that the room has ended; gone already is no error.
type RoomCloser interface {
	CloseRoom(ctx context.Context, room string) error
}

// Ejector is a platform that can put a participant out of a room. It is asked
// again until it says that the participant is gone; gone already is no error. An
// error that wraps [errors.ErrUnsupported] says that it is no use to ask again.
type Ejector interface {
	Eject(ctx context.Context, room, subject string) error
}

// Counter is a platform that knows how many are in a room.
type Counter interface {
	Count(ctx context.Context, room string) (int, error)
}

// Host is a platform that this server is itself: to be in a room there is to
// have a place in the room here, and a credential is what claims the place.
type Host interface {
	Platform
	// Present makes a credential of a participant's place and its secret.
	Present(ctx context.Context, p usher.Participant, secret usher.Secret) (usher.Credential, error)
}

// Enroller is a platform that knows rooms and participants by names of its own,
// and can't tell when a participant has to go: whoever enrolls one has to eject
// it in the end.
type Enroller interface {
	Platform
	RoomOpener
	Ejector
	// Enroll makes a participant in a room that was opened, whatever the end of
	// the grant. With the subject of an earlier enrollment it gives that
	// participant another secret instead, if it can still come into the room; who
	// is in it already gets a credential without a token. A room that is over is
	// [usher.NotFound] or [usher.Gone].
	Enroll(ctx context.Context, room, earlier string, req Request) (Enrolled, error)
}

// Enrolled is a credential, and the subject that its bearer is to be ejected by.
type Enrolled struct {
	usher.Credential
	Subject string
}

// Prober is a platform that can be asked whether it is there, and whether it
// takes what this server presents to it. Asking changes nothing there.
type Prober interface {
	// Probe returns why it is not well. An error that wraps [errors.ErrUnsupported]
	// says that nothing is configured that could be asked.
	Probe(ctx context.Context) error
}

// Namer is a platform of whose credentials some make their bearer known beyond
// the room that they are for.
type Namer interface {
	// Names returns by what names a credential of the format makes the subject
	// known everywhere on the platform; none, if it is good in its room only.
	Names(format, subject string) []string
}

// Inspector recognises credentials of a platform and says what is in them.
type Inspector interface {
	// Inspect returns what a text is, or false if it is no credential of this
	// platform. It never fails on hostile text, and never returns a secret.
	Inspect(token usher.Secret, now time.Time) (Inspection, bool)
}

// Matcher is an Inspector of credentials that do not all name what they are for.
type Matcher interface {
	Inspector
	// InspectFor is Inspect for a credential that is said to be for a room and
	// a subject, in the platform's own terms; either may be empty.
	InspectFor(token usher.Secret, room, subject string, now time.Time) (Inspection, bool)
}

// Inspection is what a credential says, and what is wrong with it.
type Inspection struct {
	Platform string `json:"platform"`
	// Format names the form: "agora 007", "janus permission token (RS512)".
	Format string `json:"format"`
	// Verified is whether the signature is by a key that we hold.
	Verified  Verified  `json:"verified"`
	Subject   string    `json:"subject,omitempty"`
	Room      string    `json:"room,omitempty"`
	IssuedAt  time.Time `json:"issued_at,omitzero"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Claims is everything else, in the platform's own words.
	Claims map[string]any `json:"claims,omitempty"`
	// Problems are sentences, the gravest first: expired, meant for another
	// app, a clock that is wrong, a form that the server will not read.
	Problems []string `json:"problems,omitempty"`
}

// Verified is the outcome of checking a signature.
type Verified string

// The outcomes.
const (
	Good    Verified = "good"
	Bad     Verified = "bad"
	Unknown Verified = "unknown" // we do not hold the key
)
