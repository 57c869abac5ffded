package access_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
)

func TestWhoIsBannedIsOutOfTheRoomAndStaysOut(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{})
	r, other := openRoom(t, a, shop), openRoom(t, a, shop)
	ann, ben := user("ann"), user("ben")
	first, firstClaim := entered(t, a, ann, r)
	second, secondClaim := entered(t, a, ann, r)
	ready, err := enter(t, a, ann, r)
	if err != nil {
		t.Fatal(err)
	}
	at, one := attach(t, a, firstClaim)
	_, two := attach(t, a, secondClaim)
	_, elsewhereClaim := entered(t, a, ann, other)
	_, elsewhere := attach(t, a, elsewhereClaim)
	_, benClaim := entered(t, a, ben, r)
	_, bystander := attach(t, a, benClaim)

	taking := ban(t, a, r, access.BanSpec{Identity: ann.Key(), Reason: "Shouting."})
	if taking.Kind != usher.Ban || taking.By != shop.Key() || taking.Reason != "Shouting." || !taking.Until.IsZero() {
		t.Errorf("it was written down as %+v", taking)
	}
	for name, conn := range map[string]*connection{"the first": one, "the second": two} {
		if ends, _ := conn.state(); len(ends) == 0 || ends[0] != (access.End{Why: access.Revoked, Message: "Shouting."}) {
			t.Errorf("%s connection was told %v", name, ends)
		}
	}
	at.Lose()
	wantSeats(t, a, r, 1) // the ban has written down that both are out
	for name, conn := range map[string]*connection{"another room's": elsewhere, "another person's": bystander} {
		if ends, _ := conn.state(); len(ends) != 0 {
			t.Errorf("%s connection was told %v", name, ends)
		}
	}
	out := func(a *access.Access) {
		t.Helper()
		wantVoid(t, a, first, firstClaim)
		wantVoid(t, a, second, secondClaim)
		_, err = a.Claim(t.Context(), ready.Participant.Key(), ready.Secret)
		wantCode(t, "a claim of a place that was ready", err, "participant_not_found")
	}
	out(a)
	_, err = enter(t, a, ann, r)
	e := refusal(t, err)
	if e.Code != "banned" || e.Decision == "" {
		t.Errorf("entering: got %+v", e)
	}
	if event, err := a.Decision(t.Context(), operator, e.Decision); err != nil || event.Decision.Rule != "ban" {
		t.Errorf("the record says %+v, %v", event.Decision, err)
	}
	_, err = a.AddParticipant(t.Context(), shop, string(r.ID), access.Place{For: ann.Key()}, "")
	if e := refusal(t, err); e.Code != "banned" {
		t.Errorf("a place that the back end makes: got %+v", e)
	} else if event, err := a.Decision(t.Context(), operator, e.Decision); err != nil || event.Decision.Rule != "ban "+string(taking.ID) {
		t.Errorf("the record says %+v, %v", event.Decision, err)
	}
	entered(t, a, ann, other)

	bans, err := a.Bans(t.Context(), shop, string(r.ID))
	if err != nil || len(bans) != 1 || bans[0].ID != taking.ID || bans[0].Reason != "Shouting." {
		t.Errorf("got the bans %+v, %v", bans, err)
	}
	if bans, err := a.Bans(t.Context(), shop, string(other.ID)); err != nil || len(bans) != 0 {
		t.Errorf("got the bans %+v, %v in another room", bans, err)
	}

	after := newAccess(t, db, &bus.Local{})
	if err := after.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = enter(t, after, ann, r)
	wantCode(t, "entering after a restart", err, "banned")

	if err := a.Unban(t.Context(), shop, string(r.ID), taking.ID); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "lifting it again", a.Unban(t.Context(), shop, string(r.ID), taking.ID), "ban_not_found")
	out(a)
	entered(t, a, ann, r)
	last := newAccess(t, db, &bus.Local{})
	if err := last.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	out(last)
	entered(t, last, ann, r)
}

func TestABanEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccess(t, openStore(t), &bus.Local{})
		r, ann := openRoom(t, a, shop), user("ann")
		place, err := a.AddParticipant(t.Context(), shop, string(r.ID), access.Place{For: ann.Key()}, "")
		if err != nil {
			t.Fatal(err)
		}
		ban(t, a, r, access.BanSpec{Identity: ann.Key(), Until: time.Now().Add(time.Hour)})
		time.Sleep(time.Hour - time.Second)
		_, err = enter(t, a, ann, r)
		wantCode(t, "a second before", err, "banned")
		time.Sleep(time.Second)
		entered(t, a, ann, r)
		_, err = a.Claim(t.Context(), place.Participant.Key(), place.Secret)
		wantCode(t, "a place from before", err, "participant_not_found")
		if bans, err := a.Bans(t.Context(), shop, string(r.ID)); err != nil || len(bans) != 0 {
			t.Errorf("got the bans %+v, %v", bans, err)
		}
	})
}

// A ban that was lifted, or ended, before another one began still counts for
// what was made before it.
func TestTheLaterBanCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccess(t, openStore(t), &bus.Local{})
		r, ann := openRoom(t, a, shop), user("ann")
		ban(t, a, r, access.BanSpec{Identity: ann.Key()})
		ban(t, a, r, access.BanSpec{Identity: ann.Key(), Until: time.Now().Add(time.Minute)})
		time.Sleep(time.Minute)
		p, c := entered(t, a, ann, r)
		ban(t, a, r, access.BanSpec{Identity: ann.Key()})
		if err := a.UnbanIdentity(t.Context(), shop, string(r.ID), access.BanSpec{Participant: p.Participant.ID}); err != nil {
			t.Fatal(err)
		}
		wantVoid(t, a, p, c)
		entered(t, a, ann, r)
	})
}

func TestAParticipantIsBannedByWhoItIs(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	r, ann := openRoom(t, a, shop), user("ann")
	p, _ := entered(t, a, ann, r)
	if taking := ban(t, a, r, access.BanSpec{Participant: p.Participant.ID}); taking.Target.Identity != ann.Key() {
		t.Errorf("it was written down as %+v", taking)
	}
	_, err := enter(t, a, ann, r)
	wantCode(t, "entering", err, "banned")

	anon := claimed(t, a, r, "Anon")
	_, err = a.Ban(t.Context(), shop, string(r.ID), access.BanSpec{Participant: anon.Participant.ID})
	if e := refusal(t, err); e.Code != "participant_unknown" || !strings.Contains(e.Message, "remove") {
		t.Errorf("a participant that is nobody: got %+v", e)
	}
	// Nobody else who is unknown is kept out with it.
	claimed(t, a, r, "Another")
}

func TestBansThatMakeNoSense(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	r := newRoom(t, a)
	for name, spec := range map[string]access.BanSpec{
		"nobody": {}, "no key": {Identity: "ann"}, "a group": {Identity: "group:x#staff"}, "an operator": {Identity: operator.Key()},
		"the past":             {Identity: "user:x#a", Until: time.Now().Add(-time.Second)},
		"a reason without end": {Identity: "user:x#a", Reason: strings.Repeat("x", 124)},
	} {
		_, err := a.Ban(t.Context(), shop, string(r.ID), spec)
		wantCode(t, name, err, "ban_invalid")
	}
	_, err := a.Ban(t.Context(), shop, string(r.ID), access.BanSpec{Participant: r.ID})
	wantCode(t, "a participant that is not there", err, "participant_not_found")
	_, err = a.Ban(t.Context(), user("ann"), string(r.ID), access.BanSpec{Identity: "user:x#a"})
	wantCode(t, "by somebody", err, "room_not_found")
}

func TestABannedOperatorStillManages(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	r, ann := openRoom(t, a, shop), user("ann")
	ann.Operator = true
	taking := ban(t, a, r, access.BanSpec{Identity: ann.Key()})
	_, err := enter(t, a, ann, r)
	wantCode(t, "entering", err, "banned")
	if err := a.Unban(t.Context(), ann, string(r.ID), taking.ID); err != nil {
		t.Errorf("managing: %v", err)
	}
}

// Whichever comes first, nothing that was asked for before a ban outlives it.
func TestBanRacesWithAsking(t *testing.T) {
	db, b := openStore(t), &bus.Local{}
	here, there := newAccess(t, db, b), newAccess(t, db, b)
	run(t, here)
	run(t, there)
	r := openRoom(t, here, shop)
	for i := range 40 {
		node := []*access.Access{here, there}[i%2]
		ann := user("ann")
		var race sync.WaitGroup
		var p access.Invited
		var addErr error
		var taking usher.Taking
		race.Go(func() { p, addErr = node.AddParticipant(context.Background(), ann, string(r.ID), access.Place{}, "") })
		race.Go(func() {
			var err error
			if taking, err = here.Ban(context.Background(), shop, string(r.ID), access.BanSpec{Identity: ann.Key()}); err != nil {
				t.Error(err)
			}
		})
		race.Wait()
		if err := here.Unban(t.Context(), shop, string(r.ID), taking.ID); err != nil {
			t.Fatal(err)
		}
		if addErr != nil {
			wantCode(t, "asking", addErr, "banned")
		} else {
			_, err := here.Claim(t.Context(), p.Participant.Key(), p.Secret)
			wantCode(t, "a claim when the ban is over", err, "participant_not_found")
		}
		there.Start(t.Context()) // has it follow before the next round
	}
}

// A node that has not heard of a ban yet may still make a place. It is void all
// the same, also when the ban is over.
func TestAPlaceFromTheTimeOfABanStaysVoid(t *testing.T) {
	for name, until := range map[string]time.Duration{"lifted": 0, "ended by itself": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := openStore(t)
				here, there := newAccess(t, db, lossy{}), newAccess(t, db, lossy{})
				r, ann := openRoom(t, here, shop), user("ann")
				spec := access.BanSpec{Identity: ann.Key()}
				if until != 0 {
					spec.Until = time.Now().Add(until)
				}
				taking := ban(t, here, r, spec)
				time.Sleep(time.Millisecond)
				late, err := enter(t, there, ann, r)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if until == 0 {
					if err := here.Unban(t.Context(), shop, string(r.ID), taking.ID); err != nil {
						t.Fatal(err)
					}
				}
				_, err = here.Claim(t.Context(), late.Participant.Key(), late.Secret)
				wantCode(t, "a claim when the ban is over", err, "participant_not_found")
				entered(t, here, ann, r)
			})
		})
	}
}
