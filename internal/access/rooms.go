package access

import (
	"context"

	"usher"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store"
)

// RoomSpec is what a new room shall be. A zero RoomSpec makes an ephemeral room.
type RoomSpec = room.Spec

// RoomChange is what shall be different about a room.
type RoomChange = room.Change

// CreateRoom makes a room that belongs to the caller. With an idempotency key,
// the same call made again returns the same room.
func (a *Access) CreateRoom(ctx context.Context, id usher.Identity, spec RoomSpec, idempotencyKey string) (usher.Room, error) {
	if err := a.may(ctx, id, policy.CreateRoom, nil); err != nil {
		return usher.Room{}, err
	}
	once, err := a.once(ctx, id, "room", idempotencyKey, spec)
	if err != nil {
		return usher.Room{}, err
	}
	spec.ID = once.id
	return a.rooms.Create(ctx, id.App, id.Key(), spec)
}

// Room returns the room with that id or name.
func (a *Access) Room(ctx context.Context, id usher.Identity, ref string) (usher.Room, error) {
	return a.room(ctx, id, policy.ReadRoom, ref)
}

// room finds a room in which the caller may do something.
func (a *Access) room(ctx context.Context, id usher.Identity, action policy.Action, ref string) (usher.Room, error) {
	r, err := a.rooms.Find(ctx, id.App, ref)
	if err != nil {
		return usher.Room{}, err
	}
	return r, a.may(ctx, id, action, &r)
}

// Page selects a part of a list.
type Page struct {
	// After is the cursor: the last id of the page before.
	After usher.ID
	// Limit is how many there may be.
	Limit int
}

// Rooms returns the rooms that the caller may see, by the time they were made,
// and whether there are more.
func (a *Access) Rooms(ctx context.Context, id usher.Identity, status usher.RoomStatus, page Page) ([]usher.Room, bool, error) {
	q := store.RoomQuery{App: id.App, Status: status, After: page.After, Limit: page.Limit + 1}
	if !id.Operator {
		q.Owner = id.Key()
	}
	if err := a.may(ctx, id, policy.ListRooms, nil); err != nil {
		return nil, false, err
	}
	var rooms []usher.Room
	for {
		batch, err := a.rooms.List(ctx, q)
		if err != nil {
			return nil, false, err
		}
		for _, r := range batch {
			// What is due but not yet swept has another status by now.
			if status == "" || r.Status == status {
				rooms = append(rooms, r)
			}
		}
		if len(rooms) > page.Limit || len(batch) < q.Limit {
			more := len(rooms) > page.Limit
			return rooms[:min(len(rooms), page.Limit)], more, nil
		}
		q.After = batch[len(batch)-1].ID
	}
}

// ChangeRoom changes a room that has not ended.
func (a *Access) ChangeRoom(ctx context.Context, id usher.Identity, ref string, change RoomChange) (usher.Room, error) {
	r, err := a.room(ctx, id, policy.ChangeRoom, ref)
	if err != nil {
		return usher.Room{}, err
	}
	return a.rooms.Update(ctx, r.Key(), change)
}

// EndRoom ends a room for good and puts everyone out of it. The room has ended
// when it returns; whoever ends it again is told that it has.
func (a *Access) EndRoom(ctx context.Context, id usher.Identity, ref, reason string) (usher.Room, error) {
	r, err := a.room(ctx, id, policy.EndRoom, ref)
	if err != nil {
		return usher.Room{}, err
	}
	if err := validateReason(reason); err != nil {
		return usher.Room{}, err
	}
	if reason == "" {
		reason = "The room was ended."
	}
	r, err = a.rooms.End(ctx, r.Key(), reason)
	if err != nil {
		return usher.Room{}, err
	}
	a.announceEnd(r)
	return r, nil
}
