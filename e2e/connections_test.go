package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"
	"github.com/aws/smithy-go"
	"github.com/coder/websocket"

	"usher"
	"usher/client"
)

// An access key that nobody at AWS knows.
const (
	accessKey = "AKIDUSHER7EXAMPLE"
	secretKey = "c2VjcmV0-that-is-only/for+tests-0123456789"
)

// gateway is the @connections API of a server, and a way to call it.
type gateway struct {
	endpoint, key, secret string
	call                  func(g gateway, operation, connection, data string) reached
}

// reached is how a call was answered: of a failure, Name is what the client calls it.
type reached struct {
	Status int
	Name   string
	Data   map[string]any
}

// withConnections is a server with the API, and the API by each of AWS's clients.
func withConnections(t *testing.T, o options) (*Server, map[string]gateway) {
	t.Helper()
	listen := "127.0.0.1:" + unusedPort(t)
	o.Env = append(o.Env, "USHER_COMPAT_CONNECTIONS_LISTEN="+listen, "USHER_COMPAT_CONNECTIONS_ACCESS_KEY_ID="+accessKey,
		"USHER_COMPAT_CONNECTIONS_SECRET_ACCESS_KEY="+secretKey)
	s := start(t, o)
	s.Secret(secretKey)
	endpoint := "http://" + listen + "/dev"
	until(t, "the server says where @connections are", time.Minute, func() bool {
		return strings.Contains(string(s.output.Bytes()), "@connections at "+endpoint+"\n")
	})
	nodeDir(t, "@aws-sdk/client-apigatewaymanagementapi")
	d := startDriver(t, "connections.mjs")
	node := func(g gateway, operation, connection, data string) (r reached) {
		t.Helper()
		d.call(operation, who{"endpoint": g.endpoint, "key": g.key, "secret": g.secret, "connection": connection, "data": data}, &r)
		return r
	}
	return s, map[string]gateway{
		"of Go": {endpoint, accessKey, secretKey, func(g gateway, operation, connection, data string) reached {
			return callFromGo(t, g, operation, connection, data)
		}},
		"of Node.js": {endpoint, accessKey, secretKey, node},
	}
}

// callFromGo makes a call with AWS's client for Go.
func callFromGo(t *testing.T, g gateway, operation, connection, data string) reached {
	t.Helper()
	api := apigatewaymanagementapi.New(apigatewaymanagementapi.Options{
		Region: "us-east-1", BaseEndpoint: &g.endpoint, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: g.key, SecretAccessKey: g.secret}, nil
		}),
	})
	ctx := within(t, socketTime)
	var err error
	r := reached{Status: http.StatusOK}
	switch operation {
	case "post":
		_, err = api.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &connection, Data: []byte(data)})
	case "get":
		var out *apigatewaymanagementapi.GetConnectionOutput
		if out, err = api.GetConnection(ctx, &apigatewaymanagementapi.GetConnectionInput{ConnectionId: &connection}); err == nil {
			r.Data = map[string]any{
				"ConnectedAt": out.ConnectedAt.Format(time.RFC3339), "LastActiveAt": out.LastActiveAt.Format(time.RFC3339),
				"Identity": map[string]any{"SourceIp": *out.Identity.SourceIp, "UserAgent": *out.Identity.UserAgent},
			}
		}
	case "drop":
		r.Status = http.StatusNoContent
		_, err = api.DeleteConnection(ctx, &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: &connection})
	}
	if err == nil {
		return r
	}
	answer, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok {
		t.Fatalf("%s was not answered: %v", operation, err)
	}
	r = reached{Status: answer.HTTPStatusCode()}
	if failure, ok := errors.AsType[smithy.APIError](err); ok {
		r.Name = failure.ErrorCode()
	}
	// Those that the client has types for must be of them.
	_, gone := errors.AsType[*types.GoneException](err)
	_, large := errors.AsType[*types.PayloadTooLargeException](err)
	_, limit := errors.AsType[*types.LimitExceededException](err)
	_, forbidden := errors.AsType[*types.ForbiddenException](err)
	for name, typed := range map[string]bool{"GoneException": gone, "PayloadTooLargeException": large, "LimitExceededException": limit, "ForbiddenException": forbidden} {
		if typed != (r.Name == name) {
			t.Errorf("%s: the error %v is of the type %s: %t", operation, err, name, typed)
		}
	}
	return r
}

// want makes a call and compares its status and the name of its failure.
func (g gateway) want(t *testing.T, what string, status int, name, operation, connection, data string) reached {
	t.Helper()
	got := g.call(g, operation, connection, data)
	if got.Status != status || got.Name != name {
		t.Errorf("%s: got %d %s, want %d %s", what, got.Status, got.Name, status, name)
	}
	return got
}

func TestAWSClientsReachOurConnections(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s, gateways := withConnections(t, options{Config: trusting(i.entry())})
	for name, g := range gateways {
		ann, other := s.signal(i.token("ann"), client.SignalOptions{}), s.signal(i.token("ann"), client.SignalOptions{})
		connection := ann.Hello().Connection
		before := time.Now().Add(-time.Minute)
		const odd = `{"action":"news","payload":"ü \" \\ &%"}`
		g.want(t, name+", a message", 200, "", "post", connection, odd)
		if m := ann.hear("news"); string(m.Payload) != `"ü \" \\ &%"` || m.From != "" {
			t.Errorf("%s: ann hears %s from %q", name, m.Payload, m.From)
		}
		largest := `{"action":"large","payload":"` + strings.Repeat("m", 128<<10-31) + `"}`
		g.want(t, name+", the largest message", 200, "", "post", connection, largest)
		ann.hear("large")

		got := g.want(t, name+", the figures", 200, "", "get", connection, "")
		identity, _ := got.Data["Identity"].(map[string]any)
		for _, field := range []string{"ConnectedAt", "LastActiveAt"} {
			text, _ := got.Data[field].(string)
			if at, err := time.Parse(time.RFC3339, text); err != nil || at.Before(before) || at.After(time.Now().Add(time.Minute)) {
				t.Errorf("%s: %s is %q", name, field, text)
			}
		}
		if agent, _ := identity["UserAgent"].(string); identity["SourceIp"] != "127.0.0.1" || !strings.HasPrefix(agent, "Go-http-client") {
			t.Errorf("%s: the client is %v", name, identity)
		}

		g.want(t, name+", the end", 204, "", "drop", connection, "")
		if code := ann.closing(socketTime); code != 1000 {
			t.Errorf("%s: ann's socket was closed with %d, want 1000", name, code)
		}
		for _, operation := range []string{"post", "get", "drop"} {
			for _, gone := range []string{connection, "L0SM9cOFvHcCIhw=", "a+b/c==", "unknown"} {
				g.want(t, fmt.Sprintf("%s, %s of %s", name, operation, gone), 410, "GoneException", operation, gone, "{}")
			}
		}
		there := other.Hello().Connection
		g.want(t, name+", a message too large", 413, "PayloadTooLargeException", "post", there, largest+" ")
		for what, change := range map[string]struct {
			change func(*gateway)
			name   string
		}{
			"another stage":  {func(g *gateway) { g.endpoint = strings.TrimSuffix(g.endpoint, "dev") + "prod" }, "ForbiddenException"},
			"another path":   {func(g *gateway) { g.endpoint += "/more" }, "ForbiddenException"},
			"another secret": {func(g *gateway) { g.secret += "x" }, "InvalidSignatureException"},
			"another key":    {func(g *gateway) { g.key += "X" }, "UnrecognizedClientException"},
		} {
			wrong := g
			change.change(&wrong)
			for _, operation := range []string{"post", "get", "drop"} {
				wrong.want(t, fmt.Sprintf("%s, %s with %s", name, operation, what), 403, change.name, operation, there, "{}")
			}
		}
		g.want(t, name+", after all", 200, "", "post", there, `{"action":"last"}`)
		other.hear("last")
	}
	// A client whose clock is wrong learns ours from the refusal.
	late := gateways["of Node.js"]
	late.call = func(g gateway, operation, connection, data string) (r reached) {
		d := startDriver(t, "connections.mjs")
		args := who{"endpoint": g.endpoint, "key": g.key, "secret": g.secret, "connection": connection, "data": data, "clock": -time.Hour.Milliseconds(), "attempts": 3}
		d.call(operation, args, &r)
		return r
	}
	ann := s.signal(i.token("ann"), client.SignalOptions{})
	late.want(t, "an hour late", 200, "", "post", ann.Hello().Connection, `{"action":"late"}`)
	ann.hear("late")

	refused, all := 0, s.recorded(8, client.EventQuery{Type: usher.Decided, Who: "client:" + accessKey})
	for _, e := range all {
		if e.Decision.Action != "connection.reach" {
			t.Errorf("the record has %+v of the key", e.Decision)
		}
		if !e.Decision.Allowed {
			refused++
		}
	}
	if refused > 0 {
		t.Errorf("the record has %d refusals of the key", refused)
	}
}

func TestAClientThatReadsTooSlowlyIsNotClosedByAGateway(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s, gateways := withConnections(t, options{Config: trusting(i.entry()) + "signaling: {queue: 131072}\n"})
	g := gateways["of Go"]
	token := i.token("ann")
	conn, _, err := websocket.Dial(within(t, socketTime), s.HTTP+"/signal?Auth="+s.Secret(token.Reveal()), &websocket.DialOptions{HTTPClient: s.socketClient()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(-1)
	handle := s.handleOf(token, conn)
	flood := strings.Repeat("m", 100<<10)
	taken := 0
	for {
		r := g.call(g, "post", handle, fmt.Sprintf(`{"action":"flood","n":%d,"payload":%q}`, taken, flood))
		if r.Status == http.StatusOK {
			if taken++; taken > 1000 {
				t.Fatal("whoever reads nothing is never full")
			}
			continue
		}
		if r.Status != http.StatusTooManyRequests || r.Name != "LimitExceededException" {
			t.Fatalf("after %d messages: got %+v, want 429", taken, r)
		}
		break
	}
	for n := range taken {
		_, data, err := conn.Read(within(t, socketTime))
		if err != nil || !strings.HasPrefix(string(data), fmt.Sprintf(`{"action":"flood","n":%d,`, n)) {
			t.Fatalf("message %d reads %.30q, error %v", n, data, err)
		}
	}
	g.want(t, "once all was read", 200, "", "post", handle, `{"action":"after"}`)
	if _, data, err := conn.Read(within(t, socketTime)); err != nil || string(data) != `{"action":"after"}` {
		t.Errorf("got %q, error %v", data, err)
	}
}

// handleOf learns the handle of a connection that is told none: by a message that it sends.
func (s *Server) handleOf(token usher.Secret, conn *websocket.Conn) string {
	s.t.Helper()
	there := s.signal(token, client.SignalOptions{})
	if err := conn.Write(within(s.t, socketTime), websocket.MessageText, []byte(`{"action":"who","to":"ann","toConnection":"`+there.Hello().Connection+`"}`)); err != nil {
		s.t.Fatal(err)
	}
	return there.hear("who").FromConnection
}

func TestAGatewayIsLimited(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s, gateways := withConnections(t, options{Config: trusting(i.entry()), Env: []string{"USHER_COMPAT_CONNECTIONS_RATE=3/1h", "USHER_LIMITS_FAILED=2/1h"}})
	g := gateways["of Go"]
	connection := s.signal(i.token("ann"), client.SignalOptions{}).Hello().Connection
	for range 3 {
		g.want(t, "within the rate", 200, "", "post", connection, "{}")
	}
	g.want(t, "beyond it", 429, "LimitExceededException", "post", connection, "{}")
	wrong := g
	wrong.secret += "x"
	for range 2 {
		wrong.want(t, "a guess", 403, "InvalidSignatureException", "get", connection, "")
	}
	wrong.want(t, "a guess too many", 429, "LimitExceededException", "get", connection, "")
}

// What is no request of an SDK is refused in the same manner, and the API is only
// on its own listener.
func TestAGatewayIsForSignedRequestsAlone(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s, gateways := withConnections(t, options{Config: trusting(i.entry())})
	endpoint := gateways["of Go"].endpoint
	connection := s.signal(i.token("ann"), client.SignalOptions{}).Hello().Connection
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		method, url, name string
		header            []string
	}{
		"nothing presented":         {"POST", endpoint + "/@connections/" + connection, "MissingAuthenticationTokenException", nil},
		"a token of a user":         {"POST", endpoint + "/@connections/" + connection, "IncompleteSignatureException", bearer(i.token("ann").Reveal())},
		"a signature in the URL":    {"GET", endpoint + "/@connections/" + connection + "?X-Amz-Signature=00", "MissingAuthenticationTokenException", nil},
		"another method":            {"PUT", endpoint + "/@connections/" + connection, "ForbiddenException", nil},
		"another path":              {"GET", "http://" + u.Host + "/healthz", "ForbiddenException", nil},
		"the native API over there": {"GET", "http://" + u.Host + "/api/v1/rooms", "ForbiddenException", nil},
	} {
		a, err := send(http.DefaultClient, tt.method, tt.url, "", tt.header...)
		var body struct{ Message string }
		if err != nil || a.Status != http.StatusForbidden || a.Header.Get("X-Amzn-ErrorType") != tt.name || json.Unmarshal([]byte(a.Body), &body) != nil || body.Message == "" {
			t.Errorf("%s: got %d %s %s, error %v, want 403 %s and a message", name, a.Status, a.Header.Get("X-Amzn-ErrorType"), a.Body, err, tt.name)
		}
	}
	if a := s.do("POST", "/dev/@connections/"+connection, "{}"); a.Status != http.StatusNotFound {
		t.Errorf("on the server's own listener: got %d", a.Status)
	}
	if regexp.MustCompile(`(?m)^  http\S+/dev$`).Match(s.output.Bytes()) {
		t.Error("the banner has the API among the addresses of the server")
	}
}
