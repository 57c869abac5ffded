package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/call"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/limit"
	"usher/internal/socket"
)

// wire is a connection as a session uses it: a socket of this process, or one
// that a gateway holds.
type wire interface {
	SendPrepared(socket.Prepared) error
	Offer(socket.Prepared) error
	Heard() time.Time
	Close(socket.Code, string)
	Subprotocol() string
}

var _ wire = (*socket.Conn)(nil)

// link is one connection.
type link struct {
	hub  *Hub
	conn wire
	// id tells the connections of one session apart.
	id usher.ID
	// endsAt is when the socket has lasted as long as it may; zero is never.
	endsAt time.Time
	// origin is nil where nobody may ask for it.
	origin *origin

	// The read loop's own.
	session   *session // nil until it is authenticated
	admission *admission
	refusals  int
}

// admission is what a socket needs until it is authenticated.
type admission struct {
	address  netip.Addr
	deadline *time.Timer
}

// bucket is when a limit's bucket is full again, in nanoseconds since 1970: the
// whole of what must be known of it (GCRA, ITU-T I.371).
type bucket struct{ full atomic.Int64 }

// take takes a token, or returns how long there is none.
func (b *bucket) take(rate limit.Rate, now int64) (wait time.Duration, ok bool) {
	for {
		before := b.full.Load()
		full := max(before, now) + int64(rate.Per)/int64(rate.Count)
		if over := full - now - int64(rate.Per); over > 0 {
			return time.Duration(over), false
		}
		if b.full.CompareAndSwap(before, full) {
			return 0, true
		}
	}
}

// maxRefusals is how many messages in a row may be refused for their rate.
const maxRefusals = 1000

// authenticateWithin is how long a socket of usher.v1 may be silent at first.
const authenticateWithin = 5 * time.Second

// Dialect returns the route.
func (h *Hub) Dialect() httpd.Dialect {
	return httpd.Dialect{Name: "signaling", Routes: []httpd.Route{
		{Pattern: "GET /signal", Caller: httpd.Anyone, Handle: h.connect},
	}}
}

// allowsPage reports whether the page that a request comes from may connect:
// that of another origin would otherwise connect for whoever looks at it.
func (h *Hub) allowsPage(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || origin == httpd.From(r.Context()).Base || slices.Contains(h.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return h.Loopback && err == nil && (u.Scheme == "http" || u.Scheme == "https") && httpd.LoopbackHost(u.Host)
}

// connect opens a socket: for who is known by the URL, or, in usher.v1, for who
// says so in the first message.
func (h *Hub) connect(w http.ResponseWriter, r *http.Request) error {
	address := httpd.Address(r, h.Proxies)
	v1 := h.sockets.Speaks(r, Subprotocol)
	var id usher.Identity
	if !v1 {
		var err error
		if id, err = h.authenticate(r, address); err != nil {
			return err
		}
		// What is decided before the upgrade can still be answered.
		if err := h.Access.MaySignal(r.Context(), id); err != nil {
			return err
		}
	}
	var from *origin
	if h.Origin {
		agent := r.UserAgent()
		from = &origin{h.Now(), address, strings.Clone(agent[:min(len(agent), maxAgent)])}
	}
	return h.sockets.Upgrade(w, r, func(c *socket.Conn) socket.Handler {
		l := &link{hub: h, conn: c, id: h.IDs.New(), origin: from}
		if !v1 {
			l.begin(id)
			return l
		}
		l.admission = &admission{address: address, deadline: time.AfterFunc(authenticateWithin, func() {
			c.Close(codeUnauthenticated, "There was no authentication in time.")
		})}
		return l
	})
}

// authenticate finds out who calls by what is in the URL.
func (h *Hub) authenticate(r *http.Request, address netip.Addr) (usher.Identity, error) {
	query := r.URL.Query()
	token, ticket := usher.Secret(query.Get("Auth")), usher.Secret(query.Get("ticket"))
	return h.identify(r.Context(), limit.AddressKey(address), token, ticket)
}

// identify asks whose token or ticket it is. Whoever fails too often, by their
// address or as the user that they are, is not listened to for a while.
func (h *Hub) identify(ctx context.Context, key string, token, ticket usher.Secret) (id usher.Identity, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	if wait, ok := h.failed.Peek(key); !ok {
		return usher.Identity{}, limit.Exceeded(wait)
	}
	switch {
	case token != "" && ticket == "":
		id, err = h.Identity.Authenticate(ctx, identity.Proof{Bearer: token})
	case ticket != "" && token == "":
		id, err = h.Access.RedeemTicket(ctx, ticket)
	default:
		return usher.Identity{}, identity.ErrUnknown
	}
	if err != nil && usher.AsError(err).Kind == usher.Unauthenticated {
		h.failed.Allow(key)
	}
	return id, err
}

// Message implements [socket.Handler].
func (l *link) Message(_ *socket.Conn, data []byte) {
	var e envelope
	err := e.parse(data)
	if l.session == nil {
		l.admit(&e, err)
		return
	}
	now := l.hub.Now()
	if wait, ok := l.session.relayed.take(l.hub.config.Relay, now.UnixNano()); !ok {
		l.refuseRate(&e, wait)
		return
	}
	if err != nil {
		l.fail(&e, err)
		return
	}
	l.serve(&e, now)
}

// refuseRate refuses a message that came too soon, and closes on whoever does
// not mind.
func (l *link) refuseRate(e *envelope, wait time.Duration) {
	if l.refusals++; l.refusals > maxRefusals {
		l.conn.Close(codeLimit, "too many messages")
		return
	}
	l.fail(e, limit.Exceeded(wait))
}

// Closed implements [socket.Handler].
func (l *link) Closed(_ *socket.Conn, code socket.Code, clean bool) {
	if l.admission != nil {
		l.admission.deadline.Stop()
	}
	if l.session == nil {
		return
	}
	l.hub.metrics.connections.Dec()
	l.session.lose(l, code, clean)
}

// proof is the payload of auth and resume.
type proof struct {
	Token  usher.Secret `json:"token"`
	Ticket usher.Secret `json:"ticket"`
	Seq    uint64       `json:"seq"`
}

var errFirst = usher.Errorf(usher.Unauthenticated, "credentials_required", "The first message must be auth, with a token or a ticket, or resume.")

// admit takes the first message for what it must be.
func (l *link) admit(e *envelope, err error) {
	var p proof
	action := string(e.action)
	if err != nil || action != "auth" && action != "resume" || json.Unmarshal(e.payload, &p) != nil ||
		action == "auth" && (p.Token == "") == (p.Ticket == "") {
		l.refuse(e, errFirst)
		return
	}
	if !l.admission.deadline.Stop() {
		return // too late: it is closing
	}
	if action == "resume" {
		l.resume(p)
		return
	}
	id, err := l.hub.identify(l.hub.base(), limit.AddressKey(l.admission.address), p.Token, p.Ticket)
	if err != nil {
		l.refuse(e, err)
		return
	}
	l.admission = nil
	l.begin(id)
}

// refuse tells a client why it is not let in, and closes.
func (l *link) refuse(e *envelope, err error) {
	failure := usher.AsError(err)
	l.fail(e, err)
	code := codeUnauthenticated
	switch failure.Kind {
	case usher.Forbidden:
		code = codeForbidden
	case usher.TooMany:
		code = codeLimit
	case usher.Internal, usher.Upstream:
		code = socket.CodeInternal
	case usher.Unavailable:
		code = socket.CodeTryLater
	}
	l.conn.Close(code, failure.Message)
}

// begin opens a session for who was authenticated.
func (l *link) begin(id usher.Identity) {
	h := l.hub
	ctx, cancel := h.step()
	defer cancel()
	s := &session{hub: h, user: h.hold(id), handle: string(h.IDs.New()), v1: l.conn.Subprotocol() == Subprotocol}
	live, err := h.Access.Connect(ctx, id, s)
	if err != nil {
		s.user.free()
		l.refuse(&envelope{}, err)
		return
	}
	s.live = live
	if err := s.open(l); err != nil {
		live.End()
		s.user.free()
		l.refuse(&envelope{}, err)
		return
	}
	h.metrics.connections.Inc()
	h.tend.recount(s.user)
	h.deviceThere(s, l)
}

// resume takes a session over.
func (l *link) resume(p proof) {
	h := l.hub
	s, generation := h.resumable(p.Token.Reveal())
	if s == nil {
		h.failed.Allow(limit.AddressKey(l.admission.address))
		l.conn.Close(codeGone, errGone.Message)
		return
	}
	switch err := s.resume(l, generation, p.Seq); err {
	case nil:
	case errGone:
		l.conn.Close(codeGone, err.Message)
		return
	default:
		l.refuse(&envelope{}, err)
		return
	}
	l.admission = nil
	h.metrics.connections.Inc()
	h.tend.recount(s.user)
	s.rejoin(l)
	h.deviceThere(s, l)
}

// renew goes on with a newer token.
func (l *link) renew(e *envelope) {
	if l.hub.config.TokenExpiry != Renew {
		l.fail(e, usher.Errorf(usher.Forbidden, "renewal_off", "This server takes no new token for a connection; open another one."))
		return
	}
	var p proof
	if json.Unmarshal(e.payload, &p) != nil {
		l.fail(e, malformed("The payload must be an object with token or ticket."))
		return
	}
	me := l.session.user
	id, err := l.hub.identify(l.hub.base(), me.app+"/"+me.key, p.Token, p.Ticket)
	if err == nil {
		ctx, cancel := l.hub.step()
		defer cancel()
		err = l.session.live.Renew(ctx, id)
	}
	if err != nil {
		l.fail(e, err)
		return
	}
	s := l.session
	if err := l.hub.keep(s, func(a *usher.Attachment) { a.Who = id }); err != nil {
		l.fail(e, err)
		return
	}
	s.user.mu.Lock()
	defer s.user.mu.Unlock()
	s.told = false
	if s.link == l {
		s.look()
	}
	_ = l.conn.SendPrepared(message{Action: "auth", Payload: expiryPayload{left(id.Expires, l.hub.Now())}}.prepare())
	l.ack(e, "", nil)
}

// fail answers a message with an error.
func (l *link) fail(e *envelope, err error) {
	failure := usher.AsError(err)
	l.hub.metrics.refused.WithLabelValues(failure.Code).Inc()
	if failure.Kind == usher.Internal || failure.Kind == usher.Upstream {
		l.hub.Logger.Error("a message could not be handled", "action", string(e.action), "error", failure.Err)
	}
	p := errorPayload{Code: failure.Code, Message: failure.Message}
	if failure.RetryAfter > 0 {
		p.RetryAfter = max(seconds(failure.RetryAfter), 0.001)
	}
	m := message{Action: "error", Payload: p}
	if len(e.id) <= maxShort {
		m.Ref = string(e.id)
	}
	if validCallID(e.callID) {
		m.CallID = string(e.callID)
	}
	if over, ok := errors.AsType[*call.OverError](err); ok {
		m.Call = &callPayload{State: "ended", Reason: over.Reason}
	}
	if room, err := usher.ParseID(string(e.room)); err == nil {
		m.Room = string(room)
	}
	_ = l.conn.SendPrepared(m.prepare())
}

// ack answers a message that was handled, if it asks for that.
func (l *link) ack(e *envelope, callID string, payload any) {
	if len(e.id) > 0 {
		_ = l.conn.SendPrepared(message{Action: "ack", Ref: string(e.id), CallID: callID, Payload: payload}.prepare())
	}
}
