package config

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"usher/internal/certs"
)

// TLS is what callers over HTTPS are shown.
type TLS struct {
	CertFile string        `yaml:"certFile" doc:"The certificate (PEM) that is shown over HTTPS, with those of the authorities between it and a root behind it. It must be good for the host of publicURL. It is read anew within a minute of being replaced. Without it, the certificate is one for localhost that is made on first start and kept in the data folder."`
	KeyFile  string        `yaml:"keyFile" doc:"The private key (PEM) of that certificate."`
	HSTS     time.Duration `yaml:"hsts" doc:"For how long browsers are told to call this host over HTTPS alone (HTTP Strict Transport Security), wherever publicURL is https; 0s does not tell them. Never in development mode, nor for an address of this machine."`
	ACME     ACME          `yaml:"acme"`
}

// ACME is an authority that certificates are got from, and renewed in time.
type ACME struct {
	Domains      []string `yaml:"domains" doc:"The hosts to get certificates for from an authority that speaks ACME, in place of certFile: that of publicURL, and others that lead here. To see that they do, the authority calls server.https on port 443 of each, or else server.http on port 80."`
	AcceptTerms  bool     `yaml:"acceptTerms" doc:"That you agree to the terms of the authority, without which there are no certificates; of Let's Encrypt they are at https://letsencrypt.org/repository/."`
	Email        string   `yaml:"email" doc:"Where the authority may write to."`
	DirectoryURL string   `yaml:"directoryURL" doc:"The authority's directory. To try it out, take https://acme-staging-v02.api.letsencrypt.org/directory, whose certificates nobody trusts and which does not count how many there are."`
	CAFile       string   `yaml:"caFile" doc:"A file of certificates (PEM) to trust there beside the system's, for an authority of your own."`
}

// DefaultTLS returns what is in force where nothing is said.
func DefaultTLS() TLS {
	return TLS{HSTS: 180 * 24 * time.Hour, ACME: ACME{DirectoryURL: certs.LetsEncrypt}}
}

// Public reports whether HTTPS is served with a certificate for others than
// this machine.
func (s Server) Public() bool {
	return s.HTTPS != "" && (s.TLS.CertFile != "" || len(s.TLS.ACME.Domains) > 0)
}

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
	v.acme(c)
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

// acme checks what certificates are got by. Whether the authority reaches this
// server nobody can tell from here; see [Config.acmeWarning].
func (v *validator) acme(c Config) {
	const path = "server.tls.acme"
	s, a := c.Server, c.Server.TLS.ACME
	if a.DirectoryURL != "" || len(a.Domains) > 0 {
		u, message := parseURL(a.DirectoryURL)
		v.check(path+".directoryURL", message == "" && u.Scheme == "https", "must be an absolute URL that begins with https://, without user, query and fragment")
	}
	if a.Email != "" {
		parsed, err := mail.ParseAddress(a.Email)
		v.check(path+".email", err == nil && parsed.Address == a.Email, "must be a mail address, such as ops@example.com")
	}
	if a.CAFile != "" {
		_, err := certs.Authorities(a.CAFile)
		v.check(path+".caFile", err == nil, fmt.Sprint(err))
	}
	if len(a.Domains) == 0 {
		return
	}
	v.check(path+".domains", !c.Dev, "can't be set in development mode, in which only this machine reaches the server")
	v.check(path+".domains", s.TLS.CertFile == "" && s.TLS.KeyFile == "", "can't be set beside server.tls.certFile and keyFile; keep the one or the other")
	v.check(path+".acceptTerms", a.AcceptTerms, "must be true where domains are set: the authority gives certificates to those only who agree to its terms")
	v.check("server.https", s.HTTPS != "", "is needed where server.tls.acme has domains: it says where to show their certificates")
	for i, domain := range a.Domains {
		at := index(path+".domains", i)
		v.check(at, isDomain(domain), "must be the name of a host in lower case, such as usher.example.com, and no address")
		v.check(at, !slices.Contains(a.Domains[:i], domain), "is in the list twice")
	}
	host, secure := s.publicHost()
	v.check("server.publicURL", secure && slices.Contains(a.Domains, host), "must begin with https://, and its host must be one of server.tls.acme.domains")
}

// isDomain reports whether an authority on the internet could know the name.
func isDomain(name string) bool {
	labels := strings.Split(name, ".")
	if _, err := netip.ParseAddr(name); err == nil || len(labels) < 2 || len(name) > 253 {
		return false
	}
	return !slices.ContainsFunc(labels, func(label string) bool {
		return label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
			strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-")
	})
}

// acmeWarning is empty if the authority finds one of the ports that it calls. It
// may find them elsewhere, from where something leads here.
func (c Config) acmeWarning() string {
	port := func(address string) string { _, port, _ := net.SplitHostPort(address); return port }
	if len(c.Server.TLS.ACME.Domains) == 0 || port(c.Server.HTTPS) == "443" || port(c.Server.HTTP) == "80" {
		return ""
	}
	return "server.tls.acme gets no certificate unless port 443 of its domains leads to server.https, or port 80 to server.http: neither listens on that port itself."
}

// tlsWarning is empty if callers of the public URL can trust what they are shown.
func (c Config) tlsWarning() string {
	if host, secure := c.Server.publicHost(); c.Dev || !secure || c.Server.HTTPS == "" || c.Server.Public() || isLoopback(host) {
		return ""
	}
	return "server.https shows a certificate for localhost only: set server.tls.certFile or server.tls.acme, unless a proxy in front ends the TLS of callers."
}
