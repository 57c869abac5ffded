package usher

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of failure an [Error] is; each transport has one table
// from kinds to its own statuses.
type Kind int

// The kinds of failure, and the HTTP status that each has in the native API.
const (
	Internal           Kind = iota // 500: our fault; nothing of it is told
	Invalid                        // 400: the request can't be understood or is not allowed as it stands
	Unauthenticated                // 401: who is calling is not known
	Forbidden                      // 403: who is calling is known and may not
	NotFound                       // 404: no such thing, or none that this caller may know of
	MethodNotAllowed               // 405
	Conflict                       // 409: what is true now does not allow it
	Gone                           // 410: it was there and is over for good
	PreconditionFailed             // 412: it changed since the caller read it
	TooLarge                       // 413
	UnsupportedMedia               // 415
	TooMany                        // 429: see RetryAfter
	Upstream                       // 502: a platform that we depend on failed
	Unavailable                    // 503: full, starting or stopping; trying again can help
	Unsupported                    // 501: this deployment has no such thing, and never will
)

// Error is a failure at the edge of the domain: what kind it is, a code that
// programs may rely on, and a sentence that a person can act on.
type Error struct {
	Kind Kind
	// Code is stable, lower-case, with underscores: "room_full".
	Code string
	// Message is a whole sentence for the caller. It never carries a secret.
	Message string
	// Fields names what is wrong with single fields of the request.
	Fields []FieldProblem
	// Decision is the id of the refusal in the record, by which an operator can
	// explain it.
	Decision ID
	// RetryAfter is when to try again, where that can help.
	RetryAfter time.Duration
	// Err is the cause, for the log only.
	Err error
}

// FieldProblem is one mistake in one field of a request or a configuration.
type FieldProblem struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (p FieldProblem) String() string { return p.Field + ": " + p.Message }

// Errorf makes an [Error] whose message is formatted.
func Errorf(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error returns the message and the cause.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Code + ": " + e.Message + ": " + e.Err.Error()
	}
	return e.Code + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors with the same code equal to [errors.Is], whatever their message.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Kind == e.Kind
}

// AsError returns the [Error] that err wraps, or an internal one that keeps
// err as its cause and tells a caller nothing.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{
		Kind: Internal, Code: "internal",
		Message: "Something went wrong on our side; the request id helps an operator to find out what.",
		Err:     err,
	}
}
