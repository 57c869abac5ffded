package storetest

import (
	"slices"
	"time"

	"usher"
	"usher/internal/store"
)

// furnished stores a room with something of everything that goes with it, more
// than one step deletes, and ends it if it shall be.
func (s *suite) furnished(ended bool) (r usher.Room, p usher.Participant, i usher.Invite, d *document) {
	s.Helper()
	r = s.room(named("hall " + string(s.id())))
	p = s.participant(r)
	for range 3 {
		s.participant(r)
	}
	s.must(s.db.Members().Put(s.ctx, usher.Member{App: r.App, Room: r.ID, Identity: "user:ann", Role: usher.Host, AddedBy: "client:a", UpdatedAt: start}))
	i = s.invite(func(i *usher.Invite) { i.App, i.Room = r.App, r.ID })
	d = &document{suite: s, room: r.Key()}
	for range 20 {
		d.append(1)
	}
	d.compact(d.snapshot(2, slices.Repeat([]string{"part"}, 20)...), "")
	if ended {
		r = s.endRoom(r, start)
	}
	return r, p, i, d
}

func (s *suite) endRoom(r usher.Room, at time.Time) usher.Room {
	s.Helper()
	ended, err := s.db.Rooms().Update(s.ctx, r.Key(), func(r usher.Room) (usher.Room, error) {
		r.Status, r.EndedAt = usher.RoomEnded, at
		return r, nil
	})
	s.must(err)
	return ended
}

// wantFurnished checks that all of a room is there, or nothing.
func (s *suite) wantFurnished(what string, want bool, r usher.Room, p usher.Participant, i usher.Invite, d *document) {
	s.Helper()
	there := func(part string, err error) {
		s.Helper()
		if want {
			s.must(err)
			return
		}
		s.wantErr(what+": "+part, err, store.ErrNotFound)
	}
	_, err := s.db.Rooms().Get(s.ctx, r.Key())
	there("room", err)
	_, err = s.db.Rooms().Participant(s.ctx, p.Key())
	there("participant", err)
	_, err = s.db.Rooms().Participants(s.ctx, store.ParticipantQuery{Room: r.Key(), Limit: 1})
	there("participants", err)
	_, err = s.db.Invites().ByCode(s.ctx, i.Code)
	there("invite", err)
	invites, err := s.db.Invites().List(s.ctx, r.Key(), "", 0)
	s.must(err)
	members, err := s.db.Members().Of(s.ctx, r.Key(), []string{"user:ann"})
	s.must(err)
	head, err := s.db.Documents().Head(s.ctx, r.Key())
	s.must(err)
	log, err := s.db.Documents().Log(s.ctx, r.Key(), 0, 0)
	s.must(err)
	for part, got := range map[string]bool{
		"invites": len(invites) == 1, "members": len(members) == 1, "head": head != store.Head{}, "log": len(log) > 0,
	} {
		s.wantEqual(what+": "+part, got, want)
	}
	snapshot := d.snapshotOf(head)
	_, err = s.db.Documents().Part(s.ctx, r.Key(), snapshot, 19)
	there("part", err)
	listed, err := s.db.Rooms().List(s.ctx, store.RoomQuery{App: r.App})
	s.must(err)
	s.wantEqual(what+": listed", slices.ContainsFunc(listed, func(other usher.Room) bool { return other.ID == r.ID }), want)
}

// snapshotOf remembers the snapshot of a document, to look for it when it is gone.
func (d *document) snapshotOf(head store.Head) usher.ID {
	if head.Snapshot.ID != "" {
		d.snapshots = append(d.snapshots, head.Snapshot.ID)
	}
	if len(d.snapshots) == 0 {
		return ""
	}
	return d.snapshots[len(d.snapshots)-1]
}

var forgetTests = []test{
	{"a room that has ended is forgotten with all that goes with it, and no other is", func(s *suite) {
		room, p, i, d := s.furnished(true)
		other, theirs, code, text := s.furnished(true)
		s.wantFurnished("before", true, room, p, i, d)
		s.wantFurnished("the other before", true, other, theirs, code, text)
		s.must(s.db.Rooms().Forget(s.ctx, room.Key()))
		s.wantFurnished("after", false, room, p, i, d)
		s.wantFurnished("the other after", true, other, theirs, code, text)
		due, err := s.db.Rooms().Ended(s.ctx, start.Add(time.Hour), 0)
		s.must(err)
		s.wantEqual("Ended", due, []usher.RoomKey{other.Key()})
		s.wantErr("Forget again", s.db.Rooms().Forget(s.ctx, room.Key()), store.ErrNotFound)
		s.wantErr("Forget a room that never was", s.db.Rooms().Forget(s.ctx, usher.RoomKey{App: room.App, ID: s.id()}), store.ErrNotFound)
	}},
	{"a room that has not ended is not forgotten, nor anything of it", func(s *suite) {
		room, p, i, d := s.furnished(false)
		s.wantErr("Forget", s.db.Rooms().Forget(s.ctx, room.Key()), store.ErrNotEnded)
		s.wantFurnished("after", true, room, p, i, d)
	}},
	{"the rooms that ended before a time are found, the longest ago first", func(s *suite) {
		s.room(func(r *usher.Room) { r.EndedAt = start }) // it has not
		late, early, middle := s.room(), s.room(), s.room()
		s.endRoom(late, start.Add(3*time.Second))
		s.endRoom(early, start.Add(time.Second))
		s.endRoom(middle, start.Add(2*time.Second))
		for _, tt := range []struct {
			before time.Duration
			limit  int
			want   []usher.RoomKey
		}{
			{time.Hour, 0, []usher.RoomKey{early.Key(), middle.Key(), late.Key()}},
			{time.Hour, 2, []usher.RoomKey{early.Key(), middle.Key()}},
			{3 * time.Second, 0, []usher.RoomKey{early.Key(), middle.Key()}},
			{time.Second, 0, nil},
		} {
			got, err := s.db.Rooms().Ended(s.ctx, start.Add(tt.before), tt.limit)
			s.must(err)
			s.wantEqual("Ended", got, tt.want)
		}
	}},
	{"what a room has on a platform outlives it", func(s *suite) {
		room := s.endRoom(s.room(), start)
		key := usher.StayKey{App: room.App, Room: room.ID, Platform: "janus"}
		_, err := s.db.Stays().Change(s.ctx, key, func(st usher.Stay) (usher.Stay, error) {
			st.Due = start
			return st, nil
		})
		s.must(err)
		s.must(s.db.Rooms().Forget(s.ctx, room.Key()))
		due, err := s.db.Stays().Due(s.ctx, "janus", 0)
		s.must(err)
		s.wantEqual("stays", len(due), 1)
	}},
	{"of many who forget a room at once all succeed, or find it gone", func(s *suite) {
		room, p, i, d := s.furnished(true)
		s.wantFurnished("before", true, room, p, i, d)
		errs := make(chan error, 8)
		for range cap(errs) {
			go func() { errs <- s.db.Rooms().Forget(s.ctx, room.Key()) }()
		}
		done := 0
		for range cap(errs) {
			if err := <-errs; err == nil {
				done++
			} else {
				s.wantErr("Forget", err, store.ErrNotFound)
			}
		}
		if done == 0 {
			s.Error("nobody has forgotten the room")
		}
		s.wantFurnished("after", false, room, p, i, d)
	}},
}
