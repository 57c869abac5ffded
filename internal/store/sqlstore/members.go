package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"usher"
	"usher/internal/store"
)

type members struct{ db *DB }

var _ store.Members = members{}

var memberMapping = mapping[usher.Member]{
	table:   "members",
	columns: []string{"app", "room", "identity", "role", "name", "added_by", "updated_at"},
	keys:    3,
	fields: func(m *usher.Member) []any {
		return []any{
			&m.App, (*string)(&m.Room), &m.Identity, (*string)(&m.Role), &m.Name, &m.AddedBy, stampField{&m.UpdatedAt},
		}
	},
	values: func(m *usher.Member) []any {
		return []any{
			m.App, string(m.Room), m.Identity, string(m.Role), m.Name, m.AddedBy, stamp(m.UpdatedAt),
		}
	},
}

var (
	selectMembers   = memberMapping.query("WHERE app = $1 AND room = $2 AND identity > $3 ORDER BY identity LIMIT $4")
	selectMembersOf = memberMapping.query("WHERE app = $1 AND room = $2 AND identity IN (")
)

const deleteMember = "DELETE FROM members WHERE app = $1 AND room = $2 AND identity = $3"

func (s members) Put(ctx context.Context, m usher.Member) error {
	return s.db.writer.do(ctx, func(t *tx) error { return memberMapping.put(t, &m) })
}

// Of repeats the last key until their number is a power of two, so that there
// are few different queries to prepare.
func (s members) Of(ctx context.Context, room usher.RoomKey, keys []string) ([]usher.Member, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	args := []any{room.App, string(room.ID)}
	var places []string
	for n := 0; n < len(keys) || n&(n-1) != 0; n++ {
		args = append(args, keys[min(n, len(keys)-1)])
		places = append(places, fmt.Sprintf("$%d", len(args)))
	}
	text := selectMembersOf + strings.Join(places, ", ") + ") ORDER BY identity"
	return all(ctx, s.db.reader, memberMapping.fields, text, args...)
}

func (s members) List(ctx context.Context, room usher.RoomKey, after string, n int) ([]usher.Member, error) {
	return all(ctx, s.db.reader, memberMapping.fields, selectMembers, room.App, string(room.ID), after, limit(n))
}

func (s members) Delete(ctx context.Context, room usher.RoomKey, key string) error {
	return s.db.writer.do(ctx, func(t *tx) error {
		n, err := t.affect(deleteMember, room.App, string(room.ID), key)
		if err == nil && n == 0 {
			return store.ErrNotFound
		}
		return err
	})
}
