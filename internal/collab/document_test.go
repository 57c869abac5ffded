package collab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// naive is a document as a client keeps it: lists are bags of nodes, and walked
// from scratch.
type naive struct {
	maps  map[string]map[string]string
	lists map[string]map[ItemID]Item
}

func newNaive() *naive {
	return &naive{make(map[string]map[string]string), make(map[string]map[ItemID]Item)}
}

func (n *naive) mapOf(name string) map[string]string {
	if n.maps[name] == nil {
		n.maps[name] = make(map[string]string)
	}
	return n.maps[name]
}

func (n *naive) listOf(name string) map[ItemID]Item {
	if n.lists[name] == nil {
		n.lists[name] = make(map[ItemID]Item)
	}
	return n.lists[name]
}

func (n *naive) apply(op Op) {
	switch op.Kind {
	case CreateMap:
		n.mapOf(op.Object)
	case PutKey:
		n.mapOf(op.Object)[op.Key] = op.Value
	case DeleteKey:
		delete(n.mapOf(op.Object), op.Key)
	case CreateList:
		n.listOf(op.Object)
	case InsertItem, PutItem:
		item := Item{op.Item, op.After, op.Value}
		if old, ok := n.listOf(op.Object)[op.Item]; ok {
			item.After = old.After
		}
		n.listOf(op.Object)[op.Item] = item
	case DeleteItem:
		item := n.listOf(op.Object)[op.Item]
		item.Value = ""
		n.listOf(op.Object)[op.Item] = item
	}
}

func (n *naive) view(stamp int64) *View {
	v := &View{Stamp: stamp, Maps: n.maps, Lists: make(map[string][]Item)}
	for name, list := range n.lists {
		v.Lists[name] = walk(list, ItemID{})
	}
	return v
}

func walk(list map[ItemID]Item, at ItemID) []Item {
	var items []Item
	var children []ItemID
	for id, item := range list {
		if item.After == at && id != at {
			children = append(children, id)
		}
	}
	slices.SortFunc(children, compareItems)
	for _, id := range children {
		items = append(append(items, list[id]), walk(list, id)...)
	}
	return items
}

// someOp draws an op that may or may not fit the document.
func someOp(t *rapid.T) Op {
	id := func(label string) ItemID {
		return ItemID{rapid.Int64Range(0, 6).Draw(t, label), rapid.SampledFrom([]string{"a", "B", "c+"}).Draw(t, label+"'s writer")}
	}
	op := Op{
		Kind:   OpKind(rapid.IntRange(int(CreateMap), int(DeleteItem)).Draw(t, "kind")),
		Object: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "object"),
		Key:    rapid.SampledFrom([]string{"", "k", "ключ"}).Draw(t, "key"),
		Item:   id("item"),
		Value:  rapid.SampledFrom([]string{`1`, `"two"`, `{"three":3}`, `""`}).Draw(t, "value"),
	}
	if !rapid.Bool().Draw(t, "at the beginning") {
		op.After = id("after")
	}
	return op
}

// equal compares documents; what is empty is equal to what is not there.
func equal(a, b *View) string {
	return cmp.Diff(a, b, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(View{}))
}

func TestAFoldedDocumentIsWhatEveryClientWouldHave(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d, model := newDocument(), newNaive()
		log := []byte{codecVersion}
		for range rapid.IntRange(0, 60).Draw(t, "ops") {
			op := someOp(t)
			before := d.view()
			stamp := d.stamp
			changed, err := d.apply(&op, bounds{})
			switch {
			case err != nil && changed:
				t.Fatalf("%+v was refused, and changed something", op)
			case !changed && (d.stamp != stamp || d.view() != before):
				t.Fatalf("%+v changed nothing, but for the stamp or the view", op)
			case changed && d.stamp != stamp+1:
				t.Fatalf("the stamp went from %d to %d", stamp, d.stamp)
			case changed:
				model.apply(op)
				log = appendOp(log, &op)
			}
			if rapid.Bool().Draw(t, "look") {
				if diff := equal(model.view(d.stamp), d.view()); diff != "" {
					t.Fatalf("after %+v (-model +document):\n%s", op, diff)
				}
			}
		}
		if diff := equal(model.view(d.stamp), d.view()); diff != "" {
			t.Fatalf("in the end (-model +document):\n%s", diff)
		}
		wantWeight(t, d)

		again := newDocument()
		if err := decode(log, again.replay); err != nil {
			t.Fatalf("the log: %v", err)
		}
		if diff := equal(d.view(), again.view()); diff != "" {
			t.Fatalf("by the log (-document +again):\n%s", diff)
		}
		if loaded := reload(t, d.view()); loaded.bytes != d.bytes || loaded.items != d.items {
			t.Fatalf("by the snapshot it weighs %d with %d items, want %d with %d", loaded.bytes, loaded.items, d.bytes, d.items)
		}
	})
}

// reload makes a document of the snapshot of a view, and compares them.
func reload(t interface{ Fatalf(string, ...any) }, v *View) *document {
	d := newDocument()
	err := v.encode(func(part []byte) error { return decode(part, d.replay) })
	if err != nil {
		t.Fatalf("the snapshot: %v", err)
	}
	d.stamp, d.shown = v.Stamp, nil
	if diff := equal(v, d.view()); diff != "" {
		t.Fatalf("by the snapshot (-document +loaded):\n%s", diff)
	}
	return d
}

// wantWeight fails unless a document knows how many items it has.
func wantWeight(t *rapid.T, d *document) {
	items := 0
	for _, values := range d.view().Maps {
		items += len(values)
	}
	for name, list := range d.view().Lists {
		items += len(list)
		dead := 0
		for _, item := range list {
			if item.Deleted() {
				dead++
			}
		}
		if d.lists[name].dead != dead {
			t.Fatalf("%s counts %d deleted items, and has %d", name, d.lists[name].dead, dead)
		}
	}
	if d.items != items || d.bytes < 0 {
		t.Fatalf("the document counts %d items and %d bytes, and has %d items", d.items, d.bytes, items)
	}
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	t.Parallel()
	item := func(n int64) ItemID { return ItemID{n, "w"} }
	start := []Op{
		{Kind: PutKey, Object: "m", Key: "k", Value: `"12345678"`},
		{Kind: InsertItem, Object: "l", Item: item(0), Value: `"12345678"`},
		{Kind: DeleteItem, Object: "l", Item: item(0)},
	}
	for name, c := range map[string]struct {
		op      Op
		most    bounds
		changed bool
		code    string
	}{
		"an item behind one that is not there":    {op: Op{Kind: InsertItem, Object: "l", Item: item(1), After: item(7), Value: "1"}, code: "item_not_found"},
		"an item behind itself":                   {op: Op{Kind: InsertItem, Object: "l", Item: item(1), After: item(1), Value: "1"}, code: "item_not_found"},
		"an item behind one of a list to come":    {op: Op{Kind: InsertItem, Object: "new", Item: item(1), After: item(0), Value: "1"}, code: "item_not_found"},
		"an item behind a deleted one":            {op: Op{Kind: InsertItem, Object: "l", Item: item(1), After: item(0), Value: "1"}, changed: true},
		"an item of a list to come":               {op: Op{Kind: InsertItem, Object: "new", Item: item(1), Value: "1"}, changed: true},
		"a put to a list that is not there":       {op: Op{Kind: PutItem, Object: "new", Item: item(1), Value: "1"}, code: "list_not_found"},
		"a put to an item that is not there":      {op: Op{Kind: PutItem, Object: "l", Item: item(1), Value: "1"}, code: "item_not_found"},
		"a put to a deleted item":                 {op: Op{Kind: PutItem, Object: "l", Item: item(0), Value: "1"}, changed: true},
		"the deletion of a deleted item":          {op: Op{Kind: DeleteItem, Object: "l", Item: item(0)}},
		"the deletion of an item that is not":     {op: Op{Kind: DeleteItem, Object: "l", Item: item(1)}, code: "item_not_found"},
		"the deletion of a key that is not":       {op: Op{Kind: DeleteKey, Object: "m", Key: "q"}},
		"the deletion of a key of no map":         {op: Op{Kind: DeleteKey, Object: "q", Key: "q"}},
		"a map that is there":                     {op: Op{Kind: CreateMap, Object: "m"}},
		"a list that is there":                    {op: Op{Kind: CreateList, Object: "l"}},
		"a list called as a map is":               {op: Op{Kind: CreateList, Object: "m"}, changed: true},
		"a third object of two":                   {op: Op{Kind: CreateMap, Object: "n"}, most: bounds{objects: 2}, code: "too_many_objects"},
		"a third object of two, by a put":         {op: Op{Kind: PutKey, Object: "n", Key: "k", Value: "1"}, most: bounds{objects: 2}, code: "too_many_objects"},
		"a third item of two":                     {op: Op{Kind: PutKey, Object: "m", Key: "q", Value: "1"}, most: bounds{items: 2}, code: "document_full"},
		"a third item of two, in a list":          {op: Op{Kind: InsertItem, Object: "l", Item: item(1), Value: "1"}, most: bounds{items: 2}, code: "document_full"},
		"the second item of two again":            {op: Op{Kind: PutKey, Object: "m", Key: "k", Value: "1"}, most: bounds{items: 2}, changed: true},
		"a larger value in a document full":       {op: Op{Kind: PutKey, Object: "m", Key: "k", Value: `"123456789"`}, most: bounds{bytes: 1}, code: "document_full"},
		"a smaller value in a document full":      {op: Op{Kind: PutKey, Object: "m", Key: "k", Value: `"1"`}, most: bounds{bytes: 1}, changed: true},
		"a deletion in a document full":           {op: Op{Kind: DeleteKey, Object: "m", Key: "k"}, most: bounds{bytes: 1}, changed: true},
		"an item brought back in a document full": {op: Op{Kind: PutItem, Object: "l", Item: item(0), Value: "1"}, most: bounds{bytes: 1}, code: "document_full"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDocument()
			for _, op := range start {
				if _, err := d.apply(&op, bounds{}); err != nil {
					t.Fatal(err)
				}
			}
			before := d.view()
			changed, err := d.apply(&c.op, c.most)
			code := ""
			if err != nil {
				code = err.Code
			}
			if changed != c.changed || code != c.code {
				t.Errorf("changed %v with code %q, want %v with %q", changed, code, c.changed, c.code)
			}
			if !c.changed && equal(before, d.view()) != "" {
				t.Errorf("it left something behind:\n%s", equal(before, d.view()))
			}
		})
	}
}

func TestARebuiltListHasTheSameItemsAndTakesTheNextOnes(t *testing.T) {
	t.Parallel()
	d := newDocument()
	after := ItemID{}
	for i := range int64(4 * rebuildMin) {
		op := Op{Kind: InsertItem, Object: "l", Item: ItemID{i, "w"}, After: after, Value: fmt.Sprint(i)}
		if _, err := d.apply(&op, bounds{}); err != nil {
			t.Fatal(err)
		}
		after = op.Item
	}
	var want []string
	for i := range int64(4 * rebuildMin) {
		if i%4 == 0 {
			want = append(want, fmt.Sprint(i))
			continue
		}
		op := Op{Kind: DeleteItem, Object: "l", Item: ItemID{i, "w"}}
		if _, err := d.apply(&op, bounds{}); err != nil {
			t.Fatal(err)
		}
	}
	stamp := d.stamp
	if !d.rebuild() || d.rebuild() {
		t.Fatal("it must be worth it once")
	}
	values := func() []string {
		var got []string
		for _, item := range d.view().Lists["l"] {
			got = append(got, item.Value)
		}
		return got
	}
	if diff := cmp.Diff(want, values()); diff != "" || d.stamp != stamp || d.items != len(want) {
		t.Fatalf("stamp %d, was %d; %d items; values (-want +got):\n%s", d.stamp, stamp, d.items, diff)
	}
	// A client counts what is there when it makes an id.
	next := int64(len(want))
	for _, op := range []Op{
		{Kind: InsertItem, Object: "l", Item: ItemID{next, "z"}, Value: `"first"`},
		{Kind: InsertItem, Object: "l", Item: ItemID{next + 1, "z"}, After: ItemID{next - 1, rebuilder(stamp)}, Value: `"last"`},
		{Kind: InsertItem, Object: "l", Item: ItemID{next + 2, "z"}, After: ItemID{0, rebuilder(stamp)}, Value: `"third"`},
	} {
		if _, err := d.apply(&op, bounds{}); err != nil {
			t.Fatal(err)
		}
	}
	want = slices.Concat([]string{`"first"`, want[0], `"third"`}, want[1:], []string{`"last"`})
	if diff := cmp.Diff(want, values()); diff != "" {
		t.Errorf("values after more was inserted (-want +got):\n%s", diff)
	}
	reload(t, d.view())
}

func TestAnIDIsNotGivenToAnotherItemByTheNextRebuilding(t *testing.T) {
	t.Parallel()
	d := newDocument()
	apply := func(op Op) {
		t.Helper()
		if _, err := d.apply(&op, bounds{}); err != nil {
			t.Fatal(err)
		}
	}
	var ids [2]map[ItemID]bool
	for round := range ids {
		n := int64(len(d.view().Lists["l"]))
		for i := range int64(4 * rebuildMin) {
			apply(Op{Kind: InsertItem, Object: "l", Item: ItemID{n + i, "w"}, Value: "1"})
		}
		for i, item := range d.view().Lists["l"] {
			if i%4 != 0 {
				apply(Op{Kind: DeleteItem, Object: "l", Item: item.ID})
			}
		}
		if !d.rebuild() {
			t.Fatal("it was not rebuilt")
		}
		ids[round] = make(map[ItemID]bool)
		for _, item := range d.view().Lists["l"] {
			ids[round][item.ID] = true
		}
	}
	for id := range ids[1] {
		if ids[0][id] {
			t.Fatalf("%v was another item's", id)
		}
	}
}

// The characters are in the order of String.localeCompare of Node 22, with all
// of ICU, as are the names.
func TestWritersAreInTheOrderOfClients(t *testing.T) {
	t.Parallel()
	for _, want := range [][]string{
		strings.Split(" _-,;!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStTuUvVwWxXyYzZ", ""),
		{"a", "A", "a/", "a+", "a=", "a1", "aa", "ab", "aB", "Ab", "AB", "b", "B", "rebuilt"},
	} {
		got := slices.Clone(want)
		slices.Reverse(got)
		slices.SortFunc(got, compareWriters)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	}
}

func TestOpsAreValidated(t *testing.T) {
	t.Parallel()
	good := Op{Kind: InsertItem, Object: "l", Item: ItemID{MaxCounter, "Egq3mjQ9Q8w9xQzZl8994Q=="}, Value: `{"a":[1,null]}`}
	if err := good.validate(100); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(*Op)
		code  string
	}{
		"no kind":                  {func(op *Op) { op.Kind = 0 }, "op_invalid"},
		"another kind":             {func(op *Op) { op.Kind = DeleteItem + 1 }, "op_invalid"},
		"no object":                {func(op *Op) { op.Object = "" }, "name_invalid"},
		"a long name":              {func(op *Op) { op.Object = strings.Repeat("x", maxName+1) }, "name_invalid"},
		"a key that is not text":   {func(op *Op) { op.Key = "\xff" }, "name_invalid"},
		"no item":                  {func(op *Op) { op.Item = ItemID{} }, "item_invalid"},
		"a negative counter":       {func(op *Op) { op.Item.Counter = -1 }, "item_invalid"},
		"a counter too high":       {func(op *Op) { op.After = ItemID{MaxCounter + 1, "w"} }, "item_invalid"},
		"a writer with a colon":    {func(op *Op) { op.Item.Writer = "a:b" }, "item_invalid"},
		"a writer not to be seen":  {func(op *Op) { op.Item.Writer = "a\x00" }, "item_invalid"},
		"a writer without end":     {func(op *Op) { op.Item.Writer = strings.Repeat("x", maxWriter+1) }, "item_invalid"},
		"behind a counter alone":   {func(op *Op) { op.After = ItemID{Counter: 1} }, "item_invalid"},
		"no value":                 {func(op *Op) { op.Value = "" }, "value_invalid"},
		"half a value":             {func(op *Op) { op.Value = `{"a":` }, "value_invalid"},
		"a value that is not text": {func(op *Op) { op.Value = "\"\xff\"" }, "value_invalid"},
		"a value too large":        {func(op *Op) { op.Value = `"` + strings.Repeat("x", 99) + `"` }, "value_too_large"},
	} {
		op := good
		c.spoil(&op)
		if err := op.validate(100); err == nil || err.Code != c.code {
			t.Errorf("%s: got error %v, want %s", name, err, c.code)
		}
	}
}

// FuzzDecode holds that whatever is read as ops is written as the same bytes, or
// as a shorter spelling of them, and folds without a panic.
func FuzzDecode(f *testing.F) {
	ops := []Op{
		{Kind: CreateMap, Object: "m"}, {Kind: PutKey, Object: "m", Key: "k", Value: "1"}, {Kind: DeleteKey, Object: "m", Key: "k"},
		{Kind: CreateList, Object: "l"}, {Kind: InsertItem, Object: "l", Item: ItemID{0, "w"}, Value: "1"},
		{Kind: InsertItem, Object: "l", Item: ItemID{MaxCounter, "v"}, After: ItemID{0, "w"}},
		{Kind: PutItem, Object: "l", Item: ItemID{0, "w"}, Value: `"x"`}, {Kind: DeleteItem, Object: "l", Item: ItemID{0, "w"}},
	}
	all := []byte{codecVersion}
	for _, op := range ops {
		all = appendOp(all, &op)
		f.Add(appendOp([]byte{codecVersion}, &op))
	}
	f.Add(all)
	f.Add([]byte{codecVersion + 1})
	f.Add(append(all[:len(all):len(all)], 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1))
	f.Fuzz(func(t *testing.T, body []byte) {
		d := newDocument()
		written := []byte{codecVersion}
		err := decode(body, func(op *Op) error {
			written = appendOp(written, op)
			_, _ = d.apply(op, bounds{items: 1000})
			return nil
		})
		if err != nil {
			return
		}
		again := []byte{codecVersion}
		if err := decode(written, func(op *Op) error { again = appendOp(again, op); return nil }); err != nil || !bytes.Equal(written, again) {
			t.Errorf("%x was read as ops that are written as %x and read again as %x, with error %v", body, written, again, err)
		}
		reload(t, d.view())
	})
}

// FuzzValidate holds that no op that passes can't be written and read again, and
// that what passes as a value is JSON to others as well.
func FuzzValidate(f *testing.F) {
	f.Add(uint8(InsertItem), "l", "k", int64(0), "w", int64(1), "v", `"x"`)
	f.Add(uint8(PutKey), "m", "k", int64(0), "", int64(0), "", `{"a":1}`)
	f.Fuzz(func(t *testing.T, kind uint8, object, key string, n int64, writer string, m int64, after, value string) {
		op := Op{OpKind(kind), object, key, ItemID{n, writer}, ItemID{m, after}, value}
		if op.validate(1000) != nil {
			return
		}
		d := newDocument()
		changed, err := d.apply(&op, bounds{})
		if err != nil || !changed {
			return
		}
		reload(t, d.view())
		var v any
		if op.Kind == PutKey && json.Unmarshal([]byte(value), &v) != nil {
			t.Errorf("%q passed as a value", value)
		}
	})
}

func BenchmarkInsert(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		for name, at := range map[string]func(i int) ItemID{
			"back":  func(i int) ItemID { return ItemID{int64(i - 1), "w"} },
			"front": func(int) ItemID { return ItemID{} },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				d := newDocument()
				for i := range n + b.N {
					if i == n {
						b.ResetTimer()
					}
					op := Op{Kind: InsertItem, Object: "l", Item: ItemID{int64(i), "w"}, Value: `"some value"`}
					if i > 0 {
						op.After = at(i)
					}
					if _, err := d.apply(&op, bounds{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkView(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := newDocument()
			for i := range n {
				op := Op{Kind: InsertItem, Object: "l", Item: ItemID{int64(i), "w"}, Value: `"some value"`}
				if i > 0 {
					op.After = ItemID{int64(i - 1), "w"}
				}
				if _, err := d.apply(&op, bounds{}); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				d.shown, d.lists["l"].shown = nil, nil
				d.view()
			}
		})
	}
}
