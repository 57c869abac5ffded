package signaling

import (
	"slices"

	"usher"
	"usher/internal/access"
	"usher/internal/call"
)

// What people are told of each other in the course of a turn.

// moved tells people of a user whose connections have changed, if the user's
// status has by that. It reads how they are now, so that of several changes at
// once the last one is told; before makes of that what they were.
func (t *turn) moved(key userKey, before func([]usher.Attachment) []usher.Attachment) {
	rows, err := t.Attachments.Of(t.ctx, key.app, key.key)
	if err != nil {
		t.fail("a user's connections could not be read", err)
		return
	}
	was, is := t.seen(before(slices.Clone(rows))), t.seen(rows)
	if was == is {
		return
	}
	t.mu.Lock()
	u := t.users[key]
	t.mu.Unlock()
	if u == nil {
		u = t.seat(key, rows)
	}
	t.readCalls(u)
	if u.busyWithout("") {
		was, is = was.inCall(), is.inCall()
	}
	if was != is {
		t.announce(u, is)
	}
}

// seen is what a user with these connections is who is in no call.
func (t *turn) seen(rows []usher.Attachment) status {
	now, at := t.Now(), offline
	for _, row := range rows {
		switch {
		case !row.There(now) || t.void(row.Who, now) != nil:
		case !row.Away:
			return online
		default:
			at = awayFrom
		}
	}
	return at
}

// inCall is the status of somebody who is in a call as well.
func (s status) inCall() status {
	if s == offline {
		return offline
	}
	return busy
}

// called tells people of two between whom a call was accepted or ended.
func (t *turn) called(c usher.Call, notices []call.Notice) {
	accepted := c.Answered() && slices.ContainsFunc(notices, func(n call.Notice) bool { return n.Action == call.Accept })
	if t == nil || !accepted && (c.Live() || c.AcceptedAt.IsZero()) {
		return
	}
	for _, key := range []string{c.Caller.User, c.Callee.User} {
		u := t.user(userKey{c.App, key})
		if u == nil {
			continue
		}
		t.readCalls(u)
		if u.busyWithout(c.ID) {
			continue // with another call
		}
		t.mu.Lock()
		at := t.seen(t.rows[u.userKey])
		t.mu.Unlock()
		if at == offline {
			continue
		}
		if accepted {
			at = busy
		}
		t.announce(u, at)
	}
}

// busyWithout reports whether a user is in a call that has another id.
func (u *user) busyWithout(id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.ContainsFunc(u.calls, func(c usher.Call) bool { return c.Answered() && c.ID != id })
}

// announce tells those who may know what a user is now.
func (t *turn) announce(u *user, now status) {
	readers, err := t.Access.Mutual(t.ctx, u.app, u.key)
	if err != nil {
		t.fail("whom a user knows could not be read", err)
		return
	}
	all, err := t.attachmentsOf(t.ctx, u.app, readers)
	if err != nil {
		t.fail("the connections of those whom a user knows could not be read", err)
		return
	}
	for i, key := range readers {
		key := userKey{u.app, key}
		t.mu.Lock()
		_, known := t.users[key]
		t.mu.Unlock()
		if !known {
			t.seat(key, all[i])
		}
	}
	t.hub.tellStatus(u.userKey, now, readers)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told[u.userKey] = now
}

// confirm tells what a user is now, if that is not what was told: what another
// event has told since may have arrived before.
func (t *turn) confirm(key userKey, told status) {
	rows, err := t.Attachments.Of(t.ctx, key.app, key.key)
	if err != nil {
		t.fail("a user's connections could not be read", err)
		return
	}
	at := t.seen(rows)
	if at != offline {
		calls, err := t.hub.calls.Current(t.ctx, key.app, key.key)
		if err != nil {
			t.fail("a user's calls could not be read", err)
			return
		}
		if slices.ContainsFunc(calls, usher.Call.Answered) {
			at = busy
		}
	}
	if u := t.user(key); at != told && u != nil {
		t.announce(u, at)
	}
}

// listed tells two people that one of them lists the other, or does not any
// more: the owner's devices, and both of each other if they list each other, or
// did.
func (t *turn) listed(c access.ContactChange) {
	owner, other := userKey{c.App, c.Owner}, userKey{c.App, c.User}
	if u := t.user(owner); u != nil {
		u.send(contactsChanged, "")
	}
	mutual, err := t.Access.Lists(t.ctx, c.App, c.User, c.Owner)
	if err != nil {
		t.fail("who lists whom could not be read", err)
		return
	}
	if !mutual {
		return
	}
	for _, pair := range [][2]userKey{{owner, other}, {other, owner}} {
		reader, of := t.user(pair[0]), t.user(pair[1])
		if reader == nil || of == nil {
			return
		}
		t.mu.Lock()
		at := t.seen(t.rows[of.userKey])
		t.mu.Unlock()
		if at != offline && c.Listed {
			if t.readCalls(of); of.busyWithout("") {
				at = busy
			}
		}
		switch {
		case !c.Listed:
			reader.send(presence(reader.idFor(of.key), offline), "")
		case at != offline:
			reader.send(presence(reader.idFor(of.key), at), "")
		}
	}
}
