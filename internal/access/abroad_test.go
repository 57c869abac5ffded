package access_test

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/platform"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
)

// sfu is a small platform with rooms that must be opened, and people in them.
type sfu struct {
	mu   sync.Mutex
	open map[string]bool
	in   map[string]bool // room/subject
	// asked is every call in order, and fail what they fail with.
	asked []string
	fail  error
	hang  bool // nothing is answered
	takes time.Duration
	busy  map[string]bool
	race  bool // one was asked for while it was already asked for
}

func newSFU() *sfu {
	return &sfu{open: make(map[string]bool), in: make(map[string]bool), busy: make(map[string]bool)}
}

var (
	errDown        = &usher.Error{Kind: usher.Upstream, Code: "sfu_unreachable", Message: "The SFU could not be reached; try again."}
	errStillThere  = &usher.Error{Kind: usher.Unavailable, Code: "sfu_still_there", Message: "Not gone yet."}
	errCannot      = &usher.Error{Kind: usher.Upstream, Code: "sfu_cannot", Message: "It can't.", Err: errors.ErrUnsupported}
	errUnexplained = errors.New("something else")
)

// lifetime is how long a credential of the small platform is good for.
const lifetime = 5 * time.Minute

func (f *sfu) Issue(_ context.Context, req platform.Request) (usher.Credential, error) {
	expires := req.Now.Add(lifetime)
	if req.Grant.Expires.Before(expires) {
		expires = req.Grant.Expires
	}
	return usher.Credential{Token: "token", ExpiresAt: expires}, nil
}

// call notes a call and does it, unless calls fail.
func (f *sfu) call(ctx context.Context, what string, do func()) error {
	f.mu.Lock()
	f.asked = append(f.asked, what)
	f.race = f.race || f.busy[what]
	f.busy[what] = true
	hang, fail, takes := f.hang, f.fail, f.takes
	if fail == nil && !hang {
		do()
	}
	f.mu.Unlock()
	if takes > 0 {
		time.Sleep(takes)
	}
	if hang {
		<-ctx.Done()
		fail = &usher.Error{Kind: usher.Upstream, Code: "sfu_timeout", Message: "No answer.", Err: ctx.Err()}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy[what] = false
	return fail
}

func (f *sfu) Eject(ctx context.Context, room, subject string) error {
	return f.call(ctx, "eject "+room+"/"+subject, func() { delete(f.in, room+"/"+subject) })
}

func (f *sfu) CloseRoom(ctx context.Context, room string) error {
	return f.call(ctx, "close "+room, func() { delete(f.open, room) })
}

func (f *sfu) KeepsRoom(format string) bool { return format == "kept" }

func (f *sfu) OpenRoom(ctx context.Context, room string) error {
	return f.call(ctx, "open "+room, func() { f.open[room] = true })
}

func (f *sfu) Count(ctx context.Context, room string) (n int, err error) {
	err = f.call(ctx, "count "+room, func() {
		for who := range f.in {
			if match, _ := filepath.Match(room+"/*", who); match {
				n++
			}
		}
	})
	return n, err
}

// set changes how it behaves.
func (f *sfu) set(do func(*sfu)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(f)
}

func (f *sfu) answers(err error) { f.set(func(f *sfu) { f.fail = err }) }

// joins is somebody who comes in with a credential.
func (f *sfu) joins(room, subject string) { f.set(func(f *sfu) { f.in[room+"/"+subject] = true }) }

func (f *sfu) has(room, subject string) (in bool) {
	f.set(func(f *sfu) { in = f.in[room+"/"+subject] })
	return in
}

func (f *sfu) isOpen(room string) (open bool) {
	f.set(func(f *sfu) { open = f.open[room] })
	return open
}

// times returns how often something was asked for, and forgets it.
func (f *sfu) times(what string) (n int) {
	f.set(func(f *sfu) {
		all := len(f.asked)
		f.asked = slices.DeleteFunc(f.asked, func(asked string) bool { return asked == what })
		n = all - len(f.asked)
	})
	return n
}

// with has a node use the platform.
func (f *sfu) with(c *access.Config) {
	c.Platforms = map[string]platform.Platform{"sfu": f, "plain": plain{f}}
}

// plain issues credentials and can do nothing else.
type plain struct{ platform.Platform }

// named makes a permanent room.
func named(t *testing.T, a *access.Access, name string, edit ...func(*access.RoomSpec)) usher.Room {
	t.Helper()
	spec := access.RoomSpec{Name: name, Admission: usher.AdmitOpen}
	for _, f := range edit {
		f(&spec)
	}
	r, err := a.CreateRoom(t.Context(), shop, spec, "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func seats(n int) func(*access.RoomSpec) { return func(s *access.RoomSpec) { s.Seats = &n } }

// let gives somebody a credential by which they join.
func (f *sfu) let(t *testing.T, a *access.Access, id usher.Identity, r usher.Room, subject string) access.Issued {
	t.Helper()
	issued, err := a.Credential(t.Context(), id, string(r.ID), access.CredentialSpec{Platform: "sfu", Format: "kept", Subject: subject, Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	f.joins(cmp.Or(r.Name, string(r.ID)), subject)
	return issued
}

func stays(t *testing.T, db store.DB) []usher.Stay {
	t.Helper()
	all, err := db.Stays().List(t.Context(), store.StayQuery{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// events returns those of one type.
func events(t *testing.T, a *access.Access, what usher.EventType) []usher.Event {
	t.Helper()
	list, _, _, err := a.Events(t.Context(), operator, access.EventQuery{Type: what, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// reopen closes a store as a process does that ends, and opens it again.
func reopen(t *testing.T, db store.DB, path string) store.DB {
	t.Helper()
	if db != nil {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	again, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: path, Synchronous: sqlstore.Off})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	return again
}

// ways are all by which somebody has to go, done to ann, who is in the room r
// with the grant of that credential.
var ways = map[string]struct {
	do func(t *testing.T, a *access.Access, ann usher.Identity, r usher.Room, issued access.Issued)
	// all says that everybody else has to go as well.
	all  bool
	seat bool // the room counts seats
}{
	"a ban": {do: func(t *testing.T, a *access.Access, ann usher.Identity, r usher.Room, _ access.Issued) {
		ban(t, a, r, access.BanSpec{Identity: ann.Key()})
	}},
	"the removal of the place that holds the seat": {seat: true, do: func(t *testing.T, a *access.Access, ann usher.Identity, r usher.Room, _ access.Issued) {
		removePlaceOf(t, a, ann, r)
	}},
	"the removal of another place of the same person": {do: func(t *testing.T, a *access.Access, ann usher.Identity, r usher.Room, _ access.Issued) {
		entered(t, a, ann, r)
		removePlaceOf(t, a, ann, r)
	}},
	"a revoked grant": {do: func(t *testing.T, a *access.Access, _ usher.Identity, _ usher.Room, issued access.Issued) {
		revoke(t, a, access.Revocation{Target: usher.Target{Grant: issued.Grant}})
	}},
	"a revoked identity": {do: func(t *testing.T, a *access.Access, ann usher.Identity, _ usher.Room, _ access.Issued) {
		revoke(t, a, access.Revocation{Target: usher.Target{Identity: ann.Key()}})
	}},
	"a revoked room": {all: true, do: func(t *testing.T, a *access.Access, _ usher.Identity, r usher.Room, _ access.Issued) {
		revoke(t, a, access.Revocation{Target: usher.Target{Room: r.ID}})
	}},
	"the end of the room": {all: true, do: func(t *testing.T, a *access.Access, _ usher.Identity, r usher.Room, _ access.Issued) {
		if _, err := a.EndRoom(t.Context(), shop, string(r.ID), ""); err != nil {
			t.Fatal(err)
		}
	}},
	"the room's closing time": {all: true, do: func(t *testing.T, a *access.Access, _ usher.Identity, r usher.Room, _ access.Issued) {
		closes := time.Now().Add(time.Second)
		if _, err := a.ChangeRoom(t.Context(), shop, string(r.ID), access.RoomChange{ClosesAt: &closes}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
	}},
}

func removePlaceOf(t *testing.T, a *access.Access, id usher.Identity, r usher.Room) {
	t.Helper()
	ps, _, err := a.Participants(t.Context(), shop, string(r.ID), access.ParticipantFilter{}, access.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ps {
		if p.Identity == id.Key() {
			if _, err := a.RemoveParticipant(t.Context(), shop, string(r.ID), p.ID, "Go."); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%s has no place among %+v", id.Key(), ps)
}

func node(t *testing.T, db store.DB, f *sfu) *access.Access {
	t.Helper()
	return newAccess(t, db, &bus.Local{}, f.with)
}
