package signaling_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"usher/internal/httpd"
	"usher/internal/limit"
)

// wire is a client that costs next to nothing: a socket and no more.
type wire struct {
	net.Conn
	r *bufio.Reader
}

// plug connects somebody over TCP, by the URL.
func plug(b *testing.B, addr, token string) wire {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	fmt.Fprintf(c, "GET /signal?Auth=%s HTTP/1.1\r\nHost: usher.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", token)
	r := bufio.NewReaderSize(c, 16)
	for line := ""; line != "\r\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			b.Fatal(err)
		}
	}
	w := wire{c, r}
	w.send(b, `{"action":"ping"}`)
	w.receive(b)
	return w
}

func (w wire) send(b *testing.B, text string) {
	frame := []byte{0x81, 0x80 | byte(len(text))}
	if len(text) > 125 {
		frame = binary.BigEndian.AppendUint16([]byte{0x81, 0x80 | 126}, uint16(len(text)))
	}
	if _, err := w.Write(append(append(frame, 0, 0, 0, 0), text...)); err != nil {
		b.Fatal(err)
	}
}

func (w wire) receive(b *testing.B) {
	var head [4]byte
	if _, err := io.ReadFull(w.r, head[:2]); err != nil {
		b.Fatal(err)
	}
	n := int64(head[1])
	if n == 126 {
		if _, err := io.ReadFull(w.r, head[2:]); err != nil {
			b.Fatal(err)
		}
		n = int64(binary.BigEndian.Uint16(head[2:]))
	}
	if _, err := io.CopyN(io.Discard, w.r, n); err != nil {
		b.Fatal(err)
	}
}

func (w *world) tcp(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: w.handler, ConnContext: httpd.ConnContext(httpd.Origin{Base: base})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	b.Cleanup(func() { _ = server.Close(); <-done })
	return l.Addr().String()
}

// BenchmarkIdle prints the memory of an idle connection, with the client's end
// of the socket, which has no goroutine.
func BenchmarkIdle(b *testing.B) {
	const n = 4000
	w := newWorld(b, func(s *setup) { s.config.Relay = limit.Rate{Count: 1 << 20, Per: time.Second} })
	addr := w.tcp(b)
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = w.tokens.issue(person(fmt.Sprint("p", i)))
	}
	for b.Loop() {
		before := memory()
		start := time.Now()
		conns := make([]wire, n)
		for i := range conns {
			conns[i] = plug(b, addr, tokens[i])
		}
		b.ReportMetric(n/time.Since(start).Seconds(), "conns/s")
		after := memory()
		b.ReportMetric(float64(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse)/n, "B/conn")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/n, "stackB/conn")
		for _, c := range conns {
			_ = c.Close()
		}
	}
}

// memory settles first: twice collected, pools are empty and stacks have shrunk.
func memory() (m runtime.MemStats) {
	for range 3 {
		debug.FreeOSMemory()
	}
	runtime.ReadMemStats(&m)
	return m
}

// BenchmarkRelay has pairs who send each other messages, one in flight each.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []int{200, 1500} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			w := newWorld(b, func(s *setup) { s.config.Relay = limit.Rate{Count: 1 << 30, Per: time.Second} })
			addr := w.tcp(b)
			type pair struct{ from, to wire }
			pairs := make(chan pair, 64)
			for i := range cap(pairs) {
				x, y := fmt.Sprint("x", i), fmt.Sprint("y", i)
				w.list(y, x)
				pairs <- pair{plug(b, addr, w.tokens.issue(person(x))), plug(b, addr, w.tokens.issue(person(y)))}
			}
			b.ReportAllocs()
			b.SetParallelism(cap(pairs) / runtime.GOMAXPROCS(0))
			names := make(chan int, cap(pairs))
			for i := range cap(pairs) {
				names <- i
			}
			b.RunParallel(func(pb *testing.PB) {
				p, i := <-pairs, <-names
				text := fmt.Sprintf(`{"action":"sdp","to":"y%d","payload":%q}`, i, strings.Repeat("m", size))
				for pb.Next() {
					p.from.send(b, text)
					p.to.receive(b)
				}
			})
		})
	}
}
