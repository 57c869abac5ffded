package identity_test

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	"usher"
	"usher/internal/identity"
)

func TestPublicKeysThatAreAccepted(t *testing.T) {
	for name, test := range map[string]struct{ text, algorithm string }{
		"RSA of 4096 bits":        {publicPEM(t, rsaKey()), "RS384"},
		"EC on P-384":             {publicPEM(t, ecKey(t, elliptic.P384())), "ES384"},
		"Ed25519":                 {publicPEM(t, edKey(t)), "EdDSA"},
		"with an empty last line": {publicPEM(t, edKey(t)) + "\n", "EdDSA"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := identity.ParsePublicKey(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := key.Algorithm(); got != test.algorithm {
				t.Errorf("algorithm is %s, want %s", got, test.algorithm)
			}
			block, _ := pem.Decode([]byte(test.text))
			var parts []string
			for _, b := range sha256.Sum256(block.Bytes) {
				parts = append(parts, fmt.Sprintf("%02x", b))
			}
			if got, want := key.Fingerprint(), "SHA256="+strings.Join(parts, ":"); got != want {
				t.Errorf("fingerprint is %s, want %s", got, want)
			}
		})
	}
}

func TestPublicKeysThatAreRefused(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(small)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	good := publicPEM(t, edKey(t))
	for name, test := range map[string]struct{ text, says string }{
		"nothing":                 {"", "not a public key in PEM"},
		"a path":                  {"/etc/key.pem", "not a public key in PEM"},
		"a private key":           {block("PRIVATE KEY", private), "openssl pkey"},
		"a private key in PKCS#1": {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)), "openssl pkey"},
		"a private key in front":  {block("PRIVATE KEY", private) + good, "private key"},
		"a private key behind":    {good + block("PRIVATE KEY", private), "more in this text"},
		"two keys":                {good + good, "more in this text"},
		"a certificate":           {block("CERTIFICATE", []byte("x")), "openssl x509"},
		"a public key in PKCS#1":  {block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&small.PublicKey)), "-RSAPublicKey_in"},
		"something else in PEM":   {block("DH PARAMETERS", []byte("x")), "does not hold a public key"},
		"damaged":                 {block("PUBLIC KEY", []byte("x")), "can't be read"},
		"RSA of 2048 bits":        {publicPEM(t, small), "2048 bits"},
		"EC on P-256":             {publicPEM(t, ecKey(t, elliptic.P256())), "P-256"},
		"a key and much space":    {good + strings.Repeat(" ", 20<<10), "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := identity.ParsePublicKey(test.text)
			e, ok := errors.AsType[*usher.Error](err)
			if !ok || e.Kind != usher.Invalid || !strings.Contains(e.Message, test.says) {
				t.Errorf("got %v, want an invalid key of which is said %q", err, test.says)
			}
		})
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add(publicPEM(f, edKey(f)))
	f.Add("-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := identity.ParsePublicKey(text)
		if (err == nil) != (key.Algorithm() != "") {
			t.Errorf("algorithm %q with error %v", key.Algorithm(), err)
		}
	})
}
