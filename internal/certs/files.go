package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Load reads a certificate with its chain, and its key, from files (PEM) that
// others keep and renew. The error is a sentence about the files.
func Load(certPath, keyPath string) (tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(certPath, keyPath)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s and %s are no certificate with its key: %w", certPath, keyPath, err)
	}
	return cert, nil
}

// Files shows a certificate that is in files. It is safe for concurrent use.
type Files struct {
	host   string
	load   func() (tls.Certificate, error)
	logger *slog.Logger

	mu      sync.Mutex
	current tls.Certificate
	err     error // why it was not read anew the last time
}

// NewFiles reads the certificate of a host, with its chain, and its key.
func NewFiles(host, certPath, keyPath string, logger *slog.Logger) (*Files, error) {
	return newFiles(host, logger, func() (tls.Certificate, error) { return Load(certPath, keyPath) })
}

// NewLocalhost reads or makes that of [Localhost].
func NewLocalhost(dir string, now func() time.Time, logger *slog.Logger) (*Files, error) {
	return newFiles("localhost", logger, func() (tls.Certificate, error) { return Localhost(dir, now()) })
}

func newFiles(host string, logger *slog.Logger, load func() (tls.Certificate, error)) (*Files, error) {
	cert, err := load()
	if err != nil {
		return nil, err
	}
	return &Files{host: host, load: load, logger: logger, current: cert}, nil
}

// GetCertificate is that of a [tls.Config].
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	cert := f.current
	return &cert, nil
}

// Renew reads the files anew. Between the exchange of the one file and of the
// other they do not fit, and the certificate stays; the log says so once.
func (f *Files) Renew(context.Context) {
	f.mu.Lock()
	said := f.err
	f.mu.Unlock()
	if err := f.Reload(); err != nil && (said == nil || said.Error() != err.Error()) {
		f.logger.Error("the certificate was not read anew, and stays as it was", "error", err)
	}
}

// Reload is Renew, and returns what is wrong with the files.
func (f *Files) Reload() error {
	cert, err := f.load()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err = err; err != nil {
		return err
	}
	if !slices.EqualFunc(f.current.Certificate, cert.Certificate, bytes.Equal) {
		f.logger.Info("the certificate was replaced, and is shown from now on", "host", f.host, "until", cert.Leaf.NotAfter)
	}
	f.current = cert
	return nil
}

// States tells how the certificate is.
func (f *Files) States() []State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []State{{Host: f.host, Leaf: f.current.Leaf, Err: f.err}}
}
