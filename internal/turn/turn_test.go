package turn_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	pion "github.com/pion/turn/v5"
	"github.com/prometheus/client_golang/prometheus"

	"usher/internal/turn"
)

func TestAnyoneLearnsItsAddress(t *testing.T) {
	s := start(t, nil)
	for _, addr := range []net.Addr{s.UDPAddr(), s.TCPAddr()} {
		client := dialAs(t, addr, "", "")
		got, err := client.SendBindingRequest()
		if err != nil {
			t.Fatalf("%s: %v", addr.Network(), err)
		}
		if host, _, _ := net.SplitHostPort(got.String()); host != "127.0.0.1" {
			t.Errorf("%s: got %v", addr.Network(), got)
		}
	}
}

func TestRelaysToAPeer(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := start(t, func(c *turn.Config) { c.Metrics = registry })
	peer := echo(t)
	for _, addr := range []net.Addr{s.UDPAddr(), s.TCPAddr()} {
		relay := allocate(t, dial(t, addr, "user:https://id.example.com#alice"))
		if got := exchange(t, relay, peer, "hello"); got != "hello" {
			t.Errorf("%s: got %q", addr.Network(), got)
		}
	}
	if got := metric(t, registry, "usher_turn_relays", ""); got != 2 {
		t.Errorf("%v relays are counted, want 2", got)
	}
	if err := s.Close(); err != nil { // so that all is counted
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"sent": 10, "received": 10} {
		if got := metric(t, registry, "usher_turn_relayed_bytes_total", name); got != want {
			t.Errorf("%s: %v bytes are counted, want %v", name, got, want)
		}
	}
}

func TestTwoUsersMeetOnTheServer(t *testing.T) {
	s := start(t, nil)
	aliceClient, bobClient := dial(t, s.UDPAddr(), "alice"), dial(t, s.TCPAddr(), "bob")
	alice, bob := allocate(t, aliceClient), allocate(t, bobClient)
	if err := bobClient.CreatePermission(alice.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.WriteTo([]byte("hello"), bob.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, bob); got != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestOfItsOwnAddressARelayReachesRelaysOnly(t *testing.T) {
	s := start(t, func(c *turn.Config) { c.MinPort, c.MaxPort = 61000, 65535 }) // above the system's own choice
	service, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	client := dial(t, s.UDPAddr(), "alice")
	relay := allocate(t, client)
	if _, err := relay.WriteTo([]byte("hello"), service.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	// What would have arrived, has by the time that a peer has answered.
	if got := exchange(t, relay, echo(t), "marker"); got != "marker" {
		t.Fatalf("got %q", got)
	}
	_ = service.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, from, err := service.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("a service on the server's own address got %d bytes from %v", n, from)
	}
}

func TestWhoHasNoGoodCredentialIsRefused(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := start(t, func(c *turn.Config) { c.Metrics = registry })
	now := time.Now()
	expired, expiredPassword := credential(t, secret, "alice", now.Add(-2*time.Hour), time.Hour)
	foreign, foreignPassword := credential(t, "another secret of the same length.", "alice", now, time.Hour)
	good, goodPassword := credential(t, secret, "alice", now, time.Hour)
	digits, _, _ := strings.Cut(good, ":")
	for name, test := range map[string]struct{ username, password, reason string }{
		"an expired one":                   {expired, expiredPassword, "expired"},
		"one of another secret":            {foreign, foreignPassword, "credential"},
		"one made longer":                  {"9" + good, goodPassword, "credential"},
		"one of another user":              {digits + ":bob", goodPassword, "credential"},
		"one without a user":               {digits, goodPassword, "credential"},
		"a name that is not of our making": {"alice", goodPassword, "credential"},
	} {
		t.Run(name, func(t *testing.T) {
			before := metric(t, registry, "usher_turn_refused_total", test.reason)
			relay, err := dialAs(t, s.UDPAddr(), test.username, test.password).Allocate()
			if err == nil {
				_ = relay.Close()
				t.Fatal("accepted")
			}
			if got := metric(t, registry, "usher_turn_refused_total", test.reason); got != before+1 {
				t.Errorf("%v refusals with the reason %s are counted, want %v (%v)", got, test.reason, before+1, err)
			}
		})
	}
}

// What is not there before it happens does not increase when it does, and an
// alert would miss the first time.
func TestRefusalsAreCountedFromNought(t *testing.T) {
	registry := prometheus.NewRegistry()
	start(t, func(c *turn.Config) { c.Metrics = registry })
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, family := range families {
		if family.GetName() != "usher_turn_refused_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			got = append(got, m.GetLabel()[0].GetValue())
		}
	}
	if want := []string{"credential", "expired", "full", "peer", "quota"}; !slices.Equal(got, want) {
		t.Errorf("there are %q, want %q", got, want)
	}
}

func TestAnAllocationEndsWithItsCredential(t *testing.T) {
	expires := time.Now().Truncate(time.Second).Add(time.Hour)
	s := start(t, func(c *turn.Config) {
		c.Now = func() time.Time { return expires.Add(-300 * time.Millisecond) }
	})
	username, password := credential(t, secret, "alice", expires.Add(-time.Hour), time.Hour)
	client := dialAs(t, s.UDPAddr(), username, password)
	relay := allocate(t, client)
	// A connected socket hears of it when nobody listens at the other end.
	peer, err := net.Dial("udp4", relay.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for late := time.After(10 * time.Second); ; {
		if _, err := peer.Write([]byte("hello")); errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		select {
		case <-again.C:
		case <-late:
			t.Fatal("the relay outlives its credential")
		}
	}
}

func TestAUserHasAQuota(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := start(t, func(c *turn.Config) { c.Quota, c.Metrics = 2, registry })
	first := allocate(t, dial(t, s.UDPAddr(), "alice"))
	// Another credential of the same user is no way around it, nor is TCP.
	username, password := credential(t, secret, "alice", time.Now(), 2*time.Hour)
	allocate(t, dialAs(t, s.TCPAddr(), username, password))
	if relay, err := dial(t, s.UDPAddr(), "alice").Allocate(); err == nil {
		_ = relay.Close()
		t.Fatal("a third relay was allowed")
	} else if !strings.Contains(err.Error(), "486") {
		t.Errorf("refused with %v, want 486", err)
	}
	if got := metric(t, registry, "usher_turn_refused_total", "quota"); got != 1 {
		t.Errorf("%v refusals are counted, want 1", got)
	}
	// Others have their own, also those whose ids begin alike.
	allocate(t, dial(t, s.UDPAddr(), "alice:b"))
	allocate(t, dial(t, s.UDPAddr(), "alice:c"))
	allocate(t, dial(t, s.UDPAddr(), "bob"))

	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	allocate(t, dial(t, s.UDPAddr(), "alice"))
}

func TestTCPIsNotRelayed(t *testing.T) {
	s := start(t, nil)
	if relay, err := dial(t, s.TCPAddr(), "alice").AllocateTCP(); err == nil {
		_ = relay.Close()
		t.Error("a relay of TCP was allocated")
	}
}

func TestRelaysUseTheirPortsOnly(t *testing.T) {
	s := start(t, func(c *turn.Config) { c.MinPort, c.MaxPort, c.Quota = 62011, 62012, 5 })
	for range 2 {
		relay := allocate(t, dial(t, s.UDPAddr(), "alice"))
		if port := relay.LocalAddr().(*net.UDPAddr).Port; port != 62011 && port != 62012 {
			t.Errorf("got the port %d", port)
		}
	}
	if relay, err := dial(t, s.UDPAddr(), "alice").Allocate(); err == nil {
		_ = relay.Close()
		t.Error("a third relay was allocated on two ports")
	}
}

func TestCloseEndsEverything(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := start(t, func(c *turn.Config) { c.Metrics = registry })
	allocate(t, dial(t, s.UDPAddr(), "alice"))
	allocate(t, dial(t, s.TCPAddr(), "alice"))
	silent, err := net.Dial("tcp", s.TCPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for range 50 {
		dialAs(t, s.TCPAddr(), "", "")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.Conns(); got != 0 {
		t.Errorf("Close did not wait for %d connections", got)
	}
	if got := metric(t, registry, "usher_turn_relays", ""); got != 0 {
		t.Errorf("%v relays are left", got)
	}
	if err := s.Close(); err != nil {
		t.Errorf("the second time: %v", err)
	}
	_ = silent.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := silent.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a connection is left open")
	}
	if conn, err := net.Dial("tcp", s.TCPAddr().String()); err == nil {
		_ = conn.Close()
		t.Error("the server still listens")
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	s := turn.NewIdleServer(turn.DefaultConfig())
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	for i := range turn.MaxConns {
		if _, ok := s.AddConn(from{server, &net.TCPAddr{Port: i}}); !ok {
			t.Fatalf("connection %d is refused", i)
		}
	}
	if _, ok := s.AddConn(from{server, &net.TCPAddr{Port: turn.MaxConns}}); ok {
		t.Error("one too many is accepted")
	}
}

// from is a connection from any address.
type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

func TestAConnectionWithoutAnAllocationIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := turn.NewIdleServer(turn.DefaultConfig())
		near, far := net.Pipe()
		defer far.Close()
		conn, ok := s.AddConn(near)
		if !ok {
			t.Fatal("refused")
		}
		defer conn.Close()
		began := time.Now()
		read := func() time.Duration {
			_, err := conn.Read(make([]byte, 1))
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			return time.Since(began)
		}
		if got := read(); got != 30*time.Second {
			t.Errorf("closed after %v, want 30s", got)
		}
		s.Allocated(near.RemoteAddr())
		go func() {
			<-time.After(time.Hour)
			s.Deleted(near.RemoteAddr())
		}()
		if got := read(); got != time.Hour+time.Minute {
			t.Errorf("closed after %v, want 30s after the allocation of an hour", got)
		}
	})
}

func TestAClientThatDoesNotReadIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := turn.NewIdleServer(turn.DefaultConfig())
		near, far := net.Pipe()
		conn, _ := s.AddConn(near)
		defer conn.Close()
		began := time.Now()
		if _, err := conn.Write([]byte("hello")); err == nil {
			t.Error("written to nobody")
		}
		if got := time.Since(began); got != 10*time.Second {
			t.Errorf("given up after %v, want 10s", got)
		}
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the connection is left open: %v", err)
		}
	})
}

// TestTurnutils relays with the client that comes with coturn.
func TestTurnutils(t *testing.T) {
	s := start(t, nil)
	_, port, err := net.SplitHostPort(s.UDPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	uclient, err := exec.LookPath("turnutils_uclient")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("turnutils_uclient is missing: scripts/test-deps installs coturn")
	}
	if err != nil {
		t.Skip("turnutils_uclient is missing: scripts/test-deps installs coturn")
	}
	for name, issued := range map[string]time.Duration{"a good credential": 0, "an expired credential": -2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			username, password := credential(t, secret, "alice", time.Now().Add(issued), time.Hour)
			out, err := exec.CommandContext(t.Context(), uclient, "-y", "-c", "-n", "3", "-m", "1",
				"-p", port, "-u", username, "-w", password, "127.0.0.1").CombinedOutput()
			if works := err == nil && strings.Contains(string(out), "Total lost packets 0 "); works != (issued == 0) {
				t.Errorf("turnutils_uclient: %v\n%s", err, out)
			}
		})
	}
}

// FuzzUsername asks for an allocation under any name.
func FuzzUsername(f *testing.F) {
	for _, name := range []string{"1795179600:alice", ":", "99999999999999999999:a", "-1:a", "1:", "\x00", strings.Repeat("9", 600)} {
		f.Add(name)
	}
	s := turn.NewIdleServer(turn.Config{Realm: realm, Secret: secret})
	f.Fuzz(func(t *testing.T, name string) {
		id, key, ok := s.Authenticate(&pion.RequestAttributes{Username: name, Realm: realm, SrcAddr: &net.UDPAddr{}})
		digits, user, found := strings.Cut(name, ":")
		seconds, err := strconv.ParseInt(digits, 10, 64)
		want := found && err == nil && user != "" && digits[0] != '+' && seconds > time.Now().Unix()
		if ok && !want {
			t.Fatalf("%q has a key", name)
		}
		if ok && (id != name || len(key) != 16) {
			t.Fatalf("%q is %q with a key of %d bytes", name, id, len(key))
		}
	})
}
