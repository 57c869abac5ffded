package access_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/platform"
	"usher/internal/platform/vpaas"
)

// ours is a VPaaS that is this server itself.
func ours(c *access.Config) {
	own := vpaas.Own{Address: func(context.Context) string { return "https://usher.example" }}
	c.Platforms = map[string]platform.Platform{vpaas.Name: own, "sfu": newSFU()}
}

// placeIn asks for a place in a room, as a page that has none asks.
func placeIn(t *testing.T, a *access.Access, id usher.Identity, r usher.Room, edit ...func(*access.CredentialSpec)) (usher.ParticipantKey, access.Issued, error) {
	t.Helper()
	spec := access.CredentialSpec{Platform: vpaas.Name}
	for _, f := range edit {
		f(&spec)
	}
	issued, err := a.Credential(t.Context(), id, string(r.ID), spec)
	if err != nil {
		return usher.ParticipantKey{}, issued, err
	}
	var d map[string]string
	if err := json.Unmarshal(issued.Body, &d); err != nil {
		t.Fatal(err)
	}
	if issued.URL != "https://usher.example" || d["api_address"] != issued.URL || d["meeting_id"] != string(r.ID) || d["participant_secret"] != issued.Token.Reveal() || len(d) != 4 {
		t.Errorf("got %v with %s", d, issued.URL)
	}
	if issued.ExpiresIn <= 0 || issued.RefreshIn <= 0 || issued.RefreshIn >= issued.ExpiresIn {
		t.Errorf("it ends in %v, to be renewed in %v", issued.ExpiresIn, issued.RefreshIn)
	}
	return usher.ParticipantKey{App: r.App, Room: r.ID, ID: usher.ID(d["participant_id"])}, issued, nil
}

func mustPlace(t *testing.T, a *access.Access, id usher.Identity, r usher.Room, edit ...func(*access.CredentialSpec)) (usher.ParticipantKey, access.Issued) {
	t.Helper()
	key, issued, err := placeIn(t, a, id, r, edit...)
	if err != nil {
		t.Fatal(err)
	}
	return key, issued
}

func lasting(d time.Duration) func(*access.CredentialSpec) {
	return func(s *access.CredentialSpec) { s.Lifetime = d }
}

func known(subject string) func(*access.CredentialSpec) {
	return func(s *access.CredentialSpec) { s.Subject = subject }
}

func TestACredentialForOurOwnVPaaSIsAPlaceThatIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccess(t, openStore(t), &bus.Local{}, ours)
		run(t, a)
		r := named(t, a, "hall", seats(2))
		ann := user("ann")
		key, first := mustPlace(t, a, ann, r, lasting(6*time.Minute))
		again, second := mustPlace(t, a, ann, r, lasting(6*time.Minute))
		if again != key || second.Token == first.Token {
			t.Errorf("asked again: %v and %v, the secret is another: %v", key, again, second.Token != first.Token)
		}
		if _, err := a.Claim(t.Context(), key, first.Token); err == nil {
			t.Error("the secret before the last was taken")
		}
		c, err := a.Claim(t.Context(), key, second.Token)
		if err != nil || c.Participant.Role != usher.Speaker || c.Participant.Identity != ann.Key() || c.Participant.Name != "ann" {
			t.Fatalf("got %+v, %v", c.Participant, err)
		}
		_, conn := attach(t, a, c)
		wantSeats(t, a, r, 1)

		// Renewed from within, the place lasts, and the connection with it.
		time.Sleep(5 * time.Minute)
		ann = user("ann")
		kept, third := mustPlace(t, a, ann, r, lasting(6*time.Minute))
		if kept != key || third.Token != second.Token {
			t.Errorf("renewed by who is in the room: %v, another secret: %v", kept, third.Token != second.Token)
		}
		wantSeats(t, a, r, 1)
		time.Sleep(5 * time.Minute)
		if ends, _ := conn.state(); len(ends) > 0 {
			t.Errorf("the connection ended though it was renewed: %v", ends)
		}
		// Never beyond the last decision, and no longer than that one.
		mustPlace(t, a, user("ann"), r, lasting(time.Minute))
		time.Sleep(time.Minute + 2*time.Second)
		conn.waitEnd(t, access.Removed)
		wantSeats(t, a, r, 0)

		// Whoever left comes back with another secret.
		back, fourth := mustPlace(t, a, user("ann"), r)
		if back != key || fourth.Token == third.Token {
			t.Errorf("back again: %v, another secret: %v", back, fourth.Token != third.Token)
		}
		if _, err := a.Claim(t.Context(), key, third.Token); err == nil {
			t.Error("the secret of the stay before was taken")
		}
		if _, err := a.Claim(t.Context(), key, fourth.Token); err != nil {
			t.Error(err)
		}
		wantSeats(t, a, r, 1)
	})
}

func TestNoPlaceBeyondItsDecision(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{}, ours, withGuests(t, db))
	open, closed := named(t, a, "open"), named(t, a, "closed", func(s *access.RoomSpec) { s.Admission = usher.AdmitMembers })
	later := named(t, a, "later", func(s *access.RoomSpec) { s.OpensAt = time.Now().Add(time.Hour) })
	short := named(t, a, "short", func(s *access.RoomSpec) { s.ClosesAt = time.Now().Add(time.Minute) })
	self := usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "usher", Scopes: usher.AllScopes}
	own, err := a.CreateRoom(t.Context(), self, access.RoomSpec{}, "") // as POST /meetings makes one
	if err != nil {
		t.Fatal(err)
	}
	ann, public := user("ann"), usher.Identity{App: usher.DefaultApp, Kind: usher.PublicIdentity, Role: usher.Viewer}
	for name, tc := range map[string]struct {
		id   usher.Identity
		room usher.Room
		edit func(*access.CredentialSpec)
		want string
	}{
		"a stranger in a closed room":     {ann, closed, nil, "not_member"},
		"a stranger in the tutorial's":    {ann, own, nil, "not_member"},
		"another back end":                {stranger, open, nil, "room_not_found"},
		"the public in a closed room":     {public, closed, nil, "room_not_found"},
		"before the room opens":           {ann, later, nil, "room_not_open"},
		"a part of a role":                {ann, open, func(s *access.CredentialSpec) { s.Permissions = usher.Permissions{usher.Join, usher.Subscribe} }, "grant_not_expressible"},
		"a format":                        {ann, open, func(s *access.CredentialSpec) { s.Format = "sfu" }, "format_unknown"},
		"a role that there is not":        {ann, open, func(s *access.CredentialSpec) { s.Role = "king" }, "role_unknown"},
		"a lifetime below nothing":        {ann, open, lasting(-time.Second), "lifetime_invalid"},
		"a name that can't be shown":      {shop, open, known("a\nb"), "subject_invalid"},
		"a name that is longer than most": {shop, open, known(fmt.Sprintf("%0200d", 7)), "subject_invalid"},
	} {
		edits := []func(*access.CredentialSpec){}
		if tc.edit != nil {
			edits = append(edits, tc.edit)
		}
		_, _, err := placeIn(t, a, tc.id, tc.room, edits...)
		wantCode(t, name, err, tc.want)
	}
	// What is given is what was decided.
	host := func(s *access.CredentialSpec) { s.Role = usher.Host }
	key, issued := mustPlace(t, a, ann, open, host, lasting(1000*time.Hour))
	if c, err := a.Claim(t.Context(), key, issued.Token); err != nil || c.Participant.Role != usher.Speaker || c.Participant.Expires.After(time.Now().Add(24*time.Hour)) {
		t.Errorf("who asked for more got %+v, %v", c.Participant, err)
	}
	key, issued = mustPlace(t, a, public, open, known("x"))
	if c, err := a.Claim(t.Context(), key, issued.Token); err != nil || c.Participant.Role != usher.Viewer {
		t.Errorf("the public got %+v, %v", c.Participant, err)
	}
	if _, issued := mustPlace(t, a, ann, short); issued.ExpiresIn > time.Minute {
		t.Errorf("in a room that closes it lasts for %v", issued.ExpiresIn)
	}
	guest, err := redeem(t, a, invite(t, a, closed, access.InviteSpec{Role: usher.Viewer}).Secret, "Gast")
	if err != nil {
		t.Fatal(err)
	}
	bound := guest.Guest
	bound.Expires = time.Now().Add(2 * time.Minute)
	if _, issued := mustPlace(t, a, bound, closed); issued.ExpiresIn > 2*time.Minute || issued.Decision.Role != usher.Viewer {
		t.Errorf("a guest got %v as %s", issued.ExpiresIn, issued.Decision.Role)
	}
	if _, _, err := placeIn(t, a, bound, open); err == nil {
		t.Error("a guest got into another room")
	}
}

func TestWhoHasNoNameIsNobodyTwice(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, ours)
	r := named(t, a, "hall", seats(3))
	public := usher.Identity{App: usher.DefaultApp, Kind: usher.PublicIdentity, Role: usher.Speaker}
	for _, id := range []usher.Identity{shop, operator, public} {
		one, _ := mustPlace(t, a, id, r)
		two, _ := mustPlace(t, a, id, r)
		if one == two {
			t.Errorf("%s: two people have one place", id.Key())
		}
		ann, _ := mustPlace(t, a, id, r, known("ann"))
		again, _ := mustPlace(t, a, id, r, known("ann"))
		ben, _ := mustPlace(t, a, id, r, known("ben"))
		if ann != again || ann == ben {
			t.Errorf("%s: ann has %v and then %v, ben %v", id.Key(), ann, again, ben)
		}
	}
	// Nor do they share a seat where a credential takes one.
	mint := func(subject string) error {
		_, err := a.Credential(t.Context(), public, string(r.ID), access.CredentialSpec{Platform: "sfu", Subject: subject})
		return err
	}
	for _, subject := range []string{"", "", "7", "7"} {
		if err := mint(subject); err != nil {
			t.Errorf("as %q: %v", subject, err)
		}
	}
	wantSeats(t, a, r, 3)
	wantCode(t, "when they are all taken", mint(""), "room_full")
}

func TestWhatWasTakenFromAPlaceStaysTakenAndANewOneIsGiven(t *testing.T) {
	for name, way := range map[string]func(t *testing.T, a *access.Access, r usher.Room, id usher.Identity, issued access.Issued){
		"a ban that was lifted": func(t *testing.T, a *access.Access, r usher.Room, id usher.Identity, _ access.Issued) {
			taking := ban(t, a, r, access.BanSpec{Identity: id.Key()})
			_, _, err := placeIn(t, a, user("ann"), r)
			wantCode(t, "while the ban lasts", err, "banned")
			if err := a.Unban(t.Context(), shop, string(r.ID), taking.ID); err != nil {
				t.Fatal(err)
			}
		},
		"a revoked sign-in": func(t *testing.T, a *access.Access, _ usher.Room, id usher.Identity, _ access.Issued) {
			revoke(t, a, access.Revocation{Target: usher.Target{Identity: id.Key()}})
		},
		"a revoked grant": func(t *testing.T, a *access.Access, _ usher.Room, _ usher.Identity, issued access.Issued) {
			revoke(t, a, access.Revocation{Target: usher.Target{Grant: issued.Grant}})
		},
	} {
		for _, platform := range []string{vpaas.Name, "sfu"} {
			t.Run(name+" on "+platform, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := newAccess(t, openStore(t), &bus.Local{}, ours)
					run(t, a)
					r := named(t, a, "hall", seats(1))
					ann := user("ann")
					ask := func() (access.Issued, error) {
						return a.Credential(t.Context(), user("ann"), string(r.ID), access.CredentialSpec{Platform: platform})
					}
					issued, err := ask()
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
					way(t, a, r, ann, issued)
					time.Sleep(time.Second)
					again, err := ask()
					if err != nil || again.Token == issued.Token && platform == vpaas.Name {
						t.Fatalf("let in again: %v", err)
					}
					if platform == "sfu" {
						wantSeats(t, a, r, 1) // the old seat is free
						return
					}
					var d map[string]usher.ID
					_ = json.Unmarshal(again.Body, &d)
					key := usher.ParticipantKey{App: r.App, Room: r.ID, ID: d["participant_id"]}
					if _, err := a.Claim(t.Context(), key, again.Token); err != nil {
						t.Errorf("the new place: %v", err)
					}
					wantSeats(t, a, r, 1)
				})
			})
		}
	}
}

// Whichever grant was answered last, revoking it takes the place away.
func TestARenewedPlaceIsTakenAwayByItsGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccess(t, openStore(t), &bus.Local{}, ours)
		run(t, a)
		r := named(t, a, "hall")
		key, first := mustPlace(t, a, user("ann"), r)
		c, err := a.Claim(t.Context(), key, first.Token)
		if err != nil {
			t.Fatal(err)
		}
		_, conn := attach(t, a, c)
		_, renewed := mustPlace(t, a, user("ann"), r)
		time.Sleep(time.Second)
		revoke(t, a, access.Revocation{Target: usher.Target{Grant: renewed.Grant}})
		conn.waitEnd(t, access.Revoked)
	})
}

func TestAPutOutParticipantGetsNoOtherPlace(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, ours)
	r := named(t, a, "hall")
	key, issued := mustPlace(t, a, user("ann"), r)
	if _, err := a.RemoveParticipant(t.Context(), shop, string(r.ID), key.ID, "Go."); err != nil {
		t.Fatal(err)
	}
	_, _, err := placeIn(t, a, user("ann"), r)
	wantCode(t, "after a removal", err, "participant_removed")
	if _, err := a.Claim(t.Context(), key, issued.Token); err == nil {
		t.Error("the secret of who was put out was taken")
	}
}

func TestManyWhoAskAtOnceGetOnePlace(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, ours)
	r := named(t, a, "hall", seats(1))
	keys := make(chan usher.ParticipantKey, 16)
	for range cap(keys) {
		go func() {
			key, _, err := placeIn(t, a, user("ann"), r)
			if err != nil {
				t.Error(err)
			}
			keys <- key
		}()
	}
	first := <-keys
	for range cap(keys) - 1 {
		if key := <-keys; key != first {
			t.Errorf("got %v and %v", first, key)
		}
	}
	_, issued := mustPlace(t, a, user("ann"), r)
	if _, err := a.Claim(t.Context(), first, issued.Token); err != nil {
		t.Error(err)
	}
}

// A seat is not held by somebody who was given nothing.
func TestARefusedCredentialTakesNeitherSeatNorName(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) {
		c.Platforms = map[string]platform.Platform{"broken": refusing{}, "sfu": newSFU()}
	})
	r := named(t, a, "hall", seats(1))
	if _, err := a.Credential(t.Context(), user("ann"), string(r.ID), access.CredentialSpec{Platform: "broken", Subject: "7"}); err == nil {
		t.Fatal("a broken platform gave a credential")
	}
	wantSeats(t, a, r, 0)
	if _, err := a.Credential(t.Context(), user("ben"), string(r.ID), access.CredentialSpec{Platform: "sfu", Subject: "7"}); err != nil {
		t.Error(err)
	}
}

type refusing struct{}

func (refusing) Issue(context.Context, platform.Request) (usher.Credential, error) {
	return usher.Credential{}, usher.Errorf(usher.Invalid, "format_unknown", "There is no such format.")
}

// namesEverywhere is a platform that knows its people by name beyond rooms.
type namesEverywhere struct{ platform.Platform }

func (namesEverywhere) Names(format, subject string) []string {
	if format == "wide" {
		return []string{"the " + subject}
	}
	return nil
}

func TestANameThatIsKnownEverywhereIsOneIdentitys(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) {
		c.Platforms = map[string]platform.Platform{"p": namesEverywhere{newSFU()}, "q": namesEverywhere{newSFU()}}
	})
	one, two := named(t, a, "one"), named(t, a, "two")
	ask := func(id usher.Identity, r usher.Room, platform, format, subject string) error {
		_, err := a.Credential(t.Context(), id, string(r.ID), access.CredentialSpec{Platform: platform, Format: format, Subject: subject})
		return err
	}
	ann, ben := user("ann"), user("ben")
	if err := ask(ann, one, "p", "wide", "7"); err != nil {
		t.Fatal(err)
	}
	for what, tc := range map[string]struct {
		err  error
		want string
	}{
		"the name in another room":             {ask(ben, two, "p", "wide", "7"), "subject_taken"},
		"the same name by another spelling":    {ask(ben, two, "p", "", "7"), ""},
		"in the room itself":                   {ask(ben, one, "p", "", "7"), "subject_taken"},
		"another name":                         {ask(ben, two, "p", "wide", "8"), ""},
		"on another platform":                  {ask(ben, two, "q", "wide", "7"), ""},
		"its owner, in another room":           {ask(ann, one, "p", "wide", "7"), ""},
		"a back end, which speaks for many":    {ask(shop, two, "p", "wide", "7"), ""},
		"its owner, by another format":         {ask(ann, one, "p", "", "7"), ""},
		"what another is known by unasked":     {ask(ben, two, "q", "", ann.Key()), "subject_taken"},
		"what a back end is known by unasked":  {ask(ben, two, "q", "", "client:"+string(one.ID)), "subject_taken"},
		"what it is known by itself unasked":   {ask(ann, two, "q", "", ann.Key()), ""},
		"a back end, for one of its users":     {ask(shop, two, "q", "", ben.Key()), ""},
		"the public, which is somebody else's": {ask(usher.Identity{App: usher.DefaultApp, Kind: usher.PublicIdentity, Role: usher.Speaker}, two, "p", "wide", "7"), "subject_taken"},
	} {
		if tc.want == "" && tc.err != nil {
			t.Errorf("%s: %v", what, tc.err)
		} else if tc.want != "" {
			wantCode(t, what, tc.err, tc.want)
		}
	}
}

// Who was refused by the platform itself was not let in, and has no seat.
func TestASeatIsFreeAgainWhereThePlatformFails(t *testing.T) {
	for name, tt := range map[string]struct {
		id, other usher.Identity // who asks, and who is somebody else
		spec      access.CredentialSpec
		fails     func(*sfu, *hotel, error)
	}{
		"a room that can't be opened": {user("ann"), user("ben"), access.CredentialSpec{Platform: "sfu", Format: "kept"},
			func(f *sfu, _ *hotel, err error) { f.answers(err) }},
		"a back end, each time for somebody else": {shop, shop, access.CredentialSpec{Platform: "hotel"},
			func(_ *sfu, h *hotel, err error) { h.breaks(err) }},
		"a user who can't be enrolled": {user("ann"), user("ben"), access.CredentialSpec{Platform: "hotel"},
			func(_ *sfu, h *hotel, err error) { h.breaks(err) }},
	} {
		t.Run(name, func(t *testing.T) {
			f, h := newSFU(), newHotel()
			a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) {
				c.Platforms = map[string]platform.Platform{"sfu": f, "hotel": h}
			})
			r := named(t, a, "hall", seats(2))
			ask := func(id usher.Identity) error {
				_, err := a.Credential(t.Context(), id, string(r.ID), tt.spec)
				return err
			}
			tt.fails(f, h, errDown)
			for range 3 {
				wantCode(t, "from a platform that is down", ask(tt.id), errDown.Code)
				wantSeats(t, a, r, 0)
			}
			if got, err := a.Room(t.Context(), shop, string(r.ID)); err != nil || got.Status != usher.RoomReady {
				t.Errorf("the room is %s, %v", got.Status, err)
			}
			tt.fails(f, h, nil)
			for _, id := range []usher.Identity{tt.id, tt.other} {
				if err := ask(id); err != nil {
					t.Fatalf("once it is up: %v", err)
				}
			}
			wantSeats(t, a, r, 2)

			// Whoever is let in keeps the seat, also where renewing fails.
			tt.fails(f, h, errDown)
			if tt.spec.Platform == "hotel" && ask(tt.id) == nil {
				t.Error("renewed by a platform that is down")
			}
			wantSeats(t, a, r, 2)
		})
	}
}
