package dynamostore

import (
	"context"
	"errors"
	"time"

	"usher"
	"usher/internal/store"
)

func (s rooms) Ended(ctx context.Context, before time.Time, limit int) ([]usher.RoomKey, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	fs, err := s.db.overdue(ctx, s.db.own, endedRooms, order(before), limit)
	return keysOf(fs, err, foundRoom)
}

// Forget deletes the room last, so that it is found again if that comes to
// nothing.
func (s rooms) Forget(ctx context.Context, k usher.RoomKey) error {
	done, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return s.changing(ctx, k, func(at key, i item) error {
		room, err := roomKind.unpack(s.db, at, i)
		if err != nil {
			return err
		}
		if room.Status != usher.RoomEnded {
			return store.ErrNotEnded
		}
		if err := s.finish(ctx, i); err != nil {
			return err
		}
		if err := s.forgetContents(ctx, k); err != nil {
			return err
		}
		return s.db.vanish(ctx, at, i, roomKind.entries(s.db, &room))
	})
}

// forgetContents deletes what is in a room, but not what it has on platforms:
// that goes when it is settled there.
func (s rooms) forgetContents(ctx context.Context, k usher.RoomKey) error {
	in := span{table: s.db.own, hash: documentKey(s.db, k, "").hash, only: []string{"pk", "sk"}}
	err := s.db.each(ctx, in, maxReads, func(items []item) (bool, error) {
		return true, s.db.writeAll(ctx, nil, s.keysOf(items))
	})
	if err != nil {
		return err
	}
	in = span{table: s.db.own, hash: roomPartition(k), low: memberPrefix, high: memberPrefix + "~"}
	err = s.db.each(ctx, in, maxReads, func(items []item) (bool, error) {
		return true, s.db.writeAll(ctx, nil, s.keysOf(items))
	})
	if err != nil {
		return err
	}
	if err := wipe(ctx, s.db, inviteKind, k, invitePrefix); err != nil {
		return err
	}
	return wipe(ctx, s.db, participantKind, k, participantPrefix)
}

func (s rooms) keysOf(items []item) []key {
	keys := make([]key, len(items))
	for n, i := range items {
		keys[n] = s.db.own.keyOf(i)
	}
	return keys
}

// vanish is erase for what may be deleted by anybody: in doubt it is enough that
// it is gone. What pointed to it is deleted when it is next come across.
func (db *DB) vanish(ctx context.Context, at key, i item, entries []entry) error {
	err := db.erase(ctx, at, i, entries)
	if !errors.Is(err, errInDoubt) {
		return err
	}
	now, err := db.get(ctx, at)
	if err == nil && now != nil {
		err = errConflict
	}
	return err
}

// wipe deletes the heads of one kind in a room, with what they are found by.
func wipe[T any](ctx context.Context, db *DB, k kind[T], room usher.RoomKey, prefix string) error {
	in := span{table: db.own, hash: roomPartition(room), low: prefix, high: prefix + "~"}
	return db.each(ctx, in, maxReads, func(items []item) (bool, error) {
		for _, i := range items {
			at := db.own.keyOf(i)
			var entries []entry
			if isThere(i) {
				record, err := k.unpack(db, at, i)
				if err != nil {
					return false, err
				}
				entries = k.entriesOf(db, &record)
			}
			if err := db.vanish(ctx, at, i, entries); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}
