// Package certstest is an authority to try ACME with: Pebble, which is what Let's
// Encrypt gives others to test with. It rejects some good nonces, and forgets
// some of what was proven, as is its wont.
package certstest

import (
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"golang.org/x/net/dns/dnsmessage"
)

// Authority gives certificates for hosts that lead to ports of this machine.
type Authority struct {
	// URL is of its directory, and CAFile has what its own certificate is trusted
	// by.
	URL, CAFile string
	// Roots are what the certificates are trusted by that it gives.
	Roots *x509.CertPool

	t       testing.TB
	handler atomic.Pointer[http.Handler]
	asked   atomic.Int64
}

// Start returns an authority that is down.
func Start(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, CAFile: filepath.Join(t.TempDir(), "ca.pem"), Roots: x509.NewCertPool()}
	a.Down()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked.Add(1)
		(*a.handler.Load()).ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	a.URL = server.URL + wfe.DirectoryPath
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(a.CAFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// Down has it answer nobody.
func (a *Authority) Down() {
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	a.handler.Store(&handler)
}

// Up has it answer from now on, knowing nobody. To see whether a host leads to a
// server it calls these ports, in place of 80 and 443.
func (a *Authority) Up(plain, secure int) {
	a.t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	issuer := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {}})
	a.Roots.AddCert(issuer.GetRootCert(0).Cert)
	front := wfe.New(quiet, store, va.New(quiet, plain, secure, false, nameServer(a.t), store), issuer, nil, false, false, 0, 0)
	handler := front.Handler()
	a.handler.Store(&handler)
}

// Asked tells how often it was asked for something.
func (a *Authority) Asked() int64 { return a.asked.Load() }

// Port is that on which something listens.
func Port(l interface{ Addr() net.Addr }) int { return l.Addr().(*net.TCPAddr).Port }

// nameServer answers, over TCP, that every host is this machine.
func nameServer(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				answerName(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// answerName answers one question, whose length goes before it.
func answerName(conn net.Conn) {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return
	}
	text := make([]byte, binary.BigEndian.Uint16(length[:]))
	var m dnsmessage.Message
	if _, err := io.ReadFull(conn, text); err != nil || m.Unpack(text) != nil || len(m.Questions) != 1 {
		return
	}
	q := m.Questions[0]
	m = dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}, Questions: m.Questions}
	if q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	if answer, err := m.AppendPack(make([]byte, 2)); err == nil {
		binary.BigEndian.PutUint16(answer, uint16(len(answer)-2))
		_, _ = conn.Write(answer)
	}
}
