package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"usher"
)

// rootSize is the length in bytes of the secret that a Sealer is made from.
const rootSize = 32

// ErrSealed reports a blob that can't be opened: it was sealed with another
// secret or for another purpose, or it was changed since.
var ErrSealed = errors.New("sealed with another secret, or changed since")

// Sealer encrypts what the store must not see in clear, and derives secrets
// that must come out the same when a request is repeated. It is safe for
// concurrent use.
//
// Encryption and derivation each have a key of their own, so that nothing
// derived can help to open what is sealed.
type Sealer struct {
	aead cipher.AEAD
	mac  []byte
}

// NewSealer makes a Sealer from 32 random bytes.
func NewSealer(key []byte) (*Sealer, error) {
	if len(key) != rootSize {
		return nil, fmt.Errorf("keys: a sealer needs a key of %d bytes, not %d", rootSize, len(key))
	}
	sealing, err := hkdf.Expand(sha256.New, key, "usher seal AES-256-GCM", 32)
	if err != nil {
		return nil, fmt.Errorf("keys: make sealer: %w", err)
	}
	mac, err := hkdf.Expand(sha256.New, key, "usher derive HMAC-SHA256", 32)
	if err != nil {
		return nil, fmt.Errorf("keys: make sealer: %w", err)
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, fmt.Errorf("keys: make sealer: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("keys: make sealer: %w", err)
	}
	return &Sealer{aead: aead, mac: mac}, nil
}

// Seal encrypts a blob with AES-256-GCM under a random nonce. The purpose is
// authenticated and not stored: only who names it again can open the blob, so
// that a blob moved to another record is refused.
func (s *Sealer) Seal(plain, purpose []byte) []byte {
	return s.aead.Seal(nil, nil, plain, purpose)
}

// Open decrypts what Seal made for the same purpose. It returns ErrSealed for
// anything else.
func (s *Sealer) Open(sealed, purpose []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, purpose)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// Derive returns 32 bytes that only this secret yields for this label and
// these parts (HMAC-SHA256). The label keeps different uses apart. Every part
// goes in with its length, so that no two lists of parts run into the same text.
func (s *Sealer) Derive(label string, parts ...string) [32]byte {
	mac := hmac.New(sha256.New, s.mac)
	var length [8]byte
	write := func(part string) {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		_, _ = io.WriteString(mac, part)
	}
	write(label)
	for _, part := range parts {
		write(part)
	}
	var sum [32]byte
	mac.Sum(sum[:0])
	return sum
}

// Format prints a placeholder whatever the verb, so that a struct that holds a
// Sealer can be printed.
func (s *Sealer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[sealer]") }

// SealerOf makes a Sealer from a random text.
func SealerOf(text usher.Secret) (*Sealer, error) {
	digest := sha256.Sum256([]byte(text.Reveal()))
	return NewSealer(digest[:])
}
