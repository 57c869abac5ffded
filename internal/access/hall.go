package access

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"usher"
	"usher/internal/store"
)

type entry = store.Entry

// hall is a room's live connections on this node. It hears what happens in the
// room on every node, and tells its connections.
//
// Lock order: Access.mu before hall.mu. Connections are called without locks.
type hall struct {
	access *Access
	key    usher.RoomKey

	unsubscribe func()
	stale       chan struct{} // has a value while the roster has to be sent
	stop        context.CancelFunc

	mu          sync.Mutex
	attachments map[usher.ID]*Attachment
	visits      map[*Visit]struct{}
}

// rosterPause is the least time between two rosters, so that a crowd that
// comes at once costs each of its members a few messages and not one each; and
// rosterShare what each who is there adds to it, so that a large room, whose
// rosters are long and go to many, costs each of its members no more a second
// than a small one.
const (
	rosterPause = 100 * time.Millisecond
	rosterShare = 4 * time.Millisecond
)

// hallOf returns the hall of a room, which it opens if it is closed. a.mu is held.
func (a *Access) hallOf(key usher.RoomKey) *hall {
	h := a.halls[key]
	if h == nil {
		h = a.openHall(key)
		a.halls[key] = h
	}
	return h
}

// closeEmpty closes a hall that nobody is in any more. a.mu is held.
func (a *Access) closeEmpty(h *hall) {
	h.mu.Lock()
	n := len(h.attachments) + len(h.visits)
	h.mu.Unlock()
	if n == 0 {
		delete(a.halls, h.key)
		h.close()
	}
}

// openHalls returns the halls that somebody is in.
func (a *Access) openHalls() []*hall {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Values(a.halls))
}

func (a *Access) openHall(key usher.RoomKey) *hall {
	ctx, stop := context.WithCancel(context.Background())
	h := &hall{
		access: a, key: key, stop: stop,
		stale:       make(chan struct{}, 1),
		attachments: make(map[usher.ID]*Attachment),
		visits:      make(map[*Visit]struct{}),
	}
	h.unsubscribe = a.config.Bus.Subscribe(subject(key), h.receive)
	a.background.Go(func() { h.sendRosters(ctx) })
	return h
}

func (h *hall) close() {
	h.unsubscribe()
	h.stop()
}

func (h *hall) add(at *Attachment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.attachments[at.id] = at
}

func (h *hall) drop(at *Attachment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.attachments, at.id)
}

// some returns the attachments that which is true of.
func (h *hall) some(which func(*Attachment) bool) []*Attachment {
	h.mu.Lock()
	defer h.mu.Unlock()
	var some []*Attachment
	for _, at := range h.attachments {
		if which(at) {
			some = append(some, at)
		}
	}
	return some
}

// present is how many have a connection here: participants, each once, and
// visitors.
func (h *hall) present() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	participants := make(map[usher.ID]struct{}, len(h.attachments))
	for _, at := range h.attachments {
		participants[at.key.ID] = struct{}{}
	}
	return len(participants) + len(h.visits)
}

// notice is what nodes tell each other about a room.
type notice struct {
	Kind        noticeKind `json:"kind"`
	Participant usher.ID   `json:"participant,omitempty"`
	Attachment  usher.ID   `json:"attachment,omitempty"`
	Reason      string     `json:"reason,omitempty"`
	// Role is that of a participant's record of that Version.
	Role    usher.Role `json:"role,omitempty"`
	Version int64      `json:"version,omitempty"`
}

type noticeKind string

const (
	rosterChanged       noticeKind = "roster"
	participantAttached noticeKind = "attached"
	participantRemoved  noticeKind = "removed"
	rightsChanged       noticeKind = "rights"
	roomEnded           noticeKind = "ended"
)

func subject(key usher.RoomKey) string { return "room." + key.App + "." + string(key.ID) }

// announce tells every node what has just been committed. This one is told
// first and directly: its connections are closed before the caller is answered.
func (a *Access) announce(key usher.RoomKey, n notice) {
	a.mu.Lock()
	h := a.halls[key]
	a.mu.Unlock()
	if h != nil {
		h.act(n)
	}
	data, err := json.Marshal(n)
	if err != nil {
		panic(err) // a struct of strings
	}
	a.config.Bus.Publish(subject(key), data)
}

func (a *Access) announceEnd(ctx context.Context, r usher.Room) {
	a.announce(r.Key(), notice{Kind: roomEnded, Reason: r.EndReason})
	a.abroad.review(r.Key())
	a.tell(ctx, usher.Event{Type: usher.Ended, App: r.App, Room: r.ID, Name: r.Name, Reason: r.EndReason})
}

// receive takes a notice from the bus. What this node said itself comes back
// here, and finds nothing left to do.
func (h *hall) receive(data []byte) {
	var n notice
	if err := json.Unmarshal(data, &n); err != nil {
		h.access.config.Logger.Error("a message on the bus could not be read", "subject", subject(h.key), "error", err)
		return
	}
	h.act(n)
}

func (h *hall) act(n notice) {
	switch n.Kind {
	case participantRemoved:
		h.detach(End{Removed, n.Reason}, func(at *Attachment) bool { return at.key.ID == n.Participant })
	case participantAttached:
		// The news may be late: the one that it is about may be the older one.
		rivals := h.some(func(at *Attachment) bool { return at.key.ID == n.Participant && at.place.Load() != nil })
		if len(rivals) > 1 || len(rivals) == 1 && rivals[0].id != n.Attachment {
			h.access.background.Go(func() { h.replace(rivals) })
		}
	case rightsChanged:
		h.changeRights(n)
	case roomEnded:
		end := End{RoomEnded, n.Reason}
		h.detach(end, func(*Attachment) bool { return true })
		for _, v := range h.someVisits(func(*Visit) bool { return true }) {
			v.detach(end)
		}
		return
	}
	h.refresh()
}

// refresh has the roster sent.
func (h *hall) refresh() {
	select {
	case h.stale <- struct{}{}:
	default:
	}
}

// replace detaches those of a participant's attachments that do not hold its
// seat any more. The store says which one does: news may be late.
func (h *hall) replace(rivals []*Attachment) {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	e, err := h.access.rooms.Participant(ctx, rivals[0].key)
	if err != nil {
		h.access.config.Logger.Error("a participant with two connections could not be read", "participant", rivals[0].key.ID, "error", err)
		return
	}
	for _, at := range rivals {
		if at.id != e.Participant.Attachment {
			at.detach(End{Replaced, "You have connected again elsewhere."})
		}
	}
}

func (h *hall) detach(end End, which func(*Attachment) bool) {
	for _, at := range h.some(which) {
		at.detach(end)
	}
}

// sendRosters sends the full roster whenever it may have changed.
func (h *hall) sendRosters(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.stale:
		}
		present, err := h.access.present(ctx, h.key)
		if err != nil {
			if ctx.Err() == nil {
				h.access.config.Logger.Error("a roster could not be read; it is tried again", "room", h.key.ID, "error", err)
			}
			h.refresh()
		}
		for _, at := range h.some(func(*Attachment) bool { return true }) {
			at.conn.Roster(present)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(rosterPause, time.Duration(len(present))*rosterShare)):
		}
	}
}

// present reads who is in a room: everyone who has been connected and has not
// left, in the order in which they were invited.
func (a *Access) present(ctx context.Context, key usher.RoomKey) ([]Present, error) {
	var present []Present
	q := store.ParticipantQuery{Room: key, Status: usher.ParticipantJoined, Limit: 500}
	for {
		page, err := a.rooms.Participants(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, p := range page {
			if p.Seated() && (p.Hold != usher.LeaseHold || !p.LostAt.IsZero()) {
				present = append(present, Present{ID: p.ID, Who: p.Identity, Name: p.Name, Role: p.Role, Guest: isGuest(p.Identity)})
			}
		}
		if len(page) < q.Limit {
			return present, nil
		}
		q.After = page[len(page)-1].ID
	}
}

// placeEnded tells of a place whose time was over. Its connection, if it has
// one, is closed; the others see it gone.
func (a *Access) placeEnded(e entry) {
	n := notice{Kind: rosterChanged}
	if p := e.Participant; !p.Expires.IsZero() && !a.now().Before(p.Expires) {
		n = notice{Kind: participantRemoved, Participant: p.ID, Reason: "The time for which you were let in is over."}
	}
	a.announce(e.Room.Key(), n)
}
