package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority makes certificates for localhost that nobody trusts but who is told
// to, as those are who take part in a test: Go's clients by [authority.client],
// Node by NODE_EXTRA_CA_CERTS and curl by --cacert with File, Chromium by
// [keyHash] of File, and the server by what operators have for that, which is
// SSL_CERT_FILE.
type authority struct {
	t testing.TB
	// File is its certificate.
	File        string
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), key: newECKey(t)}
	a.File = filepath.Join(a.dir, "authority.crt")
	a.certificate = &x509.Certificate{
		Subject: pkix.Name{CommonName: "Authority of a test"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der := a.sign(a.certificate, a.key)
	var err error
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.File, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// issue makes a certificate for localhost, and returns its file, with that of
// the authority behind it, and the file of its key.
func (a *authority) issue() (certFile, keyFile string) {
	a.t.Helper()
	key := newECKey(a.t)
	der := a.sign(&x509.Certificate{
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, key)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	name := filepath.Join(a.dir, rand.Text())
	writePEM(a.t, name+".crt", &pem.Block{Type: "CERTIFICATE", Bytes: der}, &pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
	writePEM(a.t, name+".key", &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return name + ".crt", name + ".key"
}

// sign completes a certificate for a key and signs it.
func (a *authority) sign(c *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	a.t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = serial, time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, a.certificate, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// client trusts the authority, and no other.
func (a *authority) client() *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	a.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// serve serves over TLS until the test ends, and returns the address.
func (a *authority) serve(h http.Handler) string {
	a.t.Helper()
	certificate, err := tls.LoadX509KeyPair(a.issue())
	if err != nil {
		a.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	a.t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		a.t.Fatal(err)
	}
	return "https://localhost:" + port
}

// environment is what a server at the address is told: what callers reach it
// by, what to show them, and whom to trust itself.
func (a *authority) environment(address string) []string {
	a.t.Helper()
	certFile, keyFile := a.issue()
	return []string{
		"USHER_SERVER_PUBLIC_URL=https://" + address, "USHER_SERVER_TLS_CERT_FILE=" + certFile, "USHER_SERVER_TLS_KEY_FILE=" + keyFile,
		"SSL_CERT_FILE=" + a.File, "SSL_CERT_DIR=" + a.t.TempDir(),
	}
}

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t testing.TB, path string, blocks ...*pem.Block) {
	t.Helper()
	var text []byte
	for _, b := range blocks {
		text = append(text, pem.EncodeToMemory(b)...)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
