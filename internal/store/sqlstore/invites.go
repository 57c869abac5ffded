package sqlstore

import (
	"context"
	"errors"

	"usher"
	"usher/internal/store"
)

type invites struct{ db *DB }

var _ store.Invites = invites{}

var inviteMapping = mapping[usher.Invite]{
	table: "invites",
	columns: []string{
		"app", "room", "id", "made", "code", "role", "uses", "max_uses",
		"expires_at", "made_by", "revoked_at", "updated_at", "version",
	},
	keys: 3,
	fields: func(i *usher.Invite) []any {
		return []any{
			&i.App, (*string)(&i.Room), (*string)(&i.ID), discard{}, (*digest)(&i.Code), (*string)(&i.Role), &i.Uses, &i.MaxUses,
			stampField{&i.Expires}, &i.By, stampField{&i.RevokedAt}, stampField{&i.UpdatedAt}, &i.Version,
		}
	},
	values: func(i *usher.Invite) []any {
		return []any{
			i.App, string(i.Room), string(i.ID), made(i.ID), digest(i.Code), string(i.Role), int64(i.Uses), int64(i.MaxUses),
			stamp(i.Expires), i.By, stamp(i.RevokedAt), stamp(i.UpdatedAt), i.Version,
		}
	},
	version: func(i *usher.Invite) *int64 { return &i.Version },
}

var (
	selectInvite       = inviteMapping.query("WHERE app = $1 AND room = $2 AND id = $3")
	selectInviteByCode = inviteMapping.query("WHERE code = $1")
	selectInvites      = inviteMapping.query("WHERE app = $1 AND room = $2 AND (made, id) > ($3, $4) ORDER BY made, id LIMIT $5")
)

func (s invites) Create(ctx context.Context, i usher.Invite) error {
	return s.db.writer.do(ctx, func(t *tx) error { return inviteMapping.insert(t, &i) })
}

func (s invites) ByCode(ctx context.Context, code usher.Digest) (usher.Invite, error) {
	return one(ctx, s.db.reader, inviteMapping.fields, selectInviteByCode, digest(code)) // NULL equals nothing
}

func (s invites) List(ctx context.Context, room usher.RoomKey, after usher.ID, n int) ([]usher.Invite, error) {
	return all(ctx, s.db.reader, inviteMapping.fields, selectInvites,
		room.App, string(room.ID), made(after), string(after), limit(n))
}

func (s invites) Update(ctx context.Context, room usher.RoomKey, id usher.ID, change func(usher.Invite) (usher.Invite, error)) (usher.Invite, error) {
	return write(ctx, s.db.writer, func(t *tx) (usher.Invite, error) {
		old, err := one(context.Background(), t, inviteMapping.fields, selectInvite, room.App, string(room.ID), string(id))
		if err != nil {
			return usher.Invite{}, err
		}
		next, err := change(old)
		switch {
		case errors.Is(err, store.ErrUnchanged):
			return old, nil
		case err != nil:
			return usher.Invite{}, err
		}
		cut(&next.Expires, &next.RevokedAt, &next.UpdatedAt)
		if err := inviteMapping.update(t, &old, &next); err != nil {
			return usher.Invite{}, err
		}
		return next, nil
	})
}
