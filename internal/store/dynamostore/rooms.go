package dynamostore

import (
	"context"
	"errors"
	"time"

	"usher"
	"usher/internal/store"
)

// rooms keeps rooms and, in participants.go, who is in them.
type rooms struct{ db *DB }

var _ store.Rooms = rooms{}

// The indexes of rooms.
const (
	roomSort   = "room"
	dueRooms   = "due-rooms"
	endedRooms = "ended-rooms"
	slotName   = "name"
	roomLists  = "rooms"
)

var roomKind = kind[usher.Room]{
	key: func(db *DB, r *usher.Room) key { return roomKey(db, r.Key()) },
	fields: func(a *archive, r *usher.Room) {
		text(a, "app", &r.App)
		text(a, "id", &r.ID)
		text(a, "name", &r.Name)
		text(a, "kind", &r.Kind)
		text(a, "status", &r.Status)
		text(a, "owner", &r.Owner)
		text(a, "admission", &r.Admission)
		number(a, "seats", &r.Seats)
		number(a, "taken", &r.Taken)
		a.stamp("opensAt", &r.OpensAt)
		a.stamp("closesAt", &r.ClosesAt)
		a.stamp("emptyAt", &r.EmptyAt)
		a.stamp("updatedAt", &r.UpdatedAt)
		a.stamp("endedAt", &r.EndedAt)
		text(a, "endReason", &r.EndReason)
		a.stamp("due", &r.Due)
		number(a, "version", &r.Version)
	},
	entries: func(_ *DB, r *usher.Room) []entry {
		made := orderOf(r.ID)
		list := []entry{{slot: "all", hash: roomList(r.App, "", ""), order: made}}
		if r.Owner != "" {
			list = append(list, entry{slot: "owner", hash: roomList(r.App, r.Owner, ""), order: made})
		}
		if r.Status != "" {
			list = append(list, entry{slot: "status", hash: roomList(r.App, "", r.Status), order: made})
		}
		if r.Name != "" && r.Status != usher.RoomEnded {
			list = append(list, entry{slot: slotName, hash: roomName(r.App, r.Name), unique: true})
		}
		if !r.Due.IsZero() {
			list = append(list, entry{slot: "due", hash: sharded(dueRooms, string(r.ID)), order: order(r.Due)})
		}
		if r.Status == usher.RoomEnded {
			list = append(list, entry{slot: "ended", hash: sharded(endedRooms, string(r.ID)), order: order(r.EndedAt)})
		}
		return list
	},
	version: func(r *usher.Room) *int64 { return &r.Version },
}

func roomKey(db *DB, k usher.RoomKey) key { return key{db.own, roomPartition(k), roomSort} }

// roomPartition has a room and all that is in it.
func roomPartition(k usher.RoomKey) string { return join("room", k.App, string(k.ID)) }

func roomName(app, name string) string { return join("room-name", app, name) }

// roomList is the index of an app's rooms, of those of an owner, or of those of
// a status.
func roomList(app, owner string, status usher.RoomStatus) string {
	switch {
	case owner != "":
		return join(roomLists, app, "owner", owner)
	case status != "":
		return join(roomLists, app, "status", string(status))
	}
	return join(roomLists, app)
}

func (s rooms) Create(ctx context.Context, room usher.Room) error {
	done, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return roomKind.create(ctx, s.db, room)
}

func (s rooms) Get(ctx context.Context, k usher.RoomKey) (usher.Room, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Room{}, err
	}
	defer done()
	return roomKind.read(ctx, s.db, roomKey(s.db, k))
}

func (s rooms) ByName(ctx context.Context, app, name string) (usher.Room, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Room{}, err
	}
	defer done()
	return byName(ctx, s.db, roomKind, s.db.own, roomName(app, name), slotName)
}

// byName returns the record that has a unique name, or [store.ErrNotFound].
func byName[T any](ctx context.Context, db *DB, k kind[T], heads *table, hash, slot string) (T, error) {
	var none T
	there, err := db.get(ctx, key{db.own, hash, lockSort})
	if err != nil {
		return none, err
	}
	if there == nil {
		return none, store.ErrNotFound
	}
	at := key{heads, there.text(headHash), there.text(headSort)}
	head, err := db.get(ctx, at)
	if err != nil {
		return none, err
	}
	if !isThere(head) || head.part(refsAttribute).text(slot) != there.text(nonceAttribute) {
		return none, store.ErrNotFound
	}
	return k.unpack(db, at, head)
}

func (s rooms) List(ctx context.Context, q store.RoomQuery) ([]usher.Room, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	index := span{hash: roomList(q.App, q.Owner, q.Status), low: orderOf(q.After) + beyond}
	return collect(ctx, s.db, roomKind, s.db.own, index, q.Limit, func(r usher.Room) bool {
		return q.Status == "" || r.Status == q.Status
	})
}

func (s rooms) Update(ctx context.Context, k usher.RoomKey, change func(usher.Room) (usher.Room, error)) (usher.Room, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Room{}, err
	}
	defer done()
	var next usher.Room
	err = s.changing(ctx, k, func(at key, i item) error {
		old, err := roomKind.unpack(s.db, at, i)
		if err != nil {
			return err
		}
		changed, err := change(old)
		switch {
		case errors.Is(err, store.ErrUnchanged):
			next = old
			return nil
		case err != nil:
			return err
		}
		next = changed
		u, err := roomKind.update(s.db, at, i, &next)
		if err != nil || u == nil {
			return err
		}
		if err := s.finish(ctx, i); err != nil {
			return err
		}
		delete(u.next, pendingAttribute)
		return s.db.commit(ctx, u)
	})
	if err != nil {
		return usher.Room{}, err
	}
	return next, nil
}

// changing calls try with the item of a room until that meets no conflict.
func (s rooms) changing(ctx context.Context, k usher.RoomKey, try func(at key, i item) error) error {
	at := roomKey(s.db, k)
	leave, err := s.db.queues.enter(ctx, at)
	if err != nil {
		return err
	}
	defer leave()
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		i, err := s.db.get(ctx, at)
		if err != nil {
			return err
		}
		if !isThere(i) {
			return store.ErrNotFound
		}
		if err := try(at, i); !errors.Is(err, errConflict) {
			return err
		}
		if err := s.db.pause(ctx, wait); err != nil {
			return err
		}
	}
}

func (s rooms) DueRooms(ctx context.Context, now time.Time, limit int) ([]usher.RoomKey, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	fs, err := s.db.overdue(ctx, s.db.own, dueRooms, order(now)+beyond, limit)
	return keysOf(fs, err, foundRoom)
}

func foundRoom(f found) usher.RoomKey {
	return usher.RoomKey{App: f.head.text("app"), ID: usher.ID(f.head.text("id"))}
}

// keysOf returns what of found records is asked for.
func keysOf[K any](fs []found, err error, of func(found) K) ([]K, error) {
	var keys []K
	for _, f := range fs {
		keys = append(keys, of(f))
	}
	return keys, err
}
