package socket_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/coder/websocket"
	"github.com/lxzan/gws"

	"usher/internal/socket"
)

// The peers are as small as their libraries allow: they echo, and do nothing of
// what this package does beside.
type echoServer struct {
	name  string
	start func(b *testing.B) *httptest.Server
}

var echoServers = []echoServer{
	{"usher", startUsher},
	{"gws", startGWS},
	{"coder", startCoder},
}

func startUsher(b *testing.B) *httptest.Server {
	s := unstarted(socket.Config{}, nil)
	s.Server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.group.Upgrade(w, r, func(*socket.Conn) socket.Handler { return echoer{} })
	})
	s.Start()
	b.Cleanup(func() { s.stop(b) })
	return s.Server
}

type echoer struct{}

func (echoer) Message(c *socket.Conn, data []byte)    { _ = c.Send(data) }
func (echoer) Closed(*socket.Conn, socket.Code, bool) {}

func startGWS(b *testing.B) *httptest.Server {
	up := gws.NewUpgrader(gwsEcho{}, &gws.ServerOption{CheckUtf8Enabled: true, ReadMaxPayloadSize: socket.DefaultReadLimit})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := up.Upgrade(w, r); err == nil {
			go c.ReadLoop()
		}
	}))
	b.Cleanup(s.Close)
	return s
}

type gwsEcho struct{ gws.BuiltinEventHandler }

func (gwsEcho) OnMessage(c *gws.Conn, m *gws.Message) {
	_ = c.WriteMessage(gws.OpcodeText, m.Bytes())
	_ = m.Close()
}

func startCoder(b *testing.B) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		c.SetReadLimit(socket.DefaultReadLimit)
		for {
			_, data, err := c.Read(context.Background())
			if err != nil || c.Write(context.Background(), websocket.MessageText, data) != nil {
				return
			}
		}
	}))
	b.Cleanup(s.Close)
	return s
}

// connect upgrades n connections by hand, with as little memory as can be.
func connect(b *testing.B, addr string, n int) []net.Conn {
	b.Helper()
	conns := make([]net.Conn, n)
	r := bufio.NewReaderSize(nil, 1024)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.WriteString(c, handshake); err != nil {
			b.Fatal(err)
		}
		r.Reset(c)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			b.Fatalf("handshake: %v, %v", resp, err)
		}
		conns[i] = c
	}
	return conns
}

// exchange sends a message of size bytes and waits for its echo.
func exchange(b *testing.B, c net.Conn, sent, echo []byte) {
	if _, err := c.Write(sent); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(c, echo); err != nil {
		b.Fatal(err)
	}
}

// message returns a client's frame and room for its echo.
func message(size int) (sent, echo []byte) {
	head := 2
	if size > 125 {
		head = 4
	}
	return masked(opText, string(bytes.Repeat([]byte("m"), size))), make([]byte, head+size)
}

// BenchmarkIdle prints the memory of an idle connection that has been used: the
// heap, and the stacks of goroutines. The client's side of a plain socket, which
// has no goroutine, is in it, and is shown by the row "sockets".
func BenchmarkIdle(b *testing.B) {
	const n = 2000
	sent, echo := message(1500)
	for _, server := range append([]echoServer{{"sockets", nil}}, echoServers...) {
		b.Run(server.name, func(b *testing.B) {
			for b.Loop() {
				before := memory()
				var conns []net.Conn
				if server.start == nil {
					conns = socketPairs(b, n)
				} else {
					conns = connect(b, server.start(b).Listener.Addr().String(), n)
					for _, c := range conns {
						exchange(b, c, sent, echo)
					}
				}
				after := memory()
				b.ReportMetric(float64(after.HeapInuse-before.HeapInuse)/n, "heapB/conn")
				b.ReportMetric(float64(after.StackInuse-before.StackInuse)/n, "stackB/conn")
				b.ReportMetric(float64(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse)/n, "B/conn")
				for _, c := range conns {
					_ = c.Close()
				}
			}
		})
	}
}

// socketPairs opens n connections at both ends and does nothing with them.
func socketPairs(b *testing.B, n int) []net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	var conns []net.Conn
	for range n {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		conns = append(conns, c, s)
	}
	return conns
}

// memory settles first: twice collected, pools are empty and stacks have shrunk.
func memory() (m runtime.MemStats) {
	for range 3 {
		debug.FreeOSMemory()
	}
	runtime.ReadMemStats(&m)
	return m
}

// BenchmarkEcho has many connections in flight at once, each waiting for its
// echo before it sends again.
func BenchmarkEcho(b *testing.B) {
	for _, size := range []int{200, 1500} {
		for _, server := range echoServers {
			b.Run(server.name+"/"+map[int]string{200: "200B", 1500: "1500B"}[size], func(b *testing.B) {
				conns := connect(b, server.start(b).Listener.Addr().String(), 64)
				next := make(chan net.Conn, len(conns))
				for _, c := range conns {
					next <- c
				}
				b.ReportAllocs()
				b.SetParallelism(len(conns) / runtime.GOMAXPROCS(0))
				b.RunParallel(func(pb *testing.PB) {
					c := <-next
					sent, echo := message(size)
					for pb.Next() {
						exchange(b, c, sent, echo)
					}
					next <- c
				})
				for _, c := range conns {
					_ = c.Close()
				}
			})
		}
	}
}
