package main

import (
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"usher"
	"usher/internal/httpd"
)

const (
	// profiles is the path below which they are.
	profiles = "/debug/pprof/"
	// profileTime is how long the longest profile may take.
	profileTime = 5 * time.Minute
)

// debugHandler serves profiles of this process: with a token to whoever sends it,
// and without to programs on this machine.
func debugHandler(token usher.Secret) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+profiles, pprof.Index)
	mux.HandleFunc("GET "+profiles+"profile", pprof.Profile)
	mux.HandleFunc("GET "+profiles+"trace", pprof.Trace)
	mux.HandleFunc("GET "+profiles+"symbol", pprof.Symbol)
	mux.HandleFunc("POST "+profiles+"symbol", pprof.Symbol)
	digest := token.Digest()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case token != "" && !digest.Matches(usher.Secret(sent)):
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "Send the token of server.debugToken.", http.StatusUnauthorized)
		case token == "" && (!httpd.LoopbackHost(r.Host) || fromPage(r.Header)):
			// A name that leads here by somebody else's doing, or a page of theirs.
			http.Error(w, "Only programs on this machine may read profiles.", http.StatusForbidden)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// fromPage reports whether a browser says that a page of another origin made it
// call.
func fromPage(h http.Header) bool {
	site := h.Get("Sec-Fetch-Site")
	return h.Get("Origin") != "" || site != "" && site != "none" && site != "same-origin"
}
