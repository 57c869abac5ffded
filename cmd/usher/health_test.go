package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAContainerAsksItsServerHowItIs(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz":
		case "/elsewhere":
			http.Redirect(w, r, "/healthz", http.StatusFound)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, test := range map[string]struct {
		url    string
		status int
		says   string
	}{
		"a server that serves":               {server.URL + "/healthz", 0, ""},
		"one that shall get no traffic":      {server.URL + "/readyz", 1, "503"},
		"one that sends us elsewhere":        {server.URL + "/elsewhere", 1, "302"},
		"one that is not there":              {gone.URL + "/healthz", 1, "refused"},
		"what is no address":                 {"localhost:8080", 1, "http://HOST:PORT/healthz"},
		"what is not asked by this protocol": {"file:///etc/passwd", 1, "http://HOST:PORT/healthz"},
	} {
		var out, errs bytes.Buffer
		status := run(t.Context(), []string{"health", test.url}, environment{Stdout: &out, Stderr: &errs})
		if status != test.status || !strings.Contains(errs.String(), test.says) || out.Len() > 0 {
			t.Errorf("%s: got %d, %q and %q, want %d with %q", name, status, &errs, &out, test.status, test.says)
		}
	}
}
