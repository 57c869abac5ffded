package keys_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
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

func TestOpenNeedsItsParts(t *testing.T) {
	good := keys.Config{Store: new(memory), Sealer: newSealer(t), Retain: retain}
	for name, change := range map[string]func(*keys.Config){
		"no store":           func(c *keys.Config) { c.Store = nil },
		"no sealer":          func(c *keys.Config) { c.Sealer = nil },
		"no lifetime":        func(c *keys.Config) { c.Retain = 0 },
		"a negative refresh": func(c *keys.Config) { c.Refresh = -1 },
		"no random numbers":  func(c *keys.Config) { c.Random = bytes.NewReader(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			change(&c)
			if _, err := keys.Open(t.Context(), c); err == nil {
				t.Error("it was accepted")
			}
		})
	}
	if _, err := keys.Open(t.Context(), good); err != nil {
		t.Errorf("the configuration that all of these come from is refused: %v", err)
	}
}

func TestNodesThatStartAtOnceAgree(t *testing.T) {
	s := new(memory)
	nodes := make([]*keys.Manager, 8)
	var group sync.WaitGroup
	for i := range nodes {
		group.Go(func() { nodes[i] = open(t, s) })
	}
	group.Wait()
	for _, n := range nodes {
		if !bytes.Equal(n.JWKS(), nodes[0].JWKS()) {
			t.Errorf("one node publishes %s, another %s", n.JWKS(), nodes[0].JWKS())
		}
		if _, _, err := n.Verify(sign(t, nodes[0], struct{}{}), typ); err != nil {
			t.Errorf("one node refuses the token of another: %v", err)
		}
	}
	want := []string{string(keyIn(t, nodes[0], store.CurrentKey).ID), string(keyIn(t, nodes[0], store.NextKey).ID)}
	if diff := cmp.Diff(want, published(t, nodes[0])); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

func TestKeysSurviveARestart(t *testing.T) {
	s := new(memory)
	before := open(t, s)
	token := sign(t, before, struct{}{})
	after := open(t, s)
	if _, _, err := after.Verify(token, typ); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(before.JWKS(), after.JWKS()) {
		t.Error("other keys are published")
	}
}

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

func TestOpenRefusesAStoreThatIsNotSound(t *testing.T) {
	for name, test := range map[string]struct {
		change func([]store.Key) []store.Key
		says   string
	}{
		"swapped private keys": {func(k []store.Key) []store.Key {
			k[0].Sealed, k[1].Sealed = k[1].Sealed, k[0].Sealed
			return k
		}, "restore the secret file"},
		"a changed private key":   {func(k []store.Key) []store.Key { k[0].Sealed[20] ^= 1; return k }, "restore the secret file"},
		"another algorithm":       {func(k []store.Key) []store.Key { k[0].Algorithm = "ES256"; return k }, "newer version"},
		"two current keys":        {func(k []store.Key) []store.Key { k[1].State = store.CurrentKey; return k }, "another key's"},
		"two next keys":           {func(k []store.Key) []store.Key { k[0].State = store.NextKey; return k }, "another key's"},
		"a state that is unknown": {func(k []store.Key) []store.Key { k[0].State = "lost"; return k }, "unknown"},
		"no current key":          {func(k []store.Key) []store.Key { return k[1:] }, "not both"},
		"no next key":             {func(k []store.Key) []store.Key { return k[:1] }, "not both"},
		"a short private key": {func(k []store.Key) []store.Key {
			k[0].Sealed = newSealer(t).Seal([]byte("short"), []byte("usher signing key EdDSA "+string(k[0].ID)))
			return k
		}, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(memory)
			m := open(t, s)
			token := sign(t, m, struct{}{})
			s.keys = test.change(s.stored())
			_, err := keys.Open(t.Context(), keys.Config{Store: s, Sealer: newSealer(t), Retain: retain})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Open: %v; want an error that says %q", err, test.says)
			}
			if err := m.Refresh(t.Context()); err == nil {
				t.Error("Refresh accepts it")
			}
			if _, _, err := m.Verify(token, typ); err != nil {
				t.Errorf("a node that has the keys lost them: %v", err)
			}
		})
	}
}

func TestOpenRefusesAnotherSecret(t *testing.T) {
	s := new(memory)
	open(t, s)
	stranger, err := keys.NewSealer(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	_, err = keys.Open(t.Context(), keys.Config{Store: s, Sealer: stranger, Retain: retain})
	if !errors.Is(err, keys.ErrSealed) || !strings.Contains(err.Error(), "restore the secret file") {
		t.Errorf("Open: %v; want an error that says what to do", err)
	}
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

// canaries is a source of random numbers whose every byte can be recognised.
type canaries struct{}

func (canaries) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = "canary!"[i%7]
	}
	return len(b), nil
}

func TestPrivateKeysStayPrivate(t *testing.T) {
	s := new(memory)
	var out bytes.Buffer
	m := open(t, s, func(c *keys.Config) {
		c.Random = canaries{}
		c.IDs = usher.SystemIDs()
		c.Refresh = 1
		c.Logger = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	old := keyIn(t, m, store.CurrentKey)
	rotate(t, m)
	if err := m.Retire(t.Context(), old.ID); err != nil {
		t.Fatal(err)
	}
	token := sign(t, m, map[string]string{"sub": "anna"})
	_, _, err := m.Verify(token+"x", typ)
	fmt.Fprint(&out, err, string(m.JWKS()))
	fmt.Fprintf(&out, "%+v %v %+v %#v", s.stored(), list(t, m), m, m)
	for _, k := range s.stored() {
		out.Write(k.Sealed)
	}
	for _, what := range []string{
		"canary!", hex.EncodeToString([]byte("canary!")), "99 97 110 97 114 121", "0x63, 0x61, 0x6e",
		base64.RawURLEncoding.EncodeToString([]byte("canary!can")[:9]), token,
	} {
		if strings.Contains(out.String(), what) {
			t.Errorf("%q is in what is logged, printed, published or stored", what)
		}
	}
	if !strings.Contains(out.String(), string(old.ID)) {
		t.Error("the log does not tell that a key was retired")
	}
}
