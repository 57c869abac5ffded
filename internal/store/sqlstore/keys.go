package sqlstore

import (
	"context"
	"errors"

	"usher/internal/store"
)

type keys struct{ db *DB }

var _ store.Keys = keys{}

var keyMapping = mapping[store.Key]{
	table:   "keys",
	columns: []string{"id", "made", "algorithm", "state", "sealed", "not_after", "updated_at"},
	keys:    1,
	fields: func(k *store.Key) []any {
		return []any{
			(*string)(&k.ID), discard{}, &k.Algorithm, (*string)(&k.State), &k.Sealed,
			stampField{&k.NotAfter}, stampField{&k.UpdatedAt},
		}
	},
	values: func(k *store.Key) []any {
		return []any{
			string(k.ID), made(k.ID), k.Algorithm, string(k.State), k.Sealed,
			stamp(k.NotAfter), stamp(k.UpdatedAt),
		}
	},
}

var selectKeys = keyMapping.query("ORDER BY made, id")

func (s keys) List(ctx context.Context) ([]store.Key, error) {
	return all(ctx, s.db.reader, keyMapping.fields, selectKeys)
}

func (s keys) Change(ctx context.Context, change func([]store.Key) ([]store.Key, error)) ([]store.Key, error) {
	return write(ctx, s.db.writer, func(t *tx) ([]store.Key, error) {
		old, err := all(context.Background(), t, keyMapping.fields, selectKeys)
		if err != nil {
			return nil, err
		}
		next, err := change(old)
		switch {
		case errors.Is(err, store.ErrUnchanged):
			return all(context.Background(), t, keyMapping.fields, selectKeys)
		case err != nil:
			return nil, err
		}
		// The keys are a handful: writing all of them is simpler than telling
		// which ones changed.
		if err := t.exec("DELETE FROM keys"); err != nil {
			return nil, err
		}
		for i := range next {
			if err := keyMapping.insert(t, &next[i]); err != nil {
				return nil, err
			}
		}
		return all(context.Background(), t, keyMapping.fields, selectKeys)
	})
}
