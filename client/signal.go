package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"usher"
)

// Message is one message of the signaling protocol, in either direction:
// docs/signaling.md says which members each has.
type Message struct {
	Action       string          `json:"action"`
	To           string          `json:"to,omitempty"`
	ToConnection string          `json:"toConnection,omitempty"`
	Room         usher.ID        `json:"room,omitempty"`
	CallID       string          `json:"callId,omitempty"`
	ID           string          `json:"id,omitempty"`
	Payload      json.RawMessage `json:"payload,omitempty"`

	From            string      `json:"from,omitempty"`
	FromConnection  string      `json:"fromConnection,omitempty"`
	FromParticipant usher.ID    `json:"fromParticipant,omitempty"`
	TS              int64       `json:"ts,omitempty"`
	Call            *CallNotice `json:"call,omitempty"`
	Seq             uint64      `json:"seq,omitempty"`
	Ref             string      `json:"ref,omitempty"`
}

// CallNotice is what the server says of a call.
type CallNotice struct {
	// State is ringing, accepted or ended.
	State string `json:"state"`
	// Name and Email are the caller's.
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	// ExpiresIn is for how many seconds the call rings.
	ExpiresIn float64 `json:"expiresIn,omitempty"`
	// By is the device that answered elsewhere.
	By     string           `json:"by,omitempty"`
	Reason usher.CallReason `json:"reason,omitempty"`
	// Merged is the id of the other invite, where two became one call.
	Merged string `json:"merged,omitempty"`
}

// Hello is what the server greets a connection with.
type Hello struct {
	UserID     string `json:"userId"`
	Connection string `json:"connection"`
	Name       string `json:"name"`
	// ExpiresIn is for how many seconds the token is good; 0 if it does not expire.
	ExpiresIn int `json:"expiresIn"`
	Resume    struct {
		Token  usher.Secret `json:"token"`
		Window float64      `json:"window"`
	} `json:"resume"`
	Resumed  bool `json:"resumed"`
	Presence []struct {
		UserID string `json:"userId"`
		Status string `json:"status"`
	} `json:"presence"`
}

// SignalError is a message that the server did not take.
type SignalError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	// RetryAfter is in how many seconds to try again, where that can help.
	RetryAfter float64 `json:"retryAfter"`
}

// Error returns the code and the sentence for people.
func (e *SignalError) Error() string { return e.Code + ": " + e.Message }

// SignalClosed is the end of a connection.
type SignalClosed struct {
	// Code is a close code; 0 if the connection was simply lost.
	Code   int
	Reason string
	// RetryAfter is when to connect again, if the server said so: it tells every
	// client another time.
	RetryAfter time.Duration
}

// Error returns the code and the reason.
func (e *SignalClosed) Error() string {
	return fmt.Sprintf("client: the signaling connection is closed: %d %s", e.Code, e.Reason)
}

// SignalOptions says how to connect. Its zero value authenticates with the
// API's token in the first message.
type SignalOptions struct {
	// Ticket is used in place of the token.
	Ticket usher.Secret
	// Resume is the token of an earlier [Hello], and Seq the number of the last
	// call event that was handled: see [Signal.Seq].
	Resume usher.Secret
	Seq    uint64
	// InURL connects without the subprotocol, with the token or ticket in the
	// URL: as clients of the serverless video chat do.
	InURL bool
	// Origin is sent as a page would.
	Origin string
}

// Signal is a connection to /signal. Its methods may be called from any
// goroutine. What comes in must be received, or nothing more is.
type Signal struct {
	conn  *websocket.Conn
	hello Hello
	in    chan *Message // pointers, since room for all of them is reserved
	done  chan struct{} // closed after end was set
	end   *SignalClosed
	left  chan struct{} // closed by Close and Drop
	leave sync.Once

	mu      sync.Mutex
	next    int
	waiting map[string]chan Message
	seq     uint64
}

// maxSignal bounds what is read of one message, in bytes.
const maxSignal = 8 << 20

// signalBuffer is how many messages may wait to be received before no more are
// read.
const signalBuffer = 1024

// Signal connects to /signal.
func (a *API) Signal(ctx context.Context, o SignalOptions) (*Signal, error) {
	address := a.base.JoinPath("..", "..", "signal")
	dial := &websocket.DialOptions{HTTPClient: a.http, HTTPHeader: http.Header{}}
	if o.Origin != "" {
		dial.HTTPHeader.Set("Origin", o.Origin)
	}
	switch {
	case !o.InURL:
		dial.Subprotocols = []string{"usher.v1"}
	case o.Ticket != "":
		address.RawQuery = url.Values{"ticket": {o.Ticket.Reveal()}}.Encode()
	default:
		address.RawQuery = url.Values{"Auth": {a.token.Reveal()}}.Encode()
	}
	conn, resp, err := websocket.Dial(ctx, address.String(), dial)
	if err != nil {
		if resp != nil { // the error may have the URL in it
			return nil, fmt.Errorf("client: signal: the server answered %s", resp.Status)
		}
		return nil, errors.New("client: signal: the server can't be reached")
	}
	conn.SetReadLimit(maxSignal)
	s := &Signal{conn: conn, in: make(chan *Message, signalBuffer), done: make(chan struct{}), left: make(chan struct{}), waiting: make(map[string]chan Message), seq: o.Seq}
	if !o.InURL {
		if err := s.greet(ctx, a.token, o); err != nil {
			_ = conn.CloseNow()
			return nil, err
		}
	}
	go s.read()
	return s, nil
}

// greet authenticates and waits for the hello.
func (s *Signal) greet(ctx context.Context, token usher.Secret, o SignalOptions) error {
	first := map[string]any{"action": "auth", "payload": map[string]any{"token": token.Reveal()}}
	switch {
	case o.Resume != "":
		first = map[string]any{"action": "resume", "payload": map[string]any{"token": o.Resume.Reveal(), "seq": o.Seq}}
	case o.Ticket != "":
		first["payload"] = map[string]any{"ticket": o.Ticket.Reveal()}
	}
	data, err := json.Marshal(first)
	if err != nil {
		return fmt.Errorf("client: signal: %w", err)
	}
	if err := s.conn.Write(ctx, websocket.MessageText, data); err != nil {
		return closedBy(err)
	}
	m, err := s.one(ctx)
	for err == nil && m.Action == "error" {
		refusal := refusalIn(m)
		if _, err = s.one(ctx); err != nil { // the close that follows says the same in a code
			return errors.Join(refusal, err)
		}
	}
	if err != nil {
		return err
	}
	if m.Action != "hello" {
		return fmt.Errorf("client: signal: the server greets with %s", m.Action)
	}
	return json.Unmarshal(m.Payload, &s.hello)
}

// Hello returns what the server has greeted the connection with: nothing for a
// connection in whose URL the token is.
func (s *Signal) Hello() Hello { return s.hello }

// Seq returns the number of the last call event that was received.
func (s *Signal) Seq() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq
}

// one reads one message.
func (s *Signal) one(ctx context.Context) (Message, error) {
	_, data, err := s.conn.Read(ctx)
	if err != nil {
		return Message{}, closedBy(err)
	}
	var m Message
	if err := json.Unmarshal(data, &m); err != nil {
		return Message{}, fmt.Errorf("client: signal: %w", err)
	}
	return m, nil
}

func closedBy(err error) *SignalClosed {
	if bye, ok := errors.AsType[websocket.CloseError](err); ok {
		return &SignalClosed{Code: int(bye.Code), Reason: bye.Reason}
	}
	return &SignalClosed{Reason: "lost"}
}

// read hands on what comes until the connection ends.
func (s *Signal) read() {
	var back time.Duration // when to come back, once the server has said that it restarts
	for {
		m, err := s.one(context.Background())
		if wait, told := restarting(m); err == nil && told {
			back = wait
			continue
		}
		if err == nil {
			s.handOn(m)
			continue
		}
		end, ok := errors.AsType[*SignalClosed](err)
		if !ok {
			end = &SignalClosed{Reason: err.Error()}
			_ = s.conn.CloseNow()
		}
		end.RetryAfter = back
		s.end = end
		close(s.done)
		return
	}
}

// restarting reports whether a message says that the server restarts, and when to
// come back.
func restarting(m Message) (time.Duration, bool) {
	var e SignalError
	if m.Action != "error" || m.Ref != "" || json.Unmarshal(m.Payload, &e) != nil || e.Code != "restarting" {
		return 0, false
	}
	return time.Duration(e.RetryAfter * float64(time.Second)), true
}

// handOn gives a message to whoever it is for.
func (s *Signal) handOn(m Message) {
	if s.answer(m) {
		return
	}
	select {
	case s.in <- &m:
	case <-s.left: // nobody receives any more
	}
}

// answer hands a message to whoever waits for it.
func (s *Signal) answer(m Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.waiting[m.Ref]
	if m.Ref == "" || waiting == nil {
		return false
	}
	delete(s.waiting, m.Ref)
	waiting <- m
	return true
}

// Receive returns the next message that is not the answer to a request. After
// the end of the connection, and of what came before it, it returns a
// [*SignalClosed].
func (s *Signal) Receive(ctx context.Context) (Message, error) {
	select {
	case m := <-s.in:
		return s.note(*m), nil
	default:
	}
	select {
	case m := <-s.in:
		return s.note(*m), nil
	case <-s.done:
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
	select {
	case m := <-s.in:
		return s.note(*m), nil
	default:
		return Message{}, s.end
	}
}

func (s *Signal) note(m Message) Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq = max(s.seq, m.Seq)
	return m
}

// Send sends a message and does not wait for an answer.
func (s *Signal) Send(ctx context.Context, m Message) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("client: signal: %w", err)
	}
	return s.SendText(ctx, data)
}

// SendText sends a message as it is written.
func (s *Signal) SendText(ctx context.Context, data []byte) error {
	if err := s.conn.Write(ctx, websocket.MessageText, data); err != nil {
		return closedBy(err)
	}
	return nil
}

// Request sends a message and returns the server's answer to it: an ack, or
// what is in its place. A refusal is a [*SignalError].
func (s *Signal) Request(ctx context.Context, m Message) (Message, error) {
	answer := make(chan Message, 1)
	s.mu.Lock()
	s.next++
	m.ID = strconv.Itoa(s.next)
	s.waiting[m.ID] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.waiting, m.ID)
	}()
	if err := s.Send(ctx, m); err != nil {
		return Message{}, err
	}
	select {
	case m = <-answer:
	case <-s.done:
		select {
		case m = <-answer:
		default:
			return Message{}, s.end
		}
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
	if m.Action == "error" {
		return Message{}, refusalIn(m)
	}
	return m, nil
}

func refusalIn(m Message) error {
	var e SignalError
	if err := json.Unmarshal(m.Payload, &e); err != nil {
		return fmt.Errorf("client: signal: %w", err)
	}
	return &e
}

// Close leaves on purpose: the session can't be resumed.
func (s *Signal) Close() error {
	s.leave.Do(func() { close(s.left) })
	return s.conn.Close(websocket.StatusNormalClosure, "")
}

// Drop breaks the connection off, as a lost network does.
func (s *Signal) Drop() error {
	s.leave.Do(func() { close(s.left) })
	return s.conn.CloseNow()
}
