package access_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
)

func pemOf(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func ed25519Key(t *testing.T) string {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf(t, pub)
}

func TestClientsThatAreRefused(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := ed25519Key(t)
	tests := []struct {
		name   string
		spec   access.ClientSpec
		field  string
		within string // of the message
	}{
		{"no name", access.ClientSpec{PublicKey: good}, "name", "empty"},
		{"a name with spaces around", access.ClientSpec{Name: " shop", PublicKey: good}, "name", "space"},
		{"a name in two lines", access.ClientSpec{Name: "a\nb", PublicKey: good}, "name", "printed"},
		{"a name of 129 bytes", access.ClientSpec{Name: strings.Repeat("x", 129), PublicKey: good}, "name", "more than 128"},
		{"no key", access.ClientSpec{Name: "shop"}, "public_key", "PEM"},
		{"a short RSA key", access.ClientSpec{Name: "shop", PublicKey: pemOf(t, &small.PublicKey)}, "public_key", "4096"},
		{"a key on P-256", access.ClientSpec{Name: "shop", PublicKey: pemOf(t, &p256.PublicKey)}, "public_key", "P-384"},
		{"no scope", access.ClientSpec{Name: "shop", PublicKey: good, Scopes: usher.Scopes{}}, "scopes", "meeting:create, meeting:read"},
		{"an unknown scope", access.ClientSpec{Name: "shop", PublicKey: good, Scopes: usher.Scopes{"meeting:read", "all"}}, "scopes", "participant:read, participant:write"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := a.AddClient(t.Context(), operator, tt.spec, "")
			e := usher.AsError(err)
			if e.Code != "client_invalid" || len(e.Fields) != 1 || e.Fields[0].Field != tt.field || !strings.Contains(e.Fields[0].Message, tt.within) {
				t.Errorf("got %v with %v, want a problem of %s about %q", err, e.Fields, tt.field, tt.within)
			}
		})
	}
	if all, _, err := a.Clients(t.Context(), operator, access.Page{Limit: 9}); err != nil || len(all) != 0 {
		t.Errorf("got %d clients, %v, want none", len(all), err)
	}
}

func TestAClientFromItsRegistrationToItsEnd(t *testing.T) {
	now := time.Date(2026, time.November, 20, 8, 30, 0, 123456789, time.UTC)
	a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) { c.Now = func() time.Time { return now } })
	c, err := a.AddClient(t.Context(), operator, access.ClientSpec{Name: "shop", PublicKey: ed25519Key(t)}, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(usher.DefaultScopes, c.Scopes); diff != "" || !c.NotBefore.IsZero() || c.Revoked() || c.Version != 1 {
		t.Errorf("registered: got %+v; scopes:\n%s", c, diff)
	}
	few, err := a.AddClient(t.Context(), operator, access.ClientSpec{Name: "reader", PublicKey: ed25519Key(t), Scopes: usher.Scopes{usher.ParticipantRead, usher.MeetingRead, usher.MeetingRead}}, "")
	if diff := cmp.Diff(usher.Scopes{usher.MeetingRead, usher.ParticipantRead}, few.Scopes); diff != "" || err != nil {
		t.Errorf("with few scopes: %v\n%s", err, diff)
	}

	now = now.Add(time.Hour)
	key := ed25519Key(t)
	rotated, err := a.RotateClient(t.Context(), operator, c.ID, access.ClientKeys{PublicKey: key})
	if err != nil || rotated.PublicKey != key || !rotated.NotBefore.Equal(now.Truncate(time.Microsecond)) || rotated.Version != 2 {
		t.Errorf("rotated: got %+v, %v, want the new key, and nothing from before %s", rotated, err, now)
	}
	if _, err := a.RotateClient(t.Context(), operator, c.ID, access.ClientKeys{PublicKey: "x"}); code(err) != "client_invalid" {
		t.Errorf("rotated to no key: got %v", err)
	}

	revoked, err := a.RevokeClient(t.Context(), operator, c.ID)
	if err != nil || !revoked.Revoked() || revoked.PublicKey != key {
		t.Errorf("revoked: got %+v, %v", revoked, err)
	}
	if _, err := a.RevokeClient(t.Context(), operator, c.ID); code(err) != "client_revoked" {
		t.Errorf("revoked again: got %v", err)
	}
	if _, err := a.RotateClient(t.Context(), operator, c.ID, access.ClientKeys{PublicKey: key}); code(err) != "client_revoked" {
		t.Errorf("rotated after its end: got %v", err)
	}
	got, err := a.Client(t.Context(), operator, c.ID)
	if diff := cmp.Diff(revoked, got); diff != "" || err != nil {
		t.Errorf("read: %v\n%s", err, diff)
	}
}

func TestClientsOfAnotherAppAreNotThere(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	c, err := a.AddClient(t.Context(), operator, access.ClientSpec{Name: "shop", PublicKey: ed25519Key(t)}, "")
	if err != nil {
		t.Fatal(err)
	}
	other := operator
	other.App = "other"
	for name, call := range map[string]func() error{
		"Client": func() error { _, err := a.Client(t.Context(), other, c.ID); return err },
		"RotateClient": func() error {
			_, err := a.RotateClient(t.Context(), other, c.ID, access.ClientKeys{PublicKey: c.PublicKey})
			return err
		},
		"RevokeClient": func() error { _, err := a.RevokeClient(t.Context(), other, c.ID); return err },
	} {
		if err := call(); code(err) != "client_not_found" {
			t.Errorf("%s: got %v, want client_not_found", name, err)
		}
	}
	if all, _, err := a.Clients(t.Context(), other, access.Page{Limit: 9}); err != nil || len(all) != 0 {
		t.Errorf("Clients: got %v, %v, want none", all, err)
	}
}

func TestOnlyOperatorsManageClients(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	for name, call := range map[string]func(usher.Identity) error{
		"AddClient": func(id usher.Identity) error {
			_, err := a.AddClient(t.Context(), id, access.ClientSpec{}, "")
			return err
		},
		"Clients": func(id usher.Identity) error {
			_, _, err := a.Clients(t.Context(), id, access.Page{Limit: 1})
			return err
		},
		"Client": func(id usher.Identity) error { _, err := a.Client(t.Context(), id, "x"); return err },
		"RotateClient": func(id usher.Identity) error {
			_, err := a.RotateClient(t.Context(), id, "x", access.ClientKeys{})
			return err
		},
		"RevokeClient": func(id usher.Identity) error { _, err := a.RevokeClient(t.Context(), id, "x"); return err },
	} {
		if err := call(shop); code(err) != "operators_only" {
			t.Errorf("%s by a client: got %v, want operators_only", name, err)
		}
		if err := call(usher.Identity{}); code(err) != "credentials_required" {
			t.Errorf("%s by nobody: got %v, want credentials_required", name, err)
		}
	}
}

func TestOneNameIsRegisteredOnce(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	key := ed25519Key(t)
	var won atomic.Int64
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			_, err := a.AddClient(t.Context(), operator, access.ClientSpec{Name: "shop", PublicKey: key}, "")
			switch code(err) {
			case "":
				won.Add(1)
			case "client_exists":
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d clients got the name, want 1", won.Load())
	}
}
