package sqlstore

import (
	"context"

	"usher"
	"usher/internal/store"
)

type takings struct{ db *DB }

var _ store.Takings = takings{}

var takingMapping = mapping[usher.Taking]{
	table: "takings",
	columns: []string{
		"seq", "id", "app", "kind", "grant_id", "identity", "client", "room",
		"issued_before", "forever", "ends_at", "taken_by", "reason",
	},
	keys: 1,
	fields: func(t *usher.Taking) []any {
		return []any{
			&t.Seq, (*string)(&t.ID), &t.App, (*string)(&t.Kind),
			(*string)(&t.Target.Grant), &t.Target.Identity, (*string)(&t.Target.Client), (*string)(&t.Target.Room),
			stampField{&t.Before}, &t.Forever, stampField{&t.Until}, &t.By, &t.Reason,
		}
	},
	values: func(t *usher.Taking) []any {
		return []any{
			t.Seq, string(t.ID), t.App, string(t.Kind),
			string(t.Target.Grant), t.Target.Identity, string(t.Target.Client), string(t.Target.Room),
			stamp(t.Before), t.Forever, stamp(t.Until), t.By, t.Reason,
		}
	},
}

var selectTakings = takingMapping.query("WHERE seq > $1 ORDER BY seq LIMIT $2")

const selectLastTaking = "SELECT coalesce(max(seq), 0) FROM takings"

// Append can count on from the last entry because none is ever deleted and
// nobody else writes.
func (s takings) Append(ctx context.Context, entry usher.Taking) (usher.Taking, error) {
	cut(&entry.Before, &entry.Until)
	return write(ctx, s.db.writer, func(t *tx) (usher.Taking, error) {
		last, err := one(context.Background(), t, func(n *int64) []any { return []any{n} }, selectLastTaking)
		if err != nil {
			return usher.Taking{}, err
		}
		entry.Seq = last + 1
		return entry, takingMapping.insert(t, &entry)
	})
}

func (s takings) After(ctx context.Context, seq int64, n int) ([]usher.Taking, error) {
	return all(ctx, s.db.reader, takingMapping.fields, selectTakings, seq, limit(n))
}
