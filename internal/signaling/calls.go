package signaling

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"usher"
	"usher/internal/call"
	"usher/internal/limit"
	"usher/internal/socket"
)

// strangers is how often one user may call people who do not list them.
var strangers = limit.Rate{Count: 30, Per: time.Minute}

// call does to a call what a client asks for.
func (l *link) call(e *envelope, now time.Time) error {
	if wait, ok := l.session.called.take(l.hub.config.Calls, now.UnixNano()); !ok {
		return limit.Exceeded(wait)
	}
	s, me := l.session, l.session.user
	if !me.isPerson() {
		return errUsersOnly
	}
	action := call.Action(e.action)
	if action == call.Invite {
		return l.invite(e)
	}
	if !e.has(fieldCallID) {
		return errNoDestination
	}
	ctx, cancel := l.hub.step()
	defer cancel()
	peer := ""
	if e.has(fieldTo) {
		peer = usher.KeyOfUserID(me.issuer, string(e.to))
	}
	d, id, payload, calls := s.device(l.id), string(e.callID), string(e.payload), l.hub.calls
	var c usher.Call
	var err error
	switch action {
	case call.Ringing:
		c, err = calls.Ringing(ctx, d, peer, id, payload)
	case call.Accept:
		if c, err = calls.Accept(ctx, d, peer, id, payload); err == nil && describes(e.payload) {
			l.hub.release(c, me.key)
		}
	case "call.ignore":
		c, err = calls.Ignore(ctx, d, peer, id)
	case "call.connected":
		c, err = calls.Connected(ctx, d, peer, id)
	case call.Reject, call.Busy, call.Cancel, call.Hangup:
		c, err = calls.End(ctx, d, peer, id, call.How{Action: action, Reason: reasonIn(e.payload), Payload: payload})
	default:
		err = errUnknownAction
	}
	if err != nil {
		return err
	}
	l.ack(e, c.ID, nil)
	return nil
}

// invite makes a call.
func (l *link) invite(e *envelope) error {
	h, me := l.hub, l.session.user
	if !e.has(fieldTo) {
		return errNoDestination
	}
	in := call.Invitation{ID: string(e.callID), To: usher.KeyOfUserID(me.issuer, string(e.to)), Payload: string(e.payload)}
	if in.ID == "" {
		in.ID = string(h.IDs.New())
	}
	ctx, cancel := h.step()
	defer cancel()
	listed, err := h.Access.PlaceCall(ctx, l.session.live.Identity(), in.To)
	if err != nil {
		return err
	}
	if in.Request = !listed; in.Request {
		if wait, ok := h.strangers.Allow(me.app + "/" + me.key); !ok {
			return limit.Exceeded(wait)
		}
	}
	c, err := h.calls.Invite(ctx, l.session.device(l.id), in)
	if err != nil {
		return err
	}
	if !c.Request && describes(e.payload) { // a stranger's is shown to nobody
		h.release(c, me.key)
	}
	p := invitedPayload{State: stateOf(c)}
	if c.Ringing() {
		p.ExpiresIn = seconds(c.Due.Sub(h.Now()))
	}
	l.ack(e, c.ID, p)
	return nil
}

// describes reports whether a payload brings an offer or answer.
func describes(payload []byte) bool {
	var p struct {
		Description json.RawMessage `json:"description"`
	}
	return json.Unmarshal(payload, &p) == nil && len(p.Description) > 0 && string(p.Description) != "null"
}

// reasonIn returns the reason that a payload gives, if it gives one.
func reasonIn(payload []byte) usher.CallReason {
	var p struct {
		Reason usher.CallReason `json:"reason"`
	}
	_ = json.Unmarshal(payload, &p)
	return p.Reason
}

// deviceThere tells calls that a session has a socket, and the session of the
// calls that ring. Without that a device would not ring, and lose its calls:
// a socket for which it can't be done is closed, so that its client comes back.
func (h *Hub) deviceThere(s *session, l *link) {
	if !s.user.isPerson() {
		return
	}
	ctx, cancel := h.step()
	defer cancel()
	for {
		news := s.user.newsOfCalls()
		rings, err := h.ringsFor(ctx, s.device(l.id))
		if err != nil {
			h.Logger.Error("a device was not told of its calls", "error", err)
			l.conn.Close(socket.CodeInternal, "Your calls could not be read; connect again.")
			return
		}
		if s.ring(l, rings, news) {
			break
		}
	}
	h.tend.recount(s.user)
}

// ring is a call that concerns a device, and what it is told if it rings.
type ring struct {
	call   usher.Call
	notice call.Notice
	caller usher.User
}

// ringsFor reads the calls that concern a device which has a new socket.
func (h *Hub) ringsFor(ctx context.Context, d call.Device) ([]ring, error) {
	calls, err := h.calls.Attach(ctx, d)
	if err != nil {
		return nil, err
	}
	rings := make([]ring, len(calls))
	for i, c := range calls {
		n := call.Notice{Action: call.Invite, To: d.User, From: c.Caller.User, By: c.Caller.Device, Payload: c.Payload}
		if c.Request {
			n.Action, n.Payload = call.Request, ""
		}
		caller, err := h.Access.Person(ctx, c.App, c.Caller.User)
		if err != nil && usher.AsError(err).Kind != usher.NotFound {
			return nil, err
		}
		rings[i] = ring{c, n, caller}
	}
	return rings, nil
}

// ring keeps what was read of the user's calls and lets the session ring, unless
// there has been news of them since: what was read may be older than that.
func (s *session) ring(l *link, rings []ring, news uint64) bool {
	u, now := s.user, s.hub.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.news != news {
		return false
	}
	for _, r := range rings {
		u.keepCall(r.call)
		if s.link == l && r.call.RingsAt(u.key, s.handle) {
			s.tellCall(r.call.Key(), r.notice.Action, u.eventRest(r.call, r.notice, r.caller.Name, r.caller.Email, now))
		}
	}
	return true
}

// deviceLost tells calls that a session has lost a socket, and reports whether
// that is written down.
func (h *Hub) deviceLost(s *session, connection usher.ID) bool {
	if !s.user.isPerson() {
		return true
	}
	ctx, cancel := h.step()
	defer cancel()
	err := h.calls.Lose(ctx, s.device(connection))
	if h.unlost.Swap(err != nil) != (err != nil) && err != nil { // the first of a row
		h.Logger.Error("the end of a connection was not written down for its calls; it is tried again", "error", err)
	}
	return err == nil
}

// callChanged hears of every call that this process changed.
func (h *Hub) callChanged(c usher.Call, notices []call.Notice) {
	news := callNews{Call: c, Notices: notices}
	if caller := h.user(c.App, c.Caller.User); caller != nil {
		caller.mu.Lock()
		news.Name, news.Email = caller.name, caller.email
		caller.mu.Unlock()
	}
	h.Access.RecordCall(c, notices)
	h.tellCall(news)
	h.nodes.tell(h, nodeMessage{Kind: nodeCall, Calls: &news})
}

// callNews is a call that was changed, and whom to tell what.
type callNews struct {
	Call    usher.Call    `json:"call"`
	Notices []call.Notice `json:"notices"`
	// Name and Email are the caller's, where they are known.
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
}

// tellCall tells those who are connected here of a call.
func (h *Hub) tellCall(news callNews) {
	c := news.Call
	switch {
	case !c.Live():
		h.pending.End(c.Key())
	case c.Version == 1:
		h.pending.Begin(c.Key())
	}
	for _, key := range []string{c.Caller.User, c.Callee.User} {
		if u := h.user(c.App, key); u != nil {
			u.mu.Lock()
			u.news++
			u.keepCall(c)
			u.mu.Unlock()
			h.tend.recount(u)
		}
	}
	for _, n := range news.Notices {
		if u := h.user(c.App, n.To); u != nil {
			u.mu.Lock()
			u.tellCall(news, n)
			u.mu.Unlock()
		}
	}
	h.answer(c)
	h.turn.called(c, news.Notices)
}

// answer lets pass what waited for the answer to the call of a stranger.
func (h *Hub) answer(c usher.Call) {
	if c.Request && c.Answered() {
		h.pending.Answer(c.Key(), func(from string, m heldBack) { h.sendHeld(c, from, m) })
	}
}

// tellCall tells those of the user's devices that a notice is for. The caller
// holds u.mu.
func (u *user) tellCall(news callNews, n call.Notice) {
	rest := u.eventRest(news.Call, n, news.Name, news.Email, u.hub.Now())
	for _, s := range u.sessions {
		if n.For(s.handle) {
			s.tellCall(news.Call.Key(), n.Action, rest)
		}
	}
}

// keepCall remembers a call while it lives. The caller holds u.mu.
func (u *user) keepCall(c usher.Call) {
	c.Payload = "" // the store has it
	if !c.Ringing() {
		for _, s := range u.sessions {
			s.forgetRing(c.Key())
		}
	}
	i := slices.IndexFunc(u.calls, func(o usher.Call) bool { return o.Key() == c.Key() })
	switch {
	case i >= 0 && u.calls[i].Version > c.Version: // old news
	case i >= 0 && c.Live():
		u.calls[i] = c
	case i >= 0:
		if u.calls = slices.Delete(u.calls, i, i+1); len(u.calls) == 0 {
			u.calls = nil
		}
	case c.Live():
		u.calls = append(u.calls, c)
	}
}

// newsOfCalls returns how often there has been news of the user's calls.
func (u *user) newsOfCalls() uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.news
}

// callOf returns the user's live call of an id, with that peer if one is named.
func (u *user) callOf(id []byte, peer string) *usher.Call {
	u.hub.turn.readCalls(u)
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, c := range u.calls {
		if (string(id) == c.ID || string(id) == c.Merged) && (peer == "" || c.Peer(u.key) == peer) {
			return &c
		}
	}
	return nil
}

// inCallWith reports whether the user is in a call with another.
func (u *user) inCallWith(peer string) bool {
	u.hub.turn.readCalls(u)
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.ContainsFunc(u.calls, func(c usher.Call) bool { return c.Answered() && c.Peer(u.key) == peer })
}

func stateOf(c usher.Call) string {
	switch {
	case c.Ringing():
		return "ringing"
	case c.Answered():
		return "accepted"
	default:
		return "ended"
	}
}

// eventRest is what the user is told of a call, from the second member on.
func (u *user) eventRest(c usher.Call, n call.Notice, name, email string, now time.Time) []byte {
	p := callPayload{State: stateOf(c), Reason: n.Reason, Merged: c.Merged}
	switch n.Action {
	case call.Request:
		p.Email = email
		fallthrough
	case call.Invite:
		p.Name, p.ExpiresIn = name, seconds(max(c.Due.Sub(now), 0))
	case call.Taken:
		p.By = n.By
	}
	var b []byte
	if n.From != "" {
		b = append(append(append(b, `"from":`...), marshal(u.idFor(n.From))...), ',')
	}
	if n.By != "" && n.Action != call.Taken {
		b = append(append(append(b, `"fromConnection":`...), marshal(n.By)...), ',')
	}
	b = append(strconv.AppendInt(append(b, `"ts":`...), now.UnixMilli(), 10), `,"callId":"`...)
	b = append(append(append(b, c.ID...), `","call":`...), marshal(p)...)
	if n.Payload != "" {
		b = append(append(b, `,"payload":`...), n.Payload...)
	}
	return append(b, '}')
}
