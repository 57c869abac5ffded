package keys_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"usher/internal/keys"
	"usher/internal/store"
)

// memory is a store.Keys that nodes of one test share.
type memory struct {
	mu    sync.Mutex
	keys  []store.Key
	reads int
	err   error // answers everything, if set
}

// clone copies the keys with what they point to, as reading from a disk does.
func clone(list []store.Key) []store.Key {
	list = slices.Clone(list)
	for i := range list {
		list[i].Sealed = slices.Clone(list[i].Sealed)
	}
	return list
}

func (m *memory) List(ctx context.Context) ([]store.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if m.err != nil {
		return nil, m.err
	}
	return clone(m.keys), ctx.Err()
}

func (m *memory) Change(ctx context.Context, change func([]store.Key) ([]store.Key, error)) ([]store.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	changed, err := change(clone(m.keys))
	switch {
	case errors.Is(err, store.ErrUnchanged):
		return clone(m.keys), nil
	case err != nil:
		return nil, err
	}
	m.keys = clone(changed)
	return changed, nil
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *memory) stored() []store.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	return clone(m.keys)
}

// readsDuring counts how often f makes somebody read the store.
func (m *memory) readsDuring(f func()) int {
	m.mu.Lock()
	before := m.reads
	m.mu.Unlock()
	f()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads - before
}

const (
	retain  = time.Hour
	refresh = time.Second
	typ     = "at+jwt"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

func newSealer(t testing.TB) *keys.Sealer {
	t.Helper()
	s, err := keys.NewSealer(secret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open returns a node on the store; change adapts its configuration.
func open(t testing.TB, s store.Keys, change ...func(*keys.Config)) *keys.Manager {
	t.Helper()
	c := keys.Config{Store: s, Sealer: newSealer(t), Retain: retain, Refresh: refresh}
	for _, f := range change {
		f(&c)
	}
	m, err := keys.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func sign(t testing.TB, m *keys.Manager, claims any) string {
	t.Helper()
	token, err := m.Sign(claims, typ)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func list(t testing.TB, m *keys.Manager) []keys.Key {
	t.Helper()
	l, err := m.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// keyIn returns the only key in a state.
func keyIn(t testing.TB, m *keys.Manager, state store.KeyState) keys.Key {
	t.Helper()
	var found []keys.Key
	for _, k := range list(t, m) {
		if k.State == state {
			found = append(found, k)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d keys are %s, want 1", len(found), state)
	}
	return found[0]
}

func rotate(t testing.TB, m *keys.Manager) keys.Key {
	t.Helper()
	k, err := m.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// published returns the kids in a node's JWKS.
func published(t testing.TB, m *keys.Manager) []string {
	t.Helper()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(m.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, k := range set.Keys {
		kids = append(kids, k.Kid)
	}
	return kids
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
