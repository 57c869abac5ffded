package cached_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher"
	"usher/internal/store"
)

// countedCalls counts how often the store is asked for the calls of a person,
// and may fail to write.
type countedCalls struct {
	store.DB
	asked  atomic.Int64
	broken atomic.Bool
	full   atomic.Bool
	// meanwhile, if not nil, happens once, before a call is written.
	meanwhile func()
}

func (d *countedCalls) Calls() store.Calls { return countedStore{d.DB.Calls(), d} }

type countedStore struct {
	store.Calls
	d *countedCalls
}

var errBroken = errors.New("the disk is gone")

func (s countedStore) Active(ctx context.Context, app, user string) ([]usher.Call, error) {
	s.d.asked.Add(1)
	return s.Calls.Active(ctx, app, user)
}

func (s countedStore) Create(ctx context.Context, c usher.Call) error {
	once(&s.d.meanwhile)
	if s.d.full.Load() {
		return store.ErrNoRoom
	}
	err := s.Calls.Create(ctx, c)
	if s.d.broken.Load() { // though it is written
		return errBroken
	}
	return err
}

func ringing(id, caller, callee string) usher.Call {
	return usher.Call{
		App: usher.DefaultApp, ID: id, Status: usher.CallInvited,
		Caller: usher.CallParty{User: caller}, Callee: usher.CallParty{User: callee},
		InvitedAt: start, Due: start.Add(time.Minute), Version: 1,
	}
}

func TestWhoHasNoCallsIsNotAskedAbout(t *testing.T) {
	below := &countedCalls{DB: openSQL(t)}
	if err := below.DB.Calls().Create(t.Context(), ringing("old", "ann", "bob")); err != nil { // by who ran before
		t.Fatal(err)
	}
	db := alone(t, below).Calls()
	want := func(what, user string, calls int, asked int64) {
		t.Helper()
		before := below.asked.Load()
		got, err := db.Active(t.Context(), usher.DefaultApp, user)
		if err != nil || len(got) != calls {
			t.Errorf("%s: %s has %d calls, %v, want %d", what, user, len(got), err, calls)
		}
		if n := below.asked.Load() - before; n != asked {
			t.Errorf("%s: the store was asked %d times for %s, want %d", what, n, user, asked)
		}
	}
	end := func(c usher.Call) {
		t.Helper()
		_, err := db.Update(t.Context(), c.Key(), func(c usher.Call) (usher.Call, error) {
			c.Status, c.EndedAt = usher.CallEnded, start
			return c, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want("at first", "ann", 1, 1)
	want("at first", "bob", 1, 1)
	want("at first", "carl", 0, 0)
	if err := db.Create(t.Context(), ringing("c1", "carl", "ann")); err != nil {
		t.Fatal(err)
	}
	want("called", "carl", 1, 1)
	want("called", "ann", 2, 1)
	if err := db.Create(t.Context(), ringing("c2", "ann", "carl")); !errors.Is(err, store.ErrExists) {
		t.Fatalf("another call of the two: %v", err)
	}
	end(ringing("old", "ann", "bob"))
	want("one ended", "bob", 0, 0)
	want("one ended", "ann", 1, 1)
	if err := db.Create(t.Context(), ringing("old", "ann", "bob")); !errors.Is(err, store.ErrExists) {
		t.Fatalf("a call that has ended, again: %v", err)
	}
	want("one ended", "bob", 0, 0)
	end(ringing("c1", "carl", "ann"))
	for _, user := range []string{"ann", "bob", "carl"} {
		want("all ended", user, 0, 0)
	}
	below.full.Store(true)
	if err := db.Create(t.Context(), ringing("c3", "carl", "ann")); !errors.Is(err, store.ErrNoRoom) {
		t.Fatalf("got %v", err)
	}
	below.full.Store(false)
	want("there was no room for another", "carl", 0, 0)
	below.broken.Store(true)
	if err := db.Create(t.Context(), ringing("c3", "carl", "ann")); !errors.Is(err, errBroken) {
		t.Fatalf("got %v", err)
	}
	want("nobody knows whether it was written", "carl", 1, 1)
}

// Both of a pair may choose the same id, and call at once: whichever is written
// first, the call is there.
func TestACallThatIsMadeTwiceAtOnceIsThere(t *testing.T) {
	below := &countedCalls{DB: openSQL(t)}
	db := alone(t, below).Calls()
	below.meanwhile = func() {
		if err := db.Create(t.Context(), ringing("same", "bob", "ann")); err != nil {
			t.Error(err)
		}
	}
	if err := db.Create(t.Context(), ringing("same", "ann", "bob")); !errors.Is(err, store.ErrExists) {
		t.Fatalf("the one that came later: %v", err)
	}
	for _, user := range []string{"ann", "bob"} {
		if got, err := db.Active(t.Context(), usher.DefaultApp, user); err != nil || len(got) != 1 {
			t.Errorf("%s has %d calls, %v, want 1", user, len(got), err)
		}
	}
	_, err := db.Update(t.Context(), ringing("same", "ann", "bob").Key(), func(c usher.Call) (usher.Call, error) {
		c.Status, c.EndedAt = usher.CallEnded, start
		return c, nil
	})
	if got, err2 := db.Active(t.Context(), usher.DefaultApp, "ann"); len(got) != 0 || err != nil || err2 != nil || below.asked.Load() != 2 {
		t.Errorf("after it ended there are %d calls, %v, %v, and the store was asked %d times, want 2", len(got), err, err2, below.asked.Load())
	}
}

func TestACallIsThereAsSoonAsItWasMade(t *testing.T) {
	db := alone(t, openSQL(t)).Calls()
	var wg sync.WaitGroup
	for _, pair := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			for i := range 20 {
				c := ringing(string(rune('A'+i)), pair+"1", pair+"2")
				if err := db.Create(context.Background(), c); err != nil {
					t.Error(err)
				}
				if got, err := db.Active(context.Background(), c.App, pair+"2"); len(got) != 1 || err != nil {
					t.Errorf("%s: %d calls, %v, want 1", c.ID, len(got), err)
				}
				_, err := db.Update(context.Background(), c.Key(), func(c usher.Call) (usher.Call, error) {
					c.Status, c.EndedAt = usher.CallEnded, start
					return c, nil
				})
				if got, err2 := db.Active(context.Background(), c.App, pair+"2"); len(got) != 0 || err != nil || err2 != nil {
					t.Errorf("%s: %d calls after it ended, %v, %v", c.ID, len(got), err, err2)
				}
			}
		})
	}
	wg.Wait()
}
