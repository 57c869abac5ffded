package videochat_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/compat/videochat"
	"usher/internal/contact"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/keys"
	"usher/internal/limit"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store/sqlstore"
)

const (
	issuer = "https://cognito-idp.example/pool"
	other  = "https://other.example"
)

// tokens knows the callers: a token is the issuer's number, the name, and
// whether the address is verified.
type tokens struct{}

func (tokens) Authenticate(_ context.Context, p identity.Proof) (usher.Identity, error) {
	switch token := p.Bearer.Reveal(); token {
	case "expired":
		return usher.Identity{}, errors.Join(identity.ErrTokenExpired, errors.New("exp has passed"))
	case "forged":
		return usher.Identity{}, identity.ErrTokenSignature
	case "down":
		return usher.Identity{}, identity.ErrIssuerUnavailable
	case "backend":
		return usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "shop", Scopes: usher.AllScopes}, nil
	case "":
		return usher.Identity{}, identity.ErrNotMine
	default:
		kind, name, ok := strings.Cut(token, "-")
		if !ok {
			return usher.Identity{}, identity.ErrNotMine
		}
		id := usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: issuer, Subject: name, Name: strings.ToUpper(name), IssuedAt: time.Now()}
		if kind == "other" {
			id.Issuer = other
		}
		if kind != "access" { // an ID token
			id.Email = strings.ToUpper(name[:1]) + name[1:] + "@example.org"
		}
		return id, nil
	}
}

// online is a presence of everybody.
type online struct{}

func (online) Online(_ context.Context, _ string, keys []string) (map[string]bool, error) {
	all := make(map[string]bool)
	for _, key := range keys {
		all[key] = true
	}
	return all, nil
}

type server struct {
	testing.TB
	access  *access.Access
	handler http.Handler
	log     *bytes.Buffer
}

func newServer(t testing.TB, edit ...func(*access.Config)) *server {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db"), Synchronous: sqlstore.Off})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{TB: t, log: &bytes.Buffer{}}
	logger := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	config := access.Config{
		Store: db, Bus: &bus.Local{}, Rooms: room.DefaultConfig(), Policy: policy.DefaultConfig(), Record: access.DefaultRecordConfig(),
		Contacts: contact.DefaultConfig(), Presence: online{}, Logger: logger, IDs: usher.SystemIDs(), Now: time.Now, Derive: sealer.Derive,
		Metrics: prometheus.NewRegistry(),
	}
	for _, f := range edit {
		f(&config)
	}
	s.access = access.New(config)
	t.Cleanup(func() { _ = s.access.Close(context.Background()) })
	s.handler, err = httpd.New(httpd.Config{
		Identity: identity.Chain{tokens{}}, Logger: logger, Metrics: httpd.NewMetrics(prometheus.NewRegistry()), RequestIDs: usher.SystemIDs(),
	}, videochat.New(videochat.Config{Access: s.access}).Dialect())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// do sends a request with the values of its Authorization header.
func (s *server) do(method, path, body string, authorization ...string) *httptest.ResponseRecorder {
	s.Helper()
	r := httptest.NewRequestWithContext(s.Context(), method, path, strings.NewReader(body))
	r.Header["Authorization"] = authorization
	r.Header.Set("Origin", "https://chat.example")
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	if got := w.Header().Get("Access-Control-Allow-Origin"); got != "*" {
		s.Errorf("%s %s: answered %d for the origin %q, want *", method, path, w.Code, got)
	}
	return w
}

// want sends a request and compares the answer, JSON or nothing.
func (s *server) want(what string, w *httptest.ResponseRecorder, status int, body string) {
	s.Helper()
	if w.Code != status {
		s.Errorf("%s: got status %d, want %d: %s", what, w.Code, status, w.Body)
		return
	}
	if body == "" {
		if w.Body.Len() > 0 {
			s.Errorf("%s: got %s, want nothing", what, w.Body)
		}
		return
	}
	var got, want any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		s.Errorf("%s: %v: %s", what, err, w.Body)
		return
	}
	if err := json.Unmarshal([]byte(body), &want); err != nil {
		s.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestTheWholeAPI(t *testing.T) {
	s := newServer(t)
	const annUser = `{"userId":"ann","email":"Ann@example.org","name":"ANN"}`
	s.want("ann comes", s.do("GET", "/user", "", "Bearer id-ann"), 200, annUser)
	s.want("ann comes again", s.do("GET", "/user", "", "id-ann"), 200, annUser)
	s.want("ann comes with an access token", s.do("GET", "/user", "", "access-ann"), 200, annUser)
	s.want("no contacts", s.do("GET", "/contacts", "", "id-ann"), 200, `[]`)
	s.want("somebody who was never here", s.do("POST", "/contacts", `{"email":"bob@example.org"}`, "id-ann"), 404,
		`{"message":"There is no such user; who was never here can't be found yet."}`)

	for _, name := range []string{"zoe", "bob"} {
		s.want(name+" comes", s.do("GET", "/user", "", "id-"+name), 200,
			`{"userId":"`+name+`","email":"`+strings.ToUpper(name[:1])+name[1:]+`@example.org","name":"`+strings.ToUpper(name)+`"}`)
	}
	const bob = `{"userId":"bob","email":"Bob@example.org","name":"BOB","online":false}`
	const zoe = `{"userId":"zoe","email":"Zoe@example.org","name":"ZOE","online":false}`
	s.want("zoe is added", s.do("POST", "/contacts", `{"email":"zoe@example.org"}`, "id-ann"), 201, zoe)
	s.want("bob is added", s.do("POST", "/contacts", `{"email":" BOB@EXAMPLE.ORG ","note":"more than we know"}`, "Bearer access-ann"), 201, bob)
	s.want("bob is added again", s.do("POST", "/contacts", `{"email":"bob@example.org"}`, "id-ann"), 200, bob)
	s.want("contacts by address", s.do("GET", "/contacts", "", "access-ann"), 200, `[`+bob+`,`+zoe+`]`)
	s.want("bob's own", s.do("GET", "/contacts", "", "id-bob"), 200, `[]`)

	s.want("bob adds ann", s.do("POST", "/contacts", `{"email":"ann@example.org"}`, "id-bob"), 201,
		`{"userId":"ann","email":"Ann@example.org","name":"ANN","online":true}`)
	s.want("who lists each other is online", s.do("GET", "/contacts", "", "id-ann"), 200,
		`[`+strings.Replace(bob, "false", "true", 1)+`,`+zoe+`]`)

	for _, what := range []string{"bob is deleted", "bob is deleted again"} {
		s.want(what, s.do("DELETE", "/contacts/bob", "", "id-ann"), 204, "")
	}
	s.want("nobody is deleted", s.do("DELETE", "/contacts/nobody", "", "id-ann"), 204, "")
	s.want("who is left", s.do("GET", "/contacts", "", "id-ann"), 200, `[`+zoe+`]`)
}

func TestUsersOfTwoIssuersAreNotTakenForEachOther(t *testing.T) {
	s := newServer(t)
	otherBob := "user:" + other + "#carl"
	s.do("GET", "/user", "", "other-carl")
	s.want("found by address", s.do("POST", "/contacts", `{"email":"carl@example.org"}`, "id-ann"), 201,
		`{"userId":"`+otherBob+`","email":"Carl@example.org","name":"CARL","online":false}`)
	s.want("to one of the same issuer", s.do("GET", "/user", "", "other-carl"), 200, `{"userId":"carl","email":"Carl@example.org","name":"CARL"}`)
	s.want("the same sub of the own issuer", s.do("DELETE", "/contacts/carl", "", "id-ann"), 204, "")
	if w := s.do("GET", "/contacts", "", "id-ann"); !strings.Contains(w.Body.String(), otherBob) {
		t.Errorf("who was added is gone: %s", w.Body)
	}
	s.want("by its id", s.do("DELETE", "/contacts/"+url.PathEscape(otherBob), "", "id-ann"), 204, "")
	s.want("who is left", s.do("GET", "/contacts", "", "id-ann"), 200, `[]`)
}

func TestRefusalsAreThoseOfAPIGateway(t *testing.T) {
	s := newServer(t)
	routes := []struct{ method, path string }{{"GET", "/user"}, {"GET", "/contacts"}, {"POST", "/contacts"}, {"DELETE", "/contacts/bob"}}
	for name, tt := range map[string]struct {
		authorization []string
		status        int
		message       string
	}{
		"nothing":                {nil, 401, "Unauthorized"},
		"an empty header":        {[]string{""}, 401, "Unauthorized"},
		"a scheme alone":         {[]string{"Bearer"}, 401, "Unauthorized"},
		"a scheme and a space":   {[]string{"Bearer "}, 401, "Unauthorized"},
		"a password":             {[]string{"Basic YWRtaW46YWRtaW4="}, 401, "Unauthorized"},
		"nonsense":               {[]string{"nonsense"}, 401, "Unauthorized"},
		"two tokens":             {[]string{"id-ann", "id-ann"}, 401, "Unauthorized"},
		"two tokens in one":      {[]string{"id-ann, id-bob"}, 401, "Unauthorized"},
		"a token and more":       {[]string{"id-ann more"}, 401, "Unauthorized"},
		"a forged token":         {[]string{"Bearer forged"}, 401, "Unauthorized"},
		"a forged token alone":   {[]string{"forged"}, 401, "Unauthorized"},
		"an expired token":       {[]string{"Bearer expired"}, 401, "The incoming token has expired"},
		"an expired token alone": {[]string{"expired"}, 401, "The incoming token has expired"},
		"a back end's token":     {[]string{"backend"}, 403, "Only users, whom an issuer vouches for, may do this: sign in as one."},
	} {
		for _, route := range routes {
			what := route.method + " " + route.path + " with " + name
			w := s.do(route.method, route.path, `{"email":"bob@example.org"}`, tt.authorization...)
			s.want(what, w, tt.status, `{"message":"`+tt.message+`"}`)
			if w.Header().Get("Access-Control-Allow-Methods") != "GET,OPTIONS,POST,DELETE,PATCH" ||
				w.Header().Get("Access-Control-Allow-Headers") != "Content-Type,X-Amz-Date,Authorization,X-Api-Key,X-Amz-Security-Token" {
				t.Errorf("%s: a page can't read the answer: %v", what, w.Header())
			}
			if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
				t.Errorf("%s: got %s", what, got)
			}
		}
	}
	if w := s.do("GET", "/user", "", "down"); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("while the issuer does not answer: got %d, to try again after %q", w.Code, w.Header().Get("Retry-After"))
	}
	for path, status := range map[string]int{"/contacts/a/b": 404, "/contacts/": 404, "/user/x": 404} {
		s.want("GET "+path, s.do("GET", path, "", "id-ann"), status, `{"message":"Nothing is served at this path."}`)
	}
	for path, method := range map[string]string{"/user": "POST", "/contacts": "PUT", "/contacts/bob": "GET"} {
		if w := s.do(method, path, "{}", "id-ann"); w.Code != 405 || w.Header().Get("Allow") == "" || !strings.Contains(w.Body.String(), `"message"`) {
			t.Errorf("%s %s: got %d %s, allowed %q", method, path, w.Code, w.Body, w.Header().Get("Allow"))
		}
	}
}

func TestAPageMayAskFirst(t *testing.T) {
	s := newServer(t)
	for path, methods := range map[string]string{"/user": "GET", "/contacts": "GET, POST", "/contacts/bob": "DELETE"} {
		r := httptest.NewRequestWithContext(t.Context(), "OPTIONS", path, nil)
		r.Header.Set("Origin", "https://chat.example")
		r.Header.Set("Access-Control-Request-Headers", "authorization,x-amz-date")
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		h := w.Header()
		if w.Code != 204 || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Headers") != "authorization,x-amz-date" ||
			h.Get("Access-Control-Allow-Methods") != methods || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("OPTIONS %s: got %d with %v", path, w.Code, h)
		}
	}
}

func TestHostileBodiesAndIds(t *testing.T) {
	s := newServer(t)
	s.do("GET", "/user", "", "id-bob")
	for name, tt := range map[string]struct {
		body   string
		status int
	}{
		"nothing":             {"", 400},
		"an empty object":     {"{}", 400},
		"null":                {"null", 400},
		"an array":            {`[{"email":"bob@example.org"}]`, 400},
		"a string":            {`"bob@example.org"`, 400},
		"not JSON":            {"email=bob@example.org", 400},
		"JSON and more":       {`{"email":"bob@example.org"} {}`, 400},
		"half of it":          {`{"email":"bob@exa`, 400},
		"a number":            {`{"email":7}`, 400},
		"a list of addresses": {`{"email":["bob@example.org"]}`, 400},
		"an operator":         {`{"email":{"$ne":""}}`, 400},
		"no address":          {`{"email":""}`, 400},
		"no domain":           {`{"email":"bob@"}`, 400},
		"two addresses":       {`{"email":"bob@example.org,ann@example.org"}`, 400},
		"a name with it":      {`{"email":"Bob <bob@example.org>"}`, 400},
		"a line more":         {`{"email":"bob@example.org\nx"}`, 400},
		"a zero byte":         {`{"email":"bob@example.org\u0000"}`, 400},
		"not UTF-8":           {"{\"email\":\"b\xffb@example.org\"}", 404}, // read with U+FFFD in its place
		"hidden direction":    {`{"email":"bob@example.org\u202e"}`, 400},
		"too long":            {`{"email":"` + strings.Repeat("b", 300) + `@example.org"}`, 400},
		"far too long":        {`{"email":"` + strings.Repeat("b", 70_000) + `"}`, 413},
		"deep":                {`{"email":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, 400},
		"oneself":             {`{"email":"ANN@example.org"}`, 400},
		"a wildcard":          {`{"email":"%@example.org"}`, 404},
		"SQL":                 {`{"email":"'or'1'='1'--@example.org"}`, 404},
		"a key of a user":     {`{"email":"","user":"user:` + issuer + `#bob"}`, 400},
	} {
		if w := s.do("POST", "/contacts", tt.body, "id-ann"); w.Code != tt.status || !strings.Contains(w.Body.String(), `{"message":"`) {
			t.Errorf("%s: got %d, want %d: %s", name, w.Code, tt.status, w.Body)
		}
	}
	for name, id := range map[string]string{
		"a zero byte": "%00", "not UTF-8": "%ff", "dots": "%2e%2e", "a slash": "a%2fb", "SQL": "'%20OR%20'1'='1", "a wildcard": "%25", "a long one": strings.Repeat("x", 9000),
	} {
		if w := s.do("DELETE", "/contacts/"+id, "", "id-ann"); w.Code != 204 {
			t.Errorf("%s: got %d, want 204: %s", name, w.Code, w.Body)
		}
	}
	s.want("nobody was added", s.do("GET", "/contacts", "", "id-ann"), 200, "[]")
	if log := s.log.String(); strings.Contains(log, "id-ann") || strings.Contains(log, "bob@") {
		t.Error("a token or an address is in the log")
	}
}

func TestUnverifiedAddressesFindNobody(t *testing.T) {
	s := newServer(t)
	s.want("somebody without a verified address", s.do("GET", "/user", "", "access-eve"), 200, `{"userId":"eve","email":"","name":"EVE"}`)
	s.want("is not found", s.do("POST", "/contacts", `{"email":"eve@example.org"}`, "id-ann"), 404,
		`{"message":"There is no such user; who was never here can't be found yet."}`)
}

func TestLimitsAreTold(t *testing.T) {
	s := newServer(t, func(c *access.Config) {
		c.Limits.Seek = limit.Rate{Count: 4, Per: time.Hour}
		c.Contacts.Max = 1
	})
	for _, name := range []string{"bob", "carl"} {
		s.do("GET", "/user", "", "id-"+name)
	}
	for i, status := range []int{201, 200, 409, 404, 429} {
		email := []string{"bob", "bob", "carl", "guess", "bob"}[i] + "@example.org"
		w := s.do("POST", "/contacts", `{"email":"`+email+`"}`, "id-ann")
		if w.Code != status {
			t.Errorf("call %d: got %d, want %d: %s", i+1, w.Code, status, w.Body)
		}
		if (w.Header().Get("Retry-After") != "") != (status == 429) {
			t.Errorf("call %d: to try again after %q", i+1, w.Header().Get("Retry-After"))
		}
	}
	s.want("reading goes on", s.do("GET", "/contacts", "", "id-ann"), 200,
		`[{"userId":"bob","email":"Bob@example.org","name":"BOB","online":false}]`)
}

func FuzzAdd(f *testing.F) {
	for _, body := range []string{`{"email":"bob@example.org"}`, `{"email":7}`, `{`, ``, `{"email":"a@b","email":"bob@example.org"}`} {
		f.Add([]byte(body))
	}
	all := newServer(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		s := *all
		s.TB = t
		w := s.do("POST", "/contacts", string(body), "id-ann")
		switch w.Code {
		case 400, 404, 413:
		default:
			t.Errorf("%q: got %d: %s", body, w.Code, w.Body)
		}
	})
}
