package httpd_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/httpd"
	"usher/internal/identity"
)

// serve returns a handler for the dialect that knows nobody.
func serve(t *testing.T, d httpd.Dialect) http.Handler {
	t.Helper()
	h, err := httpd.New(httpd.Config{
		Identity: identity.Chain{}, Logger: slog.New(slog.DiscardHandler),
		Metrics: httpd.NewMetrics(prometheus.NewRegistry()), RequestIDs: usher.SystemIDs(),
	}, d)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var itself = usher.Identity{App: "a", Kind: usher.ClientIdentity, Subject: "itself", Scopes: usher.Scopes{usher.MeetingCreate}}

func TestLoopbackCallsAreMadeByItsCaller(t *testing.T) {
	var got usher.Identity
	var from httpd.Origin
	var body string
	handler := serve(t, httpd.Dialect{Name: "test", Routes: []httpd.Route{
		{Pattern: "POST /v1/meetings", Caller: httpd.Clients, Scope: usher.MeetingCreate, Handle: func(w http.ResponseWriter, r *http.Request) error {
			got, from = httpd.Identity(r.Context()), httpd.From(r.Context())
			b, err := io.ReadAll(r.Body)
			body = string(b)
			w.Header().Set("X-Before", "1")
			w.WriteHeader(http.StatusAccepted)
			w.Header().Set("X-After", "1")
			_, _ = io.WriteString(w, "answer")
			return err
		}},
		{Pattern: "GET /v1/meetings", Caller: httpd.Clients, Scope: usher.MeetingRead, Handle: func(http.ResponseWriter, *http.Request) error { return nil }},
		{Pattern: "GET /operators", Caller: httpd.Operators, Handle: func(http.ResponseWriter, *http.Request) error { return nil }},
		{Pattern: "GET /api-address", Caller: httpd.Anyone, Handle: func(_ http.ResponseWriter, r *http.Request) error {
			got = httpd.Identity(r.Context())
			return nil
		}},
		{Pattern: "GET /abort", Caller: httpd.Known, Handle: func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }},
		{Pattern: "GET /nothing", Caller: httpd.Known, Handle: func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}},
	}})
	origin := httpd.Origin{Base: "https://usher.example"}
	client := &http.Client{Transport: httpd.Loopback(handler, itself, origin)}

	// The context of the call is that of a request which others have made.
	ctx := httpd.WithOrigin(t.Context(), httpd.Origin{Base: "https://other.example", Local: true})
	call := func(method, path string, body io.Reader) (*http.Response, string, error) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, method, "http://usher.internal"+path, body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, "", err
		}
		defer resp.Body.Close()
		read, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(read), nil
	}

	resp, text, err := call("POST", "/v1/meetings?a=b", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusAccepted || text != "answer" || body != "{}" {
		t.Errorf("got the status %d and the answer %q to the body %q", resp.StatusCode, text, body)
	}
	if diff := cmp.Diff(itself, got); diff != "" {
		t.Errorf("caller (-want +got):\n%s", diff)
	}
	if from != origin {
		t.Errorf("got the origin %+v, want %+v", from, origin)
	}
	if resp.Header.Get("X-Before") != "1" || resp.Header.Get("X-After") != "" || resp.Header.Get("X-Request-Id") == "" {
		t.Errorf("got the header %v, want it as it was when the status was written", resp.Header)
	}

	for path, want := range map[string]int{"/v1/meetings": 403, "/operators": 403, "/nothing": 204, "/none": 404} {
		if resp, _, err := call("GET", path, nil); err != nil || resp.StatusCode != want {
			t.Errorf("GET %s: got %v and %v, want %d", path, resp, err, want)
		}
	}
	if _, _, err := call("GET", "/abort", nil); err == nil {
		t.Error("a handler that broke off: got no error")
	}
	if _, _, err := call("GET", "/api-address", nil); err != nil || got.Known() {
		t.Errorf("a route for anyone: got the caller %+v and %v, want nobody", got, err)
	}

	var cancel context.CancelFunc
	ctx, cancel = context.WithCancel(ctx)
	cancel()
	got = usher.Identity{}
	if _, _, err := call("POST", "/v1/meetings", nil); !errors.Is(err, context.Canceled) || got.Known() {
		t.Errorf("a call that was given up: got %v, want that it is not made", err)
	}
}

// One route's caller is nobody in a call that the route makes, and a request
// from outside is never taken for one from inside.
func TestLoopbackIsNoWayInFromOutside(t *testing.T) {
	var inner http.RoundTripper
	var statuses []int
	handler := serve(t, httpd.Dialect{Name: "test", Routes: []httpd.Route{
		{Pattern: "GET /api-address", Caller: httpd.Anyone, Handle: func(w http.ResponseWriter, r *http.Request) error {
			req, err := http.NewRequestWithContext(r.Context(), "GET", "http://usher.internal/v1/meetings", nil)
			if err != nil {
				return err
			}
			resp, err := inner.RoundTrip(req)
			if err != nil {
				return err
			}
			statuses = append(statuses, resp.StatusCode)
			return resp.Body.Close()
		}},
		{Pattern: "GET /v1/meetings", Caller: httpd.Known, Handle: func(http.ResponseWriter, *http.Request) error { return nil }},
	}})
	inner = httpd.Loopback(handler, itself, httpd.Origin{})
	server := httptest.NewServer(handler)
	defer server.Close()
	for path, want := range map[string]int{"/api-address": 200, "/v1/meetings": 401} {
		resp, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s from outside: got %d, want %d", path, resp.StatusCode, want)
		}
	}
	if diff := cmp.Diff([]int{200}, statuses); diff != "" {
		t.Errorf("calls from inside (-want +got):\n%s", diff)
	}
}
