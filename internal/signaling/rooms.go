package signaling

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/socket"
)

// room is the places in one room that sessions of this node have.
type room struct {
	mu     sync.Mutex
	places map[usher.ID]*place // by participant
	// roster is the last one, made ready once for all who are given it.
	roster   socket.Prepared
	rosterOf *access.Present
	rosterN  int
}

// place is a session's place in a room.
type place struct {
	session *session
	key     usher.ParticipantKey
	token   usher.Secret // opens it again
	// at is the attachment while there is one.
	at atomic.Pointer[access.Attachment]
	// over is why the place is lost for good; nil while it is not.
	over atomic.Pointer[access.End]

	mu       sync.Mutex
	admitted bool             // the client knows that it is in the room
	roster   *socket.Prepared // came before that
}

var (
	_ access.Connection = (*place)(nil)
	_ access.Watcher    = (*place)(nil)
)

// maxPlaces is in how many rooms one session can be.
const maxPlaces = 16

var (
	errNotInRoom     = usher.Errorf(usher.NotFound, "not_in_room", "You are not in this room.")
	errNoParticipant = usher.Errorf(usher.NotFound, "participant_not_found", "There is no such participant in the room now.")
	errPermission    = usher.Errorf(usher.Forbidden, "permission_missing", "You do not have the permission for that in this room.")
	errManyRooms     = usher.Errorf(usher.TooMany, "too_many_rooms", "A connection can be in %d rooms; leave one of them.", maxPlaces)
	errInRoom        = usher.Errorf(usher.Conflict, "already_in_room", "This connection is in the room already.")
)

func (p *place) roomKey() usher.RoomKey { return usher.RoomKey{App: p.key.App, ID: p.key.Room} }

// tell queues a message for the place's session.
func (p *place) tell(m socket.Prepared) bool {
	u := p.session.user
	u.mu.Lock()
	defer u.mu.Unlock()
	return p.session.link != nil && p.session.link.conn.SendPrepared(m) == nil
}

// Detached implements [access.Connection].
func (p *place) Detached(end access.End) {
	if !p.over.CompareAndSwap(nil, &end) {
		return
	}
	p.tell(message{Action: "room.left", Room: string(p.key.Room), Payload: leftPayload{string(end.Why), end.Message}}.prepare())
	p.session.leave(p)
	if at := p.at.Load(); at != nil {
		at.Leave()
	}
	if end.Why == access.Removed || end.Why == access.Revoked {
		// What it had sent before it heard of this must not pass either.
		p.session.putOut(codeRemoved, end.Message)
	}
}

// Rights implements [access.Watcher].
func (p *place) Rights(role usher.Role, permissions usher.Permissions) {
	p.mu.Lock()
	admitted := p.admitted
	p.mu.Unlock()
	if !admitted {
		return // it will be told by room.joined
	}
	p.tell(message{Action: "room.rights", Room: string(p.key.Room), Payload: rightsPayload{role, listed(permissions)}}.prepare())
}

// listed is the permissions as a list, also if there are none.
func listed(ps usher.Permissions) usher.Permissions { return append(usher.Permissions{}, ps...) }

// Roster implements [access.Connection].
func (p *place) Roster(present []access.Present) {
	roster := p.session.hub.roster(p.roomKey(), present)
	p.mu.Lock()
	if !p.admitted {
		p.roster = &roster
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	p.tell(roster)
}

// roster makes a roster ready, once for all who are given the same list.
func (h *Hub) roster(key usher.RoomKey, present []access.Present) socket.Prepared {
	var first *access.Present
	if len(present) > 0 {
		first = &present[0]
	}
	r := h.room(key)
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if first != nil && r.rosterOf == first && r.rosterN == len(present) {
			return r.roster
		}
	}
	p := rosterPayload{Participants: make([]presentPayload, len(present))}
	for i, o := range present {
		p.Participants[i] = presentPayload{o.ID, o.Name, o.Role, o.Guest}
	}
	roster := message{Action: "room.roster", Room: string(key.ID), Payload: p}.prepare()
	if r != nil {
		r.roster, r.rosterOf, r.rosterN = roster, first, len(present)
	}
	return roster
}

// admit tells the client that it is in the room, and then who is there.
func (p *place) admit(ref string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.at.Load()
	joined := message{Action: "room.joined", Ref: ref, Room: string(p.key.Room), Payload: joinedPayload{
		Participant: p.key.ID, Role: at.Participant().Role, Permissions: listed(at.Permissions()), Token: p.token.Reveal(),
	}}.prepare()
	p.tell(joined)
	p.admitted = true
	if p.roster != nil {
		p.tell(*p.roster)
		p.roster = nil
	}
}

func (h *Hub) room(key usher.RoomKey) *room {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.rooms[key]
}

// enter makes a place one of its room's here.
func (h *Hub) enter(p *place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[p.roomKey()]
	if r == nil {
		r = &room{places: make(map[usher.ID]*place)}
		h.rooms[p.roomKey()] = r
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.places[p.key.ID] = p
}

// exit is the reverse of enter.
func (h *Hub) exit(p *place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[p.roomKey()]
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.places[p.key.ID] == p {
		delete(r.places, p.key.ID)
	}
	if len(r.places) == 0 {
		delete(h.rooms, p.roomKey())
	}
}

// others returns the places in a room but one, or that of one participant.
func (r *room) others(but *place, only usher.ID) []*place {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if only != "" {
		if p := r.places[only]; p != nil {
			return []*place{p}
		}
		return nil
	}
	others := make([]*place, 0, len(r.places))
	for _, p := range r.places {
		if p != but {
			others = append(others, p)
		}
	}
	return others
}

// placeIn returns the session's place in a room.
func (s *session) placeIn(room usher.ID) *place {
	s.user.mu.Lock()
	defer s.user.mu.Unlock()
	for _, p := range s.places {
		if p.key.Room == room {
			return p
		}
	}
	return nil
}

// sharesRoom reports whether a user is in one of the session's rooms, too.
func (s *session) sharesRoom(key string) bool {
	s.user.mu.Lock()
	places := slices.Clone(s.places)
	s.user.mu.Unlock()
	for _, p := range places {
		if at := p.at.Load(); at == nil || !at.Permissions().Has(usher.Join) {
			continue
		}
		for _, o := range s.hub.room(p.roomKey()).others(p, "") {
			if at := o.at.Load(); o.session.user.key == key && at != nil && at.Permissions().Has(usher.Join) {
				return true
			}
		}
	}
	return false
}

// leave takes a place from the session.
func (s *session) leave(p *place) {
	s.hub.exit(p)
	s.user.mu.Lock()
	defer s.user.mu.Unlock()
	s.places = slices.DeleteFunc(s.places, func(o *place) bool { return o == p })
}

// part ends the attachment of a place whose socket is gone.
func (p *place) part(clean bool) {
	p.session.hub.exit(p)
	at := p.at.Swap(nil)
	switch {
	case at == nil:
	case clean:
		at.Leave()
	default:
		at.Lose()
	}
}

// rejoin takes the places of a resumed session again.
func (s *session) rejoin() {
	s.user.mu.Lock()
	places := slices.Clone(s.places)
	s.user.mu.Unlock()
	for _, old := range places {
		old.part(false)
		s.leave(old)
		p := &place{session: s, key: old.key, token: old.token}
		ctx, cancel := s.hub.step()
		err := s.take(ctx, p, "")
		cancel()
		if err != nil {
			s.user.mu.Lock()
			if s.link != nil {
				_ = s.link.conn.SendPrepared(message{Action: "room.left", Room: string(old.key.Room), Payload: leftPayload{"removed", usher.AsError(err).Message}}.prepare())
			}
			s.user.mu.Unlock()
		}
	}
}

// take attaches a place and tells the client.
func (s *session) take(ctx context.Context, p *place, ref string) error {
	s.user.mu.Lock()
	s.places = append(s.places, p)
	s.user.mu.Unlock()
	at, err := s.hub.Access.Attach(ctx, p.key, p.token, p)
	if err != nil {
		s.leave(p)
		return err
	}
	p.at.Store(at)
	s.hub.enter(p)
	if p.over.Load() != nil { // meanwhile
		s.leave(p)
		at.Leave()
		return errNotInRoom
	}
	p.admit(ref)
	return nil
}

// inRoom handles the messages about rooms.
func (l *link) inRoom(e *envelope, now time.Time) error {
	switch string(e.action) {
	case "room.join":
		return l.join(e)
	case "room.message":
		return l.relayInRoom(e, now)
	case "room.leave", "room.moderate":
	default:
		return errUnknownAction
	}
	p, err := l.place(e)
	if err != nil {
		return err
	}
	if string(e.action) == "room.moderate" {
		return l.moderate(e, p, now)
	}
	l.session.leave(p)
	if at := p.at.Swap(nil); at != nil {
		at.LeaveNow() // so that whoever is told can rely on it
	}
	p.tell(message{Action: "room.left", Room: string(p.key.Room), Payload: leftPayload{Reason: "left"}}.prepare())
	l.ack(e, "", nil)
	return nil
}

// place returns the session's place in the room of a message.
func (l *link) place(e *envelope) (*place, error) {
	id, err := usher.ParseID(string(e.room))
	if err != nil {
		return nil, errNotInRoom
	}
	p := l.session.placeIn(id)
	if p == nil || p.over.Load() != nil || p.at.Load() == nil {
		return nil, errNotInRoom
	}
	return p, nil
}

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
	return s.take(ctx, p, string(e.id))
}

// seat gets the session the token of a place.
func (s *session) seat(ctx context.Context, q joinRequest) (*place, error) {
	door, id := s.hub.Access, s.live.Identity()
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
	if s.placeIn(room) != nil {
		return nil, errInRoom
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

// speaks are the permissions of which one is needed to signal others in a room.
var speaks = usher.Permissions{usher.Subscribe, usher.PublishAudio, usher.PublishVideo, usher.PublishScreen, usher.PublishData}

// relayInRoom relays a message to everybody in a room, or to one participant.
func (l *link) relayInRoom(e *envelope, now time.Time) error {
	p, err := l.place(e)
	if err != nil {
		return err
	}
	mine := p.at.Load().Permissions()
	public := string(e.action) == "room.message"
	switch {
	case public && !mine.Has(usher.PublishData), !public && len(speaks.And(mine)) == 0:
		return errPermission
	case !public && !e.has(fieldTo):
		return errNoDestination
	}
	if !l.spread(e, p, now) {
		return errNoParticipant
	}
	l.ack(e, "", nil)
	return nil
}

// spread queues a message for everybody else in a room, or for the participant
// whom it names, and reports whether that one was reached.
func (l *link) spread(e *envelope, p *place, now time.Time) bool {
	h, me := l.hub, l.session.user
	only := usher.ID(e.to)
	frames := make(map[string]socket.Prepared, 1) // by how the receivers know the sender
	frame := func(reader string) socket.Prepared {
		from := me.from(reader)
		f, made := frames[string(from)]
		if !made {
			f = l.frame(e, from, p.key.ID, now)
			frames[string(from)] = f
		}
		return f
	}
	reached := only == ""
	for _, o := range h.room(p.roomKey()).others(p, only) {
		if at := o.at.Load(); at != nil && at.Permissions().Has(usher.Join) {
			reached = o.tell(frame(o.session.user.key)) || reached
		}
	}
	h.metrics.relayed.Inc()
	if h.nodes.some() {
		reached = h.nodes.tell(h, nodeMessage{Kind: nodeRoom, Room: p.roomKey(), Participant: only, Frame: l.frame(e, me.fromKey, p.key.ID, now).Text()}) || reached
	}
	return reached
}

// moderation is the payload of room.moderate.
type moderation struct {
	Do     string     `json:"do"`
	Role   usher.Role `json:"role"`
	Reason string     `json:"reason"`
}

// moderate does to another participant what a moderator asks for.
func (l *link) moderate(e *envelope, p *place, now time.Time) error {
	var m moderation
	if json.Unmarshal(e.payload, &m) != nil {
		return malformed("The payload of room.moderate must be an object with do.")
	}
	other, err := usher.ParseID(string(e.to))
	if err != nil {
		return errNoParticipant
	}
	ctx, cancel := l.hub.step()
	defer cancel()
	at := p.at.Load()
	switch m.Do {
	case "mute":
		switch {
		case !at.Permissions().Has(usher.Moderate):
			err = errPermission
		case !l.spread(e, p, now):
			err = errNoParticipant
		}
	case "remove":
		err = at.Remove(ctx, other, m.Reason)
	case "role":
		err = at.GiveRole(ctx, other, m.Role)
	default:
		err = malformed("A moderator can do mute, remove or role.")
	}
	if err == nil {
		l.ack(e, "", nil)
	}
	return err
}
