package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// LoadSealer makes a Sealer from the secret in a file, 64 hexadecimal digits
// and a newline. If there is no such file it makes one, which is on disk and
// readable to its owner only when LoadSealer returns. Processes that start at
// once agree on one secret.
//
// Whatever was sealed is lost with the file, and open to all who can read it;
// LoadSealer refuses one that others may read, or that is not what it wrote.
func LoadSealer(path string) (*Sealer, error) {
	key, err := readSecretFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createSecretFile(path); err != nil {
			return nil, fmt.Errorf("keys: create secret file: %w", err)
		}
		key, err = readSecretFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("keys: load secret file: %w", err)
	}
	return NewSealer(key)
}

// readSecretFile reads and checks the file. Its errors name the file and say
// what to do, and never what is in it.
func readSecretFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file: remove it, or name another", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s can be read or changed by others (mode %04o): run chmod 600 %[1]s, and replace the secret if somebody may have read it", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, 2*rootSize+2))
	if err != nil {
		return nil, err
	}
	key := make([]byte, rootSize)
	digits := bytes.TrimSuffix(text, []byte("\n"))
	if len(digits) != 2*rootSize {
		return nil, malformedSecret(path)
	}
	if _, err := hex.Decode(key, digits); err != nil {
		return nil, malformedSecret(path)
	}
	return key, nil
}

func malformedSecret(path string) error {
	return fmt.Errorf("%s does not hold %d hexadecimal digits: restore it from a backup; without one, remove it and the keys that were sealed with it are lost", path, 2*rootSize)
}

// createSecretFile writes a random secret where there is no file.
func createSecretFile(path string) error {
	key := make([]byte, rootSize)
	rand.Read(key)
	return createFile(path, fmt.Appendf(nil, "%x\n", key))
}

// createFile writes a file where there is none, and leaves alone one that
// another process made meanwhile. The file appears under its name only when all
// of it is on disk: a link, other than a rename, never replaces what is there.
func createFile(path string, content []byte) error {
	folder := filepath.Dir(path)
	temp, err := os.CreateTemp(folder, filepath.Base(path)+".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())

	_, err = temp.Write(content)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Also when another process made the file: it may not have got this far
	// when we seal the first thing with it.
	return syncFolder(folder)
}

// syncFolder makes a new name in the folder survive a loss of power.
func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
