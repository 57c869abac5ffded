package httpd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/httpd"
	"usher/internal/identity"
)

// callers knows a client with one scope, an operator and a user.
type callers struct{}

func (callers) Authenticate(_ context.Context, p identity.Proof) (usher.Identity, error) {
	id := usher.Identity{App: usher.DefaultApp, Subject: p.Bearer.Reveal()}
	switch p.Bearer.Reveal() {
	case "client":
		id.Kind, id.Scopes = usher.ClientIdentity, usher.Scopes{usher.MeetingRead}
	case "operator":
		id.Kind, id.Operator = usher.LocalIdentity, true
	case "user":
		id.Kind = usher.UserIdentity
	default:
		return usher.Identity{}, identity.ErrNotMine
	}
	return id, nil
}

// adapter serves dialects and keeps the log.
type adapter struct {
	http.Handler
	log *strings.Builder
}

func newAdapter(t *testing.T, edit func(*httpd.Config), dialects ...httpd.Dialect) adapter {
	t.Helper()
	log := &strings.Builder{}
	config := httpd.Config{
		Identity: identity.Chain{callers{}}, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Metrics: httpd.NewMetrics(prometheus.NewRegistry()), RequestIDs: usher.SystemIDs(),
	}
	if edit != nil {
		edit(&config)
	}
	h, err := httpd.New(config, dialects...)
	if err != nil {
		t.Fatal(err)
	}
	return adapter{h, log}
}

// ask sends a request; header holds pairs.
func (a adapter) ask(method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

func problemCode(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var p struct {
		Code      string `json:"code"`
		Status    int    `json:"status"`
		RequestID string `json:"request_id"`
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("got Content-Type %q with %q, want a problem", got, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if p.Status != w.Code || p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-ID") {
		t.Errorf("got problem %+v in an answer %d with request id %q", p, w.Code, w.Header().Get("X-Request-ID"))
	}
	return p.Code
}

func whoami(w http.ResponseWriter, r *http.Request) error {
	_, err := io.WriteString(w, httpd.Identity(r.Context()).Subject)
	return err
}

func dialect(routes ...httpd.Route) httpd.Dialect { return httpd.Dialect{Name: "test", Routes: routes} }

func TestCallers(t *testing.T) {
	a := newAdapter(t, nil, dialect(
		httpd.Route{Pattern: "GET /healthz", Caller: httpd.Anyone, Handle: whoami},
		httpd.Route{Pattern: "GET /known", Caller: httpd.Known, Handle: whoami},
		httpd.Route{Pattern: "GET /read", Caller: httpd.Known, Scope: usher.MeetingRead, Handle: whoami},
		httpd.Route{Pattern: "GET /write", Caller: httpd.Known, Scope: usher.MeetingWrite, Handle: whoami},
		httpd.Route{Pattern: "GET /clients", Caller: httpd.Clients, Scope: usher.MeetingRead, Handle: whoami},
		httpd.Route{Pattern: "GET /operators", Caller: httpd.Operators, Handle: whoami},
	))
	const none, bad, scope, operators = "credentials_required", "credentials_invalid", "scope_missing", "operators_only"
	for _, tt := range []struct {
		path string
		// The refusals of nobody, an unknown token, a client, an operator, a user.
		want [5]string
	}{
		{"/healthz", [5]string{}},
		{"/known", [5]string{none, bad}},
		{"/read", [5]string{none, bad}},
		{"/write", [5]string{none, bad, scope}},
		{"/clients", [5]string{none, bad, "", none, none}},
		{"/operators", [5]string{none, bad, operators, "", operators}},
	} {
		for i, caller := range []string{"", "unknown", "client", "operator", "user"} {
			var header []string
			if caller != "" {
				header = []string{"Authorization", "Bearer " + caller}
			}
			w := a.ask("GET", tt.path, "", header...)
			if tt.want[i] != "" {
				if got := problemCode(t, w); got != tt.want[i] {
					t.Errorf("%s by %q: got %q, want %q", tt.path, caller, got, tt.want[i])
				}
				if challenge := w.Header().Get("WWW-Authenticate"); (challenge == "Bearer") != (w.Code == http.StatusUnauthorized) {
					t.Errorf("%s by %q: got %d with WWW-Authenticate %q", tt.path, caller, w.Code, challenge)
				}
				continue
			}
			want := caller
			if tt.path == "/healthz" {
				want = "" // nobody is asked who they are
			}
			if w.Code != http.StatusOK || w.Body.String() != want {
				t.Errorf("%s by %q: got %d %q, want 200 %q", tt.path, caller, w.Code, w.Body, want)
			}
		}
	}
	if strings.Contains(a.log.String(), "unknown") {
		t.Error("a token is in the log")
	}
}

func TestMalformedAuthorization(t *testing.T) {
	a := newAdapter(t, func(c *httpd.Config) { c.Identity = identity.Chain{callers{}, identity.Dev{}} },
		dialect(httpd.Route{Pattern: "GET /known", Caller: httpd.Known, Handle: whoami}))
	for _, tt := range []struct {
		name   string
		header []string
		status int
	}{
		{"none, where that is open", nil, 200},
		{"a token", []string{"Bearer client"}, 200},
		{"a scheme in capitals", []string{"BEARER client"}, 200},
		{"two spaces", []string{"Bearer  client"}, 200},
		{"an empty header", []string{""}, 401},
		{"no token", []string{"Bearer"}, 401},
		{"an empty token", []string{"Bearer "}, 401},
		{"another scheme", []string{"Basic Y2xpZW50Og=="}, 401},
		{"two tokens", []string{"Bearer client client"}, 401},
		{"two schemes", []string{"Bearer client, Basic x"}, 401},
		{"two headers", []string{"Bearer client", "Bearer client"}, 401},
		{"a token alone", []string{"client"}, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var header []string
			for _, v := range tt.header {
				header = append(header, "Authorization", v)
			}
			if w := a.ask("GET", "/known", "", header...); w.Code != tt.status {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, tt.status)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	secret := usher.Secret("s3cret")
	a := newAdapter(t, nil, dialect(
		httpd.Route{Pattern: "GET /panic", Caller: httpd.Known, Handle: func(http.ResponseWriter, *http.Request) error { panic("s3cret in a panic") }},
		httpd.Route{Pattern: "GET /internal", Caller: httpd.Known, Handle: func(http.ResponseWriter, *http.Request) error {
			return fmt.Errorf("store: disk on fire, %v", secret)
		}},
		httpd.Route{Pattern: "GET /late", Caller: httpd.Known, Handle: func(http.ResponseWriter, *http.Request) error { return context.DeadlineExceeded }},
		httpd.Route{Pattern: "GET /busy", Caller: httpd.Known, Handle: func(http.ResponseWriter, *http.Request) error {
			return &usher.Error{Kind: usher.TooMany, Code: "slow_down", RetryAfter: 1500 * time.Millisecond}
		}},
		httpd.Route{Pattern: "POST /read", Caller: httpd.Known, Handle: func(w http.ResponseWriter, r *http.Request) error {
			var v struct{ Name string }
			return errors.Join(httpd.ReadJSON(r, &v, false), r.Context().Err())
		}},
	))
	for _, tt := range []struct {
		path, body string
		status     int
		code       string
	}{
		{"GET /panic", "", 500, "internal"},
		{"GET /internal", "", 500, "internal"},
		{"GET /late", "", 503, "timeout"},
		{"GET /busy", "", 429, "slow_down"},
		{"POST /read", `{"name":"` + strings.Repeat("x", 64<<10) + `"}`, 413, "body_too_large"},
		{"POST /read", `{"name":"` + strings.Repeat("x", 64<<10-11) + `"}`, 200, ""},
		{"POST /read", "{", 400, "json_invalid"},
	} {
		method, path, _ := strings.Cut(tt.path, " ")
		w := a.ask(method, path, tt.body, "Authorization", "Bearer user", "Content-Type", "application/json")
		if w.Code != tt.status {
			t.Errorf("%s: got %d %s, want %d", tt.path, w.Code, w.Body, tt.status)
			continue
		}
		if tt.code != "" && problemCode(t, w) != tt.code {
			t.Errorf("%s: got %s, want %s", tt.path, w.Body, tt.code)
		}
		if strings.Contains(w.Body.String(), "disk") || strings.Contains(w.Body.String(), "s3cret") {
			t.Errorf("%s tells too much: %s", tt.path, w.Body)
		}
		if want := map[string]string{"GET /busy": "2"}[tt.path]; w.Header().Get("Retry-After") != want {
			t.Errorf("%s: got Retry-After %q, want %q", tt.path, w.Header().Get("Retry-After"), want)
		}
	}
	if log := a.log.String(); strings.Contains(log, "s3cret") || !strings.Contains(log, "disk on fire") || !strings.Contains(log, "a handler panicked") {
		t.Errorf("the log lacks a cause or has a secret: %s", log)
	}
}

func TestWhatNoRouteServes(t *testing.T) {
	a := newAdapter(t, nil, dialect(
		httpd.Route{Pattern: "GET /a/{x}", Caller: httpd.Known, Handle: whoami},
		httpd.Route{Pattern: "POST /a/{x}", Caller: httpd.Known, Handle: whoami},
	))
	for _, tt := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"DELETE", "/a/b", 405, "method_not_allowed", "GET, HEAD, POST"},
		{"OPTIONS", "/a/b", 405, "method_not_allowed", "GET, HEAD, POST"},
		{"GET", "/", 404, "route_not_found", ""},
		{"POST", "//a/b", 404, "route_not_found", ""},
		{"POST", "/x/../a/b", 404, "route_not_found", ""},
		{"CONNECT", "/a/b", 405, "method_not_allowed", "GET, HEAD, POST"},
	} {
		w := a.ask(tt.method, tt.path, "")
		if got := problemCode(t, w); w.Code != tt.status || got != tt.code || w.Header().Get("Allow") != tt.allow {
			t.Errorf("%s %s: got %d %s, Allow %q, want %d %s, %q", tt.method, tt.path, w.Code, got, w.Header().Get("Allow"), tt.status, tt.code, tt.allow)
		}
	}
}

// Who looks at a wrong address in a browser gets a page, where there is one.
func TestBrowsersGetAPageWhereNothingIsServed(t *testing.T) {
	pages := httpd.Dialect{Name: "pages", Pages: true, Fail: func(w http.ResponseWriter, _ *http.Request, err *usher.Error) {
		w.WriteHeader(httpd.Status(err.Kind))
		_, _ = w.Write([]byte("<!doctype html>"))
	}}
	theirs := httpd.Dialect{Name: "theirs", Under: []string{"/theirs/"}}
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	for _, tt := range []struct {
		name, method, path, accept string
		page                       bool
	}{
		{"a browser", "GET", "/nonsense", browser, true},
		{"a program", "GET", "/nonsense", "application/json", false},
		{"a program that takes anything", "GET", "/nonsense", "*/*", false},
		{"a program that says nothing", "GET", "/nonsense", "", false},
		{"a form", "POST", "/nonsense", browser, false},
		{"a browser at the API", "GET", "/api/v1/nonsense", browser, false},
		{"a browser under another dialect", "GET", "/theirs/nonsense", browser, false},
	} {
		w := newAdapter(t, nil, pages, theirs).ask(tt.method, tt.path, "", "Accept", tt.accept)
		if got := strings.HasPrefix(w.Body.String(), "<!doctype html>"); got != tt.page || w.Code != http.StatusNotFound {
			t.Errorf("%s: got status %d, %s", tt.name, w.Code, w.Body)
		}
		if !tt.page && problemCode(t, w) != "route_not_found" {
			t.Errorf("%s: got %s", tt.name, w.Body)
		}
	}
	w := newAdapter(t, nil, dialect()).ask("GET", "/nonsense", "", "Accept", browser)
	if got := problemCode(t, w); got != "route_not_found" {
		t.Errorf("without pages: got %s", w.Body)
	}
}

func TestOpenServersAnswerOnlyByLocalNames(t *testing.T) {
	a := newAdapter(t, func(c *httpd.Config) { c.LoopbackOnly = true }, dialect(httpd.Route{Pattern: "GET /healthz", Caller: httpd.Anyone, Handle: whoami}))
	for host, status := range map[string]int{
		"localhost": 200, "localhost:8080": 200, "127.0.0.1:3000": 200, "[::1]:3000": 200, "[::1]": 200, "app.localhost:1": 200, "127.8.9.10": 200,
		"evil.example": 403, "evil.example:8080": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403,
		"10.0.0.1": 403, "0.0.0.0:8080": 403, "evillocalhost": 403, "": 403,
	} {
		r := httptest.NewRequest("GET", "/healthz", nil)
		r.Host = host
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("Host %q: got %d, want %d", host, w.Code, status)
		}
		r = r.WithContext(httpd.WithOrigin(r.Context(), httpd.Origin{Local: true}))
		w = httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Errorf("Host %q over the control socket: got %d, want 200", host, w.Code)
		}
	}
}

func TestCORS(t *testing.T) {
	const app, local, foreign = "https://app.example", "http://localhost:5173", "https://evil.example"
	for _, tt := range []struct {
		name   string
		cors   httpd.CORS
		origin string
		want   string // Access-Control-Allow-Origin
		vary   bool
	}{
		{"no rule", httpd.CORS{}, app, "", false},
		{"any", httpd.CORS{Any: true}, foreign, "*", false},
		{"any, without an origin", httpd.CORS{Any: true}, "", "*", false},
		{"a listed origin", httpd.CORS{Origins: []string{app}}, app, app, true},
		{"an origin that is not listed", httpd.CORS{Origins: []string{app}}, foreign, "", true},
		{"an origin that begins like a listed one", httpd.CORS{Origins: []string{app}}, app + ".evil.example", "", true},
		{"an origin in another scheme", httpd.CORS{Origins: []string{app}}, "http://app.example", "", true},
		{"no origin at all", httpd.CORS{Origins: []string{app}}, "", "", true},
		{"a null origin", httpd.CORS{Origins: []string{app}, Loopback: true}, "null", "", true},
		{"a page of this machine", httpd.CORS{Loopback: true}, local, local, true},
		{"a page that looks like one of this machine", httpd.CORS{Loopback: true}, "http://localhost.evil.example", "", true},
		{"a file", httpd.CORS{Loopback: true}, "file://localhost", "", true},
		{"a fixed answer", httpd.CORS{Static: app}, foreign, app, true},
		{"a fixed answer, and a page of this machine", httpd.CORS{Static: app, Loopback: true}, local, local, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cors.Expose = []string{"X-One", "X-Two"}
			a := newAdapter(t, nil, httpd.Dialect{Name: "test", CORS: tt.cors, Routes: []httpd.Route{
				{Pattern: "GET /a", Caller: httpd.Known, Handle: whoami}, {Pattern: "POST /a", Caller: httpd.Known, Handle: whoami},
			}})
			var header []string
			if tt.origin != "" {
				header = []string{"Origin", tt.origin}
			}
			for _, w := range []*httptest.ResponseRecorder{
				a.ask("GET", "/a", "", append(header, "Authorization", "Bearer user")...),
				a.ask("GET", "/a", "", header...), // a refusal must be readable too
			} {
				h := w.Header()
				if got := h.Get("Access-Control-Allow-Origin"); got != tt.want {
					t.Errorf("%d: got %q, want %q", w.Code, got, tt.want)
				}
				if got := slices.Contains(h.Values("Vary"), "Origin"); got != tt.vary {
					t.Errorf("%d: got Vary %v, want Origin %t", w.Code, h.Values("Vary"), tt.vary)
				}
				if got := h.Get("Access-Control-Expose-Headers"); (got == "X-One, X-Two") != (tt.want != "") {
					t.Errorf("%d: got exposed headers %q", w.Code, got)
				}
				if h.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%d: credentials are allowed", w.Code)
				}
			}
			if w := a.ask("GET", "/a", "", "Authorization", "Bearer user"); w.Code != http.StatusOK {
				t.Errorf("without Origin: got %d, want 200", w.Code)
			}
			if tt.name == "no rule" {
				return
			}
			w := a.ask("OPTIONS", "/a", "", append(header, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,x-y")...)
			h := w.Header()
			if w.Code != http.StatusNoContent || h.Get("Access-Control-Allow-Methods") != "GET, POST" ||
				h.Get("Access-Control-Allow-Headers") != "authorization,x-y" || h.Get("Access-Control-Allow-Origin") != tt.want {
				t.Errorf("preflight: got %d %v", w.Code, h)
			}
		})
	}
}

func TestRoutesThatStopTheStart(t *testing.T) {
	ok := func(http.ResponseWriter, *http.Request) error { return nil }
	for _, tt := range []struct {
		name   string
		routes []httpd.Route
		want   string
	}{
		{"nobody is said to call it", []httpd.Route{{Pattern: "GET /a", Handle: ok}}, "does not say who may call it"},
		{"anyone may, off the list", []httpd.Route{{Pattern: "GET /a", Caller: httpd.Anyone, Handle: ok}}, "without being in the list"},
		{"clients need no scope", []httpd.Route{{Pattern: "GET /a", Caller: httpd.Clients, Handle: ok}}, "a scope belongs to routes for clients"},
		{"operators need a scope", []httpd.Route{{Pattern: "GET /a", Caller: httpd.Operators, Scope: usher.MeetingRead, Handle: ok}}, "a scope belongs to routes for clients"},
		{"a path without a method", []httpd.Route{{Pattern: "/a", Caller: httpd.Known, Handle: ok}}, "needs a method"},
		{"a path that catches all", []httpd.Route{{Pattern: "GET /a/{rest...}", Caller: httpd.Known, Handle: ok}}, "catches only itself"},
		{"two routes of one path", []httpd.Route{{Pattern: "GET /a", Caller: httpd.Known, Handle: ok}, {Pattern: "GET /a", Caller: httpd.Known, Handle: ok}}, "has it already"},
		{"two routes in conflict", []httpd.Route{{Pattern: "GET /a/{x}/b", Caller: httpd.Known, Handle: ok}, {Pattern: "GET /a/c/{y}", Caller: httpd.Known, Handle: ok}}, "conflict"},
	} {
		_, err := httpd.New(httpd.Config{}, dialect(tt.routes...))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

func TestEveryKindHasAStatus(t *testing.T) {
	for kind := usher.Internal; kind <= usher.Unavailable; kind++ {
		if got := httpd.Status(kind); got < 400 || http.StatusText(got) == "" {
			t.Errorf("kind %d: got status %d", kind, got)
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{`{}`, `{"name":"x","n":1}`, `[]`, ` `, `null`, `{"n":"x"}`, `{}{}`, "\xff", `{"o":{"t":1}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v struct {
			Name string
			N    int
			O    struct{ T []bool }
		}
		err := httpd.DecodeJSON(data, &v)
		if err == nil {
			if !json.Valid(data) {
				t.Errorf("%q was accepted", data)
			}
			return
		}
		if e := usher.AsError(err); e.Kind != usher.Invalid {
			t.Errorf("%q: got %v, want an invalid request", data, err)
		}
	})
}
