package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// printedID is all that `usher client add` may print.
var printedID = regexp.MustCompile(`^[a-z2-7]{26}\n$`)

// addClient registers a client and returns its id.
func addClient(t *testing.T, data, name, publicKey string, more ...string) string {
	t.Helper()
	r := runUsher(t, append([]string{"client", "add", "--data", data, "--name", name, "--public-key", publicKey}, more...)...)
	if r.Status != 0 || !printedID.MatchString(r.Stdout) {
		t.Fatalf("client add: status %d, printed %q\n%s", r.Status, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

func TestClientsAreManagedBesideAServerAndWithout(t *testing.T) {
	t.Parallel()
	key, other := clientKey(t), strangerKey(t)
	data := filepath.Join(t.TempDir(), "data") // made by the first command

	early := addClient(t, data, "early", key.Public)
	s := start(t, options{Data: data})
	late := addClient(t, data, "late", key.Public, "--scopes", "meeting:create meeting:read")
	if early == late {
		t.Fatalf("both clients are %s", early)
	}
	token := s.token(early, key)
	s.must(http.StatusOK, http.MethodPost, "/v1/meetings", "", bearer(token)...)

	t.Run("scopes bound what a client gets", func(t *testing.T) {
		narrow := s.token(late, key)
		s.must(http.StatusOK, http.MethodPost, "/v1/meetings", "", bearer(narrow)...)
		id := s.must(http.StatusOK, http.MethodPost, "/v1/meetings", "", bearer(narrow)...).text(t, "id")
		s.must(http.StatusForbidden, http.MethodDelete, "/v1/meetings/"+id, "", bearer(narrow)...)
	})
	t.Run("list tells of both", func(t *testing.T) {
		r := runUsher(t, "client", "list", "--data", data)
		if r.Status != 0 || !strings.Contains(r.Stdout, early) || !strings.Contains(r.Stdout, late) {
			t.Errorf("status %d: %s%s", r.Status, r.Stdout, r.Stderr)
		}
	})
	t.Run("a rotated key is void at once, with its tokens", func(t *testing.T) {
		if r := runUsher(t, "client", "rotate", "--data", data, early, "--public-key", other.Public); r.Status != 0 || r.Stdout != "" {
			t.Fatalf("status %d, printed %q: %s", r.Status, r.Stdout, r.Stderr)
		}
		s.must(http.StatusUnauthorized, http.MethodPost, "/v1/meetings", "", bearer(token)...)
		s.must(http.StatusBadRequest, http.MethodPost, "/oauth/token", tokenRequest(signRS384(t, key, rs384, s.assertion(early))), asForm...)
		token = s.token(early, other)
		s.must(http.StatusOK, http.MethodPost, "/v1/meetings", "", bearer(token)...)
	})
	t.Run("a revoked client is out at once, also after a restart", func(t *testing.T) {
		if r := runUsher(t, "client", "revoke", "--data", data, early); r.Status != 0 || r.Stdout != "" {
			t.Fatalf("status %d, printed %q: %s", r.Status, r.Stdout, r.Stderr)
		}
		for range 2 {
			s.must(http.StatusUnauthorized, http.MethodPost, "/v1/meetings", "", bearer(token)...)
			s.must(http.StatusBadRequest, http.MethodPost, "/oauth/token", tokenRequest(signRS384(t, other, rs384, s.assertion(early))), asForm...)
			s.Stop()
			s.Restart()
		}
	})
	t.Run("without a server the same holds", func(t *testing.T) {
		s.Stop()
		r := runUsher(t, "client", "list", "--data", data)
		if r.Status != 0 || !regexp.MustCompile(early+`.*revoked`).MatchString(r.Stdout) || !regexp.MustCompile(late+`.*active`).MatchString(r.Stdout) {
			t.Errorf("status %d: %s%s", r.Status, r.Stdout, r.Stderr)
		}
		third := addClient(t, data, "third", other.Public)
		s.Restart()
		s.token(third, other)
	})
}

func TestTheControlSocketIsTheOwnersAlone(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	for name, want := range map[string]os.FileMode{
		"": 0o700, "usher.sock": 0o600, "usher.db": 0o600, "seal.key": 0o600, "tls/localhost.key": 0o600,
	} {
		info, err := os.Stat(filepath.Join(s.Data, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%q has mode %o, want %o", name, got, want)
		}
	}
	s.Stop()
	if _, err := os.Stat(filepath.Join(s.Data, "usher.sock")); !os.IsNotExist(err) {
		t.Errorf("the socket is still there after the server has stopped: %v", err)
	}
}

func TestMistakesOnTheCommandLineAreToldAndPrintNothing(t *testing.T) {
	t.Parallel()
	needs(t, "openssl")
	key := clientKey(t)
	dir := t.TempDir()
	openssl := func(name string, args ...string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		private := path + ".key"
		for _, line := range [][]string{append(args, "-out", private), {"pkey", "-in", private, "-pubout", "-out", path}} {
			if out, err := exec.Command("openssl", line...).CombinedOutput(); err != nil {
				t.Fatalf("openssl %q: %v\n%s", line, err, out)
			}
		}
		return path
	}
	file := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pem := string(readFile(t, key.Public))
	running := start(t, options{})
	addClient(t, running.Data, "taken", key.Public)
	notAFolder := file("not-a-folder", "")

	add := func(more ...string) []string {
		return append([]string{"client", "add", "--data", running.Data, "--name", "x"}, more...)
	}
	for name, test := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"a key file that is missing":      {add("--public-key", filepath.Join(dir, "missing.pem")), 1, "missing.pem"},
		"a folder as a key":               {add("--public-key", dir), 1, dir},
		"an empty key":                    {add("--public-key", file("empty.pem", "")), 1, "public key"},
		"a key that is no PEM":            {add("--public-key", file("text.pem", "ssh-rsa AAAA")), 1, "PEM"},
		"a private key":                   {add("--public-key", key.Private), 1, "private key"},
		"a key that was cut":              {add("--public-key", file("cut.pem", pem[:len(pem)/2])), 1, "public key"},
		"a key that is too short":         {add("--public-key", openssl("rsa2048.pem", "genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048")), 1, "4096"},
		"a key of another curve":          {add("--public-key", openssl("p256.pem", "genpkey", "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")), 1, "P-384"},
		"a key of a kind for exchanges":   {add("--public-key", openssl("x25519.pem", "genpkey", "-algorithm", "x25519")), 1, "kind"},
		"a file larger than any key":      {add("--public-key", file("large.pem", strings.Repeat("A", 1<<20))), 1, ""},
		"a scope that there is not":       {add("--public-key", key.Public, "--scopes", "meeting:destroy"), 1, "scope"},
		"a name that is taken":            {append(add("--public-key", key.Public), "--name", "taken"), 1, "name"},
		"no name":                         {[]string{"client", "add", "--data", running.Data, "--public-key", key.Public}, 2, "--name"},
		"no key":                          {add(), 2, "--public-key"},
		"a data folder that is a file":    {[]string{"client", "add", "--data", notAFolder, "--name", "x", "--public-key", key.Public}, 1, notAFolder},
		"a data folder below a file":      {[]string{"client", "list", "--data", filepath.Join(notAFolder, "x")}, 1, notAFolder},
		"a client that there is not":      {[]string{"client", "revoke", "--data", running.Data, "aaaaaaaaaaaaaaaaaaaaaaaaaa"}, 1, "client"},
		"a client that is a path":         {[]string{"client", "revoke", "--data", running.Data, "../rooms"}, 1, "client"},
		"a client that is dots":           {[]string{"client", "rotate", "--data", running.Data, "..", "--public-key", key.Public}, 1, "client"},
		"a second server on the folder":   {[]string{"serve", "--dev", "--data", running.Data, "--http", "127.0.0.1:0", "--https", "127.0.0.1:0"}, 1, "in use"},
		"a port that is taken":            {[]string{"serve", "--dev", "--data", filepath.Join(dir, "d1"), "--http", hostOf(t, running.HTTP), "--https", "127.0.0.1:0"}, 1, "--http"},
		"another port that is taken":      {[]string{"serve", "--dev", "--data", filepath.Join(dir, "d2"), "--http", "127.0.0.1:0", "--https", hostOf(t, running.HTTPS)}, 1, "--https"},
		"development mode for everyone":   {[]string{"serve", "--dev", "--data", filepath.Join(dir, "d3"), "--http", "0.0.0.0:0", "--https", "127.0.0.1:0"}, 1, "server.http"},
		"a server without any mode":       {[]string{"serve"}, 1, "--dev"},
		"a configuration that is missing": {[]string{"serve", "--config", filepath.Join(dir, "missing.yaml")}, 1, "missing.yaml"},
		"a command that there is not":     {[]string{"sevre"}, 2, "sevre"},
	} {
		t.Run(name, func(t *testing.T) {
			r := runUsher(t, test.args...)
			if r.Status != test.status || r.Stdout != "" {
				t.Errorf("status %d, printed %q, want status %d and nothing\n%s", r.Status, r.Stdout, test.status, r.Stderr)
			}
			if !strings.Contains(r.Stderr, test.says) {
				t.Errorf("it says %q, want a word of %q", r.Stderr, test.says)
			}
			if strings.Contains(r.Stderr, "panic") || strings.Contains(r.Stderr, "PRIVATE KEY-----\nMII") {
				t.Errorf("it says too much: %s", r.Stderr)
			}
		})
	}
	r := runUsher(t, "client", "list", "--json", "--data", running.Data)
	if got := strings.Count(r.Stdout, "\n"); r.Status != 0 || got != 1 {
		t.Errorf("after all mistakes there are %d clients, want 1: %s%s", got, r.Stdout, r.Stderr)
	}
}
