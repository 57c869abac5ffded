package room_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"usher"
	"usher/internal/store"
)

// memory is a store of rooms that is fast enough for thousands of histories.
type memory struct {
	mu           sync.Mutex
	rooms        map[usher.RoomKey]usher.Room
	participants map[usher.ParticipantKey]usher.Participant
}

var _ store.Rooms = (*memory)(nil)

func newMemory() *memory {
	return &memory{rooms: map[usher.RoomKey]usher.Room{}, participants: map[usher.ParticipantKey]usher.Participant{}}
}

func (m *memory) Create(_ context.Context, r usher.Room) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, taken := m.rooms[r.Key()]
	for _, other := range m.rooms {
		taken = taken || r.Name != "" && other.App == r.App && other.Name == r.Name && other.Status != usher.RoomEnded
	}
	if taken {
		return store.ErrExists
	}
	m.rooms[r.Key()] = r
	return nil
}

func (m *memory) Get(_ context.Context, key usher.RoomKey) (usher.Room, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.get(key)
}

func (m *memory) get(key usher.RoomKey) (usher.Room, error) {
	r, ok := m.rooms[key]
	if !ok {
		return r, store.ErrNotFound
	}
	return r, nil
}

func (m *memory) ByName(_ context.Context, app, name string) (usher.Room, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rooms {
		if r.App == app && r.Name == name && name != "" && r.Status != usher.RoomEnded {
			return r, nil
		}
	}
	return usher.Room{}, store.ErrNotFound
}

func (m *memory) List(_ context.Context, q store.RoomQuery) ([]usher.Room, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rooms []usher.Room
	for _, r := range m.rooms {
		if r.App == q.App && (q.Owner == "" || r.Owner == q.Owner) && (q.Status == "" || r.Status == q.Status) && later(r.ID, q.After) {
			rooms = append(rooms, r)
		}
	}
	slices.SortFunc(rooms, func(a, b usher.Room) int { return order(a.ID, b.ID) })
	return first(rooms, q.Limit), nil
}

func (m *memory) Update(ctx context.Context, key usher.RoomKey, change func(usher.Room) (usher.Room, error)) (usher.Room, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, err := m.get(key)
	if err != nil {
		return before, err
	}
	after, err := change(before)
	switch {
	case errors.Is(err, store.ErrUnchanged):
		return before, nil
	case err != nil:
		return usher.Room{}, err
	}
	m.rooms[key] = after
	return after, nil
}

func (m *memory) Enter(ctx context.Context, p usher.Participant, change func(usher.Room) (usher.Room, error)) (store.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.get(p.RoomKey())
	if err != nil {
		return store.Entry{}, err
	}
	if r, err = change(r); err != nil {
		return store.Entry{}, err
	}
	if _, taken := m.participants[p.Key()]; taken {
		return store.Entry{}, store.ErrExists
	}
	m.rooms[r.Key()], m.participants[p.Key()] = r, p
	return store.Entry{Room: r, Participant: p}, nil
}

func (m *memory) Participant(_ context.Context, key usher.ParticipantKey) (store.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.participant(key)
}

func (m *memory) participant(key usher.ParticipantKey) (store.Entry, error) {
	p, ok := m.participants[key]
	if !ok {
		return store.Entry{}, store.ErrNotFound
	}
	return store.Entry{Room: m.rooms[p.RoomKey()], Participant: p}, nil
}

func (m *memory) Participants(ctx context.Context, q store.ParticipantQuery) ([]usher.Participant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.get(q.Room); err != nil {
		return nil, err
	}
	var ps []usher.Participant
	for _, p := range m.participants {
		if p.RoomKey() == q.Room && (q.Status == "" || p.Status == q.Status) && later(p.ID, q.After) {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b usher.Participant) int { return order(a.ID, b.ID) })
	return first(ps, q.Limit), nil
}

func (m *memory) Change(ctx context.Context, key usher.ParticipantKey, change func(store.Entry) (store.Entry, error)) (store.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, err := m.participant(key)
	if err != nil {
		return before, err
	}
	after, err := change(before)
	switch {
	case errors.Is(err, store.ErrUnchanged):
		return before, nil
	case err != nil:
		return store.Entry{}, err
	}
	m.rooms[after.Room.Key()], m.participants[key] = after.Room, after.Participant
	return after, nil
}

func (m *memory) DueRooms(_ context.Context, now time.Time, limit int) ([]usher.RoomKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []usher.RoomKey
	for key, r := range m.rooms {
		if !r.Due.IsZero() && !r.Due.After(now) {
			due = append(due, key)
		}
	}
	slices.SortFunc(due, func(a, b usher.RoomKey) int { return m.rooms[a].Due.Compare(m.rooms[b].Due) })
	return first(due, limit), nil
}

func (m *memory) DueParticipants(_ context.Context, now time.Time, limit int) ([]usher.ParticipantKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []usher.ParticipantKey
	for key, p := range m.participants {
		if !p.HeldUntil.IsZero() && !p.HeldUntil.After(now) {
			due = append(due, key)
		}
	}
	slices.SortFunc(due, func(a, b usher.ParticipantKey) int {
		return m.participants[a].HeldUntil.Compare(m.participants[b].HeldUntil)
	})
	return first(due, limit), nil
}

func (m *memory) Stranded(_ context.Context, alive []usher.ID, limit int) ([]usher.ParticipantKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var stranded []usher.ParticipantKey
	for key, p := range m.participants {
		if p.Hold == usher.SocketHold && !slices.Contains(alive, p.Node) {
			stranded = append(stranded, key)
		}
	}
	return first(stranded, limit), nil
}

func (m *memory) Ended(_ context.Context, before time.Time, limit int) ([]usher.RoomKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ended []usher.RoomKey
	for key, r := range m.rooms {
		if r.Status == usher.RoomEnded && r.EndedAt.Before(before) {
			ended = append(ended, key)
		}
	}
	return first(ended, limit), nil
}

func (m *memory) Forget(_ context.Context, key usher.RoomKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch r, err := m.get(key); {
	case err != nil:
		return err
	case r.Status != usher.RoomEnded:
		return store.ErrNotEnded
	}
	delete(m.rooms, key)
	for p := range m.participants {
		if p.App == key.App && p.Room == key.ID {
			delete(m.participants, p)
		}
	}
	return nil
}

func order(a, b usher.ID) int {
	if c := a.Time().Compare(b.Time()); c != 0 {
		return c
	}
	return strings.Compare(string(a), string(b))
}

func later(id, after usher.ID) bool { return after == "" || order(id, after) > 0 }

func first[T any](all []T, limit int) []T {
	if limit > 0 && len(all) > limit {
		return all[:limit]
	}
	return all
}
