package access_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/limit"
)

// person is a user with a verified address.
func person(name string) usher.Identity {
	id := user(name)
	id.Email, id.Name, id.IssuedAt = name+"@example.org", name, time.Now()
	return id
}

// seen enters people as users.
func seen(t *testing.T, a *access.Access, people ...usher.Identity) {
	t.Helper()
	for _, id := range people {
		if _, err := a.User(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
}

func list(t *testing.T, a *access.Access, owner, other usher.Identity) access.Contact {
	t.Helper()
	c, _, err := a.AddContact(t.Context(), owner, access.ContactSpec{Email: other.Email})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// there is a presence of those who are named, that notes of whom it was asked.
type there struct {
	keys  []string
	mu    sync.Mutex
	asked []string
}

func (p *there) Online(_ context.Context, _ string, keys []string) (map[string]bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, keys...)
	online := make(map[string]bool)
	for _, key := range p.keys {
		online[key] = true // also of those who are not asked for
	}
	return online, nil
}

func TestOnlineIsToldAmongThoseWhoListEachOther(t *testing.T) {
	ann, bob, carl := person("ann"), person("bob"), person("carl")
	presence := &there{keys: []string{ann.Key(), bob.Key(), carl.Key()}}
	a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) { c.Presence = presence })
	seen(t, a, ann, bob, carl)
	if c := list(t, a, ann, bob); c.Online {
		t.Error("who does not list the caller is told to be online")
	}
	list(t, a, ann, carl)
	if len(presence.asked) > 0 {
		t.Errorf("asked whether %q are there, of whom nobody may know", presence.asked)
	}
	if c := list(t, a, bob, ann); !c.Online {
		t.Error("who lists the caller is not told to be online")
	}
	online := func(id usher.Identity) string {
		contacts, err := a.Contacts(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range contacts {
			if c.Online {
				names = append(names, c.Name)
			}
		}
		return strings.Join(names, " ")
	}
	for _, tt := range []struct {
		id   usher.Identity
		want string
	}{{ann, "bob"}, {bob, "ann"}, {carl, ""}} {
		if got := online(tt.id); got != tt.want {
			t.Errorf("to %s: %q are online, want %q", tt.id.Name, got, tt.want)
		}
	}
	if slices.Contains(presence.asked, carl.Key()) {
		t.Error("asked whether somebody is there of whom nobody may know")
	}
	if err := a.RemoveContact(t.Context(), bob, ann.Key()); err != nil {
		t.Fatal(err)
	}
	if got := online(ann); got != "" {
		t.Errorf("after bob ended it: %q are online to ann", got)
	}
}

func TestOnlyUsersHaveContacts(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	bob := person("bob")
	seen(t, a, bob)
	calls := map[string]func(usher.Identity) error{
		"User":          func(id usher.Identity) error { _, err := a.User(t.Context(), id); return err },
		"EraseSelf":     func(id usher.Identity) error { return a.EraseSelf(t.Context(), id) },
		"Contacts":      func(id usher.Identity) error { _, err := a.Contacts(t.Context(), id); return err },
		"RemoveContact": func(id usher.Identity) error { return a.RemoveContact(t.Context(), id, bob.Key()) },
		"AddContact": func(id usher.Identity) error {
			_, _, err := a.AddContact(t.Context(), id, access.ContactSpec{Email: bob.Email})
			return err
		},
	}
	guest := usher.Identity{App: usher.DefaultApp, Kind: usher.GuestIdentity, Subject: "g", Room: "r", Role: usher.Speaker}
	public := usher.Identity{App: usher.DefaultApp, Kind: usher.PublicIdentity, Subject: "anyone", Role: usher.Host}
	for name, call := range calls {
		for who, id := range map[string]usher.Identity{"a back end": shop, "an operator on the machine": operator, "a guest": guest, "the public": public} {
			if err := call(id); code(err) != "users_only" {
				t.Errorf("%s by %s: got %v", name, who, err)
			}
		}
		if err := call(usher.Identity{}); code(err) != "credentials_required" {
			t.Errorf("%s by nobody: got %v", name, err)
		}
	}
	for name, call := range map[string]func(usher.Identity) error{
		"Users":     func(id usher.Identity) error { _, _, err := a.Users(t.Context(), id, "", "", 10); return err },
		"UserOf":    func(id usher.Identity) error { _, err := a.UserOf(t.Context(), id, bob.Key()); return err },
		"EraseUser": func(id usher.Identity) error { return a.EraseUser(t.Context(), id, bob.Key()) },
	} {
		for who, id := range map[string]usher.Identity{"a back end": shop, "the user itself": bob, "a guest": guest} {
			if err := call(id); code(err) != "operators_only" {
				t.Errorf("%s by %s: got %v", name, who, err)
			}
		}
	}
}

func TestLookingForOthersIsLimitedAndRecorded(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{}, limited(limit.Config{Seek: limit.Rate{Count: 3, Per: time.Minute}}),
		func(c *access.Config) { c.Record.Audit = access.Strict })
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ann, bob := person("ann"), person("bob")
	seen(t, a, bob)
	seek := func(id usher.Identity, email string) error {
		_, _, err := a.AddContact(t.Context(), id, access.ContactSpec{Email: email})
		return err
	}
	for _, tt := range []struct{ email, code string }{{"guess@example.org", "user_not_found"}, {"bob", "contact_invalid"}, {"BOB@example.org", ""}, {"bob@example.org", ""}} {
		if err := seek(ann, tt.email); err == nil && tt.code != "" || err != nil && code(err) != tt.code {
			t.Errorf("%s: got %v, want %q", tt.email, err, tt.code)
		}
	}
	wantLimited(t, "a fourth look", seek(ann, "guess@example.org"))
	if err := seek(bob, "guess@example.org"); code(err) != "user_not_found" {
		t.Errorf("by another: got %v", err)
	}
	// A back end has one limit, whomever it acts for.
	back := backend()
	for i := range 3 {
		if err := seek(actingFor(back, string(rune('a'+i))), "guess@example.org"); code(err) != "user_not_found" {
			t.Errorf("a back end, call %d: got %v", i+1, err)
		}
	}
	wantLimited(t, "a back end for yet another", seek(actingFor(back, "z"), "guess@example.org"))

	if err := a.RemoveContact(t.Context(), ann, bob.Key()); err != nil {
		t.Fatal(err)
	}
	if err := a.EraseUser(t.Context(), operator, bob.Key()); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, batch := range recorded(t, db) {
		for _, e := range batch {
			if strings.Contains(e.Reason+e.Name, "guess") {
				t.Errorf("an address that was guessed at is in the record: %+v", e)
			}
			if e.Type != usher.Decided && e.Actor == "" {
				told = append(told, string(e.Type)+" by "+e.Who+": "+e.Reason)
			}
		}
	}
	want := []string{
		"sought by " + ann.Key() + ": ", "listed by " + ann.Key() + ": " + bob.Key(), "sought by " + bob.Key() + ": ",
		"unlisted by " + ann.Key() + ": " + bob.Key(), "erased by " + operator.Key() + ": " + bob.Key(),
	}
	if !slices.Equal(told, want) {
		t.Errorf("the record has\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

func TestErasingIsForOneselfAndForOperators(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{})
	ann, bob := person("ann"), person("bob")
	seen(t, a, ann, bob)
	list(t, a, ann, bob)
	missed := usher.Call{
		App: usher.DefaultApp, ID: "c1", Caller: usher.CallParty{User: ann.Key()}, Callee: usher.CallParty{User: bob.Key()},
		Status: usher.CallEnded, Missed: usher.SystemIDs().New(), Due: time.Now().Add(time.Hour), Version: 1,
	}
	if err := db.Calls().Create(t.Context(), missed); err != nil {
		t.Fatal(err)
	}
	if err := a.EraseSelf(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	if calls, _, err := a.MissedCalls(t.Context(), bob, "", 10); err != nil || len(calls) > 0 {
		t.Errorf("missed calls: got %+v, %v", calls, err)
	}
	if contacts, err := a.Contacts(t.Context(), ann); err != nil || len(contacts) > 0 {
		t.Errorf("who listed the user: got %+v, %v", contacts, err)
	}
	if _, _, err := a.AddContact(t.Context(), ann, access.ContactSpec{Email: bob.Email}); code(err) != "user_not_found" {
		t.Errorf("who looks for the user: got %v", err)
	}
	seen(t, a, bob) // with a good token anybody comes back
	if err := a.EraseUser(t.Context(), operator, bob.Key()); err != nil {
		t.Fatal(err)
	}
	if err := a.EraseUser(t.Context(), operator, bob.Key()); code(err) != "user_not_found" {
		t.Errorf("erased again: got %v", err)
	}
}

func TestATicketLetsItsHolderInOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccess(t, openStore(t), &bus.Local{})
		ann := person("ann")
		ann.Groups, ann.Proof = []string{"staff"}, "https://id.example, key 1"
		ticket := func(id usher.Identity) access.Ticket {
			t.Helper()
			got, err := a.IssueTicket(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		first := ticket(ann)
		if first.ExpiresIn != 30*time.Second || !first.ExpiresAt.Equal(time.Now().Add(first.ExpiresIn)) {
			t.Errorf("the ticket is good for %v, until %v", first.ExpiresIn, first.ExpiresAt)
		}
		got, err := a.RedeemTicket(t.Context(), first.Secret)
		if err != nil || got.Key() != ann.Key() || got.Email != ann.Email || !slices.Equal(got.Groups, ann.Groups) ||
			!got.IssuedAt.Equal(ann.IssuedAt) || got.Proof != ann.Proof || got.Operator {
			t.Errorf("redeemed: got %+v, %v, want %+v", got, err, ann)
		}
		refused := func(what string, ticket usher.Secret, want string) {
			t.Helper()
			if got, err := a.RedeemTicket(t.Context(), ticket); code(err) != want || got.Known() {
				t.Errorf("%s: got %+v, %v, want %s", what, got, err, want)
			}
		}
		refused("used again", first.Secret, "ticket_invalid")
		refused("guessed", usher.Secret(strings.Repeat("A", 43)), "ticket_invalid")
		refused("none", "", "ticket_invalid")

		late := ticket(ann)
		time.Sleep(30 * time.Second) // of synctest's time
		refused("too late", late.Secret, "ticket_invalid")

		short := ann
		short.Expires = time.Now().Add(10 * time.Second)
		if got := ticket(short); got.ExpiresIn != 10*time.Second {
			t.Errorf("a ticket of who is known for 10 s is good for %v", got.ExpiresIn)
		}

		taken := ticket(ann)
		time.Sleep(time.Second)
		if _, err := a.Revoke(t.Context(), operator, access.Revocation{Target: usher.Target{Identity: ann.Key()}}); err != nil {
			t.Fatal(err)
		}
		refused("revoked since", taken.Secret, "revoked")

		for name, id := range map[string]usher.Identity{"a back end": shop, "an operator on the machine": operator} {
			if _, err := a.IssueTicket(t.Context(), id); code(err) != "users_only" {
				t.Errorf("a ticket for %s: got %v", name, err)
			}
			if err := a.MaySignal(t.Context(), id); code(err) != "users_only" {
				t.Errorf("a connection of %s: got %v", name, err)
			}
		}
		guest := usher.Identity{App: usher.DefaultApp, Kind: usher.GuestIdentity, Subject: "g", Room: "r", Role: usher.Speaker}
		if got, err := a.RedeemTicket(t.Context(), ticket(guest).Secret); err != nil || got.Room != "r" || got.Role != usher.Speaker {
			t.Errorf("a guest's ticket: got %+v, %v", got, err)
		}
	})
}

func TestOfManyWhoRedeemATicketOneIsLetIn(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	ticket, err := a.IssueTicket(t.Context(), person("ann"))
	if err != nil {
		t.Fatal(err)
	}
	var in atomic.Int32
	var wg sync.WaitGroup
	const people = 50
	for range people {
		wg.Go(func() {
			switch _, err := a.RedeemTicket(t.Context(), ticket.Secret); {
			case err == nil:
				in.Add(1)
			case code(err) != "ticket_invalid":
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d were let in, want 1", in.Load())
	}
	t.Logf("figure: of %d who redeem one ticket at once %d is in", people, in.Load())
}
