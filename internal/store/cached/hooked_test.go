package cached_test

import (
	"context"
	"time"

	"usher"
	"usher/internal/store"
)

// hooked is a store that lets something happen in the middle of a read or a
// write of what is kept: once, and not in what happens there.
type hooked struct {
	store.DB
	reads, writes int
	// afterRead happens when a value was read and is not answered yet,
	// beforeWrite and afterWrite before and after a write is committed.
	afterRead, beforeWrite, afterWrite func()
}

func once(hook *func()) {
	if f := *hook; f != nil {
		*hook = nil
		f()
	}
}

func readBy[T any](h *hooked, v T, err error) (T, error) {
	h.reads++
	once(&h.afterRead)
	return v, err
}

func writtenBy[T any](h *hooked, write func() (T, error)) (T, error) {
	h.writes++
	once(&h.beforeWrite)
	v, err := write()
	once(&h.afterWrite)
	return v, err
}

// done is for writes without a result.
func done(write func() error) func() (struct{}, error) {
	return func() (struct{}, error) { return struct{}{}, write() }
}

func (h *hooked) Rooms() store.Rooms     { return hookedRooms{h.DB.Rooms(), h} }
func (h *hooked) Clients() store.Clients { return hookedClients{h.DB.Clients(), h} }
func (h *hooked) Members() store.Members { return hookedMembers{h.DB.Members(), h} }

func (h *hooked) Once() store.Once { return hookedOnce{h.DB.Once(), h} }

type hookedOnce struct {
	store.Once
	h *hooked
}

func (s hookedOnce) Put(ctx context.Context, now time.Time, m store.Mark) (store.Mark, error) {
	return writtenBy(s.h, func() (store.Mark, error) { return s.Once.Put(ctx, now, m) })
}

type hookedRooms struct {
	store.Rooms
	h *hooked
}

func (s hookedRooms) Get(ctx context.Context, key usher.RoomKey) (usher.Room, error) {
	r, err := s.Rooms.Get(ctx, key)
	return readBy(s.h, r, err)
}

func (s hookedRooms) ByName(ctx context.Context, app, name string) (usher.Room, error) {
	r, err := s.Rooms.ByName(ctx, app, name)
	return readBy(s.h, r, err)
}

func (s hookedRooms) Create(ctx context.Context, r usher.Room) error {
	_, err := writtenBy(s.h, done(func() error { return s.Rooms.Create(ctx, r) }))
	return err
}

func (s hookedRooms) Update(ctx context.Context, key usher.RoomKey, change func(usher.Room) (usher.Room, error)) (usher.Room, error) {
	return writtenBy(s.h, func() (usher.Room, error) { return s.Rooms.Update(ctx, key, change) })
}

func (s hookedRooms) Enter(ctx context.Context, p usher.Participant, change func(usher.Room) (usher.Room, error)) (store.Entry, error) {
	return writtenBy(s.h, func() (store.Entry, error) { return s.Rooms.Enter(ctx, p, change) })
}

func (s hookedRooms) Change(ctx context.Context, key usher.ParticipantKey, change func(store.Entry) (store.Entry, error)) (store.Entry, error) {
	return writtenBy(s.h, func() (store.Entry, error) { return s.Rooms.Change(ctx, key, change) })
}

type hookedClients struct {
	store.Clients
	h *hooked
}

func (s hookedClients) Get(ctx context.Context, id usher.ID) (usher.Client, error) {
	c, err := s.Clients.Get(ctx, id)
	return readBy(s.h, c, err)
}

func (s hookedClients) Update(ctx context.Context, id usher.ID, change func(usher.Client) (usher.Client, error)) (usher.Client, error) {
	return writtenBy(s.h, func() (usher.Client, error) { return s.Clients.Update(ctx, id, change) })
}

type hookedMembers struct {
	store.Members
	h *hooked
}

func (s hookedMembers) Of(ctx context.Context, room usher.RoomKey, keys []string) ([]usher.Member, error) {
	list, err := s.Members.Of(ctx, room, keys)
	return readBy(s.h, list, err)
}

func (s hookedMembers) Put(ctx context.Context, m usher.Member) error {
	_, err := writtenBy(s.h, done(func() error { return s.Members.Put(ctx, m) }))
	return err
}

func (s hookedMembers) Delete(ctx context.Context, room usher.RoomKey, key string) error {
	_, err := writtenBy(s.h, done(func() error { return s.Members.Delete(ctx, room, key) }))
	return err
}
