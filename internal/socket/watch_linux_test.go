package socket_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"usher/internal/socket"
)

func TestIdlePlainConnectionsHaveNoGoroutines(t *testing.T) {
	const n, workers = 500, 64
	s := serve(t, socket.Config{}, func(r *recorder) { r.onMessage = echo })
	before := runtime.NumGoroutine()
	for range n {
		c := s.dialRaw(t)
		c.write(t, masked(opText, "x"))
		c.frame(t)
	}
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > before+workers+8 && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if got := runtime.NumGoroutine() - before; got > workers+8 {
		t.Errorf("%d goroutines for %d idle connections, want the workers' at most", got, n)
	}
}

// However what is sent is cut up, and however soon the end follows: a watcher
// that misses something leaves a connection as it is for ever.
func TestAWatchedConnectionMissesNothing(t *testing.T) {
	const conns, messages = 64, 200
	s := serve(t, socket.Config{}, func(r *recorder) {
		r.onMessage = func(_ *socket.Conn, data []byte) { r.messages <- string(data) }
	})
	var wg sync.WaitGroup
	for i := range conns {
		c := s.dialRaw(t)
		rec := receive(t, s.opened, "open")
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			var all []byte
			for m := range messages {
				all = append(all, masked(opText, fmt.Sprint(m))...)
			}
			for len(all) > 0 {
				n := min(1+random.IntN(30), len(all))
				if _, err := c.Write(all[:n]); err != nil {
					t.Error(err)
					return
				}
				all = all[n:]
			}
			_ = c.Conn.(*net.TCPConn).CloseWrite() // right behind the last
			for m := range messages {
				if got := receive(t, rec.messages, "message"); got != fmt.Sprint(m) {
					t.Errorf("got message %q, want %d", got, m)
					return
				}
			}
			if end := receive(t, rec.closed, "Closed"); end != (ending{socket.CodeAbnormal, false}) {
				t.Errorf("ended with %+v", end)
			}
		})
	}
	wg.Wait()
}

func TestHandlersThatWaitHoldUpNobodyElse(t *testing.T) {
	const stuck = 200 // more than there are workers that wait
	held, waiting := make(chan struct{}), make(chan struct{}, stuck)
	s := serve(t, socket.Config{}, func(r *recorder) {
		r.onMessage = func(c *socket.Conn, data []byte) {
			if string(data) == "wait" {
				waiting <- struct{}{}
				<-held
			}
			echo(c, data)
		}
	})
	conns := make([]*rawConn, stuck)
	for i := range conns {
		conns[i] = s.dialRaw(t)
		conns[i].write(t, masked(opText, "wait"))
	}
	for range conns {
		receive(t, waiting, "handler")
	}
	other := s.dialRaw(t)
	other.write(t, masked(opText, "hello"))
	if _, got := other.frame(t); string(got) != "hello" {
		t.Errorf("got %q", got)
	}
	conns[0].write(t, masked(opText, "behind")) // comes while its connection is busy
	close(held)
	for _, c := range conns {
		if _, got := c.frame(t); string(got) != "wait" {
			t.Errorf("got %q", got)
		}
	}
	if _, got := conns[0].frame(t); string(got) != "behind" {
		t.Errorf("got %q", got)
	}
}

// unwatchable is a plain socket that no epoll takes, as where there are too many
// already. It is also how plain sockets are read on systems other than Linux.
type unwatchable struct{ *net.TCPConn }

func (c unwatchable) SyscallConn() (syscall.RawConn, error) {
	raw, err := c.TCPConn.SyscallConn()
	return uncontrolled{raw}, err
}

type uncontrolled struct{ syscall.RawConn }

func (uncontrolled) Control(func(uintptr)) error { return syscall.ENOSPC }

func TestAConnectionThatCannotBeWatchedWaitsForItself(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	g := socket.NewGroup(socket.Config{})
	rec := newRecorder()
	rec.onMessage = echo
	upgraded := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			upgraded <- err
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			upgraded <- err
			return
		}
		w := hijacked{httptest.NewRecorder(), unwatchable{conn.(*net.TCPConn)}}
		upgraded <- g.Upgrade(w, r, func(*socket.Conn) socket.Handler { return rec })
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(patience))
	c := &rawConn{nc, bufio.NewReader(nc)}
	c.write(t, []byte(handshake))
	if _, err := http.ReadResponse(c.r, nil); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, upgraded, "upgrade"); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 200, 5000, 100_000} {
		sent := strings.Repeat("m", size)
		c.write(t, masked(opText, sent))
		if _, got := c.frame(t); string(got) != sent {
			t.Errorf("%d bytes came back as %d", size, len(got))
		}
	}
	c.write(t, masked(opClose, closing(1000, "")))
	if got := c.closeCode(t); got != socket.CodeNormal {
		t.Errorf("closed with %d", got)
	}
	wantEnd(t, rec, socket.CodeNormal, true)
}
