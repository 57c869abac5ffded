package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
)

var ids = usher.SystemIDs()

func newRoom() usher.Room {
	return usher.Room{App: usher.DefaultApp, ID: ids.New(), Kind: usher.Ephemeral, Status: usher.RoomReady, Version: 1}
}

// held is a write that stays in the middle of its batch until it is released.
type held struct {
	release chan struct{}
	err     error
}

// hold begins such a write. It must be called in a synctest bubble, where it
// returns when the writer is held.
func hold(t *testing.T, db *sqlstore.DB) *held {
	t.Helper()
	r := newRoom()
	if err := db.Rooms().Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	h := &held{release: make(chan struct{})}
	go func() {
		_, h.err = db.Rooms().Update(t.Context(), r.Key(), func(r usher.Room) (usher.Room, error) {
			<-h.release
			r.Seats = 7
			return r, nil
		})
	}()
	synctest.Wait()
	return h
}

// commits collects what an observer is told.
type commits struct {
	mu   sync.Mutex
	seen []sqlstore.Commit
}

func (c *commits) observe(cfg *sqlstore.Config) {
	cfg.Observe = func(one sqlstore.Commit) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen = append(c.seen, one)
	}
}

// writes returns the number of writes in each commit, and forgets them.
func (c *commits) writes() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ns []int
	for _, one := range c.seen {
		ns = append(ns, one.Writes)
	}
	c.seen = nil
	return ns
}

func TestWritesThatWaitShareACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen commits
		db := open(t, seen.observe)
		h := hold(t, db)
		seen.writes()
		var failed atomic.Int64
		for range 600 {
			go func() {
				if err := db.Rooms().Create(t.Context(), newRoom()); err != nil {
					failed.Add(1)
				}
			}()
		}
		synctest.Wait() // all of them are queued
		close(h.release)
		synctest.Wait()
		if h.err != nil || failed.Load() > 0 {
			t.Errorf("got error %v and %d failed writes, want none", h.err, failed.Load())
		}
		if diff := cmp.Diff([]int{256, 256, 89}, seen.writes()); diff != "" {
			t.Errorf("writes in each commit (-want +got):\n%s", diff)
		}
	})
}

func TestNoWriteIsAnsweredBeforeItsCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen commits
		db := open(t, seen.observe)
		r := newRoom()
		h := hold(t, db)
		seen.writes()
		answered := make(chan error, 1)
		go func() { answered <- db.Rooms().Create(t.Context(), r) }()
		second := holdNext(t, db) // behind it, in the same batch
		close(h.release)
		synctest.Wait()

		select {
		case err := <-answered:
			t.Fatalf("the write was answered with %v in the middle of its batch", err)
		default:
		}
		if _, err := db.Rooms().Get(t.Context(), r.Key()); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a reader got error %v before the commit, want %v", err, store.ErrNotFound)
		}
		close(second)
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{3}, seen.writes()); diff != "" {
			t.Errorf("writes in each commit (-want +got):\n%s", diff)
		}
		if _, err := db.Rooms().Get(t.Context(), r.Key()); err != nil {
			t.Errorf("a reader got error %v after the answer", err)
		}
	})
}

// holdNext queues a write that holds the batch once the writer comes to it.
func holdNext(t *testing.T, db *sqlstore.DB) (release chan struct{}) {
	t.Helper()
	synctest.Wait() // what was queued before comes first
	release = make(chan struct{})
	go func() {
		_, _ = db.Keys().Change(t.Context(), func(ks []store.Key) ([]store.Key, error) {
			<-release
			return ks, nil
		})
	}()
	synctest.Wait()
	return release
}

func TestAnswersFollowTheObserver(t *testing.T) {
	var committed, answered atomic.Int64
	db := open(t, func(cfg *sqlstore.Config) {
		cfg.Observe = func(c sqlstore.Commit) { committed.Add(int64(c.Writes)) }
	})
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 20 {
				if err := db.Rooms().Create(t.Context(), newRoom()); err != nil {
					t.Errorf("Create: %v", err)
				}
				if a, c := answered.Add(1), committed.Load(); c < a {
					t.Errorf("%d writes were answered when %d were committed", a, c)
				}
			}
		})
	}
	wg.Wait()
}

func TestEveryConnectionIsSetUp(t *testing.T) {
	for name, want := range map[string]int64{
		"synchronous":  2, // FULL
		"foreign_keys": 1,
		"busy_timeout": 5000,
	} {
		w, r, err := open(t).Pragmas(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if w != want || r != want {
			t.Errorf("%s: got %d on the writer and %d on a reader, want %d", name, w, r, want)
		}
	}
	off := open(t, func(cfg *sqlstore.Config) { cfg.Synchronous = sqlstore.Off })
	if w, _, err := off.Pragmas(t.Context(), "synchronous"); err != nil || w != 0 {
		t.Errorf("switched off: got synchronous %d and error %v, want 0", w, err)
	}
}

func TestAWriteWhoseCallerGaveUpNeverBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t)
		h := hold(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		r := newRoom()
		answered := make(chan error, 1)
		go func() { answered <- db.Rooms().Create(ctx, r) }()
		synctest.Wait()
		cancel()
		if err := <-answered; !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want %v while the writer is still held", err, context.Canceled)
		}
		close(h.release)
		synctest.Wait()
		if _, err := db.Rooms().Get(t.Context(), r.Key()); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the room: got error %v, want %v", err, store.ErrNotFound)
		}
	})
}

func TestAWriteThatHasBegunIsSeenThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t)
		r := newRoom()
		if err := db.Rooms().Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		begun := make(chan struct{})
		go func() {
			<-begun
			cancel()
		}()
		got, err := db.Rooms().Update(ctx, r.Key(), func(r usher.Room) (usher.Room, error) {
			close(begun)
			<-ctx.Done()
			r.Seats = 3
			return r, nil
		})
		if err != nil || got.Seats != 3 {
			t.Errorf("got %d seats and error %v, want 3 and none", got.Seats, err)
		}
	})
}

func TestAPanicIsContainedToItsWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		db := open(t, logTo(&log))
		h := hold(t, db)
		before, victim, after := newRoom(), newRoom(), newRoom()
		errs := make([]error, 3)
		go func() { errs[0] = db.Rooms().Create(t.Context(), before) }()
		synctest.Wait()
		go func() {
			_, errs[1] = db.Rooms().Enter(t.Context(), usher.Participant{App: before.App, Room: before.ID, ID: victim.ID},
				func(usher.Room) (usher.Room, error) { panic("boom") })
		}()
		synctest.Wait()
		go func() { errs[2] = db.Rooms().Create(t.Context(), after) }()
		synctest.Wait()
		close(h.release)
		synctest.Wait()

		if h.err != nil || errs[0] != nil || errs[2] != nil {
			t.Errorf("the writes beside it: got errors %v, %v, %v, want none", h.err, errs[0], errs[2])
		}
		if errs[1] == nil || !strings.Contains(errs[1].Error(), "boom") {
			t.Errorf("the write: got error %v, want one that tells the panic", errs[1])
		}
		if !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "writer_test.go") {
			t.Errorf("the log has no panic with its stack:\n%s", log.String())
		}
		for _, r := range []usher.Room{before, after} {
			if _, err := db.Rooms().Get(t.Context(), r.Key()); err != nil {
				t.Errorf("a room beside it: %v", err)
			}
		}
	})
}

func TestAFailedCommitFailsEveryWriteInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen commits
		db := open(t, seen.observe)
		h := hold(t, db)
		r := newRoom()
		var good, bad error
		go func() { good = db.Rooms().Create(t.Context(), r) }()
		synctest.Wait()
		// A participant without a room, which is noticed only at the commit.
		go func() {
			bad = db.Write(t.Context(), "PRAGMA defer_foreign_keys = ON",
				"INSERT INTO participants VALUES ('a','r','p',0,'','','','','',NULL,'',NULL,NULL,NULL,'',NULL,'','',NULL,NULL,'',1)")
		}()
		synctest.Wait()
		close(h.release)
		synctest.Wait()

		for name, err := range map[string]error{"held": h.err, "good": good, "bad": bad} {
			if err == nil || !strings.Contains(err.Error(), "FOREIGN KEY") {
				t.Errorf("%s write: got error %v, want that of the commit", name, err)
			}
		}
		if _, err := db.Rooms().Get(t.Context(), r.Key()); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the room of the good write: got error %v, want %v", err, store.ErrNotFound)
		}
		if err := db.Rooms().Create(t.Context(), r); err != nil {
			t.Errorf("the writer did not recover: %v", err)
		}
		last := seen.seen[len(seen.seen)-2:]
		if last[0].Err == nil || last[0].Writes != 3 || last[1].Err != nil {
			t.Errorf("the observer was told %+v", last)
		}
	})
}

func TestAFullDiskIsToldAndRecoveredFrom(t *testing.T) {
	db := open(t)
	if err := db.SetWriter("PRAGMA max_page_count = 60"); err != nil {
		t.Fatal(err)
	}
	r := newRoom()
	if err := db.Rooms().Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 10_000)
	var err error
	var made []usher.RoomKey
	for i := 0; i < 100 && err == nil; i++ {
		next := newRoom()
		next.EndReason = fmt.Sprint(i, big)
		if err = db.Rooms().Create(t.Context(), next); err == nil {
			made = append(made, next.Key())
		}
	}
	if e := usher.AsError(err); e.Kind != usher.Unavailable || e.Code != "storage_full" {
		t.Fatalf("got error %v, want one of code storage_full", err)
	}
	for _, key := range made {
		if _, err := db.Rooms().Get(t.Context(), key); err != nil {
			t.Errorf("a room that was answered: %v", err)
		}
	}
	if err := db.SetWriter("PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	next := newRoom()
	next.EndReason = big
	if err := db.Rooms().Create(t.Context(), next); err != nil {
		t.Errorf("after space was made: %v", err)
	}
}
