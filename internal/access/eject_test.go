package access_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/platform"
	"usher/internal/store"
)

// TestWhoMustGoIsPutOutOfAPlatform also has the process end between what was
// committed and what follows from it, which is found by the next one.
func TestWhoMustGoIsPutOutOfAPlatform(t *testing.T) {
	for name, way := range ways {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, crash %v", name, crash), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					path, f := filepath.Join(t.TempDir(), "usher.db"), newSFU()
					db := reopen(t, nil, path)
					a := node(t, db, f)
					if !crash {
						run(t, a)
					}
					r := named(t, a, "stand-up")
					if way.seat {
						r = named(t, a, "seated", seats(5))
					}
					ann, ben := user("ann"), user("ben")
					issued := f.let(t, a, ann, r, "7")
					f.let(t, a, ben, r, "8")
					time.Sleep(time.Second)
					way.do(t, a, ann, r, issued)
					if crash {
						if !f.has(r.Name, "7") {
							t.Fatal("put out before the crash")
						}
						db = reopen(t, db, path)
						a = node(t, db, f)
						run(t, a)
					}
					time.Sleep(3 * time.Second)
					if f.has(r.Name, "7") || f.has(r.Name, "8") == way.all {
						t.Errorf("7 is in: %v, 8 is in: %v", f.has(r.Name, "7"), f.has(r.Name, "8"))
					}
					told := map[bool]int{false: 1, true: 2}[way.all]
					if strings.Contains(name, "end of") || strings.Contains(name, "closing") {
						told++ // the room
						if f.isOpen(r.Name) {
							t.Error("the room is open")
						}
					} else if !f.isOpen(r.Name) {
						t.Error("the room is closed")
					}
					got := events(t, a, usher.Ejected)
					if len(got) != told || len(events(t, a, usher.NotEjected)) != 0 {
						t.Errorf("the record says %+v, want %d", got, told)
					}
					if f.race {
						t.Error("it was asked twice at a time")
					}
				})
			})
		}
	}
}

// What is not there before it happens does not increase when it does, and the
// alert would miss the first who stays in.
func TestEjectionsAreCountedFromNought(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		run(t, newAccess(t, openStore(t), &bus.Local{}, newSFU().with, func(c *access.Config) { c.Metrics = registry }))
		synctest.Wait()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() == "usher_ejections_total" {
				if n := len(family.GetMetric()); n != 3 {
					t.Errorf("there are %d results, want 3", n)
				}
				return
			}
		}
		t.Error("there is none")
	})
}

func TestAPlatformIsAskedUntilItDoes(t *testing.T) {
	for name, behave := range map[string]func(*sfu){
		"unreachable":        func(f *sfu) { f.fail = errDown },
		"still there":        func(f *sfu) { f.fail = errStillThere },
		"an unknown error":   func(f *sfu) { f.fail = errUnexplained },
		"no answer at all":   func(f *sfu) { f.hang = true },
		"a wrapped sentence": func(f *sfu) { f.fail = fmt.Errorf("janus: %w", errDown) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db, f := openStore(t), newSFU()
				a := node(t, db, f)
				run(t, a)
				r := named(t, a, "stand-up")
				for i, who := range []string{"ann", "ben", "cid"} {
					f.let(t, a, user(who), r, fmt.Sprint(i))
				}
				f.set(behave)
				if _, err := a.EndRoom(t.Context(), shop, string(r.ID), "Over."); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
				// All of them are tried, at a pace that holds nobody up.
				asked := 0
				for _, what := range []string{"close stand-up", "eject stand-up/0", "eject stand-up/1", "eject stand-up/2"} {
					n := f.times(what)
					if asked += n; n == 0 {
						t.Errorf("%s was never asked for", what)
					}
				}
				if asked > 4*20 {
					t.Errorf("it was asked %d times within five minutes", asked)
				}
				pending, err := a.Ejections(t.Context(), operator)
				if err != nil || len(pending) != 4 {
					t.Fatalf("pending are %+v, %v", pending, err)
				}
				for _, s := range pending {
					if s.Attempts == 0 || s.Failure == "" || s.Over.IsZero() || s.Reason != "Over." || !s.Done.IsZero() {
						t.Errorf("pending is %+v", s)
					}
				}
				f.set(func(f *sfu) { f.fail, f.hang = nil, false })
				time.Sleep(2 * time.Minute)
				for i := range 3 {
					if f.has("stand-up", fmt.Sprint(i)) {
						t.Errorf("%d is in", i)
					}
				}
				if f.isOpen("stand-up") || f.race {
					t.Errorf("the room is open: %v; asked twice at a time: %v", f.isOpen("stand-up"), f.race)
				}
				if left := stays(t, db); len(left) != 0 {
					t.Errorf("what is left: %+v", left)
				}
				if got := events(t, a, usher.Ejected); len(got) != 4 || len(events(t, a, usher.NotEjected)) != 0 {
					t.Errorf("the record says %+v", got)
				}
			})
		})
	}
}

// A process may end while the platform does not answer; the next one goes on.
func TestAnEjectionOutlivesTheProcess(t *testing.T) {
	for name, tt := range map[string]struct {
		behave func(*sfu)
		within time.Duration
	}{
		"between two attempts": {func(f *sfu) { f.fail = errDown }, 31 * time.Second},
		"during one":           {func(f *sfu) { f.hang = true }, 2 * time.Second}, // which was not its fault
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path, f := filepath.Join(t.TempDir(), "usher.db"), newSFU()
				db := reopen(t, nil, path)
				a := node(t, db, f)
				stop := run(t, a)
				r, ann := named(t, a, "stand-up"), user("ann")
				f.let(t, a, ann, r, "7")
				f.set(tt.behave)
				ban(t, a, r, access.BanSpec{Identity: ann.Key()})
				time.Sleep(20 * time.Second)
				stop()
				if f.times("eject stand-up/7") == 0 {
					t.Error("nothing was asked")
				}
				db = reopen(t, db, path)
				f.set(func(f *sfu) { f.fail, f.hang = nil, false })
				a = node(t, db, f)
				run(t, a)
				time.Sleep(tt.within)
				if f.has("stand-up", "7") {
					t.Error("7 is in")
				}
			})
		})
	}
}

// A removal is not a ban: who is let in after it stays, whoever looks again.
func TestWhoIsLetInAfterARemovalStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, f := openStore(t), newSFU()
		a := node(t, db, f)
		run(t, a)
		r, ann := named(t, a, "stand-up"), user("ann")
		entered(t, a, ann, r)
		removePlaceOf(t, a, ann, r)
		time.Sleep(time.Second)
		f.let(t, a, ann, r, "7")
		run(t, node(t, db, f))
		time.Sleep(2 * time.Second)
		if !f.has("stand-up", "7") || f.times("eject stand-up/7") != 0 {
			t.Error("7 was put out")
		}
	})
}

func TestAPlatformThatCannotIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, f := openStore(t), newSFU()
		a := node(t, db, f)
		run(t, a)
		r, ann := named(t, a, "stand-up"), user("ann")
		f.let(t, a, ann, r, "7")
		f.answers(errCannot)
		ban(t, a, r, access.BanSpec{Identity: ann.Key()})
		time.Sleep(10 * time.Minute)
		if n := f.times("eject stand-up/7"); n != 1 {
			t.Errorf("it was asked %d times", n)
		}
		got := events(t, a, usher.NotEjected)
		if len(got) != 1 || !strings.Contains(got[0].Reason, "7 on sfu: sfu_cannot: It can't.") || got[0].Who != ann.Key() || got[0].Room != r.ID {
			t.Errorf("the record says %+v", got)
		}
		if left := stays(t, db); len(left) != 1 || left[0].Subject != "" {
			t.Errorf("what is left: %+v, want the room", left)
		}
	})
}

func TestAPlatformIsAskedForADayAfterTheCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, f := openStore(t), newSFU()
		a := node(t, db, f)
		stop := run(t, a)
		r, ann := named(t, a, "stand-up"), user("ann")
		f.let(t, a, ann, r, "7")
		f.answers(errDown)
		ban(t, a, r, access.BanSpec{Identity: ann.Key()})
		time.Sleep(time.Minute)
		stop()
		time.Sleep(24*time.Hour + lifetime - 2*time.Minute)
		a = node(t, db, f)
		run(t, a)
		f.times("eject stand-up/7")
		time.Sleep(50 * time.Second)
		if f.times("eject stand-up/7") == 0 || len(events(t, a, usher.NotEjected)) != 0 {
			t.Error("it was given up too early")
		}
		time.Sleep(time.Minute)
		f.times("eject stand-up/7")
		time.Sleep(2 * time.Minute)
		if n := f.times("eject stand-up/7"); n != 0 || len(events(t, a, usher.NotEjected)) != 1 {
			t.Errorf("it was asked %d times more; the record says %+v", n, events(t, a, usher.NotEjected))
		}
	})
}

// Whoever was put out has a credential that the platform still takes.
func TestWhoComesBackIsPutOutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, f := openStore(t), newSFU()
		a := node(t, db, f)
		run(t, a)
		r, ann := named(t, a, "stand-up"), user("ann")
		f.let(t, a, ann, r, "7")
		taking := ban(t, a, r, access.BanSpec{Identity: ann.Key()})
		for range 5 {
			time.Sleep(40 * time.Second)
			if f.has("stand-up", "7") {
				t.Error("7 is in")
			}
			f.joins("stand-up", "7")
		}
		if got := events(t, a, usher.Ejected); len(got) != 1 {
			t.Errorf("the record says %+v", got)
		}
		// From when it may be there again it is left alone, and put out again later.
		time.Sleep(45 * time.Second) // it is looked for every 30: not at this very moment
		if err := a.Unban(t.Context(), shop, string(r.ID), taking.ID); err != nil {
			t.Fatal(err)
		}
		f.let(t, a, ann, r, "7")
		time.Sleep(10 * time.Minute)
		if !f.has("stand-up", "7") {
			t.Error("7 was put out after it was let in again")
		}
		ban(t, a, r, access.BanSpec{Identity: ann.Key()})
		time.Sleep(2 * time.Second)
		if f.has("stand-up", "7") || len(events(t, a, usher.Ejected)) != 2 {
			t.Errorf("7 is in: %v; the record says %+v", f.has("stand-up", "7"), events(t, a, usher.Ejected))
		}
	})
}

// A platform that looks at credentials only at the door keeps whoever is in.
func TestWhoseCredentialHasEndedIsPutOutForADay(t *testing.T) {
	for since, want := range map[time.Duration]bool{23 * time.Hour: true, 26 * time.Hour: false} {
		synctest.Test(t, func(t *testing.T) {
			db, f := openStore(t), newSFU()
			a := node(t, db, f)
			r, ann := named(t, a, "stand-up"), user("ann")
			f.let(t, a, ann, r, "7")
			time.Sleep(since)
			run(t, a)
			time.Sleep(time.Second)
			ban(t, a, r, access.BanSpec{Identity: ann.Key()})
			time.Sleep(2 * time.Second)
			if out := !f.has("stand-up", "7"); out != want {
				t.Errorf("after %v 7 is out: %v", since, out)
			}
			if left := stays(t, db); len(left) != 1 {
				t.Errorf("after %v there are %+v, want the room", since, left)
			}
		})
	}
}

func TestNodesShareTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, f := openStore(t), newSFU()
		var nodes []*access.Access
		b := &bus.Local{}
		for range 3 {
			a := newAccess(t, db, b, f.with)
			run(t, a)
			nodes = append(nodes, a)
		}
		r := named(t, nodes[0], "stand-up")
		for i := range 40 {
			f.let(t, nodes[i%3], user(fmt.Sprint("user", i)), r, fmt.Sprint(i))
		}
		f.set(func(f *sfu) { f.fail, f.takes = errStillThere, 3*time.Second })
		if _, err := nodes[1].EndRoom(t.Context(), shop, string(r.ID), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		f.answers(nil)
		time.Sleep(time.Minute)
		for i := range 40 {
			if f.has("stand-up", fmt.Sprint(i)) {
				t.Errorf("%d is in", i)
			}
			f.times(fmt.Sprint("eject stand-up/", i))
		}
		if f.race {
			t.Error("it was asked twice at a time")
		}
		if got := events(t, nodes[0], usher.Ejected); len(got) != 41 {
			t.Errorf("the record has %d, want each once", len(got))
		}
	})
}

// What a platform is asked is not forgotten when it is taken from the
// configuration, but can't be done.
func TestAPlatformThatIsConfiguredNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, f := openStore(t), newSFU()
		a := node(t, db, f)
		r, ann := named(t, a, "stand-up"), user("ann")
		f.let(t, a, ann, r, "7")
		ban(t, a, r, access.BanSpec{Identity: ann.Key()})
		later := newAccess(t, db, &bus.Local{})
		run(t, later)
		time.Sleep(time.Second)
		if got := events(t, later, usher.NotEjected); len(got) != 1 || !strings.Contains(got[0].Reason, "not configured") {
			t.Errorf("the record says %+v", got)
		}
	})
}

// Where nobody can be put out, nothing is remembered.
func TestACredentialOfAPlatformThatCannotEjectIsNotWrittenDown(t *testing.T) {
	db, f := openStore(t), newSFU()
	a := node(t, db, f)
	r := named(t, a, "stand-up")
	if _, err := a.Credential(t.Context(), user("ann"), "stand-up", access.CredentialSpec{Platform: "plain", Subject: "7"}); err != nil {
		t.Fatal(err)
	}
	if left := stays(t, db); len(left) != 0 {
		t.Errorf("written down: %+v", left)
	}
	// Nor is somebody whom the platform has no name for; the room is.
	if _, err := a.Credential(t.Context(), user("ann"), "stand-up", access.CredentialSpec{Platform: "sfu"}); err != nil {
		t.Fatal(err)
	}
	if left := stays(t, db); len(left) != 1 || left[0].Subject != "" {
		t.Errorf("written down: %+v, want the room", left)
	}
	if ps, err := db.Rooms().Participants(t.Context(), store.ParticipantQuery{Room: r.Key()}); err != nil || len(ps) != 0 {
		t.Errorf("the participants are %+v, %v", ps, err)
	}
}

// A ban that comes while a credential is made finds it, or is found.
func TestABanRacesWithACredential(t *testing.T) {
	db, f := openStore(t), newSFU()
	slow := &gate{sfu: f, reached: make(chan struct{}), pass: make(chan struct{})}
	a := newAccess(t, db, &bus.Local{}, func(c *access.Config) { c.Platforms = map[string]platform.Platform{"sfu": slow} })
	r, ann := named(t, a, "stand-up"), user("ann")
	answer := make(chan error, 1)
	go func() {
		_, err := a.Credential(context.Background(), ann, "stand-up", access.CredentialSpec{Platform: "sfu", Subject: "7"})
		answer <- err
	}()
	<-slow.reached
	ban(t, a, r, access.BanSpec{Identity: ann.Key()})
	close(slow.pass)
	if err := <-answer; code(err) != "taken_away" {
		t.Errorf("got %v", err)
	}
}

// gate is a platform that issues when it is told to.
type gate struct {
	*sfu
	reached, pass chan struct{}
}

func (g *gate) Issue(ctx context.Context, req platform.Request) (usher.Credential, error) {
	close(g.reached)
	<-g.pass
	return g.sfu.Issue(ctx, req)
}

func TestOnlyOperatorsSeeEjections(t *testing.T) {
	a := node(t, openStore(t), newSFU())
	if _, err := a.Ejections(t.Context(), shop); code(err) != "operators_only" && usher.AsError(err).Kind != usher.Forbidden {
		t.Errorf("a back end: %v", err)
	}
	if list, err := a.Ejections(t.Context(), operator); err != nil || len(list) != 0 {
		t.Errorf("an operator: %+v, %v", list, err)
	}
}
