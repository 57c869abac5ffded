package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/client"
)

// ids goes through a list and returns the ids in it.
func ids[T any](t *testing.T, id func(T) usher.ID, list func(func(T, error) bool)) []usher.ID {
	t.Helper()
	var all []usher.ID
	for item, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, id(item))
	}
	return all
}

func roomIDs(t *testing.T, a *client.API, q client.RoomQuery) []usher.ID {
	t.Helper()
	return ids(t, func(r client.Room) usher.ID { return r.ID }, a.Rooms(t.Context(), q))
}

func TestPagesHoldEveryRoomOnceInOrder(t *testing.T) {
	s := newServer(t)
	var want []usher.ID
	for range 7 {
		want = append(want, s.room(owner, client.CreateRoomRequest{}).ID)
	}
	foreign := s.room(stranger, client.CreateRoomRequest{}).ID
	for _, limit := range []int{0, 1, 2, 3, 7, 8, 200} {
		t.Run(fmt.Sprintf("by %d", limit), func(t *testing.T) {
			got := roomIDs(t, s.as(owner), client.RoomQuery{PageQuery: client.PageQuery{Limit: limit}})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if diff := cmp.Diff(append(want, foreign), roomIDs(t, s.as(operator), client.RoomQuery{})); diff != "" {
		t.Errorf("an operator sees every room:\n%s", diff)
	}
	page := must(s.as(owner).RoomPage(t.Context(), client.RoomQuery{PageQuery: client.PageQuery{Limit: 7}}))(t)
	if page.NextCursor != "" {
		t.Errorf("the last page, which is full, has the cursor %q", page.NextCursor)
	}
	for range s.as(owner).Rooms(t.Context(), client.RoomQuery{}) {
		break // a walk that is broken off asks for no more
	}
}

func TestPagesWhileRoomsAreMade(t *testing.T) {
	s := newServer(t)
	var before []usher.ID
	for range 30 {
		before = append(before, s.room(owner, client.CreateRoomRequest{}).ID)
	}
	var makers sync.WaitGroup
	for range 4 {
		makers.Go(func() {
			for range 15 {
				if _, err := s.as(owner).CreateRoom(t.Context(), client.CreateRoomRequest{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	got := roomIDs(t, s.as(owner), client.RoomQuery{PageQuery: client.PageQuery{Limit: 3}})
	makers.Wait()
	if len(got) < len(before) || !slices.Equal(got[:len(before)], before) {
		t.Errorf("got %v, want first the rooms that were there before: %v", got, before)
	}
	seen := map[usher.ID]bool{}
	for _, id := range got {
		if seen[id] {
			t.Errorf("%s is listed twice", id)
		}
		seen[id] = true
	}
}

func TestListsByStatusAreOfNow(t *testing.T) {
	s := newServer(t)
	soon := s.room(owner, client.CreateRoomRequest{ClosesAt: client.Time{Time: s.clock().Add(time.Hour)}})
	stays := s.room(owner, client.CreateRoomRequest{Name: "stays"})
	s.pass(time.Hour) // and nobody has swept
	got := roomIDs(t, s.as(owner), client.RoomQuery{Status: usher.RoomReady, PageQuery: client.PageQuery{Limit: 1}})
	if diff := cmp.Diff([]usher.ID{stays.ID}, got); diff != "" {
		t.Errorf("ready rooms, of which %s is none any more:\n%s", soon.ID, diff)
	}
}

func TestParticipantsAndClientsInPages(t *testing.T) {
	s := newServer(t)
	r := s.room(owner, client.CreateRoomRequest{Name: "a room/with % signs?"})
	var people, backends []usher.ID
	for i := range 5 {
		people = append(people, s.invite(owner, r.Name).ID)
		c := must(s.as(operator).AddClient(t.Context(), client.AddClientRequest{Name: fmt.Sprint("shop ", i), PublicKey: publicKey(t)}))(t)
		backends = append(backends, c.ID)
	}
	page := client.PageQuery{Limit: 2}
	got := ids(t, func(p client.Participant) usher.ID { return p.ID }, s.as(owner).Participants(t.Context(), r.Name, page))
	if diff := cmp.Diff(people, got); diff != "" {
		t.Errorf("participants:\n%s", diff)
	}
	got = ids(t, func(c client.Client) usher.ID { return c.ID }, s.as(operator).Clients(t.Context(), page))
	if diff := cmp.Diff(backends, got); diff != "" {
		t.Errorf("clients:\n%s", diff)
	}
}

func TestQueriesThatAreRefused(t *testing.T) {
	s := newServer(t)
	s.room(owner, client.CreateRoomRequest{Name: "lobby"})
	for _, tt := range []struct{ name, query, field string }{
		{"no limit", "limit=", "limit"},
		{"a limit of 0", "limit=0", "limit"},
		{"a limit of 201", "limit=201", "limit"},
		{"a limit beyond numbers", "limit=99999999999999999999", "limit"},
		{"a limit in words", "limit=ten", "limit"},
		{"two limits", "limit=1&limit=2", "limit"},
		{"an empty cursor", "cursor=", "cursor"},
		{"a cursor that is no id", "cursor=1%27%20OR%201=1", "cursor"},
		{"an unknown parameter", "offset=1", "offset"},
		{"a query that can't be read", "limit=%zz", ""},
	} {
		for _, path := range []string{"/api/v1/rooms", "/api/v1/rooms/lobby/participants", "/api/v1/clients"} {
			t.Run(tt.name+" for "+path, func(t *testing.T) {
				got := s.send(request{caller: operator, method: "GET", path: path + "?" + tt.query})
				p := got.problem(t)
				if got.status != http.StatusBadRequest || p.Code != "query_invalid" {
					t.Fatalf("got %d %s, want 400 query_invalid", got.status, p.Code)
				}
				if tt.field != "" && (len(p.Fields) != 1 || p.Fields[0].Field != tt.field) {
					t.Errorf("got fields %v, want one problem of %s", p.Fields, tt.field)
				}
			})
		}
	}
}
