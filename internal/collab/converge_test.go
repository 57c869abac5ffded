package collab_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"usher/internal/collab"
	"usher/internal/limit"
)

// replica is a document as Room Service's browser client keeps it: what it does
// shows at once, what it is told counts by stamp, and an acknowledgement leaves
// the value that it has (protocols: the sections about maps and lists).
type replica struct {
	mu      sync.Mutex
	loaded  bool
	waiting []update // what was told before the document was loaded
	maps    map[string]map[string]*cell
	lists   map[string]map[collab.ItemID]*cell
	stamp   int64
}

// cell is a key or an item. A deleted one has no value.
type cell struct {
	after collab.ItemID
	value string
	stamp int64
	local bool
}

func (r *replica) load(v *collab.View) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.maps, r.lists = make(map[string]map[string]*cell), make(map[string]map[collab.ItemID]*cell)
	for name, values := range v.Maps {
		r.maps[name] = make(map[string]*cell)
		for key, value := range values {
			r.maps[name][key] = &cell{value: value, stamp: v.Stamp}
		}
	}
	for name, items := range v.Lists {
		r.lists[name] = make(map[collab.ItemID]*cell)
		for _, item := range items {
			r.lists[name][item.ID] = &cell{after: item.After, value: item.Value, stamp: v.Stamp}
		}
	}
	r.loaded, r.stamp = true, v.Stamp
	for _, u := range r.waiting {
		if u.Stamp > v.Stamp {
			r.take(u.Update, u.own)
		}
	}
	r.waiting = nil
}

// told takes what the room says.
func (r *replica) told(u *collab.Update, own bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.loaded {
		r.waiting = append(r.waiting, update{u, own})
		return
	}
	r.take(u, own)
}

func (r *replica) take(u *collab.Update, own bool) {
	r.stamp = max(r.stamp, u.Stamp)
	c, value := r.cell(u.Op)
	if c == nil || u.Stamp < c.stamp {
		return
	}
	if !c.local || !own {
		c.value, c.local = value, false
	}
	c.stamp = u.Stamp
}

// do shows what the user does, before anybody is asked.
func (r *replica) do(op collab.Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, value := r.cell(op); c != nil {
		c.value, c.local = value, true
	}
}

// cell returns the cell that an op is about, and the value that it gives it.
func (r *replica) cell(op collab.Op) (*cell, string) {
	switch op.Kind {
	case collab.PutKey, collab.DeleteKey:
		if r.maps[op.Object] == nil {
			r.maps[op.Object] = make(map[string]*cell)
		}
		if r.maps[op.Object][op.Key] == nil {
			r.maps[op.Object][op.Key] = &cell{}
		}
		return r.maps[op.Object][op.Key], op.Value
	case collab.InsertItem, collab.PutItem, collab.DeleteItem:
		if r.lists[op.Object] == nil {
			r.lists[op.Object] = make(map[collab.ItemID]*cell)
		}
		if r.lists[op.Object][op.Item] == nil {
			r.lists[op.Object][op.Item] = &cell{after: op.After}
		}
		return r.lists[op.Object][op.Item], op.Value
	}
	return nil, ""
}

// shows is what the user sees.
func (r *replica) shows() *collab.View {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := &collab.View{Stamp: r.stamp, Maps: make(map[string]map[string]string), Lists: make(map[string][]collab.Item)}
	for name, cells := range r.maps {
		for key, c := range cells {
			if c.value == "" {
				continue
			}
			if v.Maps[name] == nil {
				v.Maps[name] = make(map[string]string)
			}
			v.Maps[name][key] = c.value
		}
	}
	for name, cells := range r.lists {
		if items := walk(cells, collab.ItemID{}); len(items) > 0 {
			v.Lists[name] = items
		}
	}
	return v
}

func walk(cells map[collab.ItemID]*cell, at collab.ItemID) []collab.Item {
	var items []collab.Item
	var children []collab.ItemID
	for id, c := range cells {
		if c.after == at {
			children = append(children, id)
		}
	}
	slices.SortFunc(children, func(a, b collab.ItemID) int {
		if a.Counter != b.Counter {
			return int(b.Counter - a.Counter)
		}
		return int(a.Writer[0]) - int(b.Writer[0])
	})
	for _, id := range children {
		items = append(append(items, collab.Item{ID: id, After: at, Value: cells[id].value}), walk(cells, id)...)
	}
	return items
}

// someDeed draws something that a user may do with what is there.
func (r *replica) someDeed(t *rapid.T, writer string, n int) collab.Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := slices.SortedFunc(maps.Keys(r.lists["l"]), func(a, b collab.ItemID) int {
		if a.Counter != b.Counter {
			return int(a.Counter - b.Counter)
		}
		return int(a.Writer[0]) - int(b.Writer[0])
	})
	op := collab.Op{Object: "m", Key: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key"), Value: fmt.Sprintf("\"%s%d\"", writer, n)}
	if rapid.Bool().Draw(t, "in the map") {
		op.Kind = collab.PutKey
		if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			op.Kind, op.Value = collab.DeleteKey, ""
		}
		return op
	}
	op.Object, op.Key = "l", ""
	op.Kind = rapid.SampledFrom([]collab.OpKind{collab.InsertItem, collab.InsertItem, collab.PutItem, collab.DeleteItem}).Draw(t, "in the list")
	if len(ids) == 0 || op.Kind == collab.InsertItem {
		op.Kind, op.Item = collab.InsertItem, collab.ItemID{Counter: int64(len(ids)), Writer: writer}
		if i := rapid.IntRange(-1, len(ids)-1).Draw(t, "after"); i >= 0 {
			op.After = ids[i]
		}
		return op
	}
	op.Item = rapid.SampledFrom(ids).Draw(t, "item")
	if op.Kind == collab.DeleteItem {
		op.Value = ""
	}
	return op
}

// editor is a user at work on a replica.
type editor struct {
	pass    pass
	page    *page
	replica *replica
	writer  string
}

// connect joins as the client does: what is told meanwhile is kept for later.
func (e *editor) connect(t *rapid.T, w *world) {
	e.replica = &replica{}
	e.page = w.joinAs(t, e.pass, e.replica.told)
	e.replica.load(w.view(t, e.pass))
}

func TestEveryoneEndsUpWithTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *collab.Config, _ *collab.Deps) { c.Rate = limit.Rate{} })
	rooms := 0
	rapid.Check(t, func(t *rapid.T) {
		rooms++
		room := fmt.Sprint("room", rooms)
		// Each connection writes under a name of its own; one letter keeps the order plain.
		letters := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"}
		next := func() string {
			letter := letters[0]
			letters = letters[1:]
			return letter
		}
		editors := make([]*editor, 3)
		for i := range editors {
			editors[i] = &editor{pass: w.pass(t, fmt.Sprint("user", i), room, writer), writer: next()}
			editors[i].connect(t, w)
		}
		for n := range rapid.IntRange(0, 60).Draw(t, "deeds") {
			e := rapid.SampledFrom(editors).Draw(t, "editor")
			if len(letters) > 1 && rapid.IntRange(0, 9).Draw(t, "drop") == 0 {
				e.page.Leave()
				e.writer = next()
				e.connect(t, w)
				continue
			}
			op := e.replica.someDeed(t, e.writer, n)
			e.replica.do(op)
			e.page.submit(t, op)
		}
		late := &editor{pass: w.pass(t, "late", room, writer), writer: next()}
		late.connect(t, w)
		editors = append(editors, late)
		for i, e := range editors {
			e.page.submit(t, put(fmt.Sprint("end", i), "1"))
		}
		var want *collab.View
		for i, e := range editors {
			for j := range editors {
				e.page.awaitKey(t, fmt.Sprint("end", j))
			}
			got := e.replica.shows()
			if i == 0 {
				want = got
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), shown); diff != "" {
				t.Fatalf("editor %d (-editor 0 +this one):\n%s", i, diff)
			}
		}
		document := w.view(t, late.pass)
		fresh := &replica{}
		fresh.load(document)
		if diff := cmp.Diff(want, fresh.shows(), cmpopts.EquateEmpty(), shown); diff != "" {
			t.Fatalf("whoever comes now (-editor 0 +this one):\n%s", diff)
		}
		if diff := cmp.Diff(want.Lists, document.Lists, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("the lists of the document are in another order (-editor 0 +document):\n%s", diff)
		}
		for _, e := range editors {
			e.page.Leave()
		}
		other := collab.New(w.config, w.deps)
		read, err := other.Read(context.Background(), shop, room)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(document, read, shown); diff != "" {
			t.Fatalf("on disk (-document +disk):\n%s", diff)
		}
		if err := other.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}
