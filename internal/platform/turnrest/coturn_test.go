package turnrest_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/platform/turnrest"
)

// TestCoturn relays through Debian's coturn with our credentials.
func TestCoturn(t *testing.T) {
	port := startCoturn(t)
	p := newPlatform(t, turnrest.Config{})
	for name, test := range map[string]struct {
		subject string
		issued  time.Duration // from now
		works   bool
	}{
		"a good credential is accepted":      {"alice", 0, true},
		"so is a user with a colon":          {"user:https://id.example.com#alice", 0, true},
		"an expired credential is refused":   {"alice", -time.Hour - 2*time.Second, false},
		"one that ended long ago is refused": {"alice", -48 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := request()
			req.Subject = test.subject
			req.Now = time.Now().Add(test.issued)
			req.Grant.NotBefore, req.Grant.Expires = req.Now, req.Now.Add(time.Hour)
			_, s := issue(t, p, req)
			out, err := uclient(t, port, s.Username, s.Credential)
			if works := err == nil && strings.Contains(out, "Total lost packets 0 "); works != test.works {
				t.Errorf("turnutils_uclient: %v\n%s", err, out)
			}
		})
	}
	t.Run("a password of another secret is refused", func(t *testing.T) {
		t.Parallel()
		req := request()
		req.Now = time.Now()
		req.Grant.NotBefore, req.Grant.Expires = req.Now, req.Now.Add(time.Hour)
		_, s := issue(t, p, req)
		if out, err := uclient(t, port, s.Username, "SPZ+SzWjtrk47K7yYRm/cYi0TfE="); err == nil {
			t.Errorf("turnutils_uclient succeeded:\n%s", out)
		}
	})
}

// uclient sends messages between two clients through the server.
func uclient(t *testing.T, port int, username, password string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), lookPath(t, "turnutils_uclient"), "-y", "-c", "-n", "3", "-m", "1",
		"-p", fmt.Sprint(port), "-u", username, "-w", password, "127.0.0.1").CombinedOutput()
	return string(out), err
}

// startCoturn runs a server until the test ends and returns its port.
func startCoturn(t *testing.T) int {
	t.Helper()
	binary := lookPath(t, "turnserver")
	port := freePort(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "turnserver.conf")
	text := fmt.Sprintf(`listening-ip=127.0.0.1
listening-port=%d
relay-ip=127.0.0.1
realm=usher.test
use-auth-secret
static-auth-secret=%s
allow-loopback-peers
no-cli
no-tls
no-dtls
no-rfc5780
log-file=stdout
userdb=%s
pidfile=%s
`, port, secret, filepath.Join(dir, "users"), filepath.Join(dir, "pid"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(binary, "-c", config)
	log := &strings.Builder{}
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("coturn:\n%s", log)
		}
	})
	awaitPort(t, port)
	return port
}

func awaitPort(t *testing.T, port int) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	late := time.After(20 * time.Second)
	for {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("coturn does not listen: %v", err)
		}
	}
}

// freePort returns a port that was free just now: coturn can't choose one itself.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	const missing = "%s is missing: scripts/test-deps installs coturn"
	if os.Getenv("CI") == "true" {
		t.Fatalf(missing, name)
	}
	t.Skipf(missing, name)
	return ""
}
