package httpd_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"usher/internal/httpd"
)

// In development mode nobody proves anything, so that a page of another machine
// that is open in the developer's browser must not be taken for the developer.
func TestPagesFromElsewhereChangeNothingInDevelopment(t *testing.T) {
	a := newAdapter(t, func(c *httpd.Config) { c.LoopbackOnly = true },
		dialect(
			httpd.Route{Pattern: "POST /rooms", Caller: httpd.Known, Handle: whoami},
			httpd.Route{Pattern: "GET /rooms", Caller: httpd.Known, Handle: whoami},
		))
	for name, c := range map[string]struct {
		method, origin, site string
		elsewhere            bool
	}{
		"a program":                          {http.MethodPost, "", "", false},
		"a page of this machine":             {http.MethodPost, "https://localhost:4000", "same-site", false},
		"a page by another name of it":       {http.MethodPost, "http://127.0.0.1:5173", "cross-site", false},
		"a page of another machine":          {http.MethodPost, "https://evil.example", "cross-site", true},
		"a page of a name that begins alike": {http.MethodPost, "https://localhost.evil.example", "cross-site", true},
		"a file, or a sandbox":               {http.MethodPost, "null", "cross-site", true},
		"a form without an origin":           {http.MethodPost, "", "cross-site", true},
		"reading, whose answer CORS keeps":   {http.MethodGet, "https://evil.example", "cross-site", false},
	} {
		r := httptest.NewRequest(c.method, "http://localhost:8080/rooms", nil)
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if refused := w.Code == http.StatusForbidden; refused != c.elsewhere {
			t.Errorf("%s: status %d %s, want refused: %v", name, w.Code, w.Body, c.elsewhere)
		}
	}
}
