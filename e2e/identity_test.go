package e2e_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"usher"
)

// wantWelcome checks that a token makes its bearer that user, on the native API
// and in an open room.
func wantWelcome(t *testing.T, s *Server, room, token, user, email string) {
	t.Helper()
	s.Secret(token)
	ctx := within(t, time.Minute)
	me, err := s.as(usher.Secret(token)).Me(ctx)
	if err != nil {
		t.Fatalf("who am I: %v", err)
	}
	if me.Key != user || me.Email != email || me.Operator {
		t.Errorf("the server takes the bearer for %+v, want %s with the address %q", me, user, email)
	}
	a := s.must(http.StatusCreated, http.MethodPost, "/api/v1/rooms/"+room+"/participants", "{}", append(bearer(token), asJSON...)...)
	s.Secret(a.text(t, "secret"))
	if got := a.text(t, "identity"); got != user {
		t.Errorf("the place is for %q, want %q", got, user)
	}
}

// openRoom makes a room that every user may enter.
func (s *Server) openRoom(ctx context.Context) string {
	s.t.Helper()
	_, key := s.apiKey(nil)
	return s.must(http.StatusCreated, http.MethodPost, "/api/v1/rooms", `{"name":"lobby","admission":"open"}`,
		append(bearer(key.Reveal()), asJSON...)...).text(s.t, "id")
}
