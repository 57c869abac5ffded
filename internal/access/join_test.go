package access_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
)

// Processes that live from event to event, beside one that goes on all the time.
func TestAProcessThatJoinsTakesNothingOver(t *testing.T) {
	db := openStore(t)
	server := newAccess(t, db, &bus.Local{})
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := newRoom(t, server)
	invited, err := server.AddParticipant(t.Context(), shop, string(r.ID), access.Place{Name: "Ann"}, "")
	if err != nil {
		t.Fatal(err)
	}
	claimed, err := server.Claim(t.Context(), invited.Participant.Key(), invited.Secret)
	if err != nil {
		t.Fatal(err)
	}
	at, err := server.Attach(t.Context(), invited.Participant.Key(), claimed.Token, newConnection())
	if err != nil {
		t.Fatal(err)
	}
	defer at.Leave()
	before, err := db.Rooms().Participant(t.Context(), invited.Participant.Key())
	if err != nil || before.Participant.Node == "" {
		t.Fatalf("the participant is %+v, error %v", before.Participant, err)
	}
	function := newAccess(t, db, &bus.Local{})
	if err := function.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := function.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	e, err := db.Rooms().Participant(t.Context(), invited.Participant.Key())
	if err != nil || e.Participant != before.Participant {
		t.Errorf("the participant of the server was %+v and is %+v, error %v", before.Participant, e.Participant, err)
	}
}

func TestAnEventObeysWhatWasTakenASecondBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openStore(t)
		server, function := newAccess(t, db, &bus.Local{}), newAccess(t, db, &bus.Local{})
		for _, err := range []error{server.Join(t.Context()), function.Join(t.Context())} {
			if err != nil {
				t.Fatal(err)
			}
		}
		ann := usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: "ann", IssuedAt: time.Now().Add(-time.Minute)}
		live := function.Resume(ann, nil)
		if live.Identity().Key() != ann.Key() {
			t.Errorf("resumed is %v", live.Identity())
		}
		if _, err := server.Revoke(t.Context(), operator, access.Revocation{Target: usher.Target{Identity: ann.Key()}, Reason: "gone"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, revoked := function.Revoked(ann); revoked {
			t.Error("the function knows of it before it was told to look")
		}
		if err := function.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if reason, revoked := function.Revoked(ann); !revoked || reason != "gone" {
			t.Errorf("revoked is %t, for %q", revoked, reason)
		}
	})
}

func TestWhatHappenedIsOnDiskWhenItWasFlushed(t *testing.T) {
	db := &failing{DB: openStore(t)}
	a := newAccess(t, db, &bus.Local{})
	if err := a.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		newRoom(t, a)
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	batches, err := db.Record().After(t.Context(), 0, 0)
	count := 0
	for _, b := range batches {
		count += b.Count
	}
	if events, _, _, readErr := a.Events(t.Context(), operator, access.EventQuery{Limit: 1000}); err != nil || readErr != nil || len(events) != count || count < 20 {
		t.Errorf("%d events are on disk, %d there are, errors %v and %v", count, len(events), err, readErr)
	}
	db.set(errDisk)
	newRoom(t, a)
	if err := a.Flush(t.Context()); err == nil {
		t.Error("flushed, while nothing can be written")
	}
	db.set(nil)
	if err := a.Flush(t.Context()); errors.Is(err, errDisk) {
		t.Error(err)
	}
}
