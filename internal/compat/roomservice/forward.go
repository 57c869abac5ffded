package roomservice

import (
	"usher"
	"usher/internal/access"
	"usher/internal/collab"
	"usher/internal/socket"
)

// maxListed is up to how many items of a list are told one by one to a client
// that did not know of it, and maxListedBytes how long their values may be
// together: the room waits while they are written, and they must fit into what
// may wait for the client. Any longer one it has to load.
const (
	maxListed      = 500
	maxListedBytes = queueLimit / 8
)

// Updated implements [collab.Peer].
func (n *connection) Updated(u *collab.Update, own bool) {
	if own {
		n.acknowledge(u)
		return
	}
	frame := u.Frame(false, func() any {
		return socket.Prepare(encode("doc:fwd", n.forward(u.From, u.Stamp, arguments(n.room, u.Op))))
	})
	_ = n.conn.SendPrepared(frame.(socket.Prepared))
}

func (n *connection) forward(from string, stamp int64, args []byte) forwarded {
	return forwarded{From: from, Room: roomPrefix + string(n.room), VS: versionStamp(stamp, 0), Args: args}
}

// acknowledge tells a client that its command took place, and when.
func (n *connection) acknowledge(u *collab.Update) {
	args, asked := arguments, n.answered()
	if asked.settled {
		args = settledArguments
	}
	op := u.Op
	if op.Item != asked.item {
		// The client used an id for two items, of which it holds one.
		op.Item = asked.item
		n.reloadSoon("an item was given another id: load the list")
	}
	f := n.forward(u.From, u.Stamp, args(n.room, op))
	f.Ack = true
	n.send("doc:fwd", f)
}

// answered returns the oldest command that was not answered, which is now.
func (n *connection) answered() sent {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.sent) == 0 {
		return sent{}
	}
	first := n.sent[0]
	n.sent = n.sent[1:]
	return first
}

// Refused implements [collab.Peer]. The client shows the change that it made all
// the same, until it has loaded the room anew.
func (n *connection) Refused(op collab.Op, err *usher.Error) {
	n.complain(request{Type: "doc:cmd", TS: n.answered().ts, Args: []string{names[op.Kind], docPrefix + string(n.room), op.Object}}, err)
	if op.Kind == collab.CreateMap || op.Kind == collab.CreateList {
		return // nothing of it is to be seen
	}
	n.reloadSoon(err.Message)
}

// Listed implements [collab.Peer]: the client believed that it made a list, and
// what it can't know it is told as if it happened now.
func (n *connection) Listed(name string, items []collab.Item, stamp int64) {
	if tooLong(items) {
		n.conn.Close(codeReload, "the list has items already: load it")
		return
	}
	for _, item := range items {
		insert := collab.Op{Kind: collab.InsertItem, Object: name, Item: item.ID, After: item.After, Value: item.Value}
		if item.Deleted() {
			insert.Value = "null"
		}
		n.send("doc:fwd", n.forward(n.member.User(), stamp, arguments(n.room, insert)))
		if item.Deleted() {
			remove := collab.Op{Kind: collab.DeleteItem, Object: name, Item: item.ID}
			n.send("doc:fwd", n.forward(n.member.User(), stamp, arguments(n.room, remove)))
		}
	}
}

// tooLong reports whether a list is to be loaded rather than told.
func tooLong(items []collab.Item) bool {
	if len(items) > maxListed {
		return true
	}
	bytes := 0
	for _, item := range items {
		bytes += len(item.Value)
	}
	return bytes > maxListedBytes
}

// Present implements [collab.Peer].
func (n *connection) Present(p *collab.Presence) {
	frame := p.Frame(func() any {
		return socket.Prepare(encode("presence:fwd", presenceForwarded{
			From: p.User, Room: roomPrefix + string(n.room), Key: p.Key, Value: p.Value,
			ExpAt: float64(p.Expires.UnixMilli()) / 1000,
		}))
	})
	_ = n.conn.SendPrepared(frame.(socket.Prepared))
}

// Gone implements [collab.Peer].
func (n *connection) Gone(g *collab.Gone) {
	frame := g.Frame(func() any {
		return socket.Prepare(encode("room:rm_guest", removed{Guest: g.User, Room: roomPrefix + string(n.room)}))
	})
	_ = n.conn.SendPrepared(frame.(socket.Prepared))
}

// Ended implements [collab.Peer].
func (n *connection) Ended(end collab.End) {
	code := codeRefused
	switch end.Why {
	case access.RoomEnded:
		code = codeEnded
	case access.Changed:
		code = codeReload
	case collab.Broken:
		code = socket.CodeRestart
	}
	n.conn.Close(code, end.Message)
}
