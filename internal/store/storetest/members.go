package storetest

import (
	"fmt"
	"time"

	"usher"
	"usher/internal/store"
)

// aRoom is a room that need not be there.
var aRoom = usher.RoomKey{App: usher.DefaultApp, ID: "room-a"}

// member stores a member of aRoom; edit may change it before.
func (s *suite) member(identity string, edit ...func(*usher.Member)) usher.Member {
	s.Helper()
	m := usher.Member{App: aRoom.App, Room: aRoom.ID, Identity: identity, Role: usher.Speaker}
	for _, f := range edit {
		f(&m)
	}
	s.must(s.db.Members().Put(s.ctx, m))
	return m
}

func (s *suite) wantMembers(what string, room usher.RoomKey, want ...usher.Member) {
	s.Helper()
	got, err := s.db.Members().List(s.ctx, room, "", 0)
	s.must(err)
	s.wantEqual(what, got, want)
}

var memberTests = []test{
	{"every field of a member is kept, and put again all are replaced", func(s *suite) {
		full := s.member("user:https://issuer.example#Zoë", func(m *usher.Member) {
			m.Name, m.AddedBy, m.UpdatedAt = "Zoë 🏔", "user:ann", start
		})
		s.wantFull(full)
		s.wantMembers("List", aRoom, full)
		s.wantMembers("List after it was put again", aRoom, s.member(full.Identity, func(m *usher.Member) { m.Role = usher.Viewer }))

		fine := full
		fine.UpdatedAt = start.Add(9 * time.Nanosecond)
		s.must(s.db.Members().Put(s.ctx, fine))
		s.wantMembers("List after a finer time", aRoom, full)
	}},
	{"members are listed page by page, by the bytes of their keys", func(s *suite) {
		var want []usher.Member
		for _, key := range []string{"group:i#a", "user:B", "user:a", "user:a1", "user:ä"} {
			want = append(want, usher.Member{App: aRoom.App, Room: aRoom.ID, Identity: key, Role: usher.Speaker})
		}
		for _, i := range []int{3, 0, 4, 2, 1} {
			s.member(want[i].Identity)
		}
		s.wantMembers("all", aRoom, want...)
		for after, page := range map[string][]usher.Member{
			"":         want[:2],
			"user:B":   want[2:4],
			"user:C":   want[2:4], // is no member
			"user:a1":  want[4:],
			"user:ä":   nil,
			"group:i#": want[:2],
		} {
			got, err := s.db.Members().List(s.ctx, aRoom, after, 2)
			s.must(err)
			s.wantEqual(fmt.Sprintf("after %q", after), got, page)
		}
	}},
	{"of an identity's keys those that are members are found", func(s *suite) {
		ann, staff := s.member("user:ann"), s.member("group:i#staff")
		s.member("user:bob")
		keys := make([]string, 200)
		for i := range keys {
			keys[i] = fmt.Sprintf("group:i#%d", i)
		}
		last := s.member(keys[199])
		for name, tt := range map[string]struct {
			keys []string
			want []usher.Member
		}{
			"no key":              {nil, nil},
			"a stranger":          {[]string{"user:eve"}, nil},
			"only by a part":      {[]string{"user:an", "user:ann ", "USER:ANN"}, nil},
			"itself":              {[]string{"user:ann"}, []usher.Member{ann}},
			"itself and a group":  {[]string{"user:ann", "group:i#other", "group:i#staff"}, []usher.Member{staff, ann}},
			"one key three times": {[]string{"user:ann", "user:ann", "user:ann"}, []usher.Member{ann}},
			"200 keys":            {keys, []usher.Member{last}},
		} {
			got, err := s.db.Members().Of(s.ctx, aRoom, tt.keys)
			s.must(err)
			s.wantEqual(name, got, tt.want)
		}
	}},
	{"a member that was deleted is one no more", func(s *suite) {
		ann, bob := s.member("user:ann"), s.member("user:bob")
		s.must(s.db.Members().Delete(s.ctx, aRoom, ann.Identity))
		s.wantMembers("List", aRoom, bob)
		s.wantErr("Delete again", s.db.Members().Delete(s.ctx, aRoom, ann.Identity), store.ErrNotFound)
	}},
	{"rooms and apps do not see each other's members", func(s *suite) {
		room := usher.RoomKey{App: aRoom.App, ID: "room-b"}
		app := usher.RoomKey{App: "other", ID: aRoom.ID}
		mine := s.member("user:ann")
		inRoom := s.member(mine.Identity, func(m *usher.Member) { m.Room, m.Role = room.ID, usher.Host })
		inApp := s.member(mine.Identity, func(m *usher.Member) { m.App, m.Role = app.App, usher.Viewer })
		for key, want := range map[usher.RoomKey]usher.Member{aRoom: mine, room: inRoom, app: inApp} {
			got, err := s.db.Members().Of(s.ctx, key, []string{mine.Identity})
			s.must(err)
			s.wantEqual("Of", got, []usher.Member{want})
			s.wantMembers("List", key, want)
		}
		s.must(s.db.Members().Delete(s.ctx, app, mine.Identity))
		s.wantMembers("List", aRoom, mine)
		s.wantMembers("List", room, inRoom)
	}},
}
