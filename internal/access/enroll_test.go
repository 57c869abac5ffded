package access_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/platform"
	"usher/internal/store"
)

// hotel is a small platform that has rooms and guests of its own, and never
// sends anybody away by itself.
type hotel struct {
	mu sync.Mutex
	// rooms are those that are not over, and guests what each one's status is.
	rooms  map[string]bool
	guests map[string]string
	opened int
	fail   error
	// entering is called in the middle of enrolling somebody new.
	entering func()
}

func newHotel() *hotel { return &hotel{rooms: map[string]bool{}, guests: map[string]string{}} }

func (h *hotel) Issue(context.Context, platform.Request) (usher.Credential, error) {
	return usher.Credential{}, errors.New("nobody is let in without a name")
}

func (h *hotel) Open(context.Context) (platform.Opened, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return platform.Opened{}, h.fail
	}
	h.opened++
	name := fmt.Sprint("room ", h.opened)
	h.rooms[name] = true
	return platform.Opened{Room: name}, nil
}

func (h *hotel) Enroll(_ context.Context, room, earlier string, req platform.Request) (platform.Enrolled, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return platform.Enrolled{}, h.fail
	}
	if !h.rooms[room] {
		return platform.Enrolled{}, usher.Errorf(usher.Gone, "meeting_ended", "It is over.")
	}
	subject := earlier
	if status := h.guests[earlier]; !strings.HasPrefix(earlier, room+"/") || status != "ready" && status != "in" {
		if h.entering != nil {
			h.mu.Unlock()
			h.entering()
			h.mu.Lock()
		}
		subject = fmt.Sprint(room, "/", len(h.guests))
		h.guests[subject] = "ready"
	}
	token := usher.Secret(fmt.Sprint("key of ", subject, " from ", req.Now.UnixNano()))
	if h.guests[subject] == "in" {
		token = ""
	}
	return platform.Enrolled{Credential: usher.Credential{Token: token, ExpiresAt: req.Grant.Expires}, Subject: subject}, nil
}

func (h *hotel) Eject(_ context.Context, _, subject string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return h.fail
	}
	h.guests[subject] = "removed"
	return nil
}

// status changes and returns what a guest is; "" changes nothing.
func (h *hotel) status(subject, to string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if to != "" {
		h.guests[subject] = to
	}
	return h.guests[subject]
}

// here counts the guests that can be in, or are.
func (h *hotel) here() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, status := range h.guests {
		if status == "ready" || status == "in" {
			n++
		}
	}
	return n
}

func (h *hotel) breaks(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail = err
}

// checkIn asks for a credential, and returns by what name the platform knows its bearer.
func (h *hotel) checkIn(t *testing.T, a *access.Access, db store.DB, id usher.Identity, r usher.Room, lasts time.Duration) (string, access.Issued) {
	t.Helper()
	issued, err := a.Credential(t.Context(), id, string(r.ID), access.CredentialSpec{Platform: "hotel", Lifetime: lasts})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stays(t, db) {
		if s.Grant == issued.Grant {
			return s.Subject, issued
		}
	}
	t.Fatalf("nobody is written down for the grant %s", issued.Grant)
	return "", issued
}

func openHotel(t *testing.T) (*hotel, *access.Access, store.DB) {
	t.Helper()
	h, db := newHotel(), openStore(t)
	a := newAccess(t, db, &bus.Local{}, func(c *access.Config) { c.Platforms = map[string]platform.Platform{"hotel": h} })
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h, a, db
}

func TestARoomIsOpenedOnceForAllWhoEnrollInIt(t *testing.T) {
	h, a, db := openHotel(t)
	r, other := named(t, a, "hall"), named(t, a, "other")
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			if _, err := a.Credential(t.Context(), user(fmt.Sprint("user-", i)), string(r.ID), access.CredentialSpec{Platform: "hotel"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if h.opened != 1 || h.here() != 12 {
		t.Errorf("%d rooms were opened for %d", h.opened, h.here())
	}
	subject, _ := h.checkIn(t, a, db, user("ann"), r, 0)
	elsewhere, _ := h.checkIn(t, a, db, user("ann"), other, 0)
	if !strings.HasPrefix(subject, "room 1/") || !strings.HasPrefix(elsewhere, "room 2/") {
		t.Errorf("ann is %s, and %s in the other room", subject, elsewhere)
	}
	// Another process finds it.
	next := newAccess(t, db, &bus.Local{}, func(c *access.Config) { c.Platforms = map[string]platform.Platform{"hotel": h} })
	if again, _ := h.checkIn(t, next, db, user("ann"), r, 0); again != subject || h.opened != 2 {
		t.Errorf("after a restart ann is %s, and was %s", again, subject)
	}
	// One that is over is replaced.
	h.mu.Lock()
	delete(h.rooms, "room 1")
	h.mu.Unlock()
	if again, _ := h.checkIn(t, next, db, user("ann"), r, 0); !strings.HasPrefix(again, "room 3/") {
		t.Errorf("in a room that is over, ann is %s", again)
	}
	if again, _ := h.checkIn(t, a, db, user("ben"), r, 0); !strings.HasPrefix(again, "room 3/") {
		t.Errorf("on the other node, ben is %s", again)
	}
}

func TestWhoIsEnrolledGoesWhenTheGrantEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, a, db := openHotel(t)
		run(t, a)
		r := named(t, a, "hall", seats(2))
		ann, _ := h.checkIn(t, a, db, user("ann"), r, 6*time.Minute)
		h.status(ann, "in")
		ben, _ := h.checkIn(t, a, db, user("ben"), r, 20*time.Minute)
		wantSeats(t, a, r, 2)

		// Renewed in time, it is the same one, who stays.
		time.Sleep(5 * time.Minute)
		again, issued := h.checkIn(t, a, db, user("ann"), r, 6*time.Minute)
		if again != ann || issued.Token != "" || issued.ExpiresIn != 6*time.Minute || issued.RefreshIn <= 0 {
			t.Errorf("renewed by who is in: %s, with %d bytes of a token, for %v", again, len(issued.Token.Reveal()), issued.ExpiresIn)
		}
		wantSeats(t, a, r, 2)
		time.Sleep(5 * time.Minute)
		if h.status(ann, "") != "in" {
			t.Error("ann was put out though she renewed")
		}
		if pending, err := a.Ejections(t.Context(), operator); err != nil || len(pending) > 0 {
			t.Errorf("while all is well, pending is %v, %v", pending, err)
		}
		// The platform is out of order when the time comes, and is asked until it does.
		h.breaks(errDown)
		time.Sleep(2 * time.Minute)
		if pending, err := a.Ejections(t.Context(), operator); err != nil || len(pending) != 1 {
			t.Errorf("pending is %v, %v", pending, err)
		}
		h.breaks(nil)
		time.Sleep(time.Minute)
		if h.status(ann, "") != "removed" || h.status(ben, "") != "ready" {
			t.Errorf("ann is %s, ben %s", h.status(ann, ""), h.status(ben, ""))
		}
		wantSeats(t, a, r, 1)
		if got := events(t, a, usher.Ejected); len(got) != 1 || !strings.Contains(got[0].Reason, "time") {
			t.Errorf("the record says %+v", got)
		}
		// Whoever was put out by the clock may come again, as somebody else.
		if back, _ := h.checkIn(t, a, db, user("ann"), r, 6*time.Minute); back == ann {
			t.Error("back as who was put out")
		}
		time.Sleep(20 * time.Minute)
		if n := h.here(); n != 0 {
			t.Errorf("when all is over %d are there", n)
		}
		for _, s := range stays(t, db) {
			if !s.Due.IsZero() || !s.Over.IsZero() {
				t.Errorf("what is left: %+v", s)
			}
		}
	})
}

func TestWhatIsTakenFromWhoIsEnrolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, a, db := openHotel(t)
		run(t, a)
		r := named(t, a, "hall")
		ann, _ := h.checkIn(t, a, db, user("ann"), r, time.Hour)
		ben, _ := h.checkIn(t, a, db, user("ben"), r, time.Hour)
		time.Sleep(time.Second)
		ban(t, a, r, access.BanSpec{Identity: user("ann").Key()})
		time.Sleep(3 * time.Second)
		if h.status(ann, "") != "removed" || h.status(ben, "") != "ready" {
			t.Errorf("after a ban ann is %s, ben %s", h.status(ann, ""), h.status(ben, ""))
		}
		_, err := a.Credential(t.Context(), user("ann"), string(r.ID), access.CredentialSpec{Platform: "hotel"})
		wantCode(t, "who is banned", err, "banned")
		if _, err := a.EndRoom(t.Context(), shop, string(r.ID), "Over."); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if h.here() != 0 {
			t.Errorf("in a room that has ended %d are there", h.here())
		}
		_, err = a.Credential(t.Context(), user("ben"), string(r.ID), access.CredentialSpec{Platform: "hotel"})
		wantCode(t, "a room that has ended", err, "room_ended")
	})
}

func TestOfTwoWhoEnrollAtOnceForOnePersonOneGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, a, db := openHotel(t)
		run(t, a)
		r := named(t, a, "hall")
		h.checkIn(t, a, db, user("cid"), r, time.Hour) // who has the room opened
		first := true
		h.entering = func() {
			if first {
				first = false
				h.checkIn(t, a, db, user("ann"), r, time.Hour)
			}
		}
		_, err := a.Credential(t.Context(), user("ann"), string(r.ID), access.CredentialSpec{Platform: "hotel"})
		wantCode(t, "who came second", err, "credential_busy")
		time.Sleep(5 * time.Second)
		if n := h.here(); n != 2 {
			t.Errorf("%d are there, want ann and cid", n)
		}
		h.checkIn(t, a, db, user("ann"), r, time.Hour)
		if n := h.here(); n != 2 {
			t.Errorf("once asked again %d are there, want ann and cid", n)
		}
	})
}

func TestAPlatformThatFailsEnrollsNobody(t *testing.T) {
	h, a, db := openHotel(t)
	r := named(t, a, "hall")
	for _, fail := range []error{errDown, usher.Errorf(usher.Gone, "meeting_ended", "Always over."), errUnexplained} {
		h.breaks(fail)
		_, err := a.Credential(t.Context(), user("ann"), string(r.ID), access.CredentialSpec{Platform: "hotel"})
		if !errors.Is(err, fail) {
			t.Errorf("got %v, want %v", err, fail)
		}
	}
	if left := stays(t, db); len(left) > 0 {
		t.Errorf("written down is %+v", left)
	}
	h.breaks(nil)
	_, err := a.Credential(t.Context(), user("ann"), string(r.ID), access.CredentialSpec{Platform: "hotel", Format: "x"})
	wantCode(t, "a format", err, "format_unknown")
}
