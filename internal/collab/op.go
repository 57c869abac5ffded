package collab

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"usher"
)

// OpKind says what an op does.
type OpKind uint8

// The kinds of op.
const (
	CreateMap  OpKind = iota + 1 // Object; does nothing if it is there
	PutKey                       // Object, Key, Value; makes the map if it is not there
	DeleteKey                    // Object, Key
	CreateList                   // Object; does nothing if it is there
	InsertItem                   // Object, Item, After, Value; makes the list if it is not there; for an item that is, see [Op]
	PutItem                      // Object, Item, Value; brings back an item that was deleted
	DeleteItem                   // Object, Item
)

// Op is one change to a document. Maps and lists have names of their own: a map
// and a list can be called the same.
//
// An InsertItem of an item that is there already is a PutItem, if it would be
// inserted where it is. If it is elsewhere, another item was given the same id:
// then this one gets another, which [Update.Op] says.
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
	// Writer names who made the id: up to 128 bytes of printable text without a
	// colon.
	Writer string
}

// MaxCounter is the highest counter that clients in JavaScript can tell from the
// next.
const MaxCounter = 1<<53 - 1

// IsZero reports whether the id names no item: the beginning of a list.
func (id ItemID) IsZero() bool { return id == ItemID{} }

// How long names may be, in bytes.
const (
	maxName   = 512
	maxWriter = 128
)

// What is wrong with an op, whatever the document is like.
var (
	errOp        = usher.Errorf(usher.Invalid, "op_invalid", "This is no change that there can be.")
	errName      = usher.Errorf(usher.Invalid, "name_invalid", "The name of a map, a list or a key must be text of at most %d bytes, and that of a map or a list not empty.", maxName)
	errItem      = usher.Errorf(usher.Invalid, "item_invalid", "The id of an item must be a counter and the name of its writer.")
	errValue     = usher.Errorf(usher.Invalid, "value_invalid", "The value is not JSON.")
	errItemTaken = usher.Errorf(usher.Conflict, "item_taken", "There are other items of that id, and of all that were tried in its place.")
	errTooLarge  = usher.Errorf(usher.TooLarge, "value_too_large", "The value is too large.")
)

// validate returns what is wrong with an op that a peer sent.
func (op *Op) validate(maxValue int) *usher.Error {
	if op.Kind < CreateMap || op.Kind > DeleteItem {
		return errOp
	}
	if op.Object == "" || !validName(op.Object) || !validName(op.Key) {
		return errName
	}
	switch op.Kind {
	case InsertItem, PutItem, DeleteItem:
		if !op.Item.valid() || !op.After.IsZero() && !op.After.valid() {
			return errItem
		}
	}
	switch op.Kind {
	case PutKey, InsertItem, PutItem:
		return validateValue(op.Value, maxValue)
	}
	return nil
}

func validateValue(value string, limit int) *usher.Error {
	switch {
	case len(value) > limit:
		return errTooLarge
	case !utf8.ValidString(value) || !json.Valid([]byte(value)):
		return errValue
	}
	return nil
}

func validName(s string) bool { return len(s) <= maxName && utf8.ValidString(s) }

func (id ItemID) valid() bool {
	return id.Counter >= 0 && id.Counter <= MaxCounter && id.Writer != "" && len(id.Writer) <= maxWriter &&
		utf8.ValidString(id.Writer) &&
		!strings.ContainsFunc(id.Writer, func(r rune) bool { return r == ':' || !unicode.IsPrint(r) })
}

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

// Frame returns what encode made of the update, which is called once for all
// peers whose own it is not, and once for the one whose own it is. Only a [Peer]
// may call it, while it is told of the update.
func (u *Update) Frame(own bool, encode func() any) any {
	i := 0
	if own {
		i = 1
	}
	if u.frames[i] == nil {
		u.frames[i] = encode()
	}
	return u.frames[i]
}
