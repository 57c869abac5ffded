package storetest

import (
	"time"

	"usher"
	"usher/internal/store"
)

// stay stores a stay in aRoom; edit may change all but its key before.
func (s *suite) stay(platform, identity, subject string, edit ...func(*usher.Stay)) usher.Stay {
	s.Helper()
	want := usher.Stay{App: aRoom.App, Room: aRoom.ID, Platform: platform, Identity: identity, Subject: subject, Expires: start.Add(time.Minute)}
	for _, f := range edit {
		f(&want)
	}
	key := want.Key()
	got, err := s.db.Stays().Change(s.ctx, key, func(old usher.Stay) (usher.Stay, error) {
		if bare := (usher.Stay{App: key.App, Room: key.Room, Platform: key.Platform, Identity: key.Identity, Subject: key.Subject}); old != bare {
			s.Errorf("the change of one that is not there got %+v", old)
		}
		return want, nil
	})
	s.must(err)
	want.Version = 1
	s.wantEqual("Change of one that is not there", got, want)
	return want
}

func (s *suite) wantStays(what string, q store.StayQuery, want ...usher.Stay) {
	s.Helper()
	got, err := s.db.Stays().List(s.ctx, q)
	s.must(err)
	s.wantEqual(what, got, want)
}

func (s *suite) wantDue(what, platform string, limit int, want ...usher.Stay) {
	s.Helper()
	got, err := s.db.Stays().Due(s.ctx, platform, limit)
	s.must(err)
	s.wantEqual(what, got, want)
}

var stayTests = []test{
	{"every field of a stay is kept", func(s *suite) {
		full := s.stay("janus", "user:https://issuer.example#Zoë", "Zoë 🏔", func(st *usher.Stay) {
			st.Maker, st.ProvenAt, st.Grant, st.Participant = "client:shop", start, s.id(), s.id()
			st.Over, st.Reason, st.Due = start.Add(time.Second), "said \"no\";\nline two", start.Add(time.Hour)
			st.Attempts, st.Failure, st.Done, st.Version = 7, "unreachable", start.Add(2*time.Second), 99
		})
		s.wantFull(full)
		s.wantStays("List", store.StayQuery{}, full)
		s.wantDue("Due", "janus", 0, full)
	}},
	{"times are UTC and cut to microseconds", func(s *suite) {
		fine := start.Add(9 * time.Nanosecond).In(time.FixedZone("CET", 3600))
		key := usher.StayKey{App: aRoom.App, Room: aRoom.ID, Platform: "janus"}
		for range 2 { // one that is not there, and one that is
			got, err := s.db.Stays().Change(s.ctx, key, func(st usher.Stay) (usher.Stay, error) {
				st.Expires, st.Over, st.Due, st.Done, st.ProvenAt = fine, fine, fine, fine, fine
				return st, nil
			})
			s.must(err)
			want := usher.Stay{App: key.App, Room: key.Room, Platform: key.Platform, Expires: start, Over: start, Due: start, Done: start, ProvenAt: start, Version: 1}
			s.wantEqual("Change", got, want)
			s.wantStays("List", store.StayQuery{}, want)
		}
	}},
	{"a change writes what the function returns, or nothing", func(s *suite) {
		st := s.stay("janus", "user:ann", "7")
		change := func(err error) (usher.Stay, error) {
			return s.db.Stays().Change(s.ctx, st.Key(), func(st usher.Stay) (usher.Stay, error) {
				st.Attempts, st.Due, st.Version = 1, start, 77
				return st, err
			})
		}
		if _, err := change(errRefused); err != errRefused {
			s.Errorf("Change: got error %v, want %v itself", err, errRefused)
		}
		got, err := change(store.ErrUnchanged)
		s.must(err)
		s.wantEqual("Change with ErrUnchanged", got, st)
		s.wantStays("before", store.StayQuery{}, st)

		want := st
		want.Attempts, want.Due, want.Version = 1, start, 2
		for range 2 { // the second changes nothing
			got, err = change(nil)
			s.must(err)
			s.wantEqual("Change", got, want)
		}
		s.wantStays("after", store.StayQuery{}, want)
		for name, change := range map[string]func(*usher.Stay){
			"another subject": func(st *usher.Stay) { st.Subject = "8" },
			"another room":    func(st *usher.Stay) { st.Room = "room-b" },
		} {
			for _, key := range []usher.StayKey{st.Key(), {App: st.App, Room: st.Room, Platform: "agora"}} {
				if _, err := s.db.Stays().Change(s.ctx, key, func(st usher.Stay) (usher.Stay, error) {
					change(&st)
					return st, nil
				}); err == nil {
					s.Errorf("Change of %v to %s: got no error", key, name)
				}
			}
		}
		s.wantStays("in the end", store.StayQuery{}, want)
	}},
	{"what is not there is not made by a change that refuses, changes nothing or deletes", func(s *suite) {
		key := usher.StayKey{App: aRoom.App, Room: aRoom.ID, Platform: "janus"}
		for _, how := range []error{errRefused, store.ErrUnchanged, store.ErrDelete} {
			_, err := s.db.Stays().Change(s.ctx, key, func(st usher.Stay) (usher.Stay, error) { return st, how })
			if how == errRefused {
				s.wantErr("Change", err, errRefused)
			} else {
				s.must(err)
			}
		}
		s.wantStays("List", store.StayQuery{})
	}},
	{"a stay that was deleted is there no more, and can be made anew", func(s *suite) {
		ann, bob := s.stay("janus", "user:ann", "7", func(st *usher.Stay) { st.Due = start }), s.stay("janus", "user:bob", "8")
		got, err := s.db.Stays().Change(s.ctx, ann.Key(), func(st usher.Stay) (usher.Stay, error) {
			st.Attempts = 5
			return st, store.ErrDelete
		})
		s.must(err)
		s.wantEqual("Change", got, ann)
		s.wantStays("List", store.StayQuery{}, bob)
		s.wantDue("Due", "janus", 0)
		s.wantStays("List, made anew", store.StayQuery{}, s.stay("janus", "user:ann", "7"), bob)
	}},
	{"stays are listed page by page, and a room's stay together", func(s *suite) {
		in := func(app string, room usher.ID) func(*usher.Stay) {
			return func(st *usher.Stay) { st.App, st.Room = app, room }
		}
		room := []usher.Stay{s.stay("janus", "", ""), s.stay("janus", "user:B", "x"), s.stay("janus", "user:a", "x"), s.stay("janus", "user:a", "y"), s.stay("other", "", "")}
		for i := range 3 {
			s.stay("janus", "user:a", string(rune('0'+i)), in(aRoom.App, "room-b"))
			s.stay("janus", "user:a", string(rune('0'+i)), in("another", aRoom.ID))
		}
		gone := room[1].Key()
		gone.Identity = "user:C"
		for name, tt := range map[string]struct {
			after usher.StayKey
			limit int
			want  []usher.Stay
		}{
			"all":                        {usher.StayKey{}, 0, room},
			"the first page":             {usher.StayKey{}, 2, room[:2]},
			"the second page":            {room[1].Key(), 2, room[2:4]},
			"the last page":              {room[3].Key(), 2, room[4:]},
			"after the last":             {room[4].Key(), 2, nil},
			"after one that isn't there": {gone, 2, room[2:4]},
		} {
			s.wantStays(name, store.StayQuery{Room: aRoom, After: tt.after, Limit: tt.limit}, tt.want...)
		}

		seen, last := map[usher.StayKey]bool{}, usher.RoomKey{}
		left := map[usher.RoomKey]bool{}
		for after := (usher.StayKey{}); ; {
			page, err := s.db.Stays().List(s.ctx, store.StayQuery{After: after, Limit: 4})
			s.must(err)
			for _, st := range page {
				if seen[st.Key()] || left[st.RoomKey()] {
					s.Errorf("%v comes twice, or apart from its room's", st.Key())
				}
				if st.RoomKey() != last {
					left[last], last = true, st.RoomKey()
				}
				seen[st.Key()] = true
			}
			if len(page) < 4 {
				break
			}
			after = page[3].Key()
		}
		s.wantEqual("stays seen", len(seen), 11)
	}},
	{"what is due on a platform comes first what is due first, whatever the time", func(s *suite) {
		due := func(at time.Time) func(*usher.Stay) { return func(st *usher.Stay) { st.Due = at } }
		later := s.stay("janus", "user:a", "1", due(start.Add(100*365*24*time.Hour)))
		first := s.stay("janus", "user:a", "2", due(start.Add(-time.Hour)))
		second := s.stay("janus", "user:a", "3", due(start))
		s.stay("janus", "user:a", "4")
		s.stay("other", "user:a", "5", due(start))
		s.wantDue("all", "janus", 0, first, second, later)
		s.wantDue("two", "janus", 2, first, second)
		s.wantDue("another platform", "agora", 0)
		_, err := s.db.Stays().Change(s.ctx, first.Key(), func(st usher.Stay) (usher.Stay, error) {
			st.Due = time.Time{}
			return st, nil
		})
		s.must(err)
		s.wantDue("without what is due no more", "janus", 0, second, later)
	}},
}
