package access

import (
	"context"
	"strings"
	"time"

	"usher"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store"
)

// Place is what a new participant shall be.
type Place struct {
	// Role and Lifetime are requests; zero is what is usual.
	Role     usher.Role
	Lifetime time.Duration
	Name     string
	// For is the key of the identity that a back end makes the place for. Users
	// and guests make places for themselves.
	For string
}

// Invited is a participant with the secret that only its maker ever sees, and
// the decision that allowed it.
type Invited struct {
	room.Invited
	Decision usher.Decision
}

// Claimed is a claimed place, with the token that opens a connection.
type Claimed = room.Claimed

// AddParticipant makes a participant, who can then claim the place with the
// secret. With an idempotency key, the same call made again returns the same.
func (a *Access) AddParticipant(ctx context.Context, id usher.Identity, ref string, place Place, idempotencyKey string) (Invited, error) {
	r, err := a.rooms.Find(ctx, id.App, ref)
	if err != nil {
		return Invited{}, err
	}
	if err := validatePlace(place); err != nil {
		return Invited{}, err
	}
	if place.For == "" {
		place.For = id.For
	}
	q := ask{action: policy.AddParticipant, room: &r, role: place.Role, lifetime: place.Lifetime, whom: place.For}
	if id.Kind == usher.UserIdentity || id.Kind == usher.GuestIdentity {
		q.action = policy.EnterRoom
		if place.For != "" && place.For != id.Key() {
			return Invited{}, usher.Errorf(usher.Forbidden, "for_others", "You can take a place for yourself only; give others an invite, or make them members.")
		}
		place.For = id.Key()
		if place.Name == "" || id.Kind == usher.GuestIdentity {
			place.Name = id.Name
		}
	}
	d, err := a.decide(ctx, id, q)
	if err != nil {
		return Invited{}, err
	}
	once, err := a.once(ctx, id, "participant:"+string(r.ID), idempotencyKey, place)
	if err != nil {
		return Invited{}, err
	}
	invited, err := a.rooms.Add(ctx, r.Key(), room.Place{
		ID: once.id, Secret: once.secret, Role: d.Role, Name: place.Name, Identity: place.For,
		Maker: maker(id), ProvenAt: id.IssuedAt, Grant: d.id, Expires: d.Expires,
	})
	return Invited{invited, d.Decision}, err
}

// maker is the key of whoever answers for what is made: the back end, where it
// acts for somebody, and whoever invited a guest.
func maker(id usher.Identity) string {
	switch {
	case id.Actor != "":
		return id.Actor
	case id.Inviter != "":
		return id.Inviter
	default:
		return id.Key()
	}
}

func isGuest(key string) bool { return strings.HasPrefix(key, string(usher.GuestIdentity)+":") }

// How long a participant's name and an identity's key may be, in bytes.
const (
	maxName = 128
	maxKey  = 512
)

func validatePlace(place Place) error {
	var problems []usher.FieldProblem
	if err := usher.ValidateName(place.Name, maxName); err != nil {
		problems = append(problems, usher.FieldProblem{Field: "name", Message: err.Error()})
	}
	if place.For != "" && (!validKey(place.For, identities...)) {
		problems = append(problems, usher.FieldProblem{Field: "for", Message: "must be user:ISSUER#SUBJECT, guest:ID or client:ID"})
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

// ParticipantFilter restricts a list of participants; its zero value does not.
type ParticipantFilter struct {
	Status usher.ParticipantStatus
	// Search is a text that the participant's name, id, identity or role has in
	// it, in capitals or not.
	Search string
}

func (f ParticipantFilter) keeps(p usher.Participant) bool {
	return (f.Status == "" || p.Status == f.Status) &&
		(f.Search == "" || hasText(f.Search, p.Name, string(p.ID), p.Identity, string(p.Role)))
}

// Participants returns a room's participants by the time they were made, and the
// id to go on after; it is empty if there are no more. A search looks at a
// bounded number, so that a page can be empty although there are more.
func (a *Access) Participants(ctx context.Context, id usher.Identity, ref string, filter ParticipantFilter, page Page) ([]usher.Participant, usher.ID, error) {
	r, err := a.room(ctx, id, policy.ReadParticipant, ref)
	if err != nil {
		return nil, "", err
	}
	q := store.ParticipantQuery{Room: r.Key(), Status: filter.Status, Limit: page.batch(filter.Search)}
	return walk(page, q.Limit, filter.keeps, func(p usher.Participant) usher.ID { return p.ID }, func(after usher.ID) ([]usher.Participant, error) {
		q.After = after
		return a.rooms.Participants(ctx, q)
	})
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
	a.tell(ctx, usher.Event{Type: usher.Taken, App: r.App, Who: id.Key(), Name: id.Name, Actor: id.Actor, Room: r.ID, Participant: participant, Reason: "removed: " + reason})
	a.announce(r.Key(), notice{Kind: participantRemoved, Participant: participant, Reason: reason})
	a.abroad.review(r.Key())
	return e, a.revokePasses(ctx, id, r, e.Participant.Identity, reason)
}

// revokePasses takes from somebody who was put out of a room what else opens it.
func (a *Access) revokePasses(ctx context.Context, id usher.Identity, r usher.Room, identity, reason string) error {
	if identity == "" {
		return nil
	}
	return a.passesOf(ctx, r, identity, func(_ usher.Session, p usher.Pass) error {
		_, err := a.take(ctx, usher.Taking{
			App: r.App, Kind: usher.Revocation, Target: usher.Target{Grant: p.Grant}, Before: a.now(), By: id.Key(), Reason: reason,
		})
		return err
	})
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

// RenewSecret replaces the secret of a participant that is not in the room. Only
// who could make such a place may: whoever has the secret has its role.
func (a *Access) RenewSecret(ctx context.Context, id usher.Identity, ref string, participant usher.ID) (Invited, error) {
	r, err := a.rooms.Find(ctx, id.App, ref)
	if err != nil {
		return Invited{}, err
	}
	key := participantKey(r, participant)
	e, notFound := a.rooms.Participant(ctx, key) // told to those who may know
	d, err := a.decide(ctx, id, ask{action: policy.AddParticipant, room: &r, role: e.Participant.Role})
	if err != nil {
		return Invited{}, err
	}
	if notFound != nil {
		return Invited{}, notFound
	}
	permissions, _ := a.policy.Load().Permissions(e.Participant.Role)
	if !permissions.Within(d.Permissions) {
		return Invited{}, usher.Errorf(usher.Forbidden, "role_exceeds", "The participant's role %s may do more than you may in this room.", e.Participant.Role)
	}
	invited, err := a.rooms.RenewSecret(ctx, key)
	return Invited{invited, usher.Decision{Permissions: permissions}}, err
}

// Claim consumes a participant's one-time secret and takes its seat. The
// secret is the proof; who calls need not be known.
func (a *Access) Claim(ctx context.Context, key usher.ParticipantKey, secret usher.Secret) (Claimed, error) {
	c, err := a.claim(ctx, key, secret)
	a.metrics.claimed(err)
	if err == nil {
		a.tell(ctx, usher.Event{Type: usher.Claimed, App: key.App, Who: c.Participant.Identity, Name: c.Participant.Name,
			Room: key.Room, Participant: key.ID})
	}
	return c, err
}

func (a *Access) claim(ctx context.Context, key usher.ParticipantKey, secret usher.Secret) (Claimed, error) {
	e, err := a.rooms.Participant(ctx, key)
	if err != nil || !e.Participant.Secret.Matches(secret) {
		// Whoever has the secret is not kept out by others who guess at it.
		if err := a.limitGuess(key); err != nil {
			return Claimed{}, err
		}
	}
	if err == nil {
		if _, ok := a.taken.fromParticipant(e.Participant, a.now()); ok {
			return Claimed{}, room.ErrNoClaim
		}
	}
	// An unknown participant is answered by the claim itself.
	return a.rooms.Claim(ctx, key, secret)
}

func participantKey(r usher.Room, id usher.ID) usher.ParticipantKey {
	return usher.ParticipantKey{App: r.App, Room: r.ID, ID: id}
}
