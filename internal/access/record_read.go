package access

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"usher"
)

// position is a place in the record: everything up to the batch seq has been
// read, and so many events of the next one. Read backwards, everything down to
// the batch seq has been, and so many events, from its end, of the one before.
type position struct {
	seq  int64
	skip int
}

// backMark begins the text of a position for reading backwards.
const backMark = "-"

func (p position) text(back bool) string {
	text := fmt.Sprintf("%d.%d", p.seq, p.skip)
	if back {
		text = backMark + text
	}
	return text
}

var errCursor = usher.Errorf(usher.Invalid, "cursor_invalid", "The cursor is not one that this call has given out.")

func parsePosition(s string, back bool) (position, error) {
	if s == "" {
		return position{}, nil
	}
	s, marked := strings.CutPrefix(s, backMark)
	a, b, _ := strings.Cut(s, ".")
	seq, errSeq := strconv.ParseInt(a, 10, 64)
	skip, errSkip := strconv.Atoi(b)
	if errors.Join(errSeq, errSkip) != nil || seq < 0 || skip < 0 || marked != back {
		return position{}, errCursor
	}
	return position{seq, skip}, nil
}

// readBatches is how many batches one call looks at.
const readBatches = 50

// read returns up to limit events from a position on that keep is true of, the
// position after the last one looked at, and whether there may be more already.
func (r *recorder) read(ctx context.Context, from position, limit int, keep func(usher.Event) bool) ([]usher.Event, position, bool, error) {
	p, err := r.follow(ctx, from, limit, keep)
	if err != nil {
		return nil, from, false, err
	}
	var found []usher.Event
	for _, e := range p.entries {
		found = append(found, e.Event)
	}
	return found, p.next, p.more, nil
}

// readBack is read, backwards from a position, whose seq is 0 for the end.
func (r *recorder) readBack(ctx context.Context, from position, limit int, keep func(usher.Event) bool) ([]usher.Event, position, bool, error) {
	list, err := r.store.Before(ctx, from.seq, readBatches)
	if err != nil {
		return nil, from, false, fmt.Errorf("access: read events: %w", err)
	}
	var found []usher.Event
	for _, b := range list {
		events, err := decodeEvents(b)
		if err != nil {
			return nil, from, false, err
		}
		skip := 0
		if b.Seq == from.seq-1 {
			skip = from.skip
		}
		for i := len(events) - 1 - skip; i >= 0; i-- {
			if len(found) == limit {
				return found, from, true, nil
			}
			from = position{seq: b.Seq + 1, skip: len(events) - i}
			if keep(events[i]) {
				found = append(found, events[i])
			}
		}
		from = position{seq: b.Seq}
	}
	return found, from, len(list) == readBatches, nil
}

// recordSlack is by how much the clocks of nodes that write the record may
// differ.
const recordSlack = time.Minute

// endOf returns the position to read backwards from that nothing of a time or
// before it is beyond. It halves the record rather than read it from its end.
func (r *recorder) endOf(ctx context.Context, t time.Time) (position, error) {
	last, err := r.store.Before(ctx, 0, 1)
	if err != nil || len(last) == 0 {
		return position{}, wrapRead(err)
	}
	low, high := int64(0), last[0].Seq+1 // what is looked for is after low, and not after high
	for high-low > readBatches {
		middle := low + (high-low)/2
		next, err := r.store.After(ctx, middle-1, 1)
		if err != nil {
			return position{}, wrapRead(err)
		}
		if len(next) > 0 && next[0].Seq < high && !next[0].First.After(t.Add(recordSlack)) {
			low = next[0].Seq
		} else {
			high = middle
		}
	}
	return position{seq: high}, nil
}

// reaches reports whether there may be something of a time or after it before a
// position, read backwards.
func (r *recorder) reaches(ctx context.Context, from position, t time.Time) (bool, error) {
	next, err := r.store.Before(ctx, from.seq, 1)
	return len(next) > 0 && !next[0].Last.Before(t.Add(-recordSlack)), wrapRead(err)
}

func wrapRead(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("access: read events: %w", err)
}
