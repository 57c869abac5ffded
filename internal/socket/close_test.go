package socket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"usher/internal/socket"
)

func TestClosedSaysHowItEnded(t *testing.T) {
	tests := map[string]struct {
		end  func(c *rawConn, rec *recorder)
		want ending
	}{
		"the peer leaves on purpose": {func(c *rawConn, _ *recorder) { _, _ = c.Write(masked(opClose, closing(1000, ""))) }, ending{1000, true}},
		"the peer's page is left":    {func(c *rawConn, _ *recorder) { _, _ = c.Write(masked(opClose, closing(1001, ""))) }, ending{1001, false}},
		"the peer has its own code":  {func(c *rawConn, _ *recorder) { _, _ = c.Write(masked(opClose, closing(4321, "x"))) }, ending{4321, false}},
		"the peer gives no code":     {func(c *rawConn, _ *recorder) { _, _ = c.Write(masked(opClose, "")) }, ending{socket.CodeNoStatus, false}},
		"the peer is lost":           {func(c *rawConn, _ *recorder) { _ = c.Close() }, ending{socket.CodeAbnormal, false}},
		"the peer is lost amid a frame": {func(c *rawConn, _ *recorder) {
			_, _ = c.Write(maskedHead(opText, 9000))
			_ = c.Close()
		}, ending{socket.CodeAbnormal, false}},
		"we close, the peer answers": {func(c *rawConn, rec *recorder) {
			rec.conn.Close(4001, "enough")
			_, _, _ = readFrame(c.r)
			_, _ = c.Write(masked(opClose, closing(1000, "")))
		}, ending{4001, false}},
		"we close twice, the first counts": {func(c *rawConn, rec *recorder) {
			rec.conn.Close(4001, "first")
			rec.conn.Close(4002, "second")
			_ = c.Close()
		}, ending{4001, false}},
		"we close with a code that can't be sent": {func(c *rawConn, rec *recorder) {
			rec.conn.Close(socket.CodeAbnormal, "")
			_ = c.Close()
		}, ending{socket.CodeInternal, false}},
	}
	s := serve(t, socket.Config{}, nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := s.dialRaw(t)
			rec := receive(t, s.opened, "open")
			test.end(c, rec)
			wantEnd(t, rec, test.want.Code, test.want.Clean)
			if err := rec.conn.Send([]byte("late")); !errors.Is(err, socket.ErrClosed) {
				t.Errorf("Send after the end: %v, want ErrClosed", err)
			}
			if len(rec.closed) != 0 {
				t.Error("Closed was called more than once")
			}
		})
	}
}

func TestWhatIsQueuedComesBeforeTheClose(t *testing.T) {
	s := serve(t, socket.Config{}, nil)
	c, rec := s.dial(t, nil)
	const n = 2000
	for i := range n {
		if err := rec.conn.Send(fmt.Appendf(nil, "%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	rec.conn.Close(4003, strings.Repeat("é", 100)) // longer than a reason may be
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i := range n {
		_, got, err := c.Read(ctx)
		if err != nil || string(got) != fmt.Sprint(i) {
			t.Fatalf("message %d: %q, %v", i, got, err)
		}
	}
	_, _, err := c.Read(ctx)
	bye, ok := errors.AsType[websocket.CloseError](err)
	if want := strings.Repeat("é", 61); !ok || bye.Code != 4003 || bye.Reason != want {
		t.Errorf("client was told %v, want 4003 and 61 runes of reason", err)
	}
	wantEnd(t, rec, 4003, false)
}

func TestEachSendersMessagesStayInOrder(t *testing.T) {
	s := serve(t, socket.Config{QueueLimit: 16 << 20}, nil)
	c, rec := s.dial(t, nil)
	const senders, each = 8, 300
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for i := range each {
				pad := strings.Repeat(".", (i%7)*1000) // short and long frames share the queue
				_ = rec.conn.Send(fmt.Appendf(nil, "%d %d %s", sender, i, pad))
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var next [senders]int
	for range senders * each {
		_, data, err := c.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var sender, i int
		if _, err := fmt.Sscan(string(data), &sender, &i); err != nil || i != next[sender] {
			t.Fatalf("got message %d of sender %d (%v), want %d", i, sender, err, next[sender])
		}
		next[sender]++
	}
	wg.Wait()
}

func TestNothingIsDeliveredAfterClose(t *testing.T) {
	s := serve(t, socket.Config{}, func(r *recorder) {
		r.onMessage = func(c *socket.Conn, data []byte) {
			c.Close(4403, "removed")
			r.messages <- string(data)
		}
	})
	c := s.dialRaw(t)
	rec := receive(t, s.opened, "open")
	for range 50 {
		c.write(t, masked(opText, "more"))
	}
	if got := c.closeCode(t); got != 4403 {
		t.Errorf("closed with %d, want 4403", got)
	}
	_ = c.Close()
	wantEnd(t, rec, 4403, false)
	if got := len(rec.messages); got != 1 {
		t.Errorf("%d messages were delivered, want 1", got)
	}
}

func TestAPanicClosesItsOwnConnectionOnly(t *testing.T) {
	var log bytes.Buffer
	cfg := socket.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	s := serve(t, cfg, func(r *recorder) {
		r.onMessage = func(c *socket.Conn, data []byte) {
			if strings.HasPrefix(string(data), "boom") {
				panic("can't handle " + string(data))
			}
			echo(c, data)
		}
	})
	bad, badRec := s.dial(t, nil)
	good, _ := s.dial(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = bad.Write(ctx, websocket.MessageText, []byte("boom canary-payload"))
	wantClientClose(t, bad, socket.CodeInternal)
	wantEnd(t, badRec, socket.CodeInternal, false)

	_ = good.Write(ctx, websocket.MessageText, []byte("still there?"))
	if _, got, err := good.Read(ctx); err != nil || string(got) != "still there?" {
		t.Errorf("the other connection: %q, %v", got, err)
	}
	if got := log.String(); !strings.Contains(got, "handler panicked") || strings.Contains(got, "canary") {
		t.Errorf("log must tell of the panic and nothing of the payload: %s", got)
	}
}

func TestAPanicInOpenIsContained(t *testing.T) {
	s := serve(t, socket.Config{}, func(*recorder) { panic("not today") })
	if got := s.dialRaw(t).closeCode(t); got != socket.CodeInternal {
		t.Errorf("closed with %d, want 1011", got)
	}
}

func TestRefusedUpgrades(t *testing.T) {
	s := serve(t, socket.Config{Origins: func(r *http.Request) bool { return r.Header.Get("Origin") != "https://evil.example" }}, nil)
	tests := map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"a plain GET":        {func(r *http.Request) { r.Header = http.Header{} }, 400},
		"a POST":             {func(r *http.Request) { r.Method = "POST" }, 400},
		"another upgrade":    {func(r *http.Request) { r.Header.Set("Upgrade", "h2c") }, 400},
		"another version":    {func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }, 400},
		"no key":             {func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") }, 400},
		"a key of 3 bytes":   {func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "YWJj") }, 400},
		"a page from abroad": {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		"nothing wrong":      {func(r *http.Request) { r.Header.Set("Origin", "https://good.example") }, 101},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := upgradeRequest(t, s.URL)
			test.change(r)
			resp, err := s.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != test.want {
				t.Errorf("status %d, want %d", resp.StatusCode, test.want)
			}
			if test.want == http.StatusSwitchingProtocols {
				receive(t, s.opened, "open")
			} else if len(s.opened) != 0 {
				t.Error("the connection was opened all the same")
			}
		})
	}
}
