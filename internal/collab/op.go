package collab

// OpKind says what an op does.
type OpKind uint8

// The kinds of op.
const (
	CreateMap  OpKind = iota + 1 // Object; does nothing if it is there
	PutKey                       // Object, Key, Value; makes the map if it is not there
	DeleteKey                    // Object, Key
	CreateList                   // Object; does nothing if it is there
	InsertItem                   // Object, Item, After, Value; makes the list if it is not there
	PutItem                      // Object, Item, Value; brings back an item that was deleted
	DeleteItem                   // Object, Item
)

// Op is one change to a document. Maps and lists have names of their own: a map
// and a list can be called the same.
type Op struct {
	Kind   OpKind
	Object string
	Key    string
	// Item is the item of a list, and After the one that it is inserted behind;
	// the zero ItemID is the beginning of the list.
	Item, After ItemID
	// Value is JSON text.
	Value string
}

// ItemID names an item of a list. Writers count: among the items that were
// inserted behind the same one, those with the higher Counter come first, and of
// two with the same Counter that of the earlier Writer.
type ItemID struct {
	// Counter is from 0 to [MaxCounter].
	Counter int64
	// Writer names who made the id: not empty, up to 64 printable ASCII
	// characters but for the colon.
	Writer string
}

// MaxCounter is the highest counter that clients in JavaScript can tell apart
// from the next.
const MaxCounter = 1<<53 - 1

// IsZero reports whether the id names no item: the beginning of a list.
func (id ItemID) IsZero() bool { return id == ItemID{} }

// Update is an op that took place. All peers are told of the same Update.
type Update struct {
	Op Op
	// Stamp is higher than that of every earlier op of the room. An op that
	// changed nothing has the stamp of the one before.
	Stamp int64
	// From is the user whose op it was.
	From string
	// Changed is false for an op that changed nothing, such as the deletion of
	// what is gone: only its own connection hears of it.
	Changed bool

	frames [2]any
}

// Frame returns what make made of the update, which is called once for all
// peers for own and once for not. Only a [Peer] may call it, while it is told of
// the update.
func (u *Update) Frame(own bool, make func() any) any {
	i := 0
	if own {
		i = 1
	}
	if u.frames[i] == nil {
		u.frames[i] = make()
	}
	return u.frames[i]
}
