package dynamostore

import (
	"context"
	"encoding/hex"

	"usher"
	"usher/internal/store"
)

type invites struct{ db *DB }

var _ store.Invites = invites{}

// Invites are in the partition of their room.
const (
	invitePrefix = "invite|"
	slotCode     = "code"
)

var inviteKind = kind[usher.Invite]{
	key: func(db *DB, i *usher.Invite) key { return inviteKey(db, usher.RoomKey{App: i.App, ID: i.Room}, i.ID) },
	fields: func(a *archive, i *usher.Invite) {
		text(a, "app", &i.App)
		text(a, "room", &i.Room)
		text(a, "id", &i.ID)
		a.digest("code", &i.Code)
		text(a, "role", &i.Role)
		number(a, "uses", &i.Uses)
		number(a, "maxUses", &i.MaxUses)
		a.stamp("expires", &i.Expires)
		text(a, "by", &i.By)
		a.stamp("revokedAt", &i.RevokedAt)
		a.stamp("updatedAt", &i.UpdatedAt)
		number(a, "version", &i.Version)
	},
	entries: func(_ *DB, i *usher.Invite) []entry {
		if i.Code.IsZero() {
			return nil
		}
		return []entry{{slot: slotCode, hash: codeName(i.Code), unique: true}}
	},
	version: func(i *usher.Invite) *int64 { return &i.Version },
}

func inviteKey(db *DB, room usher.RoomKey, id usher.ID) key {
	return key{db.own, roomPartition(room), invitePrefix + orderOf(id)}
}

func codeName(code usher.Digest) string { return join("invite-code", hex.EncodeToString(code[:])) }

func (s invites) Create(ctx context.Context, i usher.Invite) error {
	done, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return inviteKind.create(ctx, s.db, i)
}

func (s invites) ByCode(ctx context.Context, code usher.Digest) (usher.Invite, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Invite{}, err
	}
	defer done()
	if code.IsZero() {
		return usher.Invite{}, store.ErrNotFound
	}
	return byName(ctx, s.db, inviteKind, s.db.own, codeName(code), slotCode)
}

func (s invites) List(ctx context.Context, room usher.RoomKey, after usher.ID, limit int) ([]usher.Invite, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	in := span{table: s.db.own, hash: roomPartition(room), low: invitePrefix + orderOf(after) + beyond, high: invitePrefix + "~"}
	return records(ctx, s.db, in, limit, inviteKind.fields)
}

// records returns those in a span of heads, at most limit of them.
func records[T any](ctx context.Context, db *DB, in span, limit int, fields func(*archive, *T)) ([]T, error) {
	var list []T
	err := db.each(ctx, in, pageOf(limit), func(items []item) (bool, error) {
		for _, i := range items {
			if !isThere(i) {
				continue
			}
			record, err := unpack(i, fields)
			if err != nil {
				return false, err
			}
			list = append(list, record)
			if limit > 0 && len(list) == limit {
				return false, nil
			}
		}
		return true, nil
	})
	return list, err
}

func (s invites) Update(ctx context.Context, room usher.RoomKey, id usher.ID, change func(usher.Invite) (usher.Invite, error)) (usher.Invite, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Invite{}, err
	}
	defer done()
	return inviteKind.change(ctx, s.db, inviteKey(s.db, room, id), change)
}
