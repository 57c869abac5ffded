package access

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/platform"
	"usher/internal/room"
	"usher/internal/store"
)

// What rooms have on foreign platforms is written down when a credential is
// given out, so that it can be taken back later: stays.go. What must be taken
// back is found by holding each stay against what is true in the store:
// review.go. That the platform does it is seen to until it has: eject.go.

// abroad is what can be asked of platforms beside credentials.
type abroad struct {
	reach map[string]*reach

	mu sync.Mutex
	// everything and rooms are what has to be reviewed, and wake has a value
	// while there is something.
	everything bool
	rooms      map[usher.RoomKey]bool
	wake       chan struct{}
	// opened is which rooms are written down, and open, on which platform.
	opened map[openKey]*opening
}

// reach is one platform, as far as it can do more than issue credentials.
type reach struct {
	name    string
	can     atomic.Pointer[abilities]
	wake    chan struct{} // has a value while something may be due
	failing atomic.Bool   // it was asked in vain the last time
}

// abilities are what a platform can do more, nil what it can't.
type abilities struct {
	ejector platform.Ejector
	closer  platform.RoomCloser
	keeper  platform.RoomKeeper
	endless bool // it does not know when a stay ends
}

// abilitiesOf returns those of a platform, or nil if it has none.
func abilitiesOf(p platform.Platform) *abilities {
	var can abilities
	can.ejector, _ = p.(platform.Ejector)
	can.closer, _ = p.(platform.RoomCloser)
	can.keeper, _ = p.(platform.RoomKeeper)
	_, can.endless = p.(platform.Enroller)
	if can.ejector == nil && can.closer == nil && can.keeper == nil {
		return nil
	}
	return &can
}

// same reports whether two platforms can do the same.
func (c *abilities) same(d *abilities) bool {
	if c == nil || d == nil {
		return c == d
	}
	return (c.ejector == nil) == (d.ejector == nil) && (c.closer == nil) == (d.closer == nil) &&
		(c.keeper == nil) == (d.keeper == nil) && c.endless == d.endless
}

func newAbroad(platforms map[string]platform.Platform) *abroad {
	b := &abroad{
		reach: make(map[string]*reach), rooms: make(map[usher.RoomKey]bool), opened: make(map[openKey]*opening),
		everything: true, wake: make(chan struct{}, 1),
	}
	b.wake <- struct{}{} // nobody knows what an earlier run has left
	for name, p := range platforms {
		if can := abilitiesOf(p); can != nil {
			at := &reach{name: name, wake: make(chan struct{}, 1)}
			at.can.Store(can)
			b.reach[name] = at
		}
	}
	return b
}

// remember is for how long after its last credential has ended it is known that
// somebody may still be in a room: a platform that looks at credentials only at
// the door keeps whoever is in. For as long, a platform is asked to do something.
const remember = 24 * time.Hour

// letIn writes down to whom a credential is about to be given, and sees to it
// that its room is there. What was taken away meanwhile has either found the
// stay, or is found here.
func (a *Access) letIn(ctx context.Context, id usher.Identity, r usher.Room, spec CredentialSpec, seat usher.ID, issued Issued) error {
	at := a.abroad.reach[spec.Platform]
	if at == nil {
		return nil
	}
	if err := a.open(ctx, at, r, spec.Format); err != nil {
		return err
	}
	if at.can.Load().ejector == nil || spec.Subject == "" {
		return nil // nobody could say who shall be put out
	}
	key := usher.StayKey{App: r.App, Room: r.ID, Platform: spec.Platform, Identity: id.Key(), Subject: spec.Subject}
	s, err := a.config.Store.Stays().Change(ctx, key, func(s usher.Stay) (usher.Stay, error) {
		s.Maker, s.ProvenAt, s.Grant, s.Participant = maker(id), id.IssuedAt, issued.Grant, seat
		s.Expires = latest(s.Expires, issued.ExpiresAt)
		if at.can.Load().endless && s.Over.IsZero() {
			s.Due, s.Reason = s.Expires, "The time for which you were let in is over."
		}
		return s, nil
	})
	if err != nil {
		return wrapf("write down a stay", err)
	}
	if _, void := a.taken.fromParticipant(placeOf(s), a.now()); void {
		a.abroad.review(r.Key())
		return errMeanwhile
	}
	now, err := a.rooms.Get(ctx, r.Key())
	if err == nil && now.Status == usher.RoomEnded {
		a.abroad.review(r.Key())
		return room.ErrEnded
	}
	return err
}

var errMeanwhile = usher.Errorf(usher.Forbidden, "taken_away", "Your access was taken away while you asked for it.")

// placeOf is a stay as the place that it is like, to be held against what was
// taken away.
func placeOf(s usher.Stay) usher.Participant {
	return usher.Participant{
		App: s.App, Room: s.Room, ID: s.Grant, Identity: s.Identity, Maker: s.Maker, ProvenAt: s.ProvenAt, Grant: s.Grant,
	}
}

// roomAbroad is what a room is called on a foreign platform.
func roomAbroad(r usher.Room) string { return cmp.Or(r.Name, string(r.ID)) }

// openFor is how long a room that was found open counts as open: for as long at
// most, credentials are given out for a room that the platform has lost, as
// Janus does when it is restarted.
const openFor = 30 * time.Second

// openKey finds an opening. A room that need not be opened is only written down.
type openKey struct {
	room     usher.RoomKey
	platform string
	open     bool
}

// opening is one attempt to open a room, which all who need it share.
type opening struct {
	at   time.Time
	done chan struct{} // closed when err counts
	err  error
}

// failed reports whether the attempt came to nothing.
func (o *opening) failed() bool {
	select {
	case <-o.done:
		return o.err != nil
	default:
		return false
	}
}

// open writes down that a room is on a platform, so that it is closed there
// when it ends, and opens it if the format needs that.
func (a *Access) open(ctx context.Context, at *reach, r usher.Room, format string) error {
	key := openKey{r.Key(), at.name, at.can.Load().keeper != nil && at.can.Load().keeper.KeepsRoom(format)}
	if at.can.Load().closer == nil && !key.open {
		return nil
	}
	b := a.abroad
	b.mu.Lock()
	o := b.opened[key]
	if o == nil || o.failed() || key.open && a.now().Sub(o.at) >= openFor {
		o = &opening{at: a.now(), done: make(chan struct{})}
		b.opened[key] = o
		a.background.Go(func() {
			// It is everybody's, so that it does not end with who asked first.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
			defer cancel()
			o.err = a.openNow(ctx, at, r, key.open)
			close(o.done)
		})
	}
	b.mu.Unlock()
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return wrapf("open a room", ctx.Err())
	}
}

func (a *Access) openNow(ctx context.Context, at *reach, r usher.Room, open bool) error {
	if err := a.noteRoom(ctx, at, r); err != nil || !open {
		return err
	}
	if err := at.can.Load().keeper.OpenRoom(ctx, roomAbroad(r)); err != nil {
		return fmt.Errorf("access: open the room on %s: %w", at.name, err)
	}
	now, err := a.rooms.Get(ctx, r.Key())
	if err != nil || now.Status != usher.RoomEnded {
		return err
	}
	// It has ended meanwhile, and may have been closed before it was opened.
	if err := a.noteRoom(ctx, at, r); err != nil {
		return err
	}
	a.abroad.review(r.Key())
	return room.ErrEnded
}

// noteRoom writes down that a room is on a platform.
func (a *Access) noteRoom(ctx context.Context, at *reach, r usher.Room) error {
	if at.can.Load().closer == nil {
		return nil
	}
	key := usher.StayKey{App: r.App, Room: r.ID, Platform: at.name}
	_, err := a.config.Store.Stays().Change(ctx, key, func(s usher.Stay) (usher.Stay, error) {
		if s.Version > 0 {
			return s, store.ErrUnchanged
		}
		return s, nil
	})
	if err != nil {
		return wrapf("write down a room", err)
	}
	return nil
}

// forgetOpened lets go of what was found open long ago.
func (b *abroad) forgetOpened(now time.Time) {
	b.forget(func(_ openKey, o *opening) bool { return now.Sub(o.at) >= openFor })
}

// distrust lets go of all that was found open on a platform that failed: it may
// have lost it.
func (b *abroad) distrust(platform string) {
	b.forget(func(key openKey, _ *opening) bool { return key.platform == platform })
}

func (b *abroad) forget(which func(openKey, *opening) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.opened, which)
}

// Occupancy is how many are in a room on a platform.
type Occupancy struct {
	Platform string
	Count    int
	// Err is why nobody knows.
	Err error
}

// Occupancy asks every platform that a room is on, and that can count, how many
// are in it there.
func (a *Access) Occupancy(ctx context.Context, id usher.Identity, ref string) ([]Occupancy, error) {
	r, err := a.Room(ctx, id, ref)
	if err != nil {
		return nil, err
	}
	stays, err := a.config.Store.Stays().List(ctx, store.StayQuery{Room: r.Key()})
	if err != nil {
		return nil, wrapf("list stays", err)
	}
	var all []Occupancy
	for _, s := range stays {
		if counter, ok := a.platforms()[s.Platform].(platform.Counter); ok && s.Subject == "" {
			n, err := counter.Count(ctx, roomAbroad(r))
			all = append(all, Occupancy{Platform: s.Platform, Count: n, Err: err})
		}
	}
	return all, nil
}
