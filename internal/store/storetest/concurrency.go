package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher"
	"usher/internal/store"
)

// RunConcurrency runs what many callers do to one store at the same time. It
// stands apart from [Run] because it takes longer.
func RunConcurrency(t *testing.T, open func(*testing.T) store.DB) {
	runTests(t, open, concurrencyTests)
	runTests(t, open, contactConcurrency)
}

// together calls f n times at once and returns how many calls succeeded. A
// call may fail with one of the given errors only.
func (s *suite) together(n int, f func(i int) error, allowed ...error) int {
	s.Helper()
	var won atomic.Int64
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			err := f(i)
			if err == nil {
				won.Add(1)
				return
			}
			for _, a := range allowed {
				if errors.Is(err, a) {
					return
				}
			}
			s.Errorf("call %d: %v", i, err)
		})
	}
	close(begin)
	wg.Wait()
	return int(won.Load())
}

// joined counts the participants that hold a seat by reading all of them.
func (s *suite) joined(r usher.Room) int {
	s.Helper()
	ps, err := s.db.Rooms().Participants(s.ctx, store.ParticipantQuery{Room: r.Key(), Status: usher.ParticipantJoined})
	s.must(err)
	return len(ps)
}

// followed appends n entries to a sequence at once while another reads on from
// the last number that it saw. It returns the numbers that the follower saw,
// which must be all of them and in order.
func (s *suite) followed(n int, appendOne func(i int) error, after func(seq int64) ([]int64, error)) []int64 {
	s.Helper()
	appended := make(chan struct{})
	var seen []int64
	var follower sync.WaitGroup
	follower.Go(func() {
		for last, done := int64(0), false; ; {
			select {
			case <-appended:
				done = true // what is read from now on is the rest
			default:
			}
			seqs, err := after(last)
			if err != nil {
				s.Errorf("follow after %d: %v", last, err)
				return
			}
			if len(seqs) == 0 && done {
				return
			}
			for _, seq := range seqs {
				if seq <= last {
					s.Errorf("number %d follows %d", seq, last)
					return
				}
				last = seq
			}
			seen = append(seen, seqs...)
		}
	})
	s.together(n, appendOne)
	close(appended)
	follower.Wait()
	s.wantEqual("how many the follower saw", len(seen), n)
	return seen
}

var concurrencyTests = []test{
	{"of 500 claims of one secret exactly one wins", func(s *suite) {
		r := s.room(func(r *usher.Room) { r.Seats = 10 })
		p := s.participant(r, func(p *usher.Participant) { p.Secret = usher.Secret("one").Digest() })
		won := s.together(500, func(int) error {
			_, err := s.db.Rooms().Change(s.ctx, p.Key(), claim("one"))
			return err
		}, errRefused)
		s.wantEqual("winners", won, 1)
		got := s.getEntry(p)
		s.wantEqual("seats taken", got.Room.Taken, 1)
		s.wantEqual("versions", []int64{got.Room.Version, got.Participant.Version}, []int64{2, 2})
	}},
	{"1000 participants get 50 seats, and a seat that was left is taken again", func(s *suite) {
		const seats = 50
		r := s.room(func(r *usher.Room) { r.Seats = seats })
		ps := make([]usher.Participant, 1000)
		for i := range ps {
			ps[i] = usher.Participant{App: r.App, Room: r.ID, ID: s.id(), Status: usher.ParticipantReady,
				Secret: usher.Secret(fmt.Sprint(i)).Digest(), Version: 1}
		}
		s.together(len(ps), func(i int) error {
			_, err := s.db.Rooms().Enter(s.ctx, ps[i], sameRoom)
			return err
		})
		join := func(i int) error {
			_, err := s.db.Rooms().Change(s.ctx, ps[i].Key(), claim(usher.Secret(fmt.Sprint(i))))
			return err
		}
		in := make([]atomic.Bool, len(ps))
		won := s.together(len(ps), func(i int) error {
			err := join(i)
			in[i].Store(err == nil)
			return err
		}, errRefused)
		s.wantEqual("seats won", won, seats)
		s.wantEqual("seats taken", s.getRoom(r).Taken, seats)
		s.wantEqual("participants joined", s.joined(r), seats)

		// Everybody who is in leaves, twice, while the others go on trying.
		s.together(len(ps), func(i int) error {
			if !in[i].Load() {
				return join(i)
			}
			for range 2 {
				if _, err := s.db.Rooms().Change(s.ctx, ps[i].Key(), leave); err != nil {
					return err
				}
			}
			return nil
		}, errRefused)
		s.together(len(ps), func(i int) error {
			if in[i].Load() {
				return nil
			}
			return join(i)
		}, errRefused)
		s.wantEqual("seats taken again", s.getRoom(r).Taken, seats)
		s.wantEqual("participants joined again", s.joined(r), seats)
	}},
	{"of many rooms of one name one is made", func(s *suite) {
		rooms := make([]usher.Room, 200)
		for i := range rooms {
			rooms[i] = usher.Room{App: usher.DefaultApp, ID: s.id(), Name: "lobby", Kind: usher.Permanent, Status: usher.RoomReady, Version: 1}
		}
		won := s.together(len(rooms), func(i int) error { return s.db.Rooms().Create(s.ctx, rooms[i]) }, store.ErrExists)
		s.wantEqual("rooms made", won, 1)
		list, err := s.db.Rooms().List(s.ctx, store.RoomQuery{App: usher.DefaultApp})
		s.must(err)
		got, err := s.db.Rooms().ByName(s.ctx, usher.DefaultApp, "lobby")
		s.must(err)
		s.wantEqual("List", list, []usher.Room{got})
	}},
	{"no update is lost", func(s *suite) {
		r := s.room()
		s.together(300, func(int) error {
			_, err := s.db.Rooms().Update(s.ctx, r.Key(), addSeats(1))
			return err
		})
		got := s.getRoom(r)
		s.wantEqual("seats", got.Seats, 300)
		s.wantEqual("version", got.Version, int64(301))
	}},
	{"nobody enters a room once it has ended", func(s *suite) {
		r := s.room()
		ids := make([]usher.ID, 200)
		for i := range ids {
			ids[i] = s.id()
		}
		// One of them ends the room, which here counts who has entered.
		entered := s.together(len(ids), func(i int) error {
			if i == len(ids)/2 {
				_, err := s.db.Rooms().Update(s.ctx, r.Key(), func(r usher.Room) (usher.Room, error) {
					r.Status = usher.RoomEnded
					return r, nil
				})
				return errors.Join(err, errRefused)
			}
			_, err := s.db.Rooms().Enter(s.ctx, usher.Participant{App: r.App, Room: r.ID, ID: ids[i], Version: 1},
				func(r usher.Room) (usher.Room, error) {
					if r.Status == usher.RoomEnded {
						return r, errRefused
					}
					r.Taken++
					return r, nil
				})
			return err
		}, errRefused)
		ps, err := s.db.Rooms().Participants(s.ctx, store.ParticipantQuery{Room: r.Key()})
		s.must(err)
		s.wantEqual("participants", len(ps), entered)
		s.wantEqual("counted", s.getRoom(r).Taken, entered)
	}},
	{"of many marks of one name one is put", func(s *suite) {
		won := s.together(300, func(i int) error {
			_, err := s.db.Once().Put(s.ctx, start, store.Mark{Name: "jti", Value: []byte(fmt.Sprint(i)), Expires: start.Add(time.Minute)})
			return err
		}, store.ErrExists)
		s.wantEqual("marks put", won, 1)
	}},
	{"of many who replace one mark one does", func(s *suite) {
		_, err := s.db.Once().Put(s.ctx, start, store.Mark{Name: "place", Value: []byte("old"), Expires: start.Add(time.Minute)})
		s.must(err)
		won := s.together(200, func(i int) error {
			_, err := s.db.Once().Replace(s.ctx, start, []byte("old"), store.Mark{Name: "place", Value: []byte(fmt.Sprint(i)), Expires: start.Add(time.Minute)})
			return err
		}, store.ErrExists)
		s.wantEqual("marks replaced", won, 1)
	}},
	{"of 200 redemptions of an invite for 50 exactly 50 win", func(s *suite) {
		i := s.invite(func(i *usher.Invite) { i.Uses, i.MaxUses = 0, 50 })
		won := s.together(200, func(int) error {
			_, err := s.db.Invites().Update(s.ctx, roomOf(i), i.ID, redeem)
			return err
		}, errRefused)
		s.wantEqual("winners", won, 50)
		got, err := s.db.Invites().ByCode(s.ctx, i.Code)
		s.must(err)
		s.wantEqual("uses", got.Uses, 50)
		s.wantEqual("version", got.Version, int64(51))
	}},
	{"of many who want to work on a stay one gets it, also while it is renewed", func(s *suite) {
		st := s.stay("janus", "user:ann", "7", func(st *usher.Stay) { st.Over, st.Due = start, start })
		won := s.together(200, func(i int) error {
			_, err := s.db.Stays().Change(s.ctx, st.Key(), func(st usher.Stay) (usher.Stay, error) {
				if i%2 == 1 {
					st.Expires = st.Expires.Add(time.Second)
					return st, nil
				}
				if st.Due.After(start) {
					return st, errRefused
				}
				st.Due = start.Add(time.Minute)
				return st, nil
			})
			return err
		}, errRefused)
		s.wantEqual("changes", won, 101)
		want := st
		want.Due, want.Expires, want.Version = start.Add(time.Minute), st.Expires.Add(100*time.Second), 102
		s.wantStays("in the end", store.StayQuery{}, want)
	}},
	{"of many who make a stay or delete it each sees what the one before did", func(s *suite) {
		key := usher.StayKey{App: aRoom.App, Room: aRoom.ID, Platform: "janus", Identity: "user:ann", Subject: "7"}
		made := s.together(200, func(i int) error {
			_, err := s.db.Stays().Change(s.ctx, key, func(st usher.Stay) (usher.Stay, error) {
				if i%2 == 0 {
					return st, store.ErrDelete
				}
				st.Attempts++
				return st, nil
			})
			return err
		})
		s.wantEqual("answers", made, 200)
		left, err := s.db.Stays().List(s.ctx, store.StayQuery{})
		s.must(err)
		for _, st := range left {
			s.wantEqual("version and attempts since it was made", int64(st.Attempts), st.Version)
		}
	}},
	{"of 300 calls of one pair one is made, and of its 300 accepts one wins", func(s *suite) {
		made := s.together(300, func(i int) error {
			c := usher.Call{App: usher.DefaultApp, ID: fmt.Sprint(i), Status: usher.CallInvited, InvitedAt: start, Due: start, Version: 1}
			c.Caller.User, c.Callee.User = fmt.Sprint("user:", i%2), fmt.Sprint("user:", 1-i%2)
			return s.db.Calls().Create(s.ctx, c)
		}, store.ErrExists)
		s.wantEqual("calls made", made, 1)
		c, err := s.db.Calls().Live(s.ctx, usher.DefaultApp, usher.PairOf("user:0", "user:1"))
		s.must(err)
		won := s.together(300, func(i int) error {
			_, err := s.db.Calls().Update(s.ctx, c.Key(), func(c usher.Call) (usher.Call, error) {
				if c.Answered() {
					return c, errRefused
				}
				c.Status, c.Callee.Device = usher.CallAccepted, fmt.Sprint(i)
				return c, nil
			})
			return err
		}, errRefused)
		s.wantEqual("accepts", won, 1)
		s.wantEqual("version", s.findCall(c).Version, int64(2))
	}},
	{"who follows the takings misses none and sees no gap", func(s *suite) {
		entries := make([]usher.Taking, 300)
		for i := range entries {
			entries[i] = usher.Taking{ID: s.id(), App: usher.DefaultApp, Kind: usher.Revocation, Target: usher.Target{Identity: "user:a"}}
		}
		seen := s.followed(len(entries), func(i int) error {
			_, err := s.db.Takings().Append(s.ctx, entries[i])
			return err
		}, func(seq int64) ([]int64, error) {
			ts, err := s.db.Takings().After(s.ctx, seq, 7)
			var seqs []int64
			for _, t := range ts {
				seqs = append(seqs, t.Seq)
			}
			return seqs, err
		})
		for i, seq := range seen {
			if seq != int64(i+1) {
				s.Fatalf("entry %d has the number %d", i+1, seq)
			}
		}
	}},
	{"of many writers of one document each number goes to one", func(s *suite) {
		room := usher.RoomKey{App: usher.DefaultApp, ID: s.id()}
		won := s.together(300, func(i int) error {
			h, err := s.db.Documents().Head(s.ctx, room)
			if err != nil {
				return err
			}
			return s.db.Documents().Append(s.ctx, room, store.Entries{First: h.Last + 1, Last: h.Last + 2, At: start, Body: []byte{byte(i)}})
		}, store.ErrExists)
		log, err := s.db.Documents().Log(s.ctx, room, 0, 0)
		s.must(err)
		s.wantEqual("entries", len(log), won)
		for i, e := range log {
			s.wantEqual("first number", e.First, int64(2*i+1))
		}
		h, err := s.db.Documents().Head(s.ctx, room)
		s.must(err)
		s.wantEqual("last number", h.Last, int64(2*won))
	}},
	{"of snapshots made at once one counts", func(s *suite) {
		d := s.document()
		d.append(5)
		snapshots := make([]store.Snapshot, 20)
		for i := range snapshots {
			snapshots[i] = d.snapshot(int64(i%4+1), fmt.Sprint(i))
		}
		won := s.together(len(snapshots), func(i int) error {
			return s.db.Documents().Compact(s.ctx, d.room, snapshots[i], "")
		}, store.ErrExists)
		s.wantEqual("snapshots that count", won, 1)
		h, err := s.db.Documents().Head(s.ctx, d.room)
		s.must(err)
		body, err := s.db.Documents().Part(s.ctx, d.room, h.Snapshot.ID, 0)
		s.must(err)
		for i, snapshot := range snapshots {
			if snapshot.ID == h.Snapshot.ID {
				s.wantEqual("its part", string(body), fmt.Sprint(i))
			}
		}
		d.wantLog("log", h.Snapshot.Last, 0, d.log...)
	}},
	{"who follows the record misses no batch", func(s *suite) {
		s.followed(300, func(i int) error {
			_, err := s.db.Record().Append(s.ctx, store.Batch{First: start, Last: start, Count: 1, Body: []byte{byte(i)}})
			return err
		}, func(seq int64) ([]int64, error) {
			bs, err := s.db.Record().After(s.ctx, seq, 7)
			var seqs []int64
			for _, b := range bs {
				seqs = append(seqs, b.Seq)
			}
			return seqs, err
		})
	}},
	{"an answered write is read by whoever asks next", func(s *suite) {
		r := s.room()
		s.together(16, func(i int) error {
			p := usher.Participant{App: r.App, Room: r.ID, ID: s.ids.New(), Version: 1}
			if _, err := s.db.Rooms().Enter(s.ctx, p, sameRoom); err != nil {
				return err
			}
			for v := int64(2); v < 40; v++ {
				if _, err := s.db.Rooms().Change(s.ctx, p.Key(), func(e store.Entry) (store.Entry, error) {
					e.Participant.Name = fmt.Sprint(v)
					return e, nil
				}); err != nil {
					return err
				}
				got, err := s.db.Rooms().Participant(s.ctx, p.Key())
				if err != nil {
					return err
				}
				if got.Participant.Version != v || got.Participant.Name != fmt.Sprint(v) {
					return fmt.Errorf("read version %d after writing %d", got.Participant.Version, v)
				}
			}
			return nil
		})
	}},
	{"closing waits for what was accepted and refuses the rest", func(s *suite) {
		r := s.room()
		var closed sync.WaitGroup
		s.together(100, func(i int) error {
			if i == 50 {
				closed.Go(func() { s.wantErr("Close", s.db.Close(), nil) })
			}
			_, err := s.db.Rooms().Update(s.ctx, r.Key(), addSeats(1))
			return err
		}, store.ErrClosed)
		closed.Wait()
		_, err := s.db.Rooms().Update(s.ctx, r.Key(), addSeats(1))
		s.wantErr("Update after Close", err, store.ErrClosed)
	}},
}
