package access_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/identity"
)

func invite(t *testing.T, a *access.Access, r usher.Room, spec access.InviteSpec) access.CreatedInvite {
	t.Helper()
	i, err := a.CreateInvite(t.Context(), shop, string(r.ID), spec)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func redeem(t *testing.T, a *access.Access, code usher.Secret, name string) (access.Redeemed, error) {
	t.Helper()
	return a.Redeem(t.Context(), usher.DefaultApp, code, name)
}

func TestAnInviteLetsAGuestIntoOneRoom(t *testing.T) {
	db := openStore(t)
	var guests *identity.Guests
	a := newAccess(t, db, &bus.Local{}, withGuests(t, db), func(c *access.Config) { guests = c.Guests })
	r, other := newRoom(t, a), openRoom(t, a, shop)
	i := invite(t, a, r, access.InviteSpec{Role: usher.Viewer})
	if i.Code != i.Secret.Digest() || i.Secret == "" || i.By != shop.Key() || time.Until(i.Expires) < 23*time.Hour {
		t.Errorf("got the invite %+v", i.Invite)
	}
	redeemed, err := redeem(t, a, i.Secret, "Gus")
	if err != nil {
		t.Fatal(err)
	}
	// Who calls with the token is who was let in.
	gus, err := guests.Authenticate(t.Context(), identity.Proof{Bearer: redeemed.Token})
	if err != nil {
		t.Fatal(err)
	}
	if gus.Key() != redeemed.Guest.Key() || gus.Kind != usher.GuestIdentity || gus.Name != "Gus" || gus.Room != r.ID || gus.Role != usher.Viewer {
		t.Errorf("the token is of %+v", gus)
	}
	if gus.Expires.After(i.Expires) || gus.IssuedAt.IsZero() {
		t.Errorf("the token is from %v to %v, the invite to %v", gus.IssuedAt, gus.Expires, i.Expires)
	}

	p, err := a.AddParticipant(t.Context(), gus, string(r.ID), access.Place{Role: usher.Host, Name: "The Boss", Lifetime: 1000 * time.Hour}, "")
	if err != nil {
		t.Fatal(err)
	}
	if p.Participant.Name != "Gus" || p.Participant.Role != usher.Viewer || p.Participant.Identity != gus.Key() || p.Participant.Expires.After(gus.Expires) {
		t.Errorf("the guest's place is %+v", p.Participant)
	}
	c, err := a.Claim(t.Context(), p.Participant.Key(), p.Secret)
	if err != nil {
		t.Fatal(err)
	}
	_, conn := attach(t, a, c)
	_, host := attach(t, a, claimed(t, a, r, "Ann"))
	host.waitRoster(t, "Gus (guest) Ann")
	conn.waitRoster(t, "Gus (guest) Ann")

	for name, call := range map[string]func() error{
		"entering another room": func() error { _, err := enter(t, a, gus, other); return err },
		"inviting": func() error {
			_, err := a.CreateInvite(t.Context(), gus, string(r.ID), access.InviteSpec{})
			return err
		},
		"reading who is there": func() error {
			_, _, err := a.Participants(t.Context(), gus, string(r.ID), access.ParticipantFilter{}, access.Page{Limit: 1})
			return err
		},
	} {
		wantCode(t, name, call(), "room_not_found")
	}
	_, err = a.CreateRoom(t.Context(), gus, access.RoomSpec{}, "")
	wantCode(t, "making a room", err, "not_allowed")
}

func TestAGuestIsPutOut(t *testing.T) {
	for name, take := range map[string]func(*testing.T, *access.Access, usher.Room, usher.Identity){
		"a revocation of the guest": func(t *testing.T, a *access.Access, _ usher.Room, gus usher.Identity) {
			revoke(t, a, access.Revocation{Target: usher.Target{Identity: gus.Key()}})
		},
		"a revocation of the room": func(t *testing.T, a *access.Access, r usher.Room, _ usher.Identity) {
			revoke(t, a, access.Revocation{Target: usher.Target{Room: r.ID}})
		},
		"a ban": func(t *testing.T, a *access.Access, r usher.Room, gus usher.Identity) {
			ban(t, a, r, access.BanSpec{Identity: gus.Key()})
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := openStore(t)
			a := newAccess(t, db, &bus.Local{}, withGuests(t, db))
			r := newRoom(t, a)
			redeemed, err := redeem(t, a, invite(t, a, r, access.InviteSpec{}).Secret, "Gus")
			if err != nil {
				t.Fatal(err)
			}
			_, c := entered(t, a, redeemed.Guest, r)
			_, conn := attach(t, a, c)
			take(t, a, r, redeemed.Guest)
			conn.waitEnd(t, access.Revoked)
			if _, err := enter(t, a, redeemed.Guest, r); code(err) != "revoked" && code(err) != "banned" {
				t.Errorf("entering again: %v", err)
			}
		})
	}
}

func TestAnInviteEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openStore(t)
		a := newAccess(t, db, &bus.Local{}, withGuests(t, db))
		r := newRoom(t, a)
		refused := func(what string, code usher.Secret) {
			t.Helper()
			_, err := redeem(t, a, code, "Gus")
			wantCode(t, what, err, "invite_not_found")
		}
		refused("no code", "")
		refused("an unknown code", "abc")
		expired := invite(t, a, r, access.InviteSpec{Expires: time.Now().Add(time.Minute)})
		_, err := a.Redeem(t.Context(), "other", expired.Secret, "Gus")
		wantCode(t, "another app's code", err, "invite_not_found")
		time.Sleep(time.Minute - time.Microsecond)
		if _, err := redeem(t, a, expired.Secret, "Gus"); err != nil {
			t.Errorf("until it expires: %v", err)
		}
		time.Sleep(time.Microsecond)
		refused("an expired code", expired.Secret)

		revoked := invite(t, a, r, access.InviteSpec{})
		for range 2 {
			if i, err := a.RevokeInvite(t.Context(), shop, string(r.ID), revoked.ID); err != nil || i.RevokedAt.IsZero() {
				t.Errorf("got %+v, %v", i, err)
			}
		}
		refused("a revoked code", revoked.Secret)
		_, err = a.RevokeInvite(t.Context(), shop, string(r.ID), r.ID)
		wantCode(t, "revoking what is not there", err, "invite_not_found")

		// What is taken from a room, or from who made the invite, takes the invite.
		before := invite(t, a, r, access.InviteSpec{})
		ann := user("ann")
		if _, err := a.PutMember(t.Context(), shop, string(r.ID), usher.Member{Identity: ann.Key(), Role: usher.Host}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		revoke(t, a, access.Revocation{Target: usher.Target{Room: r.ID}})
		refused("a code from before the room's revocation", before.Secret)
		anns, err := a.CreateInvite(t.Context(), ann, string(r.ID), access.InviteSpec{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		revoke(t, a, access.Revocation{Target: usher.Target{Identity: ann.Key()}})
		refused("a code of somebody revoked", anns.Secret)

		list, more, err := a.Invites(t.Context(), shop, string(r.ID), access.Page{Limit: 3})
		if err != nil || !more || len(list) != 3 || list[0].ID != expired.ID || list[0].Uses != 1 {
			t.Errorf("got %+v, %v, %v", list, more, err)
		}
		last := invite(t, a, r, access.InviteSpec{})
		if _, err := a.EndRoom(t.Context(), shop, string(r.ID), ""); err != nil {
			t.Fatal(err)
		}
		refused("a code of an ended room", last.Secret)
	})
}

func TestNoMoreUsesThanAllowed(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{}, withGuests(t, db))
	r := newRoom(t, a)
	i := invite(t, a, r, access.InviteSpec{MaxUses: 7})
	// Names that can't be used use nothing up.
	for _, name := range []string{"", " Gus", "Gus\n", strings.Repeat("x", 101), strings.Repeat("x", 129), "\u202egus"} {
		if _, err := redeem(t, a, i.Secret, name); err == nil || usher.AsError(err).Kind != usher.Invalid {
			t.Errorf("the name %q: got %v", name, err)
		}
	}
	var good atomic.Int64
	var all sync.WaitGroup
	keys := make(chan string, 200)
	for range 200 {
		all.Go(func() {
			redeemed, err := a.Redeem(context.Background(), usher.DefaultApp, i.Secret, "Gus")
			if err == nil {
				good.Add(1)
				keys <- redeemed.Guest.Key()
			} else if code(err) != "invite_not_found" {
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(keys)
	if good.Load() != 7 {
		t.Errorf("%d guests were let in, want 7", good.Load())
	}
	different := make(map[string]bool)
	for key := range keys {
		different[key] = true
	}
	if len(different) != 7 {
		t.Errorf("the guests are %d different ones", len(different))
	}
	list, _, err := a.Invites(t.Context(), shop, string(r.ID), access.Page{Limit: 10})
	if err != nil || list[0].Uses != 7 {
		t.Errorf("got %+v, %v", list, err)
	}
}

// A guest who was told that there is no such invite would not try again.
func TestADiskThatFailsLeavesAnInviteAsItIs(t *testing.T) {
	db := &full{DB: openStore(t)}
	a := newAccess(t, db, &bus.Local{}, withGuests(t, db))
	i := invite(t, a, newRoom(t, a), access.InviteSpec{MaxUses: 1})
	db.full.Store(true)
	_, err := redeem(t, a, i.Secret, "Gus")
	wantCode(t, "while the disk is full", err, "storage_full")
	db.full.Store(false)
	db.blind.Store(true)
	_, err = redeem(t, a, i.Secret, "Gus")
	wantCode(t, "while it can't be read", err, "storage_unavailable")
	db.blind.Store(false)
	if _, err := redeem(t, a, i.Secret, "Gus"); err != nil {
		t.Errorf("when it can be used: %v", err)
	}
}

func TestAGuestCantTakeAMembersName(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{}, withGuests(t, db))
	r := newRoom(t, a)
	i := invite(t, a, r, access.InviteSpec{MaxUses: 1})
	if _, err := a.PutMember(t.Context(), shop, string(r.ID), usher.Member{Identity: "user:x#ann", Role: usher.Host, Name: "Änn Lee"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Änn Lee", "änn lee", "ÄNN LEE"} {
		_, err := redeem(t, a, i.Secret, name)
		wantCode(t, name, err, "name_taken")
	}
	if _, err := redeem(t, a, i.Secret, "Änn"); err != nil {
		t.Errorf("another name: %v", err)
	}
}

func TestInvitesThatMakeNoSense(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{}, withGuests(t, db))
	r := newRoom(t, a)
	for name, spec := range map[string]access.InviteSpec{
		"a role that may moderate": {Role: usher.Host}, "an unknown role": {Role: "king"},
		"fewer uses than none": {MaxUses: -1}, "uses without number": {MaxUses: 1_000_001},
		"the past": {Expires: time.Now().Add(-time.Second)}, "a year": {Expires: time.Now().AddDate(1, 0, 0)},
	} {
		_, err := a.CreateInvite(t.Context(), shop, string(r.ID), spec)
		wantCode(t, name, err, "invite_invalid")
	}
}
