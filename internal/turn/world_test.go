package turn_test

import (
	"encoding/json"
	"io"
	"net"
	"testing"
	"time"

	"github.com/pion/logging"
	pion "github.com/pion/turn/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/turnrest"
	"usher/internal/turn"
)

const (
	secret = "a secret of thirty-two characters"
	realm  = "usher.test"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a server on loopback, which relays to loopback.
func start(t *testing.T, change func(*turn.Config)) *turn.Server {
	t.Helper()
	config := turn.DefaultConfig()
	config.UDP, config.TCP, config.Realm, config.Secret = "127.0.0.1:0", "127.0.0.1:0", realm, secret
	config.AllowPeers = []string{"127.0.0.0/8"}
	if change != nil {
		change(&config)
	}
	s, err := turn.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// credential is one that package turnrest issues with a secret.
func credential(t *testing.T, secret usher.Secret, user string, issued time.Time, lifetime time.Duration) (username, password string) {
	t.Helper()
	p, err := turnrest.New(turnrest.Config{URLs: []string{"turn:127.0.0.1"}, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Issue(t.Context(), platform.Request{
		Grant:   usher.Grant{Permissions: usher.AllPermissions, Expires: issued.Add(lifetime)},
		Subject: user,
		Now:     issued,
	})
	if err != nil {
		t.Fatal(err)
	}
	var server struct{ Username, Credential string }
	if err := json.Unmarshal(c.Body, &server); err != nil {
		t.Fatal(err)
	}
	return server.Username, server.Credential
}

// dial returns a client of the server with a credential that is good for an hour.
func dial(t *testing.T, server net.Addr, user string) *pion.Client {
	t.Helper()
	username, password := credential(t, secret, user, time.Now(), time.Hour)
	return dialAs(t, server, username, password)
}

func dialAs(t *testing.T, server net.Addr, username, password string) *pion.Client {
	t.Helper()
	var conn net.PacketConn
	var err error
	if server.Network() == "tcp" {
		var stream net.Conn
		if stream, err = net.Dial("tcp", server.String()); err == nil {
			conn = pion.NewSTUNConn(stream)
		}
	} else {
		conn, err = net.ListenPacket("udp", net.JoinHostPort(server.(*net.UDPAddr).IP.String(), "0"))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	client, err := pion.NewClient(&pion.ClientConfig{
		STUNServerAddr: server.String(), TURNServerAddr: server.String(), Conn: conn,
		Username: username, Password: password, Realm: realm,
		LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// allocate makes a relay that lasts until the test ends.
func allocate(t *testing.T, client *pion.Client) net.PacketConn {
	t.Helper()
	relay, err := client.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = relay.Close() })
	return relay
}

// echo answers every datagram with itself. It is on another loopback address
// than the server, since of its own address a server reaches relays only.
func echo(t *testing.T) net.Addr {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(buf[:n], from)
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return conn.LocalAddr()
}

// exchange sends a message and returns what comes back, which must be within a
// time that is long for a loopback.
func exchange(t *testing.T, from net.PacketConn, to net.Addr, text string) string {
	t.Helper()
	if _, err := from.WriteTo([]byte(text), to); err != nil {
		t.Fatalf("send: %v", err)
	}
	return receive(t, from)
}

func receive(t *testing.T, conn net.PacketConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	n, _, err := conn.ReadFrom(buf)
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return string(buf[:n])
}

// metric returns a value by its name and the value of its one label, if any.
func metric(t *testing.T, registry *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if labels := m.GetLabel(); len(labels) == 0 || labels[0].GetValue() == label {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
