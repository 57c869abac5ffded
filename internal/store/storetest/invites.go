package storetest

import (
	"time"

	"usher"
	"usher/internal/store"
)

// invite stores an invite to aRoom; edit may change it before.
func (s *suite) invite(edit ...func(*usher.Invite)) usher.Invite {
	s.Helper()
	id := s.id()
	i := usher.Invite{App: aRoom.App, Room: aRoom.ID, ID: id, Code: usher.Secret(id).Digest(), Role: usher.Viewer, Version: 1}
	for _, f := range edit {
		f(&i)
	}
	s.must(s.db.Invites().Create(s.ctx, i))
	return i
}

func roomOf(i usher.Invite) usher.RoomKey { return usher.RoomKey{App: i.App, ID: i.Room} }

// redeem counts a use of an invite that is not used up.
func redeem(i usher.Invite) (usher.Invite, error) {
	if i.MaxUses > 0 && i.Uses >= i.MaxUses {
		return i, errRefused
	}
	i.Uses++
	return i, nil
}

func (s *suite) wantInvite(what string, want usher.Invite) {
	s.Helper()
	got, err := s.db.Invites().ByCode(s.ctx, want.Code)
	s.must(err)
	s.wantEqual(what, got, want)
}

var inviteTests = []test{
	{"every field of an invite is kept", func(s *suite) {
		full := s.invite(func(i *usher.Invite) {
			i.Uses, i.MaxUses, i.By, i.Version = 3, 5, "user:ann", 9
			i.Expires, i.RevokedAt, i.UpdatedAt = start.Add(time.Hour), start.Add(time.Minute), start
		})
		s.wantFull(full)
		s.wantInvite("full", full)
		s.wantInvite("bare", s.invite())
	}},
	{"an invite that is not there is not found", func(s *suite) {
		i := s.invite()
		s.invite(func(i *usher.Invite) { i.Code = usher.Digest{} })
		_, err := s.db.Invites().ByCode(s.ctx, usher.Secret("another").Digest())
		s.wantErr("ByCode", err, store.ErrNotFound)
		_, err = s.db.Invites().ByCode(s.ctx, usher.Digest{})
		s.wantErr("ByCode of no code", err, store.ErrNotFound)
		_, err = s.db.Invites().Update(s.ctx, roomOf(i), s.id(), redeem)
		s.wantErr("Update", err, store.ErrNotFound)
		_, err = s.db.Invites().Update(s.ctx, usher.RoomKey{App: i.App, ID: "room-b"}, i.ID, redeem)
		s.wantErr("Update in another room", err, store.ErrNotFound)
		_, err = s.db.Invites().Update(s.ctx, usher.RoomKey{App: "other", ID: i.Room}, i.ID, redeem)
		s.wantErr("Update in another app", err, store.ErrNotFound)
	}},
	{"an id is taken once in its room, and a code once anywhere", func(s *suite) {
		i := s.invite()
		again := i
		again.Code = usher.Secret("another").Digest()
		s.wantErr("Create with the id", s.db.Invites().Create(s.ctx, again), store.ErrExists)
		again.Room = "room-b"
		s.must(s.db.Invites().Create(s.ctx, again))
		s.wantInvite("of the same id in another room", again)
		again.App, again.ID, again.Code = "other", s.id(), i.Code
		s.wantErr("Create with the code", s.db.Invites().Create(s.ctx, again), store.ErrExists)
		s.wantInvite("the first", i)
	}},
	{"a room's invites are listed page by page in the order of making", func(s *suite) {
		ids := []usher.ID{s.id(), s.id(), s.id(), s.id(), s.id()}
		want := make([]usher.Invite, len(ids))
		for _, i := range []int{3, 0, 4, 2, 1} {
			want[i] = s.invite(func(inv *usher.Invite) { inv.ID = ids[i] })
		}
		s.invite(func(i *usher.Invite) { i.Room = "room-b" })
		s.invite(func(i *usher.Invite) { i.App = "other" })
		between := s.source("another source", func() time.Time { return ids[2].Time().Add(time.Millisecond) }).New()
		for name, tt := range map[string]struct {
			after usher.ID
			limit int
			want  []usher.Invite
		}{
			"all":                          {"", 0, want},
			"the first page":               {"", 2, want[:2]},
			"the second page":              {ids[1], 2, want[2:4]},
			"the last page":                {ids[3], 2, want[4:]},
			"after the last":               {ids[4], 2, nil},
			"after an id that isn't there": {between, 2, want[3:]},
		} {
			got, err := s.db.Invites().List(s.ctx, aRoom, tt.after, tt.limit)
			s.must(err)
			s.wantEqual(name, got, tt.want)
		}
	}},
	{"an update writes what the function returns, or nothing", func(s *suite) {
		i := s.invite(func(i *usher.Invite) { i.MaxUses = 1 })
		update := func(err error) (usher.Invite, error) {
			return s.db.Invites().Update(s.ctx, roomOf(i), i.ID, func(i usher.Invite) (usher.Invite, error) {
				fine := start.Add(9 * time.Nanosecond)
				i.Uses, i.Expires, i.RevokedAt, i.UpdatedAt = 1, fine, fine, fine
				return i, err
			})
		}
		want := i
		want.Uses, want.Expires, want.RevokedAt, want.UpdatedAt, want.Version = 1, start, start, start, 2
		wantUpdates(s, i, want, update, func() (usher.Invite, error) { return s.db.Invites().ByCode(s.ctx, i.Code) })

		other := s.invite()
		for name, change := range map[string]func(*usher.Invite){
			"another id":           func(i *usher.Invite) { i.ID = other.ID },
			"another room":         func(i *usher.Invite) { i.Room = "room-b" },
			"a code that is taken": func(i *usher.Invite) { i.Code = other.Code },
		} {
			if _, err := s.db.Invites().Update(s.ctx, roomOf(i), i.ID, func(i usher.Invite) (usher.Invite, error) {
				change(&i)
				return i, nil
			}); err == nil {
				s.Errorf("Update to %s: got no error", name)
			}
		}
		s.wantInvite("in the end", want)
		s.wantInvite("the other", other)
	}},
}
