package access

import (
	"cmp"
	"context"
	"fmt"

	"usher"
	"usher/internal/policy"
)

// Follower reads the record on behalf of the server itself, which asks nobody:
// it is for whoever tells others of events as the configuration has it.
type Follower struct{ record *recorder }

// Follow returns a follower of the record.
func (a *Access) Follow() Follower { return Follower{a.record} }

// Position is a place in the record, of which the zero Position is the beginning.
// Its text is a cursor of [Access.Events], the oldest first.
type Position struct{ at position }

// ParsePosition reads the text of a position; the empty one is the beginning.
func ParsePosition(s string) (Position, error) {
	at, err := parsePosition(s, false)
	return Position{at}, err
}

// String returns the position as [ParsePosition] reads it.
func (p Position) String() string { return p.at.text(false) }

// MarshalText writes what [Position.String] returns.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what [Position.MarshalText] wrote.
func (p *Position) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePosition(string(text))
	return err
}

// Compare orders positions as the record is read.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.at.seq, q.at.seq), cmp.Compare(p.at.skip, q.at.skip))
}

// Sequence is a number that grows with the position.
func (p Position) Sequence() int64 { return p.at.seq*maxBatch + int64(p.at.skip) }

// Entry is an event with its place in the record.
type Entry struct {
	usher.Event
	// At is where the record is read on from to come to the event, and Next where
	// to come to what follows it.
	At, Next Position
}

// End returns the position after all that is on disk.
func (f Follower) End(ctx context.Context) (Position, error) {
	last, err := f.record.store.Before(ctx, 0, 1)
	if err != nil || len(last) == 0 {
		return Position{}, wrapRead(err)
	}
	return Position{position{seq: last[0].Seq}}, nil
}

// Read returns up to limit events from a position on that keep is true of, the
// position after the last one that was looked at, and whether there are events
// between that were deleted before they were read. No new position is the end.
func (f Follower) Read(ctx context.Context, from Position, limit int, keep func(usher.Event) bool) (_ []Entry, next Position, lost bool, err error) {
	p, err := f.record.follow(ctx, from.at, limit, keep)
	return p.entries, Position{p.next}, p.lost, err
}

// News returns what is closed when this node has written more. Others write,
// too.
func (f Follower) News() <-chan struct{} {
	f.record.mu.Lock()
	defer f.record.mu.Unlock()
	return f.record.news
}

// Await has calls wait until those events that they make are on disk of which
// awaited is true, as all do where the audit is strict; nil is none. The function
// must not block.
func (f Follower) Await(awaited func(usher.Event) bool) {
	f.record.mu.Lock()
	defer f.record.mu.Unlock()
	f.record.awaited = awaited
}

// page is a part of the record.
type page struct {
	entries []Entry
	// next is the position after the last event that was looked at.
	next position
	more bool // there may be more already
	lost bool // some between where it was read from and its first event were deleted
}

// follow returns up to limit events from a position on that keep is true of. It
// looks at a bounded number, so that a filter that nothing passes does not hold
// anybody up: an empty page with a new position is not the end.
func (r *recorder) follow(ctx context.Context, from position, limit int, keep func(usher.Event) bool) (page, error) {
	list, err := r.store.After(ctx, from.seq, readBatches)
	if err != nil {
		return page{}, fmt.Errorf("access: read events: %w", err)
	}
	p := page{next: from, lost: len(list) > 0 && list[0].Seq != from.seq+1}
	for _, b := range list {
		events, err := decodeEvents(b)
		if err != nil {
			return page{}, err
		}
		skip := 0
		if b.Seq == from.seq+1 { // else the batch that was begun is trimmed away
			skip = from.skip
		}
		for i := min(skip, len(events)); i < len(events); i++ {
			if len(p.entries) == limit {
				p.more = true
				return p, nil
			}
			p.next = position{seq: b.Seq - 1, skip: i + 1}
			if keep(events[i]) {
				p.entries = append(p.entries, Entry{events[i], Position{position{seq: b.Seq - 1, skip: i}}, Position{p.next}})
			}
		}
		p.next = position{seq: b.Seq}
	}
	p.more = len(list) == readBatches
	return p, nil
}

// MayOperate refuses whoever is no operator.
func (a *Access) MayOperate(ctx context.Context, id usher.Identity) error {
	return a.may(ctx, id, policy.Operate, nil)
}
