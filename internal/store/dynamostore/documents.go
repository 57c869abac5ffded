package dynamostore

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"usher"
	"usher/internal/store"
)

// documents has a partition for each document: its head, an item for each entry
// of the log, and one for each part of a snapshot.
//
// An entry is there from when its item is, which is written on condition that
// nobody has its first number. The head counts it after that, by whoever wrote it
// or comes next. What of the log is deleted leaves a stub behind for a while, so
// that a writer who was held up does not find the number free again.
type documents struct{ db *DB }

var _ store.Documents = documents{}

const (
	headSortKey = "head"
	logPrefix   = "log|"
	partPrefix  = "part|"

	lastAttribute     = "last"
	snapshotAttribute = "snapshot"
)

// documentHead is a head with the document that it is of.
type documentHead struct {
	room usher.RoomKey
	store.Head
}

var documentKind = kind[documentHead]{
	key: func(db *DB, h *documentHead) key { return documentKey(db, h.room, headSortKey) },
	fields: func(a *archive, h *documentHead) {
		text(a, "app", &h.room.App)
		text(a, "room", &h.room.ID)
		number(a, lastAttribute, &h.Last)
		a.stamp("at", &h.At)
		text(a, snapshotAttribute, &h.Snapshot.ID)
		number(a, "snapshotLast", &h.Snapshot.Last)
		number(a, "snapshotParts", &h.Snapshot.Parts)
	},
}

func entriesFields(a *archive, e *store.Entries) {
	number(a, "first", &e.First)
	number(a, lastAttribute, &e.Last)
	a.stamp("at", &e.At)
	a.bytes("body", &e.Body)
}

func documentKey(db *DB, room usher.RoomKey, sort string) key {
	return key{db.own, join("document", room.App, string(room.ID)), sort}
}

func entriesKey(db *DB, room usher.RoomKey, first int64) key {
	return documentKey(db, room, logPrefix+numbered(first))
}

func partsOf(snapshot usher.ID) string { return partPrefix + string(snapshot) + "|" }

// head returns the head, with all that is in the log.
func (s documents) head(ctx context.Context, room usher.RoomKey) (documentHead, error) {
	h, err := documentKind.read(ctx, s.db, documentKey(s.db, room, headSortKey))
	if errors.Is(err, store.ErrNotFound) {
		h, err = documentHead{room: room}, nil
	}
	for err == nil {
		var i item
		i, err = s.db.get(ctx, entriesKey(s.db, room, h.Last+1))
		if i == nil {
			break
		}
		var e store.Entries
		if e, err = unpack(i, entriesFields); err == nil {
			h, err = s.count(ctx, room, e)
		}
	}
	return h, err
}

// count has the head count entries, if it does not do so yet.
func (s documents) count(ctx context.Context, room usher.RoomKey, e store.Entries) (documentHead, error) {
	return documentKind.always(ctx, s.db, documentHead{room: room}, func(h documentHead) (documentHead, error) {
		if h.Last != e.First-1 {
			return h, store.ErrUnchanged
		}
		h.Last, h.At = e.Last, e.At
		return h, nil
	})
}

func (s documents) Head(ctx context.Context, room usher.RoomKey) (store.Head, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return store.Head{}, err
	}
	defer done()
	h, err := s.head(ctx, room)
	return h.Head, err
}

func (s documents) Append(ctx context.Context, room usher.RoomKey, e store.Entries) error {
	done, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	h, err := s.head(ctx, room)
	if err != nil {
		return err
	}
	if e.First != h.Last+1 {
		return store.ErrExists
	}
	nonce, err := s.db.nonce()
	if err != nil {
		return err
	}
	at := entriesKey(s.db, room, e.First)
	i := pack(at.attributes(), entriesFields, &e)
	i[nonceAttribute] = textValue(nonce)
	doubt, err := s.db.putNew(ctx, s.db.own, i)
	if errors.Is(err, errConflict) {
		err = store.ErrExists
		if doubt {
			there, readErr := s.db.get(context.WithoutCancel(ctx), at)
			if readErr != nil || there.text(nonceAttribute) == nonce {
				err = readErr
			}
		}
	}
	if err != nil {
		return err
	}
	if _, err := s.count(context.WithoutCancel(ctx), room, e); err != nil {
		s.db.log.WarnContext(ctx, "entries of a document were not counted; whoever comes next does", "error", err)
	}
	return nil
}

// Log stops at what looks like a gap: the entries before it were written while
// the partition was read.
func (s documents) Log(ctx context.Context, room usher.RoomKey, after int64, limit int) ([]store.Entries, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	h, err := documentKind.read(ctx, s.db, documentKey(s.db, room, headSortKey))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	after = max(after, h.Snapshot.Last, 0)
	// The number may be in the midst of entries that begin before it.
	before := span{table: s.db.own, hash: documentKey(s.db, room, "").hash, low: logPrefix, high: logPrefix + numbered(after) + beyond, backwards: true}
	items, err := s.db.first(ctx, before, 1)
	if err != nil {
		return nil, err
	}
	var list []store.Entries
	next := after + 1
	if len(items) > 0 && !items[0].has(stubAttribute) && items[0].number(lastAttribute) > after {
		e, err := unpack(items[0], entriesFields)
		if err != nil {
			return nil, err
		}
		list, next = []store.Entries{e}, e.Last+1
	}
	if limit > 0 && len(list) == limit {
		return list, nil
	}
	rest, err := records(ctx, s.db, span{
		table: s.db.own, hash: before.hash, low: logPrefix + numbered(next), high: logPrefix + "~",
	}, max(limit-len(list), 0), entriesFields)
	for _, e := range rest {
		if e.First != next {
			break
		}
		next = e.Last + 1
		list = append(list, e)
	}
	return list, err
}

func (s documents) PutPart(ctx context.Context, room usher.RoomKey, snapshot usher.ID, part int, body []byte) error {
	done, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	i := documentKey(s.db, room, partsOf(snapshot)+numbered(int64(part))).attributes()
	i[snapshotAttribute], i["body"] = textValue(string(snapshot)), &types.AttributeValueMemberB{Value: body}
	_, err = s.db.put(ctx, s.db.own, i, &expression{}, "")
	return err
}

func (s documents) Part(ctx context.Context, room usher.RoomKey, snapshot usher.ID, part int) ([]byte, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	i, err := s.db.get(ctx, documentKey(s.db, room, partsOf(snapshot)+numbered(int64(part))))
	if err != nil {
		return nil, err
	}
	if i == nil {
		return nil, store.ErrNotFound
	}
	return unpack(i, func(a *archive, body *[]byte) { a.bytes("body", body) })
}

func (s documents) Compact(ctx context.Context, room usher.RoomKey, next store.Snapshot, replaces usher.ID) error {
	done, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if _, err := s.head(ctx, room); err != nil { // which counts what is in the log
		return err
	}
	if _, err := documentKind.always(ctx, s.db, documentHead{room: room}, func(h documentHead) (documentHead, error) {
		if h.Snapshot.ID != replaces {
			return h, store.ErrExists
		}
		h.Snapshot = next
		return h, nil
	}); err != nil {
		return err
	}
	in := span{
		table: s.db.own, hash: documentKey(s.db, room, "").hash,
		only: []string{"pk", "sk", lastAttribute, snapshotAttribute, stubAttribute, atAttribute},
	}
	if err := s.trim(ctx, in, next.Last); err != nil {
		return err
	}
	in.low, in.high = partPrefix, partPrefix+"~"
	return s.db.each(ctx, in, maxReads, func(parts []item) (bool, error) {
		var drops []key
		for _, i := range parts {
			if i.text(snapshotAttribute) != string(next.ID) {
				drops = append(drops, s.db.own.keyOf(i))
			}
		}
		return true, s.db.writeAll(ctx, nil, drops)
	})
}

// trim puts stubs in the place of the log up to a number, and deletes those that
// are old enough.
func (s documents) trim(ctx context.Context, in span, last int64) error {
	in.low, in.high = logPrefix, logPrefix+numbered(last)+beyond
	return s.db.each(ctx, in, maxReads, func(items []item) (bool, error) {
		var stubs []item
		for _, i := range items {
			switch {
			case i.has(stubAttribute):
				if err := s.db.unreferred(ctx, i); err != nil {
					return false, err
				}
			case i.number(lastAttribute) <= last:
				stubs = append(stubs, s.db.stub(s.db.own.keyOf(i)))
			}
		}
		return true, s.db.writeAll(ctx, stubs, nil)
	})
}
