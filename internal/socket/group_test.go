package socket_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"usher/internal/socket"
)

func TestShutdownTellsEveryoneAndWaits(t *testing.T) {
	s := serve(t, socket.Config{}, nil)
	const n = 50
	var recs []*recorder
	for range n {
		c, rec := s.dial(t, nil)
		recs = append(recs, rec)
		go wantClientClose(t, c, socket.CodeRestart)
	}
	if got := s.group.Len(); got != n {
		t.Errorf("Len is %d, want %d", got, n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.group.Shutdown(ctx, socket.CodeRestart, "restarting"); err != nil {
		t.Fatal(err)
	}
	for i, rec := range recs {
		if len(rec.closed) != 1 {
			t.Fatalf("Closed of connection %d has not run when Shutdown returned", i)
		}
		wantEnd(t, rec, socket.CodeRestart, false)
	}
	if got := s.group.Len(); got != 0 {
		t.Errorf("Len is %d after Shutdown, want 0", got)
	}
	resp, err := s.Client().Do(upgradeRequest(t, s.URL))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("an upgrade after Shutdown gets %d, want 503", resp.StatusCode)
	}
}

func TestShutdownCutsOffWhoDoesNotPart(t *testing.T) {
	s := serve(t, socket.Config{WriteTimeout: time.Hour}, nil)
	c := s.dialRaw(t)
	rec := receive(t, s.opened, "open")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.group.Shutdown(ctx, socket.CodeRestart, "") }()
	if got := c.closeCode(t); got != socket.CodeRestart { // and the client stays
		t.Errorf("closed with %d, want 1012", got)
	}
	cancel()
	if err := receive(t, done, "end of Shutdown"); err != nil {
		t.Errorf("Shutdown: %v, want none, since no handler was busy", err)
	}
	wantEnd(t, rec, socket.CodeRestart, false) // Closed has returned by then
}

// An idle connection has one goroutine at most, and a closed one has none.
func TestThousandsOfConnectionsLeaveNothingBehind(t *testing.T) {
	const n = 2000
	s := unstarted(socket.Config{}, nil)
	s.Start()
	idle := goleak.IgnoreCurrent()
	before := runtime.NumGoroutine()
	conns := make([]*rawConn, n)
	recs := make([]*recorder, n)
	for i := range conns {
		conns[i] = s.dialRaw(t)
		recs[i] = receive(t, s.opened, "open")
	}
	// The HTTP server's goroutines may be about to end.
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > before+n && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if got := runtime.NumGoroutine() - before; got > n {
		t.Errorf("%d goroutines for %d idle connections", got, n)
	}
	for i, c := range conns {
		switch i % 3 {
		case 0:
			_ = c.Close()
		case 1:
			c.write(t, masked(opClose, closing(1000, "")))
		case 2:
			recs[i].conn.Close(4000, "")
			_ = c.Close()
		}
	}
	for i, rec := range recs {
		end := receive(t, rec.closed, fmt.Sprintf("Closed of connection %d", i))
		if want := []ending{{socket.CodeAbnormal, false}, {socket.CodeNormal, true}, {4000, false}}[i%3]; end != want {
			t.Errorf("connection %d ended with %+v, want %+v", i, end, want)
		}
	}
	if err := goleak.Find(idle); err != nil {
		t.Error(err)
	}
	s.stop(t)
}

func upgradeRequest(t testing.TB, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Connection":            {"Upgrade"},
		"Upgrade":               {"WebSocket"},
		"Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key":     {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	return r
}

func TestWhatAFirstMessageNeedsOfTheStackIsGivenBack(t *testing.T) {
	ran := make(chan string, 4)
	note := func() { // which goroutine it is called in
		head := make([]byte, 64)
		name, _, _ := strings.Cut(string(head[:runtime.Stack(head, false)]), "[")
		ran <- name
	}
	rec := newRecorder()
	rec.onMessage = func(c *socket.Conn, data []byte) { note(); echo(c, data) }
	c := pipe(t, socket.NewGroup(socket.Config{}), rec) // which nobody can watch, and so waits for itself
	var in [3]string
	for i := range in {
		c.write(t, masked(0x81, "x"))
		in[i] = receive(t, ran, "message")
		c.frame(t)
	}
	if in[0] == in[1] || in[1] != in[2] {
		t.Errorf("messages ran in %v; want the first in a goroutine of its own and the read loop for the others", in)
	}
	_ = c.Close()
	receive(t, rec.closed, "Closed")
}
