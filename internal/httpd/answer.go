package httpd

import (
	"encoding/json"
	"net/http"

	"usher"
)

// status is the one table from kinds of failure to HTTP statuses.
var status = map[usher.Kind]int{
	usher.Internal:           http.StatusInternalServerError,
	usher.Invalid:            http.StatusBadRequest,
	usher.Unauthenticated:    http.StatusUnauthorized,
	usher.Forbidden:          http.StatusForbidden,
	usher.NotFound:           http.StatusNotFound,
	usher.MethodNotAllowed:   http.StatusMethodNotAllowed,
	usher.Conflict:           http.StatusConflict,
	usher.Gone:               http.StatusGone,
	usher.PreconditionFailed: http.StatusPreconditionFailed,
	usher.TooLarge:           http.StatusRequestEntityTooLarge,
	usher.UnsupportedMedia:   http.StatusUnsupportedMediaType,
	usher.TooMany:            http.StatusTooManyRequests,
	usher.Upstream:           http.StatusBadGateway,
	usher.Unavailable:        http.StatusServiceUnavailable,
	usher.Unsupported:        http.StatusNotImplemented,
}

// Status returns the HTTP status of a kind of failure in the native API.
func Status(kind usher.Kind) int { return status[kind] }

// problem is a failure as RFC 9457 writes it, with our own members.
type problem struct {
	Type      string               `json:"type"`
	Title     string               `json:"title"`
	Status    int                  `json:"status"`
	Code      string               `json:"code"`
	Detail    string               `json:"detail"`
	RequestID string               `json:"request_id"`
	Decision  usher.ID             `json:"decision,omitempty"`
	Fields    []usher.FieldProblem `json:"fields,omitempty"`
}

// Problem answers a failure as application/problem+json (RFC 9457), the shape
// of the native API.
func Problem(w http.ResponseWriter, r *http.Request, err *usher.Error) {
	code := Status(err.Kind)
	h := w.Header()
	if code == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	NoStore(h)
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(code)
	writeJSON(w, problem{
		Type: "about:blank", Title: http.StatusText(code), Status: code,
		Code: err.Code, Detail: err.Message, RequestID: usher.RequestID(r.Context()), Decision: err.Decision, Fields: err.Fields,
	})
}

// JSON answers with a value.
func JSON(w http.ResponseWriter, code int, value any) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	writeJSON(w, value)
	return nil
}

// writeJSON writes a value whose header has been sent: an error can only be
// that the caller is gone.
func writeJSON(w http.ResponseWriter, value any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(value)
}

// NoStore keeps an answer that bears a credential out of every cache.
func NoStore(h http.Header) {
	h.Set("Cache-Control", "no-store, no-cache, must-revalidate, private")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "0")
}
