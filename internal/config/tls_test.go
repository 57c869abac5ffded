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
