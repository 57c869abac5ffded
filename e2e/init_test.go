package e2e_test

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What init sets up starts as it is, outside development mode, knows its
// operators, and refuses everybody else.
func TestAServerThatWasSetUpKnowsItsOperators(t *testing.T) {
	t.Parallel()
	i, dir := newIssuer(t), t.TempDir()
	file, data := filepath.Join(dir, "usher.yaml"), filepath.Join(dir, "data")
	setUp := []string{
		"init", "--config", file, "--data", data, "--url", "http://127.0.0.1:8080", "--tls", "proxy", "--http", "127.0.0.1:0",
		"--issuer", i.url, "--audience", audience, "--operator", "user:ann", "--operator-key",
	}
	r := runUsher(t, setUp...)
	if r.Status != 0 || !regexp.MustCompile(`^usher_\S+\n$`).MatchString(r.Stdout) {
		t.Fatalf("init: status %d, printed %q\n%s", r.Status, r.Stdout, r.Stderr)
	}
	key, written := strings.TrimSpace(r.Stdout), string(readFile(t, file))
	if strings.Contains(r.Stderr+written, key) {
		t.Error("the API key is somewhere else, too")
	}
	next := regexp.MustCompile(`(?m)^  1\. usher (doctor .*)$`).FindStringSubmatch(r.Stderr)
	if next == nil {
		t.Fatalf("doctor is not the first of what is next:\n%s", r.Stderr)
	}
	if r := runUsher(t, strings.Fields(next[1])...); r.Status != 0 {
		t.Errorf("usher %s: status %d\n%s%s", next[1], r.Status, r.Stdout, r.Stderr)
	}

	s := start(t, options{Dir: dir, Data: data, Config: written})
	s.Secret(key)
	const configuration = "/api/v1/configuration"
	s.must(http.StatusOK, http.MethodGet, configuration, "", bearer(i.token("ann").Reveal())...)
	s.must(http.StatusOK, http.MethodGet, configuration, "", bearer(key)...)
	a := s.must(http.StatusForbidden, http.MethodGet, configuration, "", bearer(i.token("ben").Reveal())...)
	if got := a.text(t, "detail"); got != "Only operators may call this." {
		t.Errorf("a stranger was told %q", got)
	}
	s.must(http.StatusUnauthorized, http.MethodGet, configuration, "")

	// A second time changes nothing, while the server runs and when it does not.
	again := func() {
		t.Helper()
		if r := runUsher(t, setUp...); r.Status != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, "is there already") {
			t.Errorf("init once more: status %d, printed %q\n%s", r.Status, r.Stdout, r.Stderr)
		}
		other := append(setUp, "--config", filepath.Join(dir, "other.yaml"))
		if r := runUsher(t, other...); r.Status != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, "has the database of a server already") {
			t.Errorf("init of its folder: status %d, printed %q\n%s", r.Status, r.Stdout, r.Stderr)
		}
	}
	again()
	s.Stop()
	again()
	s.Restart()
	s.must(http.StatusOK, http.MethodGet, configuration, "", bearer(key)...)
	if got := string(readFile(t, file)); got != written {
		t.Errorf("the configuration has changed:\n%s", got)
	}
}
