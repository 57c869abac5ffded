package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"usher"
	"usher/client"
	"usher/internal/store/dynamotest"
)

// faulty is a storage on a DynamoDB of which one in so many requests meets a
// fault for as long as there are faults.
func faulty(t *testing.T) (on storage, faults *atomic.Bool) {
	t.Helper()
	endpoint := newDynamo(t)
	newTables(t, endpoint)
	faults = new(atomic.Bool)
	often := dynamotest.OneIn(6, dynamotest.Throttled, dynamotest.Lost, dynamotest.Conflict, dynamotest.Halved, dynamotest.Failed, dynamotest.Dropped)
	seldom := dynamotest.OneIn(400, dynamotest.Late) // it costs seconds
	proxy := dynamotest.New(t, endpoint, func(operation string, n int64) dynamotest.Treatment {
		switch {
		case !faults.Load():
			return dynamotest.Passed
		case seldom(operation, n) != dynamotest.Passed:
			return dynamotest.Late
		}
		return often(operation, n)
	})
	t.Cleanup(func() { t.Logf("there were %d requests", proxy.Requests()) })
	return onDynamo(proxy.URL), faults
}

func TestNothingAcknowledgedIsLostWhenDynamoDBFails(t *testing.T) {
	t.Parallel()
	on, faults := faulty(t)
	s := start(t, options{On: append(on, "USHER_AUDIT_MODE=strict")})
	rooms, places := make(map[usher.ID]bool), make(map[usher.ID]bool)
	for n := range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		faults.Store(true)
		l := s.loadUntil(ctx, fmt.Sprintf("faults-%d", n), 100, true)
		s.Kill()
		faults.Store(false)
		l.wait(ctx, t)
		s.Restart()
		s.wantRecorded(l)
		if _, err := l.verify(ctx, s); err != nil {
			t.Errorf("in round %d: %v", n+1, err)
		}
		for _, r := range l.recorders {
			for _, room := range r.rooms {
				rooms[room.id] = true
			}
			for _, p := range r.places {
				places[p.id] = true
			}
		}
		cancel()
	}
	gotRooms, gotPlaces := census(t, s)
	wantSame(t, "rooms", gotRooms, rooms)
	wantSame(t, "participants", gotPlaces, places)
	for id := range gotRooms {
		joined := 0
		for p, err := range s.API().Participants(t.Context(), string(id), client.PageQuery{}) {
			if err != nil {
				t.Fatal(err)
			}
			if p.Status == usher.ParticipantJoined {
				joined++
			}
		}
		wantTaken(t, s, string(id), joined)
	}
}

// wantRecorded holds what was acknowledged against the record, where each thing
// must be, and nothing twice.
func (s *Server) wantRecorded(l *load) {
	s.t.Helper()
	claimed := make(map[usher.ID]int)
	seen := make(map[usher.ID]bool)
	for q, more := (client.EventQuery{}), true; more; {
		page, err := s.operator().EventPage(within(s.t, time.Minute), q)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range page.Events {
			if seen[e.ID] {
				s.t.Errorf("the record has the event %s twice", e.ID)
			}
			if seen[e.ID] = true; e.Type == usher.Claimed {
				claimed[e.Participant]++
			}
		}
		q.Cursor, more = page.NextCursor, page.More
	}
	for _, r := range l.recorders {
		for _, p := range r.places {
			if n := claimed[p.id]; p.acknowledged && n != 1 || n > 1 {
				s.t.Errorf("the record has %d claims of %s, of which one was acknowledged: %t", n, p.id, p.acknowledged)
			}
		}
	}
}

// People make contacts and call each other while DynamoDB fails.
func TestNothingOfPeopleIsLostWhenDynamoDBFails(t *testing.T) {
	t.Parallel()
	const callers, contacts = 6, 4
	on, faults := faulty(t)
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()) + unlimited, On: on})
	friends := make([]usher.Secret, contacts)
	keys := make([]string, contacts)
	for n := range friends {
		friends[n] = i.token(fmt.Sprint("friend", n))
		user, err := s.as(friends[n]).User(within(t, time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		keys[n] = user.Key
	}
	caller := func(n int) usher.Secret { return i.token(fmt.Sprint("caller", n)) }
	work := func(round int) func(n int) error {
		return func(n int) error {
			api := s.as(caller(n))
			patient := recorder{patient: true}
			for _, key := range keys {
				err := patient.try(func() error {
					_, err := api.AddContact(within(t, 2*time.Minute), client.AddContactRequest{User: key})
					return err
				})
				if err != nil {
					return err
				}
			}
			if round == 0 {
				err := patient.try(func() error { return api.RemoveContact(within(t, 2*time.Minute), keys[n%contacts]) })
				if err != nil {
					return err
				}
			}
			return s.callAndCancel(caller(n), fmt.Sprintf("r%d-%d", round, n), fmt.Sprint("friend", n%contacts))
		}
	}
	var wantCalls [contacts][]string
	for round := range 2 {
		faults.Store(true)
		if err := atOnce(callers, work(round)); err != nil {
			t.Fatal(err)
		}
		s.Kill()
		faults.Store(false)
		s.Restart()
		for n := range callers {
			var got []string
			list, err := s.as(caller(n)).Contacts(within(t, time.Minute))
			for _, c := range list {
				got = append(got, c.Key)
			}
			want := slices.Clone(keys)
			if round == 0 {
				want = slices.Delete(want, n%contacts, n%contacts+1)
			}
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("round %d: caller %d lists %q, error %v, want %q", round+1, n, got, err, want)
			}
			wantCalls[n%contacts] = append(wantCalls[n%contacts], fmt.Sprintf("r%d-%d", round, n))
		}
		for n, want := range wantCalls {
			page, err := s.as(friends[n]).MissedCallPage(within(t, time.Minute), client.PageQuery{})
			var got []string
			for _, c := range page.Calls {
				got = append(got, c.CallID)
			}
			slices.Sort(got)
			slices.Sort(want)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("round %d: friend %d missed %q, error %v, want %q", round+1, n, got, err, want)
			}
		}
	}
}

// callAndCancel calls somebody who is not there, and says again what was not
// taken.
func (s *Server) callAndCancel(token usher.Secret, call, to string) error {
	ctx := within(s.t, 3*time.Minute)
	conn, err := s.as(token).Signal(ctx, client.SignalOptions{})
	for err != nil && ctx.Err() == nil { // a store that fails lets nobody in
		conn, err = s.as(token).Signal(ctx, client.SignalOptions{})
	}
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for _, m := range []client.Message{{Action: "call.invite", To: to, CallID: call}, {Action: "call.cancel", CallID: call}} {
		_, err := conn.Request(ctx, m)
		for code := signalCode(err); code == "storage_unavailable" || code == "unavailable"; code = signalCode(err) {
			_, err = conn.Request(ctx, m)
		}
		if code := signalCode(err); err != nil && code != "call_over" { // it was done, and the answer lost
			return fmt.Errorf("%s of %s: %w", m.Action, call, err)
		}
	}
	return nil
}
