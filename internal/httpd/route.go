// Package httpd serves HTTP for every dialect of Usher in one way: routes are
// data, handlers return errors, and one adapter authenticates, limits, logs,
// counts and answers.
package httpd

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"usher"
)

// Handler answers a request, or returns why it can't. It must not have written
// anything when it returns an error.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Caller is who may call a route.
type Caller int

// The callers. A route that names none stops the start.
const (
	unsaid Caller = iota
	// Anyone may call: only the routes of the closed list in anyone.go.
	Anyone
	// Known is any known identity; a client needs the route's scope.
	Known
	// Clients are registered back ends with the route's scope, and nobody else.
	Clients
	// Operators may see and end everything.
	Operators
)

// Route is one pattern of one dialect.
type Route struct {
	// Pattern is a method and a path, as [http.ServeMux] takes them.
	Pattern string
	Caller  Caller
	// Scope is what a client must have been granted.
	Scope  usher.Scope
	Handle Handler
}

// Method returns the route's HTTP method.
func (r Route) Method() string {
	method, _, _ := strings.Cut(r.Pattern, " ")
	return method
}

// Path returns the route's path pattern.
func (r Route) Path() string {
	_, path, _ := strings.Cut(r.Pattern, " ")
	return path
}

// Dialect is a set of routes that answer in one manner: one shape of error,
// one rule for other origins.
type Dialect struct {
	Name   string
	Routes []Route
	CORS   CORS
	// Header, if set, adds to every answer of the dialect.
	Header func(http.Header)
	// Fail answers an error in the dialect's own shape. Nil is [Problem].
	Fail func(w http.ResponseWriter, r *http.Request, err *usher.Error)
	// Under are the beginnings of paths on which also what has no route is
	// answered in the dialect's manner.
	Under []string
	// Pages says that a browser which asks for a page where nothing is served is
	// answered in the dialect's manner: see [WantsPage].
	Pages bool
	// Access is by what the callers of routes for known callers may be known;
	// empty is [ByIdentity].
	Access Access
	// PublicRole is the role of those who are served without being known.
	PublicRole usher.Role
	// Identify finds out who calls in the dialect's own way; nil is by [ProofOf].
	// It may read the body, if it puts it back.
	Identify func(*http.Request) (usher.Identity, error)
	// BareToken takes an Authorization header that is a token alone, without
	// Bearer, for one with it.
	BareToken bool
	// BearerColon also takes "Authorization: Bearer: TOKEN", as some old clients
	// write it.
	BearerColon bool
	// MaxBody is the most that a request's body may have, in bytes; 0 is 64 KiB.
	MaxBody int64
}

// Access is by what the callers of a dialect may be known, so that an old
// client that sends no credentials can still be served, knowingly.
type Access string

// The ways of access.
const (
	// ByIdentity takes credentials: a token, a key.
	ByIdentity Access = "identity"
	// BySession also takes the app's own session, by forward authentication.
	BySession Access = "session"
	// ToPublic also serves whoever presents nothing, with the lowest role.
	ToPublic Access = "public"
)

const defaultMaxBody = 64 << 10

// check returns what is wrong with the dialects, so that a mistake stops the start.
func check(dialects []Dialect) error {
	var errs []error
	owner := make(map[string]string)
	for _, d := range dialects {
		for _, r := range d.Routes {
			where := fmt.Sprintf("httpd: dialect %s, route %q", d.Name, r.Pattern)
			if r.Caller == unsaid {
				errs = append(errs, fmt.Errorf("%s: does not say who may call it", where))
			}
			if r.Caller == Anyone && !slices.Contains(anyone, r.Pattern) {
				errs = append(errs, fmt.Errorf("%s: is open to anyone without being in the list of such routes", where))
			}
			if (r.Caller == Clients) != (r.Scope != "") && r.Caller != Known {
				errs = append(errs, fmt.Errorf("%s: a scope belongs to routes for clients, and they need one", where))
			}
			if r.Method() == "" || !strings.HasPrefix(r.Path(), "/") || strings.HasSuffix(r.Path(), "...}") {
				errs = append(errs, fmt.Errorf("%s: needs a method and a path that catches only itself", where))
			}
			if other, taken := owner[r.Pattern]; taken {
				errs = append(errs, fmt.Errorf("%s: dialect %s has it already", where, other))
			}
			owner[r.Pattern] = d.Name
		}
	}
	return errors.Join(errs...)
}
