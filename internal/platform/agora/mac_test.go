package agora

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"math/rand/v2"
	"testing"
)

func TestMACIsThatOfTheStandardLibrary(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	for keySize := range 200 {
		for _, size := range []int{0, 1, 55, 64, 65, 511, 512, 513, 2000} {
			key, message := make([]byte, keySize), make([]byte, size)
			_, _ = random.Read(key) // it does not fail
			_, _ = random.Read(message)
			h := hmac.New(sha256.New, key)
			h.Write(message)
			if got, want := mac(key, message), h.Sum(nil); !bytes.Equal(got[:], want) {
				t.Fatalf("a key of %d bytes, a message of %d: got %x, want %x", keySize, size, got, want)
			}
		}
	}
}
