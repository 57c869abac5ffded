package collab

import "sync"

// View is a document at one moment. It does not change, and is shared: it must
// not be changed either.
type View struct {
	// Stamp is that of the last op in it, and 0 if there was none.
	Stamp int64
	Maps  map[string]map[string]string
	// Lists are in their order: an item comes after the one that it was inserted
	// behind.
	Lists map[string][]Item

	once    sync.Once
	encoded []byte
}

// Encoded returns what encode makes of the view, which is asked for it once: a
// document may be large, and many load the same one when they come back at once.
// It must not be changed.
func (v *View) Encoded(encode func() []byte) []byte {
	v.once.Do(func() { v.encoded = encode() })
	return v.encoded
}

// Item is one item of a list.
type Item struct {
	ID, After ItemID
	// Value is JSON text; empty for an item that was deleted, on which others
	// may hang.
	Value string
}

// Deleted reports whether the item is no more than a place.
func (i Item) Deleted() bool { return i.Value == "" }
