// Package connections is the management API of the connections of an API Gateway
// WebSocket API, @connections: AWS's SDKs, pointed at it, write to our sockets,
// close them, and ask what they are. Requests are signed with AWS's signature
// version 4, by keys that are ours.
package connections

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"usher"
	"usher/internal/httpd"
	"usher/internal/limit"
	"usher/internal/signaling"
	"usher/internal/sigv4"
)

// Config is what [New] needs.
type Config struct {
	Hub *signaling.Hub
	// Stage is the first part of all paths.
	Stage string
	// Keys are the secret access keys of those who may call, by the ids of their
	// access keys.
	Keys map[string]usher.Secret
	// Rate is how often one key may call.
	Rate limit.Rate
	Now  func() time.Time
}

// Service is the API.
type Service struct {
	hub      *signaling.Hub
	stage    string
	verifier sigv4.Verifier
	calls    *limit.Keyed
}

// New returns the service.
func New(config Config) *Service {
	return &Service{
		hub: config.Hub, stage: config.Stage, calls: limit.New(config.Rate, config.Now),
		verifier: sigv4.Verifier{Service: "execute-api", Secrets: config.Keys, Now: config.Now},
	}
}

// maxMessage is the largest message, as at AWS.
const maxMessage = 128 << 10

// Dialect returns the routes.
func (s *Service) Dialect() httpd.Dialect {
	const path = "/{stage}/@connections/{connection}"
	return httpd.Dialect{
		Name: "connections", Under: []string{"/"}, Fail: fail, Identify: s.identify, MaxBody: maxMessage,
		Routes: []httpd.Route{
			{Pattern: "POST " + path, Caller: httpd.Known, Handle: s.ours(s.post)},
			{Pattern: "GET " + path, Caller: httpd.Known, Handle: s.ours(s.get)},
			{Pattern: "DELETE " + path, Caller: httpd.Known, Handle: s.ours(s.drop)},
		},
	}
}

// What callers are told who can't be known by their signature, by its error.
var unsigned = map[error]*usher.Error{
	sigv4.ErrMissing:    usher.Errorf(usher.Unauthenticated, "signature_missing", "Missing Authentication Token"),
	sigv4.ErrMalformed:  usher.Errorf(usher.Unauthenticated, "signature_incomplete", "The Authorization header must be a signature of version 4 for execute-api, over the host, the date and all headers that begin with X-Amz-."),
	sigv4.ErrUnknownKey: usher.Errorf(usher.Unauthenticated, "key_unknown", "The security token included in the request is invalid."),
	sigv4.ErrExpired:    usher.Errorf(usher.Unauthenticated, "signature_expired", "Signature expired: the clocks are more than 5 minutes apart."),
	sigv4.ErrMismatch:   usher.Errorf(usher.Unauthenticated, "signature_invalid", "The request signature we calculated does not match the signature you provided."),
}

// identify knows a caller by the signature of the request, which is also over the
// body.
func (s *Service) identify(r *http.Request) (usher.Identity, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return usher.Identity{}, err
		}
		return usher.Identity{}, usher.Errorf(usher.Invalid, "body_unreadable", "The request's body ended early.")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	key, err := s.verifier.Verify(r, body)
	if err != nil {
		return usher.Identity{}, unsigned[err]
	}
	return usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: key, Name: key, Proof: "signature version 4"}, nil
}

var errStage = usher.Errorf(usher.Forbidden, "stage_unknown", "Forbidden")

// ours serves what is for our stage, and not too often.
func (s *Service) ours(handle httpd.Handler) httpd.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.PathValue("stage") != s.stage {
			return errStage
		}
		if wait, ok := s.calls.Allow(httpd.Identity(r.Context()).Subject); !ok {
			return limit.Exceeded(wait)
		}
		return handle(w, r)
	}
}

func (s *Service) post(w http.ResponseWriter, r *http.Request) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if err := s.hub.Post(r.Context(), httpd.Identity(r.Context()), r.PathValue("connection"), text); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// connection is the answer to a GET.
type connection struct {
	ConnectedAt  string   `json:"connectedAt"`
	LastActiveAt string   `json:"lastActiveAt"`
	Identity     identity `json:"identity"`
}

type identity struct {
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// instant is how AWS writes times.
const instant = "2006-01-02T15:04:05.000Z"

func (s *Service) get(w http.ResponseWriter, r *http.Request) error {
	c, err := s.hub.Reached(r.Context(), httpd.Identity(r.Context()), r.PathValue("connection"))
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, connection{
		c.ConnectedAt.UTC().Format(instant), c.HeardAt.UTC().Format(instant), identity{c.Address.String(), c.UserAgent},
	})
}

func (s *Service) drop(w http.ResponseWriter, r *http.Request) error {
	if err := s.hub.Dismiss(r.Context(), httpd.Identity(r.Context()), r.PathValue("connection")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// exceptions are the statuses and names that AWS's SDKs know failures by: those of
// signatures by their code, all others by their kind.
var (
	exceptionOf = map[string]string{
		"signature_missing": "MissingAuthenticationTokenException", "signature_incomplete": "IncompleteSignatureException",
		"key_unknown": "UnrecognizedClientException", "signature_expired": "InvalidSignatureException", "signature_invalid": "InvalidSignatureException",
	}
	exceptions = map[usher.Kind]struct {
		status int
		name   string
	}{
		usher.Invalid:          {http.StatusBadRequest, "BadRequestException"},
		usher.Unauthenticated:  {http.StatusForbidden, "UnrecognizedClientException"},
		usher.Forbidden:        {http.StatusForbidden, "ForbiddenException"},
		usher.NotFound:         {http.StatusForbidden, "ForbiddenException"}, // as for every path that AWS does not know
		usher.MethodNotAllowed: {http.StatusForbidden, "ForbiddenException"},
		usher.Gone:             {http.StatusGone, "GoneException"},
		usher.TooLarge:         {http.StatusRequestEntityTooLarge, "PayloadTooLargeException"},
		usher.TooMany:          {http.StatusTooManyRequests, "LimitExceededException"},
		usher.Unavailable:      {http.StatusServiceUnavailable, "ServiceUnavailableException"},
	}
)

// fail answers as AWS does.
func fail(w http.ResponseWriter, _ *http.Request, err *usher.Error) {
	e, known := exceptions[err.Kind]
	if !known {
		e.status, e.name = http.StatusInternalServerError, "InternalServerErrorException"
	}
	if name, ok := exceptionOf[err.Code]; ok {
		e.name = name
	}
	w.Header().Set("X-Amzn-ErrorType", e.name)
	_ = httpd.JSON(w, e.status, map[string]string{"message": err.Message}) // it fails only if the caller is gone
}
