package roomservice

import (
	"encoding/json"
	"strconv"
	"strings"

	"usher"
	"usher/internal/collab"
)

// listStart is what the beginning of a list is called, behind which its first
// item is inserted.
const listStart = "root"

var (
	errCommand   = usher.Errorf(usher.Invalid, "command_invalid", "The command is not understood.")
	errReference = usher.Errorf(usher.Invalid, "references_unsupported", "References to other maps and lists are not kept; write values.")
	errItem      = usher.Errorf(usher.Invalid, "item_invalid", "The item is not named as COUNTER:WRITER.")
	errElsewhere = usher.Errorf(usher.Forbidden, "document_elsewhere", "The command is about another room or document than the one that was joined.")
)

// commands are those that change a document, each with how many arguments it
// has, its own name, the document and the object included.
var commands = map[string]struct {
	kind collab.OpKind
	args int
}{
	"mcreate": {collab.CreateMap, 3},
	"mput":    {collab.PutKey, 5},
	"mdel":    {collab.DeleteKey, 4},
	"lcreate": {collab.CreateList, 3},
	"lins":    {collab.InsertItem, 6},
	"lput":    {collab.PutItem, 5},
	"ldel":    {collab.DeleteItem, 4},
}

// names are the commands by their kinds.
var names = func() map[collab.OpKind]string {
	byKind := make(map[collab.OpKind]string, len(commands))
	for name, c := range commands {
		byKind[c.kind] = name
	}
	return byKind
}()

// parseCommand reads a command on the document of a room.
func parseCommand(room usher.ID, args []string) (collab.Op, *usher.Error) {
	if len(args) < 3 {
		return collab.Op{}, errCommand
	}
	switch args[0] {
	case "mputref", "linsref", "lputref":
		return collab.Op{}, errReference
	}
	c, known := commands[args[0]]
	if !known || len(args) != c.args {
		return collab.Op{}, errCommand
	}
	if args[1] != docPrefix+string(room) {
		return collab.Op{}, errElsewhere
	}
	op := collab.Op{Kind: c.kind, Object: args[2]}
	if reserved(op.Object) || (c.kind == collab.PutKey || c.kind == collab.DeleteKey) && args[3] == proto {
		return collab.Op{}, errReserved
	}
	var ok bool
	switch c.kind {
	case collab.PutKey:
		op.Key, op.Value = args[3], args[4]
	case collab.DeleteKey:
		op.Key = args[3]
	case collab.InsertItem:
		if args[3] != listStart {
			if op.After, ok = parseItem(args[3]); !ok {
				return collab.Op{}, errItem
			}
		}
		if op.Item, ok = parseItem(args[4]); !ok {
			return collab.Op{}, errItem
		}
		op.Value = args[5]
	case collab.PutItem, collab.DeleteItem:
		if op.Item, ok = parseItem(args[3]); !ok {
			return collab.Op{}, errItem
		}
		if c.kind == collab.PutItem {
			op.Value = args[4]
		}
	}
	return op, nil
}

// parseItem reads the id of an item in its one spelling.
func parseItem(text string) (collab.ItemID, bool) {
	counter, writer, found := strings.Cut(text, ":")
	n, err := strconv.ParseInt(counter, 10, 64)
	if !found || err != nil || n < 0 || n > collab.MaxCounter || strconv.FormatInt(n, 10) != counter || writer == "" {
		return collab.ItemID{}, false
	}
	return collab.ItemID{Counter: n, Writer: writer}, true
}

func itemText(id collab.ItemID) string {
	if id.IsZero() {
		return listStart
	}
	return strconv.FormatInt(id.Counter, 10) + ":" + id.Writer
}

// arguments writes an op as the command that it was.
func arguments(room usher.ID, op collab.Op) json.RawMessage {
	args := []string{names[op.Kind], docPrefix + string(room), op.Object}
	switch op.Kind {
	case collab.PutKey:
		args = append(args, op.Key, op.Value)
	case collab.DeleteKey:
		args = append(args, op.Key)
	case collab.InsertItem:
		args = append(args, itemText(op.After), itemText(op.Item), op.Value)
	case collab.PutItem:
		args = append(args, itemText(op.Item), op.Value)
	case collab.DeleteItem:
		args = append(args, itemText(op.Item))
	}
	return rawArgs(args...)
}

// settledArguments writes an op as it is acknowledged to the connection that it
// came from, once that holds what it inserted: the client would enter an item
// that it inserted a second time in its table of indexes, and forget another one
// for an item that it deleted, if it were told so again.
func settledArguments(room usher.ID, op collab.Op) json.RawMessage {
	switch op.Kind {
	case collab.InsertItem:
		op.Kind = collab.PutItem
	case collab.DeleteItem:
		args := rawArgs("lput", docPrefix+string(room), op.Object, itemText(op.Item))
		return append(args[:len(args)-1], `,`+tombstone+`]`...)
	}
	return arguments(room, op)
}
