package vpaas_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
)

// peer is a browser's end of a connection. It reads all the time, as a browser
// does.
type peer struct {
	t      testing.TB
	conn   *websocket.Conn
	heard  chan map[string]any
	closed chan websocket.CloseError
}

func (w *world) dial(meeting string) *peer {
	w.t.Helper()
	// As a page from a file, of no origin.
	conn, resp, err := websocket.Dial(context.Background(), "ws://usher.test/v1/meetings/"+meeting+"/socket", &websocket.DialOptions{
		HTTPClient: w.http, HTTPHeader: http.Header{"Origin": {"null"}},
	})
	if err != nil {
		w.t.Fatalf("dial: %v (%v)", err, resp)
	}
	conn.SetReadLimit(1 << 20)
	p := &peer{t: w.t, conn: conn, heard: make(chan map[string]any, 4096), closed: make(chan websocket.CloseError, 1)}
	go p.read()
	w.t.Cleanup(func() { _ = conn.CloseNow() })
	return p
}

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
		var m map[string]any
		if err := json.Unmarshal(data, &m); err != nil {
			p.t.Errorf("the server sent %q: %v", data, err)
		}
		p.heard <- m
	}
}

func (p *peer) send(text string) {
	p.t.Helper()
	if err := p.conn.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		p.t.Errorf("send: %v", err)
	}
}

// patience bounds every wait for something that should be there at once.
const patience = 20 * time.Second

// next returns the next message.
func (p *peer) next() map[string]any {
	p.t.Helper()
	select {
	case m := <-p.heard:
		return m
	case <-time.After(patience):
		p.t.Fatal("nothing was heard")
		return nil
	}
}

// answer returns the next message that is not a roster.
func (p *peer) answer() map[string]any {
	p.t.Helper()
	for {
		if m := p.next(); m["type"] != "roster_update" {
			return m
		}
	}
}

// wantAnswer holds the next message that is not a roster against a wanted one.
func (p *peer) wantAnswer(want map[string]any) {
	p.t.Helper()
	got := p.answer()
	if want["type"] == "success" { // its id is made up
		if id, _ := got["id"].(string); len(id) != 36 || id[14] != '4' {
			p.t.Errorf("the id of a success is %v, want a UUID of version 4", got["id"])
		}
		delete(got, "id")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("got (+), want (-):\n%s", diff)
	}
}

// wantRoster waits for the next roster and holds it against who should be in it.
func (p *peer) wantRoster(places ...place) {
	p.t.Helper()
	want := make(map[string]any)
	for _, q := range places {
		want[q.id] = map[string]any{"streams": map[string]any{}}
	}
	got := p.next()
	if diff := cmp.Diff(map[string]any{"type": "roster_update", "participants": want}, got); diff != "" {
		p.t.Errorf("roster: got (+), want (-):\n%s", diff)
	}
}

// wantClosed waits until the server has closed the connection.
func (p *peer) wantClosed(code int, reason string) {
	p.t.Helper()
	select {
	case end := <-p.closed:
		if int(end.Code) != code || end.Reason != reason {
			p.t.Errorf("closed with %d %q, want %d %q", end.Code, end.Reason, code, reason)
		}
	case <-time.After(patience):
		p.t.Fatal("the connection is still open")
	}
}

// leave closes as the SDK does.
func (p *peer) leave() { _ = p.conn.Close(websocket.StatusNormalClosure, "") }

// lose breaks the connection.
func (p *peer) lose() { _ = p.conn.CloseNow() }

func authenticate(p place, token string) string {
	return `{"type":"authenticate","token":"` + token + `","participant_id":"` + p.id + `","id":"342b271e"}`
}

var success = map[string]any{"type": "success", "ref": "342b271e", "reason": "Authenticated"}

// enter connects with a token and authenticates.
func (w *world) enter(p place, token string) *peer {
	w.t.Helper()
	c := w.dial(p.meeting)
	c.send(authenticate(p, token))
	c.wantAnswer(success)
	return c
}
