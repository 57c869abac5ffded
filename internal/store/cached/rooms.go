package cached

import (
	"context"
	"sync"

	"usher"
	"usher/internal/store"
)

// rooms keeps rooms by their keys. Of participants it keeps nothing.
type rooms struct {
	store.Rooms
	kept    *table[usher.RoomKey, usher.Room]
	names   *names
	members *members
}

var _ store.Rooms = (*rooms)(nil)

// Get implements [store.Rooms].
func (s *rooms) Get(ctx context.Context, key usher.RoomKey) (usher.Room, error) {
	return s.kept.through(ctx, key, func() (usher.Room, error) { return s.Rooms.Get(ctx, key) })
}

// ByName first looks at the room that was found by the name before. If that
// still has it, and has not ended, it is the one: no other can have it.
func (s *rooms) ByName(ctx context.Context, app, name string) (usher.Room, error) {
	if key, ok := s.names.get(app, name); ok {
		if r, err := s.Get(ctx, key); err == nil && r.Name == name && r.Status != usher.RoomEnded {
			return r, nil
		}
	}
	r, err := s.Rooms.ByName(ctx, app, name)
	if err == nil {
		s.names.set(name, r.Key())
	}
	return r, err
}

// Create implements [store.Rooms].
func (s *rooms) Create(ctx context.Context, r usher.Room) error {
	defer s.kept.writing(r.Key())()
	return s.Rooms.Create(ctx, r)
}

// Update implements [store.Rooms].
func (s *rooms) Update(ctx context.Context, key usher.RoomKey, change func(usher.Room) (usher.Room, error)) (usher.Room, error) {
	defer s.kept.writing(key)()
	return s.Rooms.Update(ctx, key, change)
}

// Enter implements [store.Rooms].
func (s *rooms) Enter(ctx context.Context, p usher.Participant, change func(usher.Room) (usher.Room, error)) (store.Entry, error) {
	defer s.kept.writing(p.RoomKey())()
	return s.Rooms.Enter(ctx, p, change)
}

// Change implements [store.Rooms].
func (s *rooms) Change(ctx context.Context, key usher.ParticipantKey, change func(store.Entry) (store.Entry, error)) (store.Entry, error) {
	defer s.kept.writing(usher.RoomKey{App: key.App, ID: key.Room})()
	return s.Rooms.Change(ctx, key, change)
}

// Forget implements [store.Rooms].
func (s *rooms) Forget(ctx context.Context, key usher.RoomKey) error {
	defer s.members.kept.forget(func(m membership) bool {
		return m.is && m.member.App == key.App && m.member.Room == key.ID
	})
	defer s.kept.writing(key)()
	return s.Rooms.Forget(ctx, key)
}

// names is which room was found by a name. It may have another name by now, or
// have ended.
type names struct {
	max int

	mu   sync.Mutex
	last map[roomName]usher.ID
}

type roomName struct{ app, name string }

func (n *names) get(app, name string) (usher.RoomKey, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id, ok := n.last[roomName{app, name}]
	return usher.RoomKey{App: app, ID: id}, ok
}

func (n *names) set(name string, key usher.RoomKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	makeRoom(n.last, n.max, func(usher.ID) bool { return true })
	n.last[roomName{key.App, name}] = key.ID
}
