package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"usher"
)

func TestWhoMayReadProfiles(t *testing.T) {
	token := usher.Secret(strings.Repeat("t", 32))
	for name, tt := range map[string]struct {
		token  usher.Secret
		host   string
		header http.Header
		want   int
	}{
		"this machine":                         {"", "127.0.0.1:6060", nil, 200},
		"this machine by name":                 {"", "localhost:6060", nil, 200},
		"a browser that was told to":           {"", "localhost:6060", http.Header{"Sec-Fetch-Site": {"none"}}, 200},
		"another name that leads here":         {"", "rebound.example:6060", nil, 403},
		"a page of somebody else":              {"", "localhost:6060", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		"a page by an old browser":             {"", "localhost:6060", http.Header{"Origin": {"https://evil.example"}}, 403},
		"no token where one is needed":         {token, "127.0.0.1:6060", nil, 401},
		"another token":                        {token, "127.0.0.1:6060", http.Header{"Authorization": {"Bearer " + strings.Repeat("x", 32)}}, 401},
		"a part of the token":                  {token, "127.0.0.1:6060", http.Header{"Authorization": {"Bearer ttt"}}, 401},
		"the token, from elsewhere":            {token, "usher.example:6060", http.Header{"Authorization": {"Bearer " + token.Reveal()}}, 200},
		"the token, without saying that it is": {token, "usher.example:6060", http.Header{"Authorization": {"Basic " + token.Reveal()}}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			for path, found := range map[string]int{"/debug/pprof/": 200, "/debug/pprof/heap?debug=1": 200, "/debug/pprof/cmdline": 404, "/": 404, "/metrics": 404} {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
				r.Host = tt.host
				if tt.header != nil {
					r.Header = tt.header
				}
				w := httptest.NewRecorder()
				debugHandler(tt.token).ServeHTTP(w, r)
				want := tt.want
				if want == 200 {
					want = found
				}
				if w.Code != want {
					t.Errorf("%s: got %d, want %d", path, w.Code, want)
				}
			}
		})
	}
}
