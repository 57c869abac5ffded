package signaling_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/call"
	"usher/internal/contact"
	"usher/internal/keys"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/signaling"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
)

// cloud is a gateway with its connections, a store, and processes that are handed
// an event each in turn, so that nothing can be in the memory of one.
type cloud struct {
	t      testing.TB
	db     store.DB
	tokens *tokens
	schema *jsonschema.Schema
	all    []*process
	events int
	*gateway
}

type process struct {
	access *access.Access
	remote *signaling.Remote
}

// gateway is one in memory.
type gateway struct {
	mu     sync.Mutex
	conns  map[string]*remotePeer
	closed []string
	// busy is how often a connection is too busy yet, and asked how often it was
	// sent to.
	busy, asked map[string]int
	// denied is how often a connection is not known yet although it is there.
	denied map[string]int
	// before, if set, is called before each message.
	before func(connection string)
}

// remotePeer is a client at the other end of the gateway.
type remotePeer struct {
	c    *cloud
	name string
	// id is what the gateway calls the connection.
	id    string
	made  bool
	heard []got
}

const endpoint = "https://abc.execute-api.us-east-1.amazonaws.com/dev"

// Post implements [signaling.Gateway].
func (g *gateway) Post(ctx context.Context, at, connection string, message []byte) error {
	if g.before != nil {
		g.before(connection)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked[connection]++
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if g.busy[connection] > 0 {
		g.busy[connection]--
		return signaling.ErrBusy
	}
	if g.denied[connection] > 0 {
		g.denied[connection]--
		return signaling.ErrGone
	}
	p := g.conns[connection]
	if p == nil || !p.made || at != endpoint {
		return signaling.ErrGone
	}
	var body map[string]any
	if err := json.Unmarshal(message, &body); err != nil {
		p.c.t.Errorf("%s was sent %q: %v", p.name, message, err)
	}
	if err := p.c.schema.Validate(body); err != nil {
		p.c.t.Errorf("%s was sent %s, which is not in the schema: %v", p.name, message, err)
	}
	p.heard = append(p.heard, got{string(message), body})
	return nil
}

// Close implements [signaling.Gateway].
func (g *gateway) Close(_ context.Context, _, connection string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conns[connection] == nil {
		return signaling.ErrGone
	}
	delete(g.conns, connection)
	g.closed = append(g.closed, connection)
	return nil
}

func newCloud(t testing.TB, change ...func(*signaling.RemoteDeps, *signaling.Config)) *cloud {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db"), Synchronous: sqlstore.Off})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c := &cloud{
		t: t, db: db, tokens: &tokens{}, schema: compile(t, "server"),
		gateway: &gateway{conns: make(map[string]*remotePeer), busy: make(map[string]int), asked: make(map[string]int), denied: make(map[string]int)},
	}
	for range 3 {
		c.all = append(c.all, c.start(change...))
	}
	return c
}

func (c *cloud) start(change ...func(*signaling.RemoteDeps, *signaling.Config)) *process {
	c.t.Helper()
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		c.t.Fatal(err)
	}
	p := &process{}
	registry, logger, ids := prometheus.NewRegistry(), slog.New(slog.DiscardHandler), usher.SystemIDs()
	p.access = access.New(access.Config{
		Store: c.db, Bus: &bus.Local{}, Rooms: room.DefaultConfig(), Policy: policy.DefaultConfig(), Record: access.DefaultRecordConfig(),
		Contacts: contact.DefaultConfig(), Presence: remotePresence{p}, Logger: logger, IDs: ids, Now: time.Now, Derive: sealer.Derive, Metrics: registry,
	})
	if err := p.access.Join(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := p.access.Close(context.Background()); err != nil {
			c.t.Error(err)
		}
	})
	deps := signaling.RemoteDeps{
		Deps: signaling.Deps{
			Access: p.access, Calls: c.db.Calls(), Identity: p.access.Authenticator(c.tokens), IDs: ids, Now: time.Now, Logger: logger, Metrics: registry,
		},
		Attachments: c.db.Attachments(), Once: c.db.Once(), Gateway: c,
	}
	config := signaling.DefaultConfig()
	config.Preset = signaling.AWS
	for _, f := range change {
		f(&deps, &config)
	}
	p.remote = signaling.NewRemote(config, call.DefaultConfig(), deps)
	return p
}

// remotePresence asks a process's hub, which is made after who asks it.
type remotePresence struct{ *process }

func (p remotePresence) Online(ctx context.Context, app string, keys []string) (map[string]bool, error) {
	return p.remote.Online(ctx, app, keys)
}

// next is the process that the next event comes to.
func (c *cloud) next() *process {
	c.events++
	return c.all[c.events%len(c.all)]
}

func (c *cloud) friends(a, b string) {
	c.t.Helper()
	for _, pair := range [][2]string{{a, b}, {b, a}} {
		c.list(pair[0], pair[1])
	}
}

func (c *cloud) list(owner, other string) {
	c.t.Helper()
	door := c.all[0].access
	for _, name := range []string{owner, other} {
		if _, err := door.User(c.t.Context(), person(name)); err != nil {
			c.t.Fatal(err)
		}
	}
	if _, _, err := door.AddContact(c.t.Context(), person(owner), access.ContactSpec{User: person(other).Key()}); err != nil {
		c.t.Fatal(err)
	}
}

// dial begins to connect somebody: the gateway waits for the answer.
func (c *cloud) dial(id usher.Identity, protocols ...string) (*remotePeer, error) {
	c.t.Helper()
	p := c.next()
	token := c.tokens.issue(id)
	known, err := p.remote.Authenticate(c.t.Context(), usher.Secret(token), "", netip.MustParseAddr("192.0.2.7"))
	if err != nil {
		return nil, err
	}
	peer := &remotePeer{c: c, name: id.Subject, id: fmt.Sprintf("%s%d=", id.Subject, c.events)}
	return peer, c.next().remote.Connect(c.t.Context(), peer.event(""), known, protocols)
}

// connect connects somebody, whose client says a word at once.
func (c *cloud) connect(name string) *remotePeer {
	c.t.Helper()
	p := c.open(name)
	p.send(`{"action":"ping"}`)
	p.want("pong")
	return p
}

// open connects somebody whose client is silent.
func (c *cloud) open(name string) *remotePeer {
	c.t.Helper()
	p, err := c.dial(person(name))
	if err != nil {
		c.t.Fatalf("%s can't connect: %v", name, err)
	}
	p.make()
	return p
}

func (p *remotePeer) make() {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.made = true
	p.c.conns[p.id] = p
}

func (p *remotePeer) event(message string) signaling.Event {
	id := person(p.name)
	return signaling.Event{Connection: p.id, Endpoint: endpoint, App: id.App, User: id.Key(), Message: message}
}

// send hands over a message, and once more if again says so.
func (p *remotePeer) send(format string, args ...any) {
	p.c.t.Helper()
	p.say(fmt.Sprint("m", p.c.events), format, args...)
}

func (p *remotePeer) say(message, format string, args ...any) {
	p.c.t.Helper()
	if err := p.c.next().remote.Message(p.c.t.Context(), p.event(message), fmt.Appendf(nil, format, args...)); err != nil {
		p.c.t.Errorf("%s sent %s: %v", p.name, fmt.Sprintf(format, args...), err)
	}
}

// leave ends the connection; the gateway says so only if told is true.
func (p *remotePeer) leave(told bool) {
	p.c.t.Helper()
	p.c.mu.Lock()
	delete(p.c.conns, p.id)
	p.c.mu.Unlock()
	if told {
		if err := p.c.next().remote.Disconnect(p.c.t.Context(), p.event("")); err != nil {
			p.c.t.Error(err)
		}
	}
}

// take returns what was heard, and forgets it.
func (p *remotePeer) take() []got {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	heard := p.heard
	p.heard = nil
	return heard
}

// want takes the actions of all that was heard, and returns the last message.
func (p *remotePeer) want(actions ...string) map[string]any {
	p.c.t.Helper()
	heard := p.take()
	var have []string
	for _, m := range heard {
		have = append(have, m.body["action"].(string))
	}
	if !slices.Equal(have, actions) {
		p.c.t.Fatalf("%s heard %v, want %q", p.name, heard, actions)
	}
	if len(heard) == 0 {
		return nil
	}
	return heard[len(heard)-1].body
}

func (p *remotePeer) wantError(code string) {
	p.c.t.Helper()
	if got := p.want("error")["payload"].(map[string]any)["code"]; got != code {
		p.c.t.Errorf("%s was told %v, want %s", p.name, got, code)
	}
}

func (p *remotePeer) wantStatus(of, status string) {
	p.c.t.Helper()
	got := p.want("presence")["payload"].(map[string]any)
	if got["userId"] != of || got["status"] != status || got["online"] != (status != "offline") {
		p.c.t.Errorf("%s was told %v, want that %s is %s", p.name, got, of, status)
	}
}

// wantRows holds how many connections of somebody the store has.
func (c *cloud) wantRows(name string, want int) {
	c.t.Helper()
	rows, err := c.db.Attachments().Of(c.t.Context(), usher.DefaultApp, person(name).Key())
	if err != nil || len(rows) != want {
		c.t.Errorf("the store has %d connections of %s, error %v, want %d", len(rows), name, err, want)
	}
}

// online asks as somebody who lists another.
func (c *cloud) online(owner, other string) bool {
	c.t.Helper()
	list, err := c.next().access.Contacts(c.t.Context(), person(owner))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, l := range list {
		if l.User.Key == person(other).Key() {
			return l.Online
		}
	}
	c.t.Fatalf("%s does not list %s", owner, other)
	return false
}

func (c *cloud) sweep() {
	c.t.Helper()
	if err := c.next().remote.Sweep(c.t.Context()); err != nil {
		c.t.Error(err)
	}
}
