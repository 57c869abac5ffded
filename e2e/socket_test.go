package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// socketTime bounds every single thing that a test waits for on a socket.
const socketTime = 30 * time.Second

// socketConn is a participant's connection, from the side of the SDK.
type socketConn struct {
	seat seat
	conn *websocket.Conn
}

// dialSeat opens the socket of a seat. It authenticates nothing yet.
func dialSeat(t testing.TB, s *Server, at seat) *socketConn {
	t.Helper()
	c, err := dial(s, at)
	if err != nil {
		t.Fatalf("open the socket: %v\n%s", err, s.output.tail())
	}
	t.Cleanup(func() { _ = c.conn.CloseNow() })
	return c
}

func dial(s *Server, at seat) (*socketConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), socketTime)
	defer cancel()
	// The client's own time limit would end the connection itself.
	conn, _, err := websocket.Dial(ctx, at.Location, &websocket.DialOptions{HTTPClient: s.socketClient()})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(1 << 20)
	return &socketConn{at, conn}, nil
}

// message is what stands in every message, and in those that a test looks at.
type message struct {
	Type      string `json:"type"`
	ID        string `json:"id,omitempty"`
	Ref       string `json:"ref,omitempty"`
	ErrorType string `json:"error_type,omitempty"`
	// Participants is the roster.
	Participants map[string]json.RawMessage `json:"participants,omitempty"`
}

func (c *socketConn) send(value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), socketTime)
	defer cancel()
	return c.conn.Write(ctx, websocket.MessageText, data)
}

func (c *socketConn) read() (message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), socketTime)
	defer cancel()
	var m message
	_, data, err := c.conn.Read(ctx)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(data, &m)
}

const authenticateID = "342b271e-3f5c-4a51-9a44-0d6a54a90c11"

// tryAuthenticate presents the token and returns the answer to that.
func (c *socketConn) tryAuthenticate() (message, error) {
	err := c.send(map[string]string{
		"type": "authenticate", "id": authenticateID, "token": c.seat.Token, "participant_id": c.seat.Participant,
	})
	for err == nil {
		var m message
		if m, err = c.read(); err == nil && m.Ref == authenticateID {
			return m, nil
		}
	}
	return message{}, err
}

// authenticate must succeed.
func (c *socketConn) authenticate(t testing.TB) {
	t.Helper()
	m, err := c.tryAuthenticate()
	if err != nil || m.Type != "success" {
		t.Fatalf("authenticate: got %+v and error %v", m, err)
	}
}

// roster reads until a roster with that many participants comes.
func (c *socketConn) roster(t testing.TB, n int) map[string]json.RawMessage {
	t.Helper()
	for {
		m, err := c.read()
		if err != nil {
			t.Fatalf("wait for a roster of %d: %v", n, err)
		}
		if m.Type == "roster_update" && len(m.Participants) == n {
			return m.Participants
		}
	}
}

// untilClosed reads until the socket is closed by the server and returns the
// code: 1006 if it was lost without one, and 0 if it was not closed at all.
func (c *socketConn) untilClosed() int {
	for {
		_, err := c.read()
		if err == nil {
			continue
		}
		if code := websocket.CloseStatus(err); code != -1 {
			return int(code)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return 0
		}
		return 1006
	}
}

// leave closes the socket as the SDK does when its user leaves.
func (c *socketConn) leave() error { return c.conn.Close(websocket.StatusNormalClosure, "") }
