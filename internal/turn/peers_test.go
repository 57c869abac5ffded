package turn_test

import (
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/internal/turn"
)

// forbidden is one address or more of every class that is refused.
var forbidden = map[string][]string{
	"unspecified":        {"0.0.0.0", "0.1.2.3", "::"},
	"loopback":           {"127.0.0.1", "127.255.255.254", "::1"},
	"private":            {"10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "fc00::1", "fd12:3456::1", "fec0::1"},
	"link-local":         {"169.254.1.1", "fe80::1"},
	"behind NAT":         {"100.64.0.1", "100.127.255.254"},
	"multicast":          {"224.0.0.1", "239.255.255.255", "ff02::1"},
	"broadcast":          {"255.255.255.255", "240.0.0.1"},
	"cloud metadata":     {"169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"},
	"documentation":      {"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"},
	"benchmarks":         {"198.18.0.1", "198.19.255.254"},
	"IPv4 mapped":        {"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"},
	"IPv4 compatible":    {"::127.0.0.1", "::10.0.0.1"},
	"IPv4 by NAT64":      {"64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1"},
	"IPv4 by 6to4":       {"2002:7f00:1::", "2002:a00:1::1"},
	"IPv4 by Teredo":     {"2001:0:4136:e378:8000:63bf:3fff:fdd2"},
	"no address at all":  {""},
	"discarded, routing": {"100::1", "5f00::1"},
}

func TestWhatIsNotPublicIsRefused(t *testing.T) {
	for class, addresses := range forbidden {
		for _, address := range addresses {
			if ok, err := turn.Reachable(nil, net.ParseIP(address)); ok || err != nil {
				t.Errorf("%s: %q is reachable (%v)", class, address, err)
			}
		}
	}
}

func TestWhatIsPublicIsReachable(t *testing.T) {
	for _, address := range []string{"8.8.8.8", "::ffff:8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "168.63.129.17", "223.255.255.255", "2001:4860:4860::8888", "2a00::1"} {
		if ok, err := turn.Reachable(nil, net.ParseIP(address)); !ok || err != nil {
			t.Errorf("%q is refused (%v)", address, err)
		}
	}
}

func TestARangeIsAllowedAlone(t *testing.T) {
	allow := []string{"10.20.0.0/16", "fd00:1::/32"}
	for address, want := range map[string]bool{
		"10.20.0.1": true, "::ffff:10.20.0.1": true, "10.21.0.1": false, "127.0.0.1": false, "fd00:1::1": true, "fd00:2::1": false,
	} {
		if got, err := turn.Reachable(allow, net.ParseIP(address)); got != want || err != nil {
			t.Errorf("%q: got %t, want %t (%v)", address, got, want, err)
		}
	}
}

// TestClientsAreRefusedForbiddenPeers asks a server for permissions.
func TestClientsAreRefusedForbiddenPeers(t *testing.T) {
	four := start(t, func(c *turn.Config) { c.AllowPeers = nil })
	six := start(t, func(c *turn.Config) { c.UDP, c.TCP, c.AllowPeers = "[::1]:0", "", nil })
	clients := map[bool]interface {
		CreatePermission(...net.Addr) error
	}{}
	for v4, s := range map[bool]*turn.Server{true: four, false: six} {
		client := dial(t, s.UDPAddr(), "alice")
		allocate(t, client)
		clients[v4] = client
	}
	for class, addresses := range forbidden {
		for _, address := range addresses {
			ip := net.ParseIP(address)
			if ip == nil {
				continue // can't be asked for
			}
			err := clients[ip.To4() != nil].CreatePermission(&net.UDPAddr{IP: ip, Port: 9})
			if err == nil || !strings.Contains(err.Error(), "403") {
				t.Errorf("%s: %s: got %v, want 403", class, address, err)
			}
		}
	}
	if err := clients[true].CreatePermission(&net.UDPAddr{IP: net.IPv4(8, 8, 8, 8), Port: 9}); err != nil {
		t.Errorf("a public peer is refused: %v", err)
	}
}

func TestConfigurationIsCheckedAtStart(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*turn.Config)
		fields []string
	}{
		"a good one":                      {func(*turn.Config) {}, nil},
		"a range of IPv6":                 {func(c *turn.Config) { c.AllowPeers = []string{"fd00::/8"} }, nil},
		"a malformed range":               {func(c *turn.Config) { c.AllowPeers = []string{"10.0.0.0/8", "10.0.0.0/33"} }, []string{"allowPeers"}},
		"an address for a range":          {func(c *turn.Config) { c.AllowPeers = []string{"10.0.0.1"} }, []string{"allowPeers"}},
		"a range with an address":         {func(c *turn.Config) { c.AllowPeers = []string{"10.0.0.1/8"} }, []string{"allowPeers"}},
		"a range of IPv4 written as IPv6": {func(c *turn.Config) { c.AllowPeers = []string{"::ffff:10.0.0.0/104"} }, []string{"allowPeers"}},
		"a host name to listen on":        {func(c *turn.Config) { c.UDP = "localhost:3478" }, []string{"udp"}},
		"no port":                         {func(c *turn.Config) { c.TCP = "127.0.0.1" }, []string{"tcp"}},
		"no realm":                        {func(c *turn.Config) { c.Realm = "" }, []string{"realm"}},
		"no address for relays":           {func(c *turn.Config) { c.UDP = "0.0.0.0:0" }, []string{"relayAddress"}},
		"a name for relays":               {func(c *turn.Config) { c.RelayAddress = "turn.example.com" }, []string{"relayAddress"}},
		"relays of another family":        {func(c *turn.Config) { c.RelayAddress = "2001:db8::1" }, []string{"relayAddress"}},
		"ports the wrong way round":       {func(c *turn.Config) { c.MinPort, c.MaxPort = 60000, 50000 }, []string{"minPort"}},
		"privileged ports":                {func(c *turn.Config) { c.MinPort = 53 }, []string{"minPort"}},
		"no quota":                        {func(c *turn.Config) { c.Quota = 0 }, []string{"quota"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := turn.DefaultConfig()
			config.UDP, config.Secret = "127.0.0.1:0", secret
			test.change(&config)
			var fields []string
			for _, problem := range config.Validate() {
				fields = append(fields, problem.Field)
			}
			if diff := cmp.Diff(test.fields, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			s, err := turn.Start(config)
			if err == nil {
				_ = s.Close()
			}
			if (err == nil) != (len(test.fields) == 0) {
				t.Errorf("Start: %v", err)
			}
		})
	}
}

func TestStartNeedsASecretAndSomewhereToListen(t *testing.T) {
	config := turn.DefaultConfig()
	config.Secret = secret
	if _, err := turn.Start(config); err == nil {
		t.Error("started without anywhere to listen")
	}
	config.UDP, config.Secret = "127.0.0.1:0", "north"
	if _, err := turn.Start(config); err == nil || strings.Contains(err.Error(), "north") {
		t.Errorf("a weak secret: %v", err)
	}
}

func TestAnAddressInUseFailsAtStart(t *testing.T) {
	s := start(t, nil)
	config := turn.DefaultConfig()
	config.UDP, config.TCP, config.Secret = "127.0.0.1:0", s.TCPAddr().String(), secret
	if second, err := turn.Start(config); err == nil {
		_ = second.Close()
		t.Error("started on an address in use")
	}
}
