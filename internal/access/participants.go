package access

import (
	"context"

	"usher"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store"
)

// Place is what a new participant shall be.
type Place struct {
	Role usher.Role
	Name string
}

// Invited is a participant with the secret that only its maker ever sees.
type Invited = room.Invited

// Claimed is a claimed place, with the token that opens a connection.
type Claimed = room.Claimed

// AddParticipant makes a participant, who can then claim the place with the
// secret. With an idempotency key, the same call made again returns the same.
func (a *Access) AddParticipant(ctx context.Context, id usher.Identity, ref string, place Place, idempotencyKey string) (Invited, error) {
	r, err := a.room(ctx, id, policy.AddParticipant, ref)
	if err != nil {
		return Invited{}, err
	}
	if place.Role == "" {
		place.Role = usher.Speaker
	}
	if err := validatePlace(place); err != nil {
		return Invited{}, err
	}
	once, err := a.once(ctx, id, "participant:"+string(r.ID), idempotencyKey, place)
	if err != nil {
		return Invited{}, err
	}
	return a.rooms.Add(ctx, r.Key(), room.Place{ID: once.id, Secret: once.secret, Role: place.Role, Name: place.Name})
}

// maxName is how long a participant's name may be, in bytes.
const maxName = 128

func validatePlace(place Place) error {
	var problems []usher.FieldProblem
	if _, known := usher.BuiltinRoles()[place.Role]; !known {
		problems = append(problems, usher.FieldProblem{Field: "role", Message: "must be host, speaker or viewer"})
	}
	if err := usher.ValidateName(place.Name, maxName); err != nil {
		problems = append(problems, usher.FieldProblem{Field: "name", Message: err.Error()})
	}
	if len(problems) == 0 {
		return nil
	}
	err := usher.Errorf(usher.Invalid, "participant_invalid", "The participant can't be like this.")
	err.Fields = problems
	return err
}

// Participant returns one participant and its room.
func (a *Access) Participant(ctx context.Context, id usher.Identity, ref string, participant usher.ID) (store.Entry, error) {
	r, err := a.room(ctx, id, policy.ReadParticipant, ref)
	if err != nil {
		return store.Entry{}, err
	}
	return a.rooms.Participant(ctx, participantKey(r, participant))
}

// Participants returns a room's participants by the time they were made, and
// whether there are more.
func (a *Access) Participants(ctx context.Context, id usher.Identity, ref string, page Page) ([]usher.Participant, bool, error) {
	r, err := a.room(ctx, id, policy.ReadParticipant, ref)
	if err != nil {
		return nil, false, err
	}
	ps, err := a.rooms.Participants(ctx, store.ParticipantQuery{Room: r.Key(), After: page.After, Limit: page.Limit + 1})
	if err != nil {
		return nil, false, err
	}
	more := len(ps) > page.Limit
	return ps[:min(len(ps), page.Limit)], more, nil
}

// RemoveParticipant puts a participant out for good: it is out in the store
// when this returns, and its connections are being closed.
func (a *Access) RemoveParticipant(ctx context.Context, id usher.Identity, ref string, participant usher.ID, reason string) (store.Entry, error) {
	r, err := a.room(ctx, id, policy.RemoveParticipant, ref)
	if err != nil {
		return store.Entry{}, err
	}
	if err := validateReason(reason); err != nil {
		return store.Entry{}, err
	}
	if reason == "" {
		reason = "An Administrator disconnected you from the meeting"
	}
	e, err := a.rooms.Remove(ctx, participantKey(r, participant), reason)
	if err != nil {
		return store.Entry{}, err
	}
	a.announce(r.Key(), notice{Kind: participantRemoved, Participant: participant, Reason: reason})
	return e, nil
}

// maxReason is how long the reason of a removal may be, in bytes: what a
// WebSocket's close frame can carry (RFC 6455, section 5.5).
const maxReason = 123

func validateReason(reason string) error {
	err := usher.ValidateName(reason, maxReason)
	if err == nil {
		return nil
	}
	problem := usher.Errorf(usher.Invalid, "reason_invalid", "The reason can't be sent to those who are put out.")
	problem.Fields = []usher.FieldProblem{{Field: "reason", Message: err.Error()}}
	return problem
}

// RenewSecret replaces the secret of a participant that is not in the room.
func (a *Access) RenewSecret(ctx context.Context, id usher.Identity, ref string, participant usher.ID) (Invited, error) {
	r, err := a.room(ctx, id, policy.AddParticipant, ref)
	if err != nil {
		return Invited{}, err
	}
	return a.rooms.RenewSecret(ctx, participantKey(r, participant))
}

// Claim consumes a participant's one-time secret and takes its seat. The
// secret is the proof; who calls need not be known.
func (a *Access) Claim(ctx context.Context, key usher.ParticipantKey, secret usher.Secret) (Claimed, error) {
	c, err := a.rooms.Claim(ctx, key, secret)
	a.metrics.claimed(err)
	return c, err
}

func participantKey(r usher.Room, id usher.ID) usher.ParticipantKey {
	return usher.ParticipantKey{App: r.App, Room: r.ID, ID: id}
}
