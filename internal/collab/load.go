package collab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher"
	"usher/internal/store"
)

// partSize is about how long a part of a snapshot, and what is appended to a log
// at once, may be before the next is begun. With the largest op on top it still
// fits into one record of any store.
const partSize = 192 << 10

// loadBatch is how many entries of a log are read at once.
const loadBatch = 64

// archive is what is in the store of one document.
type archive struct {
	store store.Documents
	room  usher.RoomKey
	head  store.Head
	// size is how many bytes the snapshot has, and log those after it.
	size, log int
}

var errDamaged = errors.New("collab: the document on disk is damaged")

// load reads the document. Another node may compact it meanwhile, so that what
// is to be read next is gone; then it is read anew.
func (a *archive) load(ctx context.Context) (*document, error) {
	for try := 1; ; try++ {
		d, err := a.read(ctx)
		if err == nil || try == 3 || !errors.Is(err, errDamaged) && !errors.Is(err, store.ErrNotFound) {
			return d, err
		}
	}
}

func (a *archive) read(ctx context.Context) (*document, error) {
	var err error
	if a.head, err = a.store.Head(ctx, a.room); err != nil {
		return nil, fmt.Errorf("collab: load: %w", err)
	}
	d := newDocument()
	a.size, a.log = 0, 0
	for i := range a.head.Snapshot.Parts {
		part, err := a.store.Part(ctx, a.room, a.head.Snapshot.ID, i)
		if err != nil {
			return nil, fmt.Errorf("collab: load: part %d: %w", i, err)
		}
		a.size += len(part)
		if err := decode(part, d.replay); err != nil {
			return nil, fmt.Errorf("collab: load: part %d: %w", i, err)
		}
	}
	d.stamp = a.head.Snapshot.Last // the ops of a snapshot are not those that made it
	for d.stamp < a.head.Last {
		log, err := a.store.Log(ctx, a.room, d.stamp, loadBatch)
		if err != nil {
			return nil, fmt.Errorf("collab: load: %w", err)
		}
		if len(log) == 0 {
			return nil, fmt.Errorf("%w: the log ends at %d, and should at %d", errDamaged, d.stamp, a.head.Last)
		}
		for _, e := range log {
			if err := d.replayEntries(e); err != nil {
				return nil, err
			}
			a.log += len(e.Body)
			a.head.At = e.At
		}
	}
	a.head.Last = d.stamp
	return d, nil
}

// replay folds in an op that was good when it was written down.
func (d *document) replay(op *Op) error {
	changed, err := d.apply(op, bounds{})
	if err != nil || !changed {
		return fmt.Errorf("%w: an op in it changes nothing", errDamaged)
	}
	return nil
}

// replayEntries folds in what of some entries is not in the document yet.
func (d *document) replayEntries(e store.Entries) error {
	skip := d.stamp + 1 - e.First
	err := decode(e.Body, func(op *Op) error {
		if skip--; skip >= 0 {
			return nil
		}
		return d.replay(op)
	})
	if err == nil && d.stamp != e.Last {
		err = fmt.Errorf("%w: after %d comes %d", errDamaged, d.stamp, e.Last)
	}
	return err
}

// append writes a body that ends at the stamp.
func (a *archive) append(ctx context.Context, body []byte, stamp int64, now time.Time) error {
	e := store.Entries{First: a.head.Last + 1, Last: stamp, At: now, Body: body}
	if err := a.store.Append(ctx, a.room, e); err != nil {
		return fmt.Errorf("collab: append: %w", err)
	}
	a.head.Last, a.head.At = stamp, now
	a.log += len(body)
	return nil
}

// minLog is how many bytes of log a document may have whatever its size.
const minLog = 512 << 10

// heavy reports whether the log has become so long, beside what it is about,
// that a snapshot is worth writing: each byte of the log is paid for twice, and
// none more often.
func (a *archive) heavy() bool { return a.log > max(minLog, a.size) }

// snapshot writes a view as the document's snapshot, and returns it with how
// many bytes it has. It touches nothing of the archive that changes.
func (a *archive) snapshot(ctx context.Context, v *View, id, replaces usher.ID) (store.Snapshot, int, error) {
	next, size := store.Snapshot{ID: id, Last: v.Stamp}, 0
	put := func(part []byte) error {
		if err := a.store.PutPart(ctx, a.room, id, next.Parts, part); err != nil {
			return fmt.Errorf("collab: snapshot: %w", err)
		}
		next.Parts++
		size += len(part)
		return nil
	}
	if err := v.encode(put); err != nil {
		return next, 0, err
	}
	if err := a.store.Compact(ctx, a.room, next, replaces); err != nil {
		return next, 0, fmt.Errorf("collab: snapshot: %w", err)
	}
	return next, size, nil
}

// encode passes the ops that make a view on, in parts that are used only during
// the call.
func (v *View) encode(put func(part []byte) error) error {
	part := []byte{codecVersion}
	add := func(op *Op) error {
		part = appendOp(part, op)
		if len(part) < partSize {
			return nil
		}
		err := put(part)
		part = part[:1]
		return err
	}
	for name, values := range v.Maps {
		if err := add(&Op{Kind: CreateMap, Object: name}); err != nil {
			return err
		}
		for key, value := range values {
			if err := add(&Op{Kind: PutKey, Object: name, Key: key, Value: value}); err != nil {
				return err
			}
		}
	}
	for name, items := range v.Lists {
		if err := add(&Op{Kind: CreateList, Object: name}); err != nil {
			return err
		}
		for i := range items {
			item := &items[i]
			if err := add(&Op{Kind: InsertItem, Object: name, Item: item.ID, After: item.After, Value: item.Value}); err != nil {
				return err
			}
		}
	}
	if len(part) > 1 {
		return put(part)
	}
	return nil
}
