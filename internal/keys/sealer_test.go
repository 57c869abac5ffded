package keys_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"usher"
	"usher/internal/keys"
)

func TestSealer(t *testing.T) {
	s := newSealer(t)
	plain, purpose := []byte("what nobody may see"), []byte("a record")
	sealed := s.Seal(plain, purpose)

	if got, err := s.Open(sealed, purpose); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("Open = %q, %v; want what was sealed", got, err)
	}
	if bytes.Contains(sealed, plain) {
		t.Error("the sealed blob has the text in clear")
	}
	if bytes.Equal(sealed, s.Seal(plain, purpose)) {
		t.Error("the same text was sealed twice the same way")
	}
	if got, err := s.Open(s.Seal(nil, nil), nil); err != nil || len(got) != 0 {
		t.Errorf("Open of an empty blob = %q, %v", got, err)
	}

	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := s.Open(changed, purpose); !errors.Is(err, keys.ErrSealed) {
			t.Fatalf("Open with byte %d changed: %v, want ErrSealed", i, err)
		}
	}
	for n := range sealed {
		if _, err := s.Open(sealed[:n], purpose); !errors.Is(err, keys.ErrSealed) {
			t.Fatalf("Open of the first %d bytes: %v, want ErrSealed", n, err)
		}
	}
	for _, other := range []string{"", "a recor", "a record ", "another"} {
		if _, err := s.Open(sealed, []byte(other)); !errors.Is(err, keys.ErrSealed) {
			t.Errorf("Open for the purpose %q: %v, want ErrSealed", other, err)
		}
	}
	stranger, err := keys.NewSealer(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Open(sealed, purpose); !errors.Is(err, keys.ErrSealed) {
		t.Errorf("Open with another secret: %v, want ErrSealed", err)
	}
}

func TestNewSealerRefusesOtherLengths(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33, 64} {
		if _, err := keys.NewSealer(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes was accepted", n)
		}
	}
}

func TestDerive(t *testing.T) {
	s := newSealer(t)
	if s.Derive("label", "a", "b") != newSealer(t).Derive("label", "a", "b") {
		t.Error("the same parts yield different secrets")
	}
	stranger, err := keys.NewSealer(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[32]byte]string{stranger.Derive("label", "a", "b"): "another secret"}
	for _, parts := range [][]string{
		{"label", "a", "b"}, {"label", "b", "a"}, {"label", "ab"}, {"label", "ab", ""}, {"label", "", "ab"},
		{"label"}, {"label", ""}, {"labela", "b"}, {"label", "a", "b", ""}, {"", "label", "a", "b"}, {""},
		{"label", "a\x00b"}, {"label", "\x00\x00\x00\x00\x00\x00\x00\x01a"},
	} {
		sum := s.Derive(parts[0], parts[1:]...)
		name := fmt.Sprintf("%q", parts)
		if other, ok := seen[sum]; ok {
			t.Errorf("%s and %s yield the same secret", name, other)
		}
		seen[sum] = name
	}
}

func TestSealerIsNotPrinted(t *testing.T) {
	s := newSealer(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		if got := fmt.Sprintf(verb, s); got != "[sealer]" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

func TestLoadSealerMakesTheFileOnce(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "secret")
	first, err := keys.LoadSealer(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("the file's mode is %04o, want 0600", got)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := hex.DecodeString(strings.TrimSuffix(string(text), "\n")); err != nil || len(key) != 32 {
		t.Error("the file does not hold 32 bytes in hexadecimal")
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v; want the file only", entries, err)
	}

	second, err := keys.LoadSealer(path)
	if err != nil {
		t.Fatal(err)
	}
	if first.Derive("x") != second.Derive("x") {
		t.Error("loading the file again yields another secret")
	}
	other, err := keys.LoadSealer(filepath.Join(folder, "other"))
	if err != nil {
		t.Fatal(err)
	}
	if first.Derive("x") == other.Derive("x") {
		t.Error("two files have the same secret")
	}
}

func TestLoadSealerAtOnce(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "secret")
		start := make(chan struct{})
		sums := make([][32]byte, 8)
		var group sync.WaitGroup
		for i := range sums {
			group.Go(func() {
				<-start
				s, err := keys.LoadSealer(path)
				if err != nil {
					t.Error(err)
					return
				}
				sums[i] = s.Derive("x")
			})
		}
		close(start)
		group.Wait()
		for i, sum := range sums {
			if sum != sums[0] {
				t.Fatalf("process %d has another secret than process 0", i)
			}
		}
	}
}

func TestLoadSealerRefuses(t *testing.T) {
	good := strings.Repeat("c0ffee00", 8)
	for name, test := range map[string]struct {
		text string
		mode os.FileMode
		says string
	}{
		"a file that the group may read":  {good + "\n", 0o640, "chmod 600"},
		"a file that all may read":        {good + "\n", 0o604, "chmod 600"},
		"a file that others may write":    {good + "\n", 0o602, "chmod 600"},
		"an empty file":                   {"", 0o600, "backup"},
		"a digit too few":                 {good[1:] + "\n", 0o600, "backup"},
		"a digit too many":                {good + "0\n", 0o600, "backup"},
		"two newlines":                    {good + "\n\n", 0o600, "backup"},
		"something that is no digit":      {good[1:] + "g\n", 0o600, "backup"},
		"a file that is too long by much": {strings.Repeat(good, 100), 0o600, "backup"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			_, err := keys.LoadSealer(path)
			if err == nil {
				t.Fatal("it was accepted")
			}
			if s := err.Error(); !strings.Contains(s, path) || !strings.Contains(s, test.says) {
				t.Errorf("the error %q does not name the file and %q", s, test.says)
			}
			if strings.Contains(err.Error(), "c0ffee") {
				t.Error("the error has the secret in it")
			}
			if text, _ := os.ReadFile(path); string(text) != test.text {
				t.Error("the file was changed")
			}
		})
	}
	t.Run("a folder", func(t *testing.T) {
		if _, err := keys.LoadSealer(t.TempDir()); err == nil {
			t.Error("it was accepted")
		}
	})
	t.Run("a path without a folder", func(t *testing.T) {
		if _, err := keys.LoadSealer(filepath.Join(t.TempDir(), "none", "secret")); err == nil {
			t.Error("it was accepted")
		}
	})
	t.Run("but not a file without a newline", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := keys.LoadSealer(path); err != nil {
			t.Error(err)
		}
	})
}

func TestOneTextMakesOneSealer(t *testing.T) {
	made := func(text usher.Secret) *keys.Sealer {
		s, err := keys.SealerOf(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	sealed := made("a random text").Seal([]byte("key"), []byte("purpose"))
	if plain, err := made("a random text").Open(sealed, []byte("purpose")); err != nil || string(plain) != "key" {
		t.Errorf("the same text opens it as %q, error %v", plain, err)
	}
	if _, err := made("another text").Open(sealed, []byte("purpose")); err == nil {
		t.Error("another text opens it")
	}
}
