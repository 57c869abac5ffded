package certs

import (
	"crypto/tls"
	"fmt"
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
