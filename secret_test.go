package usher_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"usher"
)

func TestSecretShowsItselfNowhere(t *testing.T) {
	const canary = "canary-7f3a"
	secret := usher.Secret(canary)
	var out bytes.Buffer
	for _, verb := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+"\n", secret)
		fmt.Fprintf(&out, verb+"\n", struct{ S usher.Secret }{secret})
		fmt.Fprintf(&out, verb+"\n", []usher.Secret{secret})
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("text", "secret", secret, "nested", struct{ S usher.Secret }{secret})
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "secret", secret, "nested", struct{ S usher.Secret }{secret})
	if err := json.NewEncoder(&out).Encode(map[string]any{"secret": secret}); err != nil {
		t.Fatal(err)
	}
	hex := fmt.Sprintf("%x", canary)
	if text := out.String(); strings.Contains(text, canary) || strings.Contains(strings.ToLower(text), hex) {
		t.Errorf("the secret shows in:\n%s", text)
	}
	if got := secret.Reveal(); got != canary {
		t.Errorf("Reveal() = %q, want %q", got, canary)
	}
}

func TestDigestMatchesItsSecretOnly(t *testing.T) {
	secret, err := usher.NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(secret.Reveal()); got != 43 {
		t.Errorf("the secret has %d characters, want 43", got)
	}
	digest := secret.Digest()
	if !digest.Matches(secret) {
		t.Error("the digest does not match its secret")
	}
	if digest.Matches(secret + "x") {
		t.Error("the digest matches another secret")
	}
	if (usher.Digest{}).Matches("") {
		t.Error("the digest of nothing matches nothing")
	}
}

func TestNewSecretFailsWithoutRandomness(t *testing.T) {
	if s, err := usher.NewSecret(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Errorf("NewSecret made %d characters without enough randomness", len(s.Reveal()))
	}
}
