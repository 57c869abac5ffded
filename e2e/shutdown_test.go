package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// halfSent is a request whose handler waits for its body.
type halfSent struct {
	conn net.Conn
	from *bufio.Reader
}

// halfSend begins to create a room and returns once the server reads the body,
// which the client has to wait for (RFC 9110, section 10.1.1).
func (s *Server) halfSend(t *testing.T) halfSent {
	t.Helper()
	conn, err := net.DialTimeout("tcp", hostOf(t, s.HTTP), rawTime)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * rawTime)); err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(conn, "POST /api/v1/rooms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	h := halfSent{conn, bufio.NewReader(conn)}
	if line, err := h.from.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("got %q and error %v, want 100 Continue", line, err)
	}
	if line, err := h.from.ReadString('\n'); err != nil || line != "\r\n" {
		t.Fatalf("after 100 Continue: got %q and error %v", line, err)
	}
	return h
}

// finish sends the body and returns the answer.
func (h halfSent) finish(t *testing.T) answer {
	t.Helper()
	if _, err := io.WriteString(h.conn, "{}"); err != nil {
		t.Fatalf("send the body: %v", err)
	}
	a, _ := readAnswer(t, h.from, http.MethodPost)
	return a
}

// What is begun when SIGTERM comes is answered, what was acknowledged is there
// after a restart, and sockets come back.
func TestSIGTERMUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	const participants, halves = 10, 20
	room := s.room(`{}`)
	var sockets []*socketConn
	for range participants {
		c := dialSeat(t, s, s.joined(s.place(room)))
		c.authenticate(t)
		sockets = append(sockets, c)
	}
	codes := make(chan int, participants)
	for _, c := range sockets {
		go func() { codes <- c.untilClosed() }()
	}
	var begun []halfSent
	for range halves {
		begun = append(begun, s.halfSend(t))
	}
	l := s.loadUntil(ctx, "term", 500, false)
	mark := len(s.output.Bytes())
	s.Terminate()
	if err := s.output.await(ctx, "msg=\"stopping", mark); err != nil {
		t.Fatal(err)
	}

	var rooms []string
	for i, h := range begun {
		a := h.finish(t)
		if a.Status != http.StatusCreated {
			t.Errorf("request %d, begun before SIGTERM: got status %d: %s", i, a.Status, a.Body)
			continue
		}
		rooms = append(rooms, a.text(t, "id"))
	}
	for range participants {
		if code := <-codes; code != 1012 {
			t.Errorf("a socket was closed with %d, want 1012", code)
		}
	}
	l.wait(ctx, t)
	s.AwaitExit()
	if conn, err := net.DialTimeout("tcp", hostOf(t, s.HTTP), time.Second); err == nil {
		_ = conn.Close()
		t.Error("somebody still listens after the end")
	}
	wantSound(t, s)

	s.Restart()
	if _, err := l.verify(ctx, s); err != nil {
		t.Error(err)
	}
	for _, id := range rooms {
		s.must(http.StatusOK, http.MethodGet, "/api/v1/rooms/"+id, "")
	}
	wantAllBack(t, s, room, sockets)
}

// wantAllBack connects every participant again with the token that it had.
func wantAllBack(t *testing.T, s *Server, room string, before []*socketConn) {
	t.Helper()
	var last *socketConn
	for _, c := range before {
		last = dialSeat(t, s, c.seat)
		last.authenticate(t)
	}
	last.roster(t, len(before))
	wantTaken(t, s, room, len(before))
}

// The same after a kill, of which nobody was told.
func TestParticipantsComeBackAfterTheServerWasKilled(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	room := s.room(`{"seats":5}`)
	var sockets []*socketConn
	for range 5 {
		c := dialSeat(t, s, s.joined(s.place(room)))
		c.authenticate(t)
		sockets = append(sockets, c)
	}
	outside := s.place(room)
	s.Kill()
	s.Restart()
	if a, err := s.join(outside); err != nil || a.Status != http.StatusServiceUnavailable {
		t.Errorf("a join of the full room: got status %d and error %v: %s", a.Status, err, a.Body)
	}
	wantAllBack(t, s, room, sockets)
}

// The SDK's last resort: it joins again with the secret that it has used.
func TestAParticipantWhoseSocketBrokeMayJoinOnceMore(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	room := s.room(`{}`)
	watcher := dialSeat(t, s, s.joined(s.place(room)))
	watcher.authenticate(t)
	p := s.place(room)
	first := s.joined(p)
	c := dialSeat(t, s, first)
	c.authenticate(t)
	watcher.roster(t, 2)
	if a, err := s.join(p); err != nil || a.Status != http.StatusNotFound {
		t.Errorf("a join while the socket lives: got status %d and error %v", a.Status, err)
	}

	if err := c.conn.CloseNow(); err != nil {
		t.Fatal(err)
	}
	second, err := joinWhenLost(t.Context(), s, p)
	if err != nil {
		t.Fatal(err)
	}
	wantNotAdmitted(t, s, first)
	c = dialSeat(t, s, second)
	c.authenticate(t)
	if a, err := s.join(p); err != nil || a.Status != http.StatusNotFound {
		t.Errorf("a third join: got status %d and error %v", a.Status, err)
	}
	if err := c.leave(); err != nil {
		t.Fatal(err)
	}
	watcher.roster(t, 1)
	if a, err := s.join(p); err != nil || a.Status != http.StatusNotFound {
		t.Errorf("a join after leaving: got status %d and error %v", a.Status, err)
	}
}

// joinWhenLost joins as soon as the server has noticed that the socket broke.
func joinWhenLost(ctx context.Context, s *Server, p place) (seat, error) {
	ctx, cancel := context.WithTimeout(ctx, socketTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		a, err := s.join(p)
		if err != nil {
			return seat{}, err
		}
		if a.Status == http.StatusOK {
			return s.seat(p, a), nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return seat{}, fmt.Errorf("the broken socket was not noticed: status %d: %s", a.Status, a.Body)
		}
	}
}

// wantNotAdmitted presents the token of a seat that is no longer its bearer's.
func wantNotAdmitted(t *testing.T, s *Server, at seat) {
	t.Helper()
	c := dialSeat(t, s, at)
	if m, err := c.tryAuthenticate(); err != nil || m.ErrorType != "authentication_failed" {
		t.Errorf("a token that is void: got %+v and error %v", m, err)
	}
	if err := c.leave(); err != nil { // as the SDK does then
		t.Errorf("close: %v", err)
	}
}

// A removal is final: by the socket, by the token and by the secret.
func TestARemovedParticipantIsOutAndStaysOut(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	room := s.room(`{}`)
	p := s.place(room)
	at := s.joined(p)
	c := dialSeat(t, s, at)
	c.authenticate(t)
	s.must(http.StatusOK, http.MethodDelete, "/api/v1/rooms/"+room+"/participants/"+p.Participant, `{"reason":"enough"}`, asJSON...)
	if code := c.untilClosed(); !finalCode(code) {
		t.Errorf("the socket was closed with %d, after which the SDK comes back", code)
	}
	for range 2 {
		wantNotAdmitted(t, s, at)
		if a, err := s.join(p); err != nil || a.Status != http.StatusNotFound {
			t.Errorf("the secret: got status %d and error %v", a.Status, err)
		}
		s.Stop()
		s.Restart()
	}
	wantTaken(t, s, room, 0)
}
