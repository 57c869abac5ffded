package access

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/policy"
	"usher/internal/room"
)

// Changed is the reason of a visit's end after which the session is still good,
// but for something else than before: whoever comes back is told what.
const Changed EndReason = "changed"

// Visitor is a transport's end of a [Visit]. Detached is called from another
// goroutine, once at most, must not block, and may be called before Visit has
// returned and after the visit has ended.
type Visitor interface {
	// Detached says that the visit has ended and why: the connection must be closed.
	Detached(End)
}

// Visit is one live connection of a session in one of its rooms. A session can
// have any number of them: one for each page that is open.
type Visit struct {
	access  *Access
	key     usher.RoomKey
	token   usher.Digest
	visitor Visitor
	hall    *hall
	once    sync.Once

	// began is not later than the session was read.
	began time.Time
	// session is what it is visited by; nil until that was found good.
	session atomic.Pointer[usher.Session]
	out     atomic.Bool
}

// Visit brings a live connection of a session into one of its rooms. It is
// registered before the store is asked whether the session is good, so that a
// revocation that commits meanwhile finds it.
func (a *Access) Visit(ctx context.Context, token usher.Secret, ref usher.ID, visitor Visitor) (*Visit, error) {
	// Which app the room is of only the session says.
	s, _, err := a.SessionPass(ctx, token, ref)
	if err != nil {
		return nil, err
	}
	// No decision is made, which would have waited for room.
	if err := a.record.room(ctx); err != nil {
		return nil, err
	}
	v := &Visit{access: a, key: usher.RoomKey{App: s.App, ID: ref}, token: s.Token, visitor: visitor, began: a.now()}
	a.admit(v)
	s, _, err = a.SessionPass(ctx, token, ref)
	if err != nil {
		a.dismiss(v)
		return nil, err
	}
	v.session.Store(&s)
	// What was taken since either finds the visit or is found here.
	if end, over := v.over(a.now()); over {
		a.dismiss(v)
		if end.Why == Changed {
			return nil, errSessionChanged
		}
		return nil, errSessionRevoked
	}
	a.metrics.attachments.Inc()
	a.tell(ctx, usher.Event{Type: usher.Attached, App: s.App, Who: s.Who.Key(), Name: s.User, Actor: s.Who.Actor, Room: ref})
	return v, nil
}

var errSessionChanged = usher.Errorf(usher.Unavailable, "session_changed", "What the session may do has just changed; connect again.")

// Room is the room that is visited.
func (v *Visit) Room() usher.RoomKey { return v.key }

// User is what the others in the room know the visitor by.
func (v *Visit) User() string { return v.session.Load().User }

// Permissions are what the visitor may do. They don't change: a visit whose
// session may do something else ends.
func (v *Visit) Permissions() usher.Permissions {
	pass, _ := v.session.Load().Pass(v.key.ID)
	return pass.May()
}

// End ends the visit; only the first call counts. Detached may still be called
// while End runs, and not after.
func (v *Visit) End() {
	v.once.Do(func() {
		a, s := v.access, v.session.Load()
		a.dismiss(v)
		a.metrics.attachments.Dec()
		a.tell(context.Background(), usher.Event{Type: usher.Detached, App: s.App, Who: s.Who.Key(), Name: s.User, Actor: s.Who.Actor, Room: v.key.ID})
	})
}

// detach tells the visitor to close its connection, once.
func (v *Visit) detach(end End) {
	if v.out.CompareAndSwap(false, true) {
		v.visitor.Detached(end)
	}
}

// over reports whether something was taken that ends the visit.
func (v *Visit) over(now time.Time) (End, bool) {
	s := v.session.Load()
	pass, _ := s.Pass(v.key.ID)
	if t, void := v.access.taken.fromPass(*s, pass, now); void {
		return End{Revoked, reasonOf(t)}, true
	}
	if v.access.taken.changedSince(*s, v.key.ID, v.began) {
		return End{Changed, "What you may do here has changed."}, true
	}
	return End{}, false
}

// admit registers a visit with its room's hall, which the first one opens.
func (a *Access) admit(v *Visit) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v.hall = a.hallOf(v.key)
	v.hall.mu.Lock()
	defer v.hall.mu.Unlock()
	v.hall.visits[v] = struct{}{}
}

// dismiss takes a visit out of its hall, which the last one closes.
func (a *Access) dismiss(v *Visit) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v.hall.mu.Lock()
	delete(v.hall.visits, v)
	v.hall.mu.Unlock()
	a.closeEmpty(v.hall)
}

// someVisits returns the visits that which is true of.
func (h *hall) someVisits(which func(*Visit) bool) []*Visit {
	h.mu.Lock()
	defer h.mu.Unlock()
	var some []*Visit
	for v := range h.visits {
		if which(v) {
			some = append(some, v)
		}
	}
	return some
}

// begun reports whether the session was found good.
func (v *Visit) begun() bool { return v.session.Load() != nil }

// endVisits detaches the visits of a hall that are over.
func (h *hall) endVisits(now time.Time) {
	for _, v := range h.someVisits((*Visit).begun) {
		if end, over := v.over(now); over {
			v.detach(end)
		}
	}
}

// DocumentToRead returns the room whose document a caller may read.
func (a *Access) DocumentToRead(ctx context.Context, id usher.Identity, ref string) (usher.RoomKey, error) {
	r, err := a.room(ctx, id, policy.ReadRoom, ref)
	if err == nil && r.Status == usher.RoomEnded {
		err = room.ErrEnded
	}
	return r.Key(), err
}

// DocumentToWrite returns the room whose document a back end may change: one to
// which it could add somebody who may.
func (a *Access) DocumentToWrite(ctx context.Context, id usher.Identity, ref string) (usher.RoomKey, error) {
	r, err := a.rooms.Find(ctx, id.App, ref)
	if err != nil {
		return usher.RoomKey{}, err
	}
	d, err := a.decide(ctx, id, ask{action: policy.AddParticipant, room: &r, permissions: usher.Permissions{usher.Join, usher.PublishData}})
	switch {
	case err != nil:
		return usher.RoomKey{}, err
	case r.Status == usher.RoomEnded:
		return usher.RoomKey{}, room.ErrEnded
	case !d.Permissions.Has(usher.PublishData):
		return usher.RoomKey{}, usher.Errorf(usher.Forbidden, "read_only", "You may read this document, but not change it.")
	}
	return r.Key(), nil
}

// expireEvery is how often visits are held against the time of their sessions,
// which whoever serves them renews long before it is over.
const expireEvery = 10 * time.Second

// expireVisits ends, until ctx does, the visits whose session has expired.
func (a *Access) expireVisits(ctx context.Context) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := a.now()
		for _, h := range a.openHalls() {
			for _, v := range h.someVisits((*Visit).begun) {
				if v.session.Load().Expired(now) {
					a.expire(ctx, v, now)
				}
			}
		}
	}
}

// expire ends a visit, unless its session was renewed meanwhile.
func (a *Access) expire(ctx context.Context, v *Visit, now time.Time) {
	s, err := a.config.Store.Sessions().Get(ctx, v.token)
	switch {
	case err != nil:
		if ctx.Err() == nil {
			a.config.Logger.Error("a session that may have expired could not be read; it is tried again", "session", v.session.Load().ID, "error", err)
		}
	case s.Expired(now):
		v.detach(End{Revoked, "The time for which you were let in is over."})
	default:
		v.session.Store(&s)
	}
}
