package config

import (
	"errors"
	"net/netip"
)

// Proxies returns the networks of the proxies that are trusted; a single
// address is a network of one.
func (s Server) Proxies() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range s.TrustedProxies {
		if p, err := parseNetwork(text); err == nil { // as in every configuration that is valid
			list = append(list, p)
		}
	}
	return list
}

// parseNetwork reads an address or a network. The error is half a sentence.
func parseNetwork(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if addr, single := netip.ParseAddr(text); single == nil && addr.Zone() == "" {
		p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	switch {
	case err != nil:
		return netip.Prefix{}, errors.New("must be an address or a network, such as 192.0.2.7 or 10.0.0.0/8")
	case p.Addr().Is4In6():
		return netip.Prefix{}, errors.New("must be written as IPv4, without the ::ffff: before it")
	case p != p.Masked():
		return netip.Prefix{}, errors.New("must begin where its network begins: " + p.Masked().String())
	}
	return p, nil
}
