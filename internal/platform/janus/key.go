package janus

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// What the plugin's library verifies with; it refuses every token by a key of
// another size.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

const makeKey = "make one with: openssl genrsa -out key.pem 2048"

// ParsePrivateKey reads an RSA private key, as PKCS #1 or PKCS #8, in PEM or
// DER. Its errors are sentences about the file, and never repeat what is in it.
func ParsePrivateKey(file []byte) (crypto.Signer, error) {
	content, err := parseFile(file)
	if err != nil {
		return nil, fmt.Errorf("janus: private key: %w", err)
	}
	if content.private == nil {
		return nil, fmt.Errorf("janus: private key: it has the public half of a key pair (%s); name the file with the private one", content.form)
	}
	if _, err := checkPublic(&content.private.PublicKey); err != nil {
		return nil, fmt.Errorf("janus: private key: %w", err)
	}
	return content.private, nil
}

// LoadPrivateKey reads the private key that a file has.
func LoadPrivateKey(path string) (crypto.Signer, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("janus: private key: %w; %s", err, makeKey)
	}
	return ParsePrivateKey(file)
}

// ExportDER returns a key, or the public half of a [crypto.Signer], as the file
// that auth_key in janus.plugin.sfu.cfg names: the DER of PKCS #1's
// RSAPublicKey, the only form in which the plugin can use it. It takes any other
// without a word, and then refuses every token.
func ExportDER(key crypto.PublicKey) ([]byte, error) {
	if signer, ok := key.(crypto.Signer); ok {
		key = signer.Public()
	}
	public, err := checkPublic(key)
	if err != nil {
		return nil, fmt.Errorf("janus: public key: %w", err)
	}
	return x509.MarshalPKCS1PublicKey(public), nil
}

// ConvertDER returns what [ExportDER] does for a key in a file of any form,
// public or private, PEM or DER.
func ConvertDER(file []byte) ([]byte, error) {
	content, err := parseFile(file)
	if err != nil {
		return nil, fmt.Errorf("janus: public key: %w", err)
	}
	return ExportDER(content.public)
}

// checkPublic refuses keys that the plugin can't verify with.
func checkPublic(key crypto.PublicKey) (*rsa.PublicKey, error) {
	public, ok := key.(*rsa.PublicKey)
	if !ok || public == nil {
		return nil, errors.New("it is no RSA key, which RS512 needs; " + makeKey)
	}
	if bits := public.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return nil, fmt.Errorf("it has %d bits and the plugin takes RSA keys of %d to %d; %s", bits, minRSABits, maxRSABits, makeKey)
	}
	return public, nil
}

// form is how a key is written into a file.
type form string

// The forms, of which the plugin reads pkcs1DER.
const (
	pkcs1DER    form = "PKCS #1 in DER"
	pkcs1PEM    form = "PKCS #1 in PEM"
	spkiDER     form = "SubjectPublicKeyInfo in DER"
	spkiPEM     form = "SubjectPublicKeyInfo in PEM"
	privateForm form = "a private key"
)

// keyFile is what a file has in it.
type keyFile struct {
	form    form
	public  crypto.PublicKey
	private *rsa.PrivateKey // nil in a file of a public key
}

// parseFile reads a key in any form.
func parseFile(file []byte) (keyFile, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		if bytes.Contains(file, []byte("-----BEGIN ")) {
			return keyFile{}, errDamaged
		}
		return parseDER(file)
	}
	switch block.Type {
	case "RSA PRIVATE KEY", "PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return keyFile{}, errEncrypted
		}
	case "ENCRYPTED PRIVATE KEY":
		return keyFile{}, errEncrypted
	case "OPENSSH PRIVATE KEY":
		return keyFile{}, errors.New("it is in OpenSSH's own form; write it in the common one with: ssh-keygen -p -m pem -f FILE")
	case "PUBLIC KEY", "RSA PUBLIC KEY":
	case "CERTIFICATE":
		return keyFile{}, errors.New("it is a certificate; take the key out of it with: openssl x509 -in FILE -noout -pubkey")
	default:
		return keyFile{}, errors.New("it has no RSA key; " + makeKey)
	}
	content, err := parseDER(block.Bytes)
	switch content.form {
	case pkcs1DER:
		content.form = pkcs1PEM
	case spkiDER:
		content.form = spkiPEM
	}
	return content, err
}

var (
	errEncrypted = errors.New("the key in it is encrypted; write a plain one, readable by this server only, with: openssl rsa -in FILE -out key.pem")
	errDamaged   = errors.New("the key in it is damaged, or it is no key; " + makeKey)
	errOther     = errors.New("the key in it is no RSA key, which RS512 needs; " + makeKey)
)

func parseDER(der []byte) (keyFile, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return keyFile{privateForm, &key.PublicKey, key}, nil
	}
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if rsaKey, ok := key.(*rsa.PrivateKey); ok {
			return keyFile{privateForm, &rsaKey.PublicKey, rsaKey}, nil
		}
		return keyFile{}, errOther
	}
	if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return keyFile{pkcs1DER, key, nil}, nil
	}
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		if _, ok := key.(*rsa.PublicKey); !ok {
			return keyFile{}, errOther
		}
		return keyFile{spkiDER, key, nil}, nil
	}
	if _, err := x509.ParseECPrivateKey(der); err == nil {
		return keyFile{}, errOther
	}
	return keyFile{}, errDamaged
}
