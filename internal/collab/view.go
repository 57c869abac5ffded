package collab

// View is a document at one moment. It does not change, and is shared: it must
// not be changed either.
type View struct {
	// Stamp is that of the last op in it, and 0 if there was none.
	Stamp int64
	Maps  map[string]map[string]string
	// Lists are in their order: an item comes after the one that it was inserted
	// behind.
	Lists map[string][]Item
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
