package signaling_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/coder/websocket"
)

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

func legacy(a *as) { a.legacy = true }

func on(n *node) func(*as) { return func(a *as) { a.node = n } }

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
