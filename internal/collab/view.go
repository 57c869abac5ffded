package collab

import "time"

// View is a document at one moment. It does not change, and is shared: it must
// not be changed either.
type View struct {
	// Stamp is that of the last op in it, and 0 if there was none.
	Stamp int64
	Maps  map[string]map[string]string
	// Lists are in document order: an item comes after the one that it was
	// inserted behind.
	Lists map[string][]Item
}

// Item is one item of a list.
type Item struct {
	ID, After ItemID
	// Value is JSON text; empty for an item that was deleted, to which others
	// may be anchored.
	Value string
}

// Deleted reports whether the item is no more than a place.
func (i Item) Deleted() bool { return i.Value == "" }

// Presence is what one user shows under one key.
type Presence struct {
	User, Key string
	Value     string // JSON text
	Expires   time.Time

	frame any
}

// Frame returns what make made of the presence, once for all peers, as
// [Update.Frame] does.
func (p *Presence) Frame(make func() any) any {
	if p.frame == nil {
		p.frame = make()
	}
	return p.frame
}

// Gone is a user who has left a room.
type Gone struct {
	User  string
	frame any
}

// Frame returns what make made of the news, once for all peers, as
// [Update.Frame] does.
func (g *Gone) Frame(make func() any) any {
	if g.frame == nil {
		g.frame = make()
	}
	return g.frame
}
