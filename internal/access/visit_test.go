package access_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/store"
)

var (
	reads  = usher.Permissions{usher.Join, usher.Subscribe}
	writes = usher.Permissions{usher.Join, usher.Subscribe, usher.PublishData}
)

// opened makes a session of one of the shop's users, for a room that comes into
// being with it.
func opened(t *testing.T, a *access.Access, who, room string) access.OpenedSession {
	t.Helper()
	s, err := a.OpenSession(t.Context(), shop, access.SessionSpec{
		User: who, Lifetime: time.Minute, Rooms: []access.SessionRoom{{Ref: room, Permissions: writes}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// visit begins a visit, which ends with the test.
func visit(t *testing.T, a *access.Access, s access.OpenedSession) (*access.Visit, *connection) {
	t.Helper()
	conn := newConnection()
	v, err := a.Visit(t.Context(), s.Token, s.Rooms[0].ID, conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.End)
	return v, conn
}

func wantRefused(t *testing.T, a *access.Access, s access.OpenedSession, want string) {
	t.Helper()
	_, err := a.Visit(t.Context(), s.Token, s.Rooms[0].ID, newConnection())
	wantCode(t, "a visit", err, want)
}

func TestAVisitIsWhatItsSessionSays(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	s := opened(t, a, "ann", "r")
	v, _ := visit(t, a, s)
	again, _ := visit(t, a, s) // another tab
	if v.User() != "ann" || v.Room() != s.Rooms[0].Key() || !v.Permissions().Has(usher.PublishData) || again.User() != "ann" {
		t.Errorf("the visit is of %q in %v with %v", v.User(), v.Room(), v.Permissions())
	}
	_, err := a.Visit(t.Context(), s.Token, opened(t, a, "ann", "other").Rooms[0].ID, newConnection())
	wantCode(t, "another room", err, "session_elsewhere")
	_, err = a.Visit(t.Context(), "tok_none", s.Rooms[0].ID, newConnection())
	wantCode(t, "another token", err, "session_invalid")
}

// What is taken ends the visit, also on a node that hears nothing of it, and the
// session opens nothing after a restart.
func TestWhatIsTakenEndsVisitsEverywhere(t *testing.T) {
	for name, tt := range map[string]struct {
		take  func(context.Context, *access.Access, access.OpenedSession) error
		why   access.EndReason
		after string // what the next visit is refused with
	}{
		"a token": {func(ctx context.Context, a *access.Access, s access.OpenedSession) error {
			return a.RevokeSessions(ctx, shop, access.SessionTarget{Token: s.Token}, "")
		}, access.Revoked, "session_revoked"},
		"an identity": {func(ctx context.Context, a *access.Access, s access.OpenedSession) error {
			_, err := a.Revoke(ctx, operator, access.Revocation{Target: usher.Target{Identity: s.Who.Key()}})
			return err
		}, access.Revoked, "session_revoked"},
		"a room": {func(ctx context.Context, a *access.Access, s access.OpenedSession) error {
			_, err := a.Revoke(ctx, operator, access.Revocation{Target: usher.Target{Room: s.Rooms[0].ID}})
			return err
		}, access.Revoked, "session_revoked"},
		"a grant": {func(ctx context.Context, a *access.Access, s access.OpenedSession) error {
			_, err := a.Revoke(ctx, operator, access.Revocation{Target: usher.Target{Grant: s.Passes[0].Grant}})
			return err
		}, access.Revoked, "session_revoked"},
		"the right to enter, by a ban": {func(ctx context.Context, a *access.Access, s access.OpenedSession) error {
			_, err := a.Ban(ctx, shop, "r", access.BanSpec{Identity: s.Who.Key()})
			return err
		}, access.Revoked, "session_revoked"},
		"a place": {func(ctx context.Context, a *access.Access, s access.OpenedSession) error {
			p, err := a.AddParticipant(ctx, shop, "r", access.Place{For: s.Who.Key()}, "")
			if err != nil {
				return err
			}
			_, err = a.RemoveParticipant(ctx, shop, "r", p.Participant.ID, "")
			return err
		}, access.Revoked, "session_revoked"},
		"a right": {func(ctx context.Context, a *access.Access, s access.OpenedSession) error {
			return a.RestrictSessions(ctx, shop, access.SessionTarget{User: "ann", Room: "r"}, reads)
		}, access.Changed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			db := openStore(t)
			here, there := newAccess(t, db, &bus.Local{}), newAccess(t, db, &bus.Local{})
			if err := there.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { there.Run(ctx) })
			defer running.Wait()
			defer stop()
			s, bystander := opened(t, here, "ann", "r"), opened(t, here, "bob", "r")
			_, conn := visit(t, here, s)
			_, remote := visit(t, there, s)
			_, other := visit(t, here, bystander)

			if err := tt.take(t.Context(), here, s); err != nil {
				t.Fatal(err)
			}
			// The caller was answered, and so it must hold.
			if ends, _ := conn.state(); len(ends) != 1 || ends[0].Why != tt.why {
				t.Errorf("the connection was told %v", ends)
			}
			remote.waitEnd(t, tt.why)
			if ends, _ := other.state(); len(ends) != 0 && name != "a room" {
				t.Errorf("a bystander was told %v", ends)
			}

			restarted := newAccess(t, db, &bus.Local{})
			if err := restarted.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, a := range []*access.Access{here, there, restarted} {
				if tt.after != "" {
					wantRefused(t, a, s, tt.after)
					continue
				}
				if v, _ := visit(t, a, s); v.Permissions().Has(usher.PublishData) {
					t.Errorf("whoever comes back may still do %v", v.Permissions())
				}
			}
		})
	}
}

// staging is a store in which something happens after a session or a room was
// read and before whoever read it knows.
type staging struct {
	store.DB
	after int // so many reads, from when do is set
	do    func()
}

func (d *staging) Sessions() store.Sessions { return stagedSessions{d.DB.Sessions(), d} }
func (d *staging) Rooms() store.Rooms       { return stagedRooms{d.DB.Rooms(), d} }

func (d *staging) read() {
	if d.do == nil {
		return
	}
	if d.after--; d.after == 0 {
		do := d.do
		d.do = nil
		do()
	}
}

type stagedSessions struct {
	store.Sessions
	stage *staging
}

func (s stagedSessions) Get(ctx context.Context, token usher.Digest) (usher.Session, error) {
	defer s.stage.read()
	return s.Sessions.Get(ctx, token)
}

type stagedRooms struct {
	store.Rooms
	stage *staging
}

func (s stagedRooms) Get(ctx context.Context, key usher.RoomKey) (usher.Room, error) {
	defer s.stage.read()
	return s.Rooms.Get(ctx, key)
}

func TestWhatIsTakenWhileAVisitBeginsIsNotMissed(t *testing.T) {
	for name, take := range map[string]func(*access.Access, access.OpenedSession) error{
		"revoked": func(a *access.Access, s access.OpenedSession) error {
			return a.RevokeSessions(context.Background(), shop, access.SessionTarget{User: "ann"}, "")
		},
		"restricted": func(a *access.Access, s access.OpenedSession) error {
			return a.RestrictSessions(context.Background(), shop, access.SessionTarget{User: "ann", Room: "r"}, reads)
		},
		"ended": func(a *access.Access, s access.OpenedSession) error {
			_, err := a.EndRoom(context.Background(), shop, "r", "over")
			return err
		},
	} {
		for read := 1; read <= 4; read++ {
			t.Run(fmt.Sprint(name, " after read ", read), func(t *testing.T) {
				db := &staging{DB: openStore(t)}
				a := newAccess(t, db, &bus.Local{})
				s := opened(t, a, "ann", "r")
				db.after, db.do = read, func() {
					if err := take(a, s); err != nil {
						t.Error(err)
					}
				}
				conn := newConnection()
				v, err := a.Visit(t.Context(), s.Token, s.Rooms[0].ID, conn)
				if db.do != nil {
					t.Fatalf("there were fewer than %d reads", read)
				}
				if err != nil {
					return
				}
				defer v.End()
				if ends, _ := conn.state(); len(ends) == 0 && v.Permissions().Has(usher.PublishData) {
					t.Error("the visit goes on as if nothing had been taken")
				}
			})
		}
	}
}

func TestAVisitEndsWithItsSessionUnlessThatIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccess(t, openStore(t), &bus.Local{})
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.Run(ctx) }()
		defer func() { stop(); <-done }()
		expiring, renewed := opened(t, a, "ann", "r"), opened(t, a, "bob", "r")
		_, conn := visit(t, a, expiring)
		_, other := visit(t, a, renewed)
		time.Sleep(50 * time.Second)
		if _, err := a.RenewSession(t.Context(), renewed.Token, time.Minute); err != nil {
			t.Fatal(err)
		}
		if ends, _ := conn.state(); len(ends) != 0 {
			t.Errorf("before its time it was told %v", ends)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if ends, _ := conn.state(); len(ends) != 1 || ends[0].Why != access.Revoked {
			t.Errorf("after its time it was told %v", ends)
		}
		if ends, _ := other.state(); len(ends) != 0 {
			t.Errorf("who was renewed was told %v", ends)
		}
		wantRefused(t, a, expiring, "session_expired")
	})
}

// Nothing of a visit is written but that it began and ended: while that can't be,
// who comes and goes must not fill the memory with it.
func TestWhereTheDiskIsFullVisitsDoNotFillTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &failing{DB: openStore(t)}
		a := newAccess(t, db, &bus.Local{})
		run(t, a)
		s := opened(t, a, "ann", "r")
		time.Sleep(time.Second)
		db.set(store.ErrNoRoom)
		for range 20_000 - 10 { // what else is not written yet
			try(t, a, "somebody")
		}
		time.Sleep(time.Second) // it is found out that nothing can be written
		come := 0
		for ; come < 20; come++ {
			v, err := a.Visit(t.Context(), s.Token, s.Rooms[0].ID, newConnection())
			if err != nil {
				wantCode(t, "a visit", err, "storage_full")
				break
			}
			v.End()
		}
		if come != 5 {
			t.Errorf("%d came and went, each of whom is written down twice, want 5", come)
		}
		db.set(nil)
		time.Sleep(5 * time.Second)
		visit(t, a, s)
	})
}
