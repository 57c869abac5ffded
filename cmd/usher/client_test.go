package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// command runs a command line on a data folder that no server holds.
func command(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, environment{Stdout: &out, Stderr: &errs})
	return status, out.String(), errs.String()
}

func publicKeyFile(t *testing.T) string {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "publicKey.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhatRegisteringABackEndPrints(t *testing.T) {
	data, key := filepath.Join(t.TempDir(), "data"), publicKeyFile(t)
	const id, apiKey = `^[a-z2-7]{26}\n$`, `^usher_[a-z2-7]{26}_[A-Za-z0-9_-]{43}\n$`
	tests := []struct {
		name   string
		args   []string
		status int
		stdout string
		stderr string // within it
	}{
		{"with a public key", []string{"--name", "a", "--public-key", key}, 0, id, "registered a"},
		{"with an API key", []string{"--name", "b", "--api-key"}, 0, apiKey, "client id is "},
		{"with both", []string{"--name", "c", "--api-key", "--public-key", key, "--scopes", "subject:act", "--expires", "720h"}, 0, apiKey, "subject:act"},
		{"with neither", []string{"--name", "d"}, 2, "^$", "--public-key"},
		{"with a key of the past", []string{"--name", "e", "--api-key", "--expires=-1s"}, 1, "^$", "expires_at"},
		{"with an empty file beside an API key", []string{"--name", "e", "--api-key", "--public-key", os.DevNull}, 1, "^$", "no public key"},
		{"with a key that is not there", []string{"--name", "f", "--public-key", key + "x"}, 1, "^$", key + "x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := command(t, append([]string{"client", "add", "--data", data}, tt.args...)...)
			if status != tt.status || !regexp.MustCompile(tt.stdout).MatchString(stdout) || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("got status %d, printed %q and %q; want %d, %s and %q", status, stdout, stderr, tt.status, tt.stdout, tt.stderr)
			}
			if strings.Contains(stderr, "usher_") {
				t.Errorf("the key is on standard error, too: %q", stderr)
			}
		})
	}
	status, listed, stderr := command(t, "client", "list", "--data", data)
	if lines := strings.Split(strings.TrimSpace(listed), "\n"); status != 0 || len(lines) != 4 ||
		!strings.Contains(lines[1], "public") || !strings.Contains(lines[2], "api") || !strings.Contains(lines[3], "active until") || strings.Contains(listed, "usher_") {
		t.Errorf("listed with status %d:\n%s%s", status, listed, stderr)
	}
	client := strings.Fields(strings.Split(listed, "\n")[1])[0]
	if status, stdout, stderr := command(t, "client", "rotate", "--data", data, client, "--api-key"); status != 0 || !regexp.MustCompile(apiKey).MatchString(stdout) {
		t.Errorf("rotated: got status %d, printed %q and %q", status, stdout, stderr)
	}
}

// someData is a data folder that has been worked on.
func someData(t *testing.T) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if status, _, stderr := command(t, "client", "add", "--data", data, "--name", "first", "--api-key"); status != 0 {
		t.Fatalf("status %d, printed %q", status, stderr)
	}
	return data
}

func TestOnlyAddingAClientMakesAFolder(t *testing.T) {
	data := filepath.Join(t.TempDir(), "nowhere")
	for _, args := range [][]string{{"client", "list"}, {"keys", "list"}, {"explain", "aaaaaaaaaaaaaaaaaaaaaaaaaa"}} {
		status, stdout, stderr := command(t, append(args, "--data", data)...)
		if status != 1 || stdout != "" || !strings.Contains(stderr, "no data of a server in "+data) {
			t.Errorf("%q: got status %d, printed %q and %q", args, status, stdout, stderr)
		}
	}
	if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
}

func TestKeysFromTheCommandLine(t *testing.T) {
	data := someData(t)
	list := func() [][]string {
		t.Helper()
		status, stdout, stderr := command(t, "keys", "list", "--data", data)
		if status != 0 || strings.Contains(strings.ToUpper(stdout), "PRIVATE") {
			t.Fatalf("status %d, printed %q and %q", status, stdout, stderr)
		}
		var rows [][]string
		for _, line := range strings.Split(strings.TrimSpace(stdout), "\n")[1:] {
			rows = append(rows, strings.Fields(line))
		}
		return rows
	}
	before := list()
	if len(before) != 2 || before[0][2] != "current" || before[1][2] != "next" {
		t.Fatalf("got %q, want a current and a next key", before)
	}
	if status, stdout, stderr := command(t, "keys", "rotate", "--data", data); status != 0 || stdout != before[1][0]+"\n" {
		t.Errorf("rotated: got status %d, printed %q and %q; want %s", status, stdout, stderr, before[1][0])
	}
	if rotated := list(); len(rotated) != 3 || rotated[0][0] != before[1][0] || rotated[2][2] != "retired" {
		t.Errorf("after a rotation: got %q", rotated)
	}
	if status, _, stderr := command(t, "keys", "retire", "--data", data, before[1][0]); status != 1 || !strings.Contains(stderr, "key_current") {
		t.Errorf("the current key: got status %d, %q", status, stderr)
	}
	if status, stdout, stderr := command(t, "keys", "retire", "--data", data, before[0][0]); status != 0 || stdout != "" {
		t.Errorf("retired: got status %d, printed %q and %q", status, stdout, stderr)
	}
	if left := list(); len(left) != 2 {
		t.Errorf("after the end of a key: got %q", left)
	}
	if status, stdout, stderr := command(t, "keys", "list", "--json", "--data", data); status != 0 || strings.Count(stdout, `{"kid":`) != 2 {
		t.Errorf("as JSON: got status %d, printed %q and %q", status, stdout, stderr)
	}
}

func TestAFileThatNeverEndsIsNoKey(t *testing.T) {
	const endless = "/dev/zero"
	for _, args := range [][]string{
		{"keys", "export", "--janus", "--key", endless},
		{"client", "add", "--name", "a", "--public-key", endless, "--data", t.TempDir()},
	} {
		if status, out, stderr := command(t, args...); status != 1 || out != "" || !strings.Contains(stderr, endless+" has more than") {
			t.Errorf("usher %q: got status %d, %q and %q", args, status, out, stderr)
		}
	}
}

func TestADecisionThatThereIsNot(t *testing.T) {
	status, stdout, stderr := command(t, "explain", "aaaaaaaaaaaaaaaaaaaaaaaaaa", "--data", someData(t))
	if status != 1 || stdout != "" || !strings.Contains(stderr, "decision_not_found") || !strings.Contains(stderr, "its 'request_id' is what to look for") {
		t.Errorf("got status %d, printed %q and %q", status, stdout, stderr)
	}
}
