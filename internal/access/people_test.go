package access_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/identity"
	"usher/internal/keys"
	"usher/internal/policy"
	"usher/internal/store"
)

const issuer = "https://idp.example"

// user is somebody who has just signed in.
func user(name string, groups ...string) usher.Identity {
	return usher.Identity{
		App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: issuer, Subject: name, Name: name,
		Groups: groups, IssuedAt: time.Now(), Proof: "token of " + issuer + ", key k1",
	}
}

// backend is a client with an id as real ones have, who has just proven itself.
func backend() usher.Identity {
	return usher.Identity{
		App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: string(usher.SystemIDs().New()), Name: "Back end",
		Scopes: usher.AllScopes, IssuedAt: time.Now(), Proof: "api key",
	}
}

// actingFor is a user for whom a back end acts.
func actingFor(client usher.Identity, name string) usher.Identity {
	id := user(name)
	id.Actor, id.IssuedAt = client.Key(), client.IssuedAt
	return id
}

// withGuests lets a node make the tokens of guests.
func withGuests(t *testing.T, db store.DB) func(*access.Config) {
	t.Helper()
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Open(t.Context(), keys.Config{Store: db.Keys(), Sealer: sealer, Retain: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *access.Config) {
		c.Keys = ring
		c.Guests = &identity.Guests{Keys: ring, Issuer: "https://usher.example", Now: time.Now, Lifetime: 24 * time.Hour}
	}
}

// lossy is a bus that loses everything.
type lossy struct{}

var _ bus.Bus = lossy{}

func (lossy) Publish(string, []byte)                {}
func (lossy) Subscribe(string, func([]byte)) func() { return func() {} }

// run starts a node as a server does. The returned function stops it and waits
// until what it was told is written.
func run(t *testing.T, a *access.Access) (stop func()) {
	t.Helper()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { a.Run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
		limit, done := context.WithTimeout(context.Background(), time.Second)
		defer done()
		_ = a.Close(limit) // connections that a test leaves open are not waited for
	}
	t.Cleanup(stop)
	return stop
}

func enter(t *testing.T, a *access.Access, id usher.Identity, r usher.Room) (access.Invited, error) {
	t.Helper()
	return a.AddParticipant(t.Context(), id, string(r.ID), access.Place{}, "")
}

// entered takes a place for oneself and claims it.
func entered(t *testing.T, a *access.Access, id usher.Identity, r usher.Room) (access.Invited, access.Claimed) {
	t.Helper()
	p, err := enter(t, a, id, r)
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Claim(t.Context(), p.Participant.Key(), p.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

// openRoom is one that every known user may enter.
func openRoom(t *testing.T, a *access.Access, owner usher.Identity) usher.Room {
	t.Helper()
	r, err := a.CreateRoom(t.Context(), owner, access.RoomSpec{Admission: usher.AdmitOpen}, "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func revoke(t *testing.T, a *access.Access, v access.Revocation) usher.Taking {
	t.Helper()
	taking, err := a.Revoke(t.Context(), operator, v)
	if err != nil {
		t.Fatal(err)
	}
	return taking
}

func ban(t *testing.T, a *access.Access, r usher.Room, spec access.BanSpec) usher.Taking {
	t.Helper()
	taking, err := a.Ban(t.Context(), shop, string(r.ID), spec)
	if err != nil {
		t.Fatal(err)
	}
	return taking
}

// refusal is an error that a caller was refused with.
func refusal(t *testing.T, err error) *usher.Error {
	t.Helper()
	e, ok := errors.AsType[*usher.Error](err)
	if !ok {
		t.Fatalf("got %v, want a refusal", err)
	}
	return e
}

func wantCode(t *testing.T, what string, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Errorf("%s: got %q (%v), want %q", what, got, err, want)
	}
}

// wantVoid is that nothing can be done any more with a place that somebody has.
func wantVoid(t *testing.T, a *access.Access, p access.Invited, c access.Claimed) {
	t.Helper()
	_, err := a.Claim(t.Context(), p.Participant.Key(), p.Secret)
	wantCode(t, "a claim", err, "participant_not_found")
	_, err = a.Attach(t.Context(), c.Participant.Key(), c.Token, newConnection())
	wantCode(t, "an attachment", err, "token_invalid")
}

// wantSeats waits until so many seats of a room are taken, which the end of a
// connection writes down in the background.
func wantSeats(t *testing.T, a *access.Access, r usher.Room, want int) {
	t.Helper()
	late := time.After(patience)
	for {
		got, err := a.Room(t.Context(), operator, string(r.ID))
		if err != nil {
			t.Fatal(err)
		}
		if got.Taken == want {
			return
		}
		select {
		case <-late:
			t.Fatalf("%d seats are taken, want %d", got.Taken, want)
		case <-time.After(time.Millisecond):
		}
	}
}

func strictPolicy(c *access.Config) { c.Policy.Excess = policy.Refuse }
