package signaling_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
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
	"usher/internal/socket/sockettest"
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
	listener *sockettest.Listener
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
	n := &node{listener: sockettest.NewListener()}
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
	transport := n.listener.Transport()
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

// pass lets time pass in a bubble, and all that it sets off happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
