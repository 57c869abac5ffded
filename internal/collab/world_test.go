package collab_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/collab"
	"usher/internal/keys"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for what must happen.
const patience = 30 * time.Second

var shop = usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "shop", Scopes: usher.AllScopes}

// Those who may change documents, and those who may only read them.
var (
	writer = usher.Permissions{usher.Join, usher.Subscribe, usher.PublishData}
	reader = usher.Permissions{usher.Join, usher.Subscribe}
)

// shown compares what views show.
var shown = cmpopts.IgnoreUnexported(collab.View{})

// fataler is a test, or a property of rapid.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// world is a server without its transports.
type world struct {
	t      *testing.T
	db     store.DB
	access *access.Access
	hub    *collab.Hub
	config collab.Config
	deps   collab.Deps
}

func openStore(t *testing.T) store.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db"), Synchronous: sqlstore.Off})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// newWorld returns a server that ends with the test. Edit may be nil.
func newWorld(t *testing.T, edit func(*collab.Config, *collab.Deps)) *world {
	t.Helper()
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	db, logger := openStore(t), slog.New(slog.DiscardHandler)
	w := &world{t: t, db: db, config: collab.DefaultConfig()}
	w.access = access.New(access.Config{
		Store: db, Bus: &bus.Local{}, Rooms: room.DefaultConfig(), Policy: policy.DefaultConfig(), Record: access.DefaultRecordConfig(),
		Logger: logger, IDs: usher.SystemIDs(), Now: time.Now, Derive: sealer.Derive, Metrics: prometheus.NewRegistry(),
	})
	if err := w.access.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.access.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	w.deps = collab.Deps{Access: w.access, Store: db.Documents(), IDs: usher.SystemIDs(), Now: time.Now, Logger: logger}
	if edit != nil {
		edit(&w.config, &w.deps)
	}
	w.start()
	t.Cleanup(w.stop)
	return w
}

// start begins to serve documents, and stop ends it.
func (w *world) start() { w.hub = collab.New(w.config, w.deps) }

func (w *world) stop() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.hub.Close(ctx); err != nil {
		w.t.Errorf("Close: %v", err)
	}
}

// pass is a token with the room that it is for.
type pass struct {
	token usher.Secret
	room  usher.ID
}

// pass returns what lets a user into the room of that name.
func (w *world) pass(t fataler, user, room string, permissions usher.Permissions) pass {
	t.Helper()
	s, err := w.access.OpenSession(context.Background(), shop, access.SessionSpec{
		User: user, Lifetime: time.Hour, Rooms: []access.SessionRoom{{Ref: room, Permissions: permissions}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return pass{s.Token, s.Rooms[0].ID}
}

// page is somebody's end of a connection.
type page struct {
	*collab.Member
	w    *world
	pass pass

	mu     sync.Mutex
	heard  []any // what it was told, in order
	stamp  int64 // the highest that it was told of
	tell   func(u *collab.Update, own bool)
	notice chan struct{}
}

// What a page hears beside *collab.Presence and *collab.Gone.
type (
	update struct {
		*collab.Update
		own bool
	}
	refusal struct {
		op  collab.Op
		err *usher.Error
	}
	listing struct {
		name  string
		items []collab.Item
		stamp int64
	}
)

func (p *page) hear(v any) {
	p.mu.Lock()
	p.heard = append(p.heard, v)
	p.mu.Unlock()
	select {
	case p.notice <- struct{}{}:
	default:
	}
}

func (p *page) Updated(u *collab.Update, own bool) {
	p.mu.Lock()
	if p.tell != nil {
		p.tell(u, own)
	}
	if u.Changed && u.Stamp <= p.stamp {
		p.heard = append(p.heard, fmt.Sprintf("stamp %d after %d", u.Stamp, p.stamp))
	}
	p.stamp = max(p.stamp, u.Stamp)
	p.mu.Unlock()
	p.hear(update{u, own})
}

func (p *page) Refused(op collab.Op, err *usher.Error) { p.hear(refusal{op, err}) }

func (p *page) Listed(name string, items []collab.Item, stamp int64) {
	p.hear(listing{name, items, stamp})
}

func (p *page) Present(presence *collab.Presence) { p.hear(presence) }
func (p *page) Gone(g *collab.Gone)               { p.hear(g) }
func (p *page) Ended(end collab.End)              { p.hear(end) }

// join brings a page into a room; it leaves with the test at the latest.
func (w *world) join(t fataler, pass pass) *page {
	t.Helper()
	return w.joinAs(t, pass, nil)
}

func (w *world) joinAs(t fataler, pass pass, tell func(*collab.Update, bool)) *page {
	t.Helper()
	p := &page{w: w, pass: pass, tell: tell, notice: make(chan struct{}, 1)}
	var err error
	if p.Member, err = w.hub.Join(context.Background(), pass.token, pass.room, p); err != nil {
		t.Fatal(err)
	}
	w.t.Cleanup(p.Leave)
	return p
}

func (p *page) submit(t fataler, ops ...collab.Op) {
	t.Helper()
	if err := p.Submit(ops...); err != nil {
		t.Fatal(err)
	}
}

// await waits until the page has heard something that want is true of.
func (p *page) await(t fataler, what string, want func(any) bool) any {
	t.Helper()
	late := time.After(patience)
	for {
		p.mu.Lock()
		for _, v := range p.heard {
			if want(v) {
				p.mu.Unlock()
				return v
			}
		}
		p.mu.Unlock()
		select {
		case <-p.notice:
		case <-late:
			t.Fatalf("waited in vain for %s; heard %v", what, p.all())
		}
	}
}

func (p *page) all() []any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]any(nil), p.heard...)
}

// forget forgets what was heard so far.
func (p *page) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = nil
}

// awaitKey waits until the page was told that a key was put.
func (p *page) awaitKey(t fataler, key string) *collab.Update {
	t.Helper()
	return p.await(t, "the key "+key, func(v any) bool {
		u, ok := v.(update)
		return ok && u.Op.Kind == collab.PutKey && u.Op.Key == key
	}).(update).Update
}

func (p *page) awaitEnd(t fataler, why access.EndReason) {
	t.Helper()
	p.await(t, "the end "+string(why), func(v any) bool {
		end, ok := v.(collab.End)
		return ok && end.Why == why
	})
}

func (p *page) awaitRefusal(t fataler, code string) {
	t.Helper()
	p.await(t, "the refusal "+code, func(v any) bool {
		r, ok := v.(refusal)
		return ok && r.err.Code == code
	})
}

func (w *world) view(t fataler, p pass) *collab.View {
	t.Helper()
	v, err := w.hub.Document(context.Background(), p.token, p.room)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func put(key, value string) collab.Op {
	return collab.Op{Kind: collab.PutKey, Object: "m", Key: key, Value: value}
}

func insert(n int64, who string, after collab.ItemID, value string) collab.Op {
	return collab.Op{Kind: collab.InsertItem, Object: "l", Item: collab.ItemID{Counter: n, Writer: who}, After: after, Value: value}
}
