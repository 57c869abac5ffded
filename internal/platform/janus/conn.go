package janus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/coder/websocket"

	"usher"
)

// conn is a session on Janus over a WebSocket. It asks one thing at a time and
// lives for less than Janus waits for a sign of life.
type conn struct {
	ws      *websocket.Conn
	proof   proof
	next    func() (string, error) // names transactions
	session uint64
}

// proof is what every request to Janus itself carries, if it wants any.
type proof struct {
	secret, token usher.Secret
}

// request is a message to Janus.
type request struct {
	Janus       string `json:"janus"`
	Transaction string `json:"transaction"`
	Session     uint64 `json:"session_id,omitempty"`
	Handle      uint64 `json:"handle_id,omitempty"`
	Plugin      string `json:"plugin,omitempty"`
	Body        any    `json:"body,omitempty"`
	Secret      string `json:"apisecret,omitempty"`
	Token       string `json:"token,omitempty"`
}

// reply is a message from Janus.
type reply struct {
	Janus       string   `json:"janus"`
	Transaction string   `json:"transaction"`
	Error       *refusal `json:"error"`
	Data        struct {
		ID uint64 `json:"id"`
	} `json:"data"`
	Plugin struct {
		Data json.RawMessage `json:"data"`
	} `json:"plugindata"`
}

// connect opens a session with a proof. Whoever gets it closes it. The context
// is for all that is done with it.
func (p *Platform) connect(ctx context.Context, address string, by proof) (*conn, error) {
	ws, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: p.http, Subprotocols: []string{"janus-protocol"}})
	if err != nil {
		return nil, unreachable(fmt.Errorf("open a WebSocket: %w", err))
	}
	ws.SetReadLimit(maxAnswer)
	c := &conn{ws: ws, proof: by, next: p.transaction}
	answer, err := c.ask(ctx, request{Janus: "create"})
	if err != nil {
		c.ws.CloseNow()
		return nil, err
	}
	c.session = answer.Data.ID
	return c, nil
}

// close ends the session, so that Janus need not wait for it to time out.
func (c *conn) close(ctx context.Context) {
	_, _ = c.ask(ctx, request{Janus: "destroy", Session: c.session})
	c.ws.CloseNow()
}

// attach opens a handle of a plugin.
func (c *conn) attach(ctx context.Context, plugin string) (uint64, error) {
	answer, err := c.ask(ctx, request{Janus: "attach", Session: c.session, Plugin: plugin})
	return answer.Data.ID, err
}

// message sends a message to the plugin and returns what it answers.
func (c *conn) message(ctx context.Context, handle uint64, body any) (json.RawMessage, error) {
	answer, err := c.ask(ctx, request{Janus: "message", Session: c.session, Handle: handle, Body: body})
	return answer.Plugin.Data, err
}

// ask sends a request and reads until its answer has come.
func (c *conn) ask(ctx context.Context, r request) (reply, error) {
	var err error
	if r.Transaction, err = c.next(); err != nil {
		return reply{}, err
	}
	r.Secret, r.Token = c.proof.secret.Reveal(), c.proof.token.Reveal()
	text, err := json.Marshal(r)
	if err != nil {
		return reply{}, fmt.Errorf("write a request: %w", err)
	}
	// In one frame: Janus waits for ever for the end of a message whose last
	// frame is empty.
	if err := c.ws.Write(ctx, websocket.MessageText, text); err != nil {
		return reply{}, unreachable(err)
	}
	for {
		_, text, err := c.ws.Read(ctx)
		if err != nil {
			return reply{}, unreachable(err)
		}
		var answer reply
		switch err := json.Unmarshal(text, &answer); {
		case err != nil:
			return reply{}, invalidAnswer(errors.New("it is not of the form of Janus's messages"))
		case answer.Transaction != r.Transaction || answer.Janus == "ack":
			// an event about something else, or the word that the answer will come
		case answer.Error != nil:
			return reply{}, refused(answer.Error)
		default:
			return answer, nil
		}
	}
}
