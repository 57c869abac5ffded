// Package client is the Go client of Usher's native API, and the wire types
// that it shares with the server.
//
// It reaches a server by whatever a [http.RoundTripper] reaches: the network, a
// unix socket, or a handler in the same process. A refusal is an [*Error].
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usher"
)

// maxAnswer bounds what is read of an answer, in bytes; a page of 200 rooms
// stays far below.
const maxAnswer = 8 << 20

// Options says how to reach a server. Its zero value is for one that needs no
// token, over the network.
type Options struct {
	// Token is sent as a bearer token if it is not empty.
	Token usher.Secret
	// Transport carries the requests; nil is [http.DefaultTransport].
	Transport http.RoundTripper
}

// API calls the native API of one server. It is safe for concurrent use.
type API struct {
	base  *url.URL
	token usher.Secret
	http  *http.Client
}

// New returns an API for the server at that URL, such as https://usher.example.
func New(baseURL string, options Options) (*API, error) {
	base, err := url.Parse(baseURL)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("client: the server's address must be like https://usher.example, without user, query or fragment")
	}
	return &API{
		base:  base.JoinPath("api", "v1"),
		token: options.Token,
		http: &http.Client{
			Transport: options.Transport,
			// The API never redirects; who does is not the API, and must not
			// be sent a body with a secret.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Error is a refusal by the server.
type Error struct {
	Problem
	// RetryAfter is when to try again, where that can help.
	RetryAfter time.Duration
}

// Error returns the code, the sentence for people, what is wrong with single
// fields, and by which id an operator can explain the refusal.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Code, e.Detail)
	for _, f := range e.Fields {
		fmt.Fprintf(&b, " (%s)", f)
	}
	if e.Decision != "" {
		fmt.Fprintf(&b, " (decision %s)", e.Decision)
	}
	return b.String()
}

// Option adds to one call.
type Option func(http.Header)

// IdempotencyKey lets a create be sent again without making a second thing.
func IdempotencyKey(key string) Option {
	return func(h http.Header) { h.Set("Idempotency-Key", key) }
}

// IfVersion makes a change only if the room still has that version, and fails
// with the code room_changed if it has not.
func IfVersion(version int64) Option {
	return func(h http.Header) { h.Set("If-Match", strconv.Quote(strconv.FormatInt(version, 10))) }
}

// ActFor makes a call of a back end in the name of a subject,
// user:ISSUER#SUBJECT. It needs the scope [usher.SubjectAct].
func ActFor(subject string) Option {
	return func(h http.Header) { h.Set("Usher-Act-As", subject) }
}

// call is one request. Its path is escaped.
type call struct {
	method  string
	path    []string
	query   url.Values
	body    any
	options []Option
}

// do sends a call and decodes its answer into the result; nil expects none.
func (a *API) do(ctx context.Context, c call, result any) error {
	req, err := a.request(ctx, c)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // what matters of it was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("client: read the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return fmt.Errorf("client: the answer has more than %d bytes", maxAnswer)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return refusal(resp, body)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(body, result); err != nil {
		return fmt.Errorf("client: the answer can't be understood; is this an Usher? %w", err)
	}
	return nil
}

func (a *API) request(ctx context.Context, c call) (*http.Request, error) {
	target := *a.base
	for _, segment := range c.path {
		target.RawPath = target.EscapedPath() + "/" + escapeSegment(segment)
		target.Path += "/" + segment
	}
	target.RawQuery = c.query.Encode()
	var body io.Reader
	if c.body != nil {
		data, err := json.Marshal(c.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, target.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if c.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token.Reveal())
	}
	for _, set := range c.options {
		set(req.Header)
	}
	return req, nil
}

// escapeSegment escapes a path segment so that no proxy on the way takes a
// name of dots for a step up.
func escapeSegment(segment string) string {
	if strings.Trim(segment, ".") == "" {
		return strings.ReplaceAll(segment, ".", "%2E")
	}
	return url.PathEscape(segment)
}

// refusal reads the problem that an answer bears. What stands between us and
// the server answers in its own form, of which only the status is kept.
func refusal(resp *http.Response, body []byte) error {
	e := &Error{Problem: Problem{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode)}}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media != "application/problem+json" || json.Unmarshal(body, &e.Problem) != nil || e.Code == "" {
		e.Code = "http_" + strconv.Itoa(resp.StatusCode)
		e.Detail = "The answer was " + resp.Status + ", not in the form of an Usher."
	}
	e.Status = resp.StatusCode
	if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}
