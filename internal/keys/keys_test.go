package keys_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

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
