package room_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/room"
	"usher/internal/store"
)

func TestWhatEndedIsForgottenWhenItsTimeIsOver(t *testing.T) {
	h := newHouse(t)
	over, goesOn := h.open(t, room.Spec{}), h.open(t, room.Spec{})
	g, other := h.invite(t, over), h.invite(t, goesOn)
	if _, err := h.End(h.ctx, over.Key(), "Over."); err != nil {
		t.Fatal(err)
	}
	want := func(when string, there bool) {
		t.Helper()
		if err := h.Forget(h.ctx); err != nil {
			t.Fatal(err)
		}
		wanted := map[bool]string{true: "room_ended", false: "room_not_found"}[there]
		if _, kept := h.db.rooms[over.Key()]; kept != there {
			t.Errorf("%s: the room is kept: %t, want %t", when, kept, there)
		}
		if got := code(t, h.claim(g)); got != wanted {
			t.Errorf("%s: who claims a place in it gets %q, want %q", when, got, wanted)
		}
		if _, kept := h.db.participants[other.key]; !kept {
			t.Errorf("%s: a participant of another room is gone", when)
		}
	}
	h.pass(keepFor)
	want("just before", true)
	h.pass(time.Microsecond)
	want("after", false)

	if err := room.New(room.Config{}, room.Deps{Now: time.Now}).Forget(h.ctx); err != nil {
		t.Errorf("where all is kept: %v", err)
	}
}

// slow is a store that takes its time to forget a room.
type slow struct {
	store.Rooms
	now, most atomic.Int64 // how many rooms are being forgotten
}

func (s *slow) Forget(ctx context.Context, key usher.RoomKey) error {
	now := s.now.Add(1)
	defer s.now.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	time.Sleep(time.Millisecond) // until all are here that come at once
	return s.Rooms.Forget(ctx, key)
}

// Whoever joins a room waits for what is written in the same commit.
func TestFewRoomsAreForgottenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		for range 100 {
			if _, err := h.End(h.ctx, h.open(t, room.Spec{}).Key(), "Over."); err != nil {
				t.Fatal(err)
			}
		}
		h.pass(2 * keepFor)
		db := &slow{Rooms: h.db}
		s := room.New(room.Config{KeepFor: keepFor}, room.Deps{Store: db, Now: func() time.Time { return h.now }})
		if err := s.Forget(h.ctx); err != nil {
			t.Fatal(err)
		}
		if len(h.db.rooms) > 0 || db.most.Load() > 8 {
			t.Errorf("%d rooms are left, and %d were forgotten at once", len(h.db.rooms), db.most.Load())
		}
	})
}

func roomOf(key usher.ParticipantKey) usher.RoomKey { return usher.RoomKey{App: key.App, ID: key.Room} }

// An ended room's participants were once found stranded for ever, so that a
// server could not start again.
func TestRecoverAfterARoomEndedWithSomebodyInIt(t *testing.T) {
	h := newHouse(t)
	g := h.invite(t, h.open(t, room.Spec{}))
	if err := errors.Join(h.claim(g), h.attach(g)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.End(h.ctx, roomOf(g.key), "Over."); err != nil {
		t.Fatal(err)
	}
	h.start()
	for _, want := range []int{1, 0} {
		if got, err := h.Recover(h.ctx); got != want || err != nil {
			t.Errorf("Recover: got %d, %v, want %d", got, err, want)
		}
	}
	if p := h.db.participants[g.key]; p.Status != usher.ParticipantLeft {
		t.Errorf("the participant is stored as %s, want left", p.Status)
	}
}
