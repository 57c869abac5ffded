package turn

import (
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
)

// minSecret keeps whoever holds a credential from guessing the secret that made
// it.
const minSecret = 32

// Config says where a server listens and what it lets its users do.
type Config struct {
	UDP          string   `yaml:"udp" doc:"Where to listen for STUN and TURN over UDP: an IP address and port, as in 0.0.0.0:3478, or nothing for not at all."`
	TCP          string   `yaml:"tcp" doc:"Where to listen for STUN and TURN over TCP, likewise; what is relayed to peers is UDP all the same."`
	Realm        string   `yaml:"realm" doc:"What the server calls itself to TURN clients."`
	RelayAddress string   `yaml:"relayAddress" doc:"The IP address by which peers reach relays: behind NAT the public one. If empty, it is the address that is listened on."`
	MinPort      int      `yaml:"minPort" doc:"The first of the UDP ports that relays use."`
	MaxPort      int      `yaml:"maxPort" doc:"The last of the UDP ports that relays use."`
	Quota        int      `yaml:"quota" doc:"How many relays one user may have at a time. A call takes about two for each address in turn.urls."`
	AllowPeers   []string `yaml:"allowPeers" doc:"Address ranges such as 10.20.0.0/16 that relays may reach although they are not public: loopback, private, link-local, shared, multicast and reserved addresses and those of cloud metadata are refused otherwise."`

	// Secret is what the credentials of package turnrest are made with.
	Secret usher.Secret `yaml:"-"`

	// What follows may be left out for that of the system; without a Logger
	// nothing is logged, and without Metrics nothing is counted.
	Now     func() time.Time      `yaml:"-"`
	Random  io.Reader             `yaml:"-"`
	Logger  *slog.Logger          `yaml:"-"`
	Metrics prometheus.Registerer `yaml:"-"`
}

// DefaultConfig returns the values in force where a configuration is silent. It
// listens nowhere.
func DefaultConfig() Config {
	return Config{Realm: "usher", MinPort: 49152, MaxPort: 65535, Quota: 32}
}

// Enabled reports whether there shall be a server at all.
func (c Config) Enabled() bool { return c.UDP != "" || c.TCP != "" }

// Validate returns what is wrong with the configuration, field by field. The
// secret is for [Start] to check.
func (c Config) Validate() []usher.FieldProblem {
	var problems []usher.FieldProblem
	problem := func(field, message string) {
		problems = append(problems, usher.FieldProblem{Field: field, Message: message})
	}
	for _, listen := range []struct{ field, address string }{{"udp", c.UDP}, {"tcp", c.TCP}} {
		if _, err := netip.ParseAddrPort(listen.address); listen.address != "" && err != nil {
			problem(listen.field, "must be an IP address and port such as 0.0.0.0:3478")
		}
	}
	if c.Realm == "" || strings.ContainsAny(c.Realm, "\"\\:") || len(c.Realm) > 127 {
		problem("realm", "must be a name such as example.com")
	}
	if _, err := c.relayAddr(); c.Enabled() && err != "" && len(problems) == 0 {
		problem("relayAddress", err)
	}
	if c.MinPort < 1024 || c.MaxPort > 65535 || c.MinPort > c.MaxPort {
		problem("minPort", "must be 1024 or more, and maxPort at least as much and at most 65535")
	}
	if c.Quota < 1 {
		problem("quota", "must be 1 or more")
	}
	if _, err := newPeers(c.AllowPeers); err != nil {
		problem("allowPeers", err.Error())
	}
	return problems
}

// listenAddr is the address that relays are bound to.
func (c Config) listenAddr() netip.Addr {
	for _, address := range []string{c.UDP, c.TCP} {
		if a, err := netip.ParseAddrPort(address); err == nil {
			return a.Addr().Unmap()
		}
	}
	return netip.Addr{}
}

// relayAddr is the address that peers are told of, or what is wrong with it.
func (c Config) relayAddr() (addr netip.Addr, problem string) {
	listen := c.listenAddr()
	if c.RelayAddress == "" {
		if listen.IsUnspecified() {
			return addr, "must be the IP address by which peers reach this machine, since no single one is listened on"
		}
		return listen, ""
	}
	addr, err := netip.ParseAddr(c.RelayAddress)
	addr = addr.Unmap()
	switch {
	case err != nil || addr.IsUnspecified() || addr.Zone() != "":
		return addr, "must be an IP address such as 198.51.100.7"
	case !listen.IsUnspecified() && listen.Is4() != addr.Is4():
		return addr, "must be of the same family, IPv4 or IPv6, as the address that is listened on"
	}
	return addr, ""
}
