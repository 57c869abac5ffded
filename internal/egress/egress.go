// Package egress keeps what others name to us, as a relay's peer or the target of
// a webhook, from being a way around the firewall.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Public reports whether an address is one of the open Internet: neither ours, nor
// our network's, nor nobody's.
func Public(addr netip.Addr) bool {
	addr = addr.Unmap()
	if !addr.IsValid() || addr.Zone() != "" {
		return false
	}
	for _, prefix := range refused {
		if prefix.Contains(addr) {
			return false
		}
	}
	return true
}

// ErrPrivate is why a connection was not made: the name has an address that is
// not public.
var ErrPrivate = errors.New("the address is not a public one")

// Dialer connects to public addresses only. Its zero value is ready.
type Dialer struct {
	// Lookup returns the addresses of a name; nil is the system's resolver.
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	// Dial connects to an address and port; nil is TCP with a timeout.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// dialTime is how long one address may take to be connected to.
const dialTime = 5 * time.Second

// DialContext looks a name up once, refuses it if any of its addresses is not
// public, and connects to one of those that were looked at: a name that changes
// its address meanwhile changes nothing.
func (d Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	lookup, dial := d.Lookup, d.Dial
	if lookup == nil {
		lookup = net.DefaultResolver.LookupNetIP
	}
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTime}).DialContext
	}
	addrs, err := lookup(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	for _, addr := range addrs {
		if !Public(addr) {
			return nil, fmt.Errorf("egress: %s: %w", host, ErrPrivate)
		}
	}
	err = fmt.Errorf("egress: %s has no address", host)
	for _, addr := range addrs {
		var conn net.Conn
		if conn, err = dial(ctx, network, net.JoinHostPort(addr.Unmap().String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// Client returns a client that follows no redirect, uses no proxy, and connects
// as dial does; nil connects anywhere.
func Client(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dial,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    dialTime,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// refused are what is ours, our network's or nobody's.
var refused = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this host (RFC 1122)
	netip.MustParsePrefix("10.0.0.0/8"),       // private (RFC 1918)
	netip.MustParsePrefix("100.64.0.0/10"),    // behind carriers' NAT (RFC 6598); cloud metadata at 100.100.100.200
	netip.MustParsePrefix("127.0.0.0/8"),      // loopback
	netip.MustParsePrefix("168.63.129.16/32"), // cloud metadata of Azure
	netip.MustParsePrefix("169.254.0.0/16"),   // link-local; cloud metadata at 169.254.169.254
	netip.MustParsePrefix("172.16.0.0/12"),    // private (RFC 1918)
	netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments (RFC 6890); cloud metadata at 192.0.0.192
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation (RFC 5737)
	netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays (RFC 7526)
	netip.MustParsePrefix("192.168.0.0/16"),   // private (RFC 1918)
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks (RFC 2544)
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation (RFC 5737)
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation (RFC 5737)
	netip.MustParsePrefix("224.0.0.0/4"),      // multicast
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved; broadcast
	netip.MustParsePrefix("::/3"),             // not given out (RFC 4291): loopback, IPv4 mapped, translated (RFC 2765) or by NAT64 (RFC 6052)
	netip.MustParsePrefix("2001::/23"),        // protocol assignments, IPv4 by Teredo among them (RFC 2928)
	netip.MustParsePrefix("2001:db8::/32"),    // documentation (RFC 3849)
	netip.MustParsePrefix("2002::/16"),        // IPv4 by 6to4 (RFC 3056)
	netip.MustParsePrefix("3fff::/20"),        // documentation (RFC 9637)
	netip.MustParsePrefix("4000::/2"),         // not given out
	netip.MustParsePrefix("8000::/1"),         // not given out: private (RFC 4193), link-local, multicast; cloud metadata at fd00:ec2::254
}
