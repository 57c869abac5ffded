package access_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/platform"
)

func kept(a *access.Access, id usher.Identity, ref string) error {
	_, err := a.Credential(context.Background(), id, ref, access.CredentialSpec{Platform: "sfu", Format: "kept"})
	return err
}

func TestARoomIsOpenBeforeAnybodyIsLetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, f := openStore(t), newSFU()
		a := node(t, db, f)
		named(t, a, "stand-up")
		if _, err := a.Credential(t.Context(), user("ann"), "stand-up", access.CredentialSpec{Platform: "sfu", Format: "other"}); err != nil {
			t.Fatal(err)
		}
		if f.times("open stand-up") != 0 {
			t.Error("it was opened for a format that does not need it")
		}
		// All who come at once, and within half a minute, need one call.
		var crowd sync.WaitGroup
		for i := range 50 {
			crowd.Go(func() {
				if err := kept(a, user(fmt.Sprint("user", i)), "stand-up"); err != nil {
					t.Error(err)
				}
			})
		}
		crowd.Wait()
		time.Sleep(29 * time.Second)
		if err := kept(a, user("ann"), "stand-up"); err != nil {
			t.Fatal(err)
		}
		if n := f.times("open stand-up"); n != 1 || !f.isOpen("stand-up") {
			t.Errorf("it was opened %d times; it is open: %v", n, f.isOpen("stand-up"))
		}
		// What the platform has lost is opened again.
		f.set(func(f *sfu) { clear(f.open) })
		time.Sleep(time.Second)
		if err := kept(a, user("ann"), "stand-up"); err != nil {
			t.Fatal(err)
		}
		if n := f.times("open stand-up"); n != 1 || !f.isOpen("stand-up") {
			t.Errorf("it was opened %d times more; it is open: %v", n, f.isOpen("stand-up"))
		}
	})
}

func TestNobodyIsLetIntoARoomThatCannotBeOpened(t *testing.T) {
	for name, tt := range map[string]struct {
		behave func(*sfu)
		want   string
	}{
		"unreachable": {func(f *sfu) { f.fail = errDown }, "sfu_unreachable"},
		"hanging":     {func(f *sfu) { f.hang = true }, "sfu_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newSFU()
				a := node(t, openStore(t), f)
				named(t, a, "stand-up")
				f.set(tt.behave)
				var crowd sync.WaitGroup
				for range 10 {
					crowd.Go(func() {
						if err := kept(a, user("ann"), "stand-up"); code(err) != tt.want || usher.AsError(err).Kind != usher.Upstream {
							t.Errorf("got %v", err)
						}
					})
				}
				crowd.Wait()
				// A failure is not remembered.
				f.set(func(f *sfu) { f.fail, f.hang = nil, false })
				if err := kept(a, user("ann"), "stand-up"); err != nil || !f.isOpen("stand-up") {
					t.Errorf("got %v; it is open: %v", err, f.isOpen("stand-up"))
				}
			})
		})
	}
}

// Who gives up waiting does not end the attempt for the others.
func TestWhoeverGivesUpDoesNotStopTheOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSFU()
		slow := &slowOpener{sfu: f, pass: make(chan struct{})}
		a := newAccess(t, openStore(t), &bus.Local{}, f.with, func(c *access.Config) { c.Platforms["sfu"] = slow })
		named(t, a, "stand-up")
		ctx, cancel := context.WithCancel(t.Context())
		var both sync.WaitGroup
		both.Go(func() {
			_, err := a.Credential(ctx, user("ann"), "stand-up", access.CredentialSpec{Platform: "sfu", Format: "kept"})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("who gave up got %v", err)
			}
		})
		synctest.Wait()
		both.Go(func() {
			if err := kept(a, user("ben"), "stand-up"); err != nil {
				t.Errorf("who waited got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(slow.pass)
		both.Wait()
		if n := f.times("open stand-up"); n != 1 {
			t.Errorf("it was opened %d times", n)
		}
	})
}

// slowOpener opens rooms when it is told to.
type slowOpener struct {
	*sfu
	pass chan struct{}
}

func (s *slowOpener) OpenRoom(ctx context.Context, room string) error {
	select {
	case <-s.pass:
		return s.sfu.OpenRoom(ctx, room)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A room that ends while it is being opened for somebody is closed again.
func TestARoomThatEndsMeanwhileIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSFU()
		slow := &slowOpener{sfu: f, pass: make(chan struct{})}
		a := newAccess(t, openStore(t), &bus.Local{}, f.with, func(c *access.Config) { c.Platforms["sfu"] = slow })
		run(t, a)
		r := named(t, a, "stand-up")
		var late sync.WaitGroup
		late.Go(func() { wantCode(t, "a credential", kept(a, user("ann"), "stand-up"), "room_ended") })
		time.Sleep(time.Second)
		if _, err := a.EndRoom(t.Context(), shop, string(r.ID), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // it was closed before it was open
		close(slow.pass)
		late.Wait()
		time.Sleep(2 * time.Second)
		if f.isOpen("stand-up") {
			t.Error("the room is open")
		}
	})
}

// endingIssuer is a platform that makes a credential while its room ends.
type endingIssuer struct {
	*sfu
	end func()
}

func (e endingIssuer) Issue(ctx context.Context, req platform.Request) (usher.Credential, error) {
	c, err := e.sfu.Issue(ctx, req)
	e.end()
	return c, err
}

// Nobody is let into a room that has ended while the credential was made.
func TestARoomThatEndsMeanwhileLetsNobodyIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, f := openStore(t), newSFU()
		late := &endingIssuer{sfu: f}
		a := newAccess(t, db, &bus.Local{}, f.with, func(c *access.Config) { c.Platforms["sfu"] = late })
		run(t, a)
		r := named(t, a, "stand-up")
		late.end = func() {
			if _, err := a.EndRoom(t.Context(), shop, string(r.ID), ""); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Second) // who was in it was looked for
		}
		_, err := a.Credential(t.Context(), user("ann"), string(r.ID), access.CredentialSpec{Platform: "sfu", Subject: "7"})
		wantCode(t, "a credential", err, "room_ended")
		time.Sleep(2 * time.Second)
		for _, s := range stays(t, db) {
			if s.Over.IsZero() {
				t.Errorf("%+v is not over", s)
			}
		}
	})
}

// Whoever was in a room is let into the next one of its name.
func TestNobodyIsPutOutOfTheHeirOfARoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newSFU()
		a := node(t, openStore(t), f)
		run(t, a)
		old, ann := named(t, a, "stand-up"), user("ann")
		f.let(t, a, ann, old, "7")
		if _, err := a.EndRoom(t.Context(), shop, string(old.ID), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if f.has("stand-up", "7") {
			t.Error("7 is in after the end")
		}
		heir := named(t, a, "stand-up")
		f.let(t, a, ann, heir, "7")
		time.Sleep(lifetime)
		if !f.has("stand-up", "7") {
			t.Error("7 was put out of the room that it was let into")
		}
		ban(t, a, heir, access.BanSpec{Identity: ann.Key()})
		time.Sleep(2 * time.Second)
		if f.has("stand-up", "7") {
			t.Error("7 is in after the ban")
		}
	})
}

// A room's name can be another room's by the time that the platform answers.
func TestARoomIsNotClosedUnderItsHeir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, f := filepath.Join(t.TempDir(), "usher.db"), newSFU()
		a := node(t, reopen(t, nil, path), f)
		run(t, a)
		old := named(t, a, "stand-up")
		f.let(t, a, user("ann"), old, "7")
		f.answers(errDown)
		if _, err := a.EndRoom(t.Context(), shop, string(old.ID), ""); err != nil {
			t.Fatal(err)
		}
		heir := named(t, a, "stand-up")
		time.Sleep(time.Minute)
		f.set(func(f *sfu) { f.fail = nil; f.asked = nil })
		f.let(t, a, user("ben"), heir, "8")
		time.Sleep(time.Minute)
		if !f.isOpen("stand-up") || f.times("close stand-up") != 0 || f.has("stand-up", "7") || !f.has("stand-up", "8") {
			t.Errorf("open: %v, 7 is in: %v, 8 is in: %v", f.isOpen("stand-up"), f.has("stand-up", "7"), f.has("stand-up", "8"))
		}
		if _, err := a.EndRoom(t.Context(), shop, string(heir.ID), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if f.isOpen("stand-up") || f.has("stand-up", "8") {
			t.Error("the heir is open when it has ended")
		}
	})
}

func TestOccupancyIsAskedWhereTheRoomIs(t *testing.T) {
	f := newSFU()
	a := node(t, openStore(t), f)
	r := named(t, a, "stand-up")
	if got, err := a.Occupancy(t.Context(), shop, "stand-up"); err != nil || len(got) != 0 {
		t.Errorf("before anybody was let in: %+v, %v", got, err)
	}
	f.let(t, a, user("ann"), r, "7")
	f.let(t, a, user("ben"), r, "8")
	got, err := a.Occupancy(t.Context(), shop, "stand-up")
	if err != nil || len(got) != 1 || got[0] != (access.Occupancy{Platform: "sfu", Count: 2}) {
		t.Errorf("got %+v, %v", got, err)
	}
	f.answers(errDown)
	got, err = a.Occupancy(t.Context(), shop, "stand-up")
	if err != nil || len(got) != 1 || !errors.Is(got[0].Err, errDown) {
		t.Errorf("unreachable: got %+v, %v", got, err)
	}
	if _, err := a.Occupancy(t.Context(), stranger, "stand-up"); code(err) != "room_not_found" {
		t.Errorf("a stranger: %v", err)
	}
}
