package signaling_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/call"
	"usher/internal/contact"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/keys"
	"usher/internal/limit"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/signaling"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	base   = "http://usher.test"
	issuer = "https://id.example"
)

// patience bounds every wait for something that should be there at once.
const patience = 30 * time.Second

var operator = usher.Identity{App: usher.DefaultApp, Kind: usher.LocalIdentity, Subject: "operator", Operator: true}

func person(name string) usher.Identity {
	return usher.Identity{
		App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: issuer, Subject: name, Name: strings.ToUpper(name[:1]) + name[1:],
		Email: name + "@example.org", IssuedAt: time.Now().Add(-time.Second),
	}
}

func guest(name string, room usher.ID) usher.Identity {
	return usher.Identity{App: usher.DefaultApp, Kind: usher.GuestIdentity, Subject: name, Name: name, Room: room, Role: usher.Viewer, IssuedAt: time.Now()}
}

// tokens knows the bearers of made-up tokens.
type tokens struct {
	mu    sync.Mutex
	known map[usher.Secret]usher.Identity
}

func (ts *tokens) Authenticate(_ context.Context, p identity.Proof) (usher.Identity, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	id, ok := ts.known[p.Bearer]
	if !ok {
		return usher.Identity{}, identity.ErrBad
	}
	if !id.Expires.IsZero() && !time.Now().Before(id.Expires) {
		return usher.Identity{}, identity.ErrTokenExpired
	}
	return id, nil
}

// issue makes a token for somebody.
func (ts *tokens) issue(id usher.Identity) string {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.known == nil {
		ts.known = make(map[usher.Secret]usher.Identity)
	}
	token := fmt.Sprintf("%s-%d", id.Subject, len(ts.known))
	ts.known[usher.Secret(token)] = id
	return token
}

// world is a store with a node on it, on a listener in memory, so that it can
// live in a bubble of package synctest.
type world struct {
	*node
	t      testing.TB
	db     store.DB
	bus    *bus.Local
	tokens *tokens
	schema *jsonschema.Schema // of what the server sends
}

// node is one process.
type node struct {
	access   *access.Access
	hub      *signaling.Hub
	handler  http.Handler
	http     *http.Client
	stop     func()
	listener *memoryListener
}

// setup is what a test can change about its nodes.
type setup struct {
	config signaling.Config
	calls  call.Config
	deps   signaling.Deps
}

func newWorld(t testing.TB, change ...func(*setup)) *world {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db"), Synchronous: sqlstore.Off})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w := &world{t: t, db: db, bus: &bus.Local{}, tokens: &tokens{}, schema: compile(t, "server")}
	w.node = w.start(change...)
	return w
}

// compile returns the schema of what one side sends.
func compile(t testing.TB, side string) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("../../docs/signaling/schema.json#/$defs/" + side)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// start starts a node on the world's store.
func (w *world) start(change ...func(*setup)) *node {
	w.t.Helper()
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		w.t.Fatal(err)
	}
	n := &node{listener: newMemoryListener()}
	registry, logger := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	ids := usher.SystemIDs()
	n.access = access.New(access.Config{
		Store: w.db, Bus: w.bus, Rooms: room.DefaultConfig(), Policy: policy.DefaultConfig(), Record: access.DefaultRecordConfig(),
		Contacts: contact.DefaultConfig(), Presence: presence{n}, Logger: logger, IDs: ids, Now: time.Now, Derive: sealer.Derive, Metrics: registry,
	})
	if err := n.access.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	s := setup{config: signaling.DefaultConfig(), calls: call.DefaultConfig(), deps: signaling.Deps{
		Access: n.access, Calls: w.db.Calls(), Bus: w.bus, Identity: n.access.Authenticator(w.tokens), Origins: []string{"https://app.example"},
		IDs: ids, Now: time.Now, Logger: logger, Metrics: registry,
	}}
	for _, f := range change {
		f(&s)
	}
	if n.hub, err = signaling.New(s.config, s.calls, s.deps); err != nil {
		w.t.Fatal(err)
	}
	if err := n.hub.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	n.handler, err = httpd.New(httpd.Config{
		Identity: n.access.Authenticator(w.tokens), Logger: logger, Metrics: httpd.NewMetrics(registry), RequestIDs: ids, Limits: limit.Config{},
	}, n.hub.Dialect())
	if err != nil {
		w.t.Fatal(err)
	}
	n.serve(w.t)
	return n
}

// presence asks a node's hub, which is made after who asks it.
type presence struct{ *node }

func (p presence) Online(ctx context.Context, app string, keys []string) (map[string]bool, error) {
	return p.hub.Online(ctx, app, keys)
}

// serve runs the node until the test is over, or stop is called.
func (n *node) serve(t testing.TB) {
	server := &http.Server{Handler: n.handler, ConnContext: httpd.ConnContext(httpd.Origin{Base: base})}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(n.listener) })
	running.Go(func() { n.access.Run(ctx) })
	running.Go(func() { n.hub.Run(ctx) })
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return n.listener.dial() }}
	n.http = &http.Client{Transport: transport}
	n.stop = sync.OnceFunc(func() {
		limit, done := context.WithTimeout(context.Background(), time.Minute)
		defer done()
		cancel()
		if err := n.hub.Shutdown(limit); err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		running.Wait()
		if err := n.access.Close(limit); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(n.stop)
}

// memoryListener accepts connections from its own process.
type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemoryListener() *memoryListener {
	return &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

func (l *memoryListener) dial() (net.Conn, error) {
	theirs, ours := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// list makes each of the people a contact of the others.
func (w *world) list(owner string, others ...string) {
	w.t.Helper()
	for _, name := range append([]string{owner}, others...) {
		if _, err := w.access.User(w.t.Context(), person(name)); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, name := range others {
		if _, _, err := w.access.AddContact(w.t.Context(), person(owner), access.ContactSpec{User: person(name).Key()}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) friends(a, b string) {
	w.t.Helper()
	w.list(a, b)
	w.list(b, a)
}

// peer is a browser's end of a connection. It reads all the time, and holds
// what it reads against the schema.
type peer struct {
	w      *world
	t      testing.TB
	name   string
	conn   *websocket.Conn
	heard  chan got
	stash  []got // heard while something else was waited for
	closed chan websocket.CloseError
	hello  map[string]any
}

// got is a message, as it came and as it reads.
type got struct {
	text string
	body map[string]any
}

// as says how to connect.
type as struct {
	node   *node
	legacy bool
	token  string // of the name, if empty
	first  string // in place of auth
	origin string
	query  url.Values
}

func (w *world) dial(name string, a as) (*peer, *http.Response, error) {
	if a.node == nil {
		a.node = w.node
	}
	if a.token == "" {
		a.token = w.tokens.issue(person(name))
	}
	o := &websocket.DialOptions{HTTPClient: a.node.http, HTTPHeader: http.Header{}}
	address := "ws://usher.test/signal"
	if a.legacy {
		if a.query == nil {
			a.query = url.Values{"Auth": {a.token}}
		}
		address += "?" + a.query.Encode()
	} else {
		o.Subprotocols = []string{"usher.v1"}
	}
	if a.origin != "" {
		o.HTTPHeader.Set("Origin", a.origin)
	}
	conn, resp, err := websocket.Dial(context.Background(), address, o)
	if err != nil {
		return nil, resp, err
	}
	conn.SetReadLimit(8 << 20)
	p := &peer{w: w, t: w.t, name: name, conn: conn, heard: make(chan got, 1<<14), closed: make(chan websocket.CloseError, 1)}
	done := make(chan struct{})
	go func() { defer close(done); p.read() }()
	w.t.Cleanup(func() { _ = conn.CloseNow(); <-done })
	if !a.legacy {
		if a.first == "" {
			a.first = `{"action":"auth","payload":{"token":"` + a.token + `"}}`
		}
		p.send(a.first)
	}
	return p, resp, nil
}

// connect connects somebody, and reads the hello.
func (w *world) connect(name string, change ...func(*as)) *peer {
	w.t.Helper()
	var a as
	for _, f := range change {
		f(&a)
	}
	p, resp, err := w.dial(name, a)
	if err != nil {
		w.t.Fatalf("%s can't connect: %v (%v)", name, err, resp)
	}
	if a.legacy {
		p.quiet() // it is there once it is answered
	} else {
		p.hello = p.want("hello")["payload"].(map[string]any)
	}
	return p
}

func legacy(a *as)                { a.legacy = true }
func on(n *node) func(*as)        { return func(a *as) { a.node = n } }
func with(token string) func(*as) { return func(a *as) { a.token = token } }

func (p *peer) read() {
	for {
		_, data, err := p.conn.Read(context.Background())
		if err != nil {
			end, ok := errors.AsType[websocket.CloseError](err)
			if !ok {
				end.Code = -1 // lost
			}
			p.closed <- end
			return
		}
		var body any
		if err := json.Unmarshal(data, &body); err != nil {
			p.t.Errorf("the server sent %q: %v", data, err)
			continue
		}
		if err := p.w.schema.Validate(body); err != nil {
			p.t.Errorf("the server sent %s, which is not in the schema: %v", data, err)
		}
		p.heard <- got{string(data), body.(map[string]any)}
	}
}

func (p *peer) send(text string) {
	p.t.Helper()
	if err := p.conn.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		p.t.Errorf("%s can't send: %v", p.name, err)
	}
}

func (p *peer) next() got {
	p.t.Helper()
	if len(p.stash) > 0 {
		m := p.stash[0]
		p.stash = p.stash[1:]
		return m
	}
	return p.receive()
}

// receive returns the next message from the wire.
func (p *peer) receive() got {
	p.t.Helper()
	select {
	case m := <-p.heard:
		return m
	case end := <-p.closed:
		p.closed <- end
		select {
		case m := <-p.heard: // before it was closed
			return m
		default:
		}
		p.t.Fatalf("%s was closed: %d %s", p.name, end.Code, end.Reason)
	case <-time.After(patience):
		p.t.Fatalf("%s heard nothing", p.name)
	}
	panic("unreachable")
}

// want returns the next message, which must be of that action, leaving out
// what presence and rosters say by the way.
func (p *peer) want(action string) map[string]any {
	p.t.Helper()
	for {
		m := p.next()
		switch got := m.body["action"]; {
		case got == action:
			return m.body
		case got == "presence" || got == "room.roster" || got == "contacts.changed":
		default:
			p.t.Fatalf("%s heard %s, want %s", p.name, m.text, action)
		}
	}
}

// until skips messages up to one of that action, and returns it.
func (p *peer) until(action string) map[string]any {
	p.t.Helper()
	for {
		if m := p.next().body; m["action"] == action {
			return m
		}
	}
}

// wantError waits for an error and holds its code and ref against what is wanted.
func (p *peer) wantError(code, ref string) {
	p.t.Helper()
	m := p.want("error")
	gotRef, _ := m["ref"].(string)
	if got := m["payload"].(map[string]any)["code"]; got != code || gotRef != ref {
		p.t.Errorf("%s was told the error %v of %q (%v), want %s of %q", p.name, got, gotRef, m["payload"], code, ref)
	}
}

// ask sends a message with an id, and returns the ack, or fails.
func (p *peer) ask(format string, args ...any) map[string]any {
	p.t.Helper()
	p.send(fmt.Sprintf(format, args...))
	for {
		m := p.receive()
		switch m.body["action"] {
		case "ack", "room.joined":
			return m.body
		case "error":
			p.t.Fatalf("%s sent %s and was told %s", p.name, fmt.Sprintf(format, args...), m.text)
		}
		p.stash = append(p.stash, m)
	}
}

// refused sends a message, which must be refused with a code.
func (p *peer) refused(code, format string, args ...any) {
	p.t.Helper()
	p.send(fmt.Sprintf(format, args...))
	for {
		m := p.receive()
		if m.body["action"] != "error" {
			p.stash = append(p.stash, m)
			continue
		}
		if got := m.body["payload"].(map[string]any)["code"]; got != code {
			p.t.Errorf("%s sent %s and was told %s, want %s", p.name, fmt.Sprintf(format, args...), m.text, code)
		}
		return
	}
}

// quiet checks that nothing is under way to somebody but what presence says by
// the way: what a ping is answered with is next.
func (p *peer) quiet() {
	p.t.Helper()
	p.send(`{"action":"ping"}`)
	p.want("pong")
}

// still checks that nothing at all is under way.
func (p *peer) still() {
	p.t.Helper()
	p.send(`{"action":"ping"}`)
	if m := p.next(); m.body["action"] != "pong" {
		p.t.Errorf("%s heard %s, want nothing", p.name, m.text)
	}
}

// wantClosed waits until the server has closed the connection.
func (p *peer) wantClosed(code int) {
	p.t.Helper()
	select {
	case end := <-p.closed:
		if int(end.Code) != code {
			p.t.Errorf("%s was closed with %d %q, want %d", p.name, end.Code, end.Reason, code)
		}
	case <-time.After(patience):
		p.t.Fatalf("%s is still connected", p.name)
	}
}

// status waits until somebody's presence is as it should be.
func (p *peer) status(name, want string) {
	p.t.Helper()
	for {
		m := p.next()
		if m.body["action"] != "presence" {
			continue
		}
		got := m.body["payload"].(map[string]any)
		if got["online"] != (got["status"] != "offline") {
			p.t.Errorf("%s was told %v", p.name, got)
		}
		if got["userId"] == name && got["status"] == want {
			return
		}
	}
}

// drop breaks the connection.
func (p *peer) drop() { _ = p.conn.CloseNow() }

// leave closes as a page does that is left on purpose.
func (p *peer) leave(code websocket.StatusCode) { _ = p.conn.Close(code, "") }

// resume is the first message of who comes back.
func (p *peer) resume(seq int) func(*as) {
	token := p.hello["resume"].(map[string]any)["token"].(string)
	return func(a *as) { a.first = fmt.Sprintf(`{"action":"resume","payload":{"token":%q,"seq":%d}}`, token, seq) }
}

// pass lets time pass in a bubble, and all that it sets off happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
