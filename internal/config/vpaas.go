package config

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
)

// ForeignVPaaS reports whether meetings are made at a VPaaS other than this
// server, which is its own when vpaas.apiAddress is empty, the public URL, or a
// loopback address that it listens on.
func (c Config) ForeignVPaaS() bool {
	api := c.VPaaS.APIAddress
	if api == "" || api == c.Server.PublicURL {
		return false
	}
	u, err := url.Parse(api)
	if err != nil || !isLoopback(u.Hostname()) || u.Path != "" {
		return true
	}
	listen, port := c.Server.HTTP, "80"
	if u.Scheme == "https" {
		listen, port = c.Server.HTTPS, "443"
	}
	if u.Port() != "" {
		port = u.Port()
	}
	host, own, err := net.SplitHostPort(listen)
	if err != nil || own != port {
		return true
	}
	ip, err := netip.ParseAddr(host)
	everywhere := host == "" || host == "localhost" || err == nil && ip.IsUnspecified()
	return !everywhere && host != u.Hostname() && u.Hostname() != "localhost"
}

// minRSABits is what Pexip VPaaS asks of a client's key.
const minRSABits = 4096

// PrivateKey reads the key. It is one of those that assertions can be signed
// with: RSA (RS384), ECDSA on P-384 (ES384) or Ed25519 (EdDSA).
func (c Credentials) PrivateKey() (crypto.Signer, error) {
	path := c.PrivateKeyPath
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	key, err := parsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < minRSABits {
			return nil, fmt.Errorf("%s has an RSA key of %d bits, and at least %d are needed", path, bits, minRSABits)
		}
		return k, nil
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P384() {
			return nil, fmt.Errorf("%s has an ECDSA key on %s, and P-384 is needed", path, k.Params().Name)
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	default:
		return nil, fmt.Errorf("%s has a key that is neither RSA, ECDSA nor Ed25519", path)
	}
}

// parsePrivateKey reads the first private key among the blocks of a PEM file:
// OpenSSL puts parameters before some. The error is half a sentence and quotes
// nothing of the file.
func parsePrivateKey(text []byte) (key any, err error) {
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			return nil, errors.New("holds no private key in PEM form")
		}
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("holds an encrypted private key; decrypt it, as with openssl pkey")
		default:
			continue
		}
		if err != nil {
			return nil, errors.New("holds a private key that is malformed or encrypted")
		}
		return key, nil
	}
}

// Roots returns the certificates to trust at apiAddress, nil for those of the
// system.
func (v VPaaS) Roots() (*x509.CertPool, error) {
	if v.CAFile == "" {
		return nil, nil
	}
	text, err := readFile(v.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", v.CAFile)
	}
	return pool, nil
}
