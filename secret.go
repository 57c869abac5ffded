package usher

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
)

// redacted stands wherever a secret would otherwise be printed.
const redacted = "[secret]"

// Secret is text that must not reach a log, an error or a metric: a one-time
// secret, a token, a key. Printing, logging and marshalling it yield a
// placeholder; [Secret.Reveal] yields the text, at the one place that sends it.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String returns a placeholder.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString returns a placeholder.
func (s Secret) GoString() string { return s.String() }

// Format prints a placeholder whatever the verb, so that %x or %q reveal nothing.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue logs a placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText writes a placeholder, also into JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Digest is the SHA-256 of a secret, all that a store keeps of it. The secrets
// that we make have 256 random bits, so that no slower hash is needed.
type Digest [sha256.Size]byte

// Digest hashes the secret.
func (s Secret) Digest() Digest { return sha256.Sum256([]byte(s)) }

// IsZero reports whether no secret is set.
func (d Digest) IsZero() bool { return d == Digest{} }

// Matches reports, in constant time, whether d is the digest of s. The zero
// digest matches nothing.
func (d Digest) Matches(s Secret) bool {
	other := s.Digest()
	return subtle.ConstantTimeCompare(d[:], other[:]) == 1 && !d.IsZero()
}

// NewSecret makes a secret of 32 random bytes: 43 characters of base64url
// without padding, the form of a VPaaS participant secret.
func NewSecret(random io.Reader) (Secret, error) {
	var b [32]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("make secret: %w", err)
	}
	return Secret(base64.RawURLEncoding.EncodeToString(b[:])), nil
}
