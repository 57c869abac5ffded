package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"usher"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store"
)

// How platforms are asked to put people out and to close rooms.
const (
	// askEvery is how often a worker looks for what is due without being woken.
	askEvery = time.Second
	// askTimeout bounds one question, and askLease is for how long no other
	// worker asks the same.
	askTimeout = 25 * time.Second
	askLease   = 30 * time.Second
	askAtOnce  = 8
	askBatch   = 500
	// firstRetry is how long a platform that failed is left alone, and lastRetry
	// what that is doubled to at most.
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
	// watchEvery is how often somebody who was put out is looked for again while
	// the credential that let them in is still good.
	watchEvery = 30 * time.Second
	// maxFailure is how much of a failure is kept, in characters.
	maxFailure = 300
)

// askPlatform has a platform do what is due there until ctx ends.
func (a *Access) askPlatform(ctx context.Context, at *reach) {
	a.metrics.asks(at.name)
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-at.wake:
		}
		if err := a.askDue(ctx, at); err != nil && ctx.Err() == nil {
			a.config.Logger.Error("looking for what a platform must be asked failed; it is tried again", "platform", at.name, "error", err)
		}
	}
}

// askDue asks for everything that is due now.
func (a *Access) askDue(ctx context.Context, at *reach) error {
	stays, err := a.config.Store.Stays().Due(ctx, at.name, askBatch)
	if err != nil {
		return wrapf("due stays", err)
	}
	pending, now := 0, a.now()
	var asking sync.WaitGroup
	slots := make(chan struct{}, askAtOnce)
	for _, s := range stays {
		if s.Done.IsZero() && !lasting(s, now) {
			pending++
		}
		if s.Due.After(now) || ctx.Err() != nil {
			continue
		}
		slots <- struct{}{}
		asking.Go(func() {
			defer func() { <-slots }()
			a.ask(ctx, at, s)
		})
	}
	a.metrics.pendingEjections.WithLabelValues(at.name).Set(float64(pending))
	asking.Wait()
	return nil
}

// lasting reports whether a stay is in order, and the platform is to be asked
// only when its time is over.
func lasting(s usher.Stay, now time.Time) bool {
	return s.Over.IsZero() && s.Due.After(now) && s.Attempts == 0
}

// errOthers says that another worker has taken a stay on.
var errOthers = errors.New("another worker asks for it")

// ask asks for the end of one stay, unless another worker does, and writes down
// what came of it.
func (a *Access) ask(ctx context.Context, at *reach, s usher.Stay) {
	now, again := a.now(), false
	s, err := a.config.Store.Stays().Change(ctx, s.Key(), func(current usher.Stay) (usher.Stay, error) {
		if current.Due.IsZero() || current.Due.After(now) {
			return current, errOthers
		}
		if again = !current.Done.IsZero() && letInAgain(current); again {
			return resumed(current), nil // whoever is there now may be
		}
		current.Due = now.Add(askLease)
		return current, nil
	})
	if err != nil {
		if !errors.Is(err, errOthers) && ctx.Err() == nil {
			a.config.Logger.Error("an ejection could not be begun; it is tried again", "platform", at.name, "error", err)
		}
		return
	}
	if again {
		return
	}
	failure := a.endStay(ctx, at, s)
	// The answer is written down also when the process is about to end.
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	end := ending{access: a, asked: s, failure: failure, stopping: ctx.Err() != nil && failure != nil, now: a.now()}
	if _, err := a.config.Store.Stays().Change(limit, s.Key(), end.apply); err != nil {
		a.config.Logger.Error("what came of an ejection could not be written down; it is tried again", "platform", at.name, "room", s.Room, "error", err)
		return
	}
	end.tell(limit, at)
}

// endStay asks a platform to end a stay.
func (a *Access) endStay(ctx context.Context, at *reach, s usher.Stay) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	can := at.can.Load()
	r, err := a.rooms.Get(ctx, s.RoomKey())
	switch {
	case errors.Is(err, room.ErrNotFound):
		return fmt.Errorf("access: the room is not known any more: %w", errors.ErrUnsupported)
	case err != nil:
		return err
	case s.Subject != "" && can.ejector == nil, s.Subject == "" && can.closer == nil:
		return fmt.Errorf("access: %s can't do it: %w", at.name, errors.ErrUnsupported)
	}
	if heir, err := a.succeeded(ctx, at, r, s.Subject); err != nil || heir {
		return err
	}
	if s.Subject != "" {
		return can.ejector.Eject(ctx, roomAbroad(r), s.Subject)
	}
	return can.closer.CloseRoom(ctx, roomAbroad(r))
}

// succeeded reports whether a newer room has taken a room's name over on a
// platform: then it is not the older one's to close any more, nor to put
// somebody out of whom the newer one has let in.
func (a *Access) succeeded(ctx context.Context, at *reach, r usher.Room, subject string) (bool, error) {
	if r.Name == "" {
		return false, nil
	}
	heir, err := a.rooms.Find(ctx, r.App, r.Name)
	if errors.Is(err, room.ErrNotFound) || err == nil && heir.ID == r.ID {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	stays, err := a.config.Store.Stays().List(ctx, store.StayQuery{Room: heir.Key()})
	if err != nil {
		return false, wrapf("list stays", err)
	}
	for _, s := range stays {
		if s.Platform == at.name && (subject == "" || s.Subject == subject && s.Over.IsZero()) {
			return true, nil
		}
	}
	return false, nil
}

// ending is what came of asking for the end of a stay.
type ending struct {
	access *Access
	// asked is the stay as it was when the platform was asked.
	asked    usher.Stay
	failure  error
	stopping bool // the platform was not given the time to answer
	now      time.Time
	// written reports whether the stay was still this worker's.
	written bool
}

// apply is the change of the stay.
func (e *ending) apply(s usher.Stay) (usher.Stay, error) {
	if e.written = s.Due.Equal(e.asked.Due); !e.written {
		return s, store.ErrUnchanged
	}
	if e.failure != nil && !e.final() {
		s.Due = e.now
		if !e.stopping {
			s.Due = e.now.Add(min(lastRetry, firstRetry<<min(s.Attempts, 10)))
			s.Attempts++
			s.Failure = strings.ToValidUTF8(fmt.Sprintf("%.*s", maxFailure, e.failure.Error()), "")
		}
		return s, nil
	}
	if letInAgain(s) {
		return resumed(s), nil
	}
	if e.failure != nil || !e.now.Before(s.Expires) {
		return s, store.ErrDelete
	}
	// The platform can't refuse the credential, so that its bearer is looked for
	// again until it ends.
	if s.Done.IsZero() {
		s.Done = e.now
	}
	s.Due = earliest(e.now.Add(watchEvery), s.Expires)
	s.Attempts, s.Failure = 0, ""
	return s, nil
}

// letInAgain reports whether somebody was given a credential after the stay had
// to end.
func letInAgain(s usher.Stay) bool { return !s.Over.IsZero() && s.IssuedAt().After(s.Over) }

// resumed is the stay of who was let in again: one like any other.
func resumed(s usher.Stay) usher.Stay {
	s.Over, s.Reason, s.Due, s.Done, s.Attempts, s.Failure = time.Time{}, "", time.Time{}, time.Time{}, 0, ""
	return s
}

// final reports whether it is no use to ask again: the platform can't, the
// credential has ended long ago, or whoever has it was put out before it ended.
func (e *ending) final() bool {
	s := e.asked
	switch {
	case e.stopping:
		return false
	case errors.Is(e.failure, errors.ErrUnsupported):
		return true
	case !s.Done.IsZero():
		return !e.now.Before(s.Expires)
	default:
		return !e.now.Before(latest(s.Over, s.Expires).Add(remember))
	}
}

// tell counts, logs and records what came of it.
func (e *ending) tell(ctx context.Context, at *reach) {
	if !e.written || e.stopping {
		return
	}
	a, s := e.access, e.asked
	switch {
	case e.failure == nil:
		if at.failing.CompareAndSwap(true, false) {
			a.config.Logger.Info("a platform puts people out again", "platform", at.name)
		}
		if s.Done.IsZero() {
			a.metrics.ejections.WithLabelValues(at.name, "done").Inc()
			a.tell(ctx, stayEvent(usher.Ejected, s, s.Reason))
		}
	case e.final():
		if s.Done.IsZero() {
			a.notEjected(ctx, s, e.failure)
		}
	default:
		a.metrics.ejections.WithLabelValues(at.name, "retried").Inc()
		if at.failing.CompareAndSwap(false, true) {
			a.abroad.distrust(at.name)
			a.config.Logger.Warn("a platform does not put people out; it is asked until it does", "platform", at.name, "room", s.Room, "error", e.failure)
		}
	}
}

// notEjected says that a platform will not end a stay.
func (a *Access) notEjected(ctx context.Context, s usher.Stay, why error) {
	a.config.Logger.Error("a platform did not put somebody out, or close a room, and is not asked again", "platform", s.Platform, "room", s.Room, "error", why)
	a.metrics.ejections.WithLabelValues(s.Platform, "failed").Inc()
	a.tell(ctx, stayEvent(usher.NotEjected, s, why.Error()))
}

// stayEvent tells of a stay. Nobody in particular is the whole room.
func stayEvent(what usher.EventType, s usher.Stay, why string) usher.Event {
	subject := "the room"
	if s.Subject != "" {
		subject = s.Subject
	}
	return usher.Event{
		Type: what, App: s.App, Who: s.Identity, Room: s.Room, Participant: s.Participant,
		Reason: fmt.Sprintf("%s on %s: %s", subject, s.Platform, why),
	}
}

// Ejections returns the stays that have yet to end on a platform, or were ended
// there while their credentials are good, by when it is asked next.
func (a *Access) Ejections(ctx context.Context, id usher.Identity) ([]usher.Stay, error) {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return nil, err
	}
	var all []usher.Stay
	for _, name := range a.PlatformNames() {
		stays, err := a.config.Store.Stays().Due(ctx, name, askBatch)
		if err != nil {
			return nil, wrapf("due stays", err)
		}
		for _, s := range stays {
			if s.App == id.App && !lasting(s, a.now()) {
				all = append(all, s)
			}
		}
	}
	return all, nil
}
