// Package room decides what is possible in a room: its life, its seats, and
// the one-time secrets with which participants claim their places.
//
// It does not ask whether a caller is allowed to; package access does, and is
// the only caller. The rules are pure steps (transition.go) that a store
// applies atomically; the service adds clock, ids and secrets, and sweeps what
// became due while nobody looked.
package room

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"usher"
	"usher/internal/store"
)

// Deps is what a [Service] works with.
type Deps struct {
	Store  store.Rooms
	IDs    *usher.IDSource
	Random io.Reader
	Now    func() time.Time
	Logger *slog.Logger
	// Node is the epoch of this process, by which a store knows whose sockets
	// hold seats.
	Node usher.ID
	// Changed is told, after the fact, of what the sweeper did, so that live
	// connections can be told. It must not block.
	Changed func(store.Entry)
	// Ended is told, after the fact, of the rooms that ended because it was
	// time. It must not block.
	Ended func(usher.Room)
}

// Service keeps rooms.
type Service struct {
	Deps
	config  Config
	started time.Time
}

// New returns a service that starts now.
func New(config Config, deps Deps) *Service {
	return &Service{Deps: deps, config: config, started: clock(deps.Now)}
}

// clock reads the time as stores keep it.
func clock(now func() time.Time) time.Time { return now().UTC().Truncate(time.Microsecond) }

func (s *Service) moment() moment {
	return moment{now: clock(s.Now), started: s.started, rules: s.config}
}

// Spec is what a new room shall be. A zero Spec makes an ephemeral room.
type Spec struct {
	// ID, if set, was chosen before, so that a create can be repeated.
	ID                usher.ID
	Name              string // makes the room permanent
	Admission         usher.Admission
	Seats             *int // nil takes the configured number
	OpensAt, ClosesAt time.Time
}

// Create makes a room.
func (s *Service) Create(ctx context.Context, app, owner string, spec Spec) (usher.Room, error) {
	m := s.moment()
	r := usher.Room{
		App: app, ID: spec.ID, Kind: usher.Ephemeral, Status: usher.RoomReady, Owner: owner,
		Seats: s.config.Seats, UpdatedAt: m.now, Version: 1,
	}
	if r.ID == "" {
		r.ID = s.IDs.New()
	}
	if spec.Name != "" {
		if err := usher.ValidateRoomName(spec.Name); err != nil {
			return usher.Room{}, err
		}
		r.Name, r.Kind = spec.Name, usher.Permanent
	}
	change := Change{Admission: &spec.Admission, Seats: spec.Seats, OpensAt: &spec.OpensAt, ClosesAt: &spec.ClosesAt}
	r, err := change.apply(m, r)
	if err != nil {
		return usher.Room{}, err
	}
	r = m.settleRoom(r)
	r.UpdatedAt = later(r.UpdatedAt, r.CreatedAt())
	err = s.Store.Create(ctx, r)
	if errors.Is(err, store.ErrExists) && spec.ID != "" {
		if made, getErr := s.Store.Get(ctx, r.Key()); getErr == nil {
			return m.settleRoom(made), nil // a repeated create
		}
	}
	if errors.Is(err, store.ErrExists) {
		return usher.Room{}, usher.Errorf(usher.Conflict, "room_exists", "A room with that name exists already.")
	}
	if err != nil {
		return usher.Room{}, fmt.Errorf("room: create: %w", err)
	}
	return r, nil
}

// Get returns a room as it is now.
func (s *Service) Get(ctx context.Context, key usher.RoomKey) (usher.Room, error) {
	r, err := s.Store.Get(ctx, key)
	if err != nil {
		return usher.Room{}, s.roomError("get", err)
	}
	return s.moment().settleRoom(r), nil
}

// Find returns the room with that id or, for a permanent room, that name.
func (s *Service) Find(ctx context.Context, app, ref string) (usher.Room, error) {
	if id, err := usher.ParseID(ref); err == nil {
		return s.Get(ctx, usher.RoomKey{App: app, ID: id})
	}
	if usher.ValidateRoomName(ref) != nil {
		return usher.Room{}, ErrNotFound
	}
	r, err := s.Store.ByName(ctx, app, ref)
	if err != nil {
		return usher.Room{}, s.roomError("find", err)
	}
	if r = s.moment().settleRoom(r); r.Status == usher.RoomEnded {
		return usher.Room{}, ErrNotFound // its name is about to be free again
	}
	return r, nil
}

// List returns a page of rooms as they are now.
func (s *Service) List(ctx context.Context, q store.RoomQuery) ([]usher.Room, error) {
	rooms, err := s.Store.List(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("room: list: %w", err)
	}
	m := s.moment()
	for i := range rooms {
		rooms[i] = m.settleRoom(rooms[i])
	}
	return rooms, nil
}

// Change is what shall be different about a room; nil leaves a field as it is.
type Change struct {
	Admission         *usher.Admission
	Seats             *int
	OpensAt, ClosesAt *time.Time // the zero time takes the bound away
	// Version, if not 0, is the version that the caller has seen.
	Version int64
}

func (c Change) apply(m moment, r usher.Room) (usher.Room, error) {
	if c.Version != 0 && c.Version != r.Version {
		return r, usher.Errorf(usher.PreconditionFailed, "room_changed", "The room has changed since you read it; read it again.")
	}
	if c.Admission != nil {
		r.Admission = *c.Admission
	}
	if c.Seats != nil {
		r.Seats = *c.Seats
	}
	if c.OpensAt != nil {
		r.OpensAt = c.OpensAt.UTC().Truncate(time.Microsecond)
	}
	if c.ClosesAt != nil {
		r.ClosesAt = c.ClosesAt.UTC().Truncate(time.Microsecond)
	}
	var problems []usher.FieldProblem
	switch r.Admission {
	case "", usher.AdmitOpen, usher.AdmitMembers, usher.AdmitInvite:
	default:
		problems = append(problems, usher.FieldProblem{Field: "admission", Message: "must be open, members or invite"})
	}
	if r.Seats < 0 || r.Seats > maxSeats {
		problems = append(problems, usher.FieldProblem{Field: "seats", Message: fmt.Sprintf("must be from 0 (no limit) to %d", maxSeats)})
	}
	if r.OpensAt.After(lastOpening) {
		problems = append(problems, usher.FieldProblem{Field: "opens_at", Message: "must not be later than the year 9000"})
	}
	if !r.ClosesAt.IsZero() && !r.ClosesAt.After(r.OpensAt) {
		problems = append(problems, usher.FieldProblem{Field: "closes_at", Message: "must be later than opens_at"})
	}
	if c.ClosesAt != nil && !r.ClosesAt.IsZero() && !r.ClosesAt.After(m.now) {
		problems = append(problems, usher.FieldProblem{Field: "closes_at", Message: "has passed already; end the room to close it now"})
	}
	if len(problems) > 0 {
		err := usher.Errorf(usher.Invalid, "room_invalid", "The room can't be like this.")
		err.Fields = problems
		return r, err
	}
	return r, nil
}

// lastOpening keeps whatever is granted from when a room opens on, for the 290
// years at most that a lifetime can have, inside the years that can be written.
var lastOpening = time.Date(9000, time.January, 1, 0, 0, 0, 0, time.UTC)

// maxSeats keeps a seat count inside what every store's integers hold.
const maxSeats = 1_000_000

// Update changes a room that has not ended.
func (s *Service) Update(ctx context.Context, key usher.RoomKey, c Change) (usher.Room, error) {
	m := s.moment()
	r, err := s.Store.Update(ctx, key, func(r usher.Room) (usher.Room, error) {
		before := r
		if r = m.settleRoom(r); r.Status == usher.RoomEnded {
			return r, ErrEnded
		}
		r, err := c.apply(m, r)
		if err != nil {
			return r, err
		}
		return m.touchRoom(before, m.settleRoom(r)), nil
	})
	if err != nil {
		return usher.Room{}, s.roomError("update", err)
	}
	return r, nil
}

// End ends a room for good. It reports ErrEnded if it has ended already.
func (s *Service) End(ctx context.Context, key usher.RoomKey, reason string) (usher.Room, error) {
	m := s.moment()
	r, err := s.Store.Update(ctx, key, func(r usher.Room) (usher.Room, error) {
		before := r
		if r = m.settleRoom(r); r.Status == usher.RoomEnded {
			return r, ErrEnded
		}
		return m.touchRoom(before, m.endRoom(r, m.now, reason)), nil
	})
	if err != nil {
		return usher.Room{}, s.roomError("end", err)
	}
	return r, nil
}

// touchRoom marks a changed room as changed now.
func (m moment) touchRoom(before, after usher.Room) usher.Room {
	if after != before {
		after.UpdatedAt, after.Version = m.now, before.Version+1
	}
	return after
}

// touch does the same for both halves of an entry, each for itself.
func (m moment) touch(before, after store.Entry) store.Entry {
	after.Room = m.touchRoom(before.Room, after.Room)
	if after.Participant != before.Participant {
		after.Participant.UpdatedAt, after.Participant.Version = m.now, before.Participant.Version+1
	}
	return after
}

var ErrNotFound = usher.Errorf(usher.NotFound, "room_not_found", "There is no such room.")

func (s *Service) roomError(what string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return ErrNotFound
	}
	if _, ok := errors.AsType[*usher.Error](err); ok {
		return err
	}
	return fmt.Errorf("room: %s: %w", what, err)
}
