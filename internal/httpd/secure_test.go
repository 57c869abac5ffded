package httpd_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"usher/internal/httpd"
)

func TestCallersAreKeptOnHTTPS(t *testing.T) {
	const (
		served = "served"
		base   = "https://usher.example.com"
	)
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for name, tc := range map[string]struct {
		method, target, from, host string
		header                     http.Header
		encrypted                  bool
		// want is where the caller is sent, "served", or the code of a problem.
		want   string
		strict bool
	}{
		"over TLS":                         {encrypted: true, want: served, strict: true},
		"a change over TLS":                {method: "POST", encrypted: true, want: served, strict: true},
		"a page":                           {target: "/call/a%2Fb?x=1&y=%20", want: base + "/call/a%2Fb?x=1&y=%20"},
		"a page's head":                    {method: "HEAD", target: "/", want: base + "/"},
		"a page by a name that leads here": {target: "/", host: "evil.example", want: base + "/"},
		"a path that looks like a host":    {target: "//evil.example/", want: base + "//evil.example/"},
		"a target without a slash":         {target: "x:.evil.example/", want: base + "/"},
		"a change":                         {method: "POST", want: "https_required"},
		"a deletion":                       {method: "DELETE", want: "https_required"},
		"health":                           {target: "/healthz", want: served},
		"readiness":                        {target: "/readyz", want: served},
		"what is below health":             {target: "/healthz/x", want: base + "/healthz/x"},
		"this machine":                     {method: "POST", from: "127.0.0.1:4000", want: served},
		"this machine over IPv6":           {from: "[::1]:4000", want: served},
		"a stranger who claims to be this machine": {header: http.Header{"X-Forwarded-For": {"127.0.0.1"}}, want: base + "/"},
		"a stranger who claims to be encrypted":    {header: http.Header{"X-Forwarded-Proto": {"https"}}, want: base + "/"},
		"a proxy over TLS":                         {method: "POST", from: "10.1.1.1:1", header: http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"192.0.2.1"}}, want: served, strict: true},
		"a proxy behind another":                   {from: "10.1.1.1:1", header: http.Header{"X-Forwarded-Proto": {"http, HTTPS"}}, want: served, strict: true},
		"a proxy's caller who claims it":           {from: "10.1.1.1:1", header: http.Header{"X-Forwarded-Proto": {"https", "http"}}, want: base + "/"},
		"a proxy without TLS":                      {from: "10.1.1.1:1", header: http.Header{"X-Forwarded-Proto": {"http"}}, want: base + "/"},
		"a proxy that says nothing":                {from: "10.1.1.1:1", want: base + "/"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			if tc.method != "" {
				r.Method = tc.method
			}
			if tc.target != "" {
				u, err := url.ParseRequestURI(tc.target)
				if err != nil {
					t.Fatal(err)
				}
				r.URL = u
			}
			r.RemoteAddr = "192.0.2.9:1234"
			if tc.from != "" {
				r.RemoteAddr = tc.from
			}
			if tc.host != "" {
				r.Host = tc.host
			}
			if tc.header != nil {
				r.Header = tc.header
			}
			if tc.encrypted {
				r.TLS = &tls.ConnectionState{}
			}
			next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, served) })
			w := httptest.NewRecorder()
			httpd.Secure{HSTS: time.Hour, Base: base, Proxies: proxies}.Handler(next).ServeHTTP(w, r)
			got := w.Header().Get("Location")
			switch {
			case got != "" && w.Code != http.StatusPermanentRedirect:
				t.Errorf("status = %d, want 308", w.Code)
			case got == "" && w.Body.String() == served:
				got = served
			case got == "":
				var problem struct{ Code string }
				if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
					t.Fatal(err)
				}
				got = problem.Code
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if got := w.Header().Get("Strict-Transport-Security"); (got == "max-age=3600") != tc.strict || !tc.strict && got != "" {
				t.Errorf("Strict-Transport-Security = %q, want it: %t", got, tc.strict)
			}
		})
	}
}

func TestWithoutTLSOfOurOwnAllAreServed(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(""))
		if encrypted {
			r.TLS = &tls.ConnectionState{}
		}
		w := httptest.NewRecorder()
		httpd.Secure{}.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })).ServeHTTP(w, r)
		if w.Code != http.StatusTeapot || w.Header().Get("Strict-Transport-Security") != "" {
			t.Errorf("encrypted %t: status = %d, header = %v", encrypted, w.Code, w.Header())
		}
	}
}
