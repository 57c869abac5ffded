package collab

import (
	"slices"
	"strconv"

	"usher"
)

// listObject is a list: a tree in which each item hangs on the one that it was
// inserted behind, and which is read from the root, an item before what hangs on
// it. Deleted items stay, since others hang on them and clients count them when
// they choose ids.
type listObject struct {
	nodes map[ItemID]*node
	root  *node
	dead  int    // how many of the nodes are deleted
	shown []Item // nil if it is not of now
}

type node struct {
	id    ItemID
	after ItemID
	value string // empty for a deleted item
	// children are in order but for those that came last, and are put in order
	// when the list is read.
	children []*node
	unsorted bool
}

func newList() *listObject {
	return &listObject{nodes: make(map[ItemID]*node), root: &node{}}
}

// after returns what is to be inserted behind, or nil if it is not there.
func (l *listObject) after(id ItemID) *node {
	if id.IsZero() {
		return l.root
	}
	return l.nodes[id]
}

// insert adds a node that is not there.
func (l *listObject) insert(after *node, id ItemID, value string) {
	n := &node{id: id, after: after.id, value: value}
	l.nodes[id] = n
	after.children = append(after.children, n)
	after.unsorted = len(after.children) > 1
	if value == "" {
		l.dead++
	}
	l.shown = nil
}

// renames is how many other ids are tried for an item.
const renames = 100

// rename gives an item that is to be inserted another id, if its own is that of
// an item elsewhere in the list: clients that count what they hold use an id
// again when they were told to forget what they had used it for. The item that
// is there is not to be lost by that.
func (l *listObject) rename(op *Op) *usher.Error {
	n := l.nodes[op.Item]
	if n == nil || n.after == op.After {
		return nil
	}
	for id := op.Item; id.Counter < op.Item.Counter+renames && id.Counter < MaxCounter; {
		id.Counter++
		if l.nodes[id] == nil {
			op.Item = id
			return nil
		}
	}
	return errItemTaken
}

// put changes the value of a node; an empty one deletes it.
func (l *listObject) put(n *node, value string) {
	switch {
	case n.value == "" && value != "":
		l.dead--
	case n.value != "" && value == "":
		l.dead++
	}
	n.value = value
	l.shown = nil
}

// view returns the items in their order.
func (l *listObject) view() []Item {
	if l.shown != nil {
		return l.shown
	}
	items := make([]Item, 0, len(l.nodes))
	// Each item has its turn on the stack rather than in a recursion, which
	// would be as deep as the list is long: most items hang on the one before.
	stack := []*node{l.root}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if n != l.root {
			items = append(items, Item{ID: n.id, After: n.after, Value: n.value})
		}
		if n.unsorted {
			// The last of them comes first on the stack, and so first in the list.
			slices.SortFunc(n.children, func(a, b *node) int { return compareItems(b.id, a.id) })
			n.unsorted = false
		}
		stack = append(stack, n.children...)
	}
	l.shown = items
	return items
}

// A list is rebuilt when it has at least rebuildMin deleted items, and more of
// them than others.
const rebuildMin = 100

// wasteful reports whether a list should be rebuilt.
func (l *listObject) wasteful() bool { return l.dead >= rebuildMin && 2*l.dead > len(l.nodes) }

// rebuild returns the list without its deleted items. The others have new ids
// by that writer, of which the next client to insert something makes the next: it
// counts them. So it can be done only while nobody has the list in hand.
func (l *listObject) rebuild(writer string) *listObject {
	next := newList()
	at := next.root
	for _, item := range l.view() {
		if item.Deleted() {
			continue
		}
		n := len(next.nodes)
		id := ItemID{Counter: int64(n), Writer: writer}
		next.insert(at, id, item.Value)
		at = next.nodes[id]
	}
	return next
}

// rebuilder is the writer of the ids in a list that is rebuilt at a stamp. No
// client makes such a name. An id of an earlier rebuilding must not be another
// item's now: a client that was away for long may still send what it did to it.
func rebuilder(stamp int64) string { return "rebuilt-" + strconv.FormatInt(stamp, 36) }
