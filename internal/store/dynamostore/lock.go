package dynamostore

import (
	"context"
	"errors"
	"time"

	"usher/internal/store"
)

// lock is the entry of a unique name with its head. It is taken if the head
// refers to its nonce, or is being taken by a write of the head that has not
// happened yet.
type lock struct {
	entry
	head  key
	nonce string
}

// lockSort is the sort key of locks.
const lockSort = "lock"

// lockPatience is how long a lock is left to a write that has not happened yet.
const lockPatience = time.Second

func (l lock) key(db *DB) key { return key{db.own, l.hash, lockSort} }

// take takes a lock for a write that is about to be made. It returns
// [store.ErrExists] if a record has it.
func (db *DB) take(ctx context.Context, l lock) error {
	at := l.key(db)
	i := at.attributes()
	i[headHash], i[headSort], i[nonceAttribute] = textValue(l.head.hash), textValue(l.head.sort), textValue(l.nonce)
	began := db.now()
	for wait := firstWait; ; wait = min(2*wait, longWait/4) {
		_, err := db.putNew(ctx, db.own, i)
		if !errors.Is(err, errConflict) {
			return err
		}
		there, err := db.get(ctx, at)
		if err != nil {
			return err
		}
		if there.text(nonceAttribute) == l.nonce {
			return nil // in doubt it was ours
		}
		if there == nil {
			continue
		}
		head := key{l.head.table, there.text(headHash), there.text(headSort)}
		holder, err := db.get(ctx, head)
		switch {
		case err != nil:
			return err
		case isThere(holder) && holder.part(refsAttribute).text(l.slot) == there.text(nonceAttribute):
			return store.ErrExists
		case db.now().Sub(began) < lockPatience:
			err = db.pause(ctx, wait)
		default:
			err = db.seize(ctx, l, i, there, head, holder)
			if err == nil {
				return nil
			}
		}
		if err != nil && !errors.Is(err, errConflict) {
			return err
		}
	}
}

// seize takes a lock from a write that does not come to an end. It first counts
// up the revision of that write's head, so that the write can't happen any more:
// whoever makes it will have to begin anew. A head that is not there yet becomes
// an item without a record.
func (db *DB) seize(ctx context.Context, l lock, mine, there item, head key, holder item) error {
	next := head.attributes()
	for name, v := range holder {
		next[name] = v
	}
	next[revAttribute] = numberValue(holder.number(revAttribute) + 1)
	if holder == nil {
		next[voidAttribute] = &boolValue
	}
	u := update{key: head, old: holder}
	var e expression
	if _, err := db.revise(ctx, head, holder, next, &e, u.unchanged(&e)); err != nil {
		return err
	}
	var same expression
	doubt, err := db.put(ctx, db.own, mine, &same, same.is(nonceAttribute, there[nonceAttribute]))
	if doubt && errors.Is(err, errConflict) {
		if now, err := db.get(ctx, l.key(db)); err != nil || now.text(nonceAttribute) == l.nonce {
			return err
		}
	}
	return err
}

// free gives locks up that their heads do not refer to.
func (db *DB) free(ctx context.Context, locks []lock) {
	ctx = context.WithoutCancel(ctx)
	for _, l := range locks {
		var e expression
		if _, err := db.remove(ctx, l.key(db), &e, e.is(nonceAttribute, textValue(l.nonce))); err != nil && !errors.Is(err, errConflict) {
			db.log.WarnContext(ctx, "a unique name could not be freed; whoever wants it next takes it", "error", err)
		}
	}
}
