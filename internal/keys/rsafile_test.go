package keys_test

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"usher/internal/keys"
)

func sealerOf(t *testing.T, with byte) *keys.Sealer {
	t.Helper()
	s, err := keys.NewSealer(bytes.Repeat([]byte{with}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnRSAKeyIsTheSameEverAfter(t *testing.T) {
	path, sealer := filepath.Join(t.TempDir(), "a.key"), sealerOf(t, 1)
	if _, err := keys.LoadRSA(path, "a", sealer); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before there is one: %v", err)
	}
	// Whoever makes one at the same time gets the same.
	made := make([]*rsa.PrivateKey, 3)
	var wg sync.WaitGroup
	for i := range made {
		wg.Go(func() {
			var err error
			if made[i], err = keys.MakeRSA(path, "a", sealer); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	loaded, err := keys.LoadRSA(path, "a", sealer)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range made {
		if key == nil || !key.Equal(loaded) || key.N.BitLen() != 2048 {
			t.Error("the keys differ, or have another size")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has the mode %v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("more than the key is left: %v, %v", files, err)
	}
}

func TestAnRSAKeyIsSealed(t *testing.T) {
	path, sealer := filepath.Join(t.TempDir(), "a.key"), sealerOf(t, 1)
	key, err := keys.MakeRSA(path, "a", sealer)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil || bytes.Contains(file, key.Primes[0].Bytes()) || bytes.Contains(file, key.N.Bytes()) {
		t.Errorf("the key is in the file in clear: %v", err)
	}
	for name, open := range map[string]func() (*rsa.PrivateKey, error){
		"with another secret":  func() (*rsa.PrivateKey, error) { return keys.LoadRSA(path, "a", sealerOf(t, 2)) },
		"for another purpose":  func() (*rsa.PrivateKey, error) { return keys.LoadRSA(path, "b", sealer) },
		"made where it is bad": func() (*rsa.PrivateKey, error) { return keys.MakeRSA(path, "b", sealer) },
	} {
		if _, err := open(); !errors.Is(err, keys.ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	file[len(file)/2] ^= 1
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.LoadRSA(path, "a", sealer); !errors.Is(err, keys.ErrSealed) {
		t.Errorf("changed: %v", err)
	}
}
