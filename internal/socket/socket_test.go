package socket_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"usher"
	"usher/internal/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that should be there at once.
const patience = 20 * time.Second

// ending is what Closed was told.
type ending struct {
	Code  socket.Code
	Clean bool
}

// recorder is a handler that passes on what it hears. Its functions, if set, run
// in the read loop.
type recorder struct {
	conn      *socket.Conn
	messages  chan string
	closed    chan ending
	onMessage func(c *socket.Conn, data []byte)
}

func newRecorder() *recorder {
	return &recorder{messages: make(chan string, 1024), closed: make(chan ending, 8)}
}

func (r *recorder) Message(c *socket.Conn, data []byte) {
	if r.onMessage != nil {
		r.onMessage(c, data)
		return
	}
	r.messages <- string(data)
}

func (r *recorder) Closed(_ *socket.Conn, code socket.Code, clean bool) {
	r.closed <- ending{code, clean}
}

func echo(c *socket.Conn, data []byte) { _ = c.Send(data) }

// server upgrades everything that comes to it into one group.
type server struct {
	*httptest.Server
	group  *socket.Group
	opened chan *recorder
}

// serve starts a server; prepare, if not nil, sets each connection's handler up.
func serve(t testing.TB, cfg socket.Config, prepare func(*recorder)) *server {
	t.Helper()
	s := unstarted(cfg, prepare)
	s.Start()
	t.Cleanup(func() { s.stop(t) })
	return s
}

func unstarted(cfg socket.Config, prepare func(*recorder)) *server {
	s := &server{group: socket.NewGroup(cfg), opened: make(chan *recorder, 4096)}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := s.group.Upgrade(w, r, func(c *socket.Conn) socket.Handler {
			rec := newRecorder()
			rec.conn = c
			if prepare != nil {
				prepare(rec)
			}
			s.opened <- rec
			return rec
		})
		if refusal, ok := errors.AsType[*usher.Error](err); ok {
			status := map[usher.Kind]int{usher.Invalid: 400, usher.Forbidden: 403, usher.Unavailable: 503}[refusal.Kind]
			http.Error(w, refusal.Code, status)
		}
	}))
	return s
}

func (s *server) stop(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.group.Shutdown(ctx, socket.CodeGoingAway, "test is over"); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	s.Close()
}

// dial connects with a real client, and returns the server's end of it as well.
func (s *server) dial(t testing.TB, opts *websocket.DialOptions) (*websocket.Conn, *recorder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if opts == nil {
		opts = &websocket.DialOptions{}
	}
	opts.HTTPClient = s.Client()
	c, _, err := websocket.Dial(ctx, s.URL, opts)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	c.SetReadLimit(8 << 20)
	t.Cleanup(func() { _ = c.CloseNow() })
	return c, receive(t, s.opened, "open")
}

// rawConn is a client that can send anything.
type rawConn struct {
	net.Conn
	r *bufio.Reader
}

const handshake = "GET / HTTP/1.1\r\nHost: usher\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// dialRaw upgrades by hand, sending more right behind the request.
func (s *server) dialRaw(t testing.TB, more ...byte) *rawConn {
	t.Helper()
	nc, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	c := &rawConn{nc, bufio.NewReader(nc)}
	c.write(t, append([]byte(handshake), more...))
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v, %v", resp, err)
	}
	return c
}

func (c *rawConn) write(t testing.TB, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// frame reads one frame.
func (c *rawConn) frame(t testing.TB) (opcode byte, payload []byte) {
	t.Helper()
	opcode, payload, err := readFrame(c.r)
	if err != nil {
		t.Fatalf("read frame: %v", err)
	}
	return opcode, payload
}

// closeCode reads up to the close frame and to the end behind it.
func (c *rawConn) closeCode(t testing.TB) socket.Code {
	t.Helper()
	for {
		opcode, payload := c.frame(t)
		if opcode != opClose {
			continue
		}
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Errorf("after the close frame: %v, want EOF", err)
		}
		if len(payload) == 0 {
			return socket.CodeNoStatus
		}
		return socket.Code(binary.BigEndian.Uint16(payload))
	}
}

func readFrame(r *bufio.Reader) (opcode byte, payload []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return 0, nil, err
	}
	opcode, n := head[0], uint64(head[1])
	switch n {
	case 126:
		_, err = io.ReadFull(r, head[:2])
		n = uint64(binary.BigEndian.Uint16(head[:2]))
	case 127:
		_, err = io.ReadFull(r, head[:8])
		n = binary.BigEndian.Uint64(head[:8])
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	return opcode, payload, err
}

// The first byte of frames: FIN and opcode.
const (
	fin            = 0x80
	opContinuation = 0x00
	opText         = 0x81
	opBinary       = 0x82
	opClose        = 0x88
	opPing         = 0x89
	opPong         = 0x8a
)

// masked builds a client's frame.
func masked(first byte, payload string) []byte {
	return append(maskedHead(first, uint64(len(payload))), xor(payload)...)
}

// maskedHead builds the head of a client's frame of any announced length.
func maskedHead(first byte, n uint64) []byte {
	b := []byte{first}
	switch {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), n)
	}
	return append(b, mask[:]...)
}

var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

func xor(s string) []byte {
	b := []byte(s)
	for i := range b {
		b[i] ^= mask[i%4]
	}
	return b
}

// closing is the payload of a close frame.
func closing(code socket.Code, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

func receive[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
		panic("unreachable")
	}
}

// wantEnd waits for Closed.
func wantEnd(t testing.TB, r *recorder, code socket.Code, clean bool) {
	t.Helper()
	if got, want := receive(t, r.closed, "Closed"), (ending{code, clean}); got != want {
		t.Errorf("Closed got %+v, want %+v", got, want)
	}
}

// wantClientClose reads until the client is told a code.
func wantClientClose(t testing.TB, c *websocket.Conn, code socket.Code) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, _, err := c.Read(ctx)
		if err == nil {
			continue
		}
		if got := websocket.CloseStatus(err); got != websocket.StatusCode(code) {
			t.Errorf("client was told %d (%v), want %d", got, err, code)
		}
		return
	}
}
