package turn

import (
	"fmt"
	"net"
	"net/netip"
)

// refused are the addresses that a stranger must not reach through us: what is
// ours, our network's or nobody's. A relay would otherwise be a way around the
// firewall.
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
	netip.MustParsePrefix("::/96"),            // unspecified, loopback, and IPv4 in disguise (RFC 4291)
	netip.MustParsePrefix("64:ff9b::/96"),     // IPv4 by NAT64 (RFC 6052)
	netip.MustParsePrefix("64:ff9b:1::/48"),   // IPv4 by local NAT64 (RFC 8215)
	netip.MustParsePrefix("100::/64"),         // discarded (RFC 6666)
	netip.MustParsePrefix("2001::/23"),        // protocol assignments, IPv4 by Teredo among them (RFC 2928)
	netip.MustParsePrefix("2001:db8::/32"),    // documentation (RFC 3849)
	netip.MustParsePrefix("2002::/16"),        // IPv4 by 6to4 (RFC 3056)
	netip.MustParsePrefix("3fff::/20"),        // documentation (RFC 9637)
	netip.MustParsePrefix("5f00::/16"),        // segment routing (RFC 9602)
	netip.MustParsePrefix("fc00::/7"),         // private (RFC 4193); cloud metadata at fd00:ec2::254
	netip.MustParsePrefix("fe80::/10"),        // link-local
	netip.MustParsePrefix("fec0::/10"),        // private (RFC 3879)
	netip.MustParsePrefix("ff00::/8"),         // multicast
}

// peers says whom relays may reach.
type peers struct {
	allowed []netip.Prefix
}

// newPeers allows ranges beside what is public. One that can't be read is an
// error: ignored, it would surprise whoever wrote it.
func newPeers(allow []string) (peers, error) {
	var p peers
	for _, text := range allow {
		prefix, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
			return peers{}, fmt.Errorf("%q is no address range such as 10.20.0.0/16", text)
		case prefix.Addr().Is4In6():
			return peers{}, fmt.Errorf("%q must be written as a range of IPv4", text)
		case prefix != prefix.Masked():
			return peers{}, fmt.Errorf("%q has an address within the range; the range itself is %s", text, prefix.Masked())
		}
		p.allowed = append(p.allowed, prefix)
	}
	return p, nil
}

// reachable reports whether relays may send to ip and receive from it.
func (p peers) reachable(ip net.IP) bool {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return false
	}
	addr = addr.Unmap()
	return contains(p.allowed, addr) || !contains(refused, addr)
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
