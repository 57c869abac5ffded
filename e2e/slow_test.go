package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Claim 6: slow senders.
func TestSlowSendersAreCutOffAndHoldNobodyUp(t *testing.T) {
	t.Parallel()
	x := newTarget(t)
	plain, secure := hostOf(t, x.HTTP), hostOf(t, x.HTTPS)
	join := "POST /v1/meetings/" + x.meeting.Room + "/join HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	room := "POST /api/v1/rooms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	upgrade := "GET /v1/meetings/" + x.meeting.Room + "/socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	// The limits are for a busy machine: what is shown is that there is an end.
	const soon, later = 20 * time.Second, 50 * time.Second
	var wg sync.WaitGroup
	for name, test := range map[string]struct {
		host         string
		first, after string // sent at once, and byte by byte
		limit        time.Duration
		connections  int
	}{
		"nothing at all":                   {plain, "", "", soon, 50},
		"no TLS handshake":                 {secure, "", "", soon, 50},
		"a TLS handshake byte by byte":     {secure, "\x16\x03\x01\x02\x00", strings.Repeat("\x01", 100), soon, 10},
		"headers byte by byte":             {plain, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n", strings.Repeat("X-Slow: 1\r\n", 100), soon, 50},
		"a join byte by byte":              {plain, join + "Content-Length: 1000\r\n\r\n", x.meeting.joinBody(), later, 20},
		"a room in chunks, byte by byte":   {plain, room + "Transfer-Encoding: chunked\r\n\r\n", strings.Repeat("1\r\n \r\n", 100), later, 20},
		"a room whose body never comes":    {plain, room + "Content-Length: 2\r\n\r\n", "", later, 20},
		"a room of 10 GB":                  {plain, room + "Content-Length: 10000000000\r\n\r\n", strings.Repeat(" ", 1000), later, 20},
		"a socket that says nothing":       {plain, upgrade, "", soon, 20},
		"a socket that begins a frame":     {plain, upgrade + "\x81\xfe\xff\xff", strings.Repeat("x", 1000), soon, 20},
		"a socket that only sends pings":   {plain, upgrade, strings.Repeat("\x89\x80\x00\x00\x00\x00", 100), soon, 20},
		"a socket that stutters fragments": {plain, upgrade, strings.Repeat("\x01\x80\x00\x00\x00\x00", 1) + strings.Repeat("\x00\x80\x00\x00\x00\x00", 100), soon, 20},
	} {
		for range test.connections {
			wg.Go(func() {
				conn, err := net.DialTimeout("tcp", test.host, rawTime)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				defer func() { _ = conn.Close() }()
				if _, err := conn.Write([]byte(test.first)); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				if err := trickle(conn, test.after, 200*time.Millisecond, test.limit); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
	}

	// Meanwhile everyone else is served.
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for served := 0; ; served++ {
		begun := time.Now()
		x.must(http.StatusOK, http.MethodGet, "/api/v1/rooms/standing", "")
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("request %d waited %v behind slow ones", served, took)
		}
		select {
		case <-tick.C:
			continue
		case <-done:
		}
		break
	}
	if after := x.snapshot(); after != x.before {
		t.Errorf("something has changed:\n%s\nbefore:\n%s", after, x.before)
	}
	if line := connectionsOf(t, x.Server); line != "usher_attachments 0" {
		t.Errorf("after all of them: %s", line)
	}
}

// connectionsOf returns the metric of live connections in rooms.
func connectionsOf(t *testing.T, s *Server) string {
	t.Helper()
	for line := range strings.Lines(string(s.metrics())) {
		if strings.HasPrefix(line, "usher_attachments ") {
			return strings.TrimSpace(line)
		}
	}
	return fmt.Sprintf("%s/metrics has no usher_attachments", s.HTTP)
}
