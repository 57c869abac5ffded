package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// checkpoint is a document as clients load it.
type checkpoint struct {
	ID     string                       `json:"id"`
	VS     []byte                       `json:"vs"`
	Maps   map[string]map[string]string `json:"maps"`
	Lists  map[string]checkpointList    `json:"lists"`
	Actors map[string]string            `json:"actors"`
}

type checkpointList struct {
	IDs, Afters []string
	Values      []json.RawMessage
}

// guest is one connection of a page, spoken by hand.
type guest struct {
	t    testing.TB
	conn *websocket.Conn
	pass pass
}

// frame is a message of the server.
type frame struct {
	Type string          `json:"type"`
	Body json.RawMessage `json:"body"`
}

// forward is the body of a doc:fwd.
type forward struct {
	From, Room string
	VS         []byte
	Args       []json.RawMessage
	Ack        bool
}

func (s *Server) dialGuest() *guest {
	s.t.Helper()
	conn, _, err := websocket.Dial(within(s.t, socketTime), strings.Replace(s.HTTP, "http", "ws", 1)+"/ws", &websocket.DialOptions{HTTPClient: s.socketClient()})
	if err != nil {
		s.t.Fatalf("open /ws: %v\n%s", err, s.output.tail())
	}
	conn.SetReadLimit(8 << 20)
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	return &guest{t: s.t, conn: conn}
}

// enter opens a connection and joins the room of a pass.
func (s *Server) enter(p pass) *guest {
	s.t.Helper()
	g := s.dialGuest()
	g.pass = p
	g.send("guest:authenticate", p.Token)
	g.want("guest:authenticated")
	g.send("room:join", p.room())
	g.want("room:joined")
	return g
}

func (g *guest) send(kind string, body any) {
	g.t.Helper()
	if err := g.trySend(kind, body); err != nil {
		g.t.Fatalf("send %s: %v", kind, err)
	}
}

func (g *guest) trySend(kind string, body any) error {
	data, err := json.Marshal(map[string]any{"type": kind, "ts": fmt.Sprintf("%d:0", time.Now().UnixMilli()), "ver": 0, "body": body})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), socketTime)
	defer cancel()
	return g.conn.Write(ctx, websocket.MessageText, data)
}

// command sends a command on the document; the arguments follow its id.
func (g *guest) command(name string, args ...string) error {
	return g.trySend("doc:cmd", map[string]any{"room": g.pass.room(), "args": append([]string{name, g.pass.document()}, args...)})
}

func (g *guest) read() (frame, error) {
	ctx, cancel := context.WithTimeout(context.Background(), socketTime)
	defer cancel()
	_, data, err := g.conn.Read(ctx)
	var f frame
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	return f, err
}

// want reads until a message of that type.
func (g *guest) want(kind string) frame {
	g.t.Helper()
	for {
		f, err := g.read()
		if err != nil {
			g.t.Fatalf("waited for %s: %v", kind, err)
		}
		if f.Type == kind {
			return f
		}
	}
}

// acknowledged reads until the answer to the connection's own command.
func (g *guest) acknowledged() forward {
	g.t.Helper()
	for {
		var f forward
		if err := json.Unmarshal(g.want("doc:fwd").Body, &f); err != nil {
			g.t.Fatal(err)
		}
		if f.Ack {
			return f
		}
	}
}

// closed reads to the end and returns the close code.
func (g *guest) closed() int {
	for {
		if _, err := g.read(); err != nil {
			closed, ok := errors.AsType[websocket.CloseError](err)
			if !ok {
				return -1
			}
			return int(closed.Code)
		}
	}
}
