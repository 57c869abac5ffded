package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"usher/internal/store"
)

// record has an item for each batch, numbered in the partition's order, and one
// item for the totals of all. A batch is there from when its item is. It is added
// to the totals after that, by whoever wrote it or writes the next.
//
// Deleting goes the other way: the totals name what is being deleted, and no
// longer count it, before it is. So no byte is counted twice. What is deleted
// leaves a stub behind for a while, so that a writer who was held up does not find
// the number free again.
type record struct{ db *DB }

var _ store.Record = record{}

const (
	recordPartition = "record"
	totalsPartition = "record-totals"
	// recordTimes is the index of batches by when they ended.
	recordTimes = "record-times"
	// partsPartition has the bodies that do not fit into their batch's item.
	partsPartition = "record-parts"

	slotLast       = "last"
	sizeAttribute  = "size"
	partsAttribute = "parts"
)

const (
	// trimStep bounds how many batches are deleted in one step.
	trimStep = 64
	// partSize is how much of a body is in one item: DynamoDB has 400 KB.
	partSize = 350 << 10
)

func batchFields(a *archive, b *store.Batch) {
	number(a, seqAttribute, &b.Seq)
	a.stamp("first", &b.First)
	a.stamp("last", &b.Last)
	number(a, "count", &b.Count)
	a.bytes("body", &b.Body)
}

// totals is the item of the totals.
type totals struct {
	seq   int64 // of the last batch that is counted
	bytes int64 // in the bodies that are counted
	span  int64 // the longest of a batch ever, in microseconds
	// going are the numbers of batches that are being deleted, and trims counts
	// how often there were any.
	going []string
	trims int64
}

var totalsKind = kind[totals]{
	key: func(db *DB, _ *totals) key { return key{db.own, totalsPartition, totalsPartition} },
	fields: func(a *archive, t *totals) {
		number(a, seqAttribute, &t.seq)
		number(a, "bytes", &t.bytes)
		number(a, "span", &t.span)
		texts(a, "going", &t.going)
		number(a, "trims", &t.trims)
	},
}

func (s record) key(seq int64) key { return key{s.db.own, recordPartition, numbered(seq)} }

// change changes the totals.
func (s record) change(ctx context.Context, change func(totals) (totals, error)) (totals, error) {
	return totalsKind.always(ctx, s.db, totals{}, change)
}

func (s record) totals(ctx context.Context) (totals, error) {
	t, err := totalsKind.read(ctx, s.db, totalsKind.key(s.db, nil))
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return t, err
}

// count adds what was written after the last batch that is counted.
func (s record) count(ctx context.Context, t totals) (totals, error) {
	for {
		next, err := s.db.get(ctx, s.key(t.seq+1))
		if err != nil || next == nil {
			return t, err
		}
		t, err = s.change(ctx, func(now totals) (totals, error) {
			if now.seq != t.seq {
				return now, store.ErrUnchanged // somebody else did
			}
			now.seq++
			now.bytes += next.number(sizeAttribute)
			return now, nil
		})
		if err != nil {
			return t, err
		}
	}
}

func (s record) Append(ctx context.Context, b store.Batch) (store.Batch, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return store.Batch{}, err
	}
	defer done()
	leave, err := s.db.queues.enter(ctx, key{s.db.own, recordPartition, ""})
	if err != nil {
		return store.Batch{}, err
	}
	defer leave()
	cut(&b.First, &b.Last)
	t, err := s.totals(ctx)
	if span := b.Last.Sub(b.First).Microseconds(); err == nil && span > t.span {
		// Before the batch is there, so that whoever looks for it looks far enough.
		t, err = s.change(ctx, func(t totals) (totals, error) {
			t.span = max(t.span, span)
			return t, nil
		})
	}
	if err != nil {
		return store.Batch{}, err
	}
	u, err := s.prepare(ctx, b)
	if err != nil {
		return store.Batch{}, err
	}
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		b.Seq = t.seq + 1
		err := s.append(ctx, u, b)
		if err != nil && !errors.Is(err, errConflict) {
			return store.Batch{}, err
		}
		counted, countErr := s.count(ctx, t)
		if err == nil {
			return b, nil // whoever writes the next counts it, if it is not counted
		}
		if countErr != nil {
			return store.Batch{}, countErr
		}
		t = counted
		if err := s.db.pause(ctx, wait); err != nil {
			return store.Batch{}, err
		}
	}
}

// prepare writes a large body in parts, and returns the update that refers to it.
func (s record) prepare(ctx context.Context, b store.Batch) (*update, error) {
	nonce, err := s.db.nonce()
	if err != nil {
		return nil, err
	}
	u := &update{nonce: nonce, next: item{sizeAttribute: numberValue(int64(len(b.Body)))}}
	if len(b.Body) <= partSize {
		return u, nil
	}
	parts := slices.Collect(slices.Chunk(b.Body, partSize))
	for n, body := range parts {
		i := key{s.db.own, join(partsPartition, nonce), numbered(int64(n))}.attributes()
		i["body"] = &types.AttributeValueMemberB{Value: body}
		if _, err := s.db.put(ctx, s.db.own, i, &expression{}, ""); err != nil {
			return nil, err
		}
	}
	u.next[partsAttribute] = numberValue(int64(len(parts)))
	return u, nil
}

// append writes a batch under its number, or returns errConflict if there is one.
func (s record) append(ctx context.Context, prepared *update, b store.Batch) error {
	at := s.key(b.Seq)
	u := &update{key: at, next: at.attributes(), nonce: prepared.nonce}
	if prepared.next.has(partsAttribute) {
		b.Body = nil
	}
	u.next = pack(u.next, batchFields, &b)
	for name, v := range prepared.next {
		u.next[name] = v
	}
	u.next[nonceAttribute] = textValue(u.nonce)
	if err := s.db.index(u, nil, []entry{{slot: slotLast, hash: recordTimes, order: order(b.Last)}}); err != nil {
		return err
	}
	return s.db.commit(ctx, u)
}

// unpack reads a batch, and its body from where that is.
func (s record) unpack(ctx context.Context, i item) (store.Batch, error) {
	b, err := unpack(i, batchFields)
	parts := i.number(partsAttribute)
	if err != nil || parts == 0 {
		return b, err
	}
	items, err := s.db.first(ctx, span{table: s.db.own, hash: join(partsPartition, i.text(nonceAttribute))}, 0)
	if err != nil {
		return store.Batch{}, err
	}
	if int64(len(items)) != parts {
		return store.Batch{}, fmt.Errorf("dynamostore: of the body of batch %d there are %d parts, not %d", b.Seq, len(items), parts)
	}
	for _, part := range items {
		body, ok := part["body"].(*types.AttributeValueMemberB)
		if !ok {
			return store.Batch{}, fmt.Errorf("dynamostore: a part of batch %d has no body", b.Seq)
		}
		b.Body = append(b.Body, body.Value...)
	}
	return b, nil
}

// After reads twice where numbers are missing: what was written while the
// partition was read for the first time is there the second time, up to the last
// number of the first.
func (s record) After(ctx context.Context, seq int64, limit int) ([]store.Batch, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	after := span{table: s.db.own, hash: recordPartition, low: numbered(max(seq, 0) + 1)}
	items, err := s.batches(ctx, after, limit)
	if err != nil || len(items) == 0 {
		return nil, err
	}
	last := items[len(items)-1].number(seqAttribute)
	if last != max(seq, 0)+int64(len(items)) {
		after.high = numbered(last) + beyond
		if items, err = s.batches(ctx, after, limit); err != nil {
			return nil, err
		}
	}
	return s.unpackAll(ctx, items)
}

// Before needs no second look: what a reading missed of those that are written
// meanwhile is beyond what it has seen, and is not asked for.
func (s record) Before(ctx context.Context, seq int64, limit int) ([]store.Batch, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	before := span{table: s.db.own, hash: recordPartition, backwards: true}
	if seq > 0 {
		before.high = numbered(seq)
	}
	items, err := s.batches(ctx, before, limit)
	if err != nil {
		return nil, err
	}
	return s.unpackAll(ctx, items)
}

func (s record) unpackAll(ctx context.Context, items []item) ([]store.Batch, error) {
	var list []store.Batch
	for _, i := range items {
		b, err := s.unpack(ctx, i)
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, nil
}

// batches returns the items of batches at the beginning of a span, at most so
// many. It deletes the stubs that are old enough.
func (s record) batches(ctx context.Context, in span, limit int) ([]item, error) {
	var list []item
	err := s.db.each(ctx, in, pageOf(limit), func(items []item) (bool, error) {
		for _, i := range items {
			if !i.has(stubAttribute) {
				list = append(list, i)
			} else if err := s.db.unreferred(ctx, i); err != nil {
				return false, err
			}
			if limit > 0 && len(list) == limit {
				return false, nil
			}
		}
		return true, nil
	})
	return list, err
}

func (s record) At(ctx context.Context, at time.Time, limit int) ([]store.Batch, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	t, err := s.totals(ctx)
	if err != nil {
		return nil, err
	}
	at = at.UTC().Truncate(time.Microsecond)
	// What holds the time ended at most the longest span after it.
	within := span{hash: recordTimes, low: order(at), high: order(at.Add(time.Duration(t.span)*time.Microsecond)) + beyond}
	var list []store.Batch
	err = s.db.follow(ctx, s.db.own, within, pageOf(limit), func(fs []found) (bool, error) {
		for _, f := range fs {
			b, err := s.unpack(ctx, f.head)
			if err != nil {
				return false, err
			}
			if !b.First.After(at) {
				list = append(list, b)
			}
			if limit > 0 && len(list) == limit {
				return false, nil
			}
		}
		return true, nil
	})
	return list, err
}

func (s record) Trim(ctx context.Context, before time.Time, keep int64) (int, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	for gone := 0; ; {
		n, err := s.trim(ctx, before, keep)
		switch {
		case errors.Is(err, errConflict): // somebody else trims
			err = s.db.pause(ctx, firstWait)
		case n == 0:
			return gone, err
		}
		if gone += n; err != nil {
			return gone, err
		}
	}
}

// trim takes one step and returns how many batches went; none when all is done. It
// returns errConflict if somebody else took one meanwhile.
func (s record) trim(ctx context.Context, before time.Time, keep int64) (int, error) {
	t, err := s.totals(ctx)
	if err == nil {
		t, err = s.count(ctx, t)
	}
	if err == nil {
		err = s.sweep(ctx, t) // what another step left
	}
	if err != nil {
		return 0, err
	}
	old, err := s.ended(ctx, before, t.seq)
	if err == nil && len(old) == 0 && keep > 0 && t.bytes > keep {
		old, err = s.oldest(ctx, t.bytes-keep, t.seq)
	}
	if err != nil || len(old) == 0 {
		return 0, err
	}
	var bytes int64
	var going []string
	for _, i := range old {
		bytes += i.number(sizeAttribute)
		going = append(going, numbered(i.number(seqAttribute)))
	}
	taken := false
	t, err = s.change(ctx, func(now totals) (totals, error) {
		if taken = now.trims == t.trims; !taken {
			return now, store.ErrUnchanged
		}
		now.bytes -= bytes
		now.going = going
		now.trims++
		return now, nil
	})
	if err != nil {
		return 0, err
	}
	if !taken {
		return 0, errConflict
	}
	return len(old), s.sweep(ctx, t)
}

// ended returns items of batches that ended before a time, of those up to a
// number.
func (s record) ended(ctx context.Context, before time.Time, seq int64) ([]item, error) {
	var list []item
	err := s.db.follow(ctx, s.db.own, span{hash: recordTimes, high: order(before)}, trimStep, func(fs []found) (bool, error) {
		for _, f := range fs {
			if f.head.number(seqAttribute) <= seq && len(list) < trimStep {
				list = append(list, f.head)
			}
		}
		return len(list) < trimStep, nil
	})
	return list, err
}

// oldest returns as many of the oldest batches as have the given bytes, or as
// fit in a step.
func (s record) oldest(ctx context.Context, bytes, seq int64) ([]item, error) {
	items, err := s.batches(ctx, span{table: s.db.own, hash: recordPartition, high: numbered(seq) + beyond}, trimStep)
	for n, i := range items {
		if bytes <= 0 {
			return items[:n], err
		}
		bytes -= i.number(sizeAttribute)
	}
	return items, err
}

// sweep deletes the batches that the totals name, and has them name none.
func (s record) sweep(ctx context.Context, t totals) error {
	if len(t.going) == 0 {
		return nil
	}
	keys := make([]key, len(t.going))
	for n, seq := range t.going {
		keys[n] = key{s.db.own, recordPartition, seq}
	}
	items, err := s.db.getAll(ctx, keys)
	if err != nil {
		return err
	}
	var drops []key
	var stubs []item
	for at, i := range items {
		stubs = append(stubs, s.db.stub(at))
		if i == nil || i.has(stubAttribute) {
			continue
		}
		b, err := unpack(i, batchFields)
		if err != nil {
			return err
		}
		nonce := i.part(refsAttribute).text(slotLast)
		drops = append(drops, entry{hash: recordTimes, order: order(b.Last)}.at(s.db, nonce))
		for n := range i.number(partsAttribute) {
			drops = append(drops, key{s.db.own, join(partsPartition, i.text(nonceAttribute)), numbered(n)})
		}
	}
	// The batches go last: they are what says where the rest is.
	if err := s.db.writeAll(ctx, nil, drops); err != nil {
		return err
	}
	if err := s.db.writeAll(ctx, stubs, nil); err != nil {
		return err
	}
	_, err = s.change(ctx, func(now totals) (totals, error) {
		if slices.Equal(now.going, t.going) {
			now.going = nil
		}
		return now, nil
	})
	return err
}
