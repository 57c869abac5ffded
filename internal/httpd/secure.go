package httpd

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"usher"
)

// Secure keeps callers on HTTPS.
type Secure struct {
	// HSTS is for how long browsers are told to use nothing else; 0 is not at all.
	HSTS time.Duration
	// Base is where those are sent who come without TLS: https, with no slash at
	// the end. If it is empty they are served.
	Base string
	// Proxies are the networks whose X-Forwarded-Proto and -For are believed.
	Proxies []netip.Prefix
}

var errPlain = usher.Errorf(usher.Forbidden, "https_required",
	"This server is called over HTTPS. What was sent could be read on its way: exchange the credentials that were in it.")

// Handler returns next for callers over HTTPS. Without TLS only those are
// served who ask how the server is, and programs on this machine. Of others,
// who read are sent to Base, and who change something are refused: to repeat it
// for them would hide that they sent it, with their credentials, in the open.
func (s Secure) Handler(next http.Handler) http.Handler {
	strict := fmt.Sprintf("max-age=%d", int64(s.HSTS/time.Second))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.encrypted(r):
			if s.HSTS > 0 {
				w.Header().Set("Strict-Transport-Security", strict)
			}
			next.ServeHTTP(w, r)
		case s.Base == "" || r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || Address(r, s.Proxies).IsLoopback():
			next.ServeHTTP(w, r)
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			http.Redirect(w, r, s.Base+target(r), http.StatusPermanentRedirect)
		default:
			Problem(w, r, errPlain)
		}
	})
}

// encrypted reports whether a request came over TLS, to us or to a proxy that
// is trusted. Of several values the last is that of the proxy next to us.
func (s Secure) encrypted(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !contains(s.Proxies, from.Addr()) {
		return false
	}
	said := strings.Join(r.Header.Values("X-Forwarded-Proto"), ",")
	return strings.EqualFold(strings.TrimSpace(said[strings.LastIndexByte(said, ',')+1:]), "https")
}

// target is the path and query of a request, and nothing that could be taken
// for another host.
func target(r *http.Request) string {
	path := r.URL.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		path = "/"
	}
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	return path
}
