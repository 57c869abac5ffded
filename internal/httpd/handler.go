package httpd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"usher"
	"usher/internal/identity"
	"usher/internal/limit"
	"usher/internal/store"
)

// Config is what [New] needs.
type Config struct {
	// Identity finds out who is calling.
	Identity identity.Authenticator
	Logger   *slog.Logger
	Metrics  *Metrics
	// RequestIDs makes the ids by which a request is found in the log.
	RequestIDs *usher.IDSource
	// Limits are those that go by address; Limiters, if set, keep them in their
	// place, and can change them later.
	Limits   limit.Config
	Limiters *Limiters
	// Proxies are the networks whose X-Forwarded-For is believed.
	Proxies []netip.Prefix
	// Now is the limits' clock; nil is [time.Now].
	Now func() time.Time
	// LogRequests has a line in the log for every request that is answered.
	LogRequests bool
	// LoopbackOnly refuses requests whose Host header names another machine, so
	// that no page can reach an open server by a name that it controls.
	LoopbackOnly bool
}

// New returns a handler that serves the dialects, or what is wrong with them.
func New(config Config, dialects ...Dialect) (http.Handler, error) {
	if err := check(dialects); err != nil {
		return nil, err
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Limiters == nil {
		config.Limiters = NewLimiters(config.Limits, config.Now)
	}
	mux := http.NewServeMux()
	s := &server{Config: config, mux: mux, dialects: dialects}
	for _, d := range dialects {
		methods := make(map[string][]string) // by path
		for _, r := range d.Routes {
			methods[r.Path()] = append(methods[r.Path()], r.Method())
			if err := register(mux, r.Pattern, s.route(d, r)); err != nil {
				return nil, err
			}
		}
		if !d.CORS.enabled() {
			continue
		}
		for path, allowed := range methods {
			r := Route{Pattern: "OPTIONS " + path, Caller: Anyone, Handle: d.CORS.preflight(allowed)}
			if err := register(mux, r.Pattern, s.route(d, r)); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// register turns the panic of a pattern that conflicts into an error.
func register(mux *http.ServeMux, pattern string, h http.Handler) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("httpd: route %q: %v", pattern, v)
		}
	}()
	mux.Handle(pattern, h)
	return nil
}

type server struct {
	Config
	mux      *http.ServeMux
	dialects []Dialect
}

// owner is the dialect that answers where no route does: the one that the path
// lies under, that of pages for who wants one, or ours.
func (s *server) owner(r *http.Request) Dialect {
	for _, d := range s.dialects {
		for _, prefix := range d.Under {
			if strings.HasPrefix(r.URL.Path, prefix) {
				return d
			}
		}
	}
	for _, d := range s.dialects {
		if d.Pages && WantsPage(r) {
			return d
		}
	}
	return Dialect{Name: "usher"}
}

// WantsPage reports whether somebody looks at an address in a browser, and not
// a program: that names HTML in what it accepts, and is after no part of our API.
func WantsPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		strings.Contains(r.Header.Get("Accept"), "text/html") && !strings.HasPrefix(r.URL.Path, "/api/")
}

// ServeHTTP finds the route. What has none is answered here, so that every
// answer of this server, a 404 too, is one that a program can read.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.LoopbackOnly && !From(r.Context()).Local && !LoopbackHost(r.Host) {
		s.refuse(w, r, usher.Errorf(usher.Forbidden, "host_not_local",
			"This server is in development mode and answers only as localhost, 127.0.0.1 or [::1]."))
		return
	}
	h, pattern := s.mux.Handler(r)
	if pattern == "" {
		s.unrouted(w, r, h)
		return
	}
	// ServeMux redirects paths such as //a to a clean one, which would turn a
	// POST into a GET. No client of ours needs it.
	if _, redirects := h.(*route); !redirects {
		s.unrouted(w, r, nil)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// unrouted answers a request that no pattern matches. The handler that
// ServeMux would use knows whether another method would have matched.
func (s *server) unrouted(w http.ResponseWriter, r *http.Request, fallback http.Handler) {
	if fallback != nil {
		var probe methodProbe
		fallback.ServeHTTP(&probe, r)
		if probe.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", probe.Header().Get("Allow"))
			s.refuse(w, r, usher.Errorf(usher.MethodNotAllowed, "method_not_allowed",
				"This path answers only to %s.", probe.Header().Get("Allow")))
			return
		}
	}
	s.refuse(w, r, usher.Errorf(usher.NotFound, "route_not_found", "Nothing is served at this path."))
}

// methodProbe takes the answer of a handler that is asked only for its status.
type methodProbe struct {
	header http.Header
	status int
}

func (p *methodProbe) Header() http.Header {
	if p.header == nil {
		p.header = make(http.Header)
	}
	return p.header
}
func (p *methodProbe) Write(b []byte) (int, error) { return len(b), nil }
func (p *methodProbe) WriteHeader(status int)      { p.status = status }

func (s *server) refuse(w http.ResponseWriter, r *http.Request, err *usher.Error) {
	refusal := Route{Pattern: "- unrouted", Caller: Anyone, Handle: func(http.ResponseWriter, *http.Request) error { return err }}
	s.route(s.owner(r), refusal).ServeHTTP(w, r)
}

// route is one route with everything around it that all routes share.
type route struct {
	*server
	Route
	dialect Dialect
	fail    func(http.ResponseWriter, *http.Request, *usher.Error)
	maxBody int64
}

func (s *server) route(d Dialect, r Route) *route {
	h := &route{server: s, Route: r, dialect: d, fail: d.Fail, maxBody: d.MaxBody}
	if h.fail == nil {
		h.fail = Problem
	}
	if h.maxBody == 0 {
		h.maxBody = defaultMaxBody
	}
	return h
}

func (h *route) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := string(h.RequestIDs.New())
	var who visitor // with the request's id, for one copy of the request
	r = r.WithContext(context.WithValue(usher.WithRequestID(r.Context(), id), visitorKey{}, &who))
	rec := &recorder{ResponseWriter: w}
	header := rec.Header()
	header.Set("X-Request-ID", id)
	header.Set("X-Content-Type-Options", "nosniff")
	if len(r.TransferEncoding) > 0 {
		// net/http has dropped a Content-Length that stood beside the chunks, by
		// which a proxy may have read where the next request begins: there must
		// be none (RFC 9112, section 6.3).
		header.Set("Connection", "close")
	}
	h.dialect.CORS.answer(header, r)
	if h.dialect.Header != nil {
		h.dialect.Header(header)
	}
	r.Body = http.MaxBytesReader(rec, r.Body, h.maxBody)

	h.finish(rec, r, start, h.serve(rec, r, &who))
}

// serve finds out who calls, runs the handler and contains its panics.
func (h *route) serve(w http.ResponseWriter, r *http.Request, who *visitor) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler {
			panic(v)
		}
		// The value may hold anything, so only the stack is logged.
		h.Logger.Error("a handler panicked", "route", h.Pattern, "request", usher.RequestID(r.Context()), "stack", string(debug.Stack()))
		err = errors.New("panic in handler")
	}()
	if h.Caller == Anyone {
		if !reads(r) {
			if err := h.limitOpen(r); err != nil {
				return err
			}
		}
		return h.Handle(w, r)
	}
	if who.id, err = h.identify(r); err != nil {
		return err
	}
	return h.Handle(w, r)
}

// finish answers an error, logs and counts.
func (h *route) finish(w *recorder, r *http.Request, start time.Time, err error) {
	var failure *usher.Error
	if err != nil {
		failure = asFailure(err)
		if w.status == 0 {
			if failure.RetryAfter > 0 {
				seconds := max(1, int64((failure.RetryAfter+time.Second-1)/time.Second))
				w.Header().Set("Retry-After", fmt.Sprint(seconds))
			}
			h.fail(w, r, failure)
		}
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	took := time.Since(start)
	h.Metrics.observe(h.dialect.Name, h.Pattern, w.status, took)
	h.log(r, w, took, failure)
}

// log writes a line about an answer. It has the route and nothing of what the
// caller has put into it, nor of a query, a header or a body: there may be secrets.
func (h *route) log(r *http.Request, w *recorder, took time.Duration, failure *usher.Error) {
	ctx, level := r.Context(), slog.LevelDebug
	switch {
	case failure != nil && (failure.Kind == usher.Internal || failure.Kind == usher.Upstream) && !store.Away(failure):
		level = slog.LevelError
	case h.LogRequests, failure != nil && h.LoopbackOnly: // whoever develops wants to see what was refused
		level = slog.LevelInfo
	}
	if !h.Logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request", usher.RequestID(ctx)),
		slog.String("route", h.Pattern),
		slog.Int("status", w.status),
		slog.Duration("took", took),
	}
	if failure != nil {
		attrs = append(attrs, slog.String("code", failure.Code))
	}
	if h.LogRequests {
		attrs = append(attrs,
			slog.String("dialect", h.dialect.Name), slog.String("who", Identity(ctx).Key()),
			slog.String("address", h.addressFor(r)), slog.Int64("bytes", w.bytes))
	}
	if level == slog.LevelError {
		attrs = append(attrs, slog.Any("error", failure.Err))
	}
	h.Logger.LogAttrs(ctx, level, "request", attrs...)
}

// addressFor is the caller's address, for the log; it has none over the control
// socket.
func (h *route) addressFor(r *http.Request) string {
	if From(r.Context()).Local {
		return ""
	}
	return Address(r, h.Proxies).String()
}

// asFailure also knows the errors that net/http itself makes.
func asFailure(err error) *usher.Error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return usher.Errorf(usher.TooLarge, "body_too_large", "The request's body is larger than this call accepts.")
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		if _, ok := errors.AsType[*usher.Error](err); !ok {
			return &usher.Error{Kind: usher.Unavailable, Code: "timeout", Message: "The call took too long and was given up; try again.", Err: err}
		}
	}
	return usher.AsError(err)
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64 // of the body that were written
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Hijack hands the connection over to a WebSocket.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}
