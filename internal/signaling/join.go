package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"usher"
	"usher/internal/access"
	"usher/internal/socket"
)

// joinRequest is the payload of room.join.
type joinRequest struct {
	Room        string       `json:"room"`
	Participant usher.ID     `json:"participant"`
	Secret      usher.Secret `json:"secret"`
	Token       usher.Secret `json:"token"`
	Role        usher.Role   `json:"role"`
	Name        string       `json:"name"`
}

func (l *link) join(e *envelope) error {
	s := l.session
	var q joinRequest
	if json.Unmarshal(e.payload, &q) != nil || q.Room == "" || q.Secret != "" && q.Token != "" ||
		(q.Participant != "") != (q.Secret != "" || q.Token != "") {
		return malformed("The payload of room.join names the room, and a participant with its secret or its token, or neither.")
	}
	s.user.mu.Lock()
	many := len(s.places) >= maxPlaces
	s.user.mu.Unlock()
	if many {
		return errManyRooms
	}
	ctx, cancel := l.hub.step()
	defer cancel()
	p, err := s.seat(ctx, q)
	if err != nil {
		return err
	}
	if err = s.take(ctx, p, string(e.id)); err != nil {
		s.leave(p)
	}
	return err
}

// seat gets the session the token of a place.
func (s *session) seat(ctx context.Context, q joinRequest) (*place, error) {
	door, id := s.hub.Access, s.live.Identity()
	if room, err := usher.ParseID(q.Room); err == nil && s.placeIn(room) != nil {
		return nil, errInRoom // before a place is made that nobody takes
	}
	if q.Participant == "" {
		invited, err := door.AddParticipant(ctx, id, q.Room, access.Place{Role: q.Role, Name: q.Name}, "")
		if err != nil {
			return nil, err
		}
		if s.placeIn(invited.Room.ID) != nil {
			return nil, errInRoom
		}
		claimed, err := door.Claim(ctx, invited.Participant.Key(), invited.Secret)
		return &place{session: s, key: invited.Participant.Key(), token: claimed.Token}, err
	}
	room, err := usher.ParseID(q.Room)
	if err != nil {
		return nil, malformed("Where a participant is named, room must be the id of the room.")
	}
	p := &place{session: s, key: usher.ParticipantKey{App: id.App, Room: room, ID: q.Participant}, token: q.Token}
	if q.Secret != "" {
		claimed, err := door.Claim(ctx, p.key, q.Secret)
		if err != nil {
			return nil, err
		}
		p.token = claimed.Token
	}
	return p, nil
}

// rejoin takes the places of a resumed session again, for the socket that has
// resumed it. Where that can't be found out now, the place stays the session's,
// and the socket is closed, so that its client comes back and it is tried again.
func (s *session) rejoin(l *link) {
	s.user.mu.Lock()
	places := slices.Clone(s.places)
	s.user.mu.Unlock()
	for _, old := range places {
		if !s.leave(old) {
			continue // another socket of the session sees to it
		}
		old.part(false)
		p := &place{session: s, key: old.key, token: old.token}
		ctx, cancel := s.hub.step()
		err := s.take(ctx, p, "")
		cancel()
		switch {
		case err == nil || errors.Is(err, errOvertaken):
		case failed(err):
			s.hub.Logger.Error("a resumed session could not be let into its room again", "room", p.key.Room, "error", err)
			l.conn.Close(socket.CodeInternal, "Your rooms could not be read; connect again.")
		case s.leave(p):
			p.tell(message{Action: "room.left", Room: string(p.key.Room), Payload: leftPayload{"removed", usher.AsError(err).Message}}.prepare())
		}
	}
}

// failed reports whether an error is no answer: another time there may be one.
func failed(err error) bool {
	switch e := usher.AsError(err); e.Kind {
	case usher.Internal, usher.Upstream:
		return true
	case usher.Unavailable:
		return e.Err != nil // of a store; a room that is full is an answer
	}
	return false
}

// errOvertaken is told to nobody: the socket that it is for closes.
var errOvertaken = usher.Errorf(usher.Conflict, "already_in_room", "A newer connection of the session is in the room.")

// take attaches a place, which becomes the session's, and tells the client. With
// an error there is no attachment.
func (s *session) take(ctx context.Context, p *place, ref string) error {
	s.user.mu.Lock()
	s.places = append(s.places, p)
	s.user.mu.Unlock()
	at, err := s.hub.Access.Attach(ctx, p.key, p.token, p)
	if err != nil {
		return err
	}
	p.at.Store(at)
	if !s.enter(p) {
		p.part(false)
		return errOvertaken
	}
	if p.over.Load() != nil { // meanwhile
		s.leave(p)
		at.Leave()
		return errNotInRoom
	}
	p.admit(at, ref)
	return nil
}
