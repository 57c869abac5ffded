package signaling

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/call"
	"usher/internal/socket"
)

// session is one device of a user: what outlives a socket that is lost.
type session struct {
	hub    *Hub
	user   *user
	handle string
	v1     bool // it speaks usher.v1
	live   *access.Live

	// due is when settle must look at the session, in nanoseconds since 1970.
	due atomic.Int64

	// relayed and called limit what the client sends, also over several sockets.
	relayed, called bucket

	// What follows is guarded by user.mu.
	link  *link // nil while it has no socket
	ended bool
	final socket.Code // why it was put out; 0 if it was not
	away  bool
	told  bool // that the token expires
	// quietAt is when a session without a socket does not count as there any
	// more, and endAt when it can't be resumed any more.
	quietAt, endAt int64  // in nanoseconds since 1970
	generation     uint32 // of the resume token
	seq            uint64 // of the last call event
	events         []event
	rung           []usher.CallKey // ringing calls that the client was told of
	places         []*place
	// unlost is the last socket, for as long as the calls do not know that it is lost.
	unlost usher.ID
}

// event is a call event that was not acknowledged.
type event struct {
	seq   uint64
	frame socket.Prepared
	rings usher.CallKey // the call, if it is told that it rings
}

// maxEvents is how many of them are kept, and maxEventBytes how long they are
// together at most, unless one alone is longer: others decide what is in them.
const (
	maxEvents     = 64
	maxEventBytes = 128 << 10
)

// lostPerOpen is how many sessions of a user may wait to be resumed for each
// that may be open.
const lostPerOpen = 4

// quiet is how long a user whose page was left still counts as there, so that a
// reload is not seen.
const quiet = 3 * time.Second

var _ access.Caller = (*session)(nil)

// Detached implements [access.Caller].
func (s *session) Detached(end access.End) { s.putOut(codeForbidden, end.Message) }

// putOut closes the session for good.
func (s *session) putOut(code socket.Code, message string) {
	s.user.mu.Lock()
	defer s.user.mu.Unlock()
	if s.final != 0 {
		return
	}
	s.final = code
	if s.link != nil {
		s.link.conn.Close(code, message)
	}
	s.due.Store(1) // at the next look
}

// sendAway says when to come back. The socket is closed after that.
func (s *session) sendAway(wait time.Duration) {
	if !s.v1 {
		return // it would take it for an error
	}
	s.user.mu.Lock()
	defer s.user.mu.Unlock()
	if s.link != nil {
		_ = s.link.conn.SendPrepared(message{Action: "error", Payload: errorPayload{
			Code: "restarting", Message: "The server restarts; connect again a little later.", RetryAfter: seconds(wait),
		}}.prepare())
	}
}

// present reports whether the session counts as there. The caller holds user.mu.
func (s *session) present(now time.Time) bool { return s.link != nil || now.UnixNano() < s.quietAt }

// settle does what has become due. Only the sweeper calls it.
func (s *session) settle(now time.Time) {
	s.user.mu.Lock()
	if s.link == nil {
		switch {
		case s.final != 0 || now.UnixNano() >= s.endAt:
			unlost := s.unlost
			s.user.mu.Unlock()
			if unlost == "" || s.hub.deviceLost(s, unlost) {
				s.end() // else it is tried again at the next look
			}
			return
		case now.UnixNano() >= s.quietAt:
			s.hub.tend.recount(s.user)
			s.due.Store(s.endAt)
		default:
			s.due.Store(min(s.quietAt, s.endAt))
		}
		s.user.mu.Unlock()
		return
	}
	defer s.user.mu.Unlock()
	expires := s.live.Expires()
	rest := expires.Sub(now)
	switch {
	case s.final != 0: // it is closing
		s.due.Store(0)
		return
	case !expires.IsZero() && rest <= 0:
		s.link.conn.Close(codeUnauthenticated, "The token has expired.")
		s.due.Store(0)
		return
	case !s.link.endsAt.IsZero() && !now.Before(s.link.endsAt):
		s.link.conn.Close(socket.CodeGoingAway, "The connection has lasted as long as it may; connect again.")
		s.due.Store(0)
		return
	case !expires.IsZero() && rest <= warnBefore && !s.told && s.v1 && s.hub.config.TokenExpiry == Renew:
		s.told = true
		_ = s.link.conn.SendPrepared(message{Action: "auth", Payload: expiryPayload{left(expires, now)}}.prepare())
	}
	s.look()
}

// warnBefore is how long before its token expires a client is told.
const warnBefore = time.Minute

// look sets when a session with a socket is looked at again. The caller holds
// user.mu.
func (s *session) look() {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if expires := s.live.Expires(); !expires.IsZero() {
		sooner(expires)
		if !s.told && s.v1 && s.hub.config.TokenExpiry == Renew {
			sooner(expires.Add(-warnBefore))
		}
	}
	sooner(s.link.endsAt)
	if at.IsZero() {
		s.due.Store(0)
		return
	}
	s.due.Store(at.UnixNano())
}

// open gives the session its first socket, greets it, and makes it one of its
// user's.
func (s *session) open(l *link) *usher.Error {
	u := s.user
	u.mu.Lock()
	defer u.mu.Unlock()
	if most := s.hub.config.Connections; u.open() >= most || len(u.sessions) >= most*lostPerOpen {
		return errConnections
	}
	s.hub.mu.Lock()
	s.hub.sessions[s.handle] = s
	s.hub.mu.Unlock()
	u.sessions = append(u.sessions, s)
	s.join(l, false, 0)
	return nil
}

var errConnections = usher.Errorf(usher.TooMany, "too_many_connections", "You have as many connections as you may; close one of them.")

var errGone = usher.Errorf(usher.Gone, "session_gone", "The session is gone; connect anew.")

// resume gives the session another socket, if it is still there to be resumed.
// The socket that had it closes.
func (s *session) resume(l *link, generation uint32, seen uint64) *usher.Error {
	s.user.mu.Lock()
	defer s.user.mu.Unlock()
	expires := s.live.Expires()
	if s.ended || s.final != 0 || generation != s.generation || !expires.IsZero() && !s.hub.Now().Before(expires) {
		return errGone
	}
	if s.link == nil && s.user.open() >= s.hub.config.Connections {
		return errConnections
	}
	if s.link != nil {
		s.link.conn.Close(codeReplaced, "The session was resumed elsewhere.")
	}
	s.acknowledge(seen)
	s.join(l, true, seen)
	return nil
}

// join makes a socket the session's and greets it; what it missed comes after.
// The caller holds user.mu.
func (s *session) join(l *link, resumed bool, seen uint64) {
	now := s.hub.Now()
	s.hub.opened.Add(1)
	s.link, l.session = l, s
	s.generation++
	s.quietAt, s.endAt = 0, 0
	if s.hub.config.Lifetime > 0 {
		l.endsAt = now.Add(s.hub.config.Lifetime)
	}
	s.look()
	if s.final != 0 {
		l.conn.Close(s.final, "Your access was taken away.")
		return
	}
	if !s.v1 {
		return
	}
	_ = l.conn.SendPrepared(message{Action: "hello", Payload: s.hello(now, resumed)}.prepare())
	s.rung = nil // what it was told before, it may have forgotten with its page
	for _, e := range s.events {
		if e.seq > seen {
			_ = l.conn.SendPrepared(e.frame)
			if e.rings != (usher.CallKey{}) {
				s.rung = append(s.rung, e.rings)
			}
		}
	}
}

func (s *session) hello(now time.Time, resumed bool) helloPayload {
	c, id := s.hub.config, s.live.Identity()
	return helloPayload{
		UserID: s.user.id, Connection: s.handle, Name: id.Name, ExpiresIn: left(id.Expires, now), Resumed: resumed,
		Resume: resumePayload{s.token(), seconds(c.ResumeWindow)},
		Limits: limitsPayload{
			Message: c.MaxMessage, Lifetime: seconds(c.Lifetime),
			RelayBurst: c.Relay.Count, RelayPerSecond: float64(c.Relay.Count) / c.Relay.Per.Seconds(),
			CallsBurst: c.Calls.Count, CallsPerSecond: float64(c.Calls.Count) / c.Calls.Per.Seconds(),
		},
		Presence: s.hub.shownOf(s.user),
	}
}

// token makes the resume token of the session's generation. The caller holds
// user.mu.
func (s *session) token() string {
	what := s.handle + "." + strconv.FormatUint(uint64(s.generation), 10)
	return what + "." + s.hub.sign(what)
}

func (h *Hub) sign(what string) string {
	mac := hmac.New(sha256.New, h.key[:])
	_, _ = mac.Write([]byte(what))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// resumable returns the session of a resume token, and the token's generation.
func (h *Hub) resumable(token string) (*session, uint32) {
	what, signature, _ := cutLast(token)
	handle, number, _ := strings.Cut(what, ".")
	generation, err := strconv.ParseUint(number, 10, 32)
	if err != nil || !hmac.Equal([]byte(signature), []byte(h.sign(what))) {
		return nil, 0
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sessions[handle], uint32(generation)
}

func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// lose notes that a socket of the session is no more.
func (s *session) lose(l *link, code socket.Code, clean bool) {
	s.user.mu.Lock()
	if s.link != l {
		s.user.mu.Unlock()
		return // another one has taken its place
	}
	now := s.hub.Now()
	s.link, s.unlost = nil, l.id
	s.endAt = now.Add(s.hub.config.ResumeWindow).UnixNano()
	s.quietAt = s.endAt
	if code != socket.CodeAbnormal {
		s.quietAt = now.Add(quiet).UnixNano()
	}
	if clean || !s.v1 {
		s.endAt = s.quietAt
	}
	if s.final != 0 {
		s.quietAt, s.endAt = now.UnixNano(), now.UnixNano()
	}
	s.due.Store(min(s.quietAt, s.endAt))
	places := slices.Clone(s.places)
	s.user.mu.Unlock()
	for _, p := range places {
		p.part(clean)
	}
	if s.hub.deviceLost(s, l.id) {
		s.user.mu.Lock()
		defer s.user.mu.Unlock()
		if s.unlost == l.id {
			s.unlost = ""
		}
	}
}

// end forgets a session that was lost for good.
func (s *session) end() {
	s.user.mu.Lock()
	if s.ended || s.link != nil {
		s.user.mu.Unlock()
		return // it was resumed at the last moment
	}
	s.ended = true
	s.user.sessions = slices.DeleteFunc(s.user.sessions, func(o *session) bool { return o == s })
	places := s.places
	s.places = nil
	s.hub.mu.Lock()
	delete(s.hub.sessions, s.handle)
	s.hub.mu.Unlock()
	s.user.mu.Unlock()
	for _, p := range places {
		p.part(false)
	}
	s.live.End()
	s.hub.tend.recount(s.user)
	s.user.free()
}

// tellCall queues a call event, which is kept until the client has it. The
// caller holds user.mu. rest is the event from its second member on.
func (s *session) tellCall(c usher.CallKey, action call.Action, rest []byte) {
	e := event{}
	if action == call.Invite || action == call.Request {
		if slices.Contains(s.rung, c) {
			return
		}
		s.rung, e.rings = append(s.rung, c), c
	}
	if !s.v1 {
		if s.link != nil {
			_ = s.link.conn.SendPrepared(socket.Prepare(fmt.Appendf(nil, `{"action":%q,%s`, action, rest)))
		}
		return
	}
	s.seq++
	e.seq, e.frame = s.seq, socket.Prepare(fmt.Appendf(nil, `{"action":%q,"seq":%d,%s`, action, s.seq, rest))
	s.events = append(s.events, e)
	size := 0
	for i, e := range slices.Backward(s.events) {
		if size += len(e.frame.Text()); i < len(s.events)-1 && (size > maxEventBytes || len(s.events)-i > maxEvents) {
			s.events = slices.Delete(s.events, 0, i+1)
			break
		}
	}
	if s.link != nil {
		_ = s.link.conn.SendPrepared(e.frame)
	}
}

// forgetRing forgets that a call rang, which does not ring any more. The caller
// holds user.mu.
func (s *session) forgetRing(c usher.CallKey) {
	if s.rung = slices.DeleteFunc(s.rung, func(o usher.CallKey) bool { return o == c }); len(s.rung) == 0 {
		s.rung = nil
	}
}

// acknowledge forgets the events that the client has handled. The caller holds
// user.mu.
func (s *session) acknowledge(seq uint64) {
	n := 0
	for n < len(s.events) && s.events[n].seq <= seq {
		n++
	}
	if s.events = s.events[n:]; len(s.events) == 0 {
		s.events = nil
	}
}

// device is the session as calls know it.
func (s *session) device(connection usher.ID) call.Device {
	return call.Device{App: s.user.app, User: s.user.key, ID: s.handle, Connection: connection}
}
