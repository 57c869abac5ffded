package roomservice

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"usher"
	"usher/internal/collab"
	"usher/internal/socket"
)

// How long things on a connection may take.
const (
	// enterWithin is how long a client may take until it has joined a room; it
	// gives up its own attempts after four seconds.
	enterWithin = 10 * time.Second
	// enterTimeout bounds what we do for it meanwhile.
	enterTimeout = 10 * time.Second
	// A client that believes what is not true is closed after reloadAfter, so that
	// one that comes to it again and again costs little, and then when it has sent
	// nothing for reloadPause, since what is on its way is lost, or in any case
	// after reloadAtMost.
	reloadAfter  = time.Second
	reloadPause  = 300 * time.Millisecond
	reloadAtMost = 5 * time.Second
	// renewals is how many times a session is renewed while it would last.
	renewals = 6
)

// How many messages a client may send that are neither commands, which have
// limits of their own, nor anything that it has to send.
const (
	straysPerSecond = 10
	strayBurst      = 50
)

// The close codes. The client takes no notice of them and comes back in any
// case; others can tell whether that is of use.
const (
	codeRefused socket.Code = 4001 // the token is no good, or not for this
	codeEnded   socket.Code = 4002 // the room has ended
	codeReload  socket.Code = 4005 // come back, and load the room anew
)

// connect opens a connection, whose first message is the token.
func (s *Service) connect(w http.ResponseWriter, r *http.Request) error {
	return s.sockets.Upgrade(w, r, func(c *socket.Conn) socket.Handler {
		n := &connection{service: s, conn: c, strays: rate.NewLimiter(straysPerSecond, strayBurst)}
		n.deadline = time.AfterFunc(enterWithin, func() { c.Close(codeRefused, "no room was joined in time") })
		return n
	})
}

// connection is one page, or whatever speaks like one.
type connection struct {
	service *Service
	conn    *socket.Conn

	// The read loop's own.
	strays   *rate.Limiter
	deadline *time.Timer // closes a connection that does not get further
	token    usher.Secret
	member   *collab.Member
	loading  *loading

	// room is set before the room can tell anything.
	room usher.ID

	mu      sync.Mutex
	sent    []sent // own commands that are not answered yet, in order
	last    time.Time
	reload  *time.Timer // closes the connection; nil unless that is due
	renewal *time.Timer
	closed  bool
}

// sent is a command that awaits its answer.
type sent struct {
	settled bool
	ts      string
	item    collab.ItemID
}

var (
	_ socket.Handler = (*connection)(nil)
	_ collab.Peer    = (*connection)(nil)
)

// Message implements [socket.Handler].
func (n *connection) Message(_ *socket.Conn, data []byte) {
	m, bad := parseMessage(data)
	switch {
	case bad != nil:
		n.stray(m, bad)
	case n.member != nil:
		n.serve(m)
	case m.Type == "guest:authenticate" && n.token == "":
		n.authenticate(m)
	case m.Type == "room:join" && n.token != "":
		n.join(m)
	default:
		n.refuse(m, usher.Errorf(usher.Invalid, "order_invalid", "First authenticate, and then join the room."))
	}
}

// Closed implements [socket.Handler].
func (n *connection) Closed(*socket.Conn, socket.Code, bool) {
	n.deadline.Stop()
	n.mu.Lock()
	n.closed = true
	for _, timer := range []*time.Timer{n.reload, n.renewal} {
		if timer != nil {
			timer.Stop()
		}
	}
	n.mu.Unlock()
	if n.member != nil {
		n.member.Leave()
		n.service.loads.end(n.loading)
	}
}

// authenticate takes the token.
func (n *connection) authenticate(m message) {
	token, bad := m.text()
	if bad != nil {
		n.refuse(m, bad)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), enterTimeout)
	defer cancel()
	if _, err := n.service.Access.Session(ctx, usher.Secret(token)); err != nil {
		n.refuse(m, n.failure("a session could not be read", err))
		return
	}
	n.token = usher.Secret(token)
	n.send("guest:authenticated", "OK")
}

// join brings the connection into the one room that it is for. Everything that
// happens there from now on is told, so that what the client loads next and what
// it is told have no gap between them.
func (n *connection) join(m message) {
	text, bad := m.text()
	if bad != nil {
		n.refuse(m, bad)
		return
	}
	room, ok := wireID(roomPrefix, text)
	if !ok {
		n.refuse(m, errNoRoom)
		return
	}
	n.room = room
	ctx, cancel := context.WithTimeout(context.Background(), enterTimeout)
	defer cancel()
	member, err := n.service.Hub.Join(ctx, n.token, room, n)
	if err != nil {
		n.refuse(m, n.failure("a room could not be joined", err))
		return
	}
	n.deadline.Stop()
	n.member = member
	n.loading = n.service.loads.begin(n.token, m, n.service.Now)
	n.renewLater()
	n.send("room:joined", "OK")
}

// serve answers a message of a client that is in its room.
func (n *connection) serve(m message) {
	switch m.Type {
	case "doc:cmd":
		n.command(m)
	case "presence:cmd":
		n.show(m)
	case "guest:authenticate", "room:join":
		n.refuse(m, usher.Errorf(usher.Invalid, "joined_already", "This connection has joined its room; open another for another."))
	default:
		n.stray(m, usher.Errorf(usher.Invalid, "type_unknown", "Messages of this type are not understood here."))
	}
}

// command has a change made.
func (n *connection) command(m message) {
	settled := n.loading.settled(m)
	var c docCommand
	if json.Unmarshal(m.Body, &c) != nil {
		n.stray(m, errCommand)
		return
	}
	op, bad := parseCommand(n.room, c.Args)
	if bad == nil && c.Room != roomPrefix+string(n.room) {
		bad = errElsewhere
	}
	if bad != nil {
		n.stray(m, bad)
		return
	}
	n.mu.Lock()
	n.sent = append(n.sent, sent{settled, m.TS, op.Item})
	n.last = n.service.Now()
	n.mu.Unlock()
	_ = n.member.Submit(op) // it fails only once the connection is being closed
}

// show has the others see what the client's user shows.
func (n *connection) show(m message) {
	var c presenceCommand
	if json.Unmarshal(m.Body, &c) != nil || c.Value == nil || c.ExpAt == nil {
		n.stray(m, usher.Errorf(usher.Invalid, "presence_invalid", "What is shown needs a key, a value and a time."))
		return
	}
	if c.Room != roomPrefix+string(n.room) {
		n.stray(m, errElsewhere)
		return
	}
	if reserved(c.Key) {
		n.stray(m, errReserved)
		return
	}
	if err := n.member.Show(c.Key, *c.Value, c.expires(n.service.Now())); err != nil {
		n.complain(request{Type: m.Type, TS: m.TS}, usher.AsError(err))
	}
}

// stray complains of a message that no client of Room Service sends, and parts
// with who sends many of them.
func (n *connection) stray(m message, err *usher.Error) {
	if !n.strays.AllowN(n.service.Now(), 1) {
		n.conn.Close(socket.CodePolicy, "too many messages that are not understood")
		return
	}
	n.complain(request{Type: m.Type, TS: m.TS}, err)
}

// refuse says why, and closes: the client notices nothing but the close, and
// would leave a connection that stays open behind, and open another.
func (n *connection) refuse(m message, err *usher.Error) {
	n.complain(request{Type: m.Type, TS: m.TS}, err)
	n.conn.Close(codeRefused, err.Message)
}

// failure is what a client may know of an error; what went wrong on our side is
// for the log.
func (n *connection) failure(what string, err error) *usher.Error {
	failure := usher.AsError(err)
	if failure.Kind == usher.Internal {
		n.service.Logger.Error(what, "error", err)
	}
	return failure
}

func (n *connection) complain(of request, err *usher.Error) {
	n.send("error", complaint{Request: of, Message: err.Message, Code: err.Code})
}

// reloadSoon closes the connection of a client that believes what is not true, so
// that it loads the room anew.
func (n *connection) reloadSoon(why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.reload != nil || n.closed {
		return
	}
	latest := n.service.Now().Add(reloadAtMost)
	n.reload = time.AfterFunc(reloadAfter, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if now := n.service.Now(); now.Sub(n.last) < reloadPause && now.Before(latest) && !n.closed {
			n.reload.Reset(reloadPause)
			return
		}
		n.conn.Close(codeReload, why)
	})
}

// send queues a message. That the connection is closing is not worth a word.
func (n *connection) send(kind string, body any) { _ = n.conn.Send(encode(kind, body)) }

// renewLater renews the session after a part of its lifetime: clients never ask
// for another token, and a page that was open for longer than its session could
// not come back after a drop.
func (n *connection) renewLater() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.renewal = time.AfterFunc(max(n.service.Lifetime/renewals, time.Second), n.renew)
	}
}

func (n *connection) renew() {
	ctx, cancel := context.WithTimeout(context.Background(), enterTimeout)
	defer cancel()
	_, err := n.service.Access.RenewSession(ctx, n.token, n.service.Lifetime)
	if _, refused := errors.AsType[*usher.Error](err); err != nil && !refused {
		n.service.Logger.Error("a session could not be renewed; it is tried again", "error", err)
	}
	// Who was refused keeps what it has until that expires, and may be allowed
	// again before.
	n.renewLater()
}
