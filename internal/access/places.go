package access

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"usher"
	"usher/internal/platform"
	"usher/internal/room"
	"usher/internal/store"
)

// Whose credentials in a room are one another's renewals is remembered by marks:
// a mark has the participant that they are for, and lasts for a while longer
// than the last of them.

// distinct reports whether two credentials for an identity and a subject are for
// the same person. Behind a back end, an operator and the public there are many,
// whom only the subject tells apart.
func distinct(id usher.Identity, subject string) bool {
	return subject != "" || id.Kind == usher.UserIdentity || id.Kind == usher.GuestIdentity
}

// place returns the participant that the credentials of an identity in a room
// are for. What was taken from it stays taken; but one that is let in again has
// a new place.
func (a *Access) place(ctx context.Context, label string, id usher.Identity, r usher.Room, subject string, until time.Time) (usher.ID, error) {
	fresh := a.config.IDs.New()
	if !distinct(id, subject) {
		return fresh, nil
	}
	name := a.config.Derive(label, r.App, string(r.ID), id.Key(), subject)
	mark := store.Mark{Name: label + ":" + hex.EncodeToString(name[:]), Value: []byte(fresh), Expires: until.Add(remember)}
	there, err := a.config.Store.Once().Put(ctx, a.now(), mark)
	switch {
	case err == nil:
		return fresh, nil
	case !errors.Is(err, store.ErrExists):
		return "", wrapf("find a place", err)
	}
	current := usher.ID(there.Value)
	void, err := a.placeVoid(ctx, participantKey(r, current))
	if err != nil || !void && !there.Expires.Before(until) {
		return current, err
	}
	if !void {
		mark.Value = there.Value
	}
	there, err = a.config.Store.Once().Replace(ctx, a.now(), there.Value, mark)
	if err != nil && !errors.Is(err, store.ErrExists) { // whoever was faster has settled it
		return "", wrapf("find a place", err)
	}
	return usher.ID(there.Value), nil
}

// placeVoid reports whether a place was taken away, and frees its seat if so.
// That of who was only put out is not void: there is no other.
func (a *Access) placeVoid(ctx context.Context, key usher.ParticipantKey) (bool, error) {
	e, err := a.rooms.Participant(ctx, key)
	if usher.AsError(err).Kind == usher.NotFound {
		return false, nil // somebody is just making it
	}
	if err != nil {
		return false, err
	}
	t, void := a.taken.fromParticipant(e.Participant, a.now())
	if !void || e.Participant.Status == usher.ParticipantRemoved {
		return void, nil
	}
	_, err = a.rooms.Remove(ctx, key, strings.ToValidUTF8(fmt.Sprintf("%.*s", maxReason, reasonOf(t)), ""))
	if usher.AsError(err).Kind == usher.Conflict {
		err = nil // somebody else was faster
	}
	return true, err
}

// seat takes a seat for the bearer of a credential that is used elsewhere, or
// keeps the one that it has, until the credential expires. In a room without a
// number of seats there is none.
func (a *Access) seat(ctx context.Context, id usher.Identity, r usher.Room, spec CredentialSpec, d decision) (seat, error) {
	if r.Seats == 0 {
		return seat{}, nil
	}
	participant, err := a.place(ctx, "seat", id, r, spec.Subject, d.Expires)
	if err != nil {
		return seat{}, err
	}
	e, fresh, err := a.rooms.Keep(ctx, participantKey(r, participant), room.Place{
		ID: participant, Role: d.Role, Name: id.Name, Identity: id.Key(), Maker: maker(id), ProvenAt: id.IssuedAt, Grant: d.id, Expires: d.Expires,
	})
	if err != nil {
		return seat{}, err
	}
	s := seat{participant: participant, fresh: fresh}
	if _, void := a.taken.fromParticipant(e.Participant, a.now()); void {
		return seat{}, a.notLetIn(ctx, r, s, d, errMeanwhile)
	}
	a.announce(r.Key(), notice{Kind: rosterChanged})
	return s, nil
}

// seat is a seat that somebody has by a credential.
type seat struct {
	// participant is who has it; none if the room does not count seats.
	participant usher.ID
	// fresh says that it was taken for this credential.
	fresh bool
}

// notLetIn frees a seat that was taken for a credential that is not given out
// after all, and returns why it is not. What is left if even that fails ends
// with the credential's time.
func (a *Access) notLetIn(ctx context.Context, r usher.Room, s seat, d decision, why error) error {
	if !s.fresh {
		return why
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := a.rooms.Yield(ctx, participantKey(r, s.participant), d.id); err != nil {
		a.config.Logger.Error("a seat for which nobody was let in is not free yet", "room", r.ID, "error", err)
	}
	a.announce(r.Key(), notice{Kind: rosterChanged})
	return why
}

// host gives out a place in a room of ours, as the platform writes it. The seat
// is taken by who claims the place. Asked again it is the same place: with
// another secret, or with the same while somebody is in the room by it.
func (a *Access) host(ctx context.Context, h platform.Host, id usher.Identity, r usher.Room, spec CredentialSpec, d decision) (Issued, error) {
	if spec.Format != "" {
		return Issued{}, errOneFormat(spec.Platform)
	}
	if all, _ := a.policy.Load().Permissions(d.Role); !all.Within(d.Permissions) {
		return Issued{}, usher.Errorf(usher.Forbidden, "grant_not_expressible", "A place in a room has a role with all that it allows: ask for a role that allows less.")
	}
	place := room.Place{Role: d.Role, Name: id.Name, Identity: id.Key(), Maker: maker(id), ProvenAt: id.IssuedAt, Grant: d.id, Expires: d.Expires}
	if id.Kind == usher.ClientIdentity || id.Kind == usher.LocalIdentity {
		place.Name, place.Identity = spec.Subject, id.For
	}
	if err := usher.ValidateName(place.Name, maxName); err != nil {
		return Issued{}, usher.Errorf(usher.Invalid, "subject_invalid", "The name of the participant %s.", err)
	}
	var err error
	if place.ID, err = a.place(ctx, "place", id, r, spec.Subject, d.Expires); err != nil {
		return Issued{}, err
	}
	offered, err := a.rooms.Offer(ctx, participantKey(r, place.ID), place, func(grant usher.ID) usher.Secret {
		sum := a.config.Derive("place secret", r.App, string(r.ID), string(place.ID), string(grant))
		return usher.Secret(base64.RawURLEncoding.EncodeToString(sum[:]))
	})
	if err != nil {
		return Issued{}, err
	}
	if _, void := a.taken.fromParticipant(offered.Participant, a.now()); void {
		return Issued{}, errMeanwhile
	}
	a.announce(r.Key(), notice{Kind: rosterChanged})
	c, err := h.Present(ctx, offered.Participant, offered.Secret)
	if err != nil {
		return Issued{}, wrapf("present a place", err)
	}
	issued := a.issued(c, spec.Platform, d, a.now())
	// By which the place can be taken away: who is in the room keeps the first.
	issued.Grant = offered.Participant.Grant
	return issued, nil
}

func errOneFormat(platform string) error {
	return usher.Errorf(usher.Invalid, "format_unknown", "The platform %s has one format, and no name for it: leave the format out.", platform)
}
