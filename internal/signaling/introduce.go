package signaling

import (
	"context"
	"slices"
	"time"

	"usher"
	"usher/internal/call"
)

// stateBatch is how many users go into one message.
const stateBatch = 500

// introduce tells a node that has asked who is here. Nothing is said in between,
// so that what was told before is in it, and what is told after is newer.
func (h *Hub) introduce(to usher.ID) {
	h.nodes.sending.Lock()
	defer h.nodes.sending.Unlock()
	var all []nodeUser
	for _, u := range h.here() {
		if s := status(u.shown.Load()); s != offline {
			all = append(all, nodeUser{u.app, u.key, s})
		}
	}
	for part := 0; ; part++ {
		n := min(len(all), stateBatch)
		h.send(nodeMessage{Kind: nodeState, To: to, Users: all[:n], Part: part, More: n < len(all)})
		if all = all[n:]; len(all) == 0 {
			return
		}
	}
}

// meet takes a part of what a node says of who is there. When all parts have
// come it tells people here what they did not know.
func (h *Hub) meet(m nodeMessage) {
	h.retell(h.nodes.meet(m))
}

func (ns *nodes) meet(m nodeMessage) (changed map[userKey]struct{}) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	n := ns.known[m.Node]
	if n == nil {
		return nil
	}
	if m.Part == 0 {
		n.coming = make(map[userKey]status)
	}
	if n.coming == nil {
		return nil // a part was missed: it is asked again
	}
	for _, u := range m.Users {
		n.coming[userKey{u.App, u.Key}] = u.Status
	}
	if m.More {
		return nil
	}
	changed = make(map[userKey]struct{})
	for key, s := range n.coming {
		if n.users[key] != s {
			changed[key] = struct{}{}
		}
	}
	for key := range n.users {
		if n.coming[key] == offline {
			changed[key] = struct{}{}
		}
	}
	n.users, n.coming, n.stale = n.coming, nil, false
	return changed
}

// miss notes that calls may have changed of which nothing was heard.
func (ns *nodes) miss() {
	select {
	case ns.missed <- struct{}{}:
	default:
	}
}

// rereadPause is the least time between two rounds of reading calls again, which
// costs a read for everybody who is here.
const rereadPause = time.Second

// rereadCalls reads the calls of those who are here when news of them was missed,
// until ctx ends.
func (h *Hub) rereadCalls(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.nodes.missed:
		}
		for _, u := range h.here() {
			if !u.isPerson() || ctx.Err() != nil {
				continue
			}
			if err := h.catchUp(u); err != nil {
				h.Logger.Error("calls of which news was missed could not be read; it is tried again", "error", err)
				h.nodes.miss()
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rereadPause):
		}
	}
}

// catchUp tells a user's devices what they have missed of the user's calls.
func (h *Hub) catchUp(u *user) error {
	ctx, cancel := h.step()
	defer cancel()
	for {
		known, count := u.knownCalls()
		missed, err := h.calls.CatchUp(ctx, u.app, u.key, known)
		if err != nil || len(missed) == 0 {
			return err
		}
		news := make([]callNews, len(missed))
		for i, m := range missed {
			caller, err := h.Access.Person(ctx, m.Call.App, m.Call.Caller.User)
			if err != nil && usher.AsError(err).Kind != usher.NotFound {
				return err
			}
			news[i] = callNews{m.Call, m.Notices, caller.Name, caller.Email}
			if slices.ContainsFunc(m.Notices, rings) {
				h.pending.Begin(m.Call.Key())
			}
		}
		if !u.catchUp(news, count) {
			continue
		}
		for _, m := range missed {
			if !m.Call.Live() {
				h.pending.End(m.Call.Key())
			}
			h.answer(m.Call)
		}
		h.tend.recount(u)
		return nil
	}
}

// rings reports whether a notice says that a call rings.
func rings(n call.Notice) bool { return n.Action == call.Invite || n.Action == call.Request }

// knownCalls returns the user's calls, and how often there has been news of them.
func (u *user) knownCalls() ([]usher.Call, uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.calls), u.news
}

// catchUp tells the user's devices what was missed, unless there has been news
// since count: what was read may be older than that.
func (u *user) catchUp(missed []callNews, count uint64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.news != count {
		return false
	}
	u.news++
	for _, m := range missed {
		u.keepCall(m.Call)
		for _, n := range m.Notices {
			u.tellCall(m, n)
		}
	}
	return true
}
