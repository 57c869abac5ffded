package signaling

import (
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
	mu sync.Mutex
	// places are by participant, who has two for as long as a newer connection
	// replaces an older one.
	places map[usher.ID][]*place
	// roster is made of present, the last list of who is there on any node, once
	// for all who are given it.
	roster  socket.Prepared
	present []access.Present
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

	// mu is also held from when a message's rights are looked at until it is
	// queued, so that who takes a right waits for what passed by it.
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
	p.settled()
	if p.session.leave(p) {
		p.tell(message{Action: "room.left", Room: string(p.key.Room), Payload: leftPayload{string(end.Why), end.Message}}.prepare())
	}
	if at := p.at.Load(); at != nil {
		at.Leave()
	}
	if end.Why == access.Removed || end.Why == access.Revoked {
		// What it had sent before it heard of this must not pass either.
		p.session.putOut(codeRemoved, end.Message)
	}
}

// settled waits until what passed by the rights of before is queued.
func (p *place) settled() {
	p.mu.Lock()
	defer p.mu.Unlock()
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
	r := h.room(key)
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(present) > 0 && len(r.present) == len(present) && &r.present[0] == &present[0] {
			return r.roster
		}
	}
	p := rosterPayload{Participants: make([]presentPayload, len(present))}
	for i, o := range present {
		p.Participants[i] = presentPayload{o.ID, o.Name, o.Role, o.Guest}
	}
	roster := message{Action: "room.roster", Room: string(key.ID), Payload: p}.prepare()
	if r != nil {
		r.roster, r.present = roster, present
	}
	return roster
}

// admit tells the client that it is in the room, and then who is there.
func (p *place) admit(at *access.Attachment, ref string) {
	p.mu.Lock()
	defer p.mu.Unlock()
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
		r = &room{places: make(map[usher.ID][]*place)}
		h.rooms[p.roomKey()] = r
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.places[p.key.ID] = append(r.places[p.key.ID], p)
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
	left := slices.DeleteFunc(r.places[p.key.ID], func(o *place) bool { return o == p })
	if r.places[p.key.ID] = left; len(left) == 0 {
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
		return slices.Clone(r.places[only])
	}
	others := make([]*place, 0, len(r.places))
	for _, places := range r.places {
		for _, p := range places {
			if p != but {
				others = append(others, p)
			}
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

// lists reports whether a user was in the room when the last list was made.
func (r *room) lists(key string) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.present, func(p access.Present) bool { return p.Who == key })
}

// sharesRoom reports whether a user is in one of the session's rooms, too. Of
// who is connected to another node, the list of who is there says it.
func (s *session) sharesRoom(key string) bool {
	abroad := s.hub.nodes.status(userKey{s.user.app, key}) != offline
	s.user.mu.Lock()
	places := slices.Clone(s.places)
	s.user.mu.Unlock()
	for _, p := range places {
		if at := p.at.Load(); at == nil || !at.Permissions().Has(usher.Join) {
			continue
		}
		r := s.hub.room(p.roomKey())
		if abroad && r.lists(key) {
			return true
		}
		for _, o := range r.others(p, "") {
			if at := o.at.Load(); o.session.user.key == key && at != nil && at.Permissions().Has(usher.Join) {
				return true
			}
		}
	}
	return false
}

// enter makes a place that has its attachment one of its room's, if it still is
// the session's: a newer socket may have taken the session over.
func (s *session) enter(p *place) bool {
	s.user.mu.Lock()
	defer s.user.mu.Unlock()
	if !slices.Contains(s.places, p) {
		return false
	}
	s.hub.enter(p)
	return true
}

// leave takes a place from the session, and reports whether it had it.
func (s *session) leave(p *place) bool {
	s.user.mu.Lock()
	defer s.user.mu.Unlock()
	had := len(s.places)
	s.places = slices.DeleteFunc(s.places, func(o *place) bool { return o == p })
	s.hub.exit(p)
	return len(s.places) < had
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
	p, at, err := l.place(e)
	if err != nil {
		return err
	}
	if string(e.action) == "room.moderate" {
		return l.moderate(e, p, at, now)
	}
	l.session.leave(p)
	if at := p.at.Swap(nil); at != nil {
		at.LeaveNow() // so that whoever is told can rely on it
	}
	p.tell(message{Action: "room.left", Room: string(p.key.Room), Payload: leftPayload{Reason: "left"}}.prepare())
	l.ack(e, "", nil)
	return nil
}

// place returns the session's place in the room of a message, and its attachment.
func (l *link) place(e *envelope) (*place, *access.Attachment, error) {
	id, err := usher.ParseID(string(e.room))
	if err != nil {
		return nil, nil, errNotInRoom
	}
	p := l.session.placeIn(id)
	if p == nil || p.over.Load() != nil {
		return nil, nil, errNotInRoom
	}
	at := p.at.Load()
	if at == nil {
		return nil, nil, errNotInRoom
	}
	return p, at, nil
}

// speaks are the permissions of which one is needed to signal others in a room.
var speaks = usher.Permissions{usher.Subscribe, usher.PublishAudio, usher.PublishVideo, usher.PublishScreen, usher.PublishData}

// relayInRoom relays a message to everybody in a room, or to one participant.
func (l *link) relayInRoom(e *envelope, now time.Time) error {
	p, at, err := l.place(e)
	if err != nil {
		return err
	}
	public := string(e.action) == "room.message"
	if !public && !e.has(fieldTo) {
		return errNoDestination
	}
	err = l.spread(e, p, now, func() bool {
		mine := at.Permissions()
		return public && mine.Has(usher.PublishData) || !public && len(speaks.And(mine)) > 0
	})
	if err == nil {
		l.ack(e, "", nil)
	}
	return err
}

// spread queues a message for everybody else in a room, or for the participant
// whom it names, if the sender may.
func (l *link) spread(e *envelope, p *place, now time.Time, may func() bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !may() {
		return errPermission
	}
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
		reached = h.nodes.tell(h, nodeMessage{Kind: nodeRoom, Room: p.roomKey(), Participant: only, Frame: l.frame(e, me.named().key, p.key.ID, now).Text()}) || reached
	}
	if !reached {
		return errNoParticipant
	}
	return nil
}

// moderation is the payload of room.moderate.
type moderation struct {
	Do     string     `json:"do"`
	Role   usher.Role `json:"role"`
	Reason string     `json:"reason"`
}

// moderate does to another participant what a moderator asks for.
func (l *link) moderate(e *envelope, p *place, at *access.Attachment, now time.Time) error {
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
	switch m.Do {
	case "mute":
		err = l.spread(e, p, now, func() bool { return at.Permissions().Has(usher.Moderate) })
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
