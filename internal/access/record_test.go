package access_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/store"
)

// failing is a store whose record can be made to fail, or to take its time.
type failing struct {
	store.DB

	mu       sync.Mutex
	err      error
	hold     chan struct{} // if set, an append waits until it is closed
	attempts int
}

func (f *failing) Record() store.Record { return &failingRecord{f.DB.Record(), f} }

type failingRecord struct {
	store.Record
	f *failing
}

func (r *failingRecord) Append(ctx context.Context, b store.Batch) (store.Batch, error) {
	r.f.mu.Lock()
	r.f.attempts++
	err, hold := r.f.err, r.f.hold
	r.f.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if err != nil {
		return store.Batch{}, err
	}
	return r.Record.Append(ctx, b)
}

func (f *failing) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

var errDisk = errors.New("disk on fire")

// recorded is what is on disk, batch by batch.
func recorded(t *testing.T, db store.DB) [][]usher.Event {
	t.Helper()
	batches, err := db.Record().After(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	list := make([][]usher.Event, len(batches))
	for i, b := range batches {
		if err := json.Unmarshal(b.Body, &list[i]); err != nil {
			t.Fatal(err)
		}
		if len(list[i]) != b.Count || list[i][0].Time().Before(b.First) || list[i][b.Count-1].Time().After(b.Last) {
			t.Errorf("the batch %d says %d events from %v to %v", b.Seq, b.Count, b.First, b.Last)
		}
	}
	return list
}

// names returns who events are of, and of which events.
func names(events []usher.Event) []string {
	list := make([]string, len(events))
	for i, e := range events {
		list[i] = e.Name
	}
	return list
}

// try makes one entry of the record: somebody is refused.
func try(t *testing.T, a *access.Access, name string) usher.ID {
	t.Helper()
	_, err := a.Client(t.Context(), user(name), "x")
	e := refusal(t, err)
	if e.Code != "operators_only" {
		t.Fatal(err)
	}
	return e.Decision
}

func TestEventsAreOnDiskSoonAndTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openStore(t)
		a := newAccess(t, db, &bus.Local{})
		run(t, a)
		var want []string
		for round := range 3 {
			for i := range 10 {
				name := fmt.Sprint(round, i)
				id := try(t, a, name)
				want = append(want, name)
				// Nobody has to wait for the disk to see it.
				if e, err := a.Decision(t.Context(), operator, id); err != nil || e.Name != name {
					t.Errorf("%s is found as %+v, %v", name, e, err)
				}
			}
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			list := recorded(t, db)
			if len(list) != round+1 {
				t.Errorf("after 100ms there are %d batches, want %d", len(list), round+1)
			}
			if got := names(slices.Concat(list...)); !slices.Equal(got, want) {
				t.Fatalf("after 100ms on disk are\n%v, want\n%v", got, want)
			}
		}
		for _, e := range slices.Concat(recorded(t, db)...) {
			if got, err := a.Decision(t.Context(), operator, e.ID); err != nil || got.Name != e.Name {
				t.Errorf("%s is found as %+v, %v", e.Name, got, err)
			}
		}
		_, err := a.Decision(t.Context(), operator, usher.SystemIDs().New())
		wantCode(t, "an id that is in no record", err, "decision_not_found")
		other := operator
		other.App = "other"
		_, err = a.Decision(t.Context(), other, recorded(t, db)[0][0].ID)
		wantCode(t, "another app's decision", err, "decision_not_found")
	})
}

func TestTheRecordTellsTheWholeStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openStore(t)
		a := newAccess(t, db, &bus.Local{}, withGuests(t, db))
		stop := run(t, a)
		r, ann := openRoom(t, a, shop), user("ann")
		_, c := entered(t, a, ann, r)
		at, _ := attach(t, a, c)
		if _, err := redeem(t, a, invite(t, a, r, access.InviteSpec{}).Secret, "Gus"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		taking := revoke(t, a, access.Revocation{Target: usher.Target{Identity: ann.Key()}, Reason: "Go."})
		at.Lose()
		synctest.Wait()
		_, _ = a.Room(t.Context(), usher.Identity{App: usher.DefaultApp}, string(r.ID)) // nobody
		stop()

		var types []string
		for _, e := range slices.Concat(recorded(t, db)...) {
			types = append(types, string(e.Type))
			if e.Who == "" || e.App != usher.DefaultApp {
				t.Errorf("of %+v nobody knows whose it is", e)
			}
			if e.Type == usher.Taken && (!strings.Contains(e.Reason, string(taking.ID)) || !strings.Contains(e.Reason, "Go.")) {
				t.Errorf("what was taken is told as %q", e.Reason)
			}
		}
		want := "decided decided claimed attached decided redeemed decided taken detached"
		if got := strings.Join(types, " "); got != want {
			t.Errorf("on disk are\n%s, want\n%s", got, want)
		}
	})
}

// Whoever follows the record would otherwise never come to its end; whoever is
// nobody could make us write.
func TestWhatIsNotRecorded(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{})
	stop := run(t, a)
	r := newRoom(t, a)
	_, err := enter(t, a, usher.Identity{App: usher.DefaultApp}, r)
	if e := refusal(t, err); e.Code != "credentials_required" || e.Decision != "" {
		t.Errorf("nobody got %+v", e)
	}
	for range 3 {
		if _, _, _, err := a.Events(t.Context(), operator, access.EventQuery{Limit: 10}); err != nil {
			t.Fatal(err)
		}
	}
	_, _, _, err = a.Events(t.Context(), user("ann"), access.EventQuery{Limit: 10})
	wantCode(t, "reading by anybody", err, "operators_only")
	stop()
	if got := names(slices.Concat(recorded(t, db)...)); !slices.Equal(got, []string{"", "ann"}) {
		t.Errorf("on disk are %q, want the room's making and ann's refusal", got)
	}
}

func TestAStrictAuditWaitsForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &failing{DB: openStore(t), hold: make(chan struct{})}
		a := newAccess(t, db, &bus.Local{}, func(c *access.Config) { c.Record.Audit = access.Strict })
		run(t, a)
		answered := make(chan error, 1)
		go func() {
			_, err := a.CreateRoom(context.Background(), shop, access.RoomSpec{Name: "lobby"}, "")
			answered <- err
		}()
		time.Sleep(2 * time.Second)
		select {
		case err := <-answered:
			t.Fatalf("answered before the decision was on disk: %v", err)
		default:
		}
		if _, err := db.Rooms().ByName(t.Context(), usher.DefaultApp, "lobby"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("it was done before it was on disk: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := a.CreateRoom(ctx, shop, access.RoomSpec{}, "")
		if e := refusal(t, err); e.Code != "record_unavailable" || e.Kind != usher.Unavailable {
			t.Errorf("who did not wait got %+v", e)
		}
		tired := make(chan error, 1)
		go func() {
			_, err := a.CreateRoom(context.Background(), shop, access.RoomSpec{}, "")
			tired <- err
		}()
		time.Sleep(time.Second)
		close(db.hold)
		if err := <-answered; err != nil {
			t.Error(err)
		}
		if err := <-tired; err != nil {
			t.Error(err)
		}
	})
}

func TestNobodyWaitsForTheDiskForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &failing{DB: openStore(t), hold: make(chan struct{})}
		a := newAccess(t, db, &bus.Local{}, func(c *access.Config) { c.Record.Audit = access.Strict })
		run(t, a)
		begin := time.Now()
		_, err := a.CreateRoom(context.Background(), shop, access.RoomSpec{}, "")
		wantCode(t, "a disk that does not answer", err, "record_unavailable")
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		close(db.hold)
	})
}

func TestAStoreThatFailsLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &failing{DB: openStore(t)}
		var log bytes.Buffer
		a := newAccess(t, db, &bus.Local{}, func(c *access.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		run(t, a)
		var want []string
		some := func(what string) {
			for i := range 5 {
				name := fmt.Sprint(what, i)
				id := try(t, a, name)
				want = append(want, name)
				if e, err := a.Decision(t.Context(), operator, id); err != nil || e.Name != name {
					t.Errorf("%s is found as %+v, %v", name, e, err)
				}
				time.Sleep(30 * time.Millisecond)
			}
		}
		some("before")
		db.set(errDisk)
		some("meanwhile")
		time.Sleep(time.Minute)
		some("later")
		db.set(nil)
		some("after")
		time.Sleep(time.Second)
		synctest.Wait()
		if got := names(slices.Concat(recorded(t, db)...)); !slices.Equal(got, want) {
			t.Errorf("on disk are\n%v, want\n%v", got, want)
		}
		if n := strings.Count(log.String(), "could not be recorded"); n != 1 || !strings.Contains(log.String(), "disk on fire") {
			t.Errorf("the log tells %d times of one row of failures:\n%s", n, log.String())
		}
		if db.attempts > 200 {
			t.Errorf("it was tried %d times in a minute", db.attempts)
		}
	})
}

func TestAFullQueueMakesCallersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &failing{DB: openStore(t), err: errDisk}
		a := newAccess(t, db, &bus.Local{})
		run(t, a)
		const queue = 20_000
		for range queue {
			try(t, a, "early")
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := a.Client(impatient, user("impatient"), "x")
		wantCode(t, "who does not wait", err, "record_unavailable")
		answered := make(chan error, 1)
		go func() {
			_, err := a.Client(context.Background(), user("patient"), "x")
			answered <- err
		}()
		time.Sleep(2 * time.Second)
		if len(answered) > 0 {
			t.Error("a decision was taken that there was no room for")
		}
		db.set(nil)
		wantCode(t, "who waits", <-answered, "operators_only")
		time.Sleep(time.Second)
		synctest.Wait()
		got := names(slices.Concat(recorded(t, db)...))
		if len(got) != queue+1 || got[queue] != "patient" || slices.Contains(got, "impatient") {
			t.Errorf("on disk are %d events, the last of %v; want %d and patient", len(got), got[len(got)-1:], queue+1)
		}
		for i, b := range recorded(t, db) {
			if len(b) > 2000 {
				t.Errorf("the batch %d has %d events", i, len(b))
			}
		}
	})
}

func TestStoppingWritesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &failing{DB: openStore(t)}
		a := newAccess(t, db, &bus.Local{})
		stop := run(t, a)
		var want []string
		for i := range 100 {
			want = append(want, fmt.Sprint(i))
			try(t, a, want[i])
		}
		db.set(errDisk)
		time.AfterFunc(3*time.Second, func() { db.set(nil) }) // a store that comes back in time
		stop()
		if got := names(slices.Concat(recorded(t, db)...)); !slices.Equal(got, want) {
			t.Errorf("on disk are %v", got)
		}
	})
}

func TestStoppingEndsThoughTheStoreDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccess(t, &failing{DB: openStore(t), err: errDisk}, &bus.Local{})
		stop := run(t, a)
		try(t, a, "ann")
		began := time.Now()
		stop()
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestOldEventsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openStore(t)
		a := newAccess(t, db, &bus.Local{}, func(c *access.Config) { c.Record.KeepFor = 12 * time.Minute })
		run(t, a)
		old := try(t, a, "old")
		time.Sleep(11 * time.Minute)
		recent := try(t, a, "recent")
		if _, err := a.Decision(t.Context(), operator, old); err != nil {
			t.Errorf("before its time: %v", err)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		_, err := a.Decision(t.Context(), operator, old)
		wantCode(t, "after its time", err, "decision_not_found")
		if e, err := a.Decision(t.Context(), operator, recent); err != nil || e.Name != "recent" {
			t.Errorf("the recent one is found as %+v, %v", e, err)
		}
	})
}

func TestRecordConfigurations(t *testing.T) {
	if problems := access.DefaultRecordConfig().Validate(); len(problems) > 0 {
		t.Errorf("the defaults are refused: %v", problems)
	}
	for field, c := range map[string]access.RecordConfig{
		"mode":      {Audit: "lax", KeepFor: time.Hour, KeepBytes: 1 << 20},
		"keepFor":   {Audit: access.Strict, KeepFor: time.Hour - 1, KeepBytes: 1 << 20},
		"keepBytes": {Audit: access.Batched, KeepFor: time.Hour, KeepBytes: 1<<20 - 1},
	} {
		if problems := c.Validate(); len(problems) != 1 || problems[0].Field != field {
			t.Errorf("%+v: got %v, want %s", c, problems, field)
		}
	}
}

func TestWhereTheDiskIsFullNobodyWaitsForTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &failing{DB: openStore(t)}
		a := newAccess(t, db, &bus.Local{}, func(c *access.Config) { c.Record.Audit = access.Strict })
		run(t, a)
		db.set(store.ErrNoRoom)
		_, err := a.Client(context.Background(), user("first"), "x")
		wantCode(t, "who finds it out", err, "record_unavailable")
		begin := time.Now()
		for range 100 {
			_, err := a.Client(context.Background(), user("late"), "x")
			wantCode(t, "who comes later", err, "storage_full")
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("they waited for %v", took)
		}
		db.set(nil)
		time.Sleep(time.Second)
		_, err = a.Client(context.Background(), user("last"), "x")
		wantCode(t, "who comes when there is room", err, "operators_only")
		if got := names(slices.Concat(recorded(t, db)...)); !slices.Equal(got, []string{"first", "last"}) {
			t.Errorf("on disk are %q: what was refused unheard is not in the record", got)
		}
	})
}
