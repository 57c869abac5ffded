package dynamostore

import (
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"usher"
)

// entry is what a record is found by: in the partition of an index by its place
// in an order, or by a unique name.
//
// An entry of an order has a key of its own for each time that it is written, so
// that deleting one is never deleting that of another write: it counts only if
// the head refers to its nonce.
type entry struct {
	// slot is the name of the entry in its head.
	slot string
	// hash is the partition, and order the place in it.
	hash, order string
	// unique says that of all records only one may have it: it is a lock.
	unique bool
}

// The attributes of entries and locks, beside their keys: where the head is, the
// nonce of locks, and when they were written.
const (
	headHash       = "headHash"
	headSort       = "headSort"
	nonceAttribute = "nonce"
	atAttribute    = "at"
)

// Between an order and its nonce stands a character that is in no order and
// before all that are, so that entries sort as their orders do.
const (
	separator = "\t"
	beyond    = "\n" // follows all entries of an order
)

// leftover is the age beyond which an entry that no head refers to is that of a
// write that came to nothing: no write takes nearly as long.
const leftover = time.Hour

// at returns the key of an entry.
func (n entry) at(db *DB, nonce string) key { return key{db.own, n.hash, n.order + separator + nonce} }

// index adds to an update that the head has these entries from now on. It keeps
// the ones that are the same.
func (db *DB) index(u *update, before, after []entry) error {
	refs := make(item)
	old := u.old.part(refsAttribute)
	for _, n := range after {
		if slices.Contains(before, n) && old.has(n.slot) {
			refs[n.slot] = old[n.slot]
			continue
		}
		nonce, err := db.nonce()
		if err != nil {
			return err
		}
		refs[n.slot] = textValue(nonce)
		if n.unique {
			u.takes = append(u.takes, lock{entry: n, head: u.key, nonce: nonce})
			continue
		}
		i := n.at(db, nonce).attributes()
		i[headHash], i[headSort] = textValue(u.key.hash), textValue(u.key.sort)
		i[atAttribute] = numberValue(db.now().UnixMicro())
		u.puts = append(u.puts, i)
	}
	for _, n := range before {
		switch {
		case !old.has(n.slot) || slices.Contains(after, n):
		case n.unique:
			u.frees = append(u.frees, lock{entry: n, head: u.key, nonce: old.text(n.slot)})
		default:
			u.drops = append(u.drops, n.at(db, old.text(n.slot)))
		}
	}
	delete(u.next, refsAttribute)
	if len(refs) > 0 {
		u.next[refsAttribute] = partValue(refs)
	}
	return nil
}

// indexed reports whether a head refers to all its entries: one that somebody
// else wrote does not.
func indexed(i item, entries []entry) bool {
	return !slices.ContainsFunc(entries, func(n entry) bool { return !i.part(refsAttribute).has(n.slot) })
}

// refers reports whether a head refers to an entry that was read.
func refers(head, i item) bool {
	sort := i.text("sk")
	if len(sort) < nonceLength {
		return false
	}
	for _, ref := range head.part(refsAttribute) {
		if equal(ref, textValue(sort[len(sort)-nonceLength:])) {
			return true
		}
	}
	return false
}

// stubAttribute marks what is left of a numbered item that was deleted.
const stubAttribute = "stub"

// stub is what keeps a number from being given again to a writer who was held up
// while the item that had it came and went. Such a one is not held up for as long
// as [leftover].
func (db *DB) stub(at key) item {
	i := at.attributes()
	i[stubAttribute], i[atAttribute] = &boolValue, numberValue(db.now().UnixMicro())
	return i
}

// found is an entry that was read, with its head.
type found struct {
	order string
	key   key
	head  item
}

// follow reads the entries of a span, in order, until visit has enough. It is
// given only those that count.
func (db *DB) follow(ctx context.Context, heads *table, s span, page int, visit func([]found) (more bool, err error)) error {
	s.table = db.own
	return db.each(ctx, s, page, func(entries []item) (bool, error) {
		keys := make([]key, len(entries))
		for n, i := range entries {
			keys[n] = key{heads, i.text(headHash), i.text(headSort)}
		}
		items, err := db.getAll(ctx, keys)
		if err != nil {
			return false, err
		}
		var list []found
		for n, i := range entries {
			head := items[keys[n]]
			if !refers(head, i) {
				if head, err = (rooms{db}).pending(ctx, keys[n]); err != nil {
					return false, err
				}
			}
			if isThere(head) && refers(head, i) {
				sort := i.text("sk")
				list = append(list, found{sort[:len(sort)-nonceLength-len(separator)], keys[n], head})
				continue
			}
			if err := db.unreferred(ctx, i); err != nil {
				return false, err
			}
		}
		return visit(list)
	})
}

// unreferred deletes an entry that no head refers to, if it is old. A young one
// may be that of a write that is just being made.
func (db *DB) unreferred(ctx context.Context, i item) error {
	if db.now().Sub(time.UnixMicro(i.number(atAttribute))) < leftover {
		return nil
	}
	return db.writeAll(ctx, nil, []key{db.own.keyOf(i)})
}

// collect returns the records of a span's entries that keep, which may be nil,
// wants, at most limit of them.
func collect[T any](ctx context.Context, db *DB, k kind[T], heads *table, s span, limit int, keep func(T) bool) ([]T, error) {
	var list []T
	err := db.follow(ctx, heads, s, pageOf(limit), func(fs []found) (bool, error) {
		for _, f := range fs {
			record, err := k.unpack(db, f.key, f.head)
			if err != nil {
				return false, err
			}
			if keep == nil || keep(record) {
				list = append(list, record)
			}
			if limit > 0 && len(list) == limit {
				return false, nil
			}
		}
		return true, nil
	})
	return list, err
}

// shards is over how many partitions an index is spread that all writes go to:
// one partition takes some thousand writes a second.
const shards = 4

// sharded returns the partition of an index for what has a name.
func sharded(index, name string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return join(index, strconv.Itoa(int(h.Sum32()%shards)))
}

// overdue returns what of a sharded index comes before an order, in order, at
// most limit of it.
func (db *DB) overdue(ctx context.Context, heads *table, index, before string, limit int) ([]found, error) {
	return db.merged(ctx, heads, index, span{high: before}, limit)
}

// merged returns what of a sharded index is within bounds, in order, at most
// limit of it.
func (db *DB) merged(ctx context.Context, heads *table, index string, s span, limit int) ([]found, error) {
	var all []found
	for n := range shards {
		var some []found
		s.hash = join(index, strconv.Itoa(n))
		if err := db.follow(ctx, heads, s, pageOf(limit), func(fs []found) (bool, error) {
			some = append(some, fs...)
			return limit <= 0 || len(some) < limit, nil
		}); err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(a.order, b.order) })
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}

// elsewhere returns what of a sharded index, which is in the order of nodes, is
// on none of the given ones. It reads only between those.
func (db *DB) elsewhere(ctx context.Context, heads *table, index string, alive []usher.ID, limit int) ([]found, error) {
	nodes := slices.Compact(slices.Sorted(slices.Values(alive)))
	var all []found
	for n := range shards {
		for gap := range len(nodes) + 1 {
			s := span{hash: join(index, strconv.Itoa(n))}
			if gap > 0 {
				s.low = string(nodes[gap-1]) + beyond
			}
			if gap < len(nodes) {
				s.high = string(nodes[gap]) + separator
			}
			if err := db.follow(ctx, heads, s, pageOf(limit), func(fs []found) (bool, error) {
				all = append(all, fs...)
				return limit <= 0 || len(all) < limit, nil
			}); err != nil {
				return nil, err
			}
			if limit > 0 && len(all) >= limit {
				return all[:limit], nil
			}
		}
	}
	return all, nil
}
