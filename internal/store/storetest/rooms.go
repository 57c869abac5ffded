package storetest

import (
	"time"

	"usher"
	"usher/internal/store"
)

// fullRoom has a value in every field.
func fullRoom(r *usher.Room) {
	r.Name, r.Kind, r.Status = "Zürich 🏔 \"'%_\\", usher.Permanent, usher.RoomRunning
	r.Owner, r.Seats, r.Taken, r.Version = "user:https://issuer.example#ann", 50, 3, 41
	r.OpensAt, r.ClosesAt, r.EmptyAt = start.Add(time.Minute), start.Add(time.Hour), start.Add(2*time.Second)
	r.UpdatedAt, r.EndedAt, r.Due = start.Add(time.Microsecond), start.Add(3*time.Second), start.Add(4*time.Second)
	r.Admission = usher.AdmitInvite
	r.EndReason = "Closed by its owner;\nline two"
}

func named(name string) func(*usher.Room) {
	return func(r *usher.Room) { r.Kind, r.Name = usher.Permanent, name }
}

var roomTests = []test{
	{"every field of a room is kept", func(s *suite) {
		full := s.room(fullRoom)
		s.wantFull(full)
		for _, r := range []usher.Room{full, s.room()} {
			s.wantEqual("Get", s.getRoom(r), r)
		}
	}},
	{"a room that is not there is not found", func(s *suite) {
		r := s.room(named("here"))
		other := usher.RoomKey{App: r.App, ID: s.id()}
		_, err := s.db.Rooms().Get(s.ctx, other)
		s.wantErr("Get", err, store.ErrNotFound)
		_, err = s.db.Rooms().ByName(s.ctx, r.App, "elsewhere")
		s.wantErr("ByName", err, store.ErrNotFound)
		_, err = s.db.Rooms().Update(s.ctx, other, sameRoom)
		s.wantErr("Update", err, store.ErrNotFound)
		_, err = s.db.Rooms().Participants(s.ctx, store.ParticipantQuery{Room: other, Limit: 1})
		s.wantErr("Participants", err, store.ErrNotFound)
	}},
	{"an id is taken once", func(s *suite) {
		r := s.room()
		again := r
		again.Owner = "client:b"
		s.wantErr("Create", s.db.Rooms().Create(s.ctx, again), store.ErrExists)
		s.wantEqual("room", s.getRoom(r), r)
	}},
	{"a name is unique among the rooms that have not ended", func(s *suite) {
		r := s.room(named("lobby"))
		again := r
		again.ID = s.id()
		s.wantErr("Create", s.db.Rooms().Create(s.ctx, again), store.ErrExists)

		other := s.room(named("hall"))
		_, err := s.db.Rooms().Update(s.ctx, other.Key(), func(r usher.Room) (usher.Room, error) {
			r.Name = "lobby"
			return r, nil
		})
		s.wantErr("Update to a name that is taken", err, store.ErrExists)
		s.wantEqual("room", s.getRoom(other), other)

		_, err = s.db.Rooms().Update(s.ctx, r.Key(), func(r usher.Room) (usher.Room, error) {
			r.Status = usher.RoomEnded
			return r, nil
		})
		s.must(err)
		_, err = s.db.Rooms().ByName(s.ctx, r.App, "lobby")
		s.wantErr("ByName of an ended room", err, store.ErrNotFound)
		s.must(s.db.Rooms().Create(s.ctx, again))
		got, err := s.db.Rooms().ByName(s.ctx, r.App, "lobby")
		s.must(err)
		s.wantEqual("ByName", got, again)
	}},
	{"names differ by case and by trailing bytes", func(s *suite) {
		for _, name := range []string{"a", "A", "a1", "ä", "a\u0308"} {
			r := s.room(named(name))
			got, err := s.db.Rooms().ByName(s.ctx, r.App, name)
			s.must(err)
			s.wantEqual("ByName", got, r)
		}
	}},
	{"rooms without a name do not stand in each other's way", func(s *suite) {
		s.room()
		s.room()
		_, err := s.db.Rooms().ByName(s.ctx, usher.DefaultApp, "")
		s.wantErr("ByName", err, store.ErrNotFound)
	}},
	{"apps do not see each other", func(s *suite) {
		mine := s.room(named("lobby"))
		theirs := mine
		theirs.App, theirs.Owner = "other", "client:b"
		s.must(s.db.Rooms().Create(s.ctx, theirs)) // same id and name, another app
		p := s.participant(theirs)

		s.wantEqual("Get", s.getRoom(mine), mine)
		got, err := s.db.Rooms().ByName(s.ctx, mine.App, "lobby")
		s.must(err)
		s.wantEqual("ByName", got, mine)
		list, err := s.db.Rooms().List(s.ctx, store.RoomQuery{App: "other", Limit: 10})
		s.must(err)
		s.wantEqual("List", list, []usher.Room{theirs})
		_, err = s.db.Rooms().Participant(s.ctx, usher.ParticipantKey{App: mine.App, Room: mine.ID, ID: p.ID})
		s.wantErr("Participant", err, store.ErrNotFound)
		ps, err := s.db.Rooms().Participants(s.ctx, store.ParticipantQuery{Room: mine.Key(), Limit: 10})
		s.must(err)
		s.wantEqual("Participants", ps, []usher.Participant(nil))
	}},
	{"times are UTC and cut to microseconds", func(s *suite) {
		fine := time.Date(2026, time.November, 20, 9, 30, 0, 123456789, time.FixedZone("CET", 3600))
		r := s.room(func(r *usher.Room) { r.OpensAt, r.ClosesAt = fine, time.Unix(0, 0) })
		want := r
		want.OpensAt, want.ClosesAt = start, time.Unix(0, 0).UTC()
		s.wantEqual("Get", s.getRoom(r), want)

		got, err := s.db.Rooms().Update(s.ctx, r.Key(), func(r usher.Room) (usher.Room, error) {
			r.EmptyAt, r.OpensAt = fine, time.Time{}
			return r, nil
		})
		s.must(err)
		want.EmptyAt, want.OpensAt, want.Version = start, time.Time{}, 2
		s.wantEqual("Update", got, want)
		s.wantEqual("Get", s.getRoom(r), want)
	}},
	{"an update writes what the function returns and counts the version", func(s *suite) {
		r := s.room()
		want := r
		fullRoom(&want)
		want.Version = 2
		got, err := s.db.Rooms().Update(s.ctx, r.Key(), func(r usher.Room) (usher.Room, error) {
			fullRoom(&r)
			return r, nil
		})
		s.must(err)
		s.wantEqual("Update", got, want)
		s.wantEqual("Get", s.getRoom(r), want)
	}},
	{"a room that comes back as it was keeps its version", func(s *suite) {
		r := s.room(fullRoom)
		got, err := s.db.Rooms().Update(s.ctx, r.Key(), sameRoom)
		s.must(err)
		s.wantEqual("Update", got, r)
		s.wantEqual("Get", s.getRoom(r), r)
	}},
	{"an error of the function is returned as it is, and nothing is written", func(s *suite) {
		r := s.room()
		got, err := s.db.Rooms().Update(s.ctx, r.Key(), func(r usher.Room) (usher.Room, error) {
			r.Seats = 5
			return r, errRefused
		})
		if err != errRefused {
			s.Errorf("Update: got error %v, want %v itself", err, errRefused)
		}
		s.wantEqual("Update", got, usher.Room{})
		s.wantEqual("Get", s.getRoom(r), r)
	}},
	{"ErrUnchanged writes nothing and is no error", func(s *suite) {
		r := s.room()
		got, err := s.db.Rooms().Update(s.ctx, r.Key(), func(r usher.Room) (usher.Room, error) {
			r.Seats = 5
			return r, store.ErrUnchanged
		})
		s.must(err)
		s.wantEqual("Update", got, r)
		s.wantEqual("Get", s.getRoom(r), r)
	}},
	{"a function can't turn a room into another", func(s *suite) {
		r, other := s.room(), s.room()
		if _, err := s.db.Rooms().Update(s.ctx, r.Key(), func(r usher.Room) (usher.Room, error) {
			r.ID = other.ID
			return r, nil
		}); err == nil {
			s.Error("Update: got no error")
		}
		s.wantEqual("room", s.getRoom(r), r)
		s.wantEqual("other room", s.getRoom(other), other)
	}},
	{"lists are in the order of making, whatever the order of storing", func(s *suite) {
		made := []usher.ID{s.id(), s.id(), s.id(), s.id()}
		for _, i := range []int{2, 0, 3, 1} {
			s.room(func(r *usher.Room) { r.ID = made[i] })
		}
		s.wantEqual("List", s.roomPages(store.RoomQuery{App: usher.DefaultApp, Limit: 10}), [][]usher.ID{made})
	}},
	{"rooms that were made at one time are in the order of their ids", func(s *suite) {
		a, b := s.id(), s.id()
		later := func() time.Time { return start.Add(time.Hour) }
		one, two := s.source("source 1", later).New(), s.source("source 2", later).New()
		for _, id := range []usher.ID{two, b, one, a} {
			s.room(func(r *usher.Room) { r.ID = id })
		}
		want := [][]usher.ID{{a, b, min(one, two)}, {max(one, two)}}
		s.wantEqual("List", s.roomPages(store.RoomQuery{App: usher.DefaultApp, Limit: 3}), want)
	}},
	{"a list is read page by page, also after an id that is not there", func(s *suite) {
		ids := make([]usher.ID, 5)
		for i := range ids {
			ids[i] = s.room().ID
			s.id() // time passes between rooms
		}
		s.wantEqual("pages of two", s.roomPages(store.RoomQuery{App: usher.DefaultApp, Limit: 2}),
			[][]usher.ID{ids[:2], ids[2:4], ids[4:]})
		between := s.source("another source", func() time.Time { return ids[2].Time().Add(time.Millisecond) }).New()
		s.wantEqual("after an id between two rooms", s.roomPages(store.RoomQuery{App: usher.DefaultApp, After: between, Limit: 10}),
			[][]usher.ID{ids[3:]})
		s.wantEqual("without a limit", s.roomPages(store.RoomQuery{App: usher.DefaultApp}), [][]usher.ID{ids})
	}},
	{"a list is restricted by owner and status", func(s *suite) {
		owner := func(o string, st usher.RoomStatus) usher.ID {
			return s.room(func(r *usher.Room) { r.Owner, r.Status = o, st }).ID
		}
		aReady, bReady := owner("client:a", usher.RoomReady), owner("client:b", usher.RoomReady)
		aRunning, aReady2 := owner("client:a", usher.RoomRunning), owner("client:a", usher.RoomReady)
		for name, tt := range map[string]struct {
			q    store.RoomQuery
			want []usher.ID
		}{
			"all":                 {store.RoomQuery{}, []usher.ID{aReady, bReady, aRunning, aReady2}},
			"by owner":            {store.RoomQuery{Owner: "client:a"}, []usher.ID{aReady, aRunning, aReady2}},
			"by status":           {store.RoomQuery{Status: usher.RoomReady}, []usher.ID{aReady, bReady, aReady2}},
			"by owner and status": {store.RoomQuery{Owner: "client:a", Status: usher.RoomReady}, []usher.ID{aReady, aReady2}},
			"by owner, after one": {store.RoomQuery{Owner: "client:a", After: aReady}, []usher.ID{aRunning, aReady2}},
		} {
			tt.q.App, tt.q.Limit = usher.DefaultApp, 10
			s.wantEqual(name, s.roomPages(tt.q), [][]usher.ID{tt.want})
		}
		s.wantEqual("of nobody", s.roomPages(store.RoomQuery{App: usher.DefaultApp, Owner: "client:c", Limit: 10}), [][]usher.ID(nil))
	}},
}

// roomPages reads a list to its end and returns the ids of each page.
func (s *suite) roomPages(q store.RoomQuery) [][]usher.ID {
	s.Helper()
	var pages [][]usher.ID
	for {
		rooms, err := s.db.Rooms().List(s.ctx, q)
		s.must(err)
		if len(rooms) == 0 {
			return pages
		}
		var page []usher.ID
		for _, r := range rooms {
			page = append(page, r.ID)
		}
		pages = append(pages, page)
		q.After = page[len(page)-1]
	}
}
