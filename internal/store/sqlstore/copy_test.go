package sqlstore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"usher"
	"usher/internal/store/sqlstore"
)

// Each room is written before its number is told, so that a copy that begins
// when n are told has them all.
func TestACopyHasAllThatWasAnsweredBeforeItBegan(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "usher.db")
	db := open(t, at(path))
	rooms := make([]usher.Room, 300)
	for i := range rooms {
		rooms[i] = newRoom()
	}
	var answered atomic.Int64
	enough := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		for i, r := range rooms {
			if err := db.Rooms().Create(t.Context(), r); err != nil {
				done <- err
				return
			}
			if answered.Store(int64(i + 1)); i == 100 {
				close(enough)
			}
		}
		done <- nil
	}()
	select {
	case <-enough:
	case err := <-done:
		t.Fatal(err)
	}
	n := answered.Load()
	copied := filepath.Join(dir, "copy.db")
	if schema, err := sqlstore.Copy(t.Context(), path, copied); err != nil || schema < 60 {
		t.Fatalf("Copy: got schema %d and error %v", schema, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := sqlstore.Check(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	again := open(t, at(copied))
	for i, r := range rooms[:n] {
		if got, err := again.Rooms().Get(t.Context(), r.Key()); err != nil || got.ID != r.ID {
			t.Fatalf("room %d of %d: got %v and error %v", i, n, got, err)
		}
	}
}

func TestWhatIsNoDatabaseIsNotCopied(t *testing.T) {
	dir := t.TempDir()
	empty, garbage := filepath.Join(dir, "empty.db"), filepath.Join(dir, "garbage.db")
	for path, content := range map[string][]byte{empty: nil, garbage: bytes.Repeat([]byte("not a database "), 100)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	missing := filepath.Join(dir, "missing.db")
	for _, path := range []string{empty, garbage, missing} {
		if _, err := sqlstore.Copy(t.Context(), path, filepath.Join(dir, "copy.db")); err == nil {
			t.Errorf("%s: was copied", filepath.Base(path))
		}
		if err := sqlstore.Check(t.Context(), path); err == nil {
			t.Errorf("%s: nothing is wrong with it", filepath.Base(path))
		}
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Errorf("a database was made: %v", err)
	}
}

func TestDamageIsFound(t *testing.T) {
	dir := t.TempDir()
	path, copied := filepath.Join(dir, "usher.db"), filepath.Join(dir, "copy.db")
	db := open(t, at(path))
	for range 200 {
		if err := db.Rooms().Create(t.Context(), newRoom()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sqlstore.Copy(t.Context(), path, copied); err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(sound)
	clear(damaged[len(damaged)-8192:])
	if err := os.WriteFile(copied, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sqlstore.Check(t.Context(), copied); err == nil {
		t.Error("a database without its last two pages is sound")
	}
}
