package socket_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
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
