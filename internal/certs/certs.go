// Package certs has the certificates that a server shows: those of files that
// others keep, those that it gets from an authority by ACME, and the one for
// localhost that it makes for development.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The files in the folder given to [Localhost]. Clients that are told to trust
// CertFile as an authority accept the server: curl with --cacert, Node with
// NODE_EXTRA_CA_CERTS.
const (
	CertFile = "localhost.crt"
	KeyFile  = "localhost.key"
)

const (
	// validity is a little under the 825 days beyond which macOS accepts no
	// server's certificate.
	validity = 800 * 24 * time.Hour
	// renewal is how long before its end a certificate is replaced.
	renewal = 30 * 24 * time.Hour
	// backdating allows for clients whose clock is behind.
	backdating = time.Hour
)

// Localhost returns the certificate for localhost, 127.0.0.1 and ::1 that is
// kept in dir, making both on first use and renewing it, with the same key,
// when less than 30 days of it are left. A file that can't be read or parsed is an
// error and stays as it is, since somebody may have put it there.
func Localhost(dir string, now time.Time) (tls.Certificate, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return tls.Certificate{}, fmt.Errorf("certs: %w", err)
	}
	cert, err := localhost(filepath.Join(dir, CertFile), filepath.Join(dir, KeyFile), now)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certs: %w", err)
	}
	return cert, nil
}

func localhost(certPath, keyPath string, now time.Time) (tls.Certificate, error) {
	certPEM, err := os.ReadFile(certPath)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := loadOrMakeKey(keyPath)
		if err != nil {
			return tls.Certificate{}, err
		}
		return makeCertificate(certPath, key, now)
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM, err := os.ReadFile(keyPath)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read the key of %s: %w; remove the certificate to have both made anew", certPath, err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s and %s are no certificate with its key: %w; remove both to have them made anew", certPath, keyPath, err)
	}
	if now.Before(cert.Leaf.NotBefore) || now.Add(renewal).After(cert.Leaf.NotAfter) {
		return makeCertificate(certPath, cert.PrivateKey.(crypto.Signer), now)
	}
	return cert, nil
}

// loadOrMakeKey makes a key where there is none. One can be there without a
// certificate when the first start was cut short.
func loadOrMakeKey(path string) (crypto.Signer, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return nil, err
	}
	malformed := fmt.Errorf("%s is no private key in PEM form (PKCS #8); remove it to have one made", path)
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, malformed
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, malformed
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, malformed
	}
	return signer, nil
}

func makeKey(path string) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(path, "PRIVATE KEY", der, 0o600)
}

// makeCertificate signs a certificate with its own key and keeps it at path.
// It is an authority as well, which some clients ask of what they are told to
// trust, but one for these names only: stolen, it fakes no other site.
func makeCertificate(path string, key crypto.Signer, now time.Time) (tls.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, err
	}
	loopback := []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback}
	template := &x509.Certificate{
		SerialNumber:                serial,
		Subject:                     pkix.Name{Organization: []string{"Usher development"}, CommonName: "localhost"},
		NotBefore:                   now.Add(-backdating),
		NotAfter:                    now.Add(validity),
		DNSNames:                    []string{"localhost"},
		IPAddresses:                 loopback,
		KeyUsage:                    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid:       true,
		IsCA:                        true,
		MaxPathLenZero:              true,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{"localhost"},
	}
	for _, ip := range loopback {
		template.PermittedIPRanges = append(template.PermittedIPRanges,
			&net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))})
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := writePEM(path, "CERTIFICATE", der, 0o644); err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

func writePEM(path, kind string, der []byte, mode fs.FileMode) error {
	return writeWhole(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

// writeWhole writes the file whole or not at all.
func writeWhole(path string, text []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
