package apigateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"usher"
	"usher/internal/httpd"
)

// restEvent is the rest of a request in the format 1.0.
type restEvent struct {
	Path  string              `json:"path"`
	Query map[string]string   `json:"queryStringParameters"`
	All   map[string][]string `json:"multiValueQueryStringParameters"`
}

// httpEvent is the rest of a request in the format 2.0.
type httpEvent struct {
	Path    string   `json:"rawPath"`
	Query   string   `json:"rawQueryString"`
	Cookies []string `json:"cookies"`
}

// request has a request served as a server would.
func (s *Service) request(ctx context.Context, e *event, payload []byte) ([]byte, error) {
	var r *http.Request
	var err error
	if e.form() == restRequest {
		r, err = e.rest(payload)
	} else {
		r, err = e.http(payload)
	}
	if err != nil {
		return nil, errUnknown
	}
	r.Host = e.Context.DomainName
	if address := e.address(); address.IsValid() {
		r.RemoteAddr = netip.AddrPortFrom(address, 0).String()
	}
	r = r.WithContext(httpd.WithOrigin(ctx, httpd.Origin{Base: s.base(e)}))
	w := &answer{header: make(http.Header)}
	s.config.HTTP.ServeHTTP(w, r)
	if s.config.Remote != nil {
		if err := s.config.Remote.TellContacts(ctx); err != nil {
			s.config.Logger.Error("people were not told whom others list now", "error", err)
		}
	}
	return w.encode(e.form()), nil
}

// base is what we call ourselves where a request came in. It is AWS's word, and
// not the client's.
func (s *Service) base(e *event) string {
	switch {
	case s.config.Base != "":
		return s.config.Base
	case e.Context.Stage == "" || e.Context.Stage == defaultStage:
		return "https://" + e.Context.DomainName
	default:
		return "https://" + e.Context.DomainName + "/" + e.Context.Stage
	}
}

// defaultStage is the one that is no part of a path.
const defaultStage = "$default"

// body returns the body of a request.
func (e *event) body() (io.ReadCloser, int64, error) {
	data := []byte(e.Body)
	if e.Base64 {
		var err error
		if data, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, 0, err
		}
	}
	if len(data) == 0 {
		return http.NoBody, 0, nil
	}
	return io.NopCloser(bytes.NewReader(data)), int64(len(data)), nil
}

// newRequest makes a request of its parts.
func (e *event) newRequest(method, path, query string, header http.Header) (*http.Request, error) {
	body, length, err := e.body()
	if err != nil {
		return nil, err
	}
	u, err := url.ParseRequestURI(path)
	if err != nil || !strings.HasPrefix(path, "/") || u.RawQuery != "" {
		u = &url.URL{Path: "/" + strings.TrimPrefix(path, "/")} // AWS has decoded it
	}
	u.RawQuery = query
	return &http.Request{
		Method: method, URL: u, RequestURI: u.RequestURI(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: body, ContentLength: length,
	}, nil
}

func (e *event) rest(payload []byte) (*http.Request, error) {
	var rest restEvent
	if err := json.Unmarshal(payload, &rest); err != nil {
		return nil, err
	}
	query := url.Values(rest.All)
	if query == nil {
		query = make(url.Values)
		for name, value := range rest.Query {
			query.Set(name, value)
		}
	}
	header := make(http.Header)
	for name, values := range e.AllHeaders {
		for _, value := range values {
			header.Add(name, value)
		}
	}
	if len(e.AllHeaders) == 0 {
		for name, value := range e.Headers {
			header.Set(name, value)
		}
	}
	return e.newRequest(e.HTTPMethod, rest.Path, query.Encode(), header)
}

func (e *event) http(payload []byte) (*http.Request, error) {
	var rest httpEvent
	if err := json.Unmarshal(payload, &rest); err != nil {
		return nil, err
	}
	header := make(http.Header)
	for name, value := range e.Headers {
		header.Set(name, value)
	}
	if len(rest.Cookies) > 0 {
		header.Set("Cookie", strings.Join(rest.Cookies, "; "))
	}
	path := rest.Path
	if stage := e.Context.Stage; stage != "" && stage != defaultStage {
		if under, in := strings.CutPrefix(path, "/"+stage); in && (under == "" || under[0] == '/') {
			path = "/" + strings.TrimPrefix(under, "/")
		}
	}
	return e.newRequest(e.Context.HTTP.Method, path, rest.Query, header)
}

// answer is what a handler answers.
type answer struct {
	header http.Header
	status int
	sent   http.Header // as it was when the status was written
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (w *answer) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *answer) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.sent = status, w.header.Clone()
	}
}

// Write implements [http.ResponseWriter].
func (w *answer) Write(data []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(data)
}

// answered is an answer in both formats: the first has AllHeaders, the second
// Headers and Cookies.
type answered struct {
	Status     int                 `json:"statusCode"`
	AllHeaders map[string][]string `json:"multiValueHeaders,omitempty"`
	Headers    map[string]string   `json:"headers,omitempty"`
	Cookies    []string            `json:"cookies,omitempty"`
	Body       string              `json:"body"`
	Base64     bool                `json:"isBase64Encoded"`
}

func (w *answer) encode(form form) []byte {
	w.WriteHeader(http.StatusOK)
	a := answered{Status: w.status, Body: w.body.String()}
	if a.Base64 = !utf8.ValidString(a.Body); a.Base64 {
		a.Body = base64.StdEncoding.EncodeToString(w.body.Bytes())
	}
	if form == restRequest {
		a.AllHeaders = w.sent
		return encode(a)
	}
	header := maps.Clone(w.sent)
	a.Cookies = header["Set-Cookie"]
	delete(header, "Set-Cookie")
	a.Headers = make(map[string]string, len(header))
	for name, values := range header {
		a.Headers[name] = strings.Join(values, ",")
	}
	return encode(a)
}

// Unserved is a dialect whose every route is refused, to whoever might call it:
// what it serves needs a process that lives on between two calls.
func Unserved(d httpd.Dialect) httpd.Dialect {
	d.Routes = slices.Clone(d.Routes)
	for i := range d.Routes {
		d.Routes[i].Handle = func(http.ResponseWriter, *http.Request) error { return errUnserved }
	}
	return d
}

var errUnserved = usher.Errorf(usher.Unsupported, "not_on_lambda",
	"This needs a server that lives on between two calls, which a function on AWS Lambda does not: run usher serve for it, on the same tables if you like. The socket is that of API Gateway's WebSocket API.")
