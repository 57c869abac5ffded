package cached_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"usher"
	"usher/internal/store"
	"usher/internal/store/cached"
	"usher/internal/store/sqlstore"
	"usher/internal/store/storetest"
)

func openSQL(t *testing.T) store.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

// still is a clock that stands, so that nothing that is kept ever grows old.
func still() time.Time { return start }

var start = time.Date(2026, time.November, 20, 8, 30, 0, 0, time.UTC)

// What is kept where nobody else writes is more than elsewhere.
func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.DB { return alone(t, storetest.Again(openSQL(t))) })
	storetest.RunConcurrency(t, func(t *testing.T) store.DB { return alone(t, openSQL(t)) })
}

func alone(t *testing.T, db store.DB) *cached.DB {
	t.Helper()
	d, err := cached.NewAlone(t.Context(), db, still)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// world is a store with a memory, the store below, and a record of each kind.
type world struct {
	*testing.T
	db    *cached.DB
	below *hooked
	now   time.Time

	room        usher.Room
	participant usher.Participant
	client      usher.Client
	member      usher.Member
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, below: &hooked{DB: openSQL(t)}, now: start}
	w.db = cached.New(w.below, func() time.Time { return w.now })
	ids := usher.SystemIDs()
	w.room = usher.Room{App: usher.DefaultApp, ID: ids.New(), Name: "lobby", Kind: usher.Permanent, Status: usher.RoomReady, Version: 1}
	w.participant = usher.Participant{App: w.room.App, Room: w.room.ID, ID: ids.New(), Status: usher.ParticipantReady, Version: 1}
	w.client = usher.Client{App: usher.DefaultApp, ID: ids.New(), Name: "v0", Scopes: usher.AllScopes, Version: 1}
	w.member = usher.Member{App: w.room.App, Room: w.room.ID, Identity: "user:i#a", Name: "v0"}
	w.must(w.below.DB.Rooms().Create(t.Context(), w.room))
	_, err := w.below.DB.Rooms().Enter(t.Context(), w.participant, func(r usher.Room) (usher.Room, error) { return r, nil })
	w.must(err)
	w.must(w.below.DB.Clients().Create(t.Context(), w.client))
	w.must(w.below.DB.Members().Put(t.Context(), w.member))
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Error(err)
	}
}

// subject is a value that is kept, how it is read, and how it is written
// through a store: each write makes it another.
type subject struct {
	name  string
	read  func(w *world, db store.DB) string
	write func(w *world, db store.DB, value string)
}

// subjects are every value that is kept, by every way to read and write it.
func subjects() []subject {
	room := func(w *world, db store.DB) string {
		r, err := db.Rooms().Get(w.Context(), w.room.Key())
		w.must(err)
		return r.Owner
	}
	named := func(w *world, db store.DB) string {
		r, err := db.Rooms().ByName(w.Context(), w.room.App, w.room.Name)
		if !errors.Is(err, store.ErrNotFound) { // between its end and the next one
			w.must(err)
		}
		return r.Owner
	}
	client := func(w *world, db store.DB) string {
		c, err := db.Clients().Get(w.Context(), w.client.ID)
		w.must(err)
		return c.Name
	}
	member := func(w *world, db store.DB) string {
		list, err := db.Members().Of(w.Context(), w.room.Key(), []string{"user:i#none", w.member.Identity})
		w.must(err)
		if len(list) == 0 {
			return ""
		}
		return list[0].Name
	}
	owned := func(value string) func(usher.Room) (usher.Room, error) {
		return func(r usher.Room) (usher.Room, error) { r.Owner = value; return r, nil }
	}
	update := func(w *world, db store.DB, value string) {
		_, err := db.Rooms().Update(w.Context(), w.room.Key(), owned(value))
		w.must(err)
	}
	put := func(w *world, db store.DB, value string) {
		m := w.member
		m.Name = value
		w.must(db.Members().Put(w.Context(), m))
	}
	return []subject{
		{"a room, updated", room, update},
		{"a room by its name, updated", named, update},
		{"a room, entered", room, func(w *world, db store.DB, value string) {
			p := w.participant
			p.ID = usher.SystemIDs().New()
			_, err := db.Rooms().Enter(w.Context(), p, owned(value))
			w.must(err)
		}},
		{"a room, changed with a participant", room, func(w *world, db store.DB, value string) {
			_, err := db.Rooms().Change(w.Context(), w.participant.Key(), func(e store.Entry) (store.Entry, error) {
				e.Room.Owner = value
				return e, nil
			})
			w.must(err)
		}},
		{"a room by its name, ended and made anew", named, func(w *world, db store.DB, value string) {
			old, err := w.below.DB.Rooms().ByName(w.Context(), w.room.App, w.room.Name)
			w.must(err)
			_, err = db.Rooms().Update(w.Context(), old.Key(), func(r usher.Room) (usher.Room, error) {
				r.Status = usher.RoomEnded
				return r, nil
			})
			w.must(err)
			next := w.room
			next.ID, next.Owner = usher.SystemIDs().New(), value
			w.must(db.Rooms().Create(w.Context(), next))
		}},
		{"a client, updated", client, func(w *world, db store.DB, value string) {
			_, err := db.Clients().Update(w.Context(), w.client.ID, func(c usher.Client) (usher.Client, error) {
				c.Name = value
				return c, nil
			})
			w.must(err)
		}},
		{"a member, put", member, put},
		{"a member, deleted and put", member, func(w *world, db store.DB, value string) {
			w.must(db.Members().Delete(w.Context(), w.room.Key(), w.member.Identity))
			if got := member(w, db); got != "" {
				w.Errorf("a deleted member is read as %q", got)
			}
			put(w, db, value)
		}},
	}
}

func (w *world) want(s subject, want string) {
	w.Helper()
	if got := s.read(w, w.db); got != want {
		w.Errorf("read %q, want %q", got, want)
	}
}

func TestWhatIsKept(t *testing.T) {
	for _, s := range subjects() {
		t.Run(s.name, func(t *testing.T) {
			t.Run("is read from the store once while it is fresh", func(t *testing.T) {
				w := newWorld(t)
				first := s.read(w, w.db)
				w.want(s, first) // by its key, where it was read by its name
				reads := w.below.reads
				w.now = w.now.Add(cached.Fresh - 1)
				w.want(s, first)
				if w.below.reads != reads {
					t.Errorf("the store was read %d times again", w.below.reads-reads)
				}
			})
			t.Run("is as written right after", func(t *testing.T) {
				w := newWorld(t)
				for i := range 3 {
					s.read(w, w.db)
					s.write(w, w.db, fmt.Sprint("w", i))
					w.want(s, fmt.Sprint("w", i))
				}
			})
			t.Run("is what another process wrote when it is not fresh any more", func(t *testing.T) {
				w := newWorld(t)
				s.read(w, w.db)
				s.read(w, w.db)
				s.write(w, w.below.DB, "elsewhere")
				w.now = w.now.Add(cached.Fresh)
				w.want(s, "elsewhere")
			})
			t.Run("is read anew when the clock was set back", func(t *testing.T) {
				w := newWorld(t)
				s.read(w, w.db)
				s.read(w, w.db)
				s.write(w, w.below.DB, "elsewhere")
				w.now = w.now.Add(-time.Hour)
				w.want(s, "elsewhere")
			})
			t.Run("is not what a read brings that began before a write", func(t *testing.T) {
				w := newWorld(t)
				s.read(w, w.db)
				w.now = w.now.Add(cached.Fresh)
				w.below.afterRead = func() { s.write(w, w.db, "new") } // the read has the old value in hand
				s.read(w, w.db)
				w.want(s, "new")
			})
			t.Run("is not what a read brings that began during a write", func(t *testing.T) {
				w := newWorld(t)
				s.read(w, w.db)
				w.below.beforeWrite = func() { s.read(w, w.db) }
				s.write(w, w.db, "new")
				w.want(s, "new")
			})
			t.Run("is not what a read brings that began before a write and ends during it", func(t *testing.T) {
				w := newWorld(t)
				begun, end, written := make(chan struct{}), make(chan struct{}), make(chan struct{})
				w.below.beforeWrite = func() { close(begun); <-end }
				w.below.afterRead = func() {
					go func() { defer close(written); s.write(w, w.db, "new") }()
					<-begun
				}
				s.read(w, w.db)
				close(end)
				<-written
				w.want(s, "new")
			})
			t.Run("is as written as soon as it can be read, before the write was answered", func(t *testing.T) {
				w := newWorld(t)
				s.read(w, w.db)
				var during []string
				w.below.afterWrite = func() { during = append(during, s.read(w, w.db), s.read(w, w.below.DB)) }
				s.write(w, w.db, "new")
				if during[0] != during[1] {
					t.Errorf("read %q while the store has %q", during[0], during[1])
				}
			})
			t.Run("is not what a read brings that began before another and ends after it", func(t *testing.T) {
				w := newWorld(t)
				s.read(w, w.db)
				w.now = w.now.Add(cached.Fresh)
				w.below.afterRead = func() {
					s.write(w, w.below.DB, "elsewhere")
					w.now = w.now.Add(1)
					w.want(s, "elsewhere")
				}
				s.read(w, w.db)
				w.want(s, "elsewhere") // and not the old value again
			})
		})
	}
}

func TestAFailedWriteLeavesNothingShut(t *testing.T) {
	w := newWorld(t)
	refuse := func(usher.Room) (usher.Room, error) { return usher.Room{}, store.ErrExists }
	if _, err := w.db.Rooms().Update(t.Context(), w.room.Key(), refuse); err == nil {
		t.Fatal("the write did not fail")
	}
	s := subjects()[0]
	s.read(w, w.db)
	reads := w.below.reads
	s.read(w, w.db)
	if w.below.reads != reads {
		t.Error("the room is not kept after a write that failed")
	}
}

func TestWhatACallerDoesToAValueIsItsOwnAffair(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		c, err := w.db.Clients().Get(t.Context(), w.client.ID)
		w.must(err)
		if c.Scopes[0] != usher.AllScopes[0] {
			t.Fatalf("the scopes begin with %q", c.Scopes[0])
		}
		c.Scopes[0] = "mine"
	}
}

func TestAMarkThatIsTaken(t *testing.T) {
	w := newWorld(t)
	mark := func(value string, lives time.Duration) store.Mark {
		return store.Mark{Name: "a", Value: []byte(value), Expires: start.Add(lives)}
	}
	put := func(db store.DB, now time.Time, m store.Mark, want string, wantErr error) {
		t.Helper()
		got, err := db.Once().Put(t.Context(), now, m)
		if string(got.Value) != want || !errors.Is(err, wantErr) {
			t.Errorf("got %q, %v, want %q, %v", got.Value, err, want, wantErr)
		}
		clear(got.Value) // which is the caller's own
	}
	put(w.db, start, mark("one", time.Minute), "one", nil)
	writes := w.below.writes
	put(w.db, start.Add(time.Minute-1), mark("two", time.Hour), "one", store.ErrExists)
	if w.below.writes != writes {
		t.Error("finding the name taken was a write")
	}
	put(w.below.DB, start.Add(time.Minute), mark("two", time.Hour), "two", nil) // another process
	w.now = w.now.Add(cached.Fresh)
	put(w.db, start.Add(time.Minute), mark("three", 2*time.Hour), "two", store.ErrExists)
	if _, err := w.db.Once().Sweep(t.Context(), start.Add(2*time.Hour), 10); err != nil {
		t.Fatal(err)
	}
	put(w.db, start.Add(time.Minute), mark("four", time.Hour), "four", nil) // by a clock that was set back
}

func TestAMarkThatIsReplaced(t *testing.T) {
	w := newWorld(t)
	mark := func(value string) store.Mark {
		return store.Mark{Name: "a", Value: []byte(value), Expires: start.Add(time.Hour)}
	}
	_, err := w.db.Once().Put(t.Context(), start, mark("one"))
	w.must(err)
	_, err = w.db.Once().Replace(t.Context(), start, []byte("one"), mark("two"))
	w.must(err)
	got, err := w.db.Once().Put(t.Context(), start, mark("three"))
	if string(got.Value) != "two" || !errors.Is(err, store.ErrExists) {
		t.Errorf("got %q, %v, want what it was replaced with", got.Value, err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	const max = 10
	db := cached.NewSmall(openSQL(t), still, max)
	ids := usher.SystemIDs()
	for i := range 10 * max {
		r := usher.Room{App: usher.DefaultApp, ID: ids.New(), Name: fmt.Sprint("room", i), Kind: usher.Permanent, Status: usher.RoomReady, Version: 1}
		if err := db.Rooms().Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := db.Rooms().ByName(t.Context(), r.App, r.Name); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.Members().Of(t.Context(), r.Key(), []string{"user:i#a", "user:i#b"}); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Once().Put(t.Context(), start, store.Mark{Name: r.Name, Expires: start.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Clients().Get(t.Context(), ids.New()); err == nil {
			t.Fatal("there is a client that was never made")
		}
	}
	if got := db.Kept(); got != max {
		t.Errorf("%d values are kept, want %d", got, max)
	}
}
