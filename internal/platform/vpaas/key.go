package vpaas

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
	"os"

	"github.com/go-jose/go-jose/v4"
)

// minRSABits is the least that VPaaS accepts.
const minRSABits = 4096

const makeKey = "make one with: openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:4096 -out privateKey.pem"

// LoadPrivateKey reads a private key that VPaaS accepts from a PEM file: RSA
// of at least 4096 bits, EC on P-384, or Ed25519; as PKCS #8, PKCS #1 or SEC 1.
func LoadPrivateKey(path string) (crypto.Signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("vpaas: private key: %w; %s", err, makeKey)
	}
	key, err := parsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("vpaas: private key: %s: %w", path, err)
	}
	return key, nil
}

// parsePrivateKey never repeats what it read: any of it may be secret.
func parsePrivateKey(text []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(text)
	for block != nil && block.Type == "EC PARAMETERS" { // openssl writes them ahead of the key
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("it is no PEM file; " + makeKey)
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, errEncrypted
		}
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, errEncrypted
		}
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errEncrypted
	case "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE":
		return nil, errors.New("it has the public half of a key pair; name the file with the private one")
	default:
		return nil, errors.New("it has something else than a private key; " + makeKey)
	}
	if err != nil {
		return nil, errors.New("the key in it is damaged; " + makeKey)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key in it can't sign; " + makeKey)
	}
	if _, err := algorithm(signer); err != nil {
		return nil, err
	}
	return signer, nil
}

var errEncrypted = errors.New("the key in it is encrypted; write a plain one, readable by this server only, with: openssl pkey -in FILE -out privateKey.pem")

// algorithm is the one algorithm that a key signs assertions with.
func algorithm(key crypto.Signer) (jose.SignatureAlgorithm, error) {
	if key == nil {
		return "", errors.New("it is missing; " + makeKey)
	}
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits {
			return "", fmt.Errorf("it has %d bits and VPaaS accepts RSA keys from %d bits; %s", bits, minRSABits, makeKey)
		}
		return jose.RS384, nil
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P384() {
			return "", fmt.Errorf("it is on the curve %s and VPaaS accepts P-384; %s", public.Params().Name, makeKey)
		}
		return jose.ES384, nil
	case ed25519.PublicKey:
		return jose.EdDSA, nil
	default:
		return "", errors.New("it is neither an RSA, an EC nor an Ed25519 key; " + makeKey)
	}
}
