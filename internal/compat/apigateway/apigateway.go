// Package apigateway speaks to Amazon API Gateway as functions on AWS Lambda do:
// it takes the events that Lambda hands a function, knows by their form what each
// is, has them served as a server's requests and messages are, and answers in the
// form that API Gateway wants.
//
// It knows nothing of how events come or how messages go out: the command does.
package apigateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"usher"
	"usher/internal/signaling"
)

// Config is what [New] needs.
type Config struct {
	// HTTP serves the requests of REST and HTTP APIs, and of function URLs.
	HTTP http.Handler
	// Remote serves the WebSocket API; nil where there is no signaling.
	Remote *signaling.Remote
	// Base is what we call ourselves, such as https://usher.example.com; empty is
	// what each API is called by AWS.
	Base string
	// Endpoint is where messages to connections are posted; empty is the domain
	// and stage of each.
	Endpoint string
	// Refresh is called before each event, and Sweep at each tick of a schedule.
	Refresh, Sweep func(context.Context) error
	// Flush is called after each event, since nothing goes on between two.
	Flush  func(context.Context) error
	Logger *slog.Logger
}

// Service serves events. It is safe for concurrent use.
type Service struct{ config Config }

// New returns the service.
func New(config Config) *Service { return &Service{config: config} }

// form is what an event is.
type form int

const (
	unknown    form = iota
	authorizer      // of a WebSocket API: may they connect
	connect
	message
	disconnect
	restRequest // of a REST API, or an HTTP API with the format 1.0
	httpRequest // of an HTTP API with the format 2.0, or a function URL
	tick        // of an EventBridge schedule
)

// event is what of an event its form shows in, and what the WebSocket's have.
type event struct {
	Type       string `json:"type"`
	MethodARN  string `json:"methodArn"`
	HTTPMethod string `json:"httpMethod"`
	DetailType string `json:"detail-type"`

	Headers    map[string]string   `json:"headers"`
	AllHeaders map[string][]string `json:"multiValueHeaders"`
	Query      map[string]string   `json:"queryStringParameters"`
	Body       string              `json:"body"`
	Base64     bool                `json:"isBase64Encoded"`

	Context struct {
		EventType    string `json:"eventType"`
		ConnectionID string `json:"connectionId"`
		DomainName   string `json:"domainName"`
		Stage        string `json:"stage"`
		MessageID    string `json:"messageId"`
		Identity     struct {
			SourceIP string `json:"sourceIp"`
		} `json:"identity"`
		HTTP *struct {
			Method   string `json:"method"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
		Authorizer map[string]any `json:"authorizer"`
	} `json:"requestContext"`
}

// form recognises an event.
func (e *event) form() form {
	switch c := &e.Context; {
	case e.Type == "REQUEST" && e.MethodARN != "" && c.EventType == "CONNECT":
		return authorizer
	case e.Type != "":
		return unknown // an authorizer of another kind
	case c.ConnectionID != "" && c.EventType == "CONNECT":
		return connect
	case c.ConnectionID != "" && c.EventType == "MESSAGE":
		return message
	case c.ConnectionID != "" && c.EventType == "DISCONNECT":
		return disconnect
	case e.HTTPMethod != "":
		return restRequest
	case c.HTTP != nil && c.HTTP.Method != "":
		return httpRequest
	case e.DetailType == "Scheduled Event":
		return tick
	}
	return unknown
}

// afterwards is what is left of a function's time for writing down what has
// happened, and for the answer.
const afterwards = 500 * time.Millisecond

var errUnknown = errors.New("the event is none of those that Usher serves: a REST, HTTP or WebSocket API's, its authorizer's, a function URL's or a schedule's")

// Invoke serves one event, and returns the answer to it. An error is reported as
// that of the function, which API Gateway answers with 500; the one of a refused
// authorizer, with 401.
func (s *Service) Invoke(ctx context.Context, payload []byte) (answer []byte, err error) {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, errUnknown
	}
	whole := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-afterwards))
		defer cancel()
	}
	defer func() {
		if v := recover(); v != nil {
			// The value may hold anything, so only the stack is logged.
			s.config.Logger.Error("an event's handler panicked", "stack", string(debug.Stack()))
			answer, err = nil, errors.New("panic in handler")
		}
		if flushed := s.config.Flush(whole); flushed != nil {
			s.config.Logger.Error("what happened could not be written down", "error", flushed)
		}
	}()
	if err := s.config.Refresh(ctx); err != nil {
		return nil, s.failed(err)
	}
	return s.serve(ctx, &e, payload)
}

func (s *Service) serve(ctx context.Context, e *event, payload []byte) ([]byte, error) {
	form := e.form()
	if s.config.Remote == nil && form != restRequest && form != httpRequest && form != tick {
		return nil, errUnknown
	}
	switch form {
	case authorizer:
		return s.authorize(ctx, e)
	case connect:
		return s.connect(ctx, e)
	case message:
		return s.message(ctx, e)
	case disconnect:
		return s.disconnect(ctx, e)
	case restRequest, httpRequest:
		return s.request(ctx, e, payload)
	case tick:
		if err := s.config.Sweep(ctx); err != nil {
			return nil, s.failed(err)
		}
		return []byte("null"), nil
	}
	return nil, errUnknown
}

// failed makes of an error what Lambda may report: its sentence, and nothing of
// its cause, which is logged.
func (s *Service) failed(err error) error {
	if err == nil {
		return nil
	}
	failure := usher.AsError(err)
	s.config.Logger.Error("an event could not be served", "code", failure.Code, "error", err)
	return fmt.Errorf("%s: %s", failure.Code, failure.Message)
}

// header returns the values of a header, whose name clients write as they like.
func (e *event) header(name string) []string {
	for key, values := range e.AllHeaders {
		if strings.EqualFold(key, name) {
			return values
		}
	}
	for key, value := range e.Headers {
		if strings.EqualFold(key, name) {
			return []string{value}
		}
	}
	return nil
}

// address returns where a call comes from, by AWS's word.
func (e *event) address() netip.Addr {
	text := e.Context.Identity.SourceIP
	if e.Context.HTTP != nil {
		text = e.Context.HTTP.SourceIP
	}
	address, _ := netip.ParseAddr(text)
	return address
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // structs and maps of text
	}
	return data
}
