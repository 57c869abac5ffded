package room

import (
	"context"

	"usher"
	"usher/internal/store"
)

// SetRole changes what a participant that has not gone may do.
func (s *Service) SetRole(ctx context.Context, key usher.ParticipantKey, role usher.Role) (store.Entry, error) {
	e, err := s.change(ctx, key, func(m moment, e store.Entry) (store.Entry, error) {
		return m.setRole(e, role)
	})
	return e, s.participantError("set role", err)
}

func (m moment) setRole(e store.Entry, role usher.Role) (store.Entry, error) {
	e = m.settle(e)
	switch {
	case e.Room.Status == usher.RoomEnded:
		return e, ErrEnded
	case e.Participant.Status == usher.ParticipantRemoved:
		return e, errRemoved
	case e.Participant.Status == usher.ParticipantLeft:
		return e, errGone
	}
	e.Participant.Role = role
	return e, nil
}
