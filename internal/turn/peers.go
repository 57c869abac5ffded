package turn

import (
	"fmt"
	"net"
	"net/netip"

	"usher/internal/egress"
)

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
	return contains(p.allowed, addr) || egress.Public(addr)
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
