package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"usher/internal/store"
)

// The attributes of a head beside the fields of its record. Their names can't be
// taken for any that the video chat has.
const (
	// revAttribute counts the updates of the item. Every update has the condition
	// that there was none meanwhile.
	revAttribute = "usherRev"
	// writesAttribute has the nonces of the last updates, the newest first, so
	// that whoever is in doubt of an update can see whether it happened.
	writesAttribute = "usherWrites"
	// refsAttribute has the nonce of each entry that counts, by its slot.
	refsAttribute = "usherRefs"
	// voidAttribute marks an item without a record: see seize.
	voidAttribute = "usherVoid"
	// goingAttribute marks a record that is being deleted, step by step.
	goingAttribute = "usherGoing"
)

// rememberedWrites is how many nonces writesAttribute has.
const rememberedWrites = 8

// kind is how records of one type lie in their items.
type kind[T any] struct {
	key    func(*DB, *T) key
	fields func(*archive, *T)
	// entries are what a record is found by beside its key; nil is none.
	entries func(*DB, *T) []entry
	// version returns the field that counts changes; nil if there is none.
	version func(*T) *int64
	// complete, if set, adds what the item's key says and its fields do not.
	complete func(*DB, key, *T)
	// life, if not empty, is an attribute that tells a record from a later one of
	// the same key.
	life string
}

// errKeyChanged reports a change function that returned another record than it
// was given.
var errKeyChanged = errors.New("dynamostore: the change function changed the key of the record")

// errInDoubt reports a write that may or may not have happened, and that can't
// be tried again without happening twice.
var errInDoubt = errors.New("the write may or may not have happened")

func (k kind[T]) unpack(db *DB, at key, i item) (T, error) {
	record, err := unpack(i, k.fields)
	if err == nil && k.complete != nil {
		k.complete(db, at, &record)
	}
	return record, err
}

func (k kind[T]) entriesOf(db *DB, record *T) []entry {
	if k.entries == nil {
		return nil
	}
	return k.entries(db, record)
}

// isThere reports whether an item is a record.
func isThere(i item) bool { return i != nil && !i.has(voidAttribute) && !i.has(goingAttribute) }

// read returns a record, or [store.ErrNotFound].
func (k kind[T]) read(ctx context.Context, db *DB, at key) (T, error) {
	var none T
	i, err := db.get(ctx, at)
	if err != nil {
		return none, err
	}
	if !isThere(i) {
		return none, store.ErrNotFound
	}
	return k.unpack(db, at, i)
}

// create adds a record, or returns [store.ErrExists].
func (k kind[T]) create(ctx context.Context, db *DB, record T) error {
	at := k.key(db, &record)
	leave, err := db.queues.enter(ctx, at)
	if err != nil {
		return err
	}
	defer leave()
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		old, err := db.get(ctx, at)
		if err != nil {
			return err
		}
		if old != nil && !old.has(voidAttribute) {
			return store.ErrExists
		}
		u := &update{key: at, old: old, next: pack(at.attributes(), k.fields, &record)}
		if u.nonce, err = db.nonce(); err != nil {
			return err
		}
		if k.life != "" {
			u.next[k.life] = textValue(u.nonce)
		}
		if err := db.index(u, nil, k.entriesOf(db, &record)); err != nil {
			return err
		}
		if err := db.commit(ctx, u); !errors.Is(err, errConflict) {
			return err
		}
		if err := db.pause(ctx, wait); err != nil {
			return err
		}
	}
}

// change changes one record.
func (k kind[T]) change(ctx context.Context, db *DB, at key, change func(T) (T, error)) (T, error) {
	var none T
	leave, err := db.queues.enter(ctx, at)
	if err != nil {
		return none, err
	}
	defer leave()
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		i, err := db.get(ctx, at)
		if err != nil {
			return none, err
		}
		if !isThere(i) {
			return none, store.ErrNotFound
		}
		next, err := k.changeOnce(ctx, db, at, i, change)
		if !errors.Is(err, errConflict) {
			return next, err
		}
		if err := db.pause(ctx, wait); err != nil {
			return none, err
		}
	}
}

// always changes a record that counts as there, as the given one, before it was
// changed for the first time.
func (k kind[T]) always(ctx context.Context, db *DB, first T, change func(T) (T, error)) (T, error) {
	at := k.key(db, &first)
	for {
		next, err := k.change(ctx, db, at, change)
		if !errors.Is(err, store.ErrNotFound) {
			return next, err
		}
		if err := k.create(ctx, db, first); err != nil && !errors.Is(err, store.ErrExists) {
			var none T
			return none, err
		}
	}
}

func (k kind[T]) changeOnce(ctx context.Context, db *DB, at key, i item, change func(T) (T, error)) (T, error) {
	var none T
	old, err := k.unpack(db, at, i)
	if err != nil {
		return none, err
	}
	next, err := change(old)
	switch {
	case errors.Is(err, store.ErrUnchanged):
		return k.unpack(db, at, i) // change may have written into what old refers to
	case err != nil:
		return none, err
	}
	u, err := k.update(db, at, i, &next)
	if err != nil {
		return none, err
	}
	if u == nil {
		return next, nil
	}
	return next, db.commit(ctx, u)
}

// update prepares the update of a record to what a change function made of it,
// and makes that what will be read. It returns nil if nothing changes.
func (k kind[T]) update(db *DB, at key, i item, next *T) (*update, error) {
	old, err := k.unpack(db, at, i)
	if err != nil {
		return nil, err
	}
	if k.key(db, next) != at {
		return nil, errKeyChanged
	}
	before, after := k.entriesOf(db, &old), k.entriesOf(db, next)
	if k.version != nil {
		*k.version(next) = *k.version(&old)
	}
	packed := pack(i, k.fields, next)
	if same(i, packed) && indexed(i, after) {
		return nil, nil
	}
	if k.version != nil && !same(i, packed) {
		*k.version(next)++
		packed = pack(i, k.fields, next)
	}
	u := &update{key: at, old: i, next: packed}
	return u, db.index(u, before, after)
}

func same(a, b item) bool { return maps.EqualFunc(a, b, equal) }

// update is a change of one head, and of what points to it.
type update struct {
	key key
	// old is the item as it was read, nil if there was none, and next as it will
	// be but for what commit adds.
	old, next item
	// nonce tells this update apart.
	nonce string
	// entries and locks are to be there before, and gone after.
	puts  []item
	drops []key
	takes []lock
	frees []lock
}

// commit makes an update in one step. It returns errConflict if the head has
// changed meanwhile, and [store.ErrExists] if somebody else has one of its locks;
// then, as after any other error but one that says that it is in doubt, nothing
// is changed.
func (db *DB) commit(ctx context.Context, u *update) (err error) {
	if u.nonce == "" {
		if u.nonce, err = db.nonce(); err != nil {
			return err
		}
	}
	for n, l := range u.takes {
		if err := db.take(ctx, l); err != nil {
			db.free(ctx, u.takes[:n])
			return err
		}
	}
	if err := db.writeAll(ctx, u.puts, nil); err != nil {
		db.undo(ctx, u)
		return err
	}
	u.next[revAttribute] = numberValue(u.old.number(revAttribute) + 1)
	u.next[writesAttribute] = textValue(remember(u.old.text(writesAttribute), u.nonce))
	delete(u.next, voidAttribute)
	var e expression
	doubt, err := db.revise(ctx, u.key, u.old, u.next, &e, u.unchanged(&e))
	if doubt && err != nil {
		err = db.resolve(ctx, u, err)
	}
	switch {
	case err == nil:
		db.tidy(ctx, u.drops, u.frees)
	case !doubt || errors.Is(err, errConflict):
		db.undo(ctx, u)
	}
	return err
}

// unchanged says that the head is as it was read.
func (u *update) unchanged(e *expression) string {
	if u.old == nil {
		return e.is(u.key.table.hash, nil)
	}
	// Whoever does not know of revisions may replace or delete the item.
	return e.is(u.key.table.hash, textValue(u.key.hash)) + " AND " + e.is(revAttribute, u.old[revAttribute])
}

// remember puts a nonce before those that are remembered.
func remember(writes, nonce string) string {
	all := append([]string{nonce}, strings.Fields(writes)...)
	return strings.Join(all[:min(len(all), rememberedWrites)], " ")
}

// resolve finds out whether an update happened that failed with err, but may
// have happened in an earlier try.
func (db *DB) resolve(ctx context.Context, u *update, err error) error {
	if !errors.Is(err, errConflict) {
		return err // it may even happen yet
	}
	now, readErr := db.get(context.WithoutCancel(ctx), u.key)
	updates := now.number(revAttribute) - u.old.number(revAttribute)
	switch {
	case readErr != nil:
		return readErr
	case strings.Contains(now.text(writesAttribute), u.nonce):
		return nil
	case 0 < updates && updates <= rememberedWrites:
		return errConflict
	}
	return unavailable(fmt.Errorf("%w: too much has happened since", errInDoubt))
}

// undo takes back what was prepared for an update that did not happen.
func (db *DB) undo(ctx context.Context, u *update) {
	keys := make([]key, len(u.puts))
	for n, i := range u.puts {
		keys[n] = db.own.keyOf(i)
	}
	db.tidy(ctx, keys, u.takes)
}

// tidy deletes what nothing points to. What is left of it does no harm.
func (db *DB) tidy(ctx context.Context, entries []key, locks []lock) {
	ctx = context.WithoutCancel(ctx)
	if err := db.writeAll(ctx, nil, entries); err != nil {
		db.log.WarnContext(ctx, "entries of an index could not be deleted; they are when they are next come across", "error", err)
	}
	db.free(ctx, locks)
}

// erase deletes a head as it was read, and what points to it. It returns
// errConflict if it has changed meanwhile. In doubt of whether it was this erase
// that deleted the head, it returns an error.
func (db *DB) erase(ctx context.Context, at key, i item, entries []entry) error {
	u := &update{key: at, old: i}
	var e expression
	doubt, err := db.remove(ctx, at, &e, u.unchanged(&e))
	if errors.Is(err, errConflict) && doubt {
		return unavailable(errInDoubt)
	}
	if err != nil {
		return err
	}
	var keys []key
	var locks []lock
	for _, n := range entries {
		nonce := i.part(refsAttribute).text(n.slot)
		if n.unique {
			locks = append(locks, lock{entry: n, head: at, nonce: nonce})
		} else {
			keys = append(keys, n.at(db, nonce))
		}
	}
	db.tidy(ctx, keys, locks)
	return nil
}

// boolValue is the value of a mark.
var boolValue = types.AttributeValueMemberBOOL{Value: true}
