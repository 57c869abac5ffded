package access_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
)

func TestTheEndOfARoomIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) { c.Rooms.Unjoined = 10 * time.Second })
		run(t, a)
		r := newRoom(t, a)
		if _, err := a.EndRoom(t.Context(), shop, string(r.ID), "Over."); err != nil {
			t.Fatal(err)
		}
		forgotten := newRoom(t, a)
		time.Sleep(15 * time.Second) // nobody joined it
		got := events(t, a, usher.Ended)
		if len(got) != 2 || got[0].Room != r.ID || got[0].Reason != "Over." || got[1].Room != forgotten.ID {
			t.Errorf("the record says %+v", got)
		}
	})
}

// Whoever tells others of events must find those on disk that a call has made
// which was answered.
func TestACallWaitsForEventsThatAreAwaited(t *testing.T) {
	db := &failing{DB: openStore(t), hold: make(chan struct{})}
	a := newAccess(t, db, &bus.Local{})
	a.Follow().Await(func(e usher.Event) bool { return e.Type == usher.Ended })
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := newRoom(t, a) // which waits for nothing
	answered := make(chan error, 1)
	news := a.Follow().News()
	go func() {
		_, err := a.EndRoom(context.Background(), shop, string(r.ID), "Over.")
		answered <- err
	}()
	for ended := false; !ended; { // in the store
		x, err := db.Rooms().Get(t.Context(), r.Key())
		if err != nil {
			t.Fatal(err)
		}
		ended = x.Status == usher.RoomEnded
	}
	select {
	case <-answered:
		t.Error("it was answered before its event was on disk")
	case <-news:
		t.Error("there was news before there was anything on disk")
	default:
	}
	close(db.hold)
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	<-news
	entries, next, lost, err := a.Follow().Read(t.Context(), access.Position{}, 10, func(e usher.Event) bool { return e.Type == usher.Ended })
	if err != nil || lost || len(entries) != 1 || entries[0].Room != r.ID || entries[0].At.Compare(entries[0].Next) >= 0 {
		t.Errorf("got %+v, %v, lost %v", entries, err, lost)
	}
	if end, err := a.Follow().End(t.Context()); err != nil || end.Compare(next) < 0 {
		t.Errorf("the end is %v, %v, and what was read goes to %v", end, err, next)
	}
}
