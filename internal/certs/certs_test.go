package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/certs"
)

const day = 24 * time.Hour

// now is the real time, since handshakes look at the clock themselves.
var now = time.Now()

func localhost(t *testing.T, dir string, now time.Time) tls.Certificate {
	t.Helper()
	cert, err := certs.Localhost(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestClientsThatTrustTheFileShakeHands(t *testing.T) {
	dir := t.TempDir()
	cert := localhost(t, dir, now)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(read(t, dir, certs.CertFile)) {
		t.Fatal("the file holds no certificate")
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
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
			_ = conn.(*tls.Conn).Handshake()
			_ = conn.Close()
		}
	}()

	for name, accepted := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "::1": true,
		"example.com": false, "127.0.0.2": false,
	} {
		t.Run(name, func(t *testing.T) {
			dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: name}}
			conn, err := dialer.DialContext(t.Context(), "tcp", l.Addr().String())
			if err == nil {
				_ = conn.Close()
			}
			if got := err == nil; got != accepted {
				t.Errorf("accepted = %t (%v), want %t", got, err, accepted)
			}
		})
	}
}

func TestTheCertificateIsAnAuthorityForLocalhostOnly(t *testing.T) {
	leaf := localhost(t, t.TempDir(), now).Leaf
	if !leaf.IsCA {
		t.Error("the certificate is no authority, which some clients ask of what they trust")
	}
	if !leaf.PermittedDNSDomainsCritical || len(leaf.PermittedDNSDomains) != 1 || len(leaf.PermittedIPRanges) != 2 {
		t.Errorf("the authority is not limited: DNS %v, IP %v", leaf.PermittedDNSDomains, leaf.PermittedIPRanges)
	}
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		t.Errorf("key = %T, want ECDSA P-256", leaf.PublicKey)
	}
}

func TestOnlyTheOwnerReadsTheKey(t *testing.T) {
	dir := t.TempDir()
	localhost(t, dir, now)
	info, err := os.Stat(filepath.Join(dir, certs.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode of the key = %o, want 600", got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("the folder holds %v, want the two files alone", entries)
	}
}

func TestTheCertificateIsKeptUntilItIsDue(t *testing.T) {
	for name, tc := range map[string]struct {
		later time.Duration
		kept  bool
	}{
		"the next day":                  {day, true},
		"31 days before its end":        {(800 - 31) * day, true},
		"29 days before its end":        {(800 - 29) * day, false},
		"after its end":                 {1000 * day, false},
		"after the clock was put right": {-400 * day, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first := localhost(t, dir, now)
			firstKey := read(t, dir, certs.KeyFile)
			at := now.Add(tc.later)
			second := localhost(t, dir, at)
			if got := second.Leaf.Equal(first.Leaf); got != tc.kept {
				t.Errorf("kept = %t, want %t", got, tc.kept)
			}
			if at.Before(second.Leaf.NotBefore) || at.After(second.Leaf.NotAfter) {
				t.Errorf("valid from %s to %s, want it valid at %s", second.Leaf.NotBefore, second.Leaf.NotAfter, at)
			}
			if !bytes.Equal(firstKey, read(t, dir, certs.KeyFile)) {
				t.Error("the key changed; a renewal cut short would then leave a pair that doesn't match")
			}
			if third := localhost(t, dir, at); !third.Leaf.Equal(second.Leaf) {
				t.Error("the renewed certificate was not kept")
			}
		})
	}
}

func TestAFirstStartThatWasCutShortIsFinished(t *testing.T) {
	dir := t.TempDir()
	localhost(t, dir, now)
	key := read(t, dir, certs.KeyFile)
	if err := os.Remove(filepath.Join(dir, certs.CertFile)); err != nil {
		t.Fatal(err)
	}
	localhost(t, dir, now)
	if !bytes.Equal(key, read(t, dir, certs.KeyFile)) {
		t.Error("the key was replaced")
	}
	localhost(t, dir, now) // the two on disk belong together
}

func TestMalformedFilesAreNotOverwritten(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"a certificate that is text": func(t *testing.T, dir string) {
			write(t, dir, certs.CertFile, "no certificate")
		},
		"an empty certificate": func(t *testing.T, dir string) {
			write(t, dir, certs.CertFile, "")
		},
		"a key that is text": func(t *testing.T, dir string) {
			write(t, dir, certs.KeyFile, "no key")
		},
		"a key that is text, without a certificate": func(t *testing.T, dir string) {
			write(t, dir, certs.KeyFile, "no key")
			_ = os.Remove(filepath.Join(dir, certs.CertFile))
		},
		"a key that is another PEM, without a certificate": func(t *testing.T, dir string) {
			write(t, dir, certs.KeyFile, string(read(t, dir, certs.CertFile)))
			_ = os.Remove(filepath.Join(dir, certs.CertFile))
		},
		"a key of another certificate": func(t *testing.T, dir string) {
			other := t.TempDir()
			localhost(t, other, now)
			write(t, dir, certs.KeyFile, string(read(t, other, certs.KeyFile)))
		},
		"a certificate without its key": func(t *testing.T, dir string) {
			_ = os.Remove(filepath.Join(dir, certs.KeyFile))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			localhost(t, dir, now)
			spoil(t, dir)
			before := files(t, dir)
			_, err := certs.Localhost(dir, now)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "remove") {
				t.Errorf("error %q does not say which file to remove", err)
			}
			if after := files(t, dir); after != before {
				t.Errorf("the folder changed from %q to %q", before, after)
			}
		})
	}
}

// files returns names and contents of all files in dir.
func files(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(e.Name() + "\n" + string(read(t, dir, e.Name())))
	}
	return b.String()
}

func TestTheFolderIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	localhost(t, dir, now)
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("mode of the folder = %o, want 700", got)
	}
}

func TestWhereNoFolderCanBe(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "file", "")
	if _, err := certs.Localhost(filepath.Join(dir, "file"), now); err == nil {
		t.Error("no error")
	}
}
