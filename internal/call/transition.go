package call

import (
	"slices"
	"time"

	"usher"
)

// The functions of this file are the whole life of a call, as pure steps from
// one record to the next with the notices that they give rise to. A store may
// call a step more than once, so a step reads nothing but its arguments.

// remembered is how long a call that ended, and whose end nobody has to read
// any more, is kept: for as long as something about it may still be on its way.
const remembered = 10 * time.Minute

// maxIgnored bounds the devices that are written down as not ringing.
const maxIgnored = 16

// Errors of a step. Their codes are those of the signaling protocol.
var (
	ErrNotFound = usher.Errorf(usher.NotFound, "call_not_found", "There is no such call.")
	ErrOver     = usher.Errorf(usher.Gone, "call_over", "The call is over.")
	ErrTaken    = usher.Errorf(usher.Conflict, "call_taken", "The call is on another of your devices.")
	ErrExists   = usher.Errorf(usher.Conflict, "call_exists", "You have a call with them already: at another of your devices, or of the same id.")
	ErrState    = usher.Errorf(usher.Conflict, "call_state", "The call has not been accepted yet.")
	ErrNotYours = usher.Errorf(usher.Forbidden, "not_your_call", "That is for the other side of the call to do.")
)

// OverError is [ErrOver] with why the call ended, for who was away then.
type OverError struct{ Reason usher.CallReason }

func (e *OverError) Error() string { return ErrOver.Error() }

// Unwrap returns [ErrOver].
func (e *OverError) Unwrap() error { return ErrOver }

// Device is whoever does something, at one device.
type Device struct {
	App  string
	User string // the key of the person
	// ID is the device's handle: it outlives connections.
	ID string
	// Connection is the device's connection of now, and grows no older than it.
	Connection usher.ID
}

// moment is when a step is taken, and what the rules are then.
type moment struct {
	now time.Time
	// started is when this process began to serve. Nobody could reconnect or
	// report before, so no such wait that began earlier is over before its whole
	// length after it.
	started time.Time
	node    usher.ID
	// missed is the id that the call gets in the list of missed ones if it must.
	missed usher.ID
	rules  Config
}

// step is what became of a call, and whom to tell.
type step struct {
	call    usher.Call
	notices []Notice
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// deadline is when a live call ends by itself, and why.
func (m moment) deadline(c usher.Call) (at time.Time, reason usher.CallReason) {
	switch c.Status {
	case usher.CallAccepted:
		at, reason = later(c.AcceptedAt, m.started).Add(m.rules.Connect), usher.ICETimeout
	case usher.CallConnected:
		at, reason = c.ConnectedAt.Add(m.rules.Longest), usher.CallTooLong
	default:
		at, reason = c.InvitedAt.Add(m.rules.Ring), usher.InviteTimeout
	}
	for _, p := range []usher.CallParty{c.Caller, c.Callee} {
		if !p.Lost() {
			continue
		}
		if lost := later(p.LostAt, m.started).Add(m.rules.Grace); lost.Before(at) {
			at, reason = lost, usher.ConnectionLost
		}
	}
	return at, reason
}

// settle brings a call up to date with the time that has passed.
func (m moment) settle(c usher.Call) step {
	if !c.Live() {
		return step{call: c}
	}
	at, reason := m.deadline(c)
	if !m.now.Before(at) {
		return m.end(c, end{at: at, reason: reason})
	}
	c.Due = at
	return step{call: c}
}

// end is how a call ends: by somebody at a device, or by itself.
type end struct {
	at      time.Time
	reason  usher.CallReason
	by      Device
	payload string
	// anew says that another call takes the place of this one.
	anew bool
}

// end ends a live call and tells those who know of it.
func (m moment) end(c usher.Call, e end) step {
	was := c
	c.Status, c.EndedAt, c.EndedBy, c.Reason = usher.CallEnded, e.at, e.by.User, e.reason
	c.Payload, c.Ignored = "", nil
	for _, p := range []*usher.CallParty{&c.Caller, &c.Callee} {
		p.Connection, p.Node, p.LostAt = "", "", time.Time{}
	}
	c.Due = e.at.Add(remembered)
	if was.Ringing() && e.by.User != c.Callee.User && !e.anew {
		c.Missed, c.Due = m.missed, e.at.Add(m.rules.KeepMissed)
	}
	return step{c, endNotices(was, c, e)}
}

func endNotices(was, c usher.Call, e end) []Notice {
	notice := Notice{From: e.by.User, By: e.by.ID, Reason: e.reason, Payload: e.payload}
	tell := func(action Action, to, device, except string) Notice {
		n := notice
		n.Action, n.To, n.Device, n.Except = action, to, device, except
		return n
	}
	caller, callee := c.Caller.User, c.Callee.User
	var notices []Notice
	switch {
	case was.Answered():
		for _, user := range []string{caller, callee} {
			except := ""
			if user == e.by.User {
				except = e.by.ID
			}
			notices = append(notices, tell(Hangup, user, "", except))
		}
	case e.by.User == callee:
		action := Reject
		if e.reason == usher.UserBusy {
			action = Busy
		}
		notices = append(notices, tell(action, caller, c.Caller.Device, ""), tell(Taken, callee, "", e.by.ID))
	default:
		if e.by.ID != c.Caller.Device { // not the caller's device itself
			notices = append(notices, tell(Hangup, caller, c.Caller.Device, ""))
		}
		if e.by.User != "" {
			notices = append(notices, tell(Cancel, callee, "", ""))
		}
		if c.Missed != "" {
			notices = append(notices, tell(Missed, callee, "", ""))
		}
	}
	return notices
}

// begin makes the call of an invite. If the callee is busy it has ended already.
func (m moment) begin(d Device, in Invitation, busy bool) step {
	c := usher.Call{
		App: d.App, ID: in.ID, Status: usher.CallInvited, Request: in.Request, Payload: in.Payload,
		Callee: usher.CallParty{User: in.To}, InvitedAt: m.now, UpdatedAt: m.now, Version: 1,
	}
	c.Caller = usher.CallParty{User: d.User}
	m.hold(&c.Caller, d)
	if busy {
		c.Status, c.EndedAt, c.Reason, c.Payload = usher.CallEnded, m.now, usher.UserBusy, ""
		c.Caller.Connection, c.Caller.Node = "", ""
		c.Missed, c.Due = m.missed, m.now.Add(m.rules.KeepMissed)
		return step{c, []Notice{
			{Action: Busy, To: d.User, Device: d.ID, Reason: usher.UserBusy},
			{Action: Missed, To: in.To, From: d.User, By: d.ID, Reason: usher.UserBusy},
		}}
	}
	c.Due, _ = m.deadline(c)
	return step{c, []Notice{inviteNotice(c)}}
}

// inviteNotice tells the callee that the call rings.
func inviteNotice(c usher.Call) Notice {
	n := Notice{Action: Invite, To: c.Callee.User, From: c.Caller.User, By: c.Caller.Device, Payload: c.Payload}
	if c.Request {
		n.Action, n.Payload = Request, ""
	}
	return n
}

// bury makes the record of a call that was ended before its invite came, which
// is dead when it comes.
func (m moment) bury(d Device, peer, id string, reason usher.CallReason) usher.Call {
	return usher.Call{
		App: d.App, ID: id, Status: usher.CallEnded, Reason: reason, EndedBy: d.User,
		Caller: usher.CallParty{User: d.User, Device: d.ID}, Callee: usher.CallParty{User: peer},
		EndedAt: m.now, Due: m.now.Add(remembered), UpdatedAt: m.now, Version: 1,
	}
}

// hold gives a party's place to a device.
func (m moment) hold(p *usher.CallParty, d Device) {
	p.Device, p.Connection, p.Node, p.LostAt = d.ID, d.Connection, m.node, time.Time{}
}

// meet is an invite between two who have a call already: the same one again,
// one in the other direction, or one that starts anew.
func (m moment) meet(c usher.Call, d Device, in Invitation) (step, error) {
	caller := c.Caller.User == d.User
	if !c.Live() {
		if c.ID == in.ID || c.Merged == in.ID {
			return step{call: c}, &OverError{c.Reason}
		}
		return step{call: c}, nil
	}
	if c.Ringing() && !caller {
		return m.merge(c, d, in), nil
	}
	p := c.Party(d.User)
	known := in.ID == c.ID || in.ID == c.Merged // the new call would have an id that is used
	switch {
	case p.Device != d.ID && !p.Lost(), known && in.ID != ownID(c, caller):
		return step{call: c}, ErrExists
	case known:
		return m.replace(c, d), nil
	}
	return m.end(c, end{at: m.now, reason: usher.CallReplaced, by: d, anew: true}), nil
}

// ownID is the id of a side's own invite that made the call or went into it.
func ownID(c usher.Call, caller bool) string {
	if caller || c.Merged == "" {
		return c.ID
	}
	return c.Merged
}

// merge makes one accepted call of two invites that crossed.
func (m moment) merge(c usher.Call, d Device, in Invitation) step {
	if in.ID != c.ID {
		c.Merged = in.ID
	}
	s := m.take(c, d, "")
	s.notices = append(s.notices, Notice{Action: Accept, To: d.User, Device: d.ID, From: c.Caller.User, By: c.Caller.Device})
	return s
}

// take gives a ringing call to the callee's device.
func (m moment) take(c usher.Call, d Device, payload string) step {
	c.Status, c.AcceptedAt = usher.CallAccepted, m.now
	c.Payload, c.Ignored = "", nil
	m.hold(&c.Callee, d)
	c.Due, _ = m.deadline(c)
	return step{c, takeNotices(c, payload)}
}

// takeNotices tell that the callee's device has the call.
func takeNotices(c usher.Call, payload string) []Notice {
	callee := c.Callee
	return []Notice{
		{Action: Accept, To: c.Caller.User, Device: c.Caller.Device, From: callee.User, By: callee.Device, Payload: payload},
		{Action: Taken, To: callee.User, Except: callee.Device, From: callee.User, By: callee.Device},
	}
}

// replace gives a call to the device of a party that says what the party's own
// had said, which is lost: after the end of a session, or of this process, the
// same client is another device. It does nothing for the device that has it.
func (m moment) replace(c usher.Call, d Device) step {
	if p := c.Party(d.User); p.Device != d.ID && p.Lost() {
		m.hold(p, d)
		c.Due, _ = m.deadline(c)
	}
	return step{call: c}
}

// accept takes the call for the callee's device; the first wins.
func (m moment) accept(c usher.Call, d Device, payload string) (step, error) {
	if c.Answered() && d.User == c.Callee.User {
		c = m.replace(c, d).call
	}
	if again, err := m.answering(c, d); again || err != nil {
		return step{call: c}, err
	}
	return m.take(c, d, payload), nil
}

// answering checks that a device may answer a call, and whether it has.
func (m moment) answering(c usher.Call, d Device) (again bool, err error) {
	switch {
	case !c.Live():
		return false, &OverError{c.Reason}
	case d.User != c.Callee.User:
		return false, ErrNotYours
	case c.Answered() && d.ID != c.Callee.Device:
		return false, ErrTaken
	}
	return c.Answered(), nil
}

// ring says that a device of the callee rings. A stranger is not told: nobody
// learns by calling whether somebody is there.
func (m moment) ring(c usher.Call, d Device, payload string) (step, error) {
	again, err := m.answering(c, d)
	if again || err != nil || c.Status == usher.CallRinging {
		return step{call: c}, err
	}
	c.Status = usher.CallRinging
	if c.Request {
		return step{call: c}, nil
	}
	return step{c, []Notice{{
		Action: Ringing, To: c.Caller.User, Device: c.Caller.Device, From: d.User, By: d.ID, Payload: payload,
	}}}, nil
}

// ignore stops the ringing at one device, for good and for nobody else.
func (m moment) ignore(c usher.Call, d Device) (step, error) {
	if again, err := m.answering(c, d); again || err != nil {
		return step{call: c}, err
	}
	if !slices.Contains(c.Ignored, d.ID) && len(c.Ignored) < maxIgnored {
		c.Ignored = append(slices.Clone(c.Ignored), d.ID)
	}
	return step{call: c}, nil
}

// connect says that a device has the other one's media: then so will the other.
func (m moment) connect(c usher.Call, d Device) (step, error) {
	switch {
	case !c.Live():
		return step{call: c}, &OverError{c.Reason}
	case c.Ringing():
		return step{call: c}, ErrState
	}
	c = m.replace(c, d).call
	if c.Party(d.User).Device != d.ID {
		return step{call: c}, ErrTaken
	}
	if c.Status == usher.CallAccepted {
		c.Status, c.ConnectedAt = usher.CallConnected, m.now
		c.Due, _ = m.deadline(c)
	}
	return step{call: c}, nil
}

// finish ends a call as whoever asks for it may: the caller's device cancels
// what rings and any device of the callee rejects it, and each of the two
// devices that have an accepted call hangs it up. What has ended stays as it is.
func (m moment) finish(c usher.Call, d Device, id string, how How) (step, error) {
	caller := d.User == c.Caller.User
	p := c.Party(d.User)
	switch {
	case !c.Live():
		return step{call: c}, nil
	case caller && (how.Action == Reject || how.Action == Busy),
		!caller && how.Action == Cancel && c.Merged != id: // a merged invite was the callee's own
		return step{call: c}, ErrNotYours
	case (caller || c.Answered()) && p.Device != d.ID && !p.Lost():
		return step{call: c}, ErrTaken
	}
	return m.end(c, end{at: m.now, reason: how.reason(c, caller), by: d, payload: how.Payload}), nil
}

// lose notes that a connection broke. It does no more than settle if the
// device has another one by now.
func (m moment) lose(c usher.Call, d Device) step {
	if p := c.Party(d.User); c.Live() && p.Device == d.ID && p.Connection == d.Connection && !p.Lost() {
		p.Connection, p.Node, p.LostAt = "", "", m.now
		c.Due, _ = m.deadline(c)
	}
	return step{call: c}
}

// strand does the same for connections of nodes that are no more.
func (m moment) strand(c usher.Call, alive []usher.ID) step {
	for _, p := range []*usher.CallParty{&c.Caller, &c.Callee} {
		if c.Live() && p.Node != "" && !slices.Contains(alive, p.Node) {
			p.Connection, p.Node, p.LostAt = "", "", m.now
		}
	}
	if c.Live() {
		c.Due, _ = m.deadline(c)
	}
	return step{call: c}
}

// attach gives a device that has a call its new connection.
func (m moment) attach(c usher.Call, d Device) step {
	if p := c.Party(d.User); c.Live() && p.Device == d.ID {
		m.hold(p, d)
		c.Due, _ = m.deadline(c)
	}
	return step{call: c}
}

// acknowledge takes the call off the list of missed ones.
func (m moment) acknowledge(c usher.Call) usher.Call {
	if c.Missed != "" {
		c.Missed, c.Due, c.UpdatedAt = "", later(m.now, c.EndedAt.Add(remembered)), m.now
	}
	return c
}
