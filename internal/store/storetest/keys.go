package storetest

import (
	"time"

	"usher/internal/store"
)

func setKeys(keys ...store.Key) func([]store.Key) ([]store.Key, error) {
	return func([]store.Key) ([]store.Key, error) { return keys, nil }
}

var keyTests = []test{
	{"there are no keys at first", func(s *suite) {
		got, err := s.db.Keys().List(s.ctx)
		s.must(err)
		s.wantEqual("List", got, []store.Key(nil))
	}},
	{"a change replaces the whole set, which is listed in the order of making", func(s *suite) {
		a := store.Key{ID: s.id(), Algorithm: "EdDSA", State: store.RetiredKey, Sealed: []byte{0, 1, 255},
			NotAfter: start.Add(time.Hour), UpdatedAt: start}
		b := store.Key{ID: s.id(), Algorithm: "ES256", State: store.CurrentKey, Sealed: []byte("b"), UpdatedAt: start}
		c := store.Key{ID: s.id(), Algorithm: "EdDSA", State: store.NextKey, UpdatedAt: start}
		got, err := s.db.Keys().Change(s.ctx, setKeys(b, a))
		s.must(err)
		s.wantEqual("Change", got, []store.Key{a, b})

		b.State, b.NotAfter, c.State = store.RetiredKey, start, store.CurrentKey
		given := b
		given.NotAfter = start.Add(time.Nanosecond)
		got, err = s.db.Keys().Change(s.ctx, func(old []store.Key) ([]store.Key, error) {
			if len(old) != 2 || old[0].ID != a.ID {
				return nil, errRefused
			}
			return []store.Key{c, given}, nil
		})
		s.must(err)
		s.wantEqual("Change", got, []store.Key{b, c})
		got, err = s.db.Keys().List(s.ctx)
		s.must(err)
		s.wantEqual("List", got, []store.Key{b, c})
	}},
	{"a change that fails or changes nothing leaves the set", func(s *suite) {
		a := store.Key{ID: s.id(), Algorithm: "EdDSA", State: store.CurrentKey, Sealed: []byte("a"), UpdatedAt: start}
		want := []store.Key{a}
		_, err := s.db.Keys().Change(s.ctx, setKeys(a))
		s.must(err)
		edit := func(err error) func([]store.Key) ([]store.Key, error) {
			return func(old []store.Key) ([]store.Key, error) {
				old[0].State = store.RetiredKey
				return old, err
			}
		}
		if _, err := s.db.Keys().Change(s.ctx, edit(errRefused)); err != errRefused {
			s.Errorf("Change: got error %v, want %v itself", err, errRefused)
		}
		got, err := s.db.Keys().Change(s.ctx, edit(store.ErrUnchanged))
		s.must(err)
		s.wantEqual("Change with ErrUnchanged", got, want)
		_, err = s.db.Keys().Change(s.ctx, setKeys(a, a))
		s.wantErr("Change to one id twice", err, store.ErrExists)
		got, err = s.db.Keys().List(s.ctx)
		s.must(err)
		s.wantEqual("List", got, want)
	}},
}
