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
type nodes struct {
	mu    sync.RWMutex
	known map[usher.ID]*node
}

type node struct {
	heard time.Time
	users map[userKey]status
}

// How nodes say that they are there.
const (
	aliveEvery  = 5 * time.Second
	nodeLease   = 15 * time.Second
	nodeSubject = "signaling"
	stateBatch  = 500
)

// nodeMessage is what nodes tell each other.
type nodeMessage struct {
	Kind nodeKind `json:"kind"`
	Node usher.ID `json:"node"`
	// To is the one node that is meant; empty is all.
	To usher.ID `json:"to,omitempty"`

	App     string   `json:"app,omitempty"`
	Key     string   `json:"key,omitempty"`
	Status  status   `json:"status,omitempty"`
	Readers []string `json:"readers,omitempty"`

	Users []nodeUser `json:"users,omitempty"`

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
	nodeState  nodeKind = "state"  // who is there, for a node that is new
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

// tell tells the other nodes, and reports whether there are any.
func (ns *nodes) tell(h *Hub, m nodeMessage) bool {
	if !ns.some() {
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
	m.Node = h.node
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
	if m.Node == h.node || m.To != "" && m.To != h.node {
		return
	}
	if m.Kind == nodeGone {
		h.nodes.mu.RLock()
		gone := h.nodes.known[m.Node]
		h.nodes.mu.RUnlock()
		h.forgetNodes(func(n *node) bool { return n == gone })
		return
	}
	if h.nodes.hear(m.Node, h.Now()) {
		h.introduce(m.Node)
	}
	switch m.Kind {
	case nodeState:
		for _, u := range m.Users {
			h.learn(m.Node, userKey{u.App, u.Key}, u.Status)
		}
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

// hear notes a sign of life, and reports whether it is the first of that node.
func (ns *nodes) hear(id usher.ID, now time.Time) (first bool) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.known == nil {
		ns.known = make(map[usher.ID]*node)
	}
	n := ns.known[id]
	if n == nil {
		n, first = &node{users: make(map[userKey]status)}, true
		ns.known[id] = n
	}
	n.heard = now
	return first
}

// introduce tells a new node who is here.
func (h *Hub) introduce(to usher.ID) {
	m := nodeMessage{Kind: nodeState, To: to}
	h.mu.RLock()
	for key, u := range h.users {
		if s := status(u.shown.Load()); s != offline {
			m.Users = append(m.Users, nodeUser{key.app, key.key, s})
		}
	}
	h.mu.RUnlock()
	for all := m.Users; ; all = all[stateBatch:] {
		if m.Users = all; len(all) <= stateBatch {
			h.publish(m)
			return
		}
		m.Users = all[:stateBatch]
		h.publish(m)
	}
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
	if len(gone) == 0 {
		return
	}
	h.mu.RLock()
	here := make([]*user, 0, len(h.users))
	for _, u := range h.users {
		here = append(here, u)
	}
	h.mu.RUnlock()
	for _, u := range here {
		u.mu.Lock()
		var lost []userKey
		for _, key := range u.mutual {
			if k := (userKey{u.app, key}); has(gone, k) {
				lost = append(lost, k)
			}
		}
		u.mu.Unlock()
		for _, key := range lost {
			u.send(presence(u.idFor(key.key), h.statusOf(key)), "")
		}
	}
}

func has[K comparable](set map[K]struct{}, key K) bool {
	_, ok := set[key]
	return ok
}
