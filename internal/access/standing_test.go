package access_test

import (
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/policy"
)

// put makes somebody a member of a room with that role.
func put(t *testing.T, a *access.Access, by usher.Identity, r usher.Room, key string, role usher.Role) error {
	t.Helper()
	_, err := a.PutMember(t.Context(), by, string(r.ID), usher.Member{Identity: key, Role: role})
	return err
}

func TestAConnectionEndsWithItsGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccess(t, openStore(t), &bus.Local{})
		run(t, a)
		r := newRoom(t, a)
		p, err := a.AddParticipant(t.Context(), shop, string(r.ID), access.Place{Name: "ann", Lifetime: time.Minute}, "")
		if err != nil {
			t.Fatal(err)
		}
		c, err := a.Claim(t.Context(), p.Participant.Key(), p.Secret)
		if err != nil {
			t.Fatal(err)
		}
		at, conn := attach(t, a, c)
		time.Sleep(59 * time.Second)
		if ends, _ := conn.state(); len(ends) > 0 {
			t.Fatalf("put out before the end: %v", ends)
		}
		wantSeats(t, a, r, 1)
		time.Sleep(3 * time.Second)
		if ends, _ := conn.state(); len(ends) != 1 || ends[0].Why != access.Removed || ends[0].Message == "" {
			t.Errorf("a second after the end the connection was told %v", ends)
		}
		at.Lose()
		wantSeats(t, a, r, 0)
		if _, err := a.Claim(t.Context(), p.Participant.Key(), p.Secret); err == nil {
			t.Error("the place is claimed again")
		}
	})
}

func TestABannedHostDoesNothingInTheRoom(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{}, withGuests(t, db))
	r := newRoom(t, a)
	hana := user("hana")
	if err := put(t, a, shop, r, hana.Key(), usher.Host); err != nil {
		t.Fatal(err)
	}
	code, err := a.CreateInvite(t.Context(), hana, string(r.ID), access.InviteSpec{})
	if err != nil {
		t.Fatal(err)
	}
	b := ban(t, a, r, access.BanSpec{Identity: hana.Key()})

	wantCode(t, "lifting its own ban", a.Unban(t.Context(), hana, string(r.ID), b.ID), "banned")
	_, err = a.CreateInvite(t.Context(), hana, string(r.ID), access.InviteSpec{})
	wantCode(t, "inviting others", err, "banned")
	_, err = a.Room(t.Context(), hana, string(r.ID))
	wantCode(t, "reading the room", err, "banned")
	_, err = a.EndRoom(t.Context(), hana, string(r.ID), "")
	wantCode(t, "ending the room", err, "banned")
	_, err = redeem(t, a, code.Secret, "Gus")
	wantCode(t, "its earlier invite", err, "invite_not_found")

	if err := a.Unban(t.Context(), shop, string(r.ID), b.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Room(t.Context(), hana, string(r.ID)); err != nil {
		t.Errorf("after the ban was lifted: %v", err)
	}
}

func TestNobodyGivesMoreThanTheyMay(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) {
		c.Policy.Roles = map[string][]string{"warden": {"join", "subscribe", "moderate"}}
		if problems := c.Policy.Validate(); len(problems) > 0 {
			t.Fatal(problems)
		}
	})
	r := newRoom(t, a)
	wes := user("wes")
	if err := put(t, a, shop, r, wes.Key(), "warden"); err != nil {
		t.Fatal(err)
	}
	for role, code := range map[usher.Role]string{usher.Host: "role_exceeds", usher.Speaker: "role_exceeds", usher.Viewer: "", "warden": ""} {
		err := put(t, a, wes, r, user("xia").Key(), role)
		if code == "" && err != nil {
			t.Errorf("giving %s: %v", role, err)
		} else if code != "" {
			wantCode(t, "giving "+string(role), err, code)
		}
	}
	wantCode(t, "promoting oneself", put(t, a, wes, r, wes.Key(), usher.Host), "role_exceeds")
	for _, role := range []usher.Role{usher.Speaker, ""} { // a speaker, and what is usual
		_, err := a.CreateInvite(t.Context(), wes, string(r.ID), access.InviteSpec{Role: role})
		wantCode(t, "inviting as "+string(role), err, "role_exceeds")
	}
	if v := policy.New(policy.DefaultConfig()).Decide(policy.Request{Identity: operator, Action: policy.ManageRoom, Room: &r, Role: usher.Host}, time.Now()); !v.Allowed {
		t.Errorf("an operator can't make a host: %v", v.Err)
	}
}

// Whoever has the secret of a place has its role.
func TestOnlyWhoCouldMakeAPlaceRenewsItsSecret(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) {
		c.Policy.Roles = map[string][]string{"warden": {"join", "subscribe", "moderate"}}
	})
	r := newRoom(t, a)
	wes := user("wes")
	if err := put(t, a, shop, r, wes.Key(), "warden"); err != nil {
		t.Fatal(err)
	}
	for role, want := range map[usher.Role]string{usher.Host: "role_exceeds", usher.Speaker: "role_exceeds", usher.Viewer: "", "warden": ""} {
		p, err := a.AddParticipant(t.Context(), shop, string(r.ID), access.Place{Role: role, Name: "Ann"}, "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.RenewSecret(t.Context(), wes, string(r.ID), p.Participant.ID)
		wantCode(t, "a "+string(role)+"'s, by a warden", err, want)
		if want != "" {
			if _, err := a.Claim(t.Context(), p.Participant.Key(), p.Secret); err != nil {
				t.Errorf("the secret of before: %v", err)
			}
			continue
		}
		if _, err := a.RenewSecret(t.Context(), shop, string(r.ID), p.Participant.ID); err != nil {
			t.Errorf("a %s's, by the owner: %v", role, err)
		}
	}
	_, err := a.RenewSecret(t.Context(), wes, string(r.ID), r.ID)
	wantCode(t, "that of nobody", err, "participant_not_found")
}

func TestGuestsGoWithTheBackEndThatInvitedThem(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{}, withGuests(t, db))
	owner := backend()
	r := openRoom(t, a, owner)
	code, err := a.CreateInvite(t.Context(), owner, string(r.ID), access.InviteSpec{})
	if err != nil {
		t.Fatal(err)
	}
	redeemed, err := redeem(t, a, code.Secret, "Gus")
	if err != nil {
		t.Fatal(err)
	}
	_, c := entered(t, a, redeemed.Guest, r)
	_, conn := attach(t, a, c)
	revoke(t, a, access.Revocation{Target: usher.Target{Client: usher.ID(owner.Subject)}, Forever: true})
	conn.waitEnd(t, access.Revoked)
	_, err = enter(t, a, redeemed.Guest, r)
	wantCode(t, "another place", err, "revoked")
	_, err = redeem(t, a, code.Secret, "Gil")
	wantCode(t, "the code", err, "invite_not_found")
}
