package egress_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"usher/internal/egress"
)

func TestOnlyAddressesOfTheInternetArePublic(t *testing.T) {
	for address, want := range map[string]bool{
		"93.184.215.14":           true,
		"2606:2800:21f:cb07::1":   true,
		"::ffff:93.184.215.14":    true,
		"127.0.0.1":               false,
		"10.1.2.3":                false,
		"172.31.255.255":          false,
		"172.32.0.0":              true,
		"192.168.0.1":             false,
		"100.64.0.1":              false,
		"169.254.169.254":         false,
		"0.0.0.0":                 false,
		"255.255.255.255":         false,
		"::":                      false,
		"::1":                     false,
		"::ffff:127.0.0.1":        false,
		"::ffff:0:7f00:1":         false, // as translators write 127.0.0.1
		"64:ff9b::7f00:1":         false,
		"64:ff9b:1::7f00:1":       false,
		"1fff:ffff::1":            false,
		"2001:0:7f00:1::":         false,
		"2002:7f00:1::":           false,
		"fd00:ec2::254":           false,
		"3ffe:ffff::1":            true,
		"4000::1":                 false,
		"5f00::1":                 false,
		"8000::1":                 false,
		"fe80::1":                 false,
		"fec0::1":                 false,
		"ff02::1":                 false,
		"2606:2800:21f:cb07::1%1": false,
	} {
		if got := egress.Public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is public: %v, want %v", address, got, want)
		}
	}
	if egress.Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// network is names, and who answers at which address.
type network struct {
	names  map[string][]string
	dialed []string
	refuse map[string]bool
}

func (n *network) dialer() egress.Dialer {
	return egress.Dialer{
		Lookup: func(_ context.Context, _, host string) ([]netip.Addr, error) {
			var addrs []netip.Addr
			for _, a := range n.names[host] {
				addrs = append(addrs, netip.MustParseAddr(a))
			}
			return addrs, nil
		},
		Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			n.dialed = append(n.dialed, address)
			if n.refuse[address] {
				return nil, errors.New("refused")
			}
			client, _ := net.Pipe()
			return client, nil
		},
	}
}

func TestEveryAddressOfANameIsLookedAt(t *testing.T) {
	n := &network{
		names: map[string][]string{
			"good.example":  {"93.184.215.14", "2606:2800:21f:cb07::1"},
			"inner.example": {"10.0.0.1"},
			"mixed.example": {"93.184.215.14", "127.0.0.1"},
			"none.example":  nil,
		},
		refuse: map[string]bool{"93.184.215.14:443": true},
	}
	for host, private := range map[string]bool{"inner.example": true, "mixed.example": true, "none.example": false} {
		if _, err := n.dialer().DialContext(t.Context(), "tcp", host+":443"); err == nil || errors.Is(err, egress.ErrPrivate) != private {
			t.Errorf("%s: got %v", host, err)
		}
	}
	if len(n.dialed) != 0 {
		t.Errorf("dialed %q", n.dialed)
	}
	conn, err := n.dialer().DialContext(t.Context(), "tcp", "good.example:443")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if len(n.dialed) != 2 || n.dialed[1] != "[2606:2800:21f:cb07::1]:443" {
		t.Errorf("dialed %q, want both addresses that were looked at", n.dialed)
	}
}

func TestARedirectIsAnAnswer(t *testing.T) {
	reached := false
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer inner.Close()
	outer := httptest.NewServer(http.RedirectHandler(inner.URL, http.StatusTemporaryRedirect))
	defer outer.Close()
	client := egress.Client(nil)
	defer client.CloseIdleConnections()
	res, err := client.Post(outer.URL, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusTemporaryRedirect || reached {
		t.Errorf("got %d, the other was reached: %v", res.StatusCode, reached)
	}
	guarded := egress.Client(egress.Dialer{}.DialContext)
	if _, err := guarded.Post(outer.URL, "text/plain", nil); !errors.Is(err, egress.ErrPrivate) {
		t.Errorf("a client of public addresses: %v", err)
	}
}

// A proxy would look names up by itself, and connect wherever they lead. Which one
// the environment names net/http reads once only, so that it is no use to set one.
func TestNoProxyIsUsed(t *testing.T) {
	if transport, ok := egress.Client(nil).Transport.(*http.Transport); !ok || transport.Proxy != nil {
		t.Error("a proxy may be used")
	}
}
