package e2e_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"usher"
	"usher/client"
)

const (
	kills   = 20
	workers = 8
	// placesPerRoom are made, and claimed, in every room of the load.
	placesPerRoom = 3
)

// attempt is a create that the load has sent, known by its Idempotency-Key.
type attempt struct {
	key string
	// id is what was acknowledged; empty if no answer came.
	id usher.ID
}

// recordedPlace is what the load knows of a participant.
type recordedPlace struct {
	attempt
	room   usher.ID
	secret usher.Secret
	// sent and acknowledged say what became of the claim.
	sent, acknowledged bool
	token              usher.Secret
}

// recorder keeps what one worker sent and what was acknowledged. It belongs to
// its worker while that works.
type recorder struct {
	rooms  []*attempt
	places []*recordedPlace
	// patient is for a store that may fail: what it could not do is sent again.
	patient bool
	// acknowledged is called after each answer.
	acknowledged func()
}

// countdown returns a function to call and a channel that is closed by its nth call.
func countdown(n int64) (func(), <-chan struct{}) {
	var left atomic.Int64
	left.Store(n)
	reached := make(chan struct{})
	return func() {
		if left.Add(-1) == 0 {
			close(reached)
		}
	}, reached
}

// load is what several workers do to a server until it is gone.
type load struct {
	recorders []*recorder
	ended     []error
	wg        sync.WaitGroup
}

// loadUntil starts the workers and returns when the server has acknowledged n things.
func (s *Server) loadUntil(ctx context.Context, name string, n int64, patient bool) *load {
	s.t.Helper()
	api := s.API()
	acknowledged, reached := countdown(n)
	l := &load{recorders: make([]*recorder, workers), ended: make([]error, workers)}
	for i := range l.recorders {
		l.recorders[i] = &recorder{acknowledged: acknowledged, patient: patient}
		l.wg.Go(func() { l.ended[i] = l.recorders[i].work(ctx, api, fmt.Sprintf("%s-%d", name, i)) })
	}
	select {
	case <-reached:
	case <-ctx.Done():
		s.t.Fatalf("the server did not acknowledge %d things: %v\n%s", n, ctx.Err(), s.output.tail())
	}
	return l
}

// wait returns when the workers have ended, which only the end of the server
// may make them.
func (l *load) wait(ctx context.Context, t *testing.T) {
	t.Helper()
	l.wg.Wait()
	for i, err := range l.ended {
		// A connection that is closed is no refusal; an answer that says anything
		// but that the server stops is one.
		if code := refusedWith(err); code != "" && code != "stopping" || ctx.Err() != nil {
			t.Errorf("worker %d was not ended by the end of the server: %v", i, err)
		}
	}
}

// verify holds everything that was acknowledged against what the server has
// after a restart, and returns the number of claims.
func (l *load) verify(ctx context.Context, s *Server) (claims int, err error) {
	s.t.Helper()
	api := s.API()
	err = atOnce(len(l.recorders), func(i int) error { return l.recorders[i].verify(ctx, api) })
	for _, r := range l.recorders {
		for _, p := range r.places {
			s.Secret(p.secret.Reveal())
			s.Secret(p.token.Reveal())
			if p.acknowledged {
				claims++
			}
		}
	}
	return claims, err
}

// work creates rooms and participants and claims their places until the server
// is gone.
func (r *recorder) work(ctx context.Context, api *client.API, name string) error {
	for n := 0; ; n++ {
		room := &attempt{key: fmt.Sprintf("%s-%d", name, n)}
		r.rooms = append(r.rooms, room)
		err := r.try(func() error {
			made, err := api.CreateRoom(ctx, client.CreateRoomRequest{}, client.IdempotencyKey(room.key))
			room.id = made.ID
			return err
		})
		if err != nil {
			return err
		}
		r.acknowledged()
		for i := range placesPerRoom {
			p := &recordedPlace{attempt: attempt{key: fmt.Sprintf("%s-%d", room.key, i)}, room: room.id}
			r.places = append(r.places, p)
			if err := r.try(func() error { return p.make(ctx, api) }); err != nil {
				return err
			}
			r.acknowledged()
			p.sent = true
			claimed, err := api.Claim(ctx, p.room, p.id, p.secret)
			if r.patient && refusedWith(err) == "storage_full" {
				p.sent = false // as if it had never been: nothing was written
				continue
			}
			if r.patient && failedForNow(err) {
				continue // a secret is good for one claim, which may have been this one
			}
			if err != nil {
				return err
			}
			p.acknowledged, p.token = true, claimed.Token
			r.acknowledged()
		}
	}
}

// try sends what must not be done twice until it is answered.
func (r *recorder) try(send func() error) error {
	for {
		err := send()
		if !r.patient || !failedForNow(err) && refusedWith(err) != "storage_full" {
			return err
		}
	}
}

// failedForNow reports whether a server says that it could not do something, and
// may have done it all the same.
func failedForNow(err error) bool {
	code := refusedWith(err)
	return code == "storage_unavailable" || code == "record_unavailable"
}

func (p *recordedPlace) make(ctx context.Context, api *client.API) error {
	made, err := api.AddParticipant(ctx, string(p.room), client.AddParticipantRequest{}, client.IdempotencyKey(p.key))
	if err != nil {
		return err
	}
	p.id, p.secret = made.ID, made.Secret
	return nil
}

// Claim 5.
func TestNothingAcknowledgedIsLostWhenTheServerIsKilled(t *testing.T) {
	s := start(t, options{})
	rooms := make(map[usher.ID]bool)
	places := make(map[usher.ID]bool)
	claimed := 0
	for n := range kills {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		l := s.loadUntil(ctx, fmt.Sprintf("kill-%d", n), 1+rand.Int64N(1000), false)
		s.Kill()
		l.wait(ctx, t)
		wantSound(t, s)
		s.Restart()
		claims, err := l.verify(ctx, s)
		if err != nil {
			t.Errorf("after kill %d: %v", n+1, err)
		}
		claimed += claims
		for _, r := range l.recorders {
			for _, room := range r.rooms {
				rooms[room.id] = true
			}
			for _, p := range r.places {
				places[p.id] = true
			}
		}
		cancel()
		if t.Failed() {
			t.FailNow()
		}
	}
	// Every key made one thing, so that what is there is what was asked for.
	gotRooms, gotPlaces := census(t, s)
	wantSame(t, "rooms", gotRooms, rooms)
	wantSame(t, "participants", gotPlaces, places)
	s.Stop()
	wantSound(t, s)
	if claimed == 0 {
		t.Error("no claim was acknowledged in all of the load")
	}
	t.Logf("%d rooms, %d participants and %d acknowledged claims after %d kills", len(rooms), len(places), claimed, kills)
}

// verify holds what the server has, after a restart, against what it had
// acknowledged. It sends every create again, so that none is left undone.
func (r *recorder) verify(ctx context.Context, api *client.API) error {
	var errs []error
	for _, room := range r.rooms {
		again, err := api.CreateRoom(ctx, client.CreateRoomRequest{}, client.IdempotencyKey(room.key))
		if err != nil {
			return fmt.Errorf("create again %s: %w", room.key, err)
		}
		if room.id != "" && again.ID != room.id {
			errs = append(errs, fmt.Errorf("%s made room %s, and made %s when it was sent again", room.key, room.id, again.ID))
		}
		room.id = again.ID
	}
	for _, p := range r.places {
		before := *p
		if err := p.make(ctx, api); err != nil {
			return fmt.Errorf("add again %s: %w", p.key, err)
		}
		if before.id != "" && (p.id != before.id || p.secret != before.secret) {
			errs = append(errs, fmt.Errorf("%s made participant %s, and made %s, or another secret, when it was sent again", p.key, before.id, p.id))
		}
		errs = append(errs, p.verifyClaim(ctx, api))
	}
	return errors.Join(errs...)
}

func (p *recordedPlace) verifyClaim(ctx context.Context, api *client.API) error {
	now, err := api.Participant(ctx, string(p.room), p.id)
	switch {
	case err != nil:
		return fmt.Errorf("participant %s: %w", p.id, err)
	case p.acknowledged && now.Status != usher.ParticipantJoined:
		return fmt.Errorf("the claim of %s was acknowledged, and its status is %s", p.id, now.Status)
	case !p.sent && now.Status != usher.ParticipantReady:
		return fmt.Errorf("%s was never claimed, and its status is %s", p.id, now.Status)
	case !p.sent:
		return nil
	}
	// What was in flight was written down or not; either way the secret opens
	// one place once.
	_, err = api.Claim(ctx, p.room, p.id, p.secret)
	free := now.Status == usher.ParticipantReady
	if free && err != nil || !free && refusedWith(err) != "participant_not_found" {
		return fmt.Errorf("another claim of %s, which is %s: got error %v", p.id, now.Status, err)
	}
	return nil
}

// wantSound checks a copy of the database as the server left it: the check
// itself would repair the original.
func wantSound(t *testing.T, s *Server) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "usher.db")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(filepath.Join(s.Data, "usher.db"+suffix))
		if suffix != "" && errors.Is(err, os.ErrNotExist) {
			continue // as after a clean stop
		}
		if err == nil {
			err = os.WriteFile(copied+suffix, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", copied)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for query, want := range map[string]string{
		"PRAGMA integrity_check":                        "ok",
		"SELECT count(*) FROM pragma_foreign_key_check": "0",
		// The counter of every room is that of its participants.
		`SELECT count(*) FROM rooms AS r WHERE r.taken <>
			(SELECT count(*) FROM participants AS p WHERE p.app = r.app AND p.room = r.id AND p.status = 'joined')`: "0",
	} {
		var got string
		if err := db.QueryRowContext(t.Context(), query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: got %q and error %v, want %q", query, got, err, want)
		}
	}
}

// census lists every room and participant.
func census(t *testing.T, s *Server) (rooms, places map[usher.ID]bool) {
	t.Helper()
	api := s.API()
	rooms, places = make(map[usher.ID]bool), make(map[usher.ID]bool)
	for room, err := range api.Rooms(t.Context(), client.RoomQuery{PageQuery: client.PageQuery{Limit: 200}}) {
		if err != nil {
			t.Fatal(err)
		}
		rooms[room.ID] = true
		for p, err := range api.Participants(t.Context(), string(room.ID), client.PageQuery{}) {
			if err != nil {
				t.Fatal(err)
			}
			places[p.ID] = true
		}
	}
	return rooms, places
}

func wantSame(t *testing.T, what string, got, want map[usher.ID]bool) {
	t.Helper()
	for id := range want {
		if !got[id] {
			t.Errorf("%s: %s is not there", what, id)
		}
	}
	for id := range got {
		if !want[id] {
			t.Errorf("%s: %s is there, and nobody asked for it", what, id)
		}
	}
}
