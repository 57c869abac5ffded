package httpd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"usher"
)

// vouchedKey is apart from visitorKey: who called one route is not by itself
// who calls another in its course.
type vouchedKey struct{}

// Loopback returns a transport whose calls never leave the process: handler,
// made by [New], serves them for a caller whom nobody has to authenticate. The
// caller travels in the context, where no request from outside can put one.
//
// An answer is whole before it is returned, and connections can't be hijacked.
func Loopback(handler http.Handler, caller usher.Identity, origin Origin) http.RoundTripper {
	return &loopback{handler: handler, caller: caller, origin: origin}
}

type loopback struct {
	handler http.Handler
	caller  usher.Identity
	origin  Origin
}

// RoundTrip implements [http.RoundTripper].
func (l *loopback) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	caller := l.caller
	if outer := Identity(req.Context()); outer.Kind == usher.UserIdentity || outer.Kind == usher.GuestIdentity || outer.Kind == usher.ClientIdentity {
		// What is taken from whoever made us call is taken from what we make.
		caller.For, caller.IssuedAt = outer.Key(), outer.IssuedAt
	}
	ctx := context.WithValue(req.Context(), vouchedKey{}, caller)
	ctx = context.WithValue(ctx, visitorKey{}, &visitor{}) // whoever made us call is not our caller
	in := req.Clone(WithOrigin(ctx, l.origin))
	in.RequestURI = req.URL.RequestURI()
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	var b buffer
	if err := l.serve(&b, in); err != nil {
		return nil, err
	}
	return b.response(req), nil
}

// serve contains the one panic that the adapter lets through.
func (l *loopback) serve(w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			err = errors.New("httpd: loopback: the handler broke off")
		default:
			panic(v)
		}
	}()
	l.handler.ServeHTTP(w, r)
	return nil
}

// buffer holds an answer.
type buffer struct {
	header http.Header
	status int
	sent   http.Header // the header as it was when the status was written
	body   bytes.Buffer
}

func (b *buffer) Header() http.Header {
	if b.header == nil {
		b.header = make(http.Header)
	}
	return b.header
}

func (b *buffer) WriteHeader(status int) {
	if b.status == 0 {
		b.status, b.sent = status, b.Header().Clone()
	}
}

func (b *buffer) Write(p []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	return b.body.Write(p)
}

func (b *buffer) response(req *http.Request) *http.Response {
	b.WriteHeader(http.StatusOK)
	body := b.body.Bytes()
	if req.Method == http.MethodHead || b.status == http.StatusNoContent || b.status == http.StatusNotModified {
		body = nil
	}
	return &http.Response{
		Status:     fmt.Sprintf("%d %s", b.status, http.StatusText(b.status)),
		StatusCode: b.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        b.sent,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}
}
