package config

import (
	"net/url"
	"time"

	"usher/internal/certs"
)

// TLS is what callers over HTTPS are shown.
type TLS struct {
	CertFile string        `yaml:"certFile" doc:"The certificate (PEM) that is shown over HTTPS, with those of the authorities between it and a root behind it. It must be good for the host of publicURL. It is read anew within a minute of being replaced. Without it, the certificate is one for localhost that is made on first start and kept in the data folder."`
	KeyFile  string        `yaml:"keyFile" doc:"The private key (PEM) of that certificate."`
	HSTS     time.Duration `yaml:"hsts" doc:"For how long browsers are told to call this host over HTTPS alone (HTTP Strict Transport Security), wherever publicURL is https; 0s does not tell them. Never in development mode, nor for an address of this machine."`
}

// Public reports whether HTTPS is served with a certificate for others than
// this machine.
func (s Server) Public() bool { return s.HTTPS != "" && s.TLS.CertFile != "" }

// publicHost returns the host by which callers reach the server, and whether
// over HTTPS.
func (s Server) publicHost() (host string, secure bool) {
	u, err := url.Parse(s.PublicURL)
	if err != nil {
		return "", false
	}
	return u.Hostname(), u.Scheme == "https"
}

// StrictTransport returns for how long browsers are told to call over HTTPS
// alone: 0 where that would bind what else is served on this machine.
func (c Config) StrictTransport() time.Duration {
	if host, secure := c.Server.publicHost(); c.Dev || !secure || isLoopback(host) {
		return 0
	}
	return c.Server.TLS.HSTS
}

func (v *validator) tls(c Config) {
	s := c.Server
	v.check("server.tls.hsts", s.TLS.HSTS >= 0 && s.TLS.HSTS%time.Second == 0, "must be whole seconds, and no less than 0s")
	if s.TLS.CertFile == "" && s.TLS.KeyFile == "" {
		return
	}
	if s.TLS.CertFile == "" || s.TLS.KeyFile == "" {
		v.check("server.tls", false, "needs certFile and keyFile, or neither")
		return
	}
	v.check("server.https", s.HTTPS != "", "is needed where server.tls has a certificate: it says where to show it")
	host, secure := s.publicHost()
	v.check("server.publicURL", secure || s.PublicURL == "", "must begin with https:// where server.tls has a certificate")
	cert, err := certs.Load(s.TLS.CertFile, s.TLS.KeyFile)
	if err != nil {
		v.check("server.tls.certFile", false, err.Error())
		return
	}
	if host != "" {
		err := cert.Leaf.VerifyHostname(host)
		v.check("server.tls.certFile", err == nil, "is for another host than that of server.publicURL, which is "+host)
	}
}

// tlsWarning is empty if callers of the public URL can trust what they are shown.
func (c Config) tlsWarning() string {
	if host, secure := c.Server.publicHost(); c.Dev || !secure || c.Server.HTTPS == "" || c.Server.Public() || isLoopback(host) {
		return ""
	}
	return "server.https shows a certificate for localhost only: set server.tls.certFile, unless a proxy in front ends the TLS of callers."
}
