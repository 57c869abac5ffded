package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"usher"
	"usher/internal/httpd"
	"usher/web"
)

// page is a page of two files, one of them compressed.
var page = fstest.MapFS{
	"index.html":            {Data: []byte("<!doctype html><title>the page</title>")},
	"assets/app-1a2b.js":    {Data: []byte("plain")},
	"assets/app-1a2b.js.br": {Data: []byte("brotli")},
	"assets/app-1a2b.js.gz": {Data: []byte("gzip")},
}

// get asks the dialect's own routes.
func get(t *testing.T, config web.Config, path string, header http.Header) (*httptest.ResponseRecorder, error) {
	t.Helper()
	w, err := web.New(config)
	if err != nil {
		t.Fatal(err)
	}
	d := w.Dialect()
	answer := httptest.NewRecorder()
	mux := http.NewServeMux()
	for _, route := range d.Routes {
		if route.Caller != httpd.Anyone {
			t.Errorf("%s asks who calls, which a page that is loaded can't say", route.Pattern)
		}
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			d.Header(w.Header())
			err = route.Handle(w, r)
		})
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	mux.ServeHTTP(answer, r)
	return answer, err
}

func TestThePageIsAskedForAgainAndItsFilesAreNot(t *testing.T) {
	for path, want := range map[string]struct{ mediaType, caching, body string }{
		"/":                       {"text/html; charset=utf-8", "no-cache", "<!doctype html><title>the page</title>"},
		"/join":                   {"text/html; charset=utf-8", "no-cache", "<!doctype html><title>the page</title>"},
		"/room/standup":           {"text/html; charset=utf-8", "no-cache", "<!doctype html><title>the page</title>"},
		"/console/rooms/standup":  {"text/html; charset=utf-8", "no-cache", "<!doctype html><title>the page</title>"},
		"/assets/app-1a2b.js":     {"text/javascript; charset=utf-8", "public, max-age=31536000, immutable", "plain"},
		"/assets/app-1a2b.js?a=b": {"text/javascript; charset=utf-8", "public, max-age=31536000, immutable", "plain"},
	} {
		got, err := get(t, web.Config{Files: page}, path, nil)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		h := got.Header()
		if h.Get("Content-Type") != want.mediaType || h.Get("Cache-Control") != want.caching || got.Body.String() != want.body {
			t.Errorf("%s: got %q with %q: %s", path, h.Get("Content-Type"), h.Get("Cache-Control"), got.Body)
		}
		again, err := get(t, web.Config{Files: page}, path, http.Header{"If-None-Match": {h.Get("ETag")}})
		if err != nil || h.Get("ETag") == "" || again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("%s with its ETag %q: got status %d and %d bytes, %v", path, h.Get("ETag"), again.Code, again.Body.Len(), err)
		}
	}
}

func TestFilesAreSentInTheBestFormThatTheCallerTakes(t *testing.T) {
	for accepted, want := range map[string]struct{ encoding, body string }{
		"":                  {"", "plain"},
		"gzip":              {"gzip", "gzip"},
		"gzip, deflate, br": {"br", "brotli"},
		"br;q=0, gzip":      {"gzip", "gzip"},
		"zstd":              {"", "plain"},
	} {
		got, err := get(t, web.Config{Files: page}, "/assets/app-1a2b.js", http.Header{"Accept-Encoding": {accepted}})
		if err != nil || got.Header().Get("Content-Encoding") != want.encoding || got.Body.String() != want.body || got.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("with %q: got %q, %q, %v", accepted, got.Header().Get("Content-Encoding"), got.Body, err)
		}
	}
}

func TestWhatIsNotOfThePageIsRefused(t *testing.T) {
	for _, path := range []string{"/assets/other.js", "/assets/.gitignore", "/assets/..", "/assets/%2e%2e%2findex.html", "/assets/app-1a2b.js.br"} {
		if got, err := get(t, web.Config{Files: page}, path, nil); err == nil && got.Code == http.StatusOK {
			t.Errorf("%s: got %q", path, got.Body)
		}
	}
}

func TestABrowserAtAWrongAddressGetsThePage(t *testing.T) {
	w, err := web.New(web.Config{Files: page})
	if err != nil {
		t.Fatal(err)
	}
	missing := usher.Errorf(usher.NotFound, "route_not_found", "Nothing is served at this path.")
	for name, tt := range map[string]struct {
		method, accept string
		err            *usher.Error
		status         int
		mediaType      string
		page           bool
	}{
		"a browser":              {http.MethodGet, "text/html,*/*;q=0.8", missing, 404, "text/html; charset=utf-8", true},
		"a browser's first look": {http.MethodHead, "text/html,*/*;q=0.8", missing, 404, "text/html; charset=utf-8", false},
		"a program":              {http.MethodGet, "*/*", missing, 404, "application/problem+json", false},
		"another refusal":        {http.MethodGet, "text/html", usher.Errorf(usher.Forbidden, "host_not_local", "No."), 403, "application/problem+json", false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), tt.method, "/nonsense", nil)
		r.Header.Set("Accept", tt.accept)
		got := httptest.NewRecorder()
		w.Dialect().Fail(got, r, tt.err)
		if got.Code != tt.status || got.Header().Get("Content-Type") != tt.mediaType || strings.Contains(got.Body.String(), "the page") != tt.page {
			t.Errorf("%s: got status %d, %s: %s", name, got.Code, got.Header().Get("Content-Type"), got.Body)
		}
	}
}

func TestThePolicyLetsThePageRunOnlyWhatIsItsOwn(t *testing.T) {
	got, err := get(t, web.Config{Files: page, Connect: []string{"https://id.example.org"}}, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	policy := got.Header().Get("Content-Security-Policy")
	for _, want := range []string{
		"default-src 'none'", "script-src 'self';", "style-src 'self';", "connect-src 'self' https://id.example.org;",
		"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'",
	} {
		if !strings.Contains(policy+";", want) {
			t.Errorf("the policy lacks %q: %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("the policy is too wide: %s", policy)
	}
}

func TestWithoutNodeThePageSaysHowToGetIt(t *testing.T) {
	got, err := get(t, web.Config{Files: fstest.MapFS{".gitignore": {Data: []byte("*")}}}, "/", nil)
	if err != nil || got.Code != http.StatusOK || !strings.Contains(got.Body.String(), "make build") {
		t.Errorf("got status %d, %v: %s", got.Code, err, got.Body)
	}
}
