package api_test

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"usher"
	"usher/client"
)

func TestEntityTags(t *testing.T) {
	tests := []struct {
		name, header string
		status       int
	}{
		{"the room's own tag", `"1"`, 200},
		{"any", "*", 200},
		{"an older tag", `"0"`, 412},
		{"a newer tag", `"2"`, 412},
		{"a weak tag", `W/"1"`, 412},
		{"a tag without quotes", "1", 412},
		{"a tag of another spelling", `"01"`, 412},
		{"a tag of others", `"abc"`, 412},
		{"an empty tag", "", 412},
		{"two tags", `"1", "2"`, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			r := s.room(owner, client.CreateRoomRequest{})
			got := s.send(request{owner, "PATCH", "/api/v1/rooms/" + string(r.ID), `{"seats":3}`, map[string]string{"If-Match": tt.header}})
			if got.status != tt.status {
				t.Fatalf("got %d, want %d: %s", got.status, tt.status, got.body)
			}
			wantTag := `"1"`
			if tt.status == http.StatusOK {
				wantTag = `"2"`
			}
			now := s.send(request{caller: owner, method: "GET", path: "/api/v1/rooms/" + string(r.ID)})
			if tag := now.header.Get("ETag"); tag != wantTag {
				t.Errorf("got ETag %s, want %s", tag, wantTag)
			}
		})
	}
}

func TestOneOfManyChangesOfOneVersionWins(t *testing.T) {
	s := newServer(t)
	r := s.room(owner, client.CreateRoomRequest{})
	var won atomic.Int64
	together(t, 30, func(i int) (client.Room, error) {
		seats := i + 1
		got, err := s.as(owner).ChangeRoom(t.Context(), string(r.ID), client.ChangeRoomRequest{Seats: &seats}, client.IfVersion(r.Version))
		if e, ok := errors.AsType[*client.Error](err); ok && e.Status == http.StatusPreconditionFailed && e.Code == "room_changed" {
			return got, nil
		}
		won.Add(1)
		return got, err
	})
	if got := won.Load(); got != 1 {
		t.Errorf("%d changes won, want 1", got)
	}
	if got := must(s.as(owner).Room(t.Context(), string(r.ID)))(t); got.Version != 2 || got.Seats == 0 {
		t.Errorf("got %+v, want version 2 with one change's seats", got)
	}
}

func TestAChangeLeavesWhatItDoesNotName(t *testing.T) {
	s := newServer(t)
	seats := 5
	opens, closes := s.clock().Add(time.Hour).Truncate(time.Microsecond), s.clock().Add(2*time.Hour).Truncate(time.Microsecond)
	r := s.room(owner, client.CreateRoomRequest{Seats: &seats, OpensAt: client.Time{Time: opens}, ClosesAt: client.Time{Time: closes}})
	change := func(req client.ChangeRoomRequest) client.Room {
		t.Helper()
		return must(s.as(owner).ChangeRoom(t.Context(), string(r.ID), req))(t)
	}
	got := change(client.ChangeRoomRequest{OpensAt: client.ChangeTime(time.Time{})})
	if got.Seats != 5 || !got.OpensAt.IsZero() || !got.ClosesAt.Equal(closes) || got.Version != 2 {
		t.Errorf("without opens_at: got %+v", got)
	}
	zero := 0
	got = change(client.ChangeRoomRequest{Seats: &zero, OpensAt: client.ChangeTime(opens)})
	if got.Seats != 0 || !got.OpensAt.Equal(opens) || got.Version != 3 {
		t.Errorf("without a limit: got %+v", got)
	}
	if got = change(client.ChangeRoomRequest{}); got.Version != 3 {
		t.Errorf("a change of nothing made version %d", got.Version)
	}
}

func TestARoomByItsName(t *testing.T) {
	s := newServer(t)
	for _, name := range []string{"lobby", "a/b", "50% off?", "…", "ä ö", "a.b", "room;v=1", "x#y", "+"} {
		r := s.room(owner, client.CreateRoomRequest{Name: name})
		if r.Kind != usher.Permanent {
			t.Errorf("%q: got kind %s, want permanent", name, r.Kind)
		}
		if got := must(s.as(owner).Room(t.Context(), name))(t); got.ID != r.ID {
			t.Errorf("%q: got room %s, want %s", name, got.ID, r.ID)
		}
		if got := must(s.as(owner).EndRoom(t.Context(), name, "Over."))(t); got.Status != usher.RoomEnded || got.EndReason != "Over." || got.EndedAt.IsZero() {
			t.Errorf("%q: ended: got %+v", name, got)
		}
		if again := s.room(owner, client.CreateRoomRequest{Name: name}); again.ID == r.ID {
			t.Errorf("%q: the name of an ended room was not free", name)
		}
	}
}

func TestAnswersWithSecretsAreNotKept(t *testing.T) {
	s := newServer(t)
	r := s.room(owner, client.CreateRoomRequest{})
	p := s.invite(owner, string(r.ID))
	code := must(s.as(owner).CreateInvite(t.Context(), string(r.ID), client.CreateInviteRequest{}))(t).Code
	backend := must(s.as(operator).AddClient(t.Context(), client.AddClientRequest{Name: "bank", APIKey: true}))(t)
	path := "/api/v1/rooms/" + string(r.ID) + "/participants"
	for _, req := range []request{
		{caller: owner, method: "POST", path: path},
		{caller: owner, method: "POST", path: path + "/" + string(s.invite(owner, string(r.ID)).ID) + "/secret"},
		{method: "POST", path: path + "/" + string(p.ID) + "/claim", body: asJSON(t, map[string]string{"secret": p.Secret.Reveal()})},
		{caller: owner, method: "POST", path: "/api/v1/rooms/" + string(r.ID) + "/invites"},
		{method: "POST", path: "/api/v1/invites/redeem", body: asJSON(t, map[string]string{"code": code.Reveal(), "name": "Dora"})},
		{caller: operator, method: "POST", path: "/api/v1/clients", body: `{"name":"shop","api_key":true}`},
		{caller: operator, method: "POST", path: "/api/v1/clients/" + string(backend.ID) + "/rotate", body: `{"api_key":true}`},
		{method: "POST", path: "/dev/login", body: `{"name":"Ann"}`},
	} {
		got := s.send(req)
		if got.status >= 300 || got.header.Get("Cache-Control") != "no-store, no-cache, must-revalidate, private" {
			t.Errorf("%s: got %d with Cache-Control %q", req.path, got.status, got.header.Get("Cache-Control"))
		}
	}
}

func TestARevokedNameIsFree(t *testing.T) {
	s := newServer(t)
	req := client.AddClientRequest{Name: "shop", PublicKey: publicKey(t)}
	first := must(s.as(operator).AddClient(t.Context(), req))(t)
	must(s.as(operator).RevokeClient(t.Context(), first.ID))(t)
	if second := must(s.as(operator).AddClient(t.Context(), req))(t); second.ID == first.ID || len(second.Scopes) != 6 {
		t.Errorf("got %+v, want another client with six scopes", second)
	}
	s.pass(time.Minute)
	if got := must(s.as(operator).Client(t.Context(), first.ID))(t); got.RevokedAt.IsZero() {
		t.Error("the first client is not revoked any more")
	}
}
