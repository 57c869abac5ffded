package signaling

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"usher"
	"usher/internal/socket"
)

// nodes is what this node knows of the others: who is connected to them, as of
// what they said last. A node that is not heard of for its lease is gone, and
// whoever was there with it.
//
// A bus may lose messages. Each node numbers its own, so that others notice what
// they have missed, at the latest by its next sign of life: they ask it who is
// there (introduce.go), and read the calls of those who are here again. What was
// relayed to somebody and is lost stays lost.
type nodes struct {
	mu    sync.RWMutex
	known map[usher.ID]*node
	// missed has a value while the calls of those who are here have to be read again.
	missed chan struct{}

	// sending guards the number of the last message, and keeps those that are
	// sent in order. It is held while Hub.mu is taken, and not the other way round.
	sending sync.Mutex
	seq     uint64
}

type node struct {
	heard time.Time
	seq   uint64 // of the last message
	users map[userKey]status
	// stale says that users may be wrong, until all of coming is there.
	stale  bool
	coming map[userKey]status
}

// How nodes say that they are there.
const (
	aliveEvery  = 5 * time.Second
	nodeLease   = 15 * time.Second
	nodeSubject = "signaling"
)

// nodeMessage is what nodes tell each other.
type nodeMessage struct {
	Kind nodeKind `json:"kind"`
	Node usher.ID `json:"node"`
	// Seq numbers what the node tells, from 1 on.
	Seq uint64 `json:"seq"`
	// To is the one node that is meant; empty is all.
	To usher.ID `json:"to,omitempty"`

	App     string   `json:"app,omitempty"`
	Key     string   `json:"key,omitempty"`
	Status  status   `json:"status,omitempty"`
	Readers []string `json:"readers,omitempty"`

	Users []nodeUser `json:"users,omitempty"`
	// Part is which of several messages with the users it is, from 0 on, and More
	// says that it is not the last.
	Part int  `json:"part,omitempty"`
	More bool `json:"more,omitempty"`

	Handle string `json:"handle,omitempty"`
	Frame  []byte `json:"frame,omitempty"` // the message

	Room        usher.RoomKey `json:"room,omitzero"`
	Participant usher.ID      `json:"participant,omitempty"`

	Calls *callNews `json:"calls,omitempty"`
}

type nodeUser struct {
	App    string `json:"app"`
	Key    string `json:"key"`
	Status status `json:"status"`
}

type nodeKind string

const (
	nodeAlive  nodeKind = "alive"
	nodeGone   nodeKind = "gone"
	nodeAsk    nodeKind = "ask"    // asks who is there
	nodeState  nodeKind = "state"  // all who are there, for who has asked
	nodeStatus nodeKind = "status" // one user's status, and who may know
	nodeRelay  nodeKind = "relay"  // a message for a user
	nodeRoom   nodeKind = "room"   // a message for a room
	nodeCall   nodeKind = "call"
)

// some reports whether there is any other node.
func (ns *nodes) some() bool {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return len(ns.known) > 0
}

// status returns what the other nodes say of a user.
func (ns *nodes) status(of userKey) status {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	for _, n := range ns.known {
		if s := n.users[of]; s != offline {
			return s
		}
	}
	return offline
}

// tell tells the other nodes, and reports whether there are any. If there are
// none it counts all the same: there may be one that is only not heard of.
func (ns *nodes) tell(h *Hub, m nodeMessage) bool {
	if !ns.some() {
		ns.sending.Lock()
		defer ns.sending.Unlock()
		ns.seq++
		return false
	}
	h.publish(m)
	return true
}

// relay passes a message on to the nodes where a user is, and reports whether
// there are any.
func (ns *nodes) relay(h *Hub, to userKey, m socket.Prepared, handle string) bool {
	var there []usher.ID
	ns.mu.RLock()
	for id, n := range ns.known {
		if n.users[to] != offline {
			there = append(there, id)
		}
	}
	ns.mu.RUnlock()
	for _, id := range there {
		h.publish(nodeMessage{Kind: nodeRelay, To: id, App: to.app, Key: to.key, Handle: handle, Frame: m.Text()})
	}
	return len(there) > 0
}

func (h *Hub) publish(m nodeMessage) {
	h.nodes.sending.Lock()
	defer h.nodes.sending.Unlock()
	h.send(m)
}

// send is publish for who holds nodes.sending.
func (h *Hub) send(m nodeMessage) {
	h.nodes.seq++
	m.Node, m.Seq = h.node, h.nodes.seq
	h.Bus.Publish(nodeSubject, marshal(m))
}

// meetNodes exchanges signs of life with the other nodes until ctx ends.
func (h *Hub) meetNodes(ctx context.Context) {
	defer h.Bus.Subscribe(nodeSubject, h.hearNode)()
	tick := time.NewTicker(aliveEvery)
	defer tick.Stop()
	for {
		h.publish(nodeMessage{Kind: nodeAlive})
		select {
		case <-ctx.Done():
			h.publish(nodeMessage{Kind: nodeGone})
			return
		case <-tick.C:
		}
		h.forgetNodes(func(n *node) bool { return h.Now().Sub(n.heard) > nodeLease })
	}
}

// hearNode takes what another node tells.
func (h *Hub) hearNode(data []byte) {
	var m nodeMessage
	if err := json.Unmarshal(data, &m); err != nil {
		h.Logger.Error("a message on the bus could not be read", "subject", nodeSubject, "error", err)
		return
	}
	if m.Node == h.node {
		return
	}
	if m.Kind == nodeGone {
		h.nodes.mu.RLock()
		gone := h.nodes.known[m.Node]
		h.nodes.mu.RUnlock()
		h.forgetNodes(func(n *node) bool { return n == gone })
		return
	}
	missed, ask := h.nodes.hear(m, h.Now())
	if missed {
		h.nodes.miss()
	}
	if ask {
		h.publish(nodeMessage{Kind: nodeAsk, To: m.Node})
	}
	if m.To != "" && m.To != h.node {
		return
	}
	switch m.Kind {
	case nodeAsk:
		h.introduce(m.Node)
	case nodeState:
		h.meet(m)
	case nodeStatus:
		key := userKey{m.App, m.Key}
		h.learn(m.Node, key, m.Status)
		h.tellStatus(key, h.statusOf(key), m.Readers)
	case nodeRelay:
		if u := h.user(m.App, m.Key); u != nil {
			u.send(socket.Prepare(m.Frame), m.Handle)
		}
	case nodeRoom:
		frame := socket.Prepare(m.Frame)
		for _, p := range h.room(m.Room).others(nil, m.Participant) {
			if at := p.at.Load(); at != nil && at.Permissions().Has(usher.Join) {
				p.tell(frame)
			}
		}
	case nodeCall:
		h.tellCall(*m.Calls)
	}
}

// hear notes a message of a node, and reports whether others before it were
// missed, and whether the node has to be asked who is there.
func (ns *nodes) hear(m nodeMessage, now time.Time) (missed, ask bool) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.known == nil {
		ns.known = make(map[usher.ID]*node)
	}
	n := ns.known[m.Node]
	if n == nil {
		n = &node{users: make(map[userKey]status)}
		ns.known[m.Node] = n
	}
	missed = m.Seq != n.seq+1
	first := n.heard.IsZero()
	if n.heard, n.seq = now, m.Seq; first || missed {
		n.coming = nil
		ask = !n.stale
		n.stale = true
	}
	return missed, ask || n.stale && m.Kind == nodeAlive
}

// learn keeps what a node says of a user.
func (h *Hub) learn(id usher.ID, of userKey, now status) {
	h.nodes.mu.Lock()
	defer h.nodes.mu.Unlock()
	n := h.nodes.known[id]
	switch {
	case n == nil:
	case now == offline:
		delete(n.users, of)
	default:
		n.users[of] = now
	}
}

// forgetNodes forgets nodes, and tells people here of whoever was there.
func (h *Hub) forgetNodes(which func(*node) bool) {
	h.nodes.mu.Lock()
	gone := make(map[userKey]struct{})
	for id, n := range h.nodes.known {
		if which(n) {
			for key := range n.users {
				gone[key] = struct{}{}
			}
			delete(h.nodes.known, id)
		}
	}
	h.nodes.mu.Unlock()
	h.retell(gone)
}

// retell tells people here what some whom they may know of are now.
func (h *Hub) retell(changed map[userKey]struct{}) {
	if len(changed) == 0 {
		return
	}
	for _, u := range h.here() {
		u.mu.Lock()
		var known []userKey
		for _, key := range u.mutual {
			if k := (userKey{u.app, key}); has(changed, k) {
				known = append(known, k)
			}
		}
		u.mu.Unlock()
		for _, key := range known {
			u.send(presence(u.idFor(key.key), h.statusOf(key)), "")
		}
	}
}

// here returns who is connected to this node.
func (h *Hub) here() []*user {
	h.mu.RLock()
	defer h.mu.RUnlock()
	here := make([]*user, 0, len(h.users))
	for _, u := range h.users {
		here = append(here, u)
	}
	return here
}

func has[K comparable](set map[K]struct{}, key K) bool {
	_, ok := set[key]
	return ok
}
