package vpaas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"usher"
	"usher/internal/access"
	"usher/internal/httpd"
	"usher/internal/limit"
	"usher/internal/socket"
	"usher/internal/store"
)

// How long things on a connection may take.
const (
	// authenticateWithin is how long a connection may be silent at first.
	authenticateWithin = 10 * time.Second
	// partWithin is how long a refused client has to close by itself, as the SDK
	// does when it has read the error.
	partWithin = 5 * time.Second
	// attachTimeout bounds the step in the store.
	attachTimeout = 10 * time.Second

	// The SDK never pings by itself and answers only a WebSocket's own pings.
	pingEvery   = 25 * time.Second
	idleTimeout = 60 * time.Second
)

// How many messages a client may send. The SDK sends a few a minute.
const (
	messagesPerSecond = 100
	messageBurst      = 200
)

// The close codes that are VPaaS's own. All are final: the SDK comes back after
// 1001 to 1016 only.
const (
	codeRemoved         socket.Code = 4001
	codeEnded           socket.Code = 4002
	codeReplaced        socket.Code = 4003
	codeUnauthenticated socket.Code = 4004
)

// connect opens the connection of a participant, whose first message
// authenticates it.
func (s *Service) connect(w http.ResponseWriter, r *http.Request) error {
	meeting, err := meetingID(r)
	if err != nil {
		return err
	}
	from := limit.AddressKey(httpd.Address(r, s.Proxies))
	return s.sockets.Upgrade(w, r, func(c *socket.Conn) socket.Handler {
		n := &session{service: s, meeting: meeting, from: from, conn: c, limit: rate.NewLimiter(messagesPerSecond, messageBurst)}
		n.deadline = n.closeAfter(authenticateWithin, codeUnauthenticated, "There was no authentication in time.")
		return n
	})
}

// session is one connection of, it says, one participant.
type session struct {
	service *Service
	meeting usher.ID
	from    string // the address, as the key of a limit
	conn    *socket.Conn

	// The read loop's own.
	limit      *rate.Limiter
	deadline   *time.Timer // closes a connection that does not get further
	parting    bool        // it was refused, and has little time left
	attachment *access.Attachment
	key        usher.ParticipantKey
	token      usher.Digest

	mu       sync.Mutex
	admitted bool   // it was told that it is authenticated
	roster   []byte // came before that
}

var (
	_ socket.Handler    = (*session)(nil)
	_ access.Connection = (*session)(nil)
)

// Message implements [socket.Handler].
func (n *session) Message(_ *socket.Conn, data []byte) {
	if !n.limit.AllowN(n.service.Now(), 1) {
		n.conn.Close(socket.CodePolicy, "too many messages")
		return
	}
	m, bad := parse(data)
	switch {
	case n.attachment == nil:
		n.authenticate(m, bad)
	case bad != nil:
		n.send(errorAnswer(m.ref(), *bad))
	default:
		n.serve(m)
	}
}

// Closed implements [socket.Handler].
func (n *session) Closed(_ *socket.Conn, _ socket.Code, clean bool) {
	n.deadline.Stop()
	switch {
	case n.attachment == nil:
	case clean:
		n.attachment.Leave()
	default:
		n.attachment.Lose()
	}
}

// Detached implements [access.Connection].
func (n *session) Detached(end access.End) {
	code := codeRemoved
	switch end.Why {
	case access.RoomEnded:
		code = codeEnded
	case access.Replaced:
		code = codeReplaced
	}
	n.conn.Close(code, end.Message)
}

// Roster implements [access.Connection].
func (n *session) Roster(present []access.Present) {
	data := roster(present)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.admitted {
		n.roster = data
		return
	}
	_ = n.conn.Send(data)
}

// authenticate takes the first message for what it must be. Until it was good,
// nothing else is answered, whatever it is.
func (n *session) authenticate(m message, bad *complaint) {
	if _, ok := n.service.failed.Peek(n.from); !ok && !n.parting {
		n.send(errorAnswer(m.ref(), complaint{resourceUnavailable, "There were too many failed attempts from your address; try again later."}))
		n.part(socket.CodeTryLater, "too many failed attempts")
		return
	}
	if n.parting || bad != nil || *m.Type != "authenticate" {
		n.refuse(m, "The first message must authenticate.")
		return
	}
	participant, err := usher.ParseID(*m.ParticipantID)
	if err != nil {
		n.refuse(m, "The token does not open a connection for this participant.")
		return
	}
	n.deadline.Stop()
	key, token := participantKey(n.meeting, participant), usher.Secret(*m.Token)
	ctx, cancel := context.WithTimeout(context.Background(), attachTimeout)
	defer cancel()
	attachment, err := n.service.Access.Attach(ctx, key, token, n)
	if refused, ok := errors.AsType[*usher.Error](joinError(err)); ok && !store.Away(err) {
		n.refuse(m, refused.Message)
		return
	}
	if err != nil {
		if !store.Away(err) { // which a store tells the log itself
			n.service.Logger.Error("a participant could not be attached", "participant", participant, "error", err)
		}
		n.send(answer{Type: "server_error", Ref: m.ref(), ErrorMessage: "The server could not let you in; try again."})
		n.part(socket.CodeInternal, "internal error")
		return
	}
	n.attachment, n.key, n.token = attachment, key, token.Digest()
	n.admit(m)
}

// refuse tells a client that it is not authenticated, and soon parts with it.
func (n *session) refuse(m message, why string) {
	if !n.parting {
		n.service.failed.Allow(n.from)
	}
	n.send(errorAnswer(m.ref(), complaint{authenticationFailed, why}))
	n.part(codeUnauthenticated, why)
}

// part gives the client a moment to close by itself. The first call counts, so
// that nobody stays by sending more.
func (n *session) part(code socket.Code, reason string) {
	if n.parting {
		return
	}
	n.parting = true
	n.deadline.Stop()
	n.deadline = n.closeAfter(partWithin, code, reason)
}

func (n *session) closeAfter(d time.Duration, code socket.Code, reason string) *time.Timer {
	return time.AfterFunc(d, func() { n.conn.Close(code, reason) })
}

// admit tells a client that it is authenticated, and then who is there.
func (n *session) admit(m message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.send(answer{Type: "success", ID: n.service.messageID(), Ref: m.ref(), Reason: "Authenticated"})
	n.admitted = true
	if n.roster != nil {
		_ = n.conn.Send(n.roster)
		n.roster = nil
	}
}

// serve answers a message of an authenticated client.
func (n *session) serve(m message) {
	switch *m.Type {
	case "authenticate":
		if *m.ParticipantID != string(n.key.ID) || !n.token.Matches(usher.Secret(*m.Token)) {
			n.complain(m, authenticationFailed, "This connection is that of another participant, or was opened with another token.")
			return
		}
		n.send(answer{Type: "success", ID: n.service.messageID(), Ref: m.ref(), Reason: "Authenticated"})
	case "media_offer":
		n.complain(m, sdpOfferProcessing, "Usher does not carry media for VPaaS meetings yet: the offer can't be answered.")
	case "request_stream":
		n.complain(m, resourceUnavailable, "There is no such stream: Usher does not carry media for VPaaS meetings yet.")
	case "disconnect_stream":
		n.complain(m, invalidParameter, "No stream is received on that line.")
	case "ping":
		n.send(answer{Type: "pong", Ref: m.ref()})
	case "pong", "add_new_candidate":
		// Neither has an answer, and without media a candidate is of no use.
	}
}

func (n *session) complain(m message, kind errorType, text string) {
	n.send(errorAnswer(m.ref(), complaint{kind, text}))
}

// send queues an answer. That the connection is closing is not worth a word.
func (n *session) send(a answer) {
	data, err := json.Marshal(a)
	if err != nil {
		panic(err) // a struct of strings
	}
	_ = n.conn.Send(data)
}

// messageID makes the id of a message: a UUID of version 4, as VPaaS's are.
func (s *Service) messageID() string {
	var b [16]byte
	if _, err := io.ReadFull(s.Random, b[:]); err != nil {
		return "" // an id is optional
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
