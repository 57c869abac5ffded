package dynamostore

import (
	"context"
	"errors"
	"fmt"

	"usher"
	"usher/internal/store"
)

// takings has an item for each entry, numbered in the partition's order. An entry
// is written under the number after the last, on condition that nobody took it:
// so there is never a gap before an entry that is there.
//
// What holds an id to one entry is a claim: an item that says under which number
// the entry is, or is about to be written. It moves on only when another entry
// has that number, for good, so that no two numbers can be given to one id.
type takings struct{ db *DB }

var _ store.Takings = takings{}

const (
	takingPartition = "takings"
	claimSort       = "taking"
	seqAttribute    = "seq"
)

func takingFields(a *archive, t *usher.Taking) {
	number(a, seqAttribute, &t.Seq)
	text(a, "id", &t.ID)
	text(a, "app", &t.App)
	text(a, "kind", &t.Kind)
	text(a, "grant", &t.Target.Grant)
	text(a, "identity", &t.Target.Identity)
	text(a, "client", &t.Target.Client)
	text(a, "room", &t.Target.Room)
	a.stamp("before", &t.Before)
	a.flag("forever", &t.Forever)
	a.stamp("until", &t.Until)
	text(a, "by", &t.By)
	text(a, "reason", &t.Reason)
}

// numbered is the sort key of what has a number.
func numbered(seq int64) string { return fmt.Sprintf("%019d", seq) }

func (s takings) key(seq int64) key { return key{s.db.own, takingPartition, numbered(seq)} }

func (s takings) claim(id usher.ID) key { return key{s.db.own, join("taking", string(id)), claimSort} }

func (s takings) Append(ctx context.Context, t usher.Taking) (usher.Taking, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Taking{}, err
	}
	defer done()
	leave, err := s.db.queues.enter(ctx, key{s.db.own, takingPartition, ""})
	if err != nil {
		return usher.Taking{}, err
	}
	defer leave()
	nonce, err := s.db.nonce()
	if err != nil {
		return usher.Taking{}, err
	}
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		written, err := s.append(ctx, t, nonce)
		if !errors.Is(err, errConflict) {
			return written, err
		}
		if err := s.db.pause(ctx, wait); err != nil {
			return usher.Taking{}, err
		}
	}
}

// append tries once to write an entry. It returns errConflict if somebody else's
// was written in its place.
func (s takings) append(ctx context.Context, t usher.Taking, nonce string) (usher.Taking, error) {
	seq, there, err := s.place(ctx, t.ID)
	if err != nil {
		return usher.Taking{}, err
	}
	if there == nil {
		t.Seq = seq
		i := pack(s.key(seq).attributes(), takingFields, &t)
		i[nonceAttribute] = textValue(nonce)
		if _, err = s.db.putNew(ctx, s.db.own, i); err == nil {
			return unpack(i, takingFields)
		}
		if !errors.Is(err, errConflict) {
			return usher.Taking{}, err
		}
		if there, err = s.db.get(ctx, s.key(seq)); err != nil {
			return usher.Taking{}, err
		}
	}
	switch {
	case there.text("id") != string(t.ID):
		return usher.Taking{}, errConflict
	case there.text(nonceAttribute) != nonce:
		return usher.Taking{}, store.ErrExists
	}
	return unpack(there, takingFields) // in doubt it was ours
}

// place returns the number that is claimed for an id, and claims one if there is
// none yet or another entry has it. If the entry is there, it returns that, too.
func (s takings) place(ctx context.Context, id usher.ID) (seq int64, there item, err error) {
	at := s.claim(id)
	old, err := s.db.get(ctx, at)
	if err != nil {
		return 0, nil, err
	}
	if old != nil {
		seq = old.number(seqAttribute)
		there, err = s.db.get(ctx, s.key(seq))
		if err != nil || there == nil || there.text("id") == string(id) {
			return seq, there, err
		}
	}
	last, err := s.db.first(ctx, span{table: s.db.own, hash: takingPartition, backwards: true}, 1)
	if err != nil {
		return 0, nil, err
	}
	seq = 1
	if len(last) > 0 {
		seq += last[0].number(seqAttribute)
	}
	claim := at.attributes()
	claim[seqAttribute] = numberValue(seq)
	var e expression
	condition := e.is(seqAttribute, old[seqAttribute])
	_, err = s.db.put(ctx, s.db.own, claim, &e, condition)
	return seq, nil, err
}

// After stops at what looks like a gap: the entry before it was written while
// the partition was read.
func (s takings) After(ctx context.Context, seq int64, limit int) ([]usher.Taking, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	next := max(seq, 0) + 1
	list, err := records(ctx, s.db, span{table: s.db.own, hash: takingPartition, low: numbered(next)}, limit, takingFields)
	for n, t := range list {
		if t.Seq != next+int64(n) {
			return list[:n], err
		}
	}
	return list, err
}
