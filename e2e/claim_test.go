package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// atOnce calls f for 0 to n-1, each in a goroutine of its own that begins with
// the others, and returns the errors.
func atOnce(n int, f func(i int) error) error {
	errs := make([]error, n)
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			errs[i] = f(i)
		})
	}
	close(begin)
	wg.Wait()
	return errors.Join(errs...)
}

// Claim 4.
func TestOneOfManyClaimsOfASecretWins(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for name, claim := range map[string]func(place) (answer, error){
		"as a VPaaS join": s.join,
		"as a native claim": func(p place) (answer, error) {
			return send(s.Client, http.MethodPost, s.HTTP+"/api/v1/rooms/"+p.Room+"/participants/"+p.Participant+"/claim",
				fmt.Sprintf(`{"secret":%q}`, p.Secret), asJSON...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			const claims = 500
			p := s.place(s.room(`{}`))
			got := make(map[int]int)
			var mu sync.Mutex
			err := atOnce(claims, func(int) error {
				a, err := claim(p)
				mu.Lock()
				defer mu.Unlock()
				got[a.Status]++
				if token, ok := optionalText(a, "token"); ok {
					s.Secret(token)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[int]int{200: 1, 404: claims - 1}, got); diff != "" {
				t.Errorf("answers by status (-want +got):\n%s", diff)
			}
			t.Logf("figure: of %d claims at once %d won", claims, got[http.StatusOK])
			wantTaken(t, s, p.Room, 1)
		})
	}
}

func wantTaken(t *testing.T, s *Server, room string, want int) {
	t.Helper()
	a := s.must(http.StatusOK, http.MethodGet, "/api/v1/rooms/"+room, "")
	if got := a.JSON(t)["taken"]; got != float64(want) {
		t.Errorf("the room counts %v seats taken, want %d", got, want)
	}
}

// crowd is a room with fewer seats than people who want in.
type crowd struct {
	s     *Server
	room  string
	seats int

	in   atomic.Int64 // who holds a seat, by what the server has answered
	most atomic.Int64 // the most at any time
	mu   sync.Mutex
	won  map[place]seat
}

// try joins once and reports whether that got a seat. Being told that the room
// is full is no error.
func (c *crowd) try(p place) (bool, error) {
	a, err := c.s.join(p)
	switch {
	case err != nil:
		return false, err
	case a.Status == http.StatusServiceUnavailable:
		return false, nil
	case a.Status != http.StatusOK:
		return false, fmt.Errorf("join: status %d: %s", a.Status, a.Body)
	}
	in := c.in.Add(1)
	for most := c.most.Load(); in > most && !c.most.CompareAndSwap(most, in); most = c.most.Load() {
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.won[p] = c.s.seat(p, a)
	return true, nil
}

// Claim 4.
func TestACrowdFillsEverySeatAndNoneTwice(t *testing.T) {
	t.Parallel()
	const people, seats, leaving = 1000, 50, 20
	s := start(t, options{})
	c := &crowd{s: s, seats: seats, won: make(map[place]seat), room: s.room(fmt.Sprintf(`{"seats":%d}`, seats))}
	places := make([]place, people)
	for i := range places {
		places[i] = s.place(c.room)
	}

	// Everyone tries three times; who is in stops.
	err := atOnce(people, func(i int) error {
		for range 3 {
			if in, err := c.try(places[i]); in || err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(c.won); got != seats {
		t.Fatalf("%d are in, want %d", got, seats)
	}
	t.Logf("figure: %d joins at once for %d seats: %d are in", people, seats, len(c.won))
	wantTaken(t, s, c.room, seats)

	// Those in connect, so that sockets and not leases hold their seats.
	first := maps.Clone(c.won)
	var sockets []*socketConn
	for _, at := range first {
		socket := dialSeat(t, s, at)
		socket.authenticate(t)
		sockets = append(sockets, socket)
	}

	// Some leave while everyone outside goes on trying: each seat is used again,
	// and never is there one more than there are.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var again atomic.Int64
	var outside []place
	for _, p := range places {
		if _, in := first[p]; !in {
			outside = append(outside, p)
		}
	}
	var left sync.WaitGroup
	left.Go(func() {
		for _, socket := range sockets[:leaving] {
			c.in.Add(-1) // before it is free, so that the count is never too high by itself
			if err := socket.leave(); err != nil {
				t.Errorf("leave: %v", err)
			}
		}
	})
	err = atOnce(len(outside)/10, func(i int) error { // as many as a machine of two cores serves
		for again.Load() < leaving && ctx.Err() == nil {
			in, err := c.try(outside[i])
			if err != nil {
				return err
			}
			if in {
				again.Add(1)
				return nil
			}
		}
		return ctx.Err()
	})
	left.Wait()
	if err != nil {
		t.Fatalf("%d of %d seats were used again: %v", again.Load(), leaving, err)
	}
	if got := len(c.won); got != seats+leaving {
		t.Errorf("%d have been in, want %d", got, seats+leaving)
	}
	if got := c.most.Load(); got != seats {
		t.Errorf("up to %d were in at a time, want %d", got, seats)
	}
	wantTaken(t, s, c.room, seats)

	for _, socket := range sockets[:leaving] {
		if a, err := s.join(socket.seat.place); err != nil || a.Status != http.StatusNotFound {
			t.Errorf("a secret that was used up: got status %d and error %v", a.Status, err)
		}
	}
}
