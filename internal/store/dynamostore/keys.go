package dynamostore

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"usher/internal/store"
)

type signingKeys struct{ db *DB }

var _ store.Keys = signingKeys{}

// keySet is all keys, which are one record: they are few, and change together.
type keySet struct{ keys []store.Key }

func keyFields(a *archive, k *store.Key) {
	text(a, "id", &k.ID)
	text(a, "algorithm", &k.Algorithm)
	text(a, "state", &k.State)
	a.bytes("sealed", &k.Sealed)
	a.stamp("notAfter", &k.NotAfter)
	a.stamp("updatedAt", &k.UpdatedAt)
}

var keyKind = kind[keySet]{
	key:    func(db *DB, _ *keySet) key { return key{db.own, "keys", "keys"} },
	fields: keySetFields,
}

func keySetFields(a *archive, s *keySet) {
	const name = "keys"
	if !a.reading {
		var list types.AttributeValueMemberL
		for n := range s.keys {
			list.Value = append(list.Value, partValue(pack(nil, keyFields, &s.keys[n])))
		}
		a.item[name] = &list
		return
	}
	list, ok := a.item[name].(*types.AttributeValueMemberL)
	if !ok {
		a.fail(name)
		return
	}
	for _, v := range list.Value {
		m, ok := v.(*types.AttributeValueMemberM)
		if !ok {
			a.fail(name)
			return
		}
		k, err := unpack(m.Value, keyFields)
		if err != nil {
			a.err = err
			return
		}
		s.keys = append(s.keys, k)
	}
}

func (s signingKeys) List(ctx context.Context) ([]store.Key, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	set, err := keyKind.read(ctx, s.db, keyKind.key(s.db, nil))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return set.keys, err
}

func (s signingKeys) Change(ctx context.Context, change func([]store.Key) ([]store.Key, error)) ([]store.Key, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	set, err := keyKind.always(ctx, s.db, keySet{}, func(old keySet) (keySet, error) {
		next, err := change(old.keys)
		if err != nil {
			return keySet{}, err
		}
		return sorted(next)
	})
	return set.keys, err
}

// sorted returns keys in the order of making, or [store.ErrExists] if an id is
// there twice.
func sorted(keys []store.Key) (keySet, error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b store.Key) int { return cmp.Compare(orderOf(a.ID), orderOf(b.ID)) })
	for n := range keys {
		cut(&keys[n].NotAfter, &keys[n].UpdatedAt)
		if n > 0 && keys[n].ID == keys[n-1].ID {
			return keySet{}, store.ErrExists
		}
	}
	return keySet{keys}, nil
}
