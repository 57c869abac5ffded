package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"testing"

	"usher/internal/socket"
)

// TestMain lets benches start this binary as the servers that they measure.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "serve":
		main()
	case len(os.Args) > 2 && os.Args[1] == "peerjs":
		servePeerJS(os.Args[2])
		return
	}
	os.Exit(m.Run())
}

// servePeerJS relays as a PeerJS server does, until it is interrupted.
func servePeerJS(port string) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	relay := &peerJSRelay{group: socket.NewGroup(socket.Config{}), conns: map[string]*socket.Conn{}}
	server := &http.Server{Addr: "127.0.0.1:" + port, Handler: relay}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	_ = server.ListenAndServe()
}

type peerJSRelay struct {
	group *socket.Group
	mu    sync.Mutex
	conns map[string]*socket.Conn
}

func (p *peerJSRelay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	err := p.group.Upgrade(w, r, func(c *socket.Conn) socket.Handler {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.conns[id] = c
		_ = c.Send([]byte(`{"type":"OPEN"}`))
		return p
	})
	if err != nil {
		http.Error(w, "no upgrade", http.StatusBadRequest)
	}
}

func (p *peerJSRelay) Message(_ *socket.Conn, data []byte) {
	var m struct{ Dst string }
	p.mu.Lock()
	defer p.mu.Unlock()
	if json.Unmarshal(data, &m) == nil && p.conns[m.Dst] != nil {
		_ = p.conns[m.Dst].Send(data)
	}
}

func (p *peerJSRelay) Closed(*socket.Conn, socket.Code, bool) {}

func TestBenchesMeasureEveryCallAtEachNumberOfClients(t *testing.T) {
	t.Parallel()
	peerJS := os.Args[0] + " peerjs {port}"
	for name, test := range map[string]struct {
		args []string
		rows []string
	}{
		"join": {[]string{"bench", "join", "--clients", "1,2", "--rounds", "1", "--time", "20ms", "--dir", t.TempDir()}, []string{
			`1 +\d+ +\S+s +\S+s +\d+ +\S+s +\S+s +\d+\.\d\d`, `2 +\d+ .*`,
		}},
		"decide": {[]string{"bench", "decide", "--clients", "1,2", "--rounds", "1", "--time", "20ms", "--dir", t.TempDir()}, []string{
			`1 +bare +\d+ +\S+s +\S+s +1\.00`, `1 +read a room, API key .*`, `1 +read a room, user's token .*`,
			`1 +enter a room, user's token, refused +\d+ +\S+s +\S+s +\d+\.\d\d`,
			`2 +bare .*`, `2 +read a room, API key .*`, `2 +read a room, user's token .*`, `2 +enter a room, user's token, refused .*`,
		}},
		"collab": {[]string{"bench", "collab", "--clients", "2,3", "--items", "5,10", "--rounds", "1", "--time", "200ms", "--dir", t.TempDir()}, []string{
			`2 +\d+ +\d+ +\S+s +\S+s`, `3 +\d+ +.*`, ``, `items .*`, `5 +\d+ +\d+ +\S+s +\S+s +\S+s +\S+s`, `10 +.*`,
		}},
		"relay": {[]string{"bench", "relay", "--connections", "2,4", "--sizes", "64,2000", "--rounds", "2", "--time", "200ms", "--no-pin", "--bare", peerJS, "--peerjs", peerJS, "--dir", t.TempDir()}, []string{
			`2 +usher +64 +\d+ +\d+\.\d\d +\S+s +\S+ +\S+s +\S+s +-`, `2 +bare +64 +.*`, `2 +peerjs +64 +\d+ +1\.00 .*`, `2 +usher +2000 +.*`, `2 +bare +2000 +.*`, `2 +peerjs +2000 +.*`,
			`4 +usher +64 +.*`, `4 +bare +64 +.*`, `4 +peerjs +64 +.*`, `4 +usher +2000 +.*`, `4 +bare +2000 +.*`, `4 +peerjs +2000 +.*`,
		}},
		"idle": {[]string{"bench", "idle", "--connections", "2,4", "--rounds", "1", "--time", "20ms", "--no-pin", "--peerjs", peerJS, "--dir", t.TempDir()}, []string{
			`2 +usher +\d+ +\S+s +-?\d+\.\d +\d+ +-`, `2 +usher, TLS +\d+ .*`, `2 +peerjs +\d+ .*`, `4 +usher +.*`, `4 +usher, TLS +.*`, `4 +peerjs +.*`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := command(t, test.args...)
			if status != 0 {
				t.Fatalf("status %d: %s", status, stderr)
			}
			want := regexp.MustCompile(`(?m)^ *(?:clients|connections) .*\n *` + strings.Join(test.rows, `\n *`) + `\s*$`)
			if !want.MatchString(stdout) {
				t.Errorf("printed\n%s\nwant %s", stdout, want)
			}
		})
	}
}

func TestBenchesOfSocketsWantPairsOfConnections(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"bench", "relay", "--connections", "3"}, {"bench", "idle", "--connections", "0"}, {"bench", "idle", "--rounds", "0"},
		{"bench", "relay", "--sizes", "10"}, {"bench", "relay", "--rate", "0"},
	} {
		if status, stdout, stderr := command(t, args...); status != 1 || stdout != "" || !strings.Contains(stderr, "bench") {
			t.Errorf("%v: status %d, printed %q, said %q; want it refused", args, status, stdout, stderr)
		}
	}
}
