package sqlstore

import (
	"context"
	"math"
	"time"

	"usher/internal/store"
)

// trimStep bounds how many batches one write deletes, and so how long others
// wait for it.
const trimStep = 64

type record struct{ db *DB }

var _ store.Record = record{}

var batchMapping = mapping[store.Batch]{
	table:   "batches",
	columns: []string{"seq", "first_at", "last_at", "events", "body"},
	keys:    1,
	fields: func(b *store.Batch) []any {
		return []any{&b.Seq, stampField{&b.First}, stampField{&b.Last}, &b.Count, &b.Body}
	},
	values: func(b *store.Batch) []any {
		return []any{b.Seq, b.First.UnixMicro(), b.Last.UnixMicro(), int64(b.Count), b.Body}
	},
}

var (
	selectBatches       = batchMapping.query("WHERE seq > $1 ORDER BY seq LIMIT $2")
	selectBatchesBefore = batchMapping.query("WHERE seq < $1 ORDER BY seq DESC LIMIT $2")
	// What holds a time ended at most the longest span after it: without that
	// bound the query would read on to the end of the record.
	selectBatchesAt = batchMapping.query("WHERE last_at >= $1 AND last_at <= $1 + (SELECT span FROM batch_totals WHERE id = 1)" +
		" AND first_at <= $1 ORDER BY last_at LIMIT $2")
)

const (
	selectEnded  = "SELECT seq, length(body) FROM batches WHERE last_at < $1 ORDER BY last_at LIMIT $2"
	selectOldest = "SELECT seq, length(body) FROM batches WHERE seq > 0 ORDER BY seq LIMIT $1"
	deleteBatch  = "DELETE FROM batches WHERE seq = $1"
	selectTotals = "SELECT seq, bytes, span FROM batch_totals WHERE id = 1"
	updateTotals = "UPDATE batch_totals SET seq = $1, bytes = $2, span = $3 WHERE id = 1"
)

// totals are what is known of all batches without reading them.
type totals struct {
	seq   int64 // the last that was given
	bytes int64 // in the bodies that are there
	span  int64 // the longest of a batch ever, in microseconds
}

func getTotals(t *tx) (totals, error) {
	return one(context.Background(), t, func(n *totals) []any { return []any{&n.seq, &n.bytes, &n.span} }, selectTotals)
}

func (n totals) put(t *tx) error { return t.exec(updateTotals, n.seq, n.bytes, n.span) }

func (s record) Append(ctx context.Context, b store.Batch) (store.Batch, error) {
	cut(&b.First, &b.Last)
	return write(ctx, s.db.writer, func(t *tx) (store.Batch, error) {
		n, err := getTotals(t)
		if err != nil {
			return store.Batch{}, err
		}
		n.seq++
		n.bytes += int64(len(b.Body))
		n.span = max(n.span, b.Last.Sub(b.First).Microseconds())
		b.Seq = n.seq
		if err := batchMapping.insert(t, &b); err != nil {
			return store.Batch{}, err
		}
		return b, n.put(t)
	})
}

func (s record) After(ctx context.Context, seq int64, n int) ([]store.Batch, error) {
	return all(ctx, s.db.reader, batchMapping.fields, selectBatches, seq, limit(n))
}

func (s record) Before(ctx context.Context, seq int64, n int) ([]store.Batch, error) {
	if seq <= 0 {
		seq = math.MaxInt64
	}
	return all(ctx, s.db.reader, batchMapping.fields, selectBatchesBefore, seq, limit(n))
}

func (s record) At(ctx context.Context, t time.Time, n int) ([]store.Batch, error) {
	return all(ctx, s.db.reader, batchMapping.fields, selectBatchesAt, t.UnixMicro(), limit(n))
}

func (s record) Trim(ctx context.Context, before time.Time, keep int64) (int, error) {
	for gone := 0; ; {
		n, err := write(ctx, s.db.writer, func(t *tx) (int, error) { return trim(t, before, keep) })
		gone += n
		if err != nil || n == 0 {
			return gone, err
		}
	}
}

// weight is a batch and the bytes in its body.
type weight struct{ seq, bytes int64 }

func weightFields(w *weight) []any { return []any{&w.seq, &w.bytes} }

// trim takes one step and returns how many batches went; none when all is done.
func trim(t *tx, before time.Time, keep int64) (int, error) {
	n, err := getTotals(t)
	if err != nil {
		return 0, err
	}
	old, err := all(context.Background(), t, weightFields, selectEnded, before.UnixMicro(), limit(trimStep))
	if err == nil && len(old) == 0 && keep > 0 {
		old, err = oldest(t, n.bytes-keep)
	}
	if err != nil || len(old) == 0 {
		return 0, err
	}
	for _, w := range old {
		if err := t.exec(deleteBatch, w.seq); err != nil {
			return 0, err
		}
		n.bytes -= w.bytes
	}
	return len(old), n.put(t)
}

// oldest returns as many of the oldest batches as weigh the given bytes, or as
// fit in a step.
func oldest(t *tx, bytes int64) ([]weight, error) {
	if bytes <= 0 {
		return nil, nil
	}
	ws, err := all(context.Background(), t, weightFields, selectOldest, limit(trimStep))
	for i, w := range ws {
		if bytes <= 0 {
			return ws[:i], nil
		}
		bytes -= w.bytes
	}
	return ws, err
}
