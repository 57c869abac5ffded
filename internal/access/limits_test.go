package access_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/limit"
)

func limited(config limit.Config) func(*access.Config) {
	return func(c *access.Config) { c.Limits = config }
}

// wantLimited is a refusal with a time to wait for.
func wantLimited(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: not limited", what)
		return
	}
	if e := usher.AsError(err); e.Kind != usher.TooMany || e.Code != "rate_limited" || e.RetryAfter <= 0 || e.RetryAfter > time.Minute {
		t.Errorf("%s: got %+v, want to be limited for a while", what, e)
	}
}

func TestEachIdentityHasItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		favourite := backend()
		a := newAccess(t, openStore(t), &bus.Local{}, limited(limit.Config{
			Mint:    limit.Rate{Count: 3, Per: time.Minute},
			Clients: map[string]limit.Rate{favourite.Subject: {Count: 5, Per: time.Minute}},
		}))
		r := openRoom(t, a, operator)
		calls := func(id usher.Identity, good int) {
			t.Helper()
			for i := range good {
				if _, err := enter(t, a, id, r); err != nil && code(err) != "room_not_found" {
					t.Errorf("%s, call %d: %v", id.Key(), i, err)
				}
			}
			_, err := enter(t, a, id, r)
			wantLimited(t, id.Key(), err)
		}
		calls(user("ann"), 3)
		calls(user("ben"), 3)
		calls(favourite, 5)
		other := backend()
		// Whoever acts for many has one limit.
		calls(actingFor(other, "cid"), 3)
		_, err := enter(t, a, actingFor(other, "dan"), r)
		wantLimited(t, "the same back end for another", err)
		_, err = a.CreateRoom(t.Context(), other, access.RoomSpec{}, "")
		wantLimited(t, "a room", err)

		// To read and to take away stays possible, and whoever is on the machine
		// is not limited.
		if _, err := a.Room(t.Context(), operator, string(r.ID)); err != nil {
			t.Error(err)
		}
		for range 10 {
			if _, err := enter(t, a, operator, r); err != nil {
				t.Errorf("an operator on the machine: %v", err)
			}
		}
		time.Sleep(time.Minute)
		calls(user("ann"), 3)
	})
}

func TestEachRoomHasItsLimit(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, limited(limit.Config{Room: limit.Rate{Count: 3, Per: time.Minute}}))
	r, other := newRoom(t, a), openRoom(t, a, shop)
	// Strangers knock, and use nothing up.
	for range 10 {
		_, err := enter(t, a, user("ann"), r)
		wantCode(t, "a stranger", err, "not_member")
	}
	for range 3 {
		if _, err := enter(t, a, shop, r); err != nil {
			t.Error(err)
		}
	}
	_, err := enter(t, a, shop, r)
	wantLimited(t, "the fourth", err)
	if _, err := enter(t, a, shop, other); err != nil {
		t.Errorf("another room: %v", err)
	}
	if _, err := a.EndRoom(t.Context(), shop, string(r.ID), ""); err != nil {
		t.Errorf("ending it: %v", err)
	}
}

func TestGuessesAreLimitedAndTheOwnerOfTheSecretIsNot(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, limited(limit.Config{Claim: limit.Rate{Count: 3, Per: time.Minute}}))
	r := newRoom(t, a)
	p, err := enter(t, a, shop, r)
	if err != nil {
		t.Fatal(err)
	}
	key := p.Participant.Key()
	wrong := usher.Secret(strings.Repeat("x", 43))
	for range 3 {
		_, err := a.Claim(t.Context(), key, wrong)
		wantCode(t, "a guess", err, "participant_not_found")
	}
	_, err = a.Claim(t.Context(), key, wrong)
	wantLimited(t, "the fourth guess", err)
	if _, err := a.Claim(t.Context(), key, p.Secret); err != nil {
		t.Errorf("who has the secret: %v", err)
	}
	unknown := key
	unknown.ID = usher.SystemIDs().New()
	for range 3 {
		_, err := a.Claim(t.Context(), unknown, wrong)
		wantCode(t, "a guess at nobody", err, "participant_not_found")
	}
	_, err = a.Claim(t.Context(), unknown, wrong)
	wantLimited(t, "the fourth guess at nobody", err)
}

// The public is limited by its addresses: as one identity, any of it could use
// up what is there for all.
func TestThePublicIsNotOneCaller(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, limited(limit.Config{Mint: limit.Rate{Count: 1, Per: time.Minute}}))
	public := usher.Identity{App: usher.DefaultApp, Kind: usher.PublicIdentity, Subject: "anyone", Role: usher.Viewer}
	for range 3 {
		_, err := a.Issue(t.Context(), public, "none", "x")
		wantCode(t, "the public", err, "platform_not_configured")
	}
}

func TestABurstIsOneLineInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a := newAccess(t, openStore(t), &bus.Local{}, limited(limit.Config{Mint: limit.Rate{Count: 3, Per: time.Minute}}), func(c *access.Config) {
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		for range 200 {
			_, _ = a.CreateRoom(t.Context(), user("ann"), access.RoomSpec{}, "")
		}
		if got := strings.Count(log.String(), "a limit was met"); got != 1 {
			t.Errorf("%d lines for a burst, want 1:\n%s", got, log.String())
		}
		time.Sleep(2 * time.Minute)
		for range 200 {
			_, _ = a.CreateRoom(t.Context(), user("ann"), access.RoomSpec{}, "")
		}
		if got := strings.Count(log.String(), "a limit was met"); got != 2 {
			t.Errorf("%d lines for two bursts, want 2:\n%s", got, log.String())
		}
	})
}
