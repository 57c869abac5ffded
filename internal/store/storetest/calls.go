package storetest

import (
	"fmt"
	"slices"
	"time"

	"usher"
	"usher/internal/store"
)

// call stores a call of ann to bob; edit may change it before.
func (s *suite) call(id string, edit ...func(*usher.Call)) usher.Call {
	s.Helper()
	c := usher.Call{
		App: usher.DefaultApp, ID: id, Status: usher.CallInvited,
		Caller: usher.CallParty{User: "user:ann"}, Callee: usher.CallParty{User: "user:bob"},
		InvitedAt: start, Due: start.Add(time.Minute), Version: 1,
	}
	for _, f := range edit {
		f(&c)
	}
	s.must(s.db.Calls().Create(s.ctx, c))
	return c
}

func ended(c *usher.Call) { c.Status = usher.CallEnded }

func between(caller, callee string) func(*usher.Call) {
	return func(c *usher.Call) { c.Caller.User, c.Callee.User = caller, callee }
}

func due(after time.Duration) func(*usher.Call) {
	return func(c *usher.Call) { c.Due = start.Add(after) }
}

func (s *suite) missed(c *usher.Call) { c.Status, c.Missed = usher.CallEnded, s.id() }

// findCall reads the call that c is a copy of.
func (s *suite) findCall(c usher.Call) usher.Call {
	s.Helper()
	got, err := s.db.Calls().Find(s.ctx, store.CallQuery{App: c.App, ID: c.ID, User: c.Caller.User, Peer: c.Callee.User})
	s.must(err)
	return got
}

// wantCalls compares without regard to order.
func (s *suite) wantCalls(what string, got []usher.Call, want ...usher.Call) {
	s.Helper()
	byKey := func(a, b usher.Call) int { return compareKeys(a.Key(), b.Key()) }
	s.wantEqual(what, slices.SortedFunc(slices.Values(got), byKey), slices.SortedFunc(slices.Values(want), byKey))
}

func compareKeys(a, b usher.CallKey) int {
	return slices.Compare([]string{a.App, a.Pair.Low, a.Pair.High, a.ID}, []string{b.App, b.Pair.Low, b.Pair.High, b.ID})
}

var callTests = []test{
	{"every field of a call is kept", func(s *suite) {
		full := s.call("c1", func(c *usher.Call) {
			c.Caller = usher.CallParty{User: "user:bob", Device: "phone", Connection: s.id(), Node: s.id(), LostAt: start.Add(4 * time.Minute)}
			c.Callee = usher.CallParty{User: "user:ann", Device: "desk", Connection: s.id(), Node: s.id(), LostAt: start.Add(5 * time.Minute)}
			c.Status, c.Merged, c.Request, c.Payload, c.Ignored = usher.CallConnected, "c2", true, "{\"é\" : 1 }", []string{"a b", "c,\"d"}
			c.AcceptedAt, c.ConnectedAt, c.EndedAt = start.Add(time.Minute), start.Add(2*time.Minute), start.Add(3*time.Minute)
			c.EndedBy, c.Reason, c.Missed, c.UpdatedAt, c.Version = "user:ann", usher.ICEFailed, s.id(), start, 9
		})
		s.wantFull(full)
		s.wantFull(full.Caller)
		s.wantFull(full.Callee)
		s.wantEqual("full", s.findCall(full), full)
		bare := usher.Call{App: full.App, ID: "c1", Caller: usher.CallParty{User: "user:ann"}, Callee: usher.CallParty{User: "user:carl"}}
		s.must(s.db.Calls().Create(s.ctx, bare))
		s.wantEqual("bare", s.findCall(bare), bare)
	}},
	{"an id is taken once in its pair, whoever calls", func(s *suite) {
		c := s.call("c1", ended)
		again := c
		again.Caller, again.Callee = c.Callee, c.Caller
		s.wantErr("Create with the id", s.db.Calls().Create(s.ctx, again), store.ErrExists)
		s.call("c1", between("user:ann", "user:carl"))
		s.call("c1", func(c *usher.Call) { c.App = "other" })
		s.wantEqual("the first", s.findCall(c), c)
	}},
	{"a pair has one call that has not ended", func(s *suite) {
		s.call("c1", ended)
		c2 := s.call("c2")
		c3 := c2
		c3.ID, c3.Caller, c3.Callee = "c3", c2.Callee, c2.Caller
		s.wantErr("Create beside another", s.db.Calls().Create(s.ctx, c3), store.ErrExists)
		s.call("c4", ended)
		got, err := s.db.Calls().Live(s.ctx, c2.App, c2.Pair())
		s.must(err)
		s.wantEqual("Live", got, c2)
		_, err = s.db.Calls().Update(s.ctx, c2.Key(), func(c usher.Call) (usher.Call, error) { ended(&c); return c, nil })
		s.must(err)
		_, err = s.db.Calls().Live(s.ctx, c2.App, c2.Pair())
		s.wantErr("Live after the end", err, store.ErrNotFound)
		s.must(s.db.Calls().Create(s.ctx, c3))
	}},
	{"a call is found by either of its ids, with or without its peer", func(s *suite) {
		old := s.call("c1", ended, func(c *usher.Call) { c.Merged = "m1" })
		late := s.call("c1", ended, between("user:carl", "user:ann"), func(c *usher.Call) { c.InvitedAt = start.Add(time.Hour) })
		live := s.call("m2", func(c *usher.Call) { c.Merged = "m3" })
		s.call("m2", ended, between("user:ann", "user:dave"), func(c *usher.Call) { c.InvitedAt = start.Add(time.Hour) })
		for name, tt := range map[string]struct {
			id, user, peer string
			want           *usher.Call
		}{
			"by id and peer":                             {"c1", "user:ann", "user:bob", &old},
			"by the merged id":                           {"m1", "user:bob", "user:ann", &old},
			"the latest, without a peer":                 {"c1", "user:ann", "", &late},
			"the live one, without a peer":               {"m2", "user:ann", "", &live},
			"by the merged id, without a peer":           {"m3", "user:bob", "", &live},
			"not by somebody else":                       {"c1", "user:eve", "", nil},
			"not by somebody else and one of the two":    {"c1", "user:eve", "user:ann", nil},
			"not by no id":                               {"", "user:ann", "", nil},
			"not by an id that isn't there":              {"c9", "user:ann", "user:bob", nil},
			"not by an id that isn't there, with nobody": {"c9", "user:ann", "", nil},
		} {
			got, err := s.db.Calls().Find(s.ctx, store.CallQuery{App: usher.DefaultApp, ID: tt.id, User: tt.user, Peer: tt.peer})
			if tt.want == nil {
				s.wantErr(name, err, store.ErrNotFound)
				continue
			}
			s.wantErr(name, err, nil)
			s.wantEqual(name, got, *tt.want)
		}
		_, err := s.db.Calls().Find(s.ctx, store.CallQuery{App: "other", ID: "c1", User: "user:ann"})
		s.wantErr("Find in another app", err, store.ErrNotFound)
	}},
	{"a person's calls are active until they end", func(s *suite) {
		out := s.call("c1", between("user:bob", "user:carl"))
		in := s.call("c2", between("user:ann", "user:bob"))
		s.call("c3", ended)
		s.call("c4", between("user:ann", "user:carl"))
		s.call("c5", func(c *usher.Call) { c.App = "other" })
		got, err := s.db.Calls().Active(s.ctx, usher.DefaultApp, "user:bob")
		s.must(err)
		s.wantCalls("Active", got, out, in)
	}},
	{"an update writes what the function returns, or nothing", func(s *suite) {
		c := s.call("c1", func(c *usher.Call) { c.Ignored = []string{"phone"} })
		update := func(err error) (usher.Call, error) {
			return s.db.Calls().Update(s.ctx, c.Key(), func(c usher.Call) (usher.Call, error) {
				fine := start.Add(9 * time.Nanosecond)
				c.Status, c.Ignored = usher.CallEnded, append(slices.Clone(c.Ignored[:1]), "desk")
				for _, t := range []*time.Time{&c.Caller.LostAt, &c.Callee.LostAt, &c.InvitedAt, &c.AcceptedAt, &c.ConnectedAt, &c.EndedAt, &c.Due, &c.UpdatedAt} {
					*t = fine
				}
				return c, err
			})
		}
		if _, err := update(errRefused); err != errRefused {
			s.Errorf("Update: got error %v, want %v itself", err, errRefused)
		}
		got, err := update(store.ErrUnchanged)
		s.must(err)
		s.wantEqual("Update with ErrUnchanged", got, c)
		s.wantEqual("before", s.findCall(c), c)

		want := c
		want.Status, want.Ignored, want.Version = usher.CallEnded, []string{"phone", "desk"}, 2
		for _, t := range []*time.Time{&want.Caller.LostAt, &want.Callee.LostAt, &want.InvitedAt, &want.AcceptedAt, &want.ConnectedAt, &want.EndedAt, &want.Due, &want.UpdatedAt} {
			*t = start
		}
		got, err = update(nil)
		s.must(err)
		s.wantEqual("Update", got, want)
		s.wantEqual("after", s.findCall(c), want)
		for name, change := range map[string]func(*usher.Call){
			"another id":   func(c *usher.Call) { c.ID = "c2" },
			"another pair": func(c *usher.Call) { c.Callee.User = "user:carl" },
		} {
			if _, err := s.db.Calls().Update(s.ctx, c.Key(), func(c usher.Call) (usher.Call, error) { change(&c); return c, nil }); err == nil {
				s.Errorf("Update to %s: got no error", name)
			}
		}
		_, err = s.db.Calls().Update(s.ctx, usher.CallKey{App: c.App, ID: "c9", Pair: c.Pair()}, func(c usher.Call) (usher.Call, error) { return c, nil })
		s.wantErr("Update of what isn't there", err, store.ErrNotFound)
	}},
	{"missed calls are listed for their callee, the newest first", func(s *suite) {
		var want []usher.Call
		for i := range 5 {
			want = append([]usher.Call{s.call(fmt.Sprint("c", i), s.missed, between(fmt.Sprint("user:", i%2), "user:bob"))}, want...)
		}
		s.call("c5", ended)
		s.call("c6", s.missed, between("user:bob", "user:ann"))
		s.call("c7", s.missed, func(c *usher.Call) { c.App = "other" })
		gone := s.source("another source", func() time.Time { return want[2].Missed.Time().Add(time.Millisecond) }).New()
		for name, tt := range map[string]struct {
			from  usher.ID
			limit int
			want  []usher.Call
		}{
			"all":                         {"", 0, want},
			"the first page":              {"", 2, want[:2]},
			"the second page":             {want[2].Missed, 2, want[2:4]},
			"the last page":               {want[4].Missed, 2, want[4:]},
			"from an id that isn't there": {gone, 2, want[2:4]},
		} {
			got, err := s.db.Calls().Missed(s.ctx, store.MissedQuery{App: usher.DefaultApp, User: "user:bob", From: tt.from, Limit: tt.limit})
			s.must(err)
			s.wantEqual(name, got, tt.want)
		}
	}},
	{"what is due is found, the longest overdue first, and what ended is swept instead", func(s *suite) {
		now := start.Add(time.Hour)
		second := s.call("c1", due(time.Hour), between("user:1", "user:2"))
		first := s.call("c2", due(time.Minute), between("user:2", "user:3"))
		s.call("c3", due(time.Hour+time.Microsecond), between("user:3", "user:4"))
		s.call("c4", due(time.Minute), ended)
		s.call("c5", due(2*time.Minute), ended)
		kept := s.call("c6", due(time.Hour+time.Microsecond), ended)
		got, err := s.db.Calls().Due(s.ctx, now, 0)
		s.must(err)
		s.wantEqual("Due", got, []usher.CallKey{first.Key(), second.Key()})
		got, err = s.db.Calls().Due(s.ctx, now, 1)
		s.must(err)
		s.wantEqual("Due, one", got, []usher.CallKey{first.Key()})
		for _, want := range []int{1, 1, 0} {
			n, err := s.db.Calls().Sweep(s.ctx, now, 1)
			s.must(err)
			s.wantEqual("swept", n, want)
		}
		s.wantEqual("not due", s.findCall(kept), kept)
		s.wantEqual("live", s.findCall(first), first)
		_, err = s.db.Calls().Find(s.ctx, store.CallQuery{App: usher.DefaultApp, ID: "c4", User: "user:ann"})
		s.wantErr("Find of what was swept", err, store.ErrNotFound)
	}},
	{"calls are stranded when a node of either side is gone", func(s *suite) {
		nodes := func(caller, callee usher.ID) func(*usher.Call) {
			return func(c *usher.Call) { c.Caller.Node, c.Callee.Node = caller, callee }
		}
		a, b, x, y := s.id(), s.id(), s.id(), s.id()
		s.call("c1", between("user:1", "user:2"), nodes(a, b))
		one := s.call("c2", between("user:2", "user:3"), nodes(a, x))
		two := s.call("c3", between("user:3", "user:4"), nodes(x, y))
		s.call("c4", between("user:4", "user:5"), nodes("", b))
		three := s.call("c5", between("user:5", "user:6"), nodes(y, ""))
		s.call("c6", ended, nodes(x, x))
		got, err := s.db.Calls().Stranded(s.ctx, []usher.ID{b, a}, 0)
		s.must(err)
		s.wantEqual("Stranded", slices.SortedFunc(slices.Values(got), compareKeys), slices.SortedFunc(slices.Values([]usher.CallKey{one.Key(), two.Key(), three.Key()}), compareKeys))
		got, err = s.db.Calls().Stranded(s.ctx, []usher.ID{a, b, x, y}, 0)
		s.must(err)
		s.wantEqual("Stranded while all live", got, []usher.CallKey(nil))
		got, err = s.db.Calls().Stranded(s.ctx, []usher.ID{a}, 1)
		s.must(err)
		s.wantEqual("how many, of one", len(got), 1)
	}},
}
