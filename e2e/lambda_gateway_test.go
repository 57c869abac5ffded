package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"usher"
	"usher/client"
	"usher/internal/sigv4"
)

// awsGateway stands for API Gateway in front of functions: a REST API, or an HTTP
// API, and a WebSocket API with its @connections.
type awsGateway struct {
	*httptest.Server
	t testing.TB
	// functions are those behind it, by name, and routes the names of those that
	// serve the REST API, by method and resource. roles says what each may do.
	functions map[string]*lambda
	routes    map[string]string
	roles     map[string]role

	mu       sync.Mutex
	conns    map[string]*gatewayConn
	next     int
	v2       bool     // the REST API is an HTTP API
	twice    bool     // every event of a message comes twice
	backward bool     // messages wait, and are then told the last first
	held     []func() // those that wait
	silent   bool     // nobody is told of an end
	busy     int      // events under way that nobody waits for
	verifier sigv4.Verifier
}

// role is what a function of some credentials may do.
type role struct {
	name    string
	allowed []permission
}

// permission is a statement of a policy.
type permission struct{ actions, resources []string }

// may reports whether a role allows an action on a resource, whose name is
// compared from the part after the account.
func (r role) may(action, resource string) bool {
	return slices.ContainsFunc(r.allowed, func(p permission) bool {
		return slices.Contains(p.actions, action) && slices.ContainsFunc(p.resources, func(pattern string) bool {
			prefix, all := strings.CutSuffix(pattern, "*")
			return pattern == resource || all && strings.HasPrefix(resource, prefix)
		})
	})
}

// gatewayConn is one connection of the WebSocket API.
type gatewayConn struct {
	gateway    *awsGateway
	id         string
	at         time.Time
	authorizer map[string]any
	open       bool // $connect has been answered
	socket     *websocket.Conn
}

// newAWSGateway starts the gateway without functions.
func newAWSGateway(t testing.TB) *awsGateway {
	g := &awsGateway{
		t: t, conns: make(map[string]*gatewayConn), functions: make(map[string]*lambda), roles: make(map[string]role), routes: make(map[string]string),
		verifier: sigv4.Verifier{Service: "execute-api", Now: time.Now, Secrets: make(map[string]usher.Secret)},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /"+stage, g.upgrade)
	mux.HandleFunc("/"+stage+"/", g.api)
	mux.HandleFunc("/"+stage+"/@connections/{connection}", g.manage)
	g.Server = httptest.NewServer(mux)
	t.Cleanup(g.Close)
	return g
}

// begin hands out an event that nobody waits for. g.mu is held.
func (g *awsGateway) begin(tell func()) {
	g.busy++
	go func() {
		tell()
		g.set(func(g *awsGateway) { g.busy-- })
	}()
}

// settle waits until no event is under way.
func (g *awsGateway) settle() {
	g.t.Helper()
	until(g.t, "events are under way", 2*time.Minute, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.busy == 0
	})
}

// shut ends all connections before the functions end, and tells nobody.
func (g *awsGateway) shut() {
	g.mu.Lock()
	g.silent = true
	open := slices.Collect(maps.Values(g.conns))
	g.mu.Unlock()
	for _, c := range open {
		if c.socket != nil {
			_ = c.socket.CloseNow()
		}
	}
	for over := false; !over; {
		g.mu.Lock()
		over = len(g.conns) == 0 && g.busy == 0
		g.mu.Unlock()
		runtime.Gosched()
	}
}

// endpoint is where functions post to connections.
func (g *awsGateway) endpoint() string { return g.URL + "/" + stage }

func (g *awsGateway) domain() string { return strings.TrimPrefix(g.URL, "http://") }

// api has the REST API's function answer a request.
func (g *awsGateway) api(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/"+stage)
	event := restEvent(r, path, body)
	g.mu.Lock()
	if g.v2 {
		event = httpEvent(r, path, body)
	}
	g.mu.Unlock()
	resource, _ := resourceOf(path)
	name, known := g.routes[r.Method+" "+resource]
	if !known {
		w.WriteHeader(http.StatusForbidden) // Missing Authentication Token
		return
	}
	answer := g.functions[name].invoke(event)
	var a struct {
		StatusCode        int
		Headers           map[string]string
		MultiValueHeaders map[string][]string
		Cookies           []string
		Body              string
		IsBase64Encoded   bool
	}
	if answer.failed() || json.Unmarshal(answer.Payload, &a) != nil || a.StatusCode == 0 {
		g.t.Errorf("%s %s is answered by an error, or not in the form that the gateway wants: %+v %s", r.Method, path, answer, answer.Payload)
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	for name, value := range a.Headers {
		w.Header().Set(name, value)
	}
	for name, values := range a.MultiValueHeaders {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	text := []byte(a.Body)
	if a.IsBase64Encoded {
		if text, err = base64.StdEncoding.DecodeString(a.Body); err != nil {
			g.t.Errorf("%s %s: the body is not base64: %v", r.Method, path, err)
		}
	}
	w.WriteHeader(a.StatusCode)
	_, _ = w.Write(text) // whoever asked may be gone
}

// upgrade asks the authorizer, and then the function of $connect, before it lets
// a socket be.
func (g *awsGateway) upgrade(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("Auth") == "" { // the authorizer is not asked
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.mu.Lock()
	g.next++
	// As the gateway's own ids: base64 of some bytes, with a = at the end.
	c := &gatewayConn{gateway: g, id: base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "connection%04d", g.next)), at: time.Now()}
	g.conns[c.id] = c
	g.mu.Unlock()
	if status := c.admit(r); status != http.StatusOK {
		g.forget(c)
		w.WriteHeader(status)
		return
	}
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		g.forget(c)
		return
	}
	socket.SetReadLimit(128 << 10)
	g.mu.Lock()
	c.socket, c.open = socket, true
	g.mu.Unlock()
	for {
		_, text, err := socket.Read(context.Background())
		if err != nil {
			break
		}
		g.message(c, string(text))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c.id)
	if g.silent {
		return
	}
	g.begin(func() {
		if answer := g.functions["ConnectionHandler"].invoke(c.disconnectEvent()); answer.failed() {
			g.t.Errorf("$disconnect is answered by an error: %+v", answer)
		}
	})
}

// admit returns the status of the upgrade.
func (c *gatewayConn) admit(r *http.Request) int {
	g := c.gateway
	answer := g.functions["AuthWS"].invoke(c.authorizerEvent(r))
	if answer.failed() {
		if answer.Message == "Unauthorized" {
			return http.StatusUnauthorized
		}
		return http.StatusInternalServerError
	}
	var decided struct {
		PrincipalID    string
		PolicyDocument struct {
			Version   string
			Statement []struct{ Effect, Action, Resource json.RawMessage }
		}
		Context map[string]any
	}
	if err := json.Unmarshal(answer.Payload, &decided); err != nil {
		g.t.Errorf("the authorizer answers %s: %v", answer.Payload, err)
		return http.StatusInternalServerError
	}
	for name, value := range decided.Context {
		switch value.(type) {
		case string, float64, bool:
		default:
			g.t.Errorf("the authorizer's context has %s, which is not flat: %v", name, value)
			return http.StatusInternalServerError
		}
	}
	policy := decided.PolicyDocument
	if decided.PrincipalID == "" || policy.Version != "2012-10-17" || len(policy.Statement) != 1 || string(policy.Statement[0].Effect) != `"Allow"` {
		return http.StatusForbidden
	}
	c.authorizer = map[string]any{"principalId": decided.PrincipalID, "integrationLatency": 7}
	for name, value := range decided.Context {
		c.authorizer[name] = value
	}
	answer = g.functions["ConnectionHandler"].invoke(c.connectEvent(r))
	var status struct{ StatusCode int }
	if answer.failed() || json.Unmarshal(answer.Payload, &status) != nil {
		return http.StatusBadGateway
	}
	return status.StatusCode
}

// message has a message told, by itself and whenever it comes to it.
func (g *awsGateway) message(c *gatewayConn, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next++
	event := c.messageEvent(text, fmt.Sprintf("Fc5TLfQT%08d=", g.next))
	tell := func() {
		if answer := g.functions["DefaultHandler"].invoke(event); answer.failed() {
			g.t.Errorf("the message %s is answered by an error: %+v", text, answer)
		}
	}
	times := 1
	if g.twice {
		times = 2
	}
	for range times {
		if g.backward {
			g.held = append(g.held, tell)
			continue
		}
		g.begin(tell)
	}
}

// release tells what waits, the last first, once there are n.
func (g *awsGateway) release(n int) {
	g.t.Helper()
	var held []func()
	until(g.t, "the messages have not come", socketTime, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		if held = g.held; len(held) < n {
			return false
		}
		g.held = nil
		return true
	})
	for _, tell := range slices.Backward(held) {
		tell()
	}
}

// set changes how the gateway behaves.
func (g *awsGateway) set(change func(*awsGateway)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(g)
}

func (g *awsGateway) forget(c *gatewayConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c.id)
}

// manage is the @connections API, with AWS's statuses and error headers.
func (g *awsGateway) manage(w http.ResponseWriter, r *http.Request) {
	fail := func(status int, name string) {
		w.Header().Set("X-Amzn-ErrorType", name)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"message":"`+name+`"}`) // the function may be gone
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	key, err := g.verifier.Verify(r, body)
	if err != nil {
		g.t.Errorf("a function calls @connections without a good signature: %v", err)
		fail(http.StatusForbidden, "InvalidSignatureException")
		return
	}
	id := r.PathValue("connection")
	if role := g.roles[key]; !role.may("execute-api:ManageConnections", apiID+"/"+stage+"/"+r.Method+"/@connections/"+id) {
		g.t.Errorf("the function %s may not %s to @connections", role.name, r.Method)
		fail(http.StatusForbidden, "ForbiddenException")
		return
	}
	g.mu.Lock()
	c := g.conns[id]
	there := c != nil && c.open // not yet while $connect is asked
	g.mu.Unlock()
	switch {
	case !there:
		fail(http.StatusGone, "GoneException")
	case len(body) > 128<<10:
		fail(http.StatusRequestEntityTooLarge, "PayloadTooLargeException")
	case r.Method == http.MethodPost:
		if err := c.socket.Write(r.Context(), websocket.MessageText, body); err != nil {
			fail(http.StatusGone, "GoneException")
		}
	case r.Method == http.MethodDelete:
		_ = c.socket.Close(websocket.StatusNormalClosure, "") // it may be gone
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet:
		instant := c.at.UTC().Format("2006-01-02T15:04:05.000Z")
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"connectedAt": instant, "lastActiveAt": instant, "identity": map[string]any{"sourceIp": netip.MustParseAddr("203.0.113.7"), "userAgent": agent},
		})
	}
}

// lose breaks all connections of a user off, and nobody is told: $disconnect never
// comes.
func (g *awsGateway) lose(user string) {
	g.mu.Lock()
	g.silent = true
	var lost []*gatewayConn
	for _, c := range g.conns {
		if principal, _ := c.authorizer["principalId"].(string); c.open && strings.HasSuffix(principal, "#"+user) {
			lost = append(lost, c)
		}
	}
	g.mu.Unlock()
	for _, c := range lost {
		_ = c.socket.CloseNow()
	}
	until(g.t, "the gateway still has the connections", socketTime, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return !slices.ContainsFunc(lost, func(c *gatewayConn) bool { return g.conns[c.id] != nil })
	})
}

// onGateway is somebody's end of a connection.
type onGateway struct {
	t    testing.TB
	conn *websocket.Conn
}

// dial connects with a token in the URL, as the app does, and returns the status
// of who is not let in.
func (g *awsGateway) dial(token usher.Secret) (onGateway, int) {
	g.t.Helper()
	conn, resp, err := websocket.Dial(within(g.t, socketTime), g.URL+"/"+stage+"?Auth="+token.Reveal(), nil)
	if err != nil {
		if resp == nil {
			g.t.Fatal(err)
		}
		return onGateway{}, resp.StatusCode
	}
	conn.SetReadLimit(1 << 20)
	g.t.Cleanup(func() { _ = conn.CloseNow() })
	return onGateway{g.t, conn}, http.StatusOK
}

// connect is dial for who must be let in.
func (g *awsGateway) connect(token usher.Secret) onGateway {
	g.t.Helper()
	c, status := g.dial(token)
	if status != http.StatusOK {
		g.t.Fatalf("the connection is refused with %d", status)
	}
	return c
}

func (c onGateway) say(m client.Message) {
	c.t.Helper()
	if err := c.conn.Write(within(c.t, socketTime), websocket.MessageText, asPayload(c.t, m)); err != nil {
		c.t.Fatal(err)
	}
}

// hear returns the next message of one of the actions.
func (c onGateway) hear(actions ...string) client.Message {
	c.t.Helper()
	ctx := within(c.t, time.Minute)
	for {
		_, data, err := c.conn.Read(ctx)
		var m client.Message
		if err == nil {
			err = json.Unmarshal(data, &m)
		}
		if err != nil {
			c.t.Fatalf("waiting for %q: %v", actions, err)
		}
		if slices.Contains(actions, m.Action) {
			return m
		}
	}
}

// wantCode asks for something that is refused.
func (c onGateway) wantCode(code string, m client.Message) {
	c.t.Helper()
	m.ID = "asked"
	c.say(m)
	answer := c.hear("ack", "error")
	var refusal struct{ Code string }
	if answer.Action == "error" {
		if err := json.Unmarshal(answer.Payload, &refusal); err != nil {
			c.t.Fatal(err)
		}
	}
	if refusal.Code != code {
		c.t.Errorf("%s is answered %q, want %q", m.Action, refusal.Code, code)
	}
}

// ask asks for something that must be done.
func (c onGateway) ask(m client.Message) {
	c.t.Helper()
	c.wantCode("", m)
}
