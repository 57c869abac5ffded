package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"usher"
	"usher/internal/socket"
)

// status is what others see of a user.
type status int32

const (
	offline status = iota
	online
	busy     // in a call
	awayFrom // so said by all of the user's devices
)

// statusNames are the statuses as the protocol calls them.
var statusNames = [...]string{"offline", "online", "busy", "away"}

// MarshalText writes the status as the protocol calls it.
func (s status) MarshalText() ([]byte, error) { return []byte(statusNames[s]), nil }

// UnmarshalText reads what MarshalText writes.
func (s *status) UnmarshalText(text []byte) error {
	i := slices.Index(statusNames[:], string(text))
	if i < 0 {
		return errors.New("unknown status")
	}
	*s = status(i)
	return nil
}

// coalesce is the least time between two rounds of telling, so that who comes,
// goes and comes again costs others one message and not three.
const coalesce = 250 * time.Millisecond

// tender collects the users whose presence must be looked at again.
type tender struct {
	mu      sync.Mutex
	changed map[*user]struct{} // who may have another status
	stale   map[*user]struct{} // who may know others
	wake    chan struct{}
}

func newTender() tender {
	return tender{changed: make(map[*user]struct{}), stale: make(map[*user]struct{}), wake: make(chan struct{}, 1)}
}

func (t *tender) recount(u *user) { t.note(u, func() map[*user]struct{} { return t.changed }) }
func (t *tender) restudy(u *user) { t.note(u, func() map[*user]struct{} { return t.stale }) }

func (t *tender) note(u *user, in func() map[*user]struct{}) {
	t.mu.Lock()
	in()[u] = struct{}{}
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// take returns what was collected.
func (t *tender) take() (changed, stale map[*user]struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed, stale = t.changed, t.stale
	t.changed, t.stale = make(map[*user]struct{}), make(map[*user]struct{})
	return changed, stale
}

// tendPresence tells people of each other until ctx ends.
func (h *Hub) tendPresence(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.tend.wake:
		}
		changed, stale := h.tend.take()
		for u := range stale {
			u.study()
		}
		for u := range changed {
			h.show(u)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(coalesce):
		}
	}
}

// show tells those who may know what a user is now, if that has changed.
func (h *Hub) show(u *user) {
	now := u.status(h.Now())
	if status(u.shown.Swap(int32(now))) == now {
		return
	}
	if current := h.user(u.app, u.key); now == offline && current != nil && current != u {
		return // who is back already
	}
	u.mu.Lock()
	readers := u.mutual
	u.mu.Unlock()
	h.tellStatus(u.userKey, h.statusOf(u.userKey), readers) // who has left here may be elsewhere
	h.nodes.tell(h, nodeMessage{Kind: nodeStatus, App: u.app, Key: u.key, Status: now, Readers: readers})
}

// tellStatus tells those of the readers who are connected here what a user is.
func (h *Hub) tellStatus(of userKey, now status, readers []string) {
	frames := make(map[string]socket.Prepared) // by what the readers call the user
	for _, key := range readers {
		reader := h.user(of.app, key)
		if reader == nil {
			continue
		}
		id := reader.idFor(of.key)
		frame, made := frames[id]
		if !made {
			frame = presence(id, now)
			frames[id] = frame
		}
		reader.send(frame, "")
	}
}

func presence(id string, now status) socket.Prepared {
	there := now != offline
	return message{Action: "presence", Payload: statusPayload{UserID: id, Status: now, Online: &there}}.prepare()
}

// study reads whom the user may know of, and tells the user what is new.
func (u *user) study() {
	ctx, cancel := u.hub.step()
	defer cancel()
	mutual, err := u.hub.Access.Mutual(ctx, u.app, u.key)
	if err != nil {
		u.hub.Logger.Error("whom a user knows could not be read; it is tried again", "error", err)
		u.hub.tend.restudy(u)
		return
	}
	slices.Sort(mutual)
	u.mu.Lock()
	before := u.mutual
	u.mutual = mutual
	u.mu.Unlock()
	for _, key := range mutual {
		if _, known := slices.BinarySearch(before, key); known {
			continue
		}
		if now := u.hub.statusOf(userKey{u.app, key}); now != offline {
			u.send(presence(u.idFor(key), now), "")
		}
	}
	for _, key := range before {
		if _, still := slices.BinarySearch(mutual, key); !still {
			u.send(presence(u.idFor(key), offline), "")
		}
	}
}

// statusOf returns what others were told of a user last.
func (h *Hub) statusOf(of userKey) status {
	if u := h.user(of.app, of.key); u != nil {
		if s := status(u.shown.Load()); s != offline {
			return s
		}
	}
	return h.nodes.status(of)
}

// shownOf returns the status of everybody whom a user may know of and who is
// there. The caller holds the user's mu.
func (h *Hub) shownOf(u *user) []statusPayload {
	list := []statusPayload{}
	for _, key := range u.mutual {
		if s := h.statusOf(userKey{u.app, key}); s != offline {
			list = append(list, statusPayload{UserID: u.idFor(key), Status: s})
		}
	}
	return list
}

// Online returns which of the users of these keys are there.
func (h *Hub) Online(_ context.Context, app string, keys []string) (map[string]bool, error) {
	there := make(map[string]bool)
	for _, key := range keys {
		if h.statusOf(userKey{app, key}) != offline {
			there[key] = true
		}
	}
	return there, nil
}

// setStatus takes what a client says of its user.
func (l *link) setStatus(e *envelope) {
	var p struct {
		Status string `json:"status"`
	}
	if json.Unmarshal(e.payload, &p) != nil || p.Status != "online" && p.Status != "away" {
		l.fail(e, malformed("The payload of presence must be an object with the status online or away."))
		return
	}
	s, away := l.session, p.Status == "away"
	if err := l.hub.keep(s, func(a *usher.Attachment) { a.Away = away }); err != nil {
		l.fail(e, err)
		return
	}
	s.user.mu.Lock()
	s.away = away
	s.user.mu.Unlock()
	l.hub.tend.recount(s.user)
	l.ack(e, "", nil)
}
