package httpd

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// CORS says which pages of other origins may read a dialect's answers.
type CORS struct {
	// Any answers "*", without credentials: for dialects whose callers send a
	// token or key that a page can't have by accident.
	Any bool
	// Origins are allowed exactly, and answered with Vary: Origin.
	Origins []string
	// Credentials also lets pages of Origins, and of no other, send the user's
	// cookies along: for a dialect that knows its callers by a session.
	Credentials bool
	// Loopback also allows every origin of this machine, for open dialects.
	Loopback bool
	// Static, if set, is answered where no rule above allows the origin, as
	// servers with one fixed origin do.
	Static string
	// Methods, if set, is answered to every preflight instead of the path's own
	// methods, and no time to remember it: as Express's cors middleware does.
	Methods string
	// Expose names answer headers that a page may read.
	Expose []string
}

// enabled reports whether the dialect serves other origins at all.
func (c CORS) enabled() bool { return c.Any || c.Loopback || c.Static != "" || len(c.Origins) > 0 }

// allowed returns the value of Access-Control-Allow-Origin, or "".
func (c CORS) allowed(origin string) string {
	switch {
	case c.Any:
		return "*"
	case origin != "" && (slices.Contains(c.Origins, origin) || c.Loopback && loopbackOrigin(origin)):
		return origin
	default:
		return c.Static
	}
}

// answer sets the headers of every answer.
func (c CORS) answer(h http.Header, r *http.Request) {
	if !c.enabled() {
		return
	}
	if !c.Any {
		h.Add("Vary", "Origin")
	}
	allowed := c.allowed(r.Header.Get("Origin"))
	if allowed == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", allowed)
	if c.Credentials && slices.Contains(c.Origins, allowed) {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if len(c.Expose) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(c.Expose, ", "))
	}
}

// preflight answers an OPTIONS request for a path with those methods.
func (c CORS) preflight(methods []string) Handler {
	allow := strings.Join(methods, ", ")
	if c.Methods != "" {
		allow = c.Methods
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		h.Add("Vary", "Access-Control-Request-Headers")
		h.Set("Access-Control-Allow-Methods", allow)
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			h.Set("Access-Control-Allow-Headers", asked)
		}
		if c.Methods == "" {
			h.Set("Access-Control-Max-Age", "600")
		}
		h.Set("Content-Length", "0")
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// loopbackOrigin reports whether a page of that origin came from this machine.
func loopbackOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && LoopbackHost(u.Host)
}

// LoopbackHost reports whether a host, with or without a port, can only mean
// this machine: localhost, a name below it, or a loopback address.
func LoopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
