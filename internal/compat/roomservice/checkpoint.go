package roomservice

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"usher"
	"usher/internal/collab"
)

// versionStamp writes a stamp as clients compare them: bytes in base64, the
// greater the later. There are 256² of them between one op's and the next.
func versionStamp(stamp int64, between uint16) string {
	var b [10]byte
	binary.BigEndian.PutUint64(b[:], uint64(stamp))
	binary.BigEndian.PutUint16(b[8:], between)
	return base64.StdEncoding.EncodeToString(b[:])
}

// root is the name of a map that every document has.
const root = "root"

// tombstone is written in place of the value of an item that was deleted.
const tombstone = `{"t":""}`

// checkpoint returns a document as clients load it. It must not be changed.
func checkpoint(room usher.ID, view *collab.View) []byte {
	return view.Encoded(func() []byte { return writeCheckpoint(room, view) })
}

// writeCheckpoint writes a document as clients load it. Its stamp is between that of
// the last op in it and that of the next: clients drop what is older than it,
// and would take the last op in a second time if it were the same.
func writeCheckpoint(room usher.ID, view *collab.View) []byte {
	c := encoder{actors: make(map[string]int)}
	c.text(`{"id":`).string(docPrefix + string(room))
	c.text(`,"index":`).int(view.Stamp)
	c.text(`,"api_version":0,"vs":`).string(versionStamp(view.Stamp, 1))
	c.text(`,"lists":`)
	c.object(slices.Sorted(maps.Keys(view.Lists)), func(name string) { c.list(view.Lists[name]) })
	c.text(`,"maps":`)
	names := slices.Sorted(maps.Keys(view.Maps))
	if _, there := view.Maps[root]; !there {
		names = append(names, root)
	}
	c.object(names, func(name string) {
		values := view.Maps[name]
		c.object(slices.Sorted(maps.Keys(values)), func(key string) { c.string(values[key]) })
	})
	c.text(`,"actors":`)
	c.writers()
	return c.text(`}`).out
}

// encoder appends JSON to what it has. A document can have a hundred thousand
// items, and is written for everyone who comes.
type encoder struct {
	out []byte
	// actors are the numbers by which writers are named in item ids.
	actors map[string]int
}

func (c *encoder) text(s string) *encoder { c.out = append(c.out, s...); return c }

func (c *encoder) int(n int64) *encoder { c.out = strconv.AppendInt(c.out, n, 10); return c }

func (c *encoder) string(s string) { c.out = append(c.out, quote(s)...) }

// object writes an object, whose values each writes.
func (c *encoder) object(names []string, value func(string)) {
	c.text(`{`)
	for i, name := range names {
		if i > 0 {
			c.text(`,`)
		}
		c.string(name)
		c.text(`:`)
		value(name)
	}
	c.text(`}`)
}

// list writes a list as three columns.
func (c *encoder) list(items []collab.Item) {
	c.text(`{"ids":[`)
	c.each(items, func(item collab.Item) { c.item(item.ID) })
	c.text(`],"afters":[`)
	c.each(items, func(item collab.Item) { c.item(item.After) })
	c.text(`],"values":[`)
	c.each(items, func(item collab.Item) {
		if item.Deleted() {
			c.text(tombstone)
		} else {
			c.string(item.Value)
		}
	})
	c.text(`]}`)
}

func (c *encoder) each(items []collab.Item, write func(collab.Item)) {
	for i, item := range items {
		if i > 0 {
			c.text(`,`)
		}
		write(item)
	}
}

// item writes an item's id with the number of its writer.
func (c *encoder) item(id collab.ItemID) {
	if id.IsZero() {
		c.text(`"` + listStart + `"`)
		return
	}
	n, known := c.actors[id.Writer]
	if !known {
		n = len(c.actors)
		c.actors[id.Writer] = n
	}
	c.text(`"`).int(id.Counter).text(`:`).int(int64(n)).text(`"`)
}

// writers writes the dictionary of writers, in the order of their numbers.
func (c *encoder) writers() {
	byNumber := make([]string, len(c.actors))
	for writer, n := range c.actors {
		byNumber[n] = writer
	}
	dictionary := make(map[string]string, len(byNumber))
	numbers := make([]string, len(byNumber))
	for n, writer := range byNumber {
		numbers[n] = strconv.Itoa(n)
		dictionary[numbers[n]] = writer
	}
	c.object(numbers, func(n string) { c.string(dictionary[n]) })
}

// rawArgs writes the arguments of a command.
func rawArgs(args ...string) json.RawMessage {
	out, err := json.Marshal(args)
	if err != nil {
		panic(err) // strings
	}
	return out
}
