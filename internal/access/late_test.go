package access_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/store"
)

// full is a store whose disk is full, as far as rooms and invites go, when it is set.
type full struct {
	store.DB
	full atomic.Bool
	lies atomic.Bool // what it says it may not have written is written
	// blind is a disk that can't be read, as far as rooms go.
	blind atomic.Bool
}

func (f *full) Rooms() store.Rooms { return fullRooms{f.DB.Rooms(), f} }

type fullRooms struct {
	store.Rooms
	f *full
}

func (r fullRooms) Get(ctx context.Context, key usher.RoomKey) (usher.Room, error) {
	if r.f.blind.Load() {
		return usher.Room{}, store.ErrUnavailable
	}
	return r.Rooms.Get(ctx, key)
}

func (r fullRooms) Change(ctx context.Context, key usher.ParticipantKey, change func(store.Entry) (store.Entry, error)) (store.Entry, error) {
	if r.f.full.Load() {
		return store.Entry{}, store.ErrNoRoom
	}
	e, err := r.Rooms.Change(ctx, key, change)
	if err == nil && r.f.lies.CompareAndSwap(true, false) {
		return store.Entry{}, store.ErrUnavailable
	}
	return e, err
}

func (f *full) Invites() store.Invites { return fullInvites{f.DB.Invites(), f} }

type fullInvites struct {
	store.Invites
	f *full
}

func (i fullInvites) Update(ctx context.Context, room usher.RoomKey, id usher.ID, change func(usher.Invite) (usher.Invite, error)) (usher.Invite, error) {
	if i.f.full.Load() {
		return usher.Invite{}, store.ErrNoRoom
	}
	return i.Invites.Update(ctx, room, id, change)
}

// seatsTaken returns how many seats of a room are taken.
func seatsTaken(t *testing.T, a *access.Access, r usher.Room) int {
	t.Helper()
	r, err := a.Room(t.Context(), shop, string(r.ID))
	if err != nil {
		t.Fatal(err)
	}
	return r.Taken
}

func TestASeatThatCouldNotBeGivenBackIsGivenBackLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const people = 300
		db := &full{DB: openStore(t)}
		var log strings.Builder
		a := newAccess(t, db, &bus.Local{}, func(c *access.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		defer run(t, a)()
		r := newRoom(t, a)
		var all []*access.Attachment
		for range people {
			at, _ := attach(t, a, claimed(t, a, r, "Ann"))
			all = append(all, at)
		}
		db.full.Store(true)
		for _, at := range all {
			at.Leave()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := seatsTaken(t, a, r); got != people {
			t.Errorf("%d seats are taken that can't have been given back, want %d", got, people)
		}
		db.full.Store(false)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := seatsTaken(t, a, r); got != 0 {
			t.Errorf("%d seats are taken", got)
		}
		if n := strings.Count(log.String(), "the end of a connection"); n == 0 || n > 3 {
			t.Errorf("the log tells %d times of one row of failures:\n%s", n, log.String())
		}
	})
}

func TestASeatThatMayHaveBeenTakenByAConnectionThatWasRefusedIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &full{DB: openStore(t)}
		a := newAccess(t, db, &bus.Local{})
		defer run(t, a)()
		r := newRoom(t, a)
		c := claimed(t, a, r, "Ann")
		db.lies.Store(true)
		_, err := a.Attach(t.Context(), c.Participant.Key(), c.Token, newConnection())
		wantCode(t, "the attachment", err, "storage_unavailable")
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := seatsTaken(t, a, r); got != 0 {
			t.Errorf("%d seats are taken", got)
		}
	})
}
