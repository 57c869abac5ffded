package api_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/client"
)

// together runs the same call n times at once.
func together[T any](t *testing.T, n int, call func(i int) (T, error)) []T {
	t.Helper()
	results, errs := make([]T, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { results[i], errs[i] = call(i) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return results
}

func TestOneKeyMakesOneRoom(t *testing.T) {
	s := newServer(t)
	made := together(t, 50, func(int) (client.Room, error) {
		return s.as(owner).CreateRoom(t.Context(), client.CreateRoomRequest{Name: "lobby"}, client.IdempotencyKey("order 17"))
	})
	for _, r := range made {
		if r != made[0] {
			t.Errorf("got room %+v and room %+v, want one", r, made[0])
		}
	}
	if got := must(s.as(operator).RoomPage(t.Context(), client.RoomQuery{}))(t); len(got.Rooms) != 1 {
		t.Errorf("got %d rooms, want 1", len(got.Rooms))
	}
}

func TestOneKeyMakesOneParticipantWithOneSecret(t *testing.T) {
	s := newServer(t)
	r := s.room(owner, client.CreateRoomRequest{})
	add := func(int) (client.Invited, error) {
		return s.as(owner).AddParticipant(t.Context(), string(r.ID), client.AddParticipantRequest{Name: "Ann"}, client.IdempotencyKey("seat"))
	}
	made := together(t, 50, add)
	for _, p := range made {
		if diff := cmp.Diff(made[0], p); diff != "" {
			t.Errorf("want one participant with one secret:\n%s", diff)
		}
	}
	if got := must(s.as(owner).ParticipantPage(t.Context(), string(r.ID), client.PageQuery{}))(t); len(got.Participants) != 1 {
		t.Errorf("got %d participants, want 1", len(got.Participants))
	}

	claimed := must(s.as(nobody).Claim(t.Context(), r.ID, made[0].ID, made[0].Secret))(t)
	if claimed.Participant.Status != usher.ParticipantJoined || claimed.Room.Taken != 1 || claimed.ConnectIn != 30 || claimed.Room.Owner != "" {
		t.Errorf("claimed: got %+v", claimed)
	}
	if again := must(add(0))(t); again.ID != made[0].ID || again.Secret.Reveal() != made[0].Secret.Reveal() || again.Status != usher.ParticipantJoined {
		t.Errorf("after the claim: got %+v, want the same participant as it is now", again.Participant)
	}
}

func TestOneKeyMakesOneClient(t *testing.T) {
	s := newServer(t)
	req := client.AddClientRequest{Name: "shop", PublicKey: publicKey(t)}
	made := together(t, 20, func(int) (client.KeyedClient, error) {
		return s.as(operator).AddClient(t.Context(), req, client.IdempotencyKey("k"))
	})
	for _, c := range made {
		if diff := cmp.Diff(made[0], c); diff != "" {
			t.Errorf("got two clients:\n%s", diff)
		}
	}
}

func TestKeysBelongToTheirCallerTheirRoomAndADay(t *testing.T) {
	s := newServer(t)
	key := client.IdempotencyKey("k")
	create := func(token string) client.Room {
		return must(s.as(token).CreateRoom(t.Context(), client.CreateRoomRequest{}, key))(t)
	}
	first := create(owner)
	if other := create(stranger); other.ID == first.ID {
		t.Error("another caller got the room of the first")
	}
	second := s.room(owner, client.CreateRoomRequest{})
	add := func(r client.Room) client.Invited {
		return must(s.as(owner).AddParticipant(t.Context(), string(r.ID), client.AddParticipantRequest{}, key))(t)
	}
	if a, b := add(first), add(second); a.ID == b.ID || a.Secret == b.Secret {
		t.Error("two rooms share a participant or its secret")
	}
	s.pass(23 * time.Hour)
	if again := create(owner); again.ID != first.ID {
		t.Error("within a day the key made another room")
	}
	s.pass(time.Hour)
	if again := create(owner); again.ID == first.ID {
		t.Error("after a day the key did not make another room")
	}
}

func TestWithoutAKeyEachCreateIsItsOwn(t *testing.T) {
	s := newServer(t)
	a, b := s.room(owner, client.CreateRoomRequest{}), s.room(owner, client.CreateRoomRequest{})
	if a.ID == b.ID {
		t.Error("two creates made one room")
	}
	p, q := s.invite(owner, string(a.ID)), s.invite(owner, string(a.ID))
	if p.ID == q.ID || p.Secret.Reveal() == q.Secret.Reveal() {
		t.Error("two creates made one participant or one secret")
	}
}
