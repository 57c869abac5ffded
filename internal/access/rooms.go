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

// RoomFilter restricts a list of rooms; its zero value does not.
type RoomFilter struct {
	Status usher.RoomStatus
	// Search is a text that the room's name, id or owner has in it, in capitals or
	// not.
	Search string
}

func (f RoomFilter) keeps(r usher.Room) bool {
	// What is due but not yet swept has another status by now.
	return (f.Status == "" || r.Status == f.Status) && (f.Search == "" || hasText(f.Search, r.Name, string(r.ID), r.Owner))
}

// How many a search asks a store for at a time, and looks at before it answers
// with what it has found.
const (
	searchBatch = 500
	searchMost  = 10 * searchBatch
)

// Rooms returns the rooms that the caller may see, by the time they were made,
// and the id to go on after; it is empty if there are no more. A search looks at
// a bounded number, so that a page can be empty although there are more.
func (a *Access) Rooms(ctx context.Context, id usher.Identity, filter RoomFilter, page Page) ([]usher.Room, usher.ID, error) {
	q := store.RoomQuery{App: id.App, Status: filter.Status, After: page.After, Limit: page.batch(filter.Search)}
	if !id.Operator {
		q.Owner = id.Key()
	}
	if err := a.may(ctx, id, policy.ListRooms, nil); err != nil {
		return nil, "", err
	}
	return walk(page, q.Limit, filter.keeps, func(r usher.Room) usher.ID { return r.ID }, func(after usher.ID) ([]usher.Room, error) {
		q.After = after
		return a.rooms.List(ctx, q)
	})
}

// batch is how many to ask a store for: one more than there may be says whether
// there are more.
func (p Page) batch(search string) int {
	if search != "" {
		return max(searchBatch, p.Limit+1)
	}
	return p.Limit + 1
}

// walk goes through a store's list, batch by batch, until a page is full of what
// keep is true of, and returns the id to go on after.
func walk[T any](page Page, batch int, keep func(T) bool, id func(T) usher.ID, list func(after usher.ID) ([]T, error)) ([]T, usher.ID, error) {
	var found []T
	after := page.After
	for looked := 0; ; {
		items, err := list(after)
		if err != nil {
			return nil, "", err
		}
		for _, item := range items {
			if !keep(item) {
				continue
			}
			if len(found) == page.Limit {
				return found, id(found[len(found)-1]), nil
			}
			found = append(found, item)
		}
		if len(items) < batch {
			return found, "", nil
		}
		after = id(items[len(items)-1])
		if looked += len(items); looked >= searchMost {
			return found, after, nil
		}
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
	a.announceEnd(ctx, r)
	return r, nil
}
