package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"usher"
)

// The size of a client's RSA key in bits: VPaaS demands the lower bound, and
// the upper one keeps a verification cheap.
const (
	minRSABits = 4096
	maxRSABits = 16384
)

// maxPublicKey is the longest PEM that is looked at, in bytes.
const maxPublicKey = 16 << 10

// PublicKey verifies the assertions of one client. Each key has exactly one
// algorithm: RS384, ES384 or EdDSA.
type PublicKey struct {
	key         any
	algorithm   jose.SignatureAlgorithm
	fingerprint string
}

// Algorithm returns the one JWS algorithm that the key is used with.
func (k PublicKey) Algorithm() string { return string(k.algorithm) }

// Fingerprint returns the SHA-256 of the key's SPKI, as "SHA256=00:11:…".
func (k PublicKey) Fingerprint() string { return k.fingerprint }

// ParsePublicKey reads the public key of a client: SPKI in PEM, as
// "openssl pkey -pubout" writes it. The error is a [usher.Error] that says what
// the text is instead, and what to do.
func ParsePublicKey(text string) (PublicKey, error) {
	der, err := decodePublicKey(text)
	if err != nil {
		return PublicKey{}, err
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return PublicKey{}, badKey("The public key can't be read: it is damaged, or of a kind that is not accepted. Use RSA with at least %d bits, EC P-384 or Ed25519.", minRSABits)
	}
	k := PublicKey{key: parsed, fingerprint: fingerprint(der)}
	switch key := parsed.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return PublicKey{}, badKey("The RSA key has %d bits; it must have from %d to %d: make one with 'openssl genrsa -out key.pem %d'.", bits, minRSABits, maxRSABits, minRSABits)
		}
		k.algorithm = jose.RS384
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P384() {
			return PublicKey{}, badKey("The EC key is on the curve %s; it must be on P-384: make one with 'openssl ecparam -genkey -noout -name secp384r1 -out key.pem'.", key.Curve.Params().Name)
		}
		k.algorithm = jose.ES384
	case ed25519.PublicKey:
		k.algorithm = jose.EdDSA
	default:
		return PublicKey{}, badKey("A key of this kind is not accepted. Use RSA with at least %d bits, EC P-384 or Ed25519.", minRSABits)
	}
	return k, nil
}

// decodePublicKey returns the one SPKI block of a PEM text.
func decodePublicKey(text string) ([]byte, error) {
	if len(text) > maxPublicKey {
		return nil, badKey("This is too long for a public key.")
	}
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return nil, badKey("This is not a public key in PEM, which begins with '-----BEGIN PUBLIC KEY-----'.")
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, badKey("This is a private key, which nobody but its owner should have. Give its public half: 'openssl pkey -in key.pem -pubout'.")
	case block.Type == "CERTIFICATE":
		return nil, badKey("This is a certificate. Give the public key in it: 'openssl x509 -in certificate.pem -noout -pubkey'.")
	case block.Type == "RSA PUBLIC KEY":
		return nil, badKey("This public key is in the older form PKCS#1. Convert it: 'openssl rsa -RSAPublicKey_in -in key.pem -pubout'.")
	case block.Type != "PUBLIC KEY":
		return nil, badKey("This PEM does not hold a public key, which begins with '-----BEGIN PUBLIC KEY-----'.")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, badKey("There is more in this text than one public key.")
	}
	return block.Bytes, nil
}

func badKey(format string, args ...any) error {
	return usher.Errorf(usher.Invalid, "public_key_invalid", format, args...)
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return "SHA256=" + strings.ReplaceAll(fmt.Sprintf("% x", sum), " ", ":")
}
