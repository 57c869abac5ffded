package apigateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/call"
	"usher/internal/compat/apigateway"
	"usher/internal/contact"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/keys"
	"usher/internal/limit"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/signaling"
	"usher/internal/store/sqlstore"
)

// world is a function with a store, behind a gateway that is played by the test.
type world struct {
	*testing.T
	service *apigateway.Service
	access  *access.Access
	// served are the requests that the HTTP handler was given.
	served []string
	handle http.HandlerFunc
	swept  int
	// refusing is what Refresh and Sweep fail with.
	refusing error

	mu    sync.Mutex
	posts []string // endpoint, connection and message
}

// Post implements [signaling.Gateway].
func (w *world) Post(_ context.Context, endpoint, connection string, message []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.posts = append(w.posts, endpoint+" "+connection+" "+string(message))
	return nil
}

// Close implements [signaling.Gateway].
func (w *world) Close(context.Context, string, string) error { return nil }

// Authenticate knows whoever is named by the token: a user, a guest, or somebody
// with very many groups.
func (w *world) Authenticate(_ context.Context, p identity.Proof) (usher.Identity, error) {
	name, kind, _ := strings.Cut(strings.TrimPrefix(p.Bearer.Reveal(), "token."), "/")
	id := usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: name, Name: name, IssuedAt: time.Now().Add(-time.Second)}
	switch kind {
	case "":
	case "guest":
		id.Kind, id.Issuer = usher.GuestIdentity, ""
	case "groups":
		for range 199 {
			id.Groups = append(id.Groups, strings.Repeat("g", 100))
		}
	case "down":
		return usher.Identity{}, usher.Errorf(usher.Unavailable, "issuer_unavailable", "The issuer does not answer.")
	default:
		return usher.Identity{}, identity.ErrBad
	}
	return id, nil
}

func newWorld(t *testing.T, change ...func(*apigateway.Config)) *world {
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
	w := &world{T: t}
	registry, logger, ids := prometheus.NewRegistry(), slog.New(slog.DiscardHandler), usher.SystemIDs()
	door := access.New(access.Config{
		Store: db, Bus: &bus.Local{}, Rooms: room.DefaultConfig(), Policy: policy.DefaultConfig(), Record: access.DefaultRecordConfig(),
		Contacts: contact.DefaultConfig(), Logger: logger, IDs: ids, Now: time.Now, Derive: sealer.Derive, Metrics: registry,
	})
	w.access = door
	if err := door.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = door.Close(context.Background()) })
	remote := signaling.NewRemote(signaling.Config{Enabled: true, Preset: signaling.AWS}, call.DefaultConfig(), signaling.RemoteDeps{
		Deps: signaling.Deps{
			Access: door, Calls: db.Calls(), Identity: door.Authenticator(w), IDs: ids, Now: time.Now, Logger: logger, Metrics: registry,
			Failed: limit.Rate{Count: 20, Per: time.Hour},
		},
		Attachments: db.Attachments(), Once: db.Once(), Gateway: w,
	})
	config := apigateway.Config{
		HTTP: http.HandlerFunc(w.serve), Remote: remote, Logger: logger, Flush: door.Flush,
		Refresh: func(ctx context.Context) error { return errors.Join(w.refusing, door.Refresh(ctx)) },
		Sweep:   func(context.Context) error { w.swept++; return w.refusing },
	}
	for _, f := range change {
		f(&config)
	}
	w.service = apigateway.New(config)
	return w
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.Error(err)
	}
	w.served = append(w.served, strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.RemoteAddr, r.Host, httpd.From(r.Context()).Base, string(body)}, " "))
	if w.handle != nil {
		w.handle(rw, r)
	}
}

func (w *world) invoke(payload string) (string, error) {
	w.Helper()
	answer, err := w.service.Invoke(w.Context(), []byte(payload))
	return string(answer), err
}

// answers checks that an event is answered by JSON that is the same as want.
func (w *world) answers(payload, want string) {
	w.Helper()
	got, err := w.invoke(payload)
	if err != nil {
		w.Errorf("%s is answered by the error %v", payload, err)
		return
	}
	if diff := cmp.Diff(decode(w, want), decode(w, got)); diff != "" {
		w.Errorf("%s is answered (-want +got):\n%s", payload, diff)
	}
}

func decode(t *world, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

const arn = "arn:aws:execute-api:us-east-1:123456789012:abc/dev/$connect"

func authorizer(query string) string {
	return `{"type":"REQUEST","methodArn":"` + arn + `","queryStringParameters":` + query +
		`,"requestContext":{"eventType":"CONNECT","routeKey":"$connect","connectionId":"c1=","identity":{"sourceIp":"192.0.2.7"}}}`
}

// socketEvent is an event of a connection of whoever the authorizer let in.
func socketEvent(kind, connection, whose, rest string) string {
	context := ""
	if whose != "" {
		id, _ := json.Marshal(usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: whose, IssuedAt: time.Now().Add(-time.Second)})
		text, _ := json.Marshal(string(id))
		context = `,"authorizer":{"principalId":"x","integrationLatency":7,"usher":` + string(text) + `}`
	}
	return `{"requestContext":{"eventType":"` + kind + `","connectionId":"` + connection + `","domainName":"abc.execute-api.us-east-1.amazonaws.com","stage":"dev"` +
		context + `},"isBase64Encoded":false` + rest + `}`
}

func TestTheAuthorizerAllowsAndRefuses(t *testing.T) {
	w := newWorld(t)
	got, err := w.invoke(authorizer(`{"Auth":"token.ann"}`))
	if err != nil {
		t.Fatal(err)
	}
	var allowed struct {
		PrincipalID    string
		PolicyDocument struct {
			Version   string
			Statement []struct{ Action, Effect, Resource string }
		}
		Context map[string]string
	}
	if err := json.Unmarshal([]byte(got), &allowed); err != nil {
		t.Fatal(err)
	}
	if s := allowed.PolicyDocument.Statement; allowed.PrincipalID != "user:https://id.example#ann" || allowed.PolicyDocument.Version != "2012-10-17" || len(s) != 1 ||
		s[0].Effect != "Allow" || s[0].Action != "execute-api:Invoke" || s[0].Resource != arn || !strings.Contains(allowed.Context["usher"], `"ann"`) {
		t.Errorf("ann is answered %s", got)
	}
	for what, query := range map[string]string{
		"a bad token": `{"Auth":"token.ann/bad"}`, "no token": `{}`, "nothing": `null`, "another name": `{"auth":"ann"}`, "two": `{"Auth":"token.ann","ticket":"x"}`, "a bad ticket": `{"ticket":"x"}`, "a bad ticket for a token": `{"Auth":"x"}`,
	} {
		if got, err := w.invoke(authorizer(query)); err == nil || err.Error() != "Unauthorized" || got != "" {
			t.Errorf("%s is answered %q, error %v", what, got, err)
		}
	}
	for _, name := range []string{"ticket", "Auth"} {
		id, _ := w.Authenticate(t.Context(), identity.Proof{Bearer: "ann"})
		ticket, err := w.access.IssueTicket(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		query := fmt.Sprintf(`{%q:%q}`, name, ticket.Secret.Reveal())
		if got, err := w.invoke(authorizer(query)); err != nil || !strings.Contains(got, `"Effect":"Allow"`) {
			t.Errorf("a ticket as %s is answered %s, error %v", name, got, err)
		}
		if _, err := w.invoke(authorizer(query)); err == nil || err.Error() != "Unauthorized" {
			t.Errorf("a ticket that was used is answered with the error %v", err)
		}
	}
	got, err = w.invoke(authorizer(`{"Auth":"token.gus/guest"}`))
	if err != nil || !strings.Contains(got, `"Effect":"Deny"`) || strings.Contains(got, `"context"`) || !strings.Contains(got, `"principalId":"refused"`) {
		t.Errorf("a guest is answered %s, error %v", got, err)
	}
	if _, err := w.invoke(authorizer(`{"Auth":"token.ann/down"}`)); err == nil || err.Error() == "Unauthorized" || !strings.Contains(err.Error(), "The issuer does not answer.") {
		t.Errorf("while the issuer is down the error is %v", err)
	}
	if got, err := w.invoke(authorizer(`{"Auth":"token.ann/groups"}`)); err != nil || len(got) > 8<<10 {
		t.Errorf("somebody of many groups is answered by %d bytes, error %v", len(got), err)
	}
	for range 20 {
		_, _ = w.invoke(authorizer(`{"Auth":"token.ann/bad"}`))
	}
	if got, err := w.invoke(authorizer(`{"Auth":"token.ann"}`)); err != nil || !strings.Contains(got, `"Effect":"Deny"`) {
		t.Errorf("an address that failed too often is answered %s, error %v", got, err)
	}
}

func TestTheEventsOfASocket(t *testing.T) {
	w := newWorld(t)
	w.answers(socketEvent("CONNECT", "c1=", "ann", ""), `{"statusCode":200}`)
	w.answers(socketEvent("MESSAGE", "c1=", "ann", `,"body":"{\"action\":\"ping\"}"`), `{"statusCode":200}`)
	w.answers(socketEvent("MESSAGE", "c1=", "ann", `,"body":"eyJhY3Rpb24iOiJwaW5nIn0=","isBase64Encoded":true`), `{"statusCode":200}`)
	w.answers(socketEvent("MESSAGE", "c1=", "ann", `,"body":"###","isBase64Encoded":true`), `{"statusCode":200}`)
	const at = "https://abc.execute-api.us-east-1.amazonaws.com/dev c1= "
	want := []string{at + `{"action":"pong"}`, at + `{"action":"pong"}`}
	if len(w.posts) != 3 || w.posts[0] != want[0] || w.posts[1] != want[1] || !strings.Contains(w.posts[2], "malformed") {
		t.Errorf("posted was %q", w.posts)
	}
	w.answers(socketEvent("DISCONNECT", "c1=", "ann", ""), `{"statusCode":200}`)
	w.answers(socketEvent("DISCONNECT", "c1=", "", ""), `{"statusCode":200}`)

	for name, tt := range map[string]struct {
		event string
		want  int
		code  string
	}{
		"no authorizer":     {socketEvent("CONNECT", "c2=", "", ""), 401, "credentials_required"},
		"usher.v1":          {socketEvent("CONNECT", "c2=", "ann", `,"headers":{"sec-websocket-protocol":"x, usher.v1"}`), 501, "subprotocol_unavailable"},
		"usher.v1 in lists": {socketEvent("CONNECT", "c2=", "ann", `,"multiValueHeaders":{"Sec-WebSocket-Protocol":["x","usher.v1"]}`), 501, "subprotocol_unavailable"},
		"a strange name":    {socketEvent("CONNECT", "c 2", "ann", ""), 400, "connection_invalid"},
		"a message of none": {socketEvent("MESSAGE", "c2=", "", ""), 401, "credentials_required"},
	} {
		got, err := w.invoke(tt.event)
		var status struct {
			StatusCode int
			Body       string
		}
		if err != nil || json.Unmarshal([]byte(got), &status) != nil || status.StatusCode != tt.want || !strings.Contains(status.Body, tt.code) {
			t.Errorf("%s is answered %s, error %v, want %d %s", name, got, err, tt.want, tt.code)
		}
	}
}

func TestRequestsOfEachFormat(t *testing.T) {
	w := newWorld(t)
	const domain = `"domainName":"abc.execute-api.us-east-1.amazonaws.com"`
	const rest = `"requestContext":{` + domain + `,"stage":"dev","identity":{"sourceIp":"192.0.2.7"}}`
	http2 := func(method, stage string) string {
		return `"requestContext":{` + domain + `,"stage":"` + stage + `","http":{"method":"` + method + `","sourceIp":"2001:db8::1"}}`
	}
	for name, tt := range map[string]struct{ event, want string }{
		"REST":                  {`{"httpMethod":"GET","path":"/contacts","multiValueQueryStringParameters":{"a":["1","2 3"]},` + rest + `}`, "GET /contacts a=1&a=2+3 192.0.2.7:0 D https://D/dev "},
		"REST, single values":   {`{"httpMethod":"GET","path":"/contacts","queryStringParameters":{"a":"1"},` + rest + `}`, "GET /contacts a=1 192.0.2.7:0 D https://D/dev "},
		"REST, a body":          {`{"httpMethod":"POST","path":"/contacts","body":"{\"email\":\"é\"}",` + rest + `}`, `POST /contacts  192.0.2.7:0 D https://D/dev {"email":"é"}`},
		"REST, base64":          {`{"httpMethod":"POST","path":"/contacts","body":"eyJ9","isBase64Encoded":true,` + rest + `}`, `POST /contacts  192.0.2.7:0 D https://D/dev {"}`},
		"REST, an encoded path": {`{"httpMethod":"DELETE","path":"/contacts/user%3Ahttps%3A%2F%2Fid%23ann",` + rest + `}`, "DELETE /contacts/user%3Ahttps%3A%2F%2Fid%23ann  192.0.2.7:0 D https://D/dev "},
		"REST, a decoded path":  {`{"httpMethod":"DELETE","path":"/contacts/50% of ann?",` + rest + `}`, "DELETE /contacts/50%25%20of%20ann%3F  192.0.2.7:0 D https://D/dev "},
		"HTTP":                  {`{"version":"2.0","rawPath":"/contacts","rawQueryString":"a=1&a=2",` + http2("GET", "$default") + `}`, "GET /contacts a=1&a=2 [2001:db8::1]:0 D https://D "},
		"HTTP with a stage":     {`{"version":"2.0","rawPath":"/dev/contacts",` + http2("GET", "dev") + `}`, "GET /contacts  [2001:db8::1]:0 D https://D/dev "},
		"HTTP, the stage alone": {`{"version":"2.0","rawPath":"/dev",` + http2("GET", "dev") + `}`, "GET /  [2001:db8::1]:0 D https://D/dev "},
		"HTTP, as if a stage":   {`{"version":"2.0","rawPath":"/devices",` + http2("GET", "dev") + `}`, "GET /devices  [2001:db8::1]:0 D https://D/dev "},
		"REST, with an event in it": {`{"httpMethod":"POST","path":"/user","multiValueHeaders":{"requestContext":["x"],"eventType":["MESSAGE"]},"multiValueQueryStringParameters":{"connectionId":["c"]},"body":"{\"requestContext\":{\"connectionId\":\"c=\",\"eventType\":\"MESSAGE\"}}",` + rest + `}`,
			`POST /user connectionId=c 192.0.2.7:0 D https://D/dev {"requestContext":{"connectionId":"c=","eventType":"MESSAGE"}}`},
		"HTTP, by another name": {`{"version":"2.0","rawPath":"/user","headers":{"host":"evil.example","x-forwarded-host":"evil.example","x-forwarded-for":"10.0.0.1"},` + http2("GET", "$default") + `}`,
			"GET /user  [2001:db8::1]:0 D https://D "},
		"a function URL": {`{"version":"2.0","rawPath":"/user","body":"aGk=","isBase64Encoded":true,` + http2("POST", "$default") + `}`, "POST /user  [2001:db8::1]:0 D https://D hi"},
	} {
		w.served = nil
		got, err := w.invoke(tt.event)
		want := strings.ReplaceAll(tt.want, "D ", "abc.execute-api.us-east-1.amazonaws.com ")
		want = strings.ReplaceAll(want, "//D", "//abc.execute-api.us-east-1.amazonaws.com")
		if err != nil || len(w.served) != 1 || w.served[0] != want {
			t.Errorf("%s: served was %q, answered %s, error %v, want %q", name, w.served, got, err, want)
		}
	}
	for _, event := range []string{`{"httpMethod":"POST","path":"/","body":"#","isBase64Encoded":true}`, `{"httpMethod":"GET","path":7}`, `{"rawPath":7,` + http2("GET", "dev") + `}`} {
		if got, err := w.invoke(event); err == nil {
			t.Errorf("%s is answered %s", event, got)
		}
	}
}

func TestHeadersOfRequestsAndAnswers(t *testing.T) {
	w := newWorld(t, func(c *apigateway.Config) { c.Base = "https://usher.example" })
	var seen http.Header
	w.handle = func(rw http.ResponseWriter, r *http.Request) {
		seen = r.Header
		rw.Header().Add("Set-Cookie", "a=1")
		rw.Header().Add("Set-Cookie", "b=2")
		rw.Header().Add("Vary", "Origin")
		rw.Header().Add("Vary", "Accept")
		rw.WriteHeader(418)
		rw.Header().Set("Too-Late", "x")
		rw.WriteHeader(200)
		_, _ = io.WriteString(rw, "é")
	}
	w.answers(`{"httpMethod":"GET","path":"/","headers":{"a":"2"},"multiValueHeaders":{"authorization":["Bearer x"],"a":["1","2"]}}`,
		`{"statusCode":418,"multiValueHeaders":{"Set-Cookie":["a=1","b=2"],"Vary":["Origin","Accept"]},"body":"é","isBase64Encoded":false}`)
	if seen.Get("Authorization") != "Bearer x" || len(seen["A"]) != 2 {
		t.Errorf("the headers are %v", seen)
	}
	w.answers(`{"httpMethod":"GET","path":"/","headers":{"a":"2"}}`,
		`{"statusCode":418,"multiValueHeaders":{"Set-Cookie":["a=1","b=2"],"Vary":["Origin","Accept"]},"body":"é","isBase64Encoded":false}`)
	if seen.Get("A") != "2" {
		t.Errorf("the headers are %v", seen)
	}
	w.answers(`{"rawPath":"/","headers":{"x":"y"},"cookies":["c=1","d=2"],"requestContext":{"http":{"method":"GET"}}}`,
		`{"statusCode":418,"headers":{"Vary":"Origin,Accept"},"cookies":["a=1","b=2"],"body":"é","isBase64Encoded":false}`)
	if seen.Get("Cookie") != "c=1; d=2" {
		t.Errorf("the headers are %v", seen)
	}
	if !strings.Contains(w.served[0], "https://usher.example") {
		t.Errorf("served was %q", w.served)
	}

	w.handle = func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte{0xff, 0}) }
	w.answers(`{"httpMethod":"GET","path":"/"}`, `{"statusCode":200,"body":"/wA=","isBase64Encoded":true}`)
	w.handle = nil
	w.answers(`{"httpMethod":"GET","path":"/"}`, `{"statusCode":200,"body":"","isBase64Encoded":false}`)
}

func TestAPanicIsAnErrorAndNothingMore(t *testing.T) {
	w := newWorld(t)
	w.handle = func(http.ResponseWriter, *http.Request) { panic("a secret") }
	if got, err := w.invoke(`{"httpMethod":"GET","path":"/"}`); err == nil || strings.Contains(err.Error(), "secret") || got != "" {
		t.Errorf("answered is %q, error %v", got, err)
	}
	w.handle = nil
	w.answers(`{"httpMethod":"GET","path":"/"}`, `{"statusCode":200,"body":"","isBase64Encoded":false}`)
}

func TestASchedule(t *testing.T) {
	w := newWorld(t)
	const event = `{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.events","detail":{}}`
	if got, err := w.invoke(event); err != nil || got != "null" || w.swept != 1 {
		t.Errorf("answered is %q, error %v, swept %d times", got, err, w.swept)
	}
	w.refusing = errors.New("the store is down")
	for _, event := range []string{event, authorizer(`{"Auth":"token.ann"}`)} {
		if got, err := w.invoke(event); err == nil || strings.Contains(err.Error(), "store") {
			t.Errorf("answered is %q, error %v", got, err)
		}
	}
}

func TestEventsOfNoKnownForm(t *testing.T) {
	w := newWorld(t)
	for _, event := range []string{
		``, `null`, `7`, `[]`, `{}`, `{"Records":[{"eventSource":"aws:sqs"}]}`, `{"type":"TOKEN","methodArn":"x","authorizationToken":"y"}`,
		`{"type":"REQUEST","methodArn":"x","httpMethod":"GET"}`, `{"requestContext":{"eventType":"MESSAGE"}}`, `{"requestContext":{"eventType":"OTHER","connectionId":"c"}}`,
		`{"detail-type":"Other"}`,
	} {
		if got, err := w.invoke(event); err == nil || !strings.Contains(err.Error(), "none of those that Usher serves") {
			t.Errorf("%s is answered %s, error %v", event, got, err)
		}
	}
	if len(w.served) > 0 || len(w.posts) > 0 {
		t.Errorf("served was %q, posted %q", w.served, w.posts)
	}
	without := newWorld(t, func(c *apigateway.Config) { c.Remote = nil })
	if got, err := without.invoke(authorizer(`{"Auth":"token.ann"}`)); err == nil {
		t.Errorf("without signaling the authorizer answers %s", got)
	}
	without.answers(`{"httpMethod":"GET","path":"/"}`, `{"statusCode":200,"body":"","isBase64Encoded":false}`)
}

// FuzzInvoke has no signaling: it is about what events are, and about requests.
func FuzzInvoke(f *testing.F) {
	for _, seed := range []string{
		authorizer(`{"Auth":"token.ann"}`), socketEvent("CONNECT", "c=", "ann", ""), socketEvent("MESSAGE", "c=", "ann", `,"body":"x"`),
		`{"httpMethod":"GET","path":"/a%20b?x","multiValueHeaders":{"a":["b"]}}`, `{"rawPath":"/dev/x","rawQueryString":"%","requestContext":{"stage":"dev","http":{"method":"GET"}}}`,
		`{"detail-type":"Scheduled Event"}`,
	} {
		f.Add([]byte(seed))
	}
	nothing := func(context.Context) error { return nil }
	f.Fuzz(func(t *testing.T, payload []byte) {
		served := 0
		s := apigateway.New(apigateway.Config{
			HTTP: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				served++
				if !strings.HasPrefix(r.URL.Path, "/") || r.Body == nil {
					t.Errorf("served was %q", r.URL.Path)
				}
				w.WriteHeader(204)
			}),
			Refresh: nothing, Sweep: nothing, Flush: nothing, Logger: slog.New(slog.DiscardHandler),
		})
		answer, err := s.Invoke(t.Context(), payload)
		if err != nil && err.Error() == "panic in handler" {
			t.Errorf("%q panics", payload)
		}
		if err == nil && !json.Valid(answer) || served > 1 {
			t.Errorf("%q is answered %q", payload, answer)
		}
	})
}
