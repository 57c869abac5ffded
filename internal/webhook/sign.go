package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"usher"
)

// secretPrefix begins every secret, so that it is recognised where it does not
// belong.
const secretPrefix = "whsec_"

// The bounds of a key, in bytes.
const (
	minKey = 24
	maxKey = 64
)

// NewSecret makes a secret of 32 random bytes.
func NewSecret(random io.Reader) (usher.Secret, error) {
	var key [32]byte
	if _, err := io.ReadFull(random, key[:]); err != nil {
		return "", fmt.Errorf("webhook: make secret: %w", err)
	}
	return usher.Secret(secretPrefix + base64.StdEncoding.EncodeToString(key[:])), nil
}

var errSecret = errors.New("must be whsec_ and 24 to 64 bytes in base64; usher webhook secret makes one")

// parseKey returns the bytes of a secret. The error does not repeat it.
func parseKey(secret usher.Secret) ([]byte, error) {
	text, ok := strings.CutPrefix(secret.Reveal(), secretPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < minKey || len(key) > maxKey {
		return nil, errSecret
	}
	return key, nil
}

// sign returns the signatures of a message with each key, as the header
// webhook-signature has them: those of Standard Webhooks, version 1.
func sign(keys [][]byte, id string, timestamp int64, body []byte) string {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%d.", id, timestamp)
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}
