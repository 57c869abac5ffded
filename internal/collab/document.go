package collab

import (
	"maps"

	"usher"
)

// document is what the ops come to. What it has shown in a view it keeps, so
// that the next view costs only what has changed since.
type document struct {
	stamp int64
	maps  map[string]*mapObject
	lists map[string]*listObject
	// items counts the keys and the items, deleted ones included, and bytes what
	// they weigh.
	items, bytes int
	// writers has one copy of each writer's name.
	writers map[string]string
	shown   *View // nil if it is not of now
}

type mapObject struct {
	values map[string]string
	shown  map[string]string // nil if it is not of now
}

// bounds are how large a document may become; the zero bounds are none.
type bounds struct{ objects, items, bytes int }

// What things weigh beside their names and texts, about.
const (
	objectCost = 64
	keyCost    = 32
	itemCost   = 128
)

func newDocument() *document {
	return &document{maps: make(map[string]*mapObject), lists: make(map[string]*listObject), writers: make(map[string]string)}
}

// What a document refuses.
var (
	errFull    = usher.Errorf(usher.TooLarge, "document_full", "The document has no room for more; delete what is not needed any more.")
	errObjects = usher.Errorf(usher.TooLarge, "too_many_objects", "The document has as many maps and lists as it may have.")
	errNoItem  = usher.Errorf(usher.NotFound, "item_not_found", "The list has no such item, or has it no longer; load the document again.")
	errNoList  = usher.Errorf(usher.NotFound, "list_not_found", "There is no such list.")
)

// apply folds an op in, and reports whether that changed anything. An op that is
// refused changes nothing. What an op costs does not grow with the document.
func (d *document) apply(op *Op, most bounds) (bool, *usher.Error) {
	changed, err := d.fold(op, most)
	if changed {
		d.stamp++
		d.shown = nil
	}
	return changed, err
}

func (d *document) fold(op *Op, most bounds) (bool, *usher.Error) {
	switch op.Kind {
	case CreateMap:
		if d.maps[op.Object] != nil {
			return false, nil
		}
		_, err := d.makeMap(op.Object, most)
		return err == nil, err
	case CreateList:
		if d.lists[op.Object] != nil {
			return false, nil
		}
		_, err := d.makeList(op.Object, most)
		return err == nil, err
	case PutKey, DeleteKey:
		return d.foldMap(op, most)
	default:
		return d.foldList(op, most)
	}
}

// spare reports whether there is room for so much more.
func (d *document) spare(items, bytes int, most bounds) bool {
	return (items <= 0 || most.items <= 0 || d.items+items <= most.items) &&
		(bytes <= 0 || most.bytes <= 0 || d.bytes+bytes <= most.bytes)
}

func (d *document) grow(items, bytes int) { d.items, d.bytes = d.items+items, d.bytes+bytes }

// mayMake returns why there can't be another object of that name.
func (d *document) mayMake(name string, most bounds) *usher.Error {
	switch {
	case most.objects > 0 && len(d.maps)+len(d.lists) >= most.objects:
		return errObjects
	case !d.spare(0, len(name)+objectCost, most):
		return errFull
	}
	return nil
}

func (d *document) makeMap(name string, most bounds) (*mapObject, *usher.Error) {
	if err := d.mayMake(name, most); err != nil {
		return nil, err
	}
	m := &mapObject{values: make(map[string]string)}
	d.maps[name] = m
	d.grow(0, len(name)+objectCost)
	return m, nil
}

func (d *document) makeList(name string, most bounds) (*listObject, *usher.Error) {
	if err := d.mayMake(name, most); err != nil {
		return nil, err
	}
	l := newList()
	d.lists[name] = l
	d.grow(0, len(name)+objectCost)
	return l, nil
}

func (d *document) foldMap(op *Op, most bounds) (bool, *usher.Error) {
	m := d.maps[op.Object]
	if m == nil && op.Kind == DeleteKey {
		return false, nil
	}
	items, bytes := 1, keyCost+len(op.Key)+len(op.Value)
	if m != nil {
		if old, ok := m.values[op.Key]; ok {
			items, bytes = 0, len(op.Value)-len(old)
		}
	}
	if op.Kind == DeleteKey {
		old, ok := m.values[op.Key]
		if !ok {
			return false, nil
		}
		delete(m.values, op.Key)
		m.shown = nil
		d.grow(-1, -keyCost-len(op.Key)-len(old))
		return true, nil
	}
	if !d.spare(items, bytes, most) {
		return false, errFull
	}
	if m == nil {
		var err *usher.Error
		if m, err = d.makeMap(op.Object, most); err != nil {
			return false, err
		}
	}
	m.values[op.Key] = op.Value
	m.shown = nil
	d.grow(items, bytes)
	return true, nil
}

func (d *document) foldList(op *Op, most bounds) (bool, *usher.Error) {
	l := d.lists[op.Object]
	if op.Kind == InsertItem && l != nil {
		if err := l.rename(op); err != nil {
			return false, err
		}
	}
	if op.Kind == InsertItem && (l == nil || l.nodes[op.Item] == nil) {
		return d.insert(op, l, most)
	}
	if l == nil {
		return false, errNoList
	}
	n, value := l.nodes[op.Item], op.Value
	if op.Kind == DeleteItem {
		value = ""
	}
	switch {
	case n == nil:
		return false, errNoItem
	case op.Kind == DeleteItem && n.value == "":
		return false, nil
	case !d.spare(0, len(value)-len(n.value), most):
		return false, errFull
	}
	d.grow(0, len(value)-len(n.value))
	l.put(n, value)
	return true, nil
}

// insert adds an item that is not there to a list, which is nil if it is not
// there either.
func (d *document) insert(op *Op, l *listObject, most bounds) (bool, *usher.Error) {
	after := (*node)(nil)
	if l != nil {
		after = l.after(op.After)
	}
	bytes := itemCost + len(op.Value)
	switch {
	case after == nil && !op.After.IsZero():
		return false, errNoItem
	case !d.spare(1, bytes, most):
		return false, errFull
	}
	if l == nil {
		var err *usher.Error
		if l, err = d.makeList(op.Object, most); err != nil {
			return false, err
		}
		after = l.root
	}
	id := op.Item
	if name, ok := d.writers[id.Writer]; ok {
		id.Writer = name
	} else {
		d.writers[id.Writer] = id.Writer
		bytes += len(id.Writer)
	}
	l.insert(after, id, op.Value)
	d.grow(1, bytes)
	return true, nil
}

// rebuild rebuilds the lists that it is worth it for, and reports whether there
// were any. See [listObject.rebuild] for when it may be done.
func (d *document) rebuild() bool {
	any := false
	for name, l := range d.lists {
		if !l.wasteful() {
			continue
		}
		any = true
		d.grow(-l.dead, -l.dead*itemCost)
		d.lists[name] = l.rebuild(rebuilder(d.stamp))
		d.shown = nil
	}
	return any
}

// view returns the document as it is now.
func (d *document) view() *View {
	if d.shown != nil {
		return d.shown
	}
	v := &View{Stamp: d.stamp, Maps: make(map[string]map[string]string, len(d.maps)), Lists: make(map[string][]Item, len(d.lists))}
	for name, m := range d.maps {
		if m.shown == nil {
			m.shown = maps.Clone(m.values)
		}
		v.Maps[name] = m.shown
	}
	for name, l := range d.lists {
		v.Lists[name] = l.view()
	}
	d.shown = v
	return v
}
