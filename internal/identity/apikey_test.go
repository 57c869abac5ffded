package identity_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/identity"
	"usher/internal/store"
)

func (w *world) apiKeys() *identity.APIKeys {
	return &identity.APIKeys{Clients: w.db.Clients(), Now: w.clock, Logger: slog.New(slog.NewTextHandler(w.log, nil))}
}

// apiKey gives a client a key.
func (w *world) apiKey(t testing.TB, c usher.Client) usher.Secret {
	t.Helper()
	key, digest, err := identity.NewAPIKey(c.ID, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.change(t, c.ID, func(c *usher.Client) { c.APIKey = digest })
	return key
}

func TestAnAPIKeyShowsItsClient(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, edKey(t), usher.MeetingRead, usher.MeetingCreate)
	key := w.apiKey(t, c)
	w.change(t, c.ID, func(c *usher.Client) { c.Expires = start.Add(time.Hour) })
	if form := regexp.MustCompile(`^usher_[a-z2-7]{26}_[A-Za-z0-9_-]{43}$`); !form.MatchString(key.Reveal()) {
		t.Errorf("the key has not the form %s", form)
	}
	got, err := w.apiKeys().Authenticate(t.Context(), identity.Proof{Bearer: key})
	if err != nil {
		t.Fatal(err)
	}
	want := usher.Identity{
		App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: string(c.ID), Name: c.Name,
		Scopes: usher.Scopes{usher.MeetingRead, usher.MeetingCreate}, Proof: "api key",
		IssuedAt: c.CreatedAt(), Expires: start.Add(time.Hour),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the identity differs (-want +got):\n%s", diff)
	}
	// What is issued before a rotation can be told from what came after.
	rotated := start.Add(time.Minute)
	w.change(t, c.ID, func(c *usher.Client) { c.NotBefore = rotated })
	if got, err = w.apiKeys().Authenticate(t.Context(), identity.Proof{Bearer: key}); err != nil || !got.IssuedAt.Equal(rotated) {
		t.Errorf("after a rotation it was issued at %s, %v; want %s", got.IssuedAt, err, rotated)
	}
}

func TestAPIKeysThatAreRefused(t *testing.T) {
	w := newWorld(t)
	client := func(change func(*usher.Client)) usher.Secret {
		c := w.client(t, edKey(t), usher.MeetingRead)
		key := w.apiKey(t, c)
		w.change(t, c.ID, change)
		return key
	}
	keep := func(*usher.Client) {}
	good := client(keep)
	text := good.Reveal()
	none := w.client(t, edKey(t))
	another := client(keep).Reveal()
	old := client(keep)
	oldID, _ := identity.ParseAPIKey(old)
	w.change(t, oldID, func(c *usher.Client) { c.APIKey = good.Digest() })
	flipped := "A"
	if strings.HasSuffix(text, "A") {
		flipped = "E"
	}
	for name, test := range map[string]struct {
		key  usher.Secret
		want error
	}{
		"a good one":                       {good, nil},
		"nothing":                          {"", identity.ErrNotMine},
		"another prefix":                   {usher.Secret("sk_" + text), identity.ErrNotMine},
		"the prefix in capitals":           {usher.Secret("USHER_" + text[6:]), identity.ErrNotMine},
		"a JWT":                            {usher.Secret(b64("{}") + "." + b64("{}") + "." + b64("x")), identity.ErrNotMine},
		"the prefix alone":                 {"usher_", identity.ErrBad},
		"half":                             {usher.Secret(text[:40]), identity.ErrBad},
		"one character less":               {usher.Secret(text[:len(text)-1]), identity.ErrBad},
		"one character more":               {usher.Secret(text + "A"), identity.ErrBad},
		"another last character":           {usher.Secret(text[:len(text)-1] + flipped), identity.ErrBad},
		"the secret of another client":     {usher.Secret(text[:33] + another[33:]), identity.ErrBad},
		"a client that is unknown":         {usher.Secret("usher_" + string(w.ids.New()) + text[32:]), identity.ErrBad},
		"a client's id that is none":       {usher.Secret("usher_" + strings.Repeat("a", 25) + "7" + text[32:]), identity.ErrBad},
		"a client without a key":           {usher.Secret("usher_" + string(none.ID) + text[32:]), identity.ErrBad},
		"a key that was replaced":          {old, identity.ErrBad},
		"a client that is revoked":         {client(func(c *usher.Client) { c.RevokedAt = start }), identity.ErrBad},
		"a client that expires now":        {client(func(c *usher.Client) { c.Expires = start }), identity.ErrBad},
		"a client that expires in a while": {client(func(c *usher.Client) { c.Expires = start.Add(time.Millisecond) }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := w.apiKeys().Authenticate(t.Context(), identity.Proof{Bearer: test.key})
			if !errors.Is(err, test.want) || got.Known() != (test.want == nil) {
				t.Errorf("%+v, %v; want %v", got, err, test.want)
			}
			if err != nil && test.key != "" && strings.Contains(err.Error(), test.key.Reveal()) {
				t.Error("the error has the key in it")
			}
		})
	}
	if _, err := (&identity.APIKeys{Clients: brokenClients{}, Now: w.clock}).Authenticate(t.Context(), identity.Proof{Bearer: good}); usher.AsError(err).Kind != usher.Internal {
		t.Errorf("our own failure is %v, want an internal one", err)
	}
	if _, _, err := identity.NewAPIKey(none.ID, io.LimitReader(rand.Reader, 31)); err == nil {
		t.Error("a key was made without enough randomness")
	}
}

// countedClients tells of each update that changes something.
type countedClients struct {
	store.Clients
	updated chan usher.Client
}

func (c countedClients) Update(ctx context.Context, id usher.ID, change func(usher.Client) (usher.Client, error)) (usher.Client, error) {
	changed := false
	client, err := c.Clients.Update(ctx, id, func(old usher.Client) (usher.Client, error) {
		new, err := change(old)
		changed = err == nil
		return new, err
	})
	if changed {
		c.updated <- client
	}
	return client, err
}

func TestALastUseIsWrittenOnceAMinute(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, edKey(t))
	key := w.apiKey(t, c)
	keys := w.apiKeys()
	counted := countedClients{keys.Clients, make(chan usher.Client, 100)}
	keys.Clients = counted
	call := func() {
		t.Helper()
		for range 10 {
			if _, err := keys.Authenticate(t.Context(), identity.Proof{Bearer: key}); err != nil {
				t.Fatal(err)
			}
		}
	}
	call() // before anything runs
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		keys.Run(ctx)
	}()
	if got := (<-counted.updated).LastUsed; !got.Equal(start) {
		t.Errorf("last used at %s, want %s", got, start)
	}
	w.pass(59 * time.Second)
	call()
	w.pass(time.Second)
	call()
	if got := (<-counted.updated).LastUsed; !got.Equal(start.Add(time.Minute)) {
		t.Errorf("last used at %s, want a minute after the first use", got)
	}
	w.pass(time.Hour)
	stop()
	<-done
	if n := len(counted.updated); n != 0 {
		t.Errorf("%d more writes, want none", n)
	}
	// What was noted when all ends is written all the same.
	call()
	keys.Run(ctx)
	if got := (<-counted.updated).LastUsed; !got.Equal(start.Add(time.Hour + time.Minute)) {
		t.Errorf("last used at %s, want that of the last call", got)
	}
	if w.log.Len() > 0 {
		t.Errorf("the log says %s", w.log)
	}
}

func FuzzParseAPIKey(f *testing.F) {
	id := usher.SystemIDs().New()
	key, _, err := identity.NewAPIKey(id, rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key.Reveal())
	f.Add("usher_")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		id, ok := identity.ParseAPIKey(usher.Secret(text))
		if ok && (len(text) != 76 || text[:33] != "usher_"+string(id)+"_") {
			t.Errorf("%q is a key of %q", text, id)
		}
	})
}
