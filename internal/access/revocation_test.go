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

// A revocation of each kind, until now and for good, against everything that
// its target ever held.
func TestWhatIsRevokedIsOver(t *testing.T) {
	type case_ struct {
		// who enters, which revocation, and with which code it is refused to enter
		// again until now ("" is that it is not) and for good.
		id         func(client usher.Identity) usher.Identity
		target     func(usher.Participant, usher.Identity) usher.Target
		before     string
		forever    string
		signsAgain bool // a new proof helps, unless it is for good
	}
	ann := func(usher.Identity) usher.Identity { return user("ann") }
	for name, tt := range map[string]case_{
		"a grant": {
			id: ann, target: func(p usher.Participant, _ usher.Identity) usher.Target { return usher.Target{Grant: p.Grant} },
		},
		"an identity": {
			id: ann, target: func(_ usher.Participant, id usher.Identity) usher.Target { return usher.Target{Identity: id.Key()} },
			before: "revoked", forever: "revoked", signsAgain: true,
		},
		"a room": {
			id: ann, target: func(p usher.Participant, _ usher.Identity) usher.Target { return usher.Target{Room: p.Room} },
			forever: "room_revoked",
		},
		"the client that acts": {
			id: func(client usher.Identity) usher.Identity { return actingFor(client, "ann") },
			target: func(p usher.Participant, _ usher.Identity) usher.Target {
				return usher.Target{Client: usher.ID(strings.TrimPrefix(p.Maker, "client:"))}
			},
			before: "revoked", forever: "revoked", signsAgain: true,
		},
		"the identity that is acted for": {
			id:     func(client usher.Identity) usher.Identity { return actingFor(client, "ann") },
			target: func(_ usher.Participant, id usher.Identity) usher.Target { return usher.Target{Identity: id.Key()} },
			// Until now it does not bind the back end, whose word is given anew.
			forever: "revoked",
		},
	} {
		for _, forever := range []bool{false, true} {
			t.Run(name+map[bool]string{false: ", until now", true: ", for good"}[forever], func(t *testing.T) {
				db := openStore(t)
				a := newAccess(t, db, &bus.Local{})
				r, client := openRoom(t, a, shop), backend()
				id := tt.id(client)
				p, c := entered(t, a, id, r)
				_, conn := attach(t, a, c)
				_, bystander := attach(t, a, claimed(t, a, r, "Ben"))
				ready, err := enter(t, a, id, r)
				if err != nil {
					t.Fatal(err)
				}

				taking := revoke(t, a, access.Revocation{Target: tt.target(p.Participant, id), Forever: forever, Reason: "Go."})
				if taking.Seq == 0 || taking.By != operator.Key() || taking.Forever != forever || taking.Before.IsZero() {
					t.Errorf("it was written down as %+v", taking)
				}
				// The caller was answered, and so it must hold.
				if ends, _ := conn.state(); len(ends) != 1 || ends[0] != (access.End{Why: access.Revoked, Message: "Go."}) {
					t.Errorf("the connection was told %v", ends)
				}
				wantVoid(t, a, p, c)
				_, err = a.Claim(t.Context(), ready.Participant.Key(), ready.Secret)
				if name == "a grant" {
					wantCode(t, "another grant's place", err, "")
				} else {
					wantCode(t, "a place that was never claimed", err, "participant_not_found")
				}
				if ends, _ := bystander.state(); name != "a room" && len(ends) != 0 {
					t.Errorf("somebody else was told %v", ends)
				}

				want := map[bool]string{false: tt.before, true: tt.forever}[forever]
				again, err := enter(t, a, id, r)
				wantCode(t, "entering again", err, want)
				if want == "" {
					if _, err := a.Claim(t.Context(), again.Participant.Key(), again.Secret); err != nil {
						t.Errorf("what was issued after: %v", err)
					}
				} else if e := refusal(t, err); e.Decision == "" {
					t.Errorf("the refusal has no decision: %+v", e)
				} else if event, err := a.Decision(t.Context(), operator, e.Decision); err != nil || event.Decision.Rule != "revocation "+string(taking.ID) {
					t.Errorf("the record says %+v, %v", event.Decision, err)
				}
				client.IssuedAt = time.Now()
				fresh, err := enter(t, a, tt.id(client), r)
				if want = map[bool]string{false: "", true: tt.forever}[forever]; code(err) != want {
					t.Errorf("with a new proof: got %v, want %q", err, want)
				}
				if err == nil {
					if _, err := a.Claim(t.Context(), fresh.Participant.Key(), fresh.Secret); err != nil {
						t.Errorf("with a new proof: %v", err)
					}
				}

				// Another process on the same store obeys before it serves anybody.
				after := newAccess(t, db, &bus.Local{})
				if err := after.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantVoid(t, after, p, c)
			})
		}
	}
}

// Whoever is put out by a revocation has left: the seat waits for nobody.
func TestARevokedSeatIsFreeAtOnce(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	seats := 1
	r, err := a.CreateRoom(t.Context(), shop, access.RoomSpec{Name: "small", Admission: usher.AdmitOpen, Seats: &seats}, "")
	if err != nil {
		t.Fatal(err)
	}
	ann := user("ann")
	_, c := entered(t, a, ann, r)
	at, conn := attach(t, a, c)
	revoke(t, a, access.Revocation{Target: usher.Target{Identity: ann.Key()}})
	conn.waitEnd(t, access.Revoked)
	at.Lose() // as a transport reports that its connection is closed
	wantSeats(t, a, r, 0)
	entered(t, a, user("ben"), r)
}

func TestRevocationsThatMakeNoSense(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	r := newRoom(t, a)
	for name, tt := range map[string]struct {
		v    access.Revocation
		code string
	}{
		"no target":            {access.Revocation{}, "revocation_invalid"},
		"two targets":          {access.Revocation{Target: usher.Target{Room: r.ID, Grant: r.ID}}, "revocation_invalid"},
		"no key":               {access.Revocation{Target: usher.Target{Identity: "ann"}}, "revocation_invalid"},
		"a group":              {access.Revocation{Target: usher.Target{Identity: "group:x#staff"}}, "revocation_invalid"},
		"no id":                {access.Revocation{Target: usher.Target{Client: "shop"}}, "revocation_invalid"},
		"the future":           {access.Revocation{Target: usher.Target{Grant: r.ID}, Before: time.Now().Add(time.Hour)}, "revocation_invalid"},
		"a reason without end": {access.Revocation{Target: usher.Target{Grant: r.ID}, Reason: strings.Repeat("x", 124)}, "revocation_invalid"},
		"an unknown room":      {access.Revocation{Target: usher.Target{Room: usher.SystemIDs().New()}}, "room_not_found"},
	} {
		_, err := a.Revoke(t.Context(), operator, tt.v)
		wantCode(t, name, err, tt.code)
	}
	_, err := a.Revoke(t.Context(), shop, access.Revocation{Target: usher.Target{Room: r.ID}})
	wantCode(t, "by the room's owner", err, "operators_only")
	revoke(t, a, access.Revocation{Target: usher.Target{Room: r.ID}})
	revoke(t, a, access.Revocation{Target: usher.Target{Grant: r.ID}})
	list, more, err := a.Revocations(t.Context(), operator, 0, 1)
	if err != nil || !more || len(list) != 1 || list[0].Seq != 1 {
		t.Errorf("the first: got %+v, %v, %v", list, more, err)
	}
	list, more, err = a.Revocations(t.Context(), operator, 1, 1)
	if err != nil || more || len(list) != 1 || list[0].Seq != 2 {
		t.Errorf("the second: got %+v, %v, %v", list, more, err)
	}
	_, _, err = a.Revocations(t.Context(), user("ann"), 0, 1)
	wantCode(t, "a list for anybody", err, "operators_only")
}

// A revocation of what is older than a time leaves the rest alone.
func TestARevocationReachesBackToATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccess(t, openStore(t), &bus.Local{})
		r := openRoom(t, a, shop)
		ann := user("ann")
		old, _ := entered(t, a, ann, r)
		time.Sleep(time.Minute)
		between := time.Now()
		time.Sleep(time.Minute)
		ann.IssuedAt = time.Now()
		recent, err := enter(t, a, ann, r)
		if err != nil {
			t.Fatal(err)
		}
		revoke(t, a, access.Revocation{Target: usher.Target{Identity: ann.Key()}, Before: between})
		// An earlier time, said later, takes nothing back.
		revoke(t, a, access.Revocation{Target: usher.Target{Identity: ann.Key()}, Before: between.Add(-time.Hour)})
		_, err = a.Claim(t.Context(), old.Participant.Key(), old.Secret)
		wantCode(t, "the older place", err, "participant_not_found")
		_, err = a.Claim(t.Context(), recent.Participant.Key(), recent.Secret)
		wantCode(t, "the newer place", err, "")
	})
}

// A bus may lose the news. Another node must find out by itself, and must not
// have let anything slip that was got by a proof which was void by then.
func TestEveryNodeObeysWithinASecondWithoutNews(t *testing.T) {
	for name, v := range map[string]func(id usher.Identity, r usher.Room, p usher.Participant) usher.Target{
		"grant": func(_ usher.Identity, _ usher.Room, p usher.Participant) usher.Target {
			return usher.Target{Grant: p.Grant}
		},
		"identity": func(id usher.Identity, _ usher.Room, _ usher.Participant) usher.Target {
			return usher.Target{Identity: id.Key()}
		},
		"room": func(_ usher.Identity, r usher.Room, _ usher.Participant) usher.Target {
			return usher.Target{Room: r.ID}
		},
		"ban": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := openStore(t)
				here, there := newAccess(t, db, lossy{}), newAccess(t, db, lossy{})
				run(t, here)
				run(t, there)
				r, ann := openRoom(t, here, shop), user("ann")
				p, c := entered(t, there, ann, r)
				_, conn := attach(t, there, c)
				time.Sleep(time.Minute)
				if v == nil {
					ban(t, here, r, access.BanSpec{Identity: ann.Key(), Reason: "Go."})
				} else {
					revoke(t, here, access.Revocation{Target: v(ann, r, p.Participant), Reason: "Go."})
				}
				// While the other node does not know yet.
				late, lateErr := enter(t, there, ann, r)
				time.Sleep(time.Second)
				synctest.Wait()
				if ends, _ := conn.state(); len(ends) != 1 || ends[0] != (access.End{Why: access.Revoked, Message: "Go."}) {
					t.Fatalf("after a second the connection was told %v", ends)
				}
				wantVoid(t, there, p, c)
				if lateErr == nil && (name == "identity" || name == "ban") {
					_, err := there.Claim(t.Context(), late.Participant.Key(), late.Secret)
					wantCode(t, "a place got before the node knew", err, "participant_not_found")
				}
				wantSeats(t, here, r, 0)
			})
		})
	}
}

// The news make it faster than the clock.
func TestNewsAreObeyedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, b := openStore(t), &bus.Local{}
		here, there := newAccess(t, db, b), newAccess(t, db, b)
		run(t, here)
		run(t, there)
		r, ann := openRoom(t, here, shop), user("ann")
		_, c := entered(t, there, ann, r)
		_, conn := attach(t, there, c)
		time.Sleep(time.Minute)
		synctest.Wait() // until neither is busy
		began := time.Now()
		revoke(t, here, access.Revocation{Target: usher.Target{Identity: ann.Key()}})
		synctest.Wait()
		if ends, _ := conn.state(); len(ends) != 1 || time.Since(began) != 0 {
			t.Errorf("after %v the connection was told %v", time.Since(began), ends)
		}
	})
}

// Whichever comes first, whoever is revoked ends refused or detached.
func TestRevocationRacesWithComingIn(t *testing.T) {
	db, b := openStore(t), &bus.Local{}
	here, there := newAccess(t, db, b), newAccess(t, db, b)
	run(t, here)
	run(t, there)
	r := openRoom(t, here, shop)
	const races = 40
	in := 0
	for i := range races {
		node := []*access.Access{here, there}[i%2]
		ann := user("ann")
		p, err := enter(t, node, ann, r)
		if err != nil {
			t.Fatal(err)
		}
		conn := newConnection()
		var race sync.WaitGroup
		var at *access.Attachment
		race.Go(func() {
			c, err := node.Claim(context.Background(), p.Participant.Key(), p.Secret)
			if err != nil {
				wantCode(t, "claim", err, "participant_not_found")
				return
			}
			if at, err = node.Attach(context.Background(), c.Participant.Key(), c.Token, conn); err != nil {
				wantCode(t, "attach", err, "token_invalid")
			}
		})
		var late access.Invited
		var lateErr error
		race.Go(func() {
			late, lateErr = node.AddParticipant(context.Background(), ann, string(r.ID), access.Place{}, "")
		})
		race.Go(func() {
			if _, err := here.Revoke(context.Background(), operator, access.Revocation{Target: usher.Target{Identity: ann.Key()}}); err != nil {
				t.Error(err)
			}
		})
		race.Wait()
		if at != nil {
			conn.waitEnd(t, access.Revoked)
			at.Lose()
			in++
		}
		if lateErr == nil { // a place that was got in the last moment is no way in either
			_, err := here.Claim(t.Context(), late.Participant.Key(), late.Secret)
			wantCode(t, "claim of a late place", err, "participant_not_found")
		} else {
			wantCode(t, "a late place", lateErr, "revoked")
		}
		if ends, _ := conn.state(); len(ends) > 1 {
			t.Errorf("the connection was told %v", ends)
		}
	}
	t.Logf("figure: %d races of a revocation with coming in: %d were in and put out, %d were not let in", races, in, races-in)
	// Claims that never connected hold their seats for their lease.
}

// The record names what is the reason: a later revocation that takes less is not.
func TestTheStrongestRevocationIsNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		revocations []access.Revocation
		named       int
	}{
		"the one for good, after it one until now":   {[]access.Revocation{{Forever: true}, {}}, 0},
		"the one for good, before it one until now":  {[]access.Revocation{{}, {Forever: true}}, 1},
		"the first of two for good":                  {[]access.Revocation{{Forever: true}, {Forever: true}}, 0},
		"the one until now, after it one until then": {[]access.Revocation{{}, {Before: time.Now().Add(-24 * time.Hour)}}, 0},
		"the later of two until now":                 {[]access.Revocation{{}, {}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccess(t, openStore(t), &bus.Local{})
			r := openRoom(t, a, shop)
			ann := user("ann")
			var ids []usher.ID
			for _, v := range tt.revocations {
				v.Target = usher.Target{Identity: ann.Key()}
				ids = append(ids, revoke(t, a, v).ID)
			}
			ann.IssuedAt = time.Now().Add(-time.Hour)
			_, err := enter(t, a, ann, r)
			event, err := a.Decision(t.Context(), operator, refusal(t, err).Decision)
			if want := "revocation " + string(ids[tt.named]); err != nil || event.Decision.Rule != want {
				t.Errorf("the record says %+v, %v, want %s", event.Decision, err, want)
			}
		})
	}
}
