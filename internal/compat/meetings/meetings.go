// Package meetings is the back end of Pexip's web tutorial: it tells browsers
// where VPaaS is, and makes meetings and participants there for them.
//
// It answers as that server does, so that the tutorial's front end works
// unmodified, and differs where that server could be used against its owner: a
// meeting's id can't change the path of a call to VPaaS.
package meetings

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"strings"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/httpd"
)

// platform is the name of what the meetings are made on.
const platform = "vpaas"

// tutorialOrigin is where the tutorial serves its front end.
const tutorialOrigin = "https://localhost:4000"

// Config is what [New] needs.
type Config struct {
	Access *access.Access
	// APIAddress returns the base URL of the VPaaS API, as the browser that
	// makes the request reaches it.
	APIAddress func(context.Context) string
}

// Service is the tutorial's back end.
type Service struct {
	config Config
}

// New returns the service.
func New(config Config) *Service { return &Service{config: config} }

// Dialect returns the routes.
func (s *Service) Dialect() httpd.Dialect {
	routes := []httpd.Route{
		{Pattern: "GET /api-address", Caller: httpd.Anyone, Handle: s.apiAddress},
		{Pattern: "POST /meetings", Caller: httpd.Known, Scope: usher.MeetingCreate, Handle: s.createMeeting},
		{Pattern: "POST /meetings/{meeting}/participants", Caller: httpd.Known, Scope: usher.ParticipantCreate, Handle: s.createParticipant},
	}
	for _, r := range routes { // Express takes a final slash for nothing
		r.Pattern += "/{$}"
		routes = append(routes, r)
	}
	return httpd.Dialect{
		Name:   "meetings",
		Routes: routes,
		CORS: httpd.CORS{
			Static: tutorialOrigin, Loopback: true,
			Methods: "GET,HEAD,PUT,PATCH,POST,DELETE",
		},
		Header: protect,
		Fail:   fail,
	}
}

// apiAddress answers with the bare address.
func (s *Service) apiAddress(w http.ResponseWriter, r *http.Request) error {
	address := s.config.APIAddress(r.Context())
	sum := sha256.Sum256([]byte(address))
	h := w.Header()
	h.Set("ETag", fmt.Sprintf(`W/"%x-%s"`, len(address), base64.RawStdEncoding.EncodeToString(sum[:20])))
	h.Set("Content-Type", "text/html; charset=utf-8")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(address))
	return nil
}

func (s *Service) createMeeting(w http.ResponseWriter, r *http.Request) error {
	opened, err := s.config.Access.OpenRoom(r.Context(), httpd.Identity(r.Context()), platform)
	if err != nil {
		return failure("meeting_not_created", "Cannot create the meeting", err)
	}
	answer(w, opened.Body)
	return nil
}

func (s *Service) createParticipant(w http.ResponseWriter, r *http.Request) error {
	const code, message = "participant_not_created", "Cannot get participants from the meeting"
	meeting, err := usher.ParseID(r.PathValue("meeting"))
	if err != nil {
		return &usher.Error{Kind: usher.Invalid, Code: code, Message: message, Err: err}
	}
	c, err := s.config.Access.Issue(r.Context(), httpd.Identity(r.Context()), platform, string(meeting))
	if err != nil {
		return failure(code, message, err)
	}
	httpd.NoStore(w.Header()) // it bears the participant's secret
	answer(w, c.Body)
	return nil
}

// answer passes the platform's own answer on, byte by byte.
func answer(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // it fails only if the caller is gone
}

// failure is what a caller is told of an error: the message of the tutorial's
// server, unless the caller itself is refused. The cause is for the log.
func failure(code, message string, err error) error {
	kind := usher.Upstream
	if e, ok := errors.AsType[*usher.Error](err); ok {
		switch e.Kind {
		case usher.Unauthenticated, usher.Forbidden, usher.TooMany:
			return err
		case usher.NotFound, usher.Gone, usher.Internal:
			kind = e.Kind
		}
	} else if errors.Is(err, context.Canceled) {
		kind = usher.Unavailable // the caller has hung up: nothing for an operator to see
	}
	return &usher.Error{Kind: kind, Code: code, Message: message, Err: err}
}

// fail answers as text/html, which is what Express makes of a text. Whatever
// went wrong behind us is one status.
func fail(w http.ResponseWriter, _ *http.Request, err *usher.Error) {
	status := http.StatusInternalServerError
	switch err.Kind {
	case usher.Unauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
		fallthrough
	case usher.Forbidden, usher.TooMany:
		status = httpd.Status(err.Kind)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, html.EscapeString(err.Message))
}

// protect sets the headers that helmet 7, which the tutorial's server uses,
// sets on every answer.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'self';base-uri 'self';font-src 'self' https: data:;"+
		"form-action 'self';frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';"+
		"script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Origin-Agent-Cluster", "?1")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Strict-Transport-Security", "max-age=15552000; includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-DNS-Prefetch-Control", "off")
	h.Set("X-Download-Options", "noopen")
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("X-Permitted-Cross-Domain-Policies", "none")
	h.Set("X-XSS-Protection", "0")
}
