package access_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/keys"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
)

// patience bounds how long a test waits for what must happen.
const patience = 10 * time.Second

var (
	shop     = usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "shop", Scopes: usher.AllScopes}
	stranger = usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "stranger", Scopes: usher.AllScopes}
	operator = usher.Identity{App: usher.DefaultApp, Kind: usher.LocalIdentity, Subject: "operator", Operator: true}
)

func openStore(t testing.TB) store.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db"), Synchronous: sqlstore.Off})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// newAccess returns a node of its own on a store and a bus that others may share.
func newAccess(t testing.TB, db store.DB, b bus.Bus, edit ...func(*access.Config)) *access.Access {
	t.Helper()
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	config := access.Config{
		Store: db, Bus: b, Rooms: room.DefaultConfig(), Policy: policy.DefaultConfig(), Record: access.DefaultRecordConfig(),
		Logger: slog.New(slog.DiscardHandler),
		IDs:    usher.SystemIDs(), Now: time.Now, Derive: sealer.Derive, Metrics: prometheus.NewRegistry(),
	}
	for _, f := range edit {
		f(&config)
	}
	a := access.New(config)
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	return a
}

// connection records what its attachment tells it.
type connection struct {
	mu      sync.Mutex
	ends    []access.End
	roster  string
	changed chan struct{}
}

func newConnection() *connection { return &connection{changed: make(chan struct{}, 1)} }

func (c *connection) tell(set func()) {
	c.mu.Lock()
	set()
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *connection) Detached(end access.End) { c.tell(func() { c.ends = append(c.ends, end) }) }

func (c *connection) Roster(present []access.Present) {
	names := make([]string, len(present))
	for i, p := range present {
		names[i] = p.Name
		if p.Guest {
			names[i] += " (guest)"
		}
	}
	c.tell(func() { c.roster = strings.Join(names, " ") })
}

func (c *connection) state() (ends []access.End, roster string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]access.End(nil), c.ends...), c.roster
}

// wait waits until what the connection was told is as it should be.
func (c *connection) wait(t *testing.T, what string, done func(ends []access.End, roster string) bool) {
	t.Helper()
	late := time.After(patience)
	for {
		ends, roster := c.state()
		if done(ends, roster) {
			return
		}
		select {
		case <-c.changed:
		case <-late:
			t.Fatalf("waited in vain for %s; ends %v, roster %q", what, ends, roster)
		}
	}
}

func (c *connection) waitRoster(t *testing.T, want string) {
	t.Helper()
	c.wait(t, "the roster "+want, func(_ []access.End, roster string) bool { return roster == want })
}

func (c *connection) waitEnd(t *testing.T, want access.EndReason) {
	t.Helper()
	c.wait(t, "the end "+string(want), func(ends []access.End, _ string) bool { return len(ends) > 0 && ends[0].Why == want })
}

// claimed makes a participant and claims its place.
func claimed(t *testing.T, a *access.Access, r usher.Room, name string) access.Claimed {
	t.Helper()
	p, err := a.AddParticipant(t.Context(), shop, string(r.ID), access.Place{Name: name}, "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Claim(t.Context(), p.Participant.Key(), p.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func attach(t *testing.T, a *access.Access, c access.Claimed) (*access.Attachment, *connection) {
	t.Helper()
	conn := newConnection()
	at, err := a.Attach(t.Context(), c.Participant.Key(), c.Token, conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(at.Lose)
	return at, conn
}

func newRoom(t *testing.T, a *access.Access) usher.Room {
	t.Helper()
	r, err := a.CreateRoom(t.Context(), shop, access.RoomSpec{}, "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return usher.AsError(err).Code
}

func TestTheRosterHasThoseWhoAreConnected(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	r := newRoom(t, a)
	ann, ben := claimed(t, a, r, "Ann"), claimed(t, a, r, "Ben")
	claimed(t, a, r, "Cid") // who never connects
	_, first := attach(t, a, ann)
	first.waitRoster(t, "Ann")
	leaving, second := attach(t, a, ben)
	first.waitRoster(t, "Ann Ben")
	second.waitRoster(t, "Ann Ben")
	leaving.Leave()
	first.waitRoster(t, "Ann")

	dan := claimed(t, a, r, "Dan")
	breaking, _ := attach(t, a, dan)
	first.waitRoster(t, "Ann Dan")
	breaking.Lose() // its place is kept, and so is its name
	claimed(t, a, r, "Eve")
	eve := claimed(t, a, r, "Eva")
	attach(t, a, eve)
	first.waitRoster(t, "Ann Dan Eva")
}

func TestALargeRoomIsToldLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccess(t, openStore(t), &bus.Local{})
		r := newRoom(t, a)
		_, host := attach(t, a, claimed(t, a, r, "Host"))
		const others = 99
		var all []*access.Attachment
		for n := range others {
			at, _ := attach(t, a, claimed(t, a, r, fmt.Sprint("p", n)))
			all = append(all, at)
		}
		here := func(d time.Duration) int {
			<-time.After(d)
			synctest.Wait()
			_, roster := host.state()
			return len(strings.Fields(roster)) - 1
		}
		if got := here(10 * time.Second); got != others {
			t.Fatalf("the host knows of %d, want %d", got, others)
		}
		all[0].LeaveNow()
		if got := here(time.Millisecond); got != others-1 {
			t.Errorf("when one has left the host knows of %d", got)
		}
		all[1].LeaveNow()
		if got := here(200 * time.Millisecond); got != others-1 {
			t.Errorf("soon after that the host is told again, of %d", got)
		}
		if got := here(time.Second); got != others-2 {
			t.Errorf("in the end the host knows of %d", got)
		}
	})
}

func TestWhoIsRemovedIsOut(t *testing.T) {
	db, b := openStore(t), &bus.Local{}
	here, there := newAccess(t, db, b), newAccess(t, db, b)
	r := newRoom(t, here)
	ann, ben := claimed(t, here, r, "Ann"), claimed(t, here, r, "Ben")
	_, first := attach(t, here, ann)
	_, second := attach(t, there, ben)
	first.waitRoster(t, "Ann Ben")
	if _, err := here.RemoveParticipant(t.Context(), shop, string(r.ID), ann.Participant.ID, "Go."); err != nil {
		t.Fatal(err)
	}
	// On the same node the connection is told before the caller is answered.
	if ends, _ := first.state(); len(ends) == 0 || ends[0] != (access.End{Why: access.Removed, Message: "Go."}) {
		t.Errorf("got ends %v, want removed", ends)
	}
	second.waitRoster(t, "Ben")
	if _, err := here.RemoveParticipant(t.Context(), shop, string(r.ID), ben.Participant.ID, ""); err != nil {
		t.Fatal(err)
	}
	second.waitEnd(t, access.Removed) // on another node
	if _, err := here.Attach(t.Context(), ann.Participant.Key(), ann.Token, newConnection()); code(err) != "token_invalid" {
		t.Errorf("a removed participant attached: %v", err)
	}
}

func TestAnEndedRoomIsEmpty(t *testing.T) {
	db, b := openStore(t), &bus.Local{}
	here, there := newAccess(t, db, b), newAccess(t, db, b)
	r := newRoom(t, here)
	_, first := attach(t, here, claimed(t, here, r, "Ann"))
	_, second := attach(t, there, claimed(t, here, r, "Ben"))
	if _, err := here.EndRoom(t.Context(), shop, string(r.ID), "Over."); err != nil {
		t.Fatal(err)
	}
	first.waitEnd(t, access.RoomEnded)
	second.waitEnd(t, access.RoomEnded)
}

func TestTheNewestConnectionIsTheOne(t *testing.T) {
	db, b := openStore(t), &bus.Local{}
	here, there := newAccess(t, db, b), newAccess(t, db, b)
	r := newRoom(t, here)
	ann := claimed(t, here, r, "Ann")
	old, first := attach(t, here, ann)
	_, second := attach(t, there, ann)
	first.waitEnd(t, access.Replaced)
	old.Leave() // has no say any more
	old.Leave()
	second.waitRoster(t, "Ann")
	_ = here.Close(context.Background())
	e, err := here.Participant(t.Context(), shop, string(r.ID), ann.Participant.ID)
	if err != nil || e.Participant.Hold != usher.SocketHold {
		t.Errorf("got %+v, %v, want the place held by the second connection", e.Participant, err)
	}
	if ends, _ := second.state(); len(ends) != 0 {
		t.Errorf("the newest connection was told %v", ends)
	}
}

// Whichever comes first, whoever is removed ends detached or is refused.
func TestRemovalRacesWithAttaching(t *testing.T) {
	db, b := openStore(t), &bus.Local{}
	here, there := newAccess(t, db, b), newAccess(t, db, b)
	r := newRoom(t, here)
	const races = 60
	in := 0
	for i := range races {
		ann := claimed(t, here, r, "Ann")
		conn := newConnection()
		node := here
		if i%2 == 1 {
			node = there
		}
		var race sync.WaitGroup
		var at *access.Attachment
		var attachErr, removeErr error
		race.Go(func() { at, attachErr = node.Attach(context.Background(), ann.Participant.Key(), ann.Token, conn) })
		race.Go(func() {
			_, removeErr = here.RemoveParticipant(context.Background(), operator, string(r.ID), ann.Participant.ID, "")
		})
		race.Wait()
		if removeErr != nil {
			t.Fatal(removeErr)
		}
		if attachErr != nil {
			if code(attachErr) != "token_invalid" {
				t.Errorf("attach: %v", attachErr)
			}
			continue
		}
		conn.waitEnd(t, access.Removed)
		at.Lose()
		in++
	}
	t.Logf("figure: %d races of a removal with a connection: %d were in and put out, %d were not let in", races, in, races-in)
	_ = here.Close(context.Background())
	_ = there.Close(context.Background())
	if got, err := here.Room(t.Context(), shop, string(r.ID)); err != nil || got.Taken != 0 {
		t.Errorf("got %d seats taken, %v, want 0", got.Taken, err)
	}
}

func TestOnlyOwnersAndOperatorsHaveASay(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	r := newRoom(t, a)
	p := claimed(t, a, r, "Ann").Participant
	ref := string(r.ID)
	for name, call := range map[string]func(usher.Identity) error{
		"Room": func(id usher.Identity) error { _, err := a.Room(t.Context(), id, ref); return err },
		"ChangeRoom": func(id usher.Identity) error {
			_, err := a.ChangeRoom(t.Context(), id, ref, access.RoomChange{})
			return err
		},
		"EndRoom":     func(id usher.Identity) error { _, err := a.EndRoom(t.Context(), id, ref, ""); return err },
		"Participant": func(id usher.Identity) error { _, err := a.Participant(t.Context(), id, ref, p.ID); return err },
		"Participants": func(id usher.Identity) error {
			_, _, err := a.Participants(t.Context(), id, ref, access.ParticipantFilter{}, access.Page{Limit: 1})
			return err
		},
		"AddParticipant": func(id usher.Identity) error {
			_, err := a.AddParticipant(t.Context(), id, ref, access.Place{}, "")
			return err
		},
		"RemoveParticipant": func(id usher.Identity) error {
			_, err := a.RemoveParticipant(t.Context(), id, ref, p.ID, "")
			return err
		},
		"RenewSecret": func(id usher.Identity) error { _, err := a.RenewSecret(t.Context(), id, ref, p.ID); return err },
	} {
		if got := code(call(stranger)); got != "room_not_found" {
			t.Errorf("%s by a stranger: got %q, want room_not_found", name, got)
		}
		if got := code(call(usher.Identity{App: usher.DefaultApp})); got != "credentials_required" {
			t.Errorf("%s by nobody: got %q, want credentials_required", name, got)
		}
	}
	if got, err := a.Room(t.Context(), operator, ref); err != nil || got.Status != usher.RoomRunning {
		t.Errorf("the room is %+v, %v", got, err)
	}
}

func TestStartTakesOverWhatAnEarlierRunLeft(t *testing.T) {
	db := openStore(t)
	first := newAccess(t, db, &bus.Local{})
	r := newRoom(t, first)
	ann := claimed(t, first, r, "Ann")
	attach(t, first, ann) // and the process dies with it

	second := newAccess(t, db, &bus.Local{})
	if err := second.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	e, err := second.Participant(t.Context(), shop, string(r.ID), ann.Participant.ID)
	if err != nil || e.Participant.Hold != usher.GraceHold {
		t.Errorf("got %+v, %v, want the place kept for the grace", e.Participant, err)
	}
	attach(t, second, ann)
}

func TestLimitsOfReasonsAndKeys(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	r := newRoom(t, a)
	_, err := a.EndRoom(t.Context(), shop, string(r.ID), strings.Repeat("x", 124))
	if code(err) != "reason_invalid" {
		t.Errorf("a reason of 124 bytes: got %v", err)
	}
	_, err = a.CreateRoom(t.Context(), shop, access.RoomSpec{}, strings.Repeat("k", 256))
	if code(err) != "idempotency_key_invalid" {
		t.Errorf("a key of 256 bytes: got %v", err)
	}
	if _, err := a.Issue(t.Context(), shop, "none", "x"); code(err) != "platform_not_configured" {
		t.Errorf("a platform that is not there: got %v", err)
	}
	if _, err := a.OpenRoom(t.Context(), shop, "none"); !errors.Is(err, usher.Errorf(usher.NotFound, "platform_not_configured", "")) {
		t.Errorf("a platform that is not there: got %v", err)
	}
}
