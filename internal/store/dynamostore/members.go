package dynamostore

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"usher"
	"usher/internal/store"
)

type members struct{ db *DB }

var _ store.Members = members{}

// Members are in the partition of their room, in the order of their keys.
const memberPrefix = "member|"

func memberFields(a *archive, m *usher.Member) {
	text(a, "app", &m.App)
	text(a, "room", &m.Room)
	text(a, "identity", &m.Identity)
	text(a, "role", &m.Role)
	text(a, "name", &m.Name)
	text(a, "addedBy", &m.AddedBy)
	a.stamp("updatedAt", &m.UpdatedAt)
}

func memberKey(db *DB, room usher.RoomKey, identity string) key {
	return key{db.own, roomPartition(room), memberPrefix + identity}
}

func (s members) Put(ctx context.Context, m usher.Member) error {
	done, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	at := memberKey(s.db, usher.RoomKey{App: m.App, ID: m.Room}, m.Identity)
	_, err = s.db.put(ctx, s.db.own, pack(at.attributes(), memberFields, &m), &expression{}, "")
	return err
}

func (s members) Of(ctx context.Context, room usher.RoomKey, keys []string) ([]usher.Member, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ask := make([]key, len(keys))
	for i, identity := range keys {
		ask[i] = memberKey(s.db, room, identity)
	}
	items, err := s.db.getAll(ctx, ask)
	if err != nil {
		return nil, err
	}
	var list []usher.Member
	for _, i := range items {
		if i == nil {
			continue
		}
		m, err := unpack(i, memberFields)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b usher.Member) int { return cmp.Compare(a.Identity, b.Identity) })
	return list, nil
}

func (s members) List(ctx context.Context, room usher.RoomKey, after string, limit int) ([]usher.Member, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	in := span{table: s.db.own, hash: roomPartition(room), low: memberPrefix + after + "\x01", high: memberPrefix + "\U0010ffff"}
	return records(ctx, s.db, in, limit, memberFields)
}

func (s members) Delete(ctx context.Context, room usher.RoomKey, identity string) error {
	done, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	at := memberKey(s.db, room, identity)
	var e expression
	doubt, err := s.db.remove(ctx, at, &e, e.is(at.table.hash, textValue(at.hash)))
	switch {
	case errors.Is(err, errConflict) && doubt:
		return nil // it is gone, as was asked
	case errors.Is(err, errConflict):
		return store.ErrNotFound
	}
	return err
}
