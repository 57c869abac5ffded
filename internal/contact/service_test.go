package contact_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/bus"
	"usher/internal/contact"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
	"usher/internal/store/storetest"
)

const app = usher.DefaultApp

// world is a store and a bus on which several nodes work.
type world struct {
	*testing.T
	db  store.DB
	bus bus.Bus
	now time.Time

	nodes int // so far
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db"), Synchronous: sqlstore.Off})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &world{T: t, db: storetest.Again(db), bus: &bus.Local{}, now: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)}
}

func (w *world) node(edit ...func(*contact.Deps)) *contact.Service {
	deps := contact.Deps{
		Users: w.db.Users(), Contacts: w.db.Contacts(), Bus: w.bus, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return w.now }, Node: usher.ID(fmt.Sprint("node", w.nodes)),
	}
	w.nodes++
	for _, f := range edit {
		f(&deps)
	}
	return contact.New(contact.Config{Max: 3}, deps)
}

// person is an identity whose token was issued at the world's time.
func (w *world) person(name string) usher.Identity {
	return usher.Identity{
		App: app, Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: name, Name: name, Email: name + "@example.org", IssuedAt: w.now,
	}
}

func (w *world) see(s *contact.Service, id usher.Identity) usher.User {
	w.Helper()
	u, err := s.See(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return u
}

func (w *world) add(s *contact.Service, owner, user usher.User) {
	w.Helper()
	if _, _, err := s.Add(w.Context(), app, owner.Key, user.Key); err != nil {
		w.Fatal(err)
	}
}

func (w *world) lists(s *contact.Service, owner, user usher.User) bool {
	w.Helper()
	listed, err := s.Lists(w.Context(), app, owner.Key, user.Key)
	if err != nil {
		w.Fatal(err)
	}
	return listed
}

func code(err error) string { return usher.AsError(err).Code }

func TestAUserIsEnteredOnceAndKeptUpToDate(t *testing.T) {
	w := newWorld(t)
	s := w.node()
	first := w.person("ann")
	u := w.see(s, first)
	if want := (usher.User{
		App: app, Key: first.Key(), Email: "ann@example.org", Name: "ann", ProvenAt: w.now, CreatedAt: w.now, UpdatedAt: w.now, Version: 1,
	}); u != want {
		t.Errorf("entered: got %+v, want %+v", u, want)
	}
	if again := w.see(s, first); again != u {
		t.Errorf("the same token again: got %+v, want %+v", again, u)
	}

	w.now = w.now.Add(time.Hour)
	moved := w.person("ann")
	moved.Email, moved.Name = "Ann@new.example", "Ann"
	u = w.see(s, moved)
	if u.Email != moved.Email || u.Name != "Ann" || !u.ProvenAt.Equal(w.now) || u.Version != 2 {
		t.Errorf("a new address: got %+v", u)
	}
	if found, err := s.ByEmail(t.Context(), app, "ANN@NEW.EXAMPLE"); err != nil || found != u {
		t.Errorf("by the new address: got %+v, %v", found, err)
	}
	if _, err := s.ByEmail(t.Context(), app, first.Email); code(err) != "user_not_found" {
		t.Errorf("by the old address: got %v", err)
	}

	for name, id := range map[string]usher.Identity{
		"an older token":                    first,
		"a token without an address":        {App: app, Kind: moved.Kind, Issuer: moved.Issuer, Subject: "ann", Name: "8f4c", IssuedAt: w.now.Add(time.Hour)},
		"a back end that acts for the user": {App: app, Kind: moved.Kind, Issuer: moved.Issuer, Subject: "ann", Actor: "client:x", IssuedAt: w.now.Add(time.Hour)},
		"a token of unknown time":           {App: app, Kind: moved.Kind, Issuer: moved.Issuer, Subject: "ann", Email: first.Email},
	} {
		if got := w.see(s, id); got != u {
			t.Errorf("%s: got %+v, want %+v", name, got, u)
		}
	}
}

func TestWhoWasEnteredWithoutAnAddressGetsOneLater(t *testing.T) {
	w := newWorld(t)
	s := w.node()
	access := w.person("ann")
	access.Name, access.Email = "", ""
	if u := w.see(s, access); u.Email != "" || u.Name != "" {
		t.Errorf("entered by an access token: got %+v", u)
	}
	access.Name = "8f4c"
	if u := w.see(s, access); u.Name != "8f4c" {
		t.Errorf("the first name that is told: got %+v", u)
	}
	if u := w.see(s, w.person("ann")); u.Email != "ann@example.org" || u.Name != "ann" {
		t.Errorf("the ID token: got %+v", u)
	}
}

func TestAUserIsEnteredOnceByManyAtOnce(t *testing.T) {
	w := newWorld(t)
	s := w.node()
	var wg sync.WaitGroup
	users := make([]usher.User, 50)
	for i := range users {
		wg.Go(func() {
			u, err := s.See(t.Context(), w.person("ann"))
			if err != nil {
				t.Error(err)
			}
			users[i] = u
		})
	}
	wg.Wait()
	for _, u := range users {
		if u != users[0] {
			t.Errorf("got %+v and %+v", u, users[0])
		}
	}
}

func TestContactsAreMadeAndEnded(t *testing.T) {
	w := newWorld(t)
	s := w.node()
	ann, bob := w.see(s, w.person("ann")), w.see(s, w.person("bob"))
	first, added, err := s.Add(t.Context(), app, ann.Key, bob.Key)
	if err != nil || !added || first.Owner != ann.Key || first.User != bob.Key {
		t.Errorf("Add: got %+v, %v, %v", first, added, err)
	}
	w.now = w.now.Add(time.Hour)
	if again, added, err := s.Add(t.Context(), app, ann.Key, bob.Key); err != nil || added || again != first {
		t.Errorf("Add again: got %+v, %v, %v, want %+v", again, added, err, first)
	}
	for name, tt := range map[string]struct{ owner, user, code string }{
		"oneself":  {ann.Key, ann.Key, "contact_self"},
		"nobody":   {ann.Key, "user:https://id.example#ghost", "user_not_found"},
		"nobody's": {"user:https://id.example#ghost", ann.Key, "user_not_found"},
	} {
		if _, _, err := s.Add(t.Context(), app, tt.owner, tt.user); code(err) != tt.code {
			t.Errorf("%s: got %v, want %s", name, err, tt.code)
		}
	}
	for i := range 3 {
		_, _, err = s.Add(t.Context(), app, ann.Key, w.see(s, w.person(fmt.Sprint("other", i))).Key)
	}
	if code(err) != "contacts_full" {
		t.Errorf("a fourth of three: got %v", err)
	}
	for i, want := range []bool{true, false} {
		if removed, err := s.Remove(t.Context(), app, ann.Key, bob.Key); err != nil || removed != want {
			t.Errorf("Remove %d: got %v, %v, want %v", i+1, removed, err, want)
		}
	}
}

func TestMutualContactsAreThoseOfBothSides(t *testing.T) {
	w := newWorld(t)
	s := w.node()
	ann, bob, carl := w.see(s, w.person("ann")), w.see(s, w.person("bob")), w.see(s, w.person("carl"))
	w.add(s, ann, bob)
	w.add(s, bob, ann)
	w.add(s, ann, carl)
	for _, tt := range []struct {
		user usher.User
		want []string
	}{{ann, []string{bob.Key}}, {bob, []string{ann.Key}}, {carl, nil}} {
		if got, err := s.Mutual(t.Context(), app, tt.user.Key); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("of %s: got %q, %v, want %q", tt.user.Name, got, err, tt.want)
		}
	}
}

// counting counts the reads of single entries.
type counting struct {
	store.Contacts
	reads int
	// between runs after an entry was read and before it is told.
	between func()
}

func (c *counting) Get(ctx context.Context, app, owner, user string) (usher.Contact, error) {
	c.reads++
	contact, err := c.Contacts.Get(ctx, app, owner, user)
	if c.between != nil {
		c.between()
	}
	return contact, err
}

func TestWhoListsWhomIsRememberedUntilItChanges(t *testing.T) {
	w := newWorld(t)
	reads := &counting{Contacts: w.db.Contacts()}
	here := w.node(func(d *contact.Deps) { d.Contacts, d.Bus = reads, &bus.Local{} }) // so that it hears of nothing
	there := w.node()
	ann, bob := w.see(here, w.person("ann")), w.see(here, w.person("bob"))
	want := func(what string, listed bool, cost int) {
		t.Helper()
		before := reads.reads
		if got := w.lists(here, ann, bob); got != listed {
			t.Errorf("%s: got %v, want %v", what, got, listed)
		}
		if got := reads.reads - before; got != cost {
			t.Errorf("%s: %d reads, want %d", what, got, cost)
		}
	}
	want("at first", false, 1)
	want("from memory", false, 0)
	w.add(here, ann, bob)
	want("after it changed here", true, 1)
	want("from memory again", true, 0)
	if w.lists(here, bob, ann) {
		t.Error("the other direction is listed, too")
	}

	if _, err := there.Remove(t.Context(), app, ann.Key, bob.Key); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Second)
	want("a second after it changed elsewhere", false, 1)

	w.add(here, ann, bob)
	want("listed again", true, 1)
	if err := here.Erase(t.Context(), app, bob.Key); err != nil {
		t.Fatal(err)
	}
	want("after the user was erased", false, 1)
}

func TestWhoIsAloneWithTheStoreRemembersForLonger(t *testing.T) {
	w := newWorld(t)
	reads := &counting{Contacts: w.db.Contacts()}
	s := w.node(func(d *contact.Deps) { d.Contacts, d.Alone = reads, true })
	ann, bob := w.see(s, w.person("ann")), w.see(s, w.person("bob"))
	for i, step := range []struct {
		after  time.Duration
		change func()
		listed bool
		reads  int
	}{
		{0, nil, false, 1},
		{50 * time.Second, nil, false, 1},
		{0, func() { w.add(s, ann, bob) }, true, 2},
		{50 * time.Second, nil, true, 2},
		{10 * time.Second, nil, true, 3},
		{0, func() { _, _ = s.Remove(t.Context(), app, ann.Key, bob.Key) }, false, 4},
		{0, func() { w.add(s, ann, bob) }, true, 5},
		{0, func() { _ = s.Erase(t.Context(), app, bob.Key) }, false, 6},
	} {
		w.now = w.now.Add(step.after)
		if step.change != nil {
			step.change()
		}
		if listed := w.lists(s, ann, bob); listed != step.listed || reads.reads != step.reads {
			t.Errorf("step %d: got %v after %d reads, want %v after %d", i, listed, reads.reads, step.listed, step.reads)
		}
	}
}

// broken is a store of contacts that does what it is told and then fails.
type broken struct{ store.Contacts }

func (b broken) Remove(ctx context.Context, app, owner, user string) error {
	return errors.Join(b.Contacts.Remove(ctx, app, owner, user), errors.New("the disk is gone"))
}

func TestAChangeThatMayHaveFailedIsNotRememberedEither(t *testing.T) {
	w := newWorld(t)
	s := w.node(func(d *contact.Deps) { d.Contacts, d.Alone = broken{w.db.Contacts()}, true })
	ann, bob := w.see(s, w.person("ann")), w.see(s, w.person("bob"))
	w.add(s, ann, bob)
	if !w.lists(s, ann, bob) {
		t.Error("ann does not list bob")
	}
	if _, err := s.Remove(t.Context(), app, ann.Key, bob.Key); err == nil {
		t.Error("the store did not fail")
	}
	if w.lists(s, ann, bob) {
		t.Error("what the store has forgotten is remembered")
	}
}

func TestAnAnswerThatIsOvertakenIsNotRemembered(t *testing.T) {
	w := newWorld(t)
	reads := &counting{Contacts: w.db.Contacts()}
	s := w.node(func(d *contact.Deps) { d.Contacts = reads })
	ann, bob := w.see(s, w.person("ann")), w.see(s, w.person("bob"))
	w.add(s, ann, bob)
	reads.between = func() {
		if _, err := s.Remove(t.Context(), app, ann.Key, bob.Key); err != nil {
			t.Error(err)
		}
	}
	w.lists(s, ann, bob) // either answer is right: it changes meanwhile
	reads.between = nil
	if w.lists(s, ann, bob) {
		t.Error("an entry that was removed while it was read is remembered")
	}
}

func TestChangesReachWhoWatchesOnEveryNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, db: memoryWorld{contacts: map[[2]string]bool{}}, bus: &bus.Local{}}
		here, there := w.node(), w.node()
		var mu sync.Mutex
		var news []string
		for name, s := range map[string]*contact.Service{"here": here, "there": there} {
			s.Watch(func(c contact.Change) {
				mu.Lock()
				defer mu.Unlock()
				news = append(news, fmt.Sprintf("%s: %s %s %v", name, c.Owner, c.User, c.Listed))
			})
		}
		want := func(what string, lines ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(news) // each watcher hears by itself
			if !slices.Equal(news, lines) {
				t.Errorf("%s: got %q, want %q", what, news, lines)
			}
			news = nil
		}
		listed, err := there.Lists(t.Context(), app, "ann", "bob") // remembered
		if listed || err != nil {
			t.Fatal(listed, err)
		}
		if _, _, err := here.Add(t.Context(), app, "ann", "bob"); err != nil {
			t.Fatal(err)
		}
		want("added", "here: ann bob true", "there: ann bob true")
		if listed, err := there.Lists(t.Context(), app, "ann", "bob"); !listed || err != nil {
			t.Errorf("a node that heard of the change answers %v, %v", listed, err)
		}
		if _, _, err := here.Add(t.Context(), app, "ann", "bob"); err != nil {
			t.Fatal(err)
		}
		want("added again")
		if _, err := here.Remove(t.Context(), app, "ann", "bob"); err != nil {
			t.Fatal(err)
		}
		want("removed", "here: ann bob false", "there: ann bob false")
	})
}

// memoryWorld keeps contacts alone, without goroutines of its own.
type memoryWorld struct {
	store.DB
	contacts map[[2]string]bool
}

func (m memoryWorld) Users() store.Users       { return nil }
func (m memoryWorld) Contacts() store.Contacts { return memoryContacts{contacts: m.contacts} }

type memoryContacts struct {
	store.Contacts
	contacts map[[2]string]bool
}

func (m memoryContacts) Add(_ context.Context, c usher.Contact, _ int) (usher.Contact, error) {
	if m.contacts[[2]string{c.Owner, c.User}] {
		return c, store.ErrExists
	}
	m.contacts[[2]string{c.Owner, c.User}] = true
	return c, nil
}

func (m memoryContacts) Get(_ context.Context, _, owner, user string) (usher.Contact, error) {
	if !m.contacts[[2]string{owner, user}] {
		return usher.Contact{}, store.ErrNotFound
	}
	return usher.Contact{}, nil
}

func (m memoryContacts) Remove(_ context.Context, _, owner, user string) error {
	delete(m.contacts, [2]string{owner, user})
	return nil
}

func TestAnErasedUserLeavesNothingAndTellsEverybody(t *testing.T) {
	w := newWorld(t)
	s := w.node()
	ann, bob := w.see(s, w.person("ann")), w.see(s, w.person("bob"))
	w.add(s, ann, bob)
	w.add(s, bob, ann)
	news := make(chan contact.Change, 4)
	s.Watch(func(c contact.Change) { news <- c })
	if err := s.Erase(t.Context(), app, bob.Key); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select {
		case c := <-news:
			if c.Listed {
				t.Errorf("got %+v, want an end", c)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("ann was not told")
		}
	}
	if _, err := s.User(t.Context(), app, bob.Key); code(err) != "user_not_found" {
		t.Errorf("the user: got %v", err)
	}
	if list, err := s.Contacts(t.Context(), app, ann.Key); err != nil || len(list) != 0 {
		t.Errorf("ann's contacts: got %+v, %v", list, err)
	}
	if err := s.Erase(t.Context(), app, bob.Key); code(err) != "user_not_found" {
		t.Errorf("erased again: got %v", err)
	}
}

func BenchmarkLists(b *testing.B) {
	s := contact.New(contact.Config{Max: 3}, contact.Deps{
		Contacts: memoryContacts{contacts: map[[2]string]bool{{"ann", "bob"}: true}}, Bus: &bus.Local{}, Now: time.Now,
	})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if listed, err := s.Lists(b.Context(), app, "ann", "bob"); !listed || err != nil {
				b.Fatal(listed, err)
			}
		}
	})
}

// stuck is a store that does not answer.
type stuck struct{ store.Contacts }

func (stuck) Get(ctx context.Context, _, _, _ string) (usher.Contact, error) {
	<-ctx.Done()
	return usher.Contact{}, ctx.Err()
}

func TestAStoreThatDoesNotAnswerIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := contact.New(contact.DefaultConfig(), contact.Deps{Contacts: stuck{}, Bus: &bus.Local{}, Now: time.Now})
		if listed, err := s.Lists(t.Context(), app, "ann", "bob"); listed || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v, want a deadline that is exceeded", listed, err)
		}
	})
}
