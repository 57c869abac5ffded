package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// tempRoot holds what is made once for all tests: the binary and the keys.
var tempRoot string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if tempRoot, err = os.MkdirTemp("", "usher-e2e-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(tempRoot) }()
		return m.Run()
	}())
}

// usherBinary returns the path of the binary, which is built once.
func usherBinary(t testing.TB) string {
	t.Helper()
	path, err := builtOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var builtOnce = sync.OnceValues(func() (string, error) {
	path := filepath.Join(tempRoot, "usher")
	cmd := exec.Command("go", "build", "-o", path, "usher/cmd/usher")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build usher: %w\n%s", err, out)
	}
	return path, nil
})

// keyFiles are the two halves of a client's key, as PEM files.
type keyFiles struct{ Private, Public string }

// clientKey returns an RSA key of 4096 bits, made once and by the commands that
// the seed prints. Making one takes seconds, so the tests share it.
func clientKey(t testing.TB) keyFiles {
	t.Helper()
	return madeKey(t, keyOnce)
}

// strangerKey returns another such key, that no server knows.
func strangerKey(t testing.TB) keyFiles {
	t.Helper()
	return madeKey(t, strangerKeyOnce)
}

func madeKey(t testing.TB, once func() (keyFiles, error)) keyFiles {
	t.Helper()
	needs(t, "openssl")
	key, err := once()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var (
	keyOnce         = sync.OnceValues(func() (keyFiles, error) { return makeKey("client") })
	strangerKeyOnce = sync.OnceValues(func() (keyFiles, error) { return makeKey("stranger") })
)

func makeKey(name string) (keyFiles, error) {
	dir := filepath.Join(tempRoot, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return keyFiles{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, line := range []string{
		"openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:4096 -out privateKey.pem",
		"openssl pkey -in privateKey.pem -pubout > publicKey.pem",
	} {
		cmd := exec.CommandContext(ctx, "sh", "-c", line)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return keyFiles{}, fmt.Errorf("%s: %w\n%s", line, err, out)
		}
	}
	return keyFiles{Private: filepath.Join(dir, "privateKey.pem"), Public: filepath.Join(dir, "publicKey.pem")}, nil
}

// needs ends a test whose program is missing: as failed where all of them must
// be there, and otherwise as skipped.
func needs(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: scripts/test-deps installs what the tests need", program)
	}
	t.Skipf("%s is not installed, so that this can't be shown here; scripts/test-deps installs what the tests need", program)
}

// ran is what a command left behind.
type ran struct {
	Stdout, Stderr string
	Status         int
}

// runUsher runs one command of the binary to its end.
func runUsher(t testing.TB, args ...string) ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, usherBinary(t), args...)
	cmd.Env = environ()
	cmd.Dir = t.TempDir()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil || cmd.ProcessState == nil {
		t.Fatalf("usher %q did not run to its end: %v\n%s", args, err, &stderr)
	}
	return ran{Stdout: stdout.String(), Stderr: stderr.String(), Status: cmd.ProcessState.ExitCode()}
}

// environ is the environment of every process under test: nothing of the
// tests' own but where programs are, and the most talkative log, so that a
// secret that slips into it is found.
func environ(more ...string) []string {
	env := []string{"USHER_LOG_LEVEL=debug"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env, more...)
}
