package config

import (
	"net"
	"net/netip"
	"net/url"
)

// ForeignVPaaS reports whether meetings are made at a VPaaS other than this
// server, which is its own when vpaas.apiAddress is empty, the public URL, or a
// loopback address that it listens on.
func (c Config) ForeignVPaaS() bool {
	api := c.VPaaS.APIAddress
	if api == "" || api == c.Server.PublicURL {
		return false
	}
	u, err := url.Parse(api)
	if err != nil || !isLoopback(u.Hostname()) || u.Path != "" {
		return true
	}
	listen, port := c.Server.HTTP, "80"
	if u.Scheme == "https" {
		listen, port = c.Server.HTTPS, "443"
	}
	if u.Port() != "" {
		port = u.Port()
	}
	host, own, err := net.SplitHostPort(listen)
	if err != nil || own != port {
		return true
	}
	ip, err := netip.ParseAddr(host)
	everywhere := host == "" || host == "localhost" || err == nil && ip.IsUnspecified()
	return !everywhere && host != u.Hostname() && u.Hostname() != "localhost"
}
