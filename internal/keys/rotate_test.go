package keys_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/keys"
	"usher/internal/store"
)

func TestRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(t, new(memory))
		current, next := keyIn(t, m, store.CurrentKey), keyIn(t, m, store.NextKey)
		old := sign(t, m, struct{}{})

		began := time.Now()
		got := rotate(t, m)
		if waited := time.Since(began); waited != refresh {
			t.Errorf("a key that was made just now signs after %v, want %v", waited, refresh)
		}
		if got.ID != next.ID || got != keyIn(t, m, store.CurrentKey) {
			t.Errorf("the current key is %v, want the one that was next, %v", got, next)
		}
		retired := keyIn(t, m, store.RetiredKey)
		if retired.ID != current.ID || !retired.NotAfter.Equal(time.Now().Add(retain+refresh)) {
			t.Errorf("the retired key is %v, want %s until all that it signed has expired", retired, current.ID)
		}
		fresh := keyIn(t, m, store.NextKey)
		want := []string{string(next.ID), string(fresh.ID), string(current.ID)}
		if diff := cmp.Diff(want, published(t, m)); diff != "" {
			t.Errorf("published (-want +got):\n%s", diff)
		}
		for token, kid := range map[string]usher.ID{old: current.ID, sign(t, m, struct{}{}): next.ID} {
			if _, got, err := m.Verify(token, typ); err != nil || got != string(kid) {
				t.Errorf("Verify = kid %q, %v; want %q", got, err, kid)
			}
		}

		time.Sleep(refresh)
		began = time.Now()
		rotate(t, m)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("a key that has long been published signs after %v", waited)
		}
	})
}

func TestRotateEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(memory)
		m := open(t, s)
		before := s.stored()
		ctx, cancel := context.WithTimeout(t.Context(), refresh/2)
		defer cancel()
		if _, err := m.Rotate(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Rotate: %v", err)
		}
		if diff := cmp.Diff(before, s.stored()); diff != "" {
			t.Errorf("the keys changed:\n%s", diff)
		}
	})
}

func TestNodesRotateAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(memory)
		a, b := open(t, s), open(t, s)
		token := sign(t, a, struct{}{})
		began := time.Now()
		var group sync.WaitGroup
		for _, m := range []*keys.Manager{a, b} {
			group.Go(func() { rotate(t, m) })
		}
		group.Wait()
		if got := time.Since(began); got != 2*refresh {
			t.Errorf("two rotations took %v, want %v: each waits until all nodes know the key", got, 2*refresh)
		}
		if got := len(list(t, a)); got != 4 {
			t.Errorf("there are %d keys after two rotations, want 4", got)
		}
		if diff := cmp.Diff(list(t, a), list(t, b)); diff != "" {
			t.Errorf("the nodes disagree:\n%s", diff)
		}
		if !bytes.Equal(a.JWKS(), b.JWKS()) {
			t.Error("the nodes publish different keys")
		}
		for _, m := range []*keys.Manager{a, b} {
			if _, _, err := m.Verify(token, typ); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestRotateOnANodeThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(memory)
		a, b := open(t, s), open(t, s)
		rotate(t, a)
		time.Sleep(refresh)
		rotate(t, a)
		next := keyIn(t, a, store.NextKey)
		began := time.Now()
		if got := rotate(t, b); got.ID != next.ID {
			t.Errorf("%s signs, want the stored next key %s", got.ID, next.ID)
		}
		if waited := time.Since(began); waited != refresh {
			t.Errorf("a key that was made just now signs after %v, want %v", waited, refresh)
		}
	})
}

func TestRetiredKeyIsDroppedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(memory)
		m := open(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { m.Run(ctx) })
		token := sign(t, m, struct{}{})
		rotate(t, m)

		time.Sleep(retain + refresh - 1)
		synctest.Wait()
		if _, _, err := m.Verify(token, typ); err != nil {
			t.Errorf("while something that the key signed may be valid: %v", err)
		}
		time.Sleep(refresh)
		synctest.Wait()
		if _, _, err := m.Verify(token, typ); !errors.Is(err, keys.ErrForeign) {
			t.Errorf("after that: %v, want ErrForeign", err)
		}
		if got := len(published(t, m)); got != 2 {
			t.Errorf("%d keys are published, want 2", got)
		}
		if got := len(s.stored()); got != 2 {
			t.Errorf("%d keys are stored, want 2", got)
		}
		cancel()
		group.Wait()
	})
}

func TestRotateDropsWhatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(memory)
		m := open(t, s)
		rotate(t, m)
		time.Sleep(retain + refresh)
		rotate(t, m)
		if got := len(s.stored()); got != 3 {
			t.Errorf("%d keys are stored, want the current, the next and the one that was just retired", got)
		}
	})
}

func TestRetire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(memory)
		m, other := open(t, s), open(t, s)
		token := sign(t, m, struct{}{})
		old := keyIn(t, m, store.CurrentKey)

		err := m.Retire(t.Context(), old.ID)
		if e := usher.AsError(err); e.Kind != usher.Conflict || e.Code != "key_current" || !strings.Contains(e.Message, "rotate") {
			t.Errorf("retiring the current key: %v", err)
		}
		err = m.Retire(t.Context(), usher.SystemIDs().New())
		if e := usher.AsError(err); e.Kind != usher.NotFound || e.Code != "key_not_found" {
			t.Errorf("retiring an unknown key: %v", err)
		}
		if _, _, err := m.Verify(token, typ); err != nil {
			t.Errorf("a refused retirement has an effect: %v", err)
		}

		rotate(t, m)
		if err := m.Retire(t.Context(), old.ID); err != nil {
			t.Fatal(err)
		}
		if _, _, err := m.Verify(token, typ); !errors.Is(err, keys.ErrForeign) {
			t.Errorf("Verify after the key was retired: %v, want ErrForeign", err)
		}
		if slices.Contains(published(t, m), string(old.ID)) {
			t.Error("the key is still published")
		}
		if slices.ContainsFunc(s.stored(), func(k store.Key) bool { return k.ID == old.ID }) {
			t.Error("the key is still stored")
		}
		if err := other.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := other.Verify(token, typ); !errors.Is(err, keys.ErrForeign) {
			t.Errorf("Verify on another node: %v, want ErrForeign", err)
		}

		next := keyIn(t, m, store.NextKey)
		if err := m.Retire(t.Context(), next.ID); err != nil {
			t.Fatal(err)
		}
		fresh := keyIn(t, m, store.NextKey)
		if fresh.ID == next.ID {
			t.Error("the retired next key is still the next one")
		}
		if got := rotate(t, m); got.ID != fresh.ID {
			t.Errorf("%s signs, want the fresh key %s", got.ID, fresh.ID)
		}
		if got := time.Since(fresh.CreatedAt()); got < refresh {
			t.Errorf("the fresh key signs after %v, before all nodes know it", got)
		}
	})
}

func TestRunFollowsOtherNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(memory)
		a, b := open(t, s), open(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { b.Run(ctx) })
		for range 5 {
			rotate(t, a)
			time.Sleep(refresh)
			synctest.Wait()
			if !bytes.Equal(a.JWKS(), b.JWKS()) {
				t.Fatal("the nodes publish different keys")
			}
			reads := s.readsDuring(func() {
				if _, _, err := b.Verify(sign(t, a, struct{}{}), typ); err != nil {
					t.Error(err)
				}
			})
			if reads != 0 {
				t.Error("the node did not know the key before its first token came")
			}
		}
		cancel()
		group.Wait()
	})
}

func TestUnknownKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(memory)
		a, b := open(t, s), open(t, s) // b does not run, and knows nothing of what a does
		part := strings.Split(sign(t, a, struct{}{}), ".")
		ids := usher.SystemIDs()
		forged := func() string {
			return b64(fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":%q}`, ids.New(), typ)) + "." + part[1] + "." + part[2]
		}
		rotate(t, a)
		rotate(t, a)
		token := sign(t, a, struct{}{})

		reads := s.readsDuring(func() {
			var group sync.WaitGroup
			for range 20 {
				group.Go(func() {
					if _, _, err := b.Verify(token, typ); err != nil {
						t.Errorf("a token of a key that another node made: %v", err)
					}
				})
			}
			group.Wait()
		})
		if reads != 1 {
			t.Errorf("an unknown key was looked for %d times, want once", reads)
		}

		time.Sleep(refresh)
		flood := func() {
			var group sync.WaitGroup
			for range 20 {
				group.Go(func() {
					for range 50 {
						if _, _, err := b.Verify(forged(), typ); !errors.Is(err, keys.ErrForeign) {
							t.Errorf("a forged token: %v, want ErrForeign", err)
						}
					}
				})
			}
			group.Wait()
			if _, _, err := b.Verify(token, typ); err != nil {
				t.Errorf("a good token during a flood: %v", err)
			}
		}
		for range 3 {
			if got := s.readsDuring(flood); got != 1 {
				t.Errorf("1000 forged tokens made us read %d times, want once", got)
			}
			if got := s.readsDuring(flood); got != 0 {
				t.Errorf("1000 more made us read %d times, want none before the pause is over", got)
			}
			time.Sleep(refresh)
		}

		s.fail(errors.New("the disk is gone"))
		flood()
		s.fail(nil)
	})
}

func TestClockSetBackDoesNotProlongThePause(t *testing.T) {
	s := new(memory)
	now := time.Now()
	a := open(t, s, func(c *keys.Config) { c.Refresh = 1 })
	b := open(t, s, func(c *keys.Config) { c.Now = func() time.Time { return now } })
	for range 2 {
		rotate(t, a)
		rotate(t, a)
		if _, _, err := b.Verify(sign(t, a, struct{}{}), typ); err != nil {
			t.Error(err)
		}
		now = now.Add(-time.Hour)
	}
}

func TestRunOutlivesTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(memory)
		var out bytes.Buffer
		m := open(t, s, func(c *keys.Config) { c.Logger = slog.New(slog.NewTextHandler(&out, nil)) })
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { m.Run(ctx) })

		s.fail(errors.New("the disk is gone"))
		time.Sleep(10 * refresh)
		synctest.Wait()
		if _, _, err := m.Verify(sign(t, m, struct{}{}), typ); err != nil {
			t.Errorf("while the store is away: %v", err)
		}
		if err := m.Refresh(ctx); err == nil {
			t.Error("Refresh does not tell that the store is away")
		}
		if _, err := m.List(ctx); err == nil {
			t.Error("List does not tell that the store is away")
		}
		if _, err := m.Rotate(ctx); err == nil {
			t.Error("Rotate does not tell that the store is away")
		}
		s.fail(nil)
		time.Sleep(10 * refresh)
		cancel()
		group.Wait()
		if got := strings.Count(out.String(), "\n"); got != 2 {
			t.Errorf("one outage is logged in %d lines, want its begin and its end:\n%s", got, out.String())
		}
	})
}

func TestRotationFailsNobody(t *testing.T) {
	const wait = 20 * time.Millisecond
	s := new(memory)
	ctx, cancel := context.WithCancel(t.Context())
	nodes := []*keys.Manager{
		open(t, s, func(c *keys.Config) { c.Refresh = wait }),
		open(t, s, func(c *keys.Config) { c.Refresh = wait }),
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	kids := make(map[string]bool)
	for i, m := range nodes {
		other := nodes[1-i]
		group.Go(func() { m.Run(ctx) })
		group.Go(func() {
			for ctx.Err() == nil {
				token, err := m.Sign(map[string]string{"sub": "anna"}, typ)
				if err != nil {
					t.Errorf("Sign: %v", err)
					return
				}
				for _, verifier := range []*keys.Manager{m, other} {
					_, kid, err := verifier.Verify(token, typ)
					if err != nil {
						t.Errorf("Verify: %v", err)
						return
					}
					mu.Lock()
					kids[kid] = true
					mu.Unlock()
				}
			}
		})
	}
	const rotations = 30
	for i := range rotations {
		rotate(t, nodes[i%2])
	}
	cancel()
	group.Wait()
	if got := len(list(t, nodes[0])); got != rotations+2 {
		t.Errorf("there are %d keys after %d rotations, want %d", got, rotations, rotations+2)
	}
	if len(kids) < rotations/2 {
		t.Errorf("tokens of %d keys were verified, want most of %d: the test shows nothing", len(kids), rotations)
	}
}
