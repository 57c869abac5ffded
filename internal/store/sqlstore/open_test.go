package sqlstore_test

import (
	"bytes"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
)

func logTo(w io.Writer) func(*sqlstore.Config) {
	return func(cfg *sqlstore.Config) { cfg.Logger = slog.New(slog.NewTextHandler(w, nil)) }
}

func at(path string) func(*sqlstore.Config) {
	return func(cfg *sqlstore.Config) { cfg.Path = path }
}

func TestReopenedDatabaseHasWhatWasAccepted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usher.db")
	rooms := make([]usher.Room, 100)
	synctest.Test(t, func(t *testing.T) {
		db := open(t, at(path))
		h := hold(t, db)
		errs := make([]error, len(rooms))
		for i := range rooms {
			rooms[i] = newRoom()
			go func() { errs[i] = db.Rooms().Create(t.Context(), rooms[i]) }()
		}
		synctest.Wait() // all are accepted, none has begun
		closed := make(chan error)
		go func() { closed <- db.Close() }()
		synctest.Wait()
		if err := db.Rooms().Create(t.Context(), newRoom()); !errors.Is(err, store.ErrClosed) {
			t.Errorf("while closing: got error %v, want %v", err, store.ErrClosed)
		}
		close(h.release)
		err := <-closed
		synctest.Wait() // all are answered
		if err := errors.Join(append(errs, err, h.err)...); err != nil {
			t.Error(err)
		}
	})
	for _, leftover := range []string{path + "-wal", path + "-shm"} {
		if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there after Close", filepath.Base(leftover))
		}
	}
	db := open(t, at(path))
	for _, r := range rooms {
		if _, err := db.Rooms().Get(t.Context(), r.Key()); err != nil {
			t.Fatalf("Get: %v", err)
		}
	}
}

func TestTheSchemaIsLoggedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usher.db")
	for _, tt := range []struct{ when, want string }{
		{"a database that is made", `msg="database made" from=0 to=`},
		{"a database that is there", ""},
	} {
		var log bytes.Buffer
		if err := open(t, at(path), logTo(&log)).Close(); err != nil {
			t.Fatal(err)
		}
		if got := log.String(); !strings.Contains(got, tt.want) || strings.Count(got, "database") > strings.Count(tt.want, "database") {
			t.Errorf("%s: the log has %q, want %q once", tt.when, got, tt.want)
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usher.db")
	if err := open(t, at(path)).Write(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)"); err != nil {
		t.Fatal(err)
	}
	_, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: path})
	if err == nil || !strings.Contains(err.Error(), "newer version of Usher (its schema is 9999") {
		t.Errorf("got error %v, want one that says what to do", err)
	}
}

func TestOpenFails(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"without a path":                 "",
		"in a folder that is not there":  filepath.Join(t.TempDir(), "missing", "usher.db"),
		"on a file that is no database":  garbage,
		"on a folder instead of a file":  t.TempDir(),
		"on a path that has a NUL in it": "usher\x00.db",
	} {
		t.Run(name, func(t *testing.T) {
			if db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: path}); err == nil {
				t.Error("got no error")
				_ = db.Close()
			}
		})
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a%20b?c#d &_query_only=on")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "usher.db")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	db := open(t, at(path))
	if err := db.Rooms().Create(t.Context(), newRoom()); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s has mode %o, want 600", f.Name(), got)
		}
	}
	if got, want := strings.Join(names, " "), "usher.db usher.db-shm usher.db-wal"; got != want {
		t.Errorf("got files %q, want %q", got, want)
	}
}

func TestEveryQueryIsAnsweredFromAnIndex(t *testing.T) {
	db := open(t)
	ctx := t.Context()
	r := newRoom()
	for _, q := range []store.RoomQuery{{}, {Owner: "o"}, {Status: usher.RoomReady}, {Owner: "o", Status: usher.RoomReady}} {
		q.App, q.Limit = r.App, 5
		if _, err := db.Rooms().List(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Rooms().Create(ctx, r); err != nil {
		t.Fatal(err)
	}
	for _, status := range []usher.ParticipantStatus{"", usher.ParticipantJoined} {
		if _, err := db.Rooms().Participants(ctx, store.ParticipantQuery{Room: r.Key(), Status: status, Limit: 5}); err != nil {
			t.Fatal(err)
		}
	}
	_, err1 := db.Rooms().ByName(ctx, r.App, "x")
	_, err2 := db.Rooms().Participant(ctx, usher.ParticipantKey{App: r.App, Room: r.ID, ID: r.ID})
	_, err3 := db.Rooms().DueRooms(ctx, r.CreatedAt(), 5)
	_, err4 := db.Rooms().DueParticipants(ctx, r.CreatedAt(), 5)
	_, err5 := db.Rooms().Stranded(ctx, []usher.ID{"a", "b"}, 5)
	_, err6 := db.Clients().Get(ctx, r.ID)
	_, err7 := db.Members().Of(ctx, r.Key(), []string{"a", "b", "c"})
	_, err8 := db.Members().List(ctx, r.Key(), "a", 5)
	_, err9 := db.Invites().ByCode(ctx, usher.Digest{})
	_, err10 := db.Invites().List(ctx, r.Key(), r.ID, 5)
	_, err11 := db.Stays().List(ctx, store.StayQuery{Limit: 5})
	_, err12 := db.Stays().List(ctx, store.StayQuery{Room: r.Key(), Limit: 5})
	_, err13 := db.Stays().Due(ctx, "janus", 5)
	for _, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11, err12, err13} {
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
	}
	sequences(t, db)
	ring(t, db)
	people(t, db)
	plans, err := db.Plans(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(plans) < 40 {
		t.Fatalf("got %d plans, want one for each query", len(plans))
	}
	for text, plan := range plans {
		// Those whom one lists, or who have one address, are few; they may be sorted.
		sorted := strings.Contains(plan, "TEMP B-TREE") && !strings.Contains(text, "email_folded")
		// All that an app has is nearly everything.
		all := strings.Contains(plan, "(app=?)")
		if strings.Contains(plan, "SCAN") || sorted || all || !strings.Contains(plan, "SEARCH") {
			t.Errorf("%s\nis answered by: %s", text, plan)
		}
	}
}

// sequences uses the takings and the record in every way, trimming included.
func sequences(t *testing.T, db *sqlstore.DB) {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	_, err1 := db.Takings().Append(ctx, usher.Taking{ID: ids.New()})
	_, err2 := db.Takings().After(ctx, 5, 5)
	_, err3 := db.Record().Append(ctx, store.Batch{First: now, Last: now, Body: []byte("two")})
	_, err4 := db.Record().After(ctx, 5, 5)
	_, err5 := db.Record().At(ctx, now, 5)
	_, err6 := db.Record().Trim(ctx, now.Add(-time.Hour), 1)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		t.Fatal(err)
	}
}

// people uses the users and their contacts as often happens; erasing somebody is
// rare, and goes through all contacts.
func people(t *testing.T, db *sqlstore.DB) {
	t.Helper()
	ctx := t.Context()
	for _, key := range []string{"a", "b"} {
		if err := db.Users().Create(ctx, usher.User{App: "x", Key: key, Email: key + "@example.org", Name: key}); err != nil {
			t.Fatal(err)
		}
	}
	_, err1 := db.Users().ByEmail(ctx, "x", "a@example.org")
	_, err2 := db.Users().List(ctx, "x", "a", 5)
	_, err3 := db.Contacts().Add(ctx, usher.Contact{App: "x", Owner: "a", User: "b"}, 5)
	_, err4 := db.Contacts().Get(ctx, "x", "a", "b")
	_, err5 := db.Contacts().List(ctx, "x", "a")
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
}

// ring uses the calls in every way.
func ring(t *testing.T, db *sqlstore.DB) {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	c := usher.Call{ID: "c1", Status: usher.CallRinging, Caller: usher.CallParty{User: "a"}, Callee: usher.CallParty{User: "b"}}
	err1 := db.Calls().Create(ctx, c)
	_, err2 := db.Calls().Find(ctx, store.CallQuery{ID: "c1", User: "a"})
	_, err3 := db.Calls().Find(ctx, store.CallQuery{ID: "c1", User: "a", Peer: "b"})
	_, err4 := db.Calls().Live(ctx, "", c.Pair())
	_, err5 := db.Calls().Active(ctx, "", "a")
	_, err6 := db.Calls().Missed(ctx, store.MissedQuery{User: "b"})
	_, err7 := db.Calls().Missed(ctx, store.MissedQuery{User: "b", From: ids.New()})
	_, err8 := db.Calls().Due(ctx, now, 5)
	_, err9 := db.Calls().Stranded(ctx, []usher.ID{"a", "b"}, 5)
	_, err10 := db.Calls().Update(ctx, c.Key(), func(c usher.Call) (usher.Call, error) { c.Status = usher.CallEnded; return c, nil })
	_, err11 := db.Calls().Sweep(ctx, now, 5)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11); err != nil {
		t.Fatal(err)
	}
}

// integrity checks a database file that nobody has open.
func integrity(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var ok string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&ok); err != nil || ok != "ok" {
		t.Fatalf("integrity check: got %q and error %v", ok, err)
	}
	rows, err := db.QueryContext(t.Context(), "PRAGMA foreign_key_check")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() {
		t.Fatal("there are participants without a room")
	}
}
