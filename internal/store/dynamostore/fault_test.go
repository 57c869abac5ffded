package dynamostore_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher"
	"usher/internal/store"
	"usher/internal/store/dynamostore"
	"usher/internal/store/dynamotest"
	"usher/internal/store/storetest"
)

// oneInFour requests meets a fault.
func oneInFour(faults ...dynamotest.Treatment) dynamotest.Treat {
	treat := dynamotest.OneIn(4, faults...)
	return func(operation string, n int64) dynamotest.Treatment {
		how := treat(operation, n)
		if operation == "DeleteItem" && how != dynamotest.Passed && how != dynamotest.Conflict {
			return dynamotest.Throttled // else nobody can know who deleted it: see TestNobodyIsGivenAMarkInDoubt
		}
		return how
	}
}

// faulty opens a store whose requests go through a proxy.
func faulty(t *testing.T, treat dynamotest.Treat) store.DB {
	cfg := config(t)
	cfg.Endpoint = dynamotest.New(t, cfg.Endpoint, treat).URL
	return open(t, cfg)
}

func TestConformanceWithFaults(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.DB {
		return faulty(t, oneInFour(dynamotest.Throttled, dynamotest.Halved, dynamotest.Lost, dynamotest.Failed, dynamotest.Dropped))
	})
}

// outcomes calls f n times at once and counts what was acknowledged, and what was
// not.
func outcomes(n int, f func(i int) error) (acknowledged, doubtful int) {
	var ok, bad atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if f(i) == nil {
				ok.Add(1)
			} else {
				bad.Add(1)
			}
		})
	}
	wg.Wait()
	return int(ok.Load()), int(bad.Load())
}

// allFaults include those after which a writer can't know.
var allFaults = []dynamotest.Treatment{dynamotest.Throttled, dynamotest.Lost, dynamotest.Conflict, dynamotest.Halved, dynamotest.Failed, dynamotest.Dropped}

func TestNothingAcknowledgedIsLostOrThereTwice(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	clear := open(t, cfg)
	var nodes []store.DB
	for range 2 {
		through := cfg
		through.Endpoint = dynamotest.New(t, cfg.Endpoint, oneInFour(allFaults...)).URL
		nodes = append(nodes, open(t, through))
	}
	ctx, ids := t.Context(), usher.SystemIDs()
	between := func(what string, got, ok, doubt int) {
		t.Helper()
		if got < ok || got > ok+doubt {
			t.Errorf("%s: there are %d, of which %d were acknowledged and %d may be", what, got, ok, doubt)
		}
	}

	room := usher.Room{App: usher.DefaultApp, ID: ids.New(), Kind: usher.Ephemeral, Status: usher.RoomReady, Version: 1}
	if err := clear.Rooms().Create(ctx, room); err != nil {
		t.Fatal(err)
	}
	ok, doubt := outcomes(40, func(i int) error {
		p := usher.Participant{App: room.App, Room: room.ID, ID: ids.New(), Status: usher.ParticipantJoined,
			Hold: usher.LeaseHold, HeldUntil: time.Unix(int64(i), 0), Version: 1}
		_, err := nodes[i%2].Rooms().Enter(ctx, p, func(r usher.Room) (usher.Room, error) {
			r.Taken++
			return r, nil
		})
		return err
	})
	got, err := clear.Rooms().Get(ctx, room.Key())
	if err != nil {
		t.Fatal(err)
	}
	between("seats taken", got.Taken, ok, doubt)
	ps, err := clear.Rooms().Participants(ctx, store.ParticipantQuery{Room: room.Key()})
	if err != nil || len(ps) != got.Taken || int(got.Version) != got.Taken+1 {
		t.Errorf("%d seats are taken by %d participants at version %d, error %v", got.Taken, len(ps), got.Version, err)
	}
	due, err := clear.Rooms().DueParticipants(ctx, time.Unix(1000, 0), 0)
	if err != nil || len(due) != len(ps) {
		t.Errorf("of %d participants %d are due, error %v", len(ps), len(due), err)
	}

	// Whoever is left in doubt of a taking asks again.
	takings := make([]usher.Taking, 30)
	for i := range takings {
		takings[i] = usher.Taking{ID: ids.New(), App: usher.DefaultApp, Kind: usher.Revocation}
	}
	outcomes(len(takings), func(i int) error {
		for {
			_, err := nodes[i%2].Takings().Append(ctx, takings[i])
			if err == nil || errors.Is(err, store.ErrExists) {
				return nil
			}
		}
	})
	list, err := clear.Takings().After(ctx, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[usher.ID]bool)
	for i, taking := range list {
		if taking.Seq != int64(i+1) || seen[taking.ID] {
			t.Errorf("the entry %d of the takings has the number %d, and was there before: %t", i+1, taking.Seq, seen[taking.ID])
		}
		seen[taking.ID] = true
	}
	if len(list) != len(takings) {
		t.Errorf("there are %d takings, not %d", len(list), len(takings))
	}

	var mu sync.Mutex
	acknowledged := make(map[string]bool)
	ok, doubt = outcomes(30, func(i int) error {
		body := fmt.Sprint("batch ", i)
		_, err := nodes[i%2].Record().Append(ctx, store.Batch{First: time.Unix(0, 0), Last: time.Unix(int64(i), 0), Count: 1, Body: []byte(body)})
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			acknowledged[body] = true
		}
		return err
	})
	batches, err := clear.Record().After(ctx, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	between("batches", len(batches), ok, doubt)
	bytes := 0
	bodies := make(map[string]bool)
	for _, b := range batches {
		if bodies[string(b.Body)] {
			t.Errorf("%s is there twice", b.Body)
		}
		bodies[string(b.Body)] = true
		bytes += len(b.Body)
	}
	for body := range acknowledged {
		if !bodies[body] {
			t.Errorf("%s was acknowledged and is lost", body)
		}
	}
	if n, err := clear.Record().Trim(ctx, time.Time{}, int64(bytes)); err != nil || n != 0 {
		t.Errorf("to all of the %d bytes %d batches were trimmed, error %v", bytes, n, err)
	}
	if n, err := clear.Record().Trim(ctx, time.Time{}, int64(bytes)-1); err != nil || n != 1 {
		t.Errorf("to a byte less %d batches were trimmed, error %v", n, err)
	}

	ann := usher.User{App: usher.DefaultApp, Key: "user:" + issuer + "#ann", Version: 1}
	if err := clear.Users().Create(ctx, ann); err != nil {
		t.Fatal(err)
	}
	ok, doubt = outcomes(20, func(i int) error {
		u := usher.User{App: usher.DefaultApp, Key: fmt.Sprintf("user:%s#%d", issuer, i), Email: "shared@example.org", Version: 1}
		if err := nodes[i%2].Users().Create(ctx, u); err != nil {
			return err
		}
		_, err := nodes[i%2].Contacts().Add(ctx, usher.Contact{App: u.App, Owner: ann.Key, User: u.Key}, 0)
		return err
	})
	listings, err := clear.Contacts().List(ctx, ann.App, ann.Key)
	if err != nil {
		t.Fatal(err)
	}
	between("contacts", len(listings), ok, doubt)
	gone, err := clear.Users().Delete(ctx, ann.App, ann.Key)
	if err != nil || len(gone) != len(listings) {
		t.Errorf("of %d contacts %d went, error %v", len(listings), len(gone), err)
	}
}

func TestNobodyIsGivenAMarkInDoubt(t *testing.T) {
	t.Parallel()
	var once atomic.Bool
	db := faulty(t, func(operation string, _ int64) dynamotest.Treatment {
		if operation == "DeleteItem" && once.CompareAndSwap(false, true) {
			return dynamotest.Lost
		}
		return dynamotest.Passed
	})
	now := time.Unix(0, 0)
	mark := store.Mark{Name: "ticket", Value: []byte("who"), Expires: now.Add(time.Minute)}
	if _, err := db.Once().Put(t.Context(), now, mark); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Once().Take(t.Context(), now, mark.Name); err == nil || got.Name != "" {
		t.Errorf("Take without an answer: got %+v and error %v, want none and an error", got, err)
	}
	if _, err := db.Once().Take(t.Context(), now, mark.Name); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Take again: got error %v, want %v", err, store.ErrNotFound)
	}
}

// What was done is acknowledged also where the answer never comes, and is done once.
func TestAWriteWhoseAnswerNeverComes(t *testing.T) {
	t.Parallel()
	ids, app := usher.SystemIDs(), usher.DefaultApp
	room := usher.Room{App: app, ID: ids.New(), Name: "lobby", Kind: usher.Permanent, Status: usher.RoomReady, Version: 1}
	user := usher.User{App: app, Key: "user:" + issuer + "#ann", Email: "ann@example.org", Version: 1}
	for name, tt := range map[string]struct {
		operation string
		do        func(store.DB) error
		there     func(store.DB) (int, error)
	}{
		"a room": {"PutItem", func(db store.DB) error { return db.Rooms().Create(t.Context(), room) }, func(db store.DB) (int, error) {
			list, err := db.Rooms().List(t.Context(), store.RoomQuery{App: app})
			return len(list), err
		}},
		"a user": {"UpdateItem", func(db store.DB) error { return db.Users().Create(t.Context(), user) }, func(db store.DB) (int, error) {
			list, err := db.Users().List(t.Context(), app, "", 0)
			return len(list), err
		}},
		"a taking": {"PutItem", func(db store.DB) error {
			_, err := db.Takings().Append(t.Context(), usher.Taking{ID: ids.New(), App: app, Kind: usher.Revocation})
			return err
		}, func(db store.DB) (int, error) {
			list, err := db.Takings().After(t.Context(), 0, 0)
			return len(list), err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			clear := open(t, cfg)
			var late atomic.Int64
			cfg.Timeout = 5 * time.Second
			cfg.Endpoint = dynamotest.New(t, cfg.Endpoint, func(operation string, _ int64) dynamotest.Treatment {
				if operation == tt.operation && late.Add(1) == 1 {
					return dynamotest.Late
				}
				return dynamotest.Passed
			}).URL
			db, err := dynamostore.Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			err = tt.do(db)
			if late.Load() == 0 {
				t.Fatalf("there was no %s", tt.operation)
			}
			if n, lookErr := tt.there(clear); err != nil || lookErr != nil || n != 1 {
				t.Errorf("got error %v, and then there are %d, error %v; want 1", err, n, lookErr)
			}
		})
	}
}
