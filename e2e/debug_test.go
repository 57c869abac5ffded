package e2e_test

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"
)

var profilesAddress = regexp.MustCompile(`(?m)^  profiles at (http://127\.0\.0\.1:\d+/debug/pprof/)$`)

// Profiles are served where the configuration says, and nowhere else; a line for
// each request is in the log if it says so.
func TestAnOperatorsOwnListener(t *testing.T) {
	t.Parallel()
	s := start(t, options{Env: []string{"USHER_SERVER_DEBUG=127.0.0.1:0", "USHER_LOG_REQUESTS=true", "USHER_LOG_LEVEL=info"}})
	m := profilesAddress.FindSubmatch(s.output.Bytes())
	if m == nil {
		t.Fatalf("the server does not say where profiles are\n%s", s.output.tail())
	}
	client := &http.Client{Timeout: 30 * time.Second}
	for path, want := range map[string]int{"": 200, "goroutine?debug=1": 200, "profile?seconds=1": 200, "none": 404, "../../metrics": 404} {
		res, err := client.Get(string(m[1]) + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != want || len(body) == 0 {
			t.Errorf("%s: got %d with %d bytes, %v; want %d", path, res.StatusCode, len(body), err, want)
		}
	}
	if a := s.do(http.MethodGet, "/debug/pprof/", ""); a.Status != http.StatusNotFound {
		t.Errorf("where everybody calls, profiles are answered with %d", a.Status)
	}
	mark := len(s.output.Bytes())
	s.do(http.MethodGet, "/api/v1/me?ticket=secret-ticket", "")
	if err := s.output.await(within(t, time.Minute), `route="GET /api/v1/me"`, mark); err != nil {
		t.Error(err)
	}
	if bytes.Contains(s.output.Bytes(), []byte("secret-ticket")) {
		t.Error("the log has what a query carried")
	}
}
