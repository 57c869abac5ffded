package sqlstore_test

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"usher"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
)

// full is a disk that takes no more than there is of each file: to this process,
// the size of a file has a limit. It is a disk again when the function that it
// returns is called.
func full(t *testing.T, size int64) (empty func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	set := func(limit syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Error(err)
		}
	}
	signal.Ignore(syscall.SIGXFSZ)
	set(syscall.Rlimit{Cur: uint64(size), Max: before.Max})
	empty = sync.OnceFunc(func() {
		set(before)
		signal.Reset(syscall.SIGXFSZ)
	})
	t.Cleanup(empty)
	return empty
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.buf.String(), text)
}

func TestADiskThatTakesNoMoreIsRecoveredFromWithoutHelp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usher.db")
	var log lockedBuffer
	var failing sync.Map // by whether it was, as observed
	db := open(t, at(path), logTo(&log), func(c *sqlstore.Config) {
		c.Observe = func(c sqlstore.Commit) { failing.Store(c.Failing, true) }
	})
	made, refused := make(map[usher.RoomKey]bool), make(map[usher.RoomKey]bool)
	create := func() error {
		r := newRoom()
		r.EndReason = strings.Repeat("x", 20_000)
		err := db.Rooms().Create(t.Context(), r)
		if err == nil {
			made[r.Key()] = true
		} else {
			refused[r.Key()] = true
		}
		return err
	}
	for range 10 {
		if err := create(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	empty := full(t, info.Size())
	for range 20 {
		// What can be written is, as there is room from a write that failed; in the end there is none.
		if err := create(); err != nil && (!store.Away(err) || usher.AsError(err).RetryAfter == 0) {
			t.Fatalf("got error %v, want one that says when to try again", err)
		}
	}
	if len(refused) == 0 {
		t.Fatal("nothing was refused")
	}
	if err := db.Ping(t.Context()); !store.Away(err) {
		t.Errorf("Ping: got error %v, want why nothing can be written", err)
	}
	if n := log.count("can't be written"); n != 1 {
		t.Errorf("the log says %d times that nothing can be written, want once", n)
	}
	for key := range made {
		if _, err := db.Rooms().Get(t.Context(), key); err != nil {
			t.Errorf("a room that was answered: %v", err)
		}
	}

	// Nobody writes now.
	empty()
	late := time.After(30 * time.Second)
	for db.Ping(t.Context()) != nil {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-late:
			t.Fatalf("there is room, and it says: %v", db.Ping(t.Context()))
		}
	}
	if n := log.count("can be written again"); n != 1 {
		t.Errorf("the log says %d times that it is over, want once", n)
	}
	for _, was := range []bool{true, false} {
		if _, ok := failing.Load(was); !ok {
			t.Errorf("whoever observes was never told failing: %v", was)
		}
	}
	if err := create(); err != nil {
		t.Errorf("after there was room: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := sqlstore.Check(t.Context(), path); err != nil {
		t.Error(err)
	}
	db = open(t, at(path))
	for key := range made {
		if _, err := db.Rooms().Get(t.Context(), key); err != nil {
			t.Errorf("a room that was answered, after all: %v", err)
		}
	}
	for key := range refused {
		if _, err := db.Rooms().Get(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a room that was refused: got error %v, want %v", err, store.ErrNotFound)
		}
	}
}

// A store that is closed while there is no room leaves what was answered in its log.
func TestAStoreIsClosedWithoutRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usher.db")
	var log lockedBuffer
	db := open(t, at(path), logTo(&log))
	r := newRoom()
	if err := db.Rooms().Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	empty := full(t, 4096)
	err := db.Close()
	empty()
	if err != nil || log.count("stays in its log") != 1 {
		t.Errorf("got error %v, and the log %q", err, log.buf.String())
	}
	if _, err := open(t, at(path)).Rooms().Get(t.Context(), r.Key()); err != nil {
		t.Error(err)
	}
}
