package storetest

import (
	"time"

	"usher"
	"usher/internal/store"
)

// taking appends an entry; edit may change it before.
func (s *suite) taking(edit ...func(*usher.Taking)) usher.Taking {
	s.Helper()
	t := usher.Taking{ID: s.id(), App: usher.DefaultApp, Kind: usher.Revocation, Target: usher.Target{Identity: "user:ann"}}
	for _, f := range edit {
		f(&t)
	}
	got, err := s.db.Takings().Append(s.ctx, t)
	s.must(err)
	t.Seq = got.Seq
	s.wantEqual("Append", got, t)
	return t
}

func (s *suite) wantTakings(what string, after int64, limit int, want ...usher.Taking) {
	s.Helper()
	got, err := s.db.Takings().After(s.ctx, after, limit)
	s.must(err)
	s.wantEqual(what, got, want)
}

var takingTests = []test{
	{"every field of an entry is kept", func(s *suite) {
		full := s.taking(func(t *usher.Taking) {
			t.App, t.Kind, t.By, t.Reason = "other", usher.Ban, "user:bob", "Zoë said \"no\";\nline two"
			t.Target = usher.Target{Grant: s.id(), Identity: "user:ann", Client: s.id(), Room: s.id()}
			t.Before, t.Forever, t.Until = start, true, start.Add(time.Hour)
		})
		s.wantFull(full)
		s.wantFull(full.Target)
		s.wantTakings("After", 0, 0, full, s.taking())
	}},
	{"times are UTC and cut to microseconds", func(s *suite) {
		fine := start.Add(9 * time.Nanosecond).In(time.FixedZone("CET", 3600))
		got, err := s.db.Takings().Append(s.ctx, usher.Taking{ID: s.id(), App: usher.DefaultApp, Before: fine, Until: fine})
		s.must(err)
		want := got
		want.Before, want.Until = start, start
		s.wantEqual("Append", got, want)
		s.wantTakings("After", 0, 0, want)
	}},
	{"entries are numbered from 1 without a gap, whatever number they bring", func(s *suite) {
		s.wantTakings("nothing yet", 0, 0)
		var all []usher.Taking
		for i := range 5 {
			all = append(all, s.taking())
			s.wantEqual("number", all[i].Seq, int64(i+1))
			// A write that fails takes no number.
			_, err := s.db.Takings().Append(s.ctx, all[0])
			s.wantErr("Append of an id again", err, store.ErrExists)
		}
		stray, err := s.db.Takings().Append(s.ctx, usher.Taking{Seq: 77, ID: s.id(), App: usher.DefaultApp})
		s.must(err)
		s.wantEqual("number of one that brings 77", stray.Seq, int64(6))
		s.wantTakings("all", 0, 0, append(all, stray)...)
		s.wantTakings("the second page", 2, 2, all[2:4]...)
		s.wantTakings("after the last", 6, 2)
		s.wantTakings("after what is not yet there", 99, 2)
	}},
}
