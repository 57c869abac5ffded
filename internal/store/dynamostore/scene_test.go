package dynamostore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"usher"
	"usher/internal/store"
	"usher/internal/store/dynamostore"
)

// scene is one run of a crash.
type scene struct {
	*testing.T
	ctx context.Context
	// clear is the store of a node that lives.
	clear *dynamostore.DB
	ids   *usher.IDSource
	room  usher.Room
	p     usher.Participant
	call  usher.Call
	ann   usher.User
	bob   usher.User
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// there turns what a look-up returned into whether it found something.
func (s *scene) there(err error) bool {
	s.Helper()
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		s.Fatal(err)
	}
	return err == nil
}

func (s *scene) agree(what string, got, want bool) {
	s.Helper()
	if got != want {
		s.Errorf("%s: got %t, want %t", what, got, want)
	}
}

var moment = time.Date(2026, time.November, 20, 8, 30, 0, 0, time.UTC)

// makeRoom stores a room of a name, which is due, and one participant.
func makeRoom(s *scene) {
	s.must(s.clear.Rooms().Create(s.ctx, s.room))
	_, err := s.clear.Rooms().Enter(s.ctx, s.p, func(r usher.Room) (usher.Room, error) { return r, nil })
	s.must(err)
}

func makeUsers(s *scene) {
	s.must(s.clear.Users().Create(s.ctx, s.ann))
	s.must(s.clear.Users().Create(s.ctx, s.bob))
}

// roomThere looks for the room in every way, and then takes its name anew.
func roomThere(s *scene) bool {
	got, err := s.clear.Rooms().Get(s.ctx, s.room.Key())
	there := s.there(err)
	_, err = s.clear.Rooms().ByName(s.ctx, s.room.App, "lobby")
	s.agree("found by name", s.there(err), there && got.Status != usher.RoomEnded)
	for _, q := range []store.RoomQuery{{}, {Owner: "client:a"}, {Status: got.Status}} {
		q.App = s.room.App
		list, err := s.clear.Rooms().List(s.ctx, q)
		s.must(err)
		s.agree(fmt.Sprintf("listed by %+v", q), len(list) == 1, there)
	}
	due, err := s.clear.Rooms().DueRooms(s.ctx, moment.Add(time.Hour), 0)
	s.must(err)
	s.agree("due", len(due) == 1, there && !got.Due.IsZero())

	again := s.room
	again.ID = s.ids.New()
	err = s.clear.Rooms().Create(s.ctx, again)
	if err != nil && !errors.Is(err, store.ErrExists) {
		s.Fatal(err)
	}
	s.agree("the name is free", err == nil, !there || got.Status == usher.RoomEnded)
	return there
}

func sitDown(e store.Entry) (store.Entry, error) {
	e.Room.Taken++
	e.Room.Due = moment
	e.Participant.Status, e.Participant.Hold, e.Participant.Node = usher.ParticipantJoined, usher.SocketHold, "node"
	e.Participant.HeldUntil = moment
	return e, nil
}

// seated looks for the participant in every way.
func seated(s *scene) bool {
	e, err := s.clear.Rooms().Participant(s.ctx, s.p.Key())
	there := s.there(err)
	room, err := s.clear.Rooms().Get(s.ctx, s.room.Key())
	s.must(err)
	s.agree("the room counts it", room.Taken == 1, there && e.Participant.Seated())
	for name, find := range map[string]func() ([]usher.ParticipantKey, error){
		"due":      func() ([]usher.ParticipantKey, error) { return s.clear.Rooms().DueParticipants(s.ctx, moment, 0) },
		"stranded": func() ([]usher.ParticipantKey, error) { return s.clear.Rooms().Stranded(s.ctx, nil, 0) },
	} {
		keys, err := find()
		s.must(err)
		s.agree(name, slices.Equal(keys, []usher.ParticipantKey{s.p.Key()}), room.Taken == 1)
	}
	// Another one comes, and the first is still what it was.
	other := s.p
	other.ID = s.ids.New()
	_, err = s.clear.Rooms().Enter(s.ctx, other, func(r usher.Room) (usher.Room, error) { return r, nil })
	s.must(err)
	now, err := s.clear.Rooms().Participant(s.ctx, s.p.Key())
	s.agree("still there", s.there(err) && now.Participant == e.Participant, there)
	list, err := s.clear.Rooms().Participants(s.ctx, store.ParticipantQuery{Room: s.room.Key()})
	s.must(err)
	s.agree("listed", len(list) == 2 && list[0] == e.Participant, there)
	return room.Taken == 1
}

// callThere looks for the call in every way, and then makes another one.
func callThere(s *scene) bool {
	got, err := s.clear.Calls().Find(s.ctx, store.CallQuery{App: s.call.App, ID: s.call.ID, User: "user:bob"})
	there := s.there(err)
	live := there && got.Live()
	_, err = s.clear.Calls().Live(s.ctx, s.call.App, s.call.Pair())
	s.agree("live", s.there(err), live)
	for _, user := range []string{"user:ann", "user:bob"} {
		active, err := s.clear.Calls().Active(s.ctx, s.call.App, user)
		s.must(err)
		s.agree("active", len(active) == 1, live)
	}
	due, err := s.clear.Calls().Due(s.ctx, moment.Add(time.Hour), 0)
	s.must(err)
	s.agree("due", len(due) == 1, live)
	missed, err := s.clear.Calls().Missed(s.ctx, store.MissedQuery{App: s.call.App, User: "user:bob"})
	s.must(err)
	s.agree("missed", len(missed) == 1, there && !live)
	swept, err := s.clear.Calls().Sweep(s.ctx, moment.Add(time.Hour), 0)
	s.must(err)
	s.agree("swept", swept == 1, there && !live)

	again := s.call
	again.ID = "another"
	err = s.clear.Calls().Create(s.ctx, again)
	if err != nil && !errors.Is(err, store.ErrExists) {
		s.Fatal(err)
	}
	s.agree("another can be made", err == nil, !live)
	return there
}

// listed looks for bob, and for ann's entry for bob.
func listed(s *scene) bool {
	_, err := s.clear.Users().Get(s.ctx, s.bob.App, s.bob.Key)
	bob := s.there(err)
	_, err = s.clear.Users().ByEmail(s.ctx, s.bob.App, "BOB@example.org")
	s.agree("found by address", s.there(err), bob)
	users, err := s.clear.Users().List(s.ctx, s.bob.App, "", 0)
	s.must(err)
	s.agree("listed as a user", len(users) == 2, bob)
	_, err = s.clear.Contacts().Get(s.ctx, s.ann.App, s.ann.Key, s.bob.Key)
	entry := s.there(err)
	list, err := s.clear.Contacts().List(s.ctx, s.ann.App, s.ann.Key)
	s.must(err)
	s.agree("listed as a contact", len(list) == 1, entry)
	return entry
}
