package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher"
	"usher/internal/store"
)

// rooms keeps rooms and, in participants.go, who is in them.
type rooms struct{ db *DB }

var _ store.Rooms = rooms{}

var roomMapping = mapping[usher.Room]{
	table: "rooms",
	columns: []string{
		"app", "id", "made", "name", "kind", "status", "owner", "admission", "seats", "taken",
		"opens_at", "closes_at", "empty_at", "updated_at", "ended_at", "end_reason", "due", "version",
	},
	keys: 2,
	fields: func(r *usher.Room) []any {
		return []any{
			&r.App, (*string)(&r.ID), discard{}, &r.Name, (*string)(&r.Kind), (*string)(&r.Status), &r.Owner, (*string)(&r.Admission), &r.Seats, &r.Taken,
			stampField{&r.OpensAt}, stampField{&r.ClosesAt}, stampField{&r.EmptyAt}, stampField{&r.UpdatedAt},
			stampField{&r.EndedAt}, &r.EndReason, stampField{&r.Due}, &r.Version,
		}
	},
	values: func(r *usher.Room) []any {
		return []any{
			r.App, string(r.ID), made(r.ID), r.Name, string(r.Kind), string(r.Status), r.Owner, string(r.Admission), int64(r.Seats), int64(r.Taken),
			stamp(r.OpensAt), stamp(r.ClosesAt), stamp(r.EmptyAt), stamp(r.UpdatedAt),
			stamp(r.EndedAt), r.EndReason, stamp(r.Due), r.Version,
		}
	},
	version: func(r *usher.Room) *int64 { return &r.Version },
}

var (
	selectRoom       = roomMapping.query("WHERE app = $1 AND id = $2")
	selectRoomByName = roomMapping.query("WHERE app = $1 AND name = $2 AND name <> '' AND status <> 'ended'")
	selectRooms      = roomMapping.query("WHERE app = $1 AND (made, id) > ($2, $3)")
)

const selectDueRooms = "SELECT app, id FROM rooms WHERE due <= $1 ORDER BY due LIMIT $2"

func roomKeyFields(k *usher.RoomKey) []any { return []any{&k.App, (*string)(&k.ID)} }

func getRoom(ctx context.Context, p preparer, key usher.RoomKey) (usher.Room, error) {
	return one(ctx, p, roomMapping.fields, selectRoom, key.App, string(key.ID))
}

// updateRoom stores what a change function made of a room, and returns it as
// it will be read.
func updateRoom(t *tx, old, next usher.Room) (usher.Room, error) {
	cut(&next.OpensAt, &next.ClosesAt, &next.EmptyAt, &next.UpdatedAt, &next.EndedAt, &next.Due)
	if err := roomMapping.update(t, &old, &next); err != nil {
		return usher.Room{}, err
	}
	return next, nil
}

func (s rooms) Create(ctx context.Context, room usher.Room) error {
	return s.db.writer.do(ctx, func(t *tx) error { return roomMapping.insert(t, &room) })
}

func (s rooms) Get(ctx context.Context, key usher.RoomKey) (usher.Room, error) {
	return getRoom(ctx, s.db.reader, key)
}

func (s rooms) ByName(ctx context.Context, app, name string) (usher.Room, error) {
	return one(ctx, s.db.reader, roomMapping.fields, selectRoomByName, app, name)
}

func (s rooms) List(ctx context.Context, q store.RoomQuery) ([]usher.Room, error) {
	text, args := selectRooms, []any{q.App, made(q.After), string(q.After)}
	if q.Owner != "" {
		args = append(args, q.Owner)
		text += fmt.Sprintf(" AND owner = $%d", len(args))
	}
	if q.Status != "" {
		args = append(args, string(q.Status))
		text += fmt.Sprintf(" AND status = $%d", len(args))
	}
	args = append(args, limit(q.Limit))
	text += fmt.Sprintf(" ORDER BY made, id LIMIT $%d", len(args))
	return all(ctx, s.db.reader, roomMapping.fields, text, args...)
}

func (s rooms) Update(ctx context.Context, key usher.RoomKey, change func(usher.Room) (usher.Room, error)) (usher.Room, error) {
	return write(ctx, s.db.writer, func(t *tx) (usher.Room, error) {
		old, err := getRoom(context.Background(), t, key)
		if err != nil {
			return usher.Room{}, err
		}
		next, err := change(old)
		switch {
		case errors.Is(err, store.ErrUnchanged):
			return old, nil
		case err != nil:
			return usher.Room{}, err
		}
		return updateRoom(t, old, next)
	})
}

func (s rooms) DueRooms(ctx context.Context, now time.Time, n int) ([]usher.RoomKey, error) {
	return all(ctx, s.db.reader, roomKeyFields, selectDueRooms, now.UnixMicro(), limit(n))
}
