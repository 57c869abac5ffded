package roomservice_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/collab"
	"usher/internal/compat/roomservice"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/keys"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store/sqlstore"
)

// patience bounds how long a test waits for anything.
const patience = 30 * time.Second

// world is a server that takes everybody for one back end.
type world struct {
	t       testing.TB
	url     string
	access  *access.Access
	service *roomservice.Service
}

var shop = usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "shop", Scopes: usher.AllScopes}

// everybody is the back end.
type everybody struct{}

func (everybody) Authenticate(context.Context, identity.Proof) (usher.Identity, error) {
	return shop, nil
}

func newWorld(t testing.TB) *world {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db"), Synchronous: sqlstore.Off})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	w := &world{t: t, access: access.New(access.Config{
		Store: db, Bus: &bus.Local{}, Rooms: room.DefaultConfig(), Policy: policy.DefaultConfig(), Record: access.DefaultRecordConfig(),
		Logger: logger, IDs: usher.SystemIDs(), Now: time.Now, Derive: sealer.Derive, Metrics: prometheus.NewRegistry(),
	})}
	if err := w.access.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	hub := collab.New(collab.DefaultConfig(), collab.Deps{Access: w.access, Store: db.Documents(), IDs: usher.SystemIDs(), Now: time.Now, Logger: logger})
	w.service = roomservice.New(roomservice.Config{Access: w.access, Hub: hub, Lifetime: time.Hour, MaxValue: 64 << 10, Logger: logger})
	handler, err := httpd.New(httpd.Config{
		Identity: everybody{}, Logger: logger, Metrics: httpd.NewMetrics(prometheus.NewRegistry()), RequestIDs: usher.SystemIDs(),
	}, w.service.Dialect())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	w.url = server.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err := errors.Join(w.service.Shutdown(ctx), hub.Close(ctx), w.access.Close(ctx))
		server.Close()
		if err := errors.Join(err, db.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// ticket is what a client enters a room with.
type ticket struct {
	token, room, doc string
}

func (w *world) ticket(user, ref string) ticket {
	w.t.Helper()
	opened, err := w.access.OpenSession(w.t.Context(), shop, access.SessionSpec{
		User: user, Lifetime: time.Hour,
		Rooms: []access.SessionRoom{{Ref: ref, Permissions: usher.Permissions{usher.Join, usher.Subscribe, usher.PublishData}}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	id := string(opened.Rooms[0].ID)
	return ticket{opened.Token.Reveal(), "room_" + id, "doc_" + id}
}

// get reads a path with a token.
func (w *world) get(path, token string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer: "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// client is a page's connection, with a clock of its own.
type client struct {
	t      testing.TB
	conn   *websocket.Conn
	ticket ticket
	clock  int64 // milliseconds
}

func (w *world) join(k ticket) *client {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, strings.Replace(w.url, "http", "ws", 1)+"/ws", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	conn.SetReadLimit(8 << 20)
	w.t.Cleanup(func() { _ = conn.CloseNow() })
	c := &client{w.t, conn, k, 1_000_000}
	c.send("guest:authenticate", k.token)
	c.send("room:join", k.room)
	c.want("room:joined")
	return c
}

func (c *client) send(kind string, body any) {
	c.t.Helper()
	data, err := json.Marshal(map[string]any{"type": kind, "ts": fmt.Sprintf("%d:0", c.clock), "ver": 0, "body": body})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if err := c.conn.Write(ctx, websocket.MessageText, data); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) command(name string, args ...string) {
	c.t.Helper()
	c.send("doc:cmd", map[string]any{"room": c.ticket.room, "args": append([]string{name, c.ticket.doc}, args...)})
}

// want reads until a message of that type, and returns its body.
func (c *client) want(kind string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for {
		_, data, err := c.conn.Read(ctx)
		if err != nil {
			c.t.Fatalf("waited for %s: %v", kind, err)
		}
		var m struct {
			Type string
			Body json.RawMessage
		}
		if err := json.Unmarshal(data, &m); err != nil {
			c.t.Fatal(err)
		}
		if m.Type == kind {
			return string(m.Body)
		}
	}
}

// args reads until a doc:fwd, and returns its arguments without the document.
func (c *client) args() string {
	c.t.Helper()
	var f struct{ Args json.RawMessage }
	if err := json.Unmarshal([]byte(c.want("doc:fwd")), &f); err != nil {
		c.t.Fatal(err)
	}
	return strings.ReplaceAll(string(f.Args), `"`+c.ticket.doc+`",`, "")
}
