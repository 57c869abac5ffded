package meetings_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/compat/meetings"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/platform"
	"usher/internal/policy"
	"usher/internal/store/sqlstore"
)

const (
	meeting         = "mzcmlqfurei65dh2cimd3aag5q"
	address         = "https://crud.pexip.rocks"
	meetingBody     = "{\"id\": \"" + meeting + "\",\n \"status\":\"ready\",\"x\":\"<&>\"}\n"
	participantBody = `{"meeting_id":"` + meeting + `","id":"qnol2zvurei65axj5zspbecjne", "participant_secret":"MMh8"}`
)

// fakePlatform is a VPaaS that answers the same to everyone.
type fakePlatform struct {
	err   error
	rooms []string // what participants were asked for in
	opens int
}

func (p *fakePlatform) Open(context.Context) (platform.Opened, error) {
	p.opens++
	return platform.Opened{Room: meeting, Body: json.RawMessage(meetingBody)}, p.err
}

func (p *fakePlatform) Issue(_ context.Context, req platform.Request) (usher.Credential, error) {
	p.rooms = append(p.rooms, req.Grant.Room)
	return usher.Credential{Platform: "vpaas", Token: "MMh8", Body: json.RawMessage(participantBody)}, p.err
}

// server is the tutorial's back end, and what it writes to its log.
type server struct {
	platform *fakePlatform
	log      bytes.Buffer
	handler  http.Handler
}

func newServer(t *testing.T, who identity.Chain) *server {
	t.Helper()
	s := &server{platform: &fakePlatform{}}
	ids := usher.SystemIDs()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db"), Synchronous: sqlstore.Off})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	a := access.New(access.Config{
		Store: db, Bus: &bus.Local{}, Policy: policy.DefaultConfig(), Record: access.DefaultRecordConfig(), Logger: slog.New(slog.DiscardHandler), IDs: ids, Now: time.Now,
		Platforms: map[string]platform.Platform{"vpaas": s.platform}, Metrics: prometheus.NewRegistry(),
	})
	h, err := httpd.New(httpd.Config{
		Identity: who, Logger: slog.New(slog.NewJSONHandler(&s.log, nil)),
		Metrics: httpd.NewMetrics(prometheus.NewRegistry()), RequestIDs: ids,
	}, meetings.New(meetings.Config{Access: a, APIAddress: func(context.Context) string { return address }}).Dialect())
	if err != nil {
		t.Fatal(err)
	}
	s.handler = h
	return s
}

func (s *server) call(t *testing.T, method, target string, header http.Header, body io.Reader) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, body)
	for k, v := range header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Result()
}

func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var dev = identity.Chain{identity.Dev{}}

// unread fails the test when it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestRoutesAnswerAsTheTutorial(t *testing.T) {
	const html, json = "text/html; charset=utf-8", "application/json; charset=utf-8"
	for _, test := range []struct {
		method, path string
		media, body  string
	}{
		{"GET", "/api-address", html, address},
		{"GET", "/api-address/", html, address},
		{"HEAD", "/api-address", html, ""},
		{"POST", "/meetings", json, meetingBody},
		{"POST", "/meetings/", json, meetingBody},
		{"POST", "/meetings/" + meeting + "/participants", json, participantBody},
		{"POST", "/meetings/" + meeting + "/participants/", json, participantBody},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			s := newServer(t, dev)
			resp := s.call(t, test.method, test.path, http.Header{"Content-Type": {"application/json"}}, unread{t})
			if got := read(t, resp); resp.StatusCode != 200 || got != test.body {
				t.Errorf("got %d %q, want 200 %q", resp.StatusCode, got, test.body)
			}
			if got := resp.Header.Get("Content-Type"); got != test.media {
				t.Errorf("got the media type %q, want %q", got, test.media)
			}
			noStore := strings.Contains(resp.Header.Get("Cache-Control"), "no-store")
			if want := strings.Contains(test.path, "participants"); noStore != want {
				t.Errorf("got Cache-Control %q; must the answer stay out of caches: %t", resp.Header.Get("Cache-Control"), want)
			}
		})
	}
}

func TestTheAddressIsNotSentTwice(t *testing.T) {
	s := newServer(t, dev)
	tag := s.call(t, "GET", "/api-address", nil, nil).Header.Get("ETag")
	if !strings.HasPrefix(tag, `W/"18-`) { // its length, in hexadecimal
		t.Fatalf("got the ETag %q, want a weak one", tag)
	}
	for match, want := range map[string]int{tag: 304, `"other", ` + tag: 304, "*": 304, `W/"other"`: 200} {
		resp := s.call(t, "GET", "/api-address", http.Header{"If-None-Match": {match}}, nil)
		if body := read(t, resp); resp.StatusCode != want || (body == "") != (want == 304) {
			t.Errorf("If-None-Match: %s: got %d %q, want %d", match, resp.StatusCode, body, want)
		}
		if got := resp.Header.Get("ETag"); got != tag {
			t.Errorf("If-None-Match: %s: got the ETag %q, want %q", match, got, tag)
		}
	}
}

func TestFailuresAreAllTheSame(t *testing.T) {
	const canary = "canary of the cause"
	for name, test := range map[string]struct {
		err    error
		logged bool
	}{
		"VPaaS failed":       {usher.Errorf(usher.Upstream, "vpaas_failed", canary), true},
		"VPaaS is busy":      {usher.Errorf(usher.Unavailable, "vpaas_busy", canary), true},
		"our own fault":      {errors.New(canary), true},
		"it took too long":   {context.DeadlineExceeded, true},
		"no such meeting":    {usher.Errorf(usher.NotFound, "meeting_not_found", canary), false},
		"the meeting ended":  {usher.Errorf(usher.Gone, "meeting_ended", canary), false},
		"the caller gave up": {context.Canceled, false},
	} {
		t.Run(name, func(t *testing.T) {
			for path, want := range map[string]string{
				"/meetings":                              "Cannot create the meeting",
				"/meetings/" + meeting + "/participants": "Cannot get participants from the meeting",
			} {
				s := newServer(t, dev)
				s.platform.err = test.err
				resp := s.call(t, "POST", path, nil, nil)
				if got := read(t, resp); resp.StatusCode != 500 || got != want {
					t.Errorf("%s: got %d %q, want 500 %q", path, resp.StatusCode, got, want)
				}
				if got := resp.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
					t.Errorf("%s: got the media type %q", path, got)
				}
				if got := strings.Contains(s.log.String(), test.err.Error()); got != test.logged {
					t.Errorf("%s: is the cause in the log: %t, want %t: %s", path, got, test.logged, &s.log)
				}
			}
		})
	}
}

func TestAMalformedIDNeverReachesThePlatform(t *testing.T) {
	s := newServer(t, dev)
	for _, id := range []string{
		"a", "a%2Fb", "..%2F..", "%2e%2e", "a%3Fx%3D1", "a%23f", "x%2Fparticipants%2Fy%2Fregenerate_secret%3F", "%00", "%0A",
		"%3Cscript%3E", meeting + "%2F", meeting + "a", strings.ToUpper(meeting), strings.Repeat("a", 4000),
	} {
		resp := s.call(t, "POST", "/meetings/"+id+"/participants", nil, nil)
		if got := read(t, resp); resp.StatusCode != 500 || got != "Cannot get participants from the meeting" {
			t.Errorf("%.40s: got %d %q, want 500 and the tutorial's message", id, resp.StatusCode, got)
		}
	}
	if len(s.platform.rooms) > 0 {
		t.Errorf("the platform was asked for %q", s.platform.rooms)
	}
	for _, path := range []string{"/meetings//participants", "/meetings/../participants", "/meetings/a/b/participants"} {
		if resp := s.call(t, "POST", path, nil, nil); resp.StatusCode != 404 {
			t.Errorf("%s: got %d, want 404", path, resp.StatusCode)
		}
	}
}

func TestCallersMustBeKnown(t *testing.T) {
	for name, test := range map[string]struct {
		who    identity.Chain
		header http.Header
	}{
		"nothing presented":                      {identity.Chain{}, nil},
		"a token that nobody knows":              {identity.Chain{}, http.Header{"Authorization": {"Bearer <b>x</b>"}}},
		"a token that nobody knows, development": {dev, http.Header{"Authorization": {"Bearer x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, test.who)
			for _, path := range []string{"/meetings", "/meetings/" + meeting + "/participants"} {
				resp := s.call(t, "POST", path, test.header, nil)
				if got := read(t, resp); resp.StatusCode != 401 || strings.Contains(got, "<") || !strings.Contains(got, "credentials") {
					t.Errorf("%s: got %d %q, want 401 and why", path, resp.StatusCode, got)
				}
				if resp.Header.Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("%s: got the challenge %q", path, resp.Header.Get("WWW-Authenticate"))
				}
			}
			if resp := s.call(t, "GET", "/api-address", test.header, nil); resp.StatusCode != 200 {
				t.Errorf("/api-address: got %d, want 200 for anyone", resp.StatusCode)
			}
			if s.platform.opens+len(s.platform.rooms) > 0 {
				t.Error("the platform was called")
			}
		})
	}
}

func TestClientsNeedTheScope(t *testing.T) {
	client := known{usher.Identity{App: "default", Kind: usher.ClientIdentity, Subject: "c", Scopes: usher.Scopes{usher.MeetingCreate}}}
	s := newServer(t, identity.Chain{client})
	for path, want := range map[string]int{"/meetings": 200, "/meetings/" + meeting + "/participants": 403} {
		if resp := s.call(t, "POST", path, nil, nil); resp.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, resp.StatusCode, want)
		}
	}
}

// known takes everyone for one identity.
type known struct{ id usher.Identity }

func (k known) Authenticate(context.Context, identity.Proof) (usher.Identity, error) {
	return k.id, nil
}

func TestOtherOrigins(t *testing.T) {
	const tutorial = "https://localhost:4000"
	s := newServer(t, dev)
	s.platform.err = errors.New("no") // so that failures are looked at as well
	for origin, want := range map[string]string{
		"":                             tutorial,
		tutorial:                       tutorial,
		"http://localhost:4000":        "http://localhost:4000",
		"http://127.0.0.1:5173":        "http://127.0.0.1:5173",
		"https://[::1]:8443":           "https://[::1]:8443",
		"https://evil.example":         tutorial,
		"https://localhost.example":    tutorial,
		"https://localhost:4000.evil":  tutorial,
		"null":                         tutorial,
		"file://":                      tutorial,
		"https://evil.example#@[::1]/": tutorial,
	} {
		for _, target := range []string{"GET /api-address", "POST /meetings", "POST /meetings/x/participants", "OPTIONS /meetings", "OPTIONS /meetings/x/participants/"} {
			method, path, _ := strings.Cut(target, " ")
			header := http.Header{}
			if origin != "" {
				header.Set("Origin", origin)
			}
			resp := s.call(t, method, path, header, nil)
			if got := resp.Header.Values("Access-Control-Allow-Origin"); !cmp.Equal(got, []string{want}) {
				t.Errorf("%s from %q: allowed %q, want %q", target, origin, got, want)
			}
			if !strings.Contains(strings.Join(resp.Header.Values("Vary"), ","), "Origin") {
				t.Errorf("%s: got Vary %q, want Origin", target, resp.Header.Values("Vary"))
			}
			if resp.Header["Access-Control-Allow-Credentials"] != nil {
				t.Errorf("%s: credentials are allowed", target)
			}
		}
	}
}

func TestPreflight(t *testing.T) {
	s := newServer(t, identity.Chain{})
	for _, path := range []string{"/api-address", "/meetings", "/meetings/", "/meetings/x/participants"} {
		resp := s.call(t, "OPTIONS", path, http.Header{
			"Origin":                         {"https://localhost:4000"},
			"Access-Control-Request-Method":  {"POST"},
			"Access-Control-Request-Headers": {"content-type,traceparent"},
		}, nil)
		if body := read(t, resp); resp.StatusCode != 204 || body != "" {
			t.Errorf("%s: got %d %q, want 204", path, resp.StatusCode, body)
		}
		got := map[string]string{}
		for _, name := range []string{"Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age", "Content-Length", "Vary"} {
			got[name] = strings.Join(resp.Header.Values(name), ", ")
		}
		want := map[string]string{
			"Access-Control-Allow-Methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
			"Access-Control-Allow-Headers": "content-type,traceparent",
			"Access-Control-Max-Age":       "",
			"Content-Length":               "0",
			"Vary":                         "Origin, Access-Control-Request-Headers",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// The headers of helmet 7.1 as the tutorial's server sends them.
func TestEveryAnswerIsProtected(t *testing.T) {
	want := map[string]string{
		"Content-Security-Policy": "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';" +
			"frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';script-src-attr 'none';" +
			"style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
		"Cross-Origin-Opener-Policy":        "same-origin",
		"Cross-Origin-Resource-Policy":      "same-origin",
		"Origin-Agent-Cluster":              "?1",
		"Referrer-Policy":                   "no-referrer",
		"Strict-Transport-Security":         "max-age=15552000; includeSubDomains",
		"X-Content-Type-Options":            "nosniff",
		"X-DNS-Prefetch-Control":            "off",
		"X-Download-Options":                "noopen",
		"X-Frame-Options":                   "SAMEORIGIN",
		"X-Permitted-Cross-Domain-Policies": "none",
		"X-XSS-Protection":                  "0",
		"X-Powered-By":                      "",
	}
	s := newServer(t, dev)
	for _, target := range []string{
		"GET /api-address", "POST /meetings", "POST /meetings/" + meeting + "/participants",
		"POST /meetings/x/participants", "OPTIONS /meetings",
	} {
		method, path, _ := strings.Cut(target, " ")
		resp := s.call(t, method, path, nil, nil)
		got := map[string]string{}
		for name := range want {
			got[name] = strings.Join(resp.Header.Values(name), ", ")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", target, diff)
		}
	}
}
