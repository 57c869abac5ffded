package keys

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
)

// rsaBits is what every verifier takes; more would only cost time with each
// signature.
const rsaBits = 2048

// maxSealed is in bytes, well beyond a sealed key.
const maxSealed = 16 << 10

// LoadRSA returns the RSA key that [MakeRSA] left in a file, sealed for a
// purpose. The error wraps [fs.ErrNotExist] where there is no such file.
func LoadRSA(path, purpose string, sealer *Sealer) (*rsa.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("keys: load an RSA key: %w", err)
	}
	defer f.Close()
	sealed, err := io.ReadAll(io.LimitReader(f, maxSealed))
	if err != nil {
		return nil, fmt.Errorf("keys: load an RSA key: %w", err)
	}
	der, err := sealer.Open(sealed, rsaPurpose(purpose))
	if err != nil {
		return nil, fmt.Errorf("keys: open the RSA key in %s: %w; restore the secret file that belongs to it, or remove it to have another key made", path, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("keys: the RSA key in " + path + " is malformed") // and is not quoted
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("keys: the key in %s is no RSA key", path)
	}
	return private, nil
}

// MakeRSA makes an RSA key and writes it to a file, sealed for a purpose and
// readable to its owner only; it is on disk when MakeRSA returns. Where another
// process was faster, the key is that one's. It can take seconds.
func MakeRSA(path, purpose string, sealer *Sealer) (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, fmt.Errorf("keys: make an RSA key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("keys: make an RSA key: %w", err)
	}
	if err := createFile(path, sealer.Seal(der, rsaPurpose(purpose))); err != nil {
		return nil, fmt.Errorf("keys: keep an RSA key: %w", err)
	}
	return LoadRSA(path, purpose, sealer)
}

func rsaPurpose(purpose string) []byte { return []byte("usher RSA key " + purpose) }
