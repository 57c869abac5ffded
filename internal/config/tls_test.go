package config_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/certs"
	"usher/internal/config"
)

// localhostFiles are a certificate for localhost and its key.
func localhostFiles(t *testing.T) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	if _, err := certs.Localhost(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, certs.CertFile), filepath.Join(dir, certs.KeyFile)
}

// certificateFor are a certificate for a host and its key.
func certificateFor(t *testing.T, host string) (cert, key string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))), writeKey(t, pkcs8(t, private))
}

func TestTheCertificateFitsItsKeyAndThePublicURL(t *testing.T) {
	cert, key := localhostFiles(t)
	_, otherKey := localhostFiles(t)
	for name, tc := range map[string]struct {
		change func(s *config.Server)
		// want begins the only problem; empty is none.
		want string
	}{
		"all fits":                 {func(*config.Server) {}, ""},
		"an address":               {func(s *config.Server) { s.PublicURL = "https://[::1]:8443" }, ""},
		"no key":                   {func(s *config.Server) { s.TLS.KeyFile = "" }, "server.tls: needs certFile and keyFile"},
		"no certificate":           {func(s *config.Server) { s.TLS.CertFile = "" }, "server.tls: needs certFile and keyFile"},
		"another's key":            {func(s *config.Server) { s.TLS.KeyFile = otherKey }, "server.tls.certFile: " + cert + " and " + otherKey + " are no certificate with its key"},
		"no file":                  {func(s *config.Server) { s.TLS.CertFile = "none.crt" }, "server.tls.certFile: none.crt and"},
		"another host":             {func(s *config.Server) { s.PublicURL = "https://usher.example.com" }, "server.tls.certFile: is for another host"},
		"a public URL in the open": {func(s *config.Server) { s.PublicURL = "http://localhost" }, "server.publicURL: must begin with https://"},
		"nowhere to show it":       {func(s *config.Server) { s.HTTPS = "" }, "server.https: is needed"},
		"less than no time":        {func(s *config.Server) { s.TLS.HSTS = -time.Second }, "server.tls.hsts: must be whole seconds"},
		"a part of a second":       {func(s *config.Server) { s.TLS.HSTS = time.Millisecond }, "server.tls.hsts: must be whole seconds"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config.Default()
			c.Server.PublicURL, c.Server.HTTPS = "https://localhost:8443", "127.0.0.1:0"
			c.Server.TLS.CertFile, c.Server.TLS.KeyFile = cert, key
			tc.change(&c.Server)
			got := c.Validate()
			switch {
			case tc.want == "" && len(got) > 0:
				t.Errorf("problems = %v, want none", got)
			case tc.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0].String(), tc.want)):
				t.Errorf("problems = %v, want %q alone", got, tc.want)
			}
		})
	}
}

func TestWhereBrowsersAreToldToStayOnHTTPS(t *testing.T) {
	for url, want := range map[string]bool{
		"https://usher.example.com": true, "https://192.0.2.7": true, "http://usher.example.com": false,
		"https://localhost:3000": false, "https://127.0.0.1": false, "https://[::1]": false, "": false,
	} {
		for _, dev := range []bool{false, true} {
			c := config.Default()
			c.Dev, c.Server.PublicURL = dev, url
			if got := c.StrictTransport(); got > 0 != (want && !dev) {
				t.Errorf("%s, development %t: for %v", url, dev, got)
			}
		}
	}
}

func TestACertificateForLocalhostAloneGetsAWarning(t *testing.T) {
	for text, want := range map[string]bool{
		"server: {publicURL: \"https://usher.example.com\", https: \":8443\"}": true,
		"server: {publicURL: \"https://usher.example.com\"}":                   false,
		"server: {publicURL: \"https://localhost:8443\", https: \":8443\"}":    false,
	} {
		_, got := load(t, config.Options{Path: write(t, text)})
		if says := slices.ContainsFunc(got, func(w string) bool {
			return strings.HasPrefix(w, "server.https shows a certificate for localhost only")
		}); says != want {
			t.Errorf("%s: warnings = %q, want one: %t", text, got, want)
		}
	}
}

// withACME is a server with certificates got by ACME.
func withACME() config.Config {
	c := config.Default()
	c.Server.PublicURL, c.Server.HTTP, c.Server.HTTPS = "https://usher.example.com", ":80", ":443"
	c.Server.TLS.ACME.Domains, c.Server.TLS.ACME.AcceptTerms = []string{"usher.example.com", "rooms.example.com"}, true
	return c
}

func TestWhatCertificatesAreGotBy(t *testing.T) {
	cert, key := localhostFiles(t)
	for name, tc := range map[string]struct {
		change func(c *config.Config, s *config.Server, a *config.ACME)
		// want begins the problems, in their order.
		want []string
	}{
		"all fits": {func(*config.Config, *config.Server, *config.ACME) {}, nil},
		"a port":   {func(_ *config.Config, s *config.Server, _ *config.ACME) { s.PublicURL += ":8443" }, nil},
		"an authority of one's own": {func(_ *config.Config, _ *config.Server, a *config.ACME) {
			a.DirectoryURL, a.CAFile = "https://10.0.0.7:9000/acme/acme/directory", cert
		}, nil},
		"a name in another script": {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.Domains[1] = "xn--bcher-kva.example" }, nil},
		"an address for mail":      {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.Email = "ops@example.com" }, nil},
		"development mode": {func(c *config.Config, s *config.Server, _ *config.ACME) {
			c.Dev, s.HTTP, s.HTTPS = true, "localhost:80", "localhost:443"
		}, []string{"server.tls.acme.domains: can't be set in development mode"}},
		"beside a certificate":          {func(_ *config.Config, s *config.Server, _ *config.ACME) { s.TLS.CertFile, s.TLS.KeyFile = cert, key }, []string{"server.tls.acme.domains: can't be set beside server.tls.certFile", "server.tls.certFile: is for another host"}},
		"without the terms":             {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.AcceptTerms = false }, []string{"server.tls.acme.acceptTerms: must be true"}},
		"nowhere to show it":            {func(_ *config.Config, s *config.Server, _ *config.ACME) { s.HTTPS = "" }, []string{"server.https: is needed"}},
		"another host":                  {func(_ *config.Config, s *config.Server, _ *config.ACME) { s.PublicURL = "https://other.example.com" }, []string{"server.publicURL: must begin with https://, and its host must be one of server.tls.acme.domains"}},
		"a public URL in the open":      {func(_ *config.Config, s *config.Server, _ *config.ACME) { s.PublicURL = "http://usher.example.com" }, []string{"server.publicURL: must begin with https://"}},
		"a host in capitals":            {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.Domains[1] = "Rooms.example.com" }, []string{"server.tls.acme.domains[1]: must be the name of a host"}},
		"an address":                    {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.Domains[1] = "192.0.2.7" }, []string{"server.tls.acme.domains[1]: must be the name of a host"}},
		"all hosts below one":           {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.Domains[1] = "*.example.com" }, []string{"server.tls.acme.domains[1]: must be the name of a host"}},
		"a host with a port":            {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.Domains[1] = "rooms.example.com:443" }, []string{"server.tls.acme.domains[1]: must be the name of a host"}},
		"a path out of the folder":      {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.Domains[1] = "../../etc" }, []string{"server.tls.acme.domains[1]: must be the name of a host"}},
		"a name without a domain":       {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.Domains[1] = "localhost" }, []string{"server.tls.acme.domains[1]: must be the name of a host"}},
		"a host twice":                  {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.Domains[1] = a.Domains[0] }, []string{"server.tls.acme.domains[1]: is in the list twice"}},
		"a name in place of an address": {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.Email = "Ops <ops@example.com>" }, []string{"server.tls.acme.email: must be a mail address"}},
		"an authority in the open": {func(_ *config.Config, _ *config.Server, a *config.ACME) {
			a.DirectoryURL = "http://127.0.0.1:14000/dir"
		}, []string{"server.tls.acme.directoryURL: must be an absolute URL that begins with https://"}},
		"no authority":                   {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.DirectoryURL = "" }, []string{"server.tls.acme.directoryURL: must be an absolute URL"}},
		"no certificates":                {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.CAFile = key }, []string{"server.tls.acme.caFile: " + key + " has no certificate"}},
		"no file":                        {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.CAFile = "none.pem" }, []string{"server.tls.acme.caFile: open none.pem"}},
		"what is wrong without a domain": {func(_ *config.Config, _ *config.Server, a *config.ACME) { a.Domains, a.Email = nil, "ops" }, []string{"server.tls.acme.email: must be a mail address"}},
		"nothing but what is there first": {func(_ *config.Config, s *config.Server, _ *config.ACME) {
			*s = config.Default().Server
			s.PublicURL = "https://usher.example.com"
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := withACME()
			tc.change(&c, &c.Server, &c.Server.TLS.ACME)
			var got []string
			for _, p := range c.Validate() {
				got = append(got, p.String())
			}
			if !slices.EqualFunc(got, tc.want, strings.HasPrefix) {
				t.Errorf("problems = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestTheHostsOfCertificatesAreGivenInEveryWay(t *testing.T) {
	text := "server:\n  http: :80\n  https: :443\n  publicURL: https://usher.example.com\n  tls:\n    acme:\n      acceptTerms: true\n"
	for name, o := range map[string]config.Options{
		"a file":          {Path: write(t, text+"      domains: [usher.example.com, rooms.example.com]\n")},
		"the environment": {Path: write(t, text), Environ: []string{"USHER_SERVER_TLS_ACME_DOMAINS=usher.example.com, rooms.example.com"}},
		"flags":           {Path: write(t, text), Flags: map[string]string{"server.tls.acme.domains": "usher.example.com,rooms.example.com"}},
	} {
		c, warnings := load(t, o)
		if !slices.Equal(c.Server.TLS.ACME.Domains, withACME().Server.TLS.ACME.Domains) || !c.Server.Public() || len(warnings) > 0 {
			t.Errorf("%s: got %q, warnings %q", name, c.Server.TLS.ACME.Domains, warnings)
		}
	}
}

func TestWhereTheAuthorityFindsNoPortThereIsAWarning(t *testing.T) {
	for ports, want := range map[[2]string]bool{
		{":80", ":8443"}: false, {"", ":443"}: false, {":8080", ":8443"}: true, {"", ":8443"}: true, {"127.0.0.1:8080", "[::]:443"}: false,
	} {
		_, got := load(t, config.Options{Path: write(t, `
server:
  publicURL: https://usher.example.com
  http: "`+ports[0]+`"
  https: "`+ports[1]+`"
  tls: {acme: {domains: [usher.example.com], acceptTerms: true}}
`)})
		if says := slices.ContainsFunc(got, func(w string) bool { return strings.HasPrefix(w, "server.tls.acme gets no certificate unless") }); says != want || len(got) > 1 {
			t.Errorf("%q: warnings = %q, want one: %t", ports, got, want)
		}
	}
}
