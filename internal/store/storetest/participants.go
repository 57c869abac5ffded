package storetest

import (
	"slices"
	"time"

	"usher"
	"usher/internal/store"
)

// fullParticipant has a value in every field.
func fullParticipant(p *usher.Participant) {
	p.Status, p.Role, p.Name, p.Identity = usher.ParticipantJoined, usher.Host, "Ann 🎥", "user:https://issuer.example#ann"
	p.Maker, p.ProvenAt, p.Grant, p.Expires = "client:a", start.Add(-time.Hour), "grant", start.Add(time.Hour)
	p.Secret, p.Token = usher.Secret("one").Digest(), usher.Secret("two").Digest()
	p.Hold, p.HeldUntil = usher.GraceHold, start.Add(time.Minute)
	p.Attachment, p.Node = "attachment", "node"
	p.LostAt, p.UpdatedAt = start.Add(time.Second), start.Add(time.Microsecond)
	p.EndReason, p.Version = "Put out by the host.", 7
}

func addSeats(n int) func(usher.Room) (usher.Room, error) {
	return func(r usher.Room) (usher.Room, error) {
		r.Seats += n
		return r, nil
	}
}

// claim takes a seat with a secret, as package room does.
func claim(secret usher.Secret) func(store.Entry) (store.Entry, error) {
	return func(e store.Entry) (store.Entry, error) {
		if !e.Participant.Secret.Matches(secret) || e.Participant.Status != usher.ParticipantReady || e.Room.Full() {
			return e, errRefused
		}
		e.Participant.Status, e.Participant.Hold = usher.ParticipantJoined, usher.LeaseHold
		e.Room.Status = usher.RoomRunning
		e.Room.Taken++
		return e, nil
	}
}

// leave gives the seat back.
func leave(e store.Entry) (store.Entry, error) {
	if !e.Participant.Seated() {
		return e, store.ErrUnchanged
	}
	e.Participant.Status, e.Participant.Hold = usher.ParticipantLeft, usher.Unheld
	e.Room.Taken--
	return e, nil
}

var participantTests = []test{
	{"every field of a participant is kept, and its room is beside it", func(s *suite) {
		r := s.room(fullRoom)
		full := s.participant(r, fullParticipant)
		s.wantFull(full)
		for _, p := range []usher.Participant{full, s.participant(r)} {
			s.wantEqual("Participant", s.getEntry(p), store.Entry{Room: r, Participant: p})
		}
	}},
	{"entering changes the room and adds the participant", func(s *suite) {
		r := s.room()
		p := usher.Participant{App: r.App, Room: r.ID, ID: s.id(), Status: usher.ParticipantReady, Version: 1,
			UpdatedAt: start.Add(7 * time.Nanosecond)}
		got, err := s.db.Rooms().Enter(s.ctx, p, addSeats(5))
		s.must(err)
		r.Seats, r.Version, p.UpdatedAt = 5, 2, start
		want := store.Entry{Room: r, Participant: p}
		s.wantEqual("Enter", got, want)
		s.wantEqual("Participant", s.getEntry(p), want)
	}},
	{"nobody enters if the function refuses", func(s *suite) {
		r := s.room()
		p := usher.Participant{App: r.App, Room: r.ID, ID: s.id()}
		_, err := s.db.Rooms().Enter(s.ctx, p, func(r usher.Room) (usher.Room, error) { return r, errRefused })
		if err != errRefused {
			s.Errorf("Enter: got error %v, want %v itself", err, errRefused)
		}
		got, err := s.db.Rooms().Enter(s.ctx, p, func(r usher.Room) (usher.Room, error) {
			r.Seats = 5
			return r, store.ErrUnchanged
		})
		s.must(err)
		s.wantEqual("Enter with ErrUnchanged", got, store.Entry{Room: r})
		_, err = s.db.Rooms().Participant(s.ctx, p.Key())
		s.wantErr("Participant", err, store.ErrNotFound)
		s.wantEqual("room", s.getRoom(r), r)
	}},
	{"nobody enters a room that is not there, or twice", func(s *suite) {
		r := s.room()
		_, err := s.db.Rooms().Enter(s.ctx, usher.Participant{App: r.App, Room: s.id(), ID: s.id()}, sameRoom)
		s.wantErr("Enter without a room", err, store.ErrNotFound)

		p := s.participant(r)
		again := p
		again.Name = "Bob"
		_, err = s.db.Rooms().Enter(s.ctx, again, addSeats(5))
		s.wantErr("Enter twice", err, store.ErrExists)
		s.wantEqual("Participant", s.getEntry(p), store.Entry{Room: r, Participant: p})
	}},
	{"the same id may be in two rooms", func(s *suite) {
		a, b := s.room(), s.room()
		p := s.participant(a)
		q := s.participant(b, func(q *usher.Participant) { q.ID, q.Name = p.ID, "Bob" })
		s.wantEqual("in the first", s.getEntry(p).Participant, p)
		s.wantEqual("in the second", s.getEntry(q).Participant, q)
	}},
	{"a participant that is not there is not found", func(s *suite) {
		r, other := s.room(), s.room()
		p := s.participant(r)
		for name, key := range map[string]usher.ParticipantKey{
			"no such id":        {App: r.App, Room: r.ID, ID: s.id()},
			"in another room":   {App: r.App, Room: other.ID, ID: p.ID},
			"in another app":    {App: "other", Room: r.ID, ID: p.ID},
			"something foreign": {App: r.App, Room: r.ID, ID: "x"},
		} {
			_, err := s.db.Rooms().Participant(s.ctx, key)
			s.wantErr("Participant, "+name, err, store.ErrNotFound)
			_, err = s.db.Rooms().Change(s.ctx, key, func(e store.Entry) (store.Entry, error) { return e, nil })
			s.wantErr("Change, "+name, err, store.ErrNotFound)
		}
	}},
	{"a change writes the participant and the room together", func(s *suite) {
		r := s.room(func(r *usher.Room) { r.Seats = 1 })
		p := s.participant(r, func(p *usher.Participant) { p.Secret = usher.Secret("one").Digest() })
		got, err := s.db.Rooms().Change(s.ctx, p.Key(), claim("one"))
		s.must(err)
		r.Status, r.Taken, r.Version = usher.RoomRunning, 1, 2
		p.Status, p.Hold, p.Version = usher.ParticipantJoined, usher.LeaseHold, 2
		want := store.Entry{Room: r, Participant: p}
		s.wantEqual("Change", got, want)
		s.wantEqual("Participant", s.getEntry(p), want)
		s.wantEqual("Get", s.getRoom(r), r)

		_, err = s.db.Rooms().Change(s.ctx, p.Key(), claim("one"))
		s.wantErr("a second claim", err, errRefused)
		s.wantEqual("Participant", s.getEntry(p), want)
	}},
	{"a change can reach every field", func(s *suite) {
		r := s.room()
		p := s.participant(r)
		want := store.Entry{Room: r, Participant: p}
		fullRoom(&want.Room)
		fullParticipant(&want.Participant)
		want.Room.Version, want.Participant.Version = 2, 2
		got, err := s.db.Rooms().Change(s.ctx, p.Key(), func(e store.Entry) (store.Entry, error) {
			fullRoom(&e.Room)
			fullParticipant(&e.Participant)
			return e, nil
		})
		s.must(err)
		s.wantEqual("Change", got, want)
		s.wantEqual("Participant", s.getEntry(p), want)
	}},
	{"of the two, what comes back as it was keeps its version", func(s *suite) {
		r := s.room()
		p := s.participant(r)
		got, err := s.db.Rooms().Change(s.ctx, p.Key(), func(e store.Entry) (store.Entry, error) {
			e.Participant.Name = "Bob"
			return e, nil
		})
		s.must(err)
		p.Name, p.Version = "Bob", 2
		s.wantEqual("Change of the participant", got, store.Entry{Room: r, Participant: p})

		got, err = s.db.Rooms().Change(s.ctx, p.Key(), func(e store.Entry) (store.Entry, error) {
			e.Room.Seats = 9
			return e, nil
		})
		s.must(err)
		r.Seats, r.Version = 9, 2
		s.wantEqual("Change of the room", got, store.Entry{Room: r, Participant: p})
		s.wantEqual("Participant", s.getEntry(p), got)
	}},
	{"a change that fails or changes nothing writes neither", func(s *suite) {
		r := s.room(named("lobby"))
		s.room(named("hall"))
		p := s.participant(r)
		want := store.Entry{Room: r, Participant: p}
		edit := func(err error) func(store.Entry) (store.Entry, error) {
			return func(e store.Entry) (store.Entry, error) {
				e.Room.Seats, e.Participant.Name = 9, "Bob"
				return e, err
			}
		}
		if _, err := s.db.Rooms().Change(s.ctx, p.Key(), edit(errRefused)); err != errRefused {
			s.Errorf("Change: got error %v, want %v itself", err, errRefused)
		}
		s.wantEqual("after an error", s.getEntry(p), want)

		got, err := s.db.Rooms().Change(s.ctx, p.Key(), edit(store.ErrUnchanged))
		s.must(err)
		s.wantEqual("Change with ErrUnchanged", got, want)
		s.wantEqual("after ErrUnchanged", s.getEntry(p), want)

		_, err = s.db.Rooms().Change(s.ctx, p.Key(), func(e store.Entry) (store.Entry, error) {
			e.Participant.Name, e.Room.Name = "Bob", "hall"
			return e, nil
		})
		s.wantErr("Change to a name that is taken", err, store.ErrExists)
		s.wantEqual("after a conflict", s.getEntry(p), want)

		if _, err := s.db.Rooms().Change(s.ctx, p.Key(), func(e store.Entry) (store.Entry, error) {
			e.Room.Seats, e.Participant.ID = 9, s.ids.New()
			return e, nil
		}); err == nil {
			s.Error("Change of the key: got no error")
		}
		s.wantEqual("after a change of the key", s.getEntry(p), want)
	}},
	{"participants are listed in the order of making, page by page", func(s *suite) {
		r, other := s.room(), s.room()
		s.wantEqual("an empty room", s.participantPages(store.ParticipantQuery{Room: r.Key(), Limit: 2}), [][]usher.ID(nil))
		made := []usher.ID{s.id(), s.id(), s.id(), s.id(), s.id()}
		for _, i := range []int{4, 1, 0, 3, 2} {
			s.participant(r, func(p *usher.Participant) {
				p.ID = made[i]
				if i%2 == 0 {
					p.Status = usher.ParticipantLeft
				}
			})
			s.participant(other)
		}
		q := store.ParticipantQuery{Room: r.Key(), Limit: 2}
		s.wantEqual("pages of two", s.participantPages(q), [][]usher.ID{made[:2], made[2:4], made[4:]})
		q.Status = usher.ParticipantLeft
		s.wantEqual("those who left", s.participantPages(q), [][]usher.ID{{made[0], made[2]}, {made[4]}})
		q.Status, q.After, q.Limit = "", made[3], 0
		s.wantEqual("after the fourth, without a limit", s.participantPages(q), [][]usher.ID{made[4:]})
	}},
}

// participantPages reads a list to its end and returns the ids of each page.
func (s *suite) participantPages(q store.ParticipantQuery) [][]usher.ID {
	s.Helper()
	var pages [][]usher.ID
	for {
		ps, err := s.db.Rooms().Participants(s.ctx, q)
		s.must(err)
		if len(ps) == 0 {
			return pages
		}
		var page []usher.ID
		for _, p := range ps {
			page = append(page, p.ID)
		}
		pages = append(pages, page)
		q.After = page[len(page)-1]
	}
}

var dueTests = []test{
	{"rooms are due from their time on, the longest overdue first", func(s *suite) {
		due := func(at time.Time) usher.RoomKey { return s.room(func(r *usher.Room) { r.Due = at }).Key() }
		second, later := due(start.Add(2*time.Second)), due(start.Add(4*time.Second))
		first := due(start.Add(time.Second))
		s.room() // never
		third := s.room(func(r *usher.Room) { r.App, r.Due = "other", start.Add(3*time.Second) }).Key()

		now := start.Add(3 * time.Second)
		got, err := s.db.Rooms().DueRooms(s.ctx, now, 10)
		s.must(err)
		s.wantEqual("DueRooms", got, []usher.RoomKey{first, second, third})
		got, err = s.db.Rooms().DueRooms(s.ctx, now, 2)
		s.must(err)
		s.wantEqual("two of them", got, []usher.RoomKey{first, second})
		got, err = s.db.Rooms().DueRooms(s.ctx, now.Add(-time.Microsecond), 10)
		s.must(err)
		s.wantEqual("a microsecond before", got, []usher.RoomKey{first, second})

		_, err = s.db.Rooms().Update(s.ctx, first, func(r usher.Room) (usher.Room, error) {
			r.Due = time.Time{}
			return r, nil
		})
		s.must(err)
		got, err = s.db.Rooms().DueRooms(s.ctx, start.Add(time.Hour), 10)
		s.must(err)
		s.wantEqual("after one was looked at", got, []usher.RoomKey{second, third, later})
	}},
	{"participants are due when they are held no longer", func(s *suite) {
		r, other := s.room(), s.room(func(r *usher.Room) { r.App = "other" })
		held := func(r usher.Room, until time.Time) usher.ParticipantKey {
			return s.participant(r, func(p *usher.Participant) { p.Hold, p.HeldUntil = usher.LeaseHold, until }).Key()
		}
		second, later := held(r, start.Add(2*time.Second)), held(r, start.Add(4*time.Second))
		first := held(other, start.Add(time.Second))
		s.participant(r) // not held

		got, err := s.db.Rooms().DueParticipants(s.ctx, start.Add(2*time.Second), 10)
		s.must(err)
		s.wantEqual("DueParticipants", got, []usher.ParticipantKey{first, second})
		got, err = s.db.Rooms().DueParticipants(s.ctx, start.Add(time.Hour), 1)
		s.must(err)
		s.wantEqual("one of them", got, []usher.ParticipantKey{first})

		_, err = s.db.Rooms().Change(s.ctx, first, func(e store.Entry) (store.Entry, error) {
			e.Participant.HeldUntil = start.Add(time.Hour)
			return e, nil
		})
		s.must(err)
		got, err = s.db.Rooms().DueParticipants(s.ctx, start.Add(time.Minute), 10)
		s.must(err)
		s.wantEqual("after a renewal", got, []usher.ParticipantKey{second, later})
	}},
	{"participants are stranded when their node is gone", func(s *suite) {
		r := s.room()
		on := func(hold usher.Hold, node usher.ID) usher.ParticipantKey {
			return s.participant(r, func(p *usher.Participant) { p.Hold, p.Node = hold, node }).Key()
		}
		a, b, c, d := usher.ID("aaa"), usher.ID("bbb"), usher.ID("ccc"), usher.ID("ddd")
		onA, onB, onC, onNone := on(usher.SocketHold, a), on(usher.SocketHold, b), on(usher.SocketHold, c), on(usher.SocketHold, "")
		on(usher.GraceHold, d)
		on(usher.LeaseHold, d)
		on(usher.Unheld, "")

		for name, tt := range map[string]struct {
			alive []usher.ID
			want  []usher.ParticipantKey
		}{
			"no node lives":          {nil, []usher.ParticipantKey{onA, onB, onC, onNone}},
			"one in the middle":      {[]usher.ID{b}, []usher.ParticipantKey{onA, onC, onNone}},
			"two, in any order":      {[]usher.ID{c, a, c}, []usher.ParticipantKey{onB, onNone}},
			"one that has nobody":    {[]usher.ID{d}, []usher.ParticipantKey{onA, onB, onC, onNone}},
			"all, and one that left": {[]usher.ID{d, c, b, a}, []usher.ParticipantKey{onNone}},
		} {
			got, err := s.db.Rooms().Stranded(s.ctx, tt.alive, 10)
			s.must(err)
			slices.SortFunc(got, func(x, y usher.ParticipantKey) int { return x.ID.Time().Compare(y.ID.Time()) })
			s.wantEqual(name, got, tt.want)
		}
		got, err := s.db.Rooms().Stranded(s.ctx, []usher.ID{b}, 2)
		s.must(err)
		s.wantEqual("how many of three, if two are asked for", len(got), 2)

		_, err = s.db.Rooms().Change(s.ctx, onA, func(e store.Entry) (store.Entry, error) {
			e.Participant.Hold = usher.GraceHold
			return e, nil
		})
		s.must(err)
		got, err = s.db.Rooms().Stranded(s.ctx, []usher.ID{b, c}, 10)
		s.must(err)
		s.wantEqual("after one was released", got, []usher.ParticipantKey{onNone})
	}},
}
