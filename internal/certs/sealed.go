package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Sealer encrypts what is kept. The purpose has to be the same to open it.
type Sealer interface {
	Seal(plain, purpose []byte) []byte
	Open(sealed, purpose []byte) ([]byte, error)
}

// accountName is the file of the account's key, which no host is called.
const accountName = "account"

// sealedFolder keeps what is got from one authority in files that are of no use
// to who has not the key.
type sealedFolder struct {
	path   string
	sealer Sealer
}

// folderOf is where what one authority gave out is kept, so that no certificate of
// another, which may be one to try with, is taken for it.
func folderOf(dir, directory string) string {
	u, err := url.Parse(directory)
	if err != nil {
		return dir
	}
	return filepath.Join(dir, strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.", r) {
			return r
		}
		return '-'
	}, strings.ToLower(u.Host+u.Path)))
}

// purpose binds a file to its name, so that no other can be put in its place.
func (f sealedFolder) purpose(name string) []byte {
	return []byte("usher acme " + filepath.Base(f.path) + " " + name)
}

// read returns nothing, without an error, if there is no such file.
func (f sealedFolder) read(name string) ([]byte, error) {
	path := filepath.Join(f.path, name)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	plain, err := f.sealer.Open(text, f.purpose(name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return plain, nil
}

func (f sealedFolder) write(name string, plain []byte) error {
	if err := os.MkdirAll(f.path, 0o700); err != nil {
		return err
	}
	return writeWhole(filepath.Join(f.path, name), f.sealer.Seal(plain, f.purpose(name)), 0o600)
}

// certificate returns that which is kept for a host, or nil.
func (f sealedFolder) certificate(name string) (*tls.Certificate, error) {
	text, err := f.read(name)
	if text == nil {
		return nil, err
	}
	return decode(text, name)
}

// accountKey returns the key that is kept, or else makes one. Who has another has
// another account, and that is all.
func (f sealedFolder) accountKey() (crypto.Signer, error) {
	if text, err := f.read(accountName); err == nil && text != nil {
		if key, err := x509.ParseECPrivateKey(text); err == nil {
			return key, nil
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, f.write(accountName, der)
}

// encode writes a certificate with its chain, and its key.
func encode(chain [][]byte, key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	for _, cert := range chain {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: cert}) // a buffer takes everything
	}
	_ = pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return text.Bytes(), nil
}

// decode reads what encode wrote, if it is for the host.
func decode(text []byte, name string) (*tls.Certificate, error) {
	cert, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, err
	}
	if err := cert.Leaf.VerifyHostname(name); err != nil {
		return nil, err
	}
	return &cert, nil
}
