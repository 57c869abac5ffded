package room

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher"
	"usher/internal/store"
)

// Place is what a new participant shall be.
type Place struct {
	// ID and Secret, if set, were chosen before, so that a create can be repeated.
	ID     usher.ID
	Secret usher.Secret
	Role   usher.Role
	Name   string
	// Identity is the key of who the place is for, if that is known, and Maker
	// that of whoever makes it, who has been known since ProvenAt.
	Identity, Maker string
	ProvenAt        time.Time
	// Grant is the id of the decision that allows the place, until Expires.
	Grant   usher.ID
	Expires time.Time
}

// Invited is a participant with the secret that only its maker ever sees.
type Invited struct {
	store.Entry
	Secret usher.Secret
}

// Add makes a participant, who can then claim the place with the secret.
func (s *Service) Add(ctx context.Context, key usher.RoomKey, place Place) (Invited, error) {
	m := s.moment()
	secret := place.Secret
	if secret == "" {
		var err error
		if secret, err = usher.NewSecret(s.Random); err != nil {
			return Invited{}, fmt.Errorf("room: add participant: %w", err)
		}
	}
	p := usher.Participant{
		App: key.App, Room: key.ID, ID: place.ID, Status: usher.ParticipantReady,
		Role: place.Role, Name: place.Name, Identity: place.Identity, Maker: place.Maker, ProvenAt: stored(place.ProvenAt),
		Grant: place.Grant, Expires: stored(place.Expires),
		Secret: secret.Digest(), Version: 1,
	}
	if p.ID == "" {
		p.ID = s.IDs.New()
	}
	p.UpdatedAt = later(m.now, p.CreatedAt())
	e, err := s.Store.Enter(ctx, p, func(r usher.Room) (usher.Room, error) {
		if m.settleRoom(r).Status == usher.RoomEnded {
			return r, ErrEnded
		}
		return r, nil
	})
	if errors.Is(err, store.ErrExists) && place.ID != "" {
		e, err = s.Store.Participant(ctx, p.Key()) // a repeated create
	}
	if err != nil {
		return Invited{}, s.roomError("add participant", err)
	}
	if !e.Participant.Secret.Matches(secret) {
		return Invited{}, errRenewed
	}
	return Invited{Entry: m.settle(e), Secret: secret}, nil
}

// stored is a time as stores keep it.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// Participant returns a participant and its room as they are now.
func (s *Service) Participant(ctx context.Context, key usher.ParticipantKey) (store.Entry, error) {
	e, err := s.Store.Participant(ctx, key)
	if err != nil {
		return store.Entry{}, s.participantError("get participant", err)
	}
	return s.moment().settle(e), nil
}

// Participants returns a page of a room's participants as they are now.
func (s *Service) Participants(ctx context.Context, q store.ParticipantQuery) ([]usher.Participant, error) {
	r, err := s.Store.Get(ctx, q.Room)
	if err != nil {
		return nil, s.roomError("list participants", err)
	}
	ps, err := s.Store.Participants(ctx, q)
	if err != nil {
		return nil, s.roomError("list participants", err)
	}
	m := s.moment()
	for i := range ps {
		ps[i] = m.settle(store.Entry{Room: r, Participant: ps[i]}).Participant
	}
	return ps, nil
}

// Claimed is a place that its participant has claimed, with the token that
// opens a connection.
type Claimed struct {
	store.Entry
	Token usher.Secret
}

// Claim consumes a participant's secret and takes its seat, in one atomic
// step. The seat is kept for the lease until a connection is attached.
func (s *Service) Claim(ctx context.Context, key usher.ParticipantKey, secret usher.Secret) (Claimed, error) {
	token, err := usher.NewSecret(s.Random)
	if err != nil {
		return Claimed{}, fmt.Errorf("room: claim: %w", err)
	}
	digest := token.Digest()
	e, err := s.change(ctx, key, func(m moment, e store.Entry) (store.Entry, error) {
		return m.claim(e, secret, digest)
	})
	if errors.Is(err, store.ErrNotFound) {
		// An unknown room is told, an unknown participant is not.
		if _, err := s.Get(ctx, usher.RoomKey{App: key.App, ID: key.Room}); err != nil {
			return Claimed{}, err
		}
		return Claimed{}, ErrNoClaim
	}
	if err != nil {
		return Claimed{}, s.participantError("claim", err)
	}
	return Claimed{Entry: e, Token: token}, nil
}

// Attach hands a claimed seat to the connection with that id on this node. The
// newest connection of a participant is the one that counts.
func (s *Service) Attach(ctx context.Context, key usher.ParticipantKey, token usher.Secret, attachment usher.ID) (store.Entry, error) {
	e, err := s.change(ctx, key, func(m moment, e store.Entry) (store.Entry, error) {
		return m.attach(e, token, attachment, s.Node)
	})
	if errors.Is(err, store.ErrNotFound) {
		return store.Entry{}, errToken
	}
	return e, s.participantError("attach", err)
}

// Lose says that a connection broke: its seat is kept for the grace. The
// entry is as it is now, also where the connection no longer counted.
func (s *Service) Lose(ctx context.Context, key usher.ParticipantKey, attachment usher.ID) (store.Entry, error) {
	e, err := s.change(ctx, key, func(m moment, e store.Entry) (store.Entry, error) {
		return m.lose(e, attachment)
	})
	return e, s.participantError("lose", err)
}

// Leave says that a connection was closed on purpose: its seat is free.
func (s *Service) Leave(ctx context.Context, key usher.ParticipantKey, attachment usher.ID) (store.Entry, error) {
	e, err := s.change(ctx, key, func(m moment, e store.Entry) (store.Entry, error) {
		return m.leave(e, attachment)
	})
	return e, s.participantError("leave", err)
}

// Remove puts a participant out for good, for a reason that it is told.
func (s *Service) Remove(ctx context.Context, key usher.ParticipantKey, reason string) (store.Entry, error) {
	e, err := s.change(ctx, key, func(m moment, e store.Entry) (store.Entry, error) {
		return m.remove(e, reason)
	})
	return e, s.participantError("remove", err)
}

// Keep holds a seat until place.Expires for the bearer of a credential that is
// used elsewhere. It makes the participant, whose id must be set, if there is
// none yet, and reports whether the seat was not theirs before.
func (s *Service) Keep(ctx context.Context, key usher.ParticipantKey, place Place) (kept store.Entry, fresh bool, err error) {
	keep := func() (store.Entry, error) {
		return s.change(ctx, key, func(m moment, e store.Entry) (store.Entry, error) {
			p := &e.Participant
			fresh = !m.settle(e).Participant.Seated()
			p.Role, p.Grant, p.Expires = place.Role, place.Grant, stored(place.Expires)
			p.Maker, p.ProvenAt = place.Maker, stored(place.ProvenAt)
			return m.keep(e, place.Expires)
		})
	}
	kept, err = keep()
	if errors.Is(err, store.ErrNotFound) {
		if _, err := s.Add(ctx, usher.RoomKey{App: key.App, ID: key.Room}, place); err != nil {
			return store.Entry{}, false, err
		}
		kept, err = keep()
	}
	return kept, fresh, s.participantError("keep seat", err)
}

// Yield frees the seat that was kept for a grant by which nobody was let in.
func (s *Service) Yield(ctx context.Context, key usher.ParticipantKey, grant usher.ID) error {
	_, err := s.change(ctx, key, func(m moment, e store.Entry) (store.Entry, error) { return m.yield(e, grant) })
	return s.participantError("yield seat", err)
}

// Offer makes the place of a participant, whose id must be set, one that can be
// claimed by the secret of its grant, and makes the participant if there is none
// yet. The secret that is returned is the one that is good now.
func (s *Service) Offer(ctx context.Context, key usher.ParticipantKey, place Place, secret func(grant usher.ID) usher.Secret) (Invited, error) {
	offer := func() (store.Entry, error) {
		return s.change(ctx, key, func(m moment, e store.Entry) (store.Entry, error) {
			return m.offer(e, place, func(grant usher.ID) usher.Digest { return secret(grant).Digest() })
		})
	}
	e, err := offer()
	if errors.Is(err, store.ErrNotFound) {
		place.Secret = secret(place.Grant)
		// Whoever was faster made the same participant.
		if _, err := s.Add(ctx, usher.RoomKey{App: key.App, ID: key.Room}, place); err != nil && !errors.Is(err, errRenewed) {
			return Invited{}, err
		}
		e, err = offer()
	}
	if err != nil {
		return Invited{}, s.participantError("offer a place", err)
	}
	return Invited{Entry: e, Secret: secret(e.Participant.Grant)}, nil
}

// RenewSecret replaces the secret of a participant that is not in the room.
func (s *Service) RenewSecret(ctx context.Context, key usher.ParticipantKey) (Invited, error) {
	secret, err := usher.NewSecret(s.Random)
	if err != nil {
		return Invited{}, fmt.Errorf("room: renew secret: %w", err)
	}
	digest := secret.Digest()
	e, err := s.change(ctx, key, func(m moment, e store.Entry) (store.Entry, error) {
		return m.renew(e, digest)
	})
	if err != nil {
		return Invited{}, s.participantError("renew secret", err)
	}
	return Invited{Entry: e, Secret: secret}, nil
}

// change applies a step to a participant and its room. If it was time for the
// room to end, the step has ended it too.
func (s *Service) change(ctx context.Context, key usher.ParticipantKey, step func(moment, store.Entry) (store.Entry, error)) (store.Entry, error) {
	m := s.moment()
	ended := false
	e, err := s.Store.Change(ctx, key, func(before store.Entry) (store.Entry, error) {
		after, err := step(m, before)
		if err != nil {
			return before, err
		}
		if after == before {
			return before, store.ErrUnchanged
		}
		ended = before.Room.Status != usher.RoomEnded && after.Room.Status == usher.RoomEnded
		return m.touch(before, after), nil
	})
	if err == nil && ended {
		s.Ended(e.Room)
	}
	return e, err
}

var errNoParticipant = usher.Errorf(usher.NotFound, "participant_not_found", "There is no such participant in the room.")

func (s *Service) participantError(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, store.ErrNotFound) {
		return errNoParticipant
	}
	return s.roomError(what, err)
}
