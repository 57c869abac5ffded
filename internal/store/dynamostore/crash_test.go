package dynamostore_test

import (
	"errors"
	"testing"
	"time"

	"usher"
	"usher/internal/store"
	"usher/internal/store/dynamostore"
	"usher/internal/store/dynamotest"
)

// A node is killed after each of its requests in turn, and another one looks at
// what it left. Whatever was acknowledged must be there, whatever is there must be
// whole and be found in every way, and nothing may stand in the way of others.

// crash is an operation that is cut short.
type crash struct {
	// before makes what the operation needs.
	before func(*scene)
	run    func(*scene, store.DB) error
	// after looks, by a node that lives, whether it happened.
	after func(*scene) (happened bool)
}

var crashes = map[string]crash{
	"a room is made": {
		run:   func(s *scene, db store.DB) error { return db.Rooms().Create(s.ctx, s.room) },
		after: roomThere,
	},
	"a room ends": {
		before: makeRoom,
		run: func(s *scene, db store.DB) error {
			_, err := db.Rooms().Update(s.ctx, s.room.Key(), func(r usher.Room) (usher.Room, error) {
				r.Status, r.Due = usher.RoomEnded, time.Time{}
				return r, nil
			})
			return err
		},
		after: func(s *scene) bool {
			r, err := s.clear.Rooms().Get(s.ctx, s.room.Key())
			s.must(err)
			roomThere(s)
			return r.Status == usher.RoomEnded
		},
	},
	"a room is forgotten": {
		before: func(s *scene) {
			makeRoom(s)
			s.must(s.clear.Invites().Create(s.ctx, usher.Invite{App: s.room.App, Room: s.room.ID, ID: s.ids.New(), Code: usher.Secret("code").Digest()}))
			s.must(s.clear.Members().Put(s.ctx, usher.Member{App: s.room.App, Room: s.room.ID, Identity: "user:ann"}))
			s.must(s.clear.Documents().Append(s.ctx, s.room.Key(), store.Entries{First: 1, Last: 2, At: moment, Body: []byte("a")}))
			_, err := s.clear.Rooms().Update(s.ctx, s.room.Key(), func(r usher.Room) (usher.Room, error) {
				r.Status, r.Due, r.EndedAt = usher.RoomEnded, time.Time{}, moment
				return r, nil
			})
			s.must(err)
		},
		run: func(s *scene, db store.DB) error { return db.Rooms().Forget(s.ctx, s.room.Key()) },
		after: func(s *scene) bool {
			ended, err := s.clear.Rooms().Ended(s.ctx, moment.Add(time.Hour), 0)
			s.must(err)
			there := roomThere(s)
			s.agree("found to be forgotten", len(ended) == 1, there)
			if there { // it can be done again
				s.must(s.clear.Rooms().Forget(s.ctx, s.room.Key()))
			}
			_, err = s.clear.Rooms().Participant(s.ctx, s.p.Key())
			s.agree("participant", s.there(err), false)
			_, err = s.clear.Invites().ByCode(s.ctx, usher.Secret("code").Digest())
			s.agree("invite", s.there(err), false)
			return !there
		},
	},
	"a participant is made and sits down": {
		before: func(s *scene) { s.must(s.clear.Rooms().Create(s.ctx, s.room)) },
		run: func(s *scene, db store.DB) error {
			e, _ := sitDown(store.Entry{Participant: s.p})
			_, err := db.Rooms().Enter(s.ctx, e.Participant, func(r usher.Room) (usher.Room, error) {
				r.Taken++
				return r, nil
			})
			return err
		},
		after: seated,
	},
	"a participant sits down": {
		before: makeRoom,
		run: func(s *scene, db store.DB) error {
			_, err := db.Rooms().Change(s.ctx, s.p.Key(), sitDown)
			return err
		},
		after: seated,
	},
	"a call is made": {
		run:   func(s *scene, db store.DB) error { return db.Calls().Create(s.ctx, s.call) },
		after: callThere,
	},
	"a call ends": {
		before: func(s *scene) { s.must(s.clear.Calls().Create(s.ctx, s.call)) },
		run: func(s *scene, db store.DB) error {
			_, err := db.Calls().Update(s.ctx, s.call.Key(), func(c usher.Call) (usher.Call, error) {
				c.Status, c.Missed = usher.CallEnded, s.room.ID
				return c, nil
			})
			return err
		},
		after: func(s *scene) bool {
			_, err := s.clear.Calls().Live(s.ctx, s.call.App, s.call.Pair())
			live := s.there(err)
			callThere(s)
			return !live
		},
	},
	"a contact is made": {
		before: makeUsers,
		run: func(s *scene, db store.DB) error {
			_, err := db.Contacts().Add(s.ctx, usher.Contact{App: s.ann.App, Owner: s.ann.Key, User: s.bob.Key}, 5)
			return err
		},
		after: listed,
	},
	"a user is erased": {
		before: func(s *scene) {
			makeUsers(s)
			_, err := s.clear.Contacts().Add(s.ctx, usher.Contact{App: s.ann.App, Owner: s.ann.Key, User: s.bob.Key}, 5)
			s.must(err)
		},
		run: func(s *scene, db store.DB) error {
			_, err := db.Users().Delete(s.ctx, s.bob.App, s.bob.Key)
			return err
		},
		after: func(s *scene) bool {
			gone := !listed(s)
			if gone { // the user comes back, and nobody lists the user
				s.must(s.clear.Users().Create(s.ctx, s.bob))
				s.agree("listed again", listed(s), false)
			}
			return gone
		},
	},
	"a taking is written": {
		run: func(s *scene, db store.DB) error {
			_, err := db.Takings().Append(s.ctx, usher.Taking{ID: s.room.ID, App: s.room.App})
			return err
		},
		after: func(s *scene) bool {
			list, err := s.clear.Takings().After(s.ctx, 0, 0)
			s.must(err)
			_, err = s.clear.Takings().Append(s.ctx, usher.Taking{ID: s.p.ID, App: s.room.App})
			s.must(err)
			_, err = s.clear.Takings().Append(s.ctx, usher.Taking{ID: s.room.ID, App: s.room.App})
			s.agree("written again", err == nil, len(list) == 0)
			all, err := s.clear.Takings().After(s.ctx, 0, 0)
			s.must(err)
			s.agree("both are there once", len(all) == 2, true)
			return len(list) == 1
		},
	},
	"a large batch is written": {
		run: func(s *scene, db store.DB) error {
			_, err := db.Record().Append(s.ctx, store.Batch{First: moment, Last: moment.Add(time.Second), Count: 1, Body: make([]byte, 800<<10)})
			return err
		},
		after: func(s *scene) bool {
			list, err := s.clear.Record().After(s.ctx, 0, 0)
			s.must(err)
			at, err := s.clear.Record().At(s.ctx, moment, 0)
			s.must(err)
			s.agree("found by time", len(at) == 1 && len(at[0].Body) == 800<<10, len(list) == 1)
			next, err := s.clear.Record().Append(s.ctx, store.Batch{First: moment, Last: moment, Count: 1, Body: []byte("x")})
			s.must(err)
			s.agree("the next number", next.Seq == int64(len(list))+1, true)
			n, err := s.clear.Record().Trim(s.ctx, time.Time{}, 1)
			s.must(err)
			s.agree("trimmed", n == len(list), true)
			return len(list) == 1
		},
	},
	"a document is written and compacted": {
		before: func(s *scene) {
			s.must(s.clear.Documents().Append(s.ctx, s.room.Key(), store.Entries{First: 1, Last: 2, At: moment, Body: []byte("a")}))
			s.must(s.clear.Documents().PutPart(s.ctx, s.room.Key(), "snapshot", 0, []byte("a")))
		},
		run: func(s *scene, db store.DB) error {
			err := db.Documents().Append(s.ctx, s.room.Key(), store.Entries{First: 3, Last: 3, At: moment, Body: []byte("b")})
			if err != nil {
				return err
			}
			return db.Documents().Compact(s.ctx, s.room.Key(), store.Snapshot{ID: "snapshot", Last: 2, Parts: 1}, "")
		},
		after: func(s *scene) bool {
			h, err := s.clear.Documents().Head(s.ctx, s.room.Key())
			s.must(err)
			log, err := s.clear.Documents().Log(s.ctx, s.room.Key(), h.Snapshot.Last, 0)
			s.must(err)
			last := h.Snapshot.Last
			for _, e := range log {
				s.agree("in order", e.First == last+1, true)
				last = e.Last
			}
			s.agree("all is there", last == h.Last && last >= 2, true)
			s.must(s.clear.Documents().Append(s.ctx, s.room.Key(), store.Entries{First: last + 1, Last: last + 1, At: moment, Body: []byte("c")}))
			return h.Snapshot.ID != ""
		},
	},
	"a connection is noted, prolonged and gone": {
		run: func(s *scene, db store.DB) error {
			key := usher.AttachmentKey{App: s.ann.App, User: s.ann.Key, Connection: "c="}
			if err := db.Attachments().Create(s.ctx, usher.Attachment{AttachmentKey: key, ID: s.room.ID, Due: moment, Version: 1}); err != nil {
				return err
			}
			for _, how := range []error{nil, store.ErrDelete} {
				if _, err := db.Attachments().Update(s.ctx, key, func(a usher.Attachment) (usher.Attachment, error) {
					a.Due = moment.Add(time.Second)
					return a, how
				}); err != nil {
					return err
				}
			}
			return nil
		},
		after: func(s *scene) bool {
			list, err := s.clear.Attachments().Of(s.ctx, s.ann.App, s.ann.Key)
			s.must(err)
			due, err := s.clear.Attachments().Due(s.ctx, moment.Add(time.Hour), 0)
			s.must(err)
			s.agree("due", len(due) == 1, len(list) == 1)
			err = s.clear.Attachments().Create(s.ctx, usher.Attachment{AttachmentKey: usher.AttachmentKey{App: s.ann.App, User: s.ann.Key, Connection: "c="}, Version: 1})
			s.agree("its name is taken", errors.Is(err, store.ErrExists), len(list) == 1)
			return len(list) == 0
		},
	},
	"a stay is made": {
		run: func(s *scene, db store.DB) error {
			_, err := db.Stays().Change(s.ctx, usher.StayKey{App: s.room.App, Room: s.room.ID, Platform: "janus"}, func(st usher.Stay) (usher.Stay, error) {
				st.Due = moment
				return st, nil
			})
			return err
		},
		after: func(s *scene) bool {
			all, err := s.clear.Stays().List(s.ctx, store.StayQuery{})
			s.must(err)
			mine, err := s.clear.Stays().List(s.ctx, store.StayQuery{Room: s.room.Key()})
			s.must(err)
			due, err := s.clear.Stays().Due(s.ctx, "janus", 0)
			s.must(err)
			s.agree("listed among all", len(all) == 1, len(mine) == 1)
			s.agree("due", len(due) == 1, len(mine) == 1)
			return len(mine) == 1
		},
	},
	"batches are trimmed": {
		before: func(s *scene) {
			for _, size := range []int{10, 800 << 10, 30} {
				_, err := s.clear.Record().Append(s.ctx, store.Batch{First: moment, Last: moment, Count: 1, Body: make([]byte, size)})
				s.must(err)
			}
		},
		run: func(s *scene, db store.DB) error {
			_, err := db.Record().Trim(s.ctx, time.Time{}, 30)
			return err
		},
		after: func(s *scene) bool {
			list, err := s.clear.Record().After(s.ctx, 2, 0)
			s.must(err)
			s.agree("the last is there", len(list) == 1, true)
			n, err := s.clear.Record().Trim(s.ctx, time.Time{}, 30)
			s.must(err)
			list, err = s.clear.Record().After(s.ctx, 0, 0)
			s.must(err)
			s.agree("only the last is there", len(list) == 1, true)
			at, err := s.clear.Record().At(s.ctx, moment, 0)
			s.must(err)
			s.agree("found by time", len(at) == 1, true)
			next, err := s.clear.Record().Append(s.ctx, store.Batch{First: moment, Last: moment, Count: 1, Body: []byte("x")})
			s.must(err)
			s.agree("the next number", next.Seq == 4, true)
			return n == 0
		},
	},
}

func TestCrashAfterEachRequest(t *testing.T) {
	t.Parallel()
	for name, c := range crashes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := int64(0); ; n++ {
				acknowledged := false
				// A request is lost before it is done, or done before its answer is lost.
				for _, last := range []dynamotest.Treatment{dynamotest.Dead, dynamotest.LastWords} {
					acknowledged = cutShort(t, c, n, last)
				}
				if acknowledged || t.Failed() {
					return // the operation has no more requests
				}
			}
		})
	}
}

// cutShort runs an operation of which only the first n requests get through, and
// the next one as said. It reports whether the operation needed no more.
func cutShort(t *testing.T, c crash, n int64, last dynamotest.Treatment) (acknowledged bool) {
	t.Helper()
	cfg := config(t)
	s := &scene{T: t, ctx: t.Context(), clear: open(t, cfg), ids: usher.SystemIDs()}
	s.room = usher.Room{App: usher.DefaultApp, ID: s.ids.New(), Name: "lobby", Kind: usher.Permanent, Status: usher.RoomReady, Owner: "client:a", Due: moment, Version: 1}
	s.p = usher.Participant{App: s.room.App, Room: s.room.ID, ID: s.ids.New(), Status: usher.ParticipantReady, Version: 1}
	s.call = usher.Call{App: usher.DefaultApp, ID: "c1", Status: usher.CallInvited, InvitedAt: moment, Due: moment, Version: 1}
	s.call.Caller.User, s.call.Callee.User = "user:ann", "user:bob"
	s.ann = usher.User{App: usher.DefaultApp, Key: "user:" + issuer + "#ann", Email: "ann@example.org", Version: 1}
	s.bob = usher.User{App: usher.DefaultApp, Key: "user:" + issuer + "#bob", Email: "Bob@example.org", Version: 1}
	if c.before != nil {
		c.before(s)
	}
	p := dynamotest.New(t, cfg.Endpoint, func(_ string, i int64) dynamotest.Treatment {
		switch {
		case i < n:
			return dynamotest.Passed
		case i == n:
			return last
		}
		return dynamotest.Dead
	})
	through := cfg
	through.Endpoint = p.URL
	db, err := dynamostore.Open(t.Context(), through)
	if err != nil {
		t.Fatal(err)
	}
	err = c.run(s, db)
	happened := c.after(s)
	if err == nil && !happened {
		t.Errorf("cut short after %d requests, by %v: it was acknowledged, and is not there", n, last)
	}
	if t.Failed() {
		t.Logf("this is after %d requests, by %v, with the error %v", n, last, err)
	}
	return err == nil && p.Requests() <= n
}
