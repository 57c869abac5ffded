package call_test

import (
	"slices"
	"time"
)

// model is what calls are in the simplest words: a list of all there ever were,
// looked through from end to end, with no store and no steps that can race.
type model struct {
	now, started time.Time
	calls        []*modelCall
}

type modelCall struct {
	caller, callee string            // people
	device         map[string]string // of each of the two
	lost           map[string]time.Time
	id, merged     string
	stage          string // rings, answered, connected, over
	since          time.Time
	reason         string
	missed         bool
	forget         time.Time
}

func (c *modelCall) between(a, b string) bool {
	return c.caller == a && c.callee == b || c.caller == b && c.callee == a
}

func (c *modelCall) end(at time.Time, reason string, missed bool) {
	c.stage, c.reason, c.missed = "over", reason, missed
	c.forget = at.Add(10 * time.Minute)
	if missed {
		c.forget = at.Add(rules.KeepMissed)
	}
}

// tick lets time do what it does.
func (m *model) tick() {
	after := func(t time.Time, d time.Duration) time.Time {
		if t.Before(m.started) {
			t = m.started
		}
		return t.Add(d)
	}
	for _, c := range m.calls {
		var at time.Time
		var reason string
		switch c.stage {
		case "rings":
			at, reason = c.since.Add(rules.Ring), "invite_timeout"
		case "answered":
			at, reason = after(c.since, rules.Connect), "ice_timeout"
		case "connected":
			at, reason = c.since.Add(rules.Longest), "too_long"
		default:
			continue
		}
		for _, lost := range c.lost {
			if gone := after(lost, rules.Grace); gone.Before(at) {
				at, reason = gone, "connection_lost"
			}
		}
		if !m.now.Before(at) {
			c.end(at, reason, c.stage == "rings")
		}
	}
}

func (m *model) sweep() {
	m.calls = slices.DeleteFunc(m.calls, func(c *modelCall) bool { return c.stage == "over" && !m.now.Before(c.forget) })
}

// restart loses every device that is not lost yet.
func (m *model) restart() {
	m.sweep()
	m.started = m.now
	for _, c := range m.calls {
		for user, device := range c.device {
			if _, lost := c.lost[user]; !lost && device != "" {
				c.lost[user] = m.now
			}
		}
	}
}

func (m *model) connection(user, device string, there bool) {
	for _, c := range m.calls {
		if _, lost := c.lost[user]; c.device[user] != device || lost != there {
			continue
		}
		if there {
			delete(c.lost, user)
		} else {
			c.lost[user] = m.now
		}
	}
}

func (m *model) find(user, peer, id string) *modelCall {
	for _, c := range m.calls {
		if c.between(user, peer) && (c.id == id || c.merged == id) {
			return c
		}
	}
	return nil
}

func (m *model) live(of func(*modelCall) bool) *modelCall {
	for _, c := range m.calls {
		if c.stage != "over" && of(c) {
			return c
		}
	}
	return nil
}

func (m *model) answer(c *modelCall, user, device string) {
	c.stage, c.since = "answered", m.now
	c.device[user] = device
	delete(c.lost, user)
}

// replace puts a device in the place of one that is lost.
func (c *modelCall) replace(user, device string) {
	if _, lost := c.lost[user]; lost && c.device[user] != device {
		c.device[user] = device
		delete(c.lost, user)
	}
}

// invite returns the code of its error, as all that follow.
func (m *model) invite(user, device, peer, id string, stranger bool) string {
	known := m.find(user, peer, id)
	if known != nil && known.stage == "over" {
		return "call_over"
	}
	c := m.live(func(c *modelCall) bool { return c.between(user, peer) })
	if c != nil && c.stage == "rings" && c.callee == user {
		if id != c.id {
			c.merged = id
		}
		m.answer(c, user, device)
		return ""
	}
	if c != nil {
		_, lost := c.lost[user]
		mine := c.device[user] == device
		// An id that is the call's own, in the mouth of whose it is.
		again := c == known && (id == c.merged || c.caller == user || c.merged == "") && !(id == c.merged && c.caller == user)
		switch {
		case !mine && !lost:
			return "call_exists"
		case again:
			c.replace(user, device)
			return ""
		case c == known:
			return "call_exists"
		}
		c.end(m.now, "replaced", false)
	}
	busy := m.live(func(c *modelCall) bool { return (c.caller == peer || c.callee == peer) && c.stage != "rings" }) != nil
	c = &modelCall{caller: user, callee: peer, id: id, stage: "rings", since: m.now,
		device: map[string]string{user: device}, lost: map[string]time.Time{}}
	if busy && !stranger {
		c.end(m.now, "user_busy", true)
	}
	m.calls = append(m.calls, c)
	return ""
}

// respond is what only a callee does: accept, rings and ignore.
func (m *model) respond(user, device, peer, id string, accept bool) string {
	c := m.find(user, peer, id)
	switch {
	case c == nil:
		return "call_not_found"
	case c.stage == "over":
		return "call_over"
	case c.caller == user:
		return "not_your_call"
	}
	if accept && c.stage != "rings" {
		c.replace(user, device)
	}
	if c.stage != "rings" && c.device[user] != device {
		return "call_taken"
	}
	if accept && c.stage == "rings" {
		m.answer(c, user, device)
	}
	return ""
}

func (m *model) connect(user, device, peer, id string) string {
	c := m.find(user, peer, id)
	switch {
	case c == nil:
		return "call_not_found"
	case c.stage == "over":
		return "call_over"
	case c.stage == "rings":
		return "call_state"
	}
	c.replace(user, device)
	switch {
	case c.device[user] != device:
		return "call_taken"
	case c.stage == "answered":
		c.stage, c.since = "connected", m.now
	}
	return ""
}

// finish is cancels, rejects, busies and hangs.
func (m *model) finish(user, device, peer, id, verb string) string {
	c := m.find(user, peer, id)
	if c == nil {
		if verb == "rejects" || verb == "busies" {
			return "call_not_found"
		}
		c = &modelCall{caller: user, callee: peer, id: id, device: map[string]string{}, lost: map[string]time.Time{}}
		c.end(m.now, "cancelled", false)
		m.calls = append(m.calls, c)
		return ""
	}
	if c.stage == "over" {
		return ""
	}
	calling := c.caller == user
	if calling && (verb == "rejects" || verb == "busies") || !calling && verb == "cancels" && id != c.merged {
		return "not_your_call"
	}
	if _, lost := c.lost[user]; (calling || c.stage != "rings") && c.device[user] != device && !lost {
		return "call_taken"
	}
	reason := "user_hangup"
	switch {
	case verb == "busies":
		reason = "user_busy"
	case c.stage == "rings" && calling:
		reason = "cancelled"
	case c.stage == "rings":
		reason = "rejected"
	}
	c.end(m.now, reason, c.stage == "rings" && calling)
	return ""
}
