package httpd

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"usher"
)

// Operations is what serves the people and programs that run this server.
type Operations struct {
	// Ready fails while the server should get no traffic.
	Ready func(ctx context.Context) error
	// Metrics answers in the text format of Prometheus.
	Metrics http.Handler
	// JWKS returns our public keys (RFC 7517).
	JWKS func() []byte
}

// Dialects returns the routes: those for whoever runs the server, which no page
// of another origin may read, and our public keys, which every page may.
func (o Operations) Dialects() []Dialect {
	return []Dialect{
		{Name: "operations", Routes: []Route{
			{Pattern: "GET /healthz", Caller: Anyone, Handle: o.healthy},
			{Pattern: "GET /readyz", Caller: Anyone, Handle: o.ready},
			{Pattern: "GET /metrics", Caller: Operators, Handle: o.metrics},
		}},
		{Name: "keys", CORS: CORS{Any: true}, Routes: []Route{
			{Pattern: "GET /.well-known/jwks.json", Caller: Anyone, Handle: o.jwks},
		}},
	}
}

func (Operations) healthy(w http.ResponseWriter, _ *http.Request) error { return plain(w, "ok\n") }

func (o Operations) ready(w http.ResponseWriter, r *http.Request) error {
	if err := o.Ready(r.Context()); err != nil {
		failure := &usher.Error{Kind: usher.Unavailable, Code: "not_ready", Message: "The server is starting, stopping, or can't reach its store.", Err: err}
		if why, ok := errors.AsType[*usher.Error](err); ok {
			failure.Message = why.Message
		}
		return failure
	}
	return plain(w, "ready\n")
}

func (o Operations) metrics(w http.ResponseWriter, r *http.Request) error {
	o.Metrics.ServeHTTP(w, r)
	return nil
}

func (o Operations) jwks(w http.ResponseWriter, _ *http.Request) error {
	keys := o.JWKS()
	h := w.Header()
	h.Set("Content-Type", "application/jwk-set+json")
	// Short enough that a verifier learns of the next key before it signs.
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Content-Length", strconv.Itoa(len(keys)))
	_, _ = w.Write(keys)
	return nil
}

func plain(w http.ResponseWriter, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text)
	return nil
}
