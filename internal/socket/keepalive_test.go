package socket_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"usher/internal/socket"
)

// hijacked is a response whose connection is a pipe, so that time can be false.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// pipe upgrades over a pipe and returns the client's end.
func pipe(t testing.TB, g *socket.Group, rec *recorder) *rawConn {
	t.Helper()
	ours, theirs := net.Pipe()
	upgraded, opened := make(chan error, 1), make(chan struct{})
	go func() {
		w := hijacked{httptest.NewRecorder(), ours}
		upgraded <- g.Upgrade(w, upgradeRequest(t, "http://usher.example/"), func(c *socket.Conn) socket.Handler {
			rec.conn = c
			close(opened)
			return rec
		})
	}()
	c := &rawConn{theirs, bufio.NewReader(theirs)}
	if resp, err := http.ReadResponse(c.r, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v, %v", resp, err)
	}
	if err := <-upgraded; err != nil {
		t.Fatal(err)
	}
	<-opened
	return c
}

var patient = socket.Config{PingEvery: 25 * time.Second, IdleTimeout: 60 * time.Second, WriteTimeout: 10 * time.Second}

func TestASilentPeerIsPingedAndThenGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		start := time.Now()
		c := pipe(t, socket.NewGroup(patient), rec)
		for _, want := range []time.Duration{25 * time.Second, 50 * time.Second} {
			if opcode, _ := c.frame(t); opcode != opPing || time.Since(start) != want {
				t.Errorf("got %#x after %v, want a ping after %v", opcode, time.Since(start), want)
			}
		}
		if opcode, payload := c.frame(t); opcode != opClose || string(payload[:2]) != closing(socket.CodeIdle, "") || time.Since(start) != time.Minute {
			t.Errorf("got %#x %q after %v, want a close with 1001 after a minute", opcode, payload, time.Since(start))
		}
		_ = c.Close()
		if got, want := <-rec.closed, (ending{socket.CodeIdle, false}); got != want {
			t.Errorf("Closed got %+v, want %+v", got, want)
		}
	})
}

func TestAPeerThatOnlyAnswersPingsStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		start := time.Now()
		c := pipe(t, socket.NewGroup(patient), rec)
		for range 100 {
			if opcode, _ := c.frame(t); opcode != opPing {
				t.Fatalf("got %#x after %v, want a ping", opcode, time.Since(start))
			}
			c.write(t, masked(opPong, ""))
		}
		if got, want := time.Since(start), 100*25*time.Second; got != want {
			t.Errorf("100 pings took %v, want %v", got, want)
		}
		_ = c.Close()
		<-rec.closed
	})
}

func TestAPeerThatSpeaksIsNotPinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		start := time.Now()
		c := pipe(t, socket.NewGroup(patient), rec)
		for range 20 {
			time.Sleep(20 * time.Second) // the bubble's clock
			c.write(t, masked(opText, "hello"))
			<-rec.messages
		}
		if opcode, _ := c.frame(t); opcode != opPing || time.Since(start) != 425*time.Second {
			t.Errorf("got %#x after %v, want the first ping 25s after the last word", opcode, time.Since(start))
		}
		_ = c.Close()
		<-rec.closed
	})
}

func TestHalfAMessageIsNoSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		start := time.Now()
		c := pipe(t, socket.NewGroup(patient), rec)
		go func() { _, _ = io.Copy(io.Discard, c.r) }()
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, err := c.Write(maskedHead(opText, 9000))
			for err == nil {
				time.Sleep(time.Second) // the bubble's clock
				_, err = c.Write([]byte("x"))
			}
		}()
		if got, want := <-rec.closed, (ending{socket.CodeIdle, false}); got != want {
			t.Errorf("Closed got %+v, want %+v", got, want)
		}
		if got, want := time.Since(start), patient.IdleTimeout+patient.WriteTimeout; got != want {
			t.Errorf("it took %v, want %v", got, want)
		}
		_ = c.Close()
		<-gone
	})
}

func TestACloseIsBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		c := pipe(t, socket.NewGroup(patient), rec)
		_ = rec.conn.Send([]byte("nobody reads this"))
		start := time.Now()
		rec.conn.Close(4000, "")
		if got, want := <-rec.closed, (ending{4000, false}); got != want {
			t.Errorf("Closed got %+v, want %+v", got, want)
		}
		if got := time.Since(start); got != patient.WriteTimeout {
			t.Errorf("closing took %v, want %v", got, patient.WriteTimeout)
		}
		if err := rec.conn.Send(nil); !errors.Is(err, socket.ErrClosed) {
			t.Errorf("Send: %v, want ErrClosed", err)
		}
		_ = c.Close()
	})
}

// TestAPingThatIsDueDoesNotTakeTheCodeBack closes connections at the very moment
// at which their peers are due to be pinged.
func TestAPingThatIsDueDoesNotTakeTheCodeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 50 {
			rec := newRecorder()
			c := pipe(t, socket.NewGroup(patient), rec)
			go func() {
				<-time.After(patient.PingEvery)
				rec.conn.Close(4401, "expired")
			}()
			opcode, payload := c.frame(t)
			if opcode == opPing {
				opcode, payload = c.frame(t)
			}
			if opcode != opClose || string(payload[:2]) != closing(4401, "") {
				t.Fatalf("got %#x %q, want a close with 4401", opcode, payload)
			}
			_ = c.Close()
			<-rec.closed
		}
	})
}
