// Package call keeps calls between two people: who rings whom, who answered,
// and how it ended.
//
// It does not ask whether a caller is allowed to call; package access does. The
// rules are pure steps (transition.go) that a store applies atomically; the
// service adds clock and ids, does what became due while nobody acted, and says
// after each step whom to tell what.
package call

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"usher"
	"usher/internal/store"
)

// Deps is what a [Service] works with.
type Deps struct {
	Store  store.Calls
	IDs    *usher.IDSource
	Now    func() time.Time
	Logger *slog.Logger
	// Node is the epoch of this process, by which a store knows whose devices
	// are connected to it; empty where connections are no process's.
	Node usher.ID
	// Started is since when devices could come back and report; zero is now, with
	// this process.
	Started time.Time
	// Changed is told of every call that this process changed, as it is now, and
	// of whom to tell what; in the order of the changes, and before the method
	// that made the change returns. It must neither block nor call the service.
	Changed func(usher.Call, []Notice)
}

// Service keeps calls. It is safe for concurrent use.
//
// Who holds a device's connection calls Attach when it is there and Lose when
// it is gone, and nothing else for it before the one or after the other.
type Service struct {
	Deps
	config  Config
	started time.Time
	lines   lines
}

// New returns a service.
func New(config Config, deps Deps) *Service {
	s := &Service{Deps: deps, config: config, started: deps.Started, lines: lines{busy: make(map[line]*waiting)}}
	if s.started.IsZero() {
		s.started = clock(deps.Now)
	}
	return s
}

// clock reads the time as stores keep it.
func clock(now func() time.Time) time.Time { return now().UTC().Truncate(time.Microsecond) }

func (s *Service) moment() moment {
	return moment{now: clock(s.Now), started: s.started, node: s.Node, missed: s.IDs.New(), rules: s.config}
}

// Invitation is a call that somebody makes.
type Invitation struct {
	// ID is chosen by the caller's client.
	ID string
	// To is the key of whom to call.
	To string
	// Request says that the caller is a stranger, who is not told who is busy
	// and where it rings.
	Request bool
	// Payload is what the callee's devices get with it, byte for byte.
	Payload string
}

// The bounds of what a client says.
const (
	maxID      = 64
	maxPayload = 64 << 10
)

func (in Invitation) validate(d Device) error {
	switch {
	case in.To == d.User || in.To == "":
		return usher.Errorf(usher.Invalid, "call_to_oneself", "A call is for somebody else.")
	case !validID(in.ID):
		return usher.Errorf(usher.Invalid, "call_id_invalid", "The id of a call has 1 to 64 of the characters A-Z, a-z, 0-9, dot, underscore, colon and hyphen.")
	case len(in.Payload) > maxPayload:
		return usher.Errorf(usher.TooLarge, "payload_too_large", "What goes with an invite is kept while it rings, and may have %d bytes.", maxPayload)
	}
	return nil
}

func validID(id string) bool {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"
	return id != "" && len(id) <= maxID && strings.Trim(id, allowed) == ""
}

// Invite makes a call, which rings at all devices of the callee. The call that
// it returns has another id if the two called each other: then it is accepted.
// A call that has ended already is one whose callee is busy. The same invite
// may come again.
func (s *Service) Invite(ctx context.Context, d Device, in Invitation) (usher.Call, error) {
	if err := in.validate(d); err != nil {
		return usher.Call{}, err
	}
	defer s.lines.hold(line{d.App, usher.PairOf(d.User, in.To)})()
	for range 8 { // each round that fails, another node has changed something
		c, err := s.invite(ctx, d, in)
		if !errors.Is(err, errAgain) {
			return c, wrap("invite", err)
		}
	}
	return usher.Call{}, errors.New("call: invite: what the two have changes too often")
}

// errAgain asks for another look: what the pair has was ended or made meanwhile.
var errAgain = errors.New("again")

func (s *Service) invite(ctx context.Context, d Device, in Invitation) (usher.Call, error) {
	c, err := s.Store.Find(ctx, store.CallQuery{App: d.App, ID: in.ID, User: d.User, Peer: in.To})
	if errors.Is(err, store.ErrNotFound) {
		c, err = s.Store.Live(ctx, d.App, usher.PairOf(d.User, in.To))
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return s.begin(ctx, d, in)
	case err != nil:
		return usher.Call{}, err
	}
	c, err = s.apply(ctx, c.Key(), func(m moment, c usher.Call) (step, error) { return m.meet(c, d, in) })
	if err == nil && !c.Live() || errors.Is(err, store.ErrNotFound) {
		return usher.Call{}, errAgain
	}
	return c, err
}

// begin makes the call of two who have none. Who is in a call with somebody
// else is busy, but not for a stranger, who would learn by it.
func (s *Service) begin(ctx context.Context, d Device, in Invitation) (usher.Call, error) {
	busy := false
	if !in.Request {
		current, err := s.Current(ctx, d.App, in.To)
		if err != nil {
			return usher.Call{}, err
		}
		busy = slices.ContainsFunc(current, usher.Call.Answered)
	}
	st := s.moment().begin(d, in, busy)
	switch err := s.Store.Create(ctx, st.call); {
	case errors.Is(err, store.ErrExists):
		return usher.Call{}, errAgain
	case err != nil:
		return usher.Call{}, err
	}
	s.Changed(st.call, st.notices)
	return st.call, nil
}

// Accept takes a call at a device; the first wins.
func (s *Service) Accept(ctx context.Context, d Device, peer, id, payload string) (usher.Call, error) {
	return s.change(ctx, "accept", d, peer, id, func(m moment, c usher.Call) (step, error) { return m.accept(c, d, payload) })
}

// Ringing says that a device of the callee rings.
func (s *Service) Ringing(ctx context.Context, d Device, peer, id, payload string) (usher.Call, error) {
	return s.change(ctx, "ringing", d, peer, id, func(m moment, c usher.Call) (step, error) { return m.ring(c, d, payload) })
}

// Ignore stops the ringing at one device.
func (s *Service) Ignore(ctx context.Context, d Device, peer, id string) (usher.Call, error) {
	return s.change(ctx, "ignore", d, peer, id, func(m moment, c usher.Call) (step, error) { return m.ignore(c, d) })
}

// Connected says that a device has the other one's media.
func (s *Service) Connected(ctx context.Context, d Device, peer, id string) (usher.Call, error) {
	return s.change(ctx, "connected", d, peer, id, func(m moment, c usher.Call) (step, error) { return m.connect(c, d) })
}

// How is the way in which a client ends a call.
type How struct {
	Action  Action // Cancel, Reject, Busy or Hangup
	Reason  usher.CallReason
	Payload string
}

// reason is why the call ends, if its client does not say.
func (how How) reason(c usher.Call, caller bool) usher.CallReason {
	switch {
	case how.Reason != "":
		return how.Reason
	case how.Action == Busy:
		return usher.UserBusy
	case c.Answered():
		return usher.UserHangup
	case caller:
		return usher.CallCancelled
	default:
		return usher.CallRejected
	}
}

// End ends a call. One that the server has not seen yet is dead when it comes,
// if peer says whose it is.
func (s *Service) End(ctx context.Context, d Device, peer, id string, how How) (usher.Call, error) {
	if how.Reason != "" && !how.Reason.Valid() {
		return usher.Call{}, usher.Errorf(usher.Invalid, "reason_invalid", "A reason has 1 to 64 letters, digits, underscores and hyphens.")
	}
	finish := func(m moment, c usher.Call) (step, error) { return m.finish(c, d, id, how) }
	c, err := s.change(ctx, "end", d, peer, id, finish)
	if !errors.Is(err, ErrNotFound) || how.Action != Cancel && how.Action != Hangup || (Invitation{ID: id, To: peer}).validate(d) != nil {
		return c, err
	}
	reason := how.Reason
	if reason == "" {
		reason = usher.CallCancelled
	}
	c = s.moment().bury(d, peer, id, reason)
	err = s.Store.Create(ctx, c)
	if errors.Is(err, store.ErrExists) {
		return s.change(ctx, "end", d, peer, id, finish)
	}
	return c, wrap("end", err)
}

// Get returns a call of a person as it is now. Peer may be empty.
func (s *Service) Get(ctx context.Context, app, user, peer, id string) (usher.Call, error) {
	c, err := s.Store.Find(ctx, store.CallQuery{App: app, ID: id, User: user, Peer: peer})
	if err != nil {
		return usher.Call{}, wrap("get", err)
	}
	return s.moment().settle(c).call, nil
}

// Current returns a person's calls that have not ended, as they are now.
func (s *Service) Current(ctx context.Context, app, user string) ([]usher.Call, error) {
	calls, err := s.Store.Active(ctx, app, user)
	if err != nil {
		return nil, wrap("list current calls", err)
	}
	m := s.moment()
	var current []usher.Call
	for _, c := range calls {
		if c = m.settle(c).call; c.Live() {
			current = append(current, c)
		}
	}
	return current, nil
}

// change applies a step to a call of a person.
func (s *Service) change(ctx context.Context, what string, d Device, peer, id string, f func(moment, usher.Call) (step, error)) (usher.Call, error) {
	c, err := s.Store.Find(ctx, store.CallQuery{App: d.App, ID: id, User: d.User, Peer: peer})
	if err != nil {
		return usher.Call{}, wrap(what, err)
	}
	defer s.lines.hold(line{c.App, c.Pair()})()
	c, err = s.apply(ctx, c.Key(), f)
	return c, wrap(what, err)
}

// apply applies a step to a call that has been settled, for who holds the line.
func (s *Service) apply(ctx context.Context, key usher.CallKey, f func(moment, usher.Call) (step, error)) (usher.Call, error) {
	m := s.moment()
	var notices []Notice
	changed := false
	c, err := s.Store.Update(ctx, key, func(before usher.Call) (usher.Call, error) {
		settled := m.settle(before)
		after, err := f(m, settled.call)
		if err != nil {
			return before, err
		}
		notices = slices.Concat(settled.notices, after.notices)
		if changed = !reflect.DeepEqual(before, after.call); !changed {
			return before, store.ErrUnchanged
		}
		after.call.UpdatedAt, after.call.Version = m.now, before.Version+1
		return after.call, nil
	})
	if err != nil {
		return usher.Call{}, err
	}
	if changed {
		s.Changed(c, notices)
	}
	return c, nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, store.ErrNotFound) {
		return ErrNotFound
	}
	if _, ok := errors.AsType[*usher.Error](err); ok {
		return err
	}
	return fmt.Errorf("call: %s: %w", what, err)
}
