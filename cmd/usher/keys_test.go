package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever loses seal.key is told so as long as it is missing, and not given
// another one that opens nothing.
func TestWithoutItsSealKeyADatabaseIsNotServed(t *testing.T) {
	folder := t.TempDir()
	data := filepath.Join(folder, "data")
	seal := filepath.Join(data, sealName)
	list := []string{"keys", "list", "--data", data}
	forget := []string{"keys", "forget", "--dev", "--data", data}
	if status, _, stderr := command(t, "client", "add", "--data", data, "--name", "a", "--api-key"); status != 0 {
		t.Fatal(stderr)
	}
	_, before, _ := command(t, list...)
	if status, _, stderr := command(t, forget...); status != 1 || !strings.Contains(stderr, "can be opened: nothing was changed") {
		t.Errorf("forgetting keys that can be opened: got %d, %s", status, stderr)
	}
	if _, got, _ := command(t, list...); got != before {
		t.Errorf("the keys are\n%s, want\n%s", got, before)
	}

	kept := filepath.Join(folder, "kept")
	if err := os.Rename(seal, kept); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if status, _, stderr := command(t, list...); status != 1 || !strings.Contains(stderr, seal+" is missing") || !strings.Contains(stderr, "put back") {
			t.Errorf("without the file: got %d, %s", status, stderr)
		}
		if _, err := os.Stat(seal); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("another one was made: %v", err)
		}
	}
	if err := os.Rename(kept, seal); err != nil {
		t.Fatal(err)
	}
	if _, got, stderr := command(t, list...); got != before {
		t.Errorf("with the file: got\n%s%s, want\n%s", got, stderr, before)
	}

	if err := os.Remove(seal); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := command(t, forget...); status != 0 || !strings.Contains(stderr, "2 signing keys are gone") {
		t.Errorf("forgetting keys that nobody can open: got %d, %s", status, stderr)
	}
	status, after, stderr := command(t, list...)
	if status != 0 || after == before || strings.Count(after, "\n") != 3 {
		t.Errorf("afterwards: got %d, %s%s, want two keys that are new", status, after, stderr)
	}
	if _, clients, _ := command(t, "client", "list", "--data", data); !strings.Contains(clients, " a ") {
		t.Errorf("the back ends are gone: %s", clients)
	}
}

// A database that another secret sealed is no better than one whose is missing.
func TestKeysThatAnotherSecretSealedCanBeForgotten(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if status, _, stderr := command(t, "client", "add", "--data", data, "--name", "a", "--api-key"); status != 0 {
		t.Fatal(stderr)
	}
	if err := os.WriteFile(filepath.Join(data, sealName), []byte(strings.Repeat("0f", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := command(t, "keys", "list", "--data", data); status != 1 || !strings.Contains(stderr, "sealed with another secret") {
		t.Errorf("got %d, %s", status, stderr)
	}
	if status, _, stderr := command(t, "keys", "forget", "--dev", "--data", data); status != 0 {
		t.Errorf("got %d, %s", status, stderr)
	}
	if status, _, stderr := command(t, "keys", "list", "--data", data); status != 0 {
		t.Errorf("afterwards: got %d, %s", status, stderr)
	}
}
