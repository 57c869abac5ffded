package cached

import (
	"cmp"
	"context"
	"slices"

	"usher"
	"usher/internal/store"
)

// members keeps whether an identity, or a group, is a member of a room, and as
// what: most who ask to enter are none, and that is asked for each time, too.
type members struct {
	store.Members
	kept *table[memberKey, membership]
}

var _ store.Members = (*members)(nil)

type memberKey struct {
	room     usher.RoomKey
	identity string
}

// membership is a member, or that there is none.
type membership struct {
	member usher.Member
	is     bool
}

// unread is a key whose membership has to be read.
type unread struct {
	key     string
	reading reading[membership]
}

// Of implements [store.Members].
func (s *members) Of(ctx context.Context, room usher.RoomKey, keys []string) ([]usher.Member, error) {
	var found []usher.Member
	var rest []unread
	for _, key := range keys {
		m, reading, ok := s.kept.get(memberKey{room, key})
		switch {
		case !ok:
			rest = append(rest, unread{key, reading})
		case m.is:
			found = append(found, m.member)
		}
	}
	if len(rest) == 0 {
		return inOrder(found), ctx.Err()
	}
	read, err := s.read(ctx, room, rest)
	if err != nil {
		return nil, err
	}
	return inOrder(append(found, read...)), nil
}

// read reads memberships from the store, and keeps them.
func (s *members) read(ctx context.Context, room usher.RoomKey, rest []unread) ([]usher.Member, error) {
	keys := make([]string, len(rest))
	for i, u := range rest {
		keys[i] = u.key
	}
	read, err := s.Members.Of(ctx, room, keys)
	if err != nil {
		return nil, err
	}
	for _, u := range rest {
		var m membership
		if i := slices.IndexFunc(read, func(m usher.Member) bool { return m.Identity == u.key }); i >= 0 {
			m = membership{read[i], true}
		}
		s.kept.put(u.reading, m)
	}
	return read, nil
}

// inOrder sorts members by their keys, and takes out what was asked for twice.
func inOrder(list []usher.Member) []usher.Member {
	if len(list) < 2 {
		return list
	}
	slices.SortFunc(list, func(a, b usher.Member) int { return cmp.Compare(a.Identity, b.Identity) })
	return slices.CompactFunc(list, func(a, b usher.Member) bool { return a.Identity == b.Identity })
}

// Put implements [store.Members].
func (s *members) Put(ctx context.Context, m usher.Member) error {
	defer s.kept.writing(memberKey{usher.RoomKey{App: m.App, ID: m.Room}, m.Identity})()
	return s.Members.Put(ctx, m)
}

// Delete implements [store.Members].
func (s *members) Delete(ctx context.Context, room usher.RoomKey, key string) error {
	defer s.kept.writing(memberKey{room, key})()
	return s.Members.Delete(ctx, room, key)
}
