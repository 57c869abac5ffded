package access

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"usher"
	"usher/internal/store"
)

// RecordConfig says how the record of events is kept.
type RecordConfig struct {
	Audit     Audit         `yaml:"mode" doc:"batched writes events down within 100ms of what they tell of; strict makes every call wait until its own are on disk, and refuses what needs an event while the disk takes nothing; what was done just before it filled up may have its event in memory only, until there is room."`
	KeepFor   time.Duration `yaml:"keepFor" doc:"How long events are kept."`
	KeepBytes int64         `yaml:"keepBytes" doc:"How many bytes of events are kept; the oldest go first."`
}

// Audit is when an event is on disk.
type Audit string

// The ways to audit.
const (
	Batched Audit = "batched"
	Strict  Audit = "strict"
)

// DefaultRecordConfig returns the values in force where a configuration is silent.
func DefaultRecordConfig() RecordConfig {
	return RecordConfig{Audit: Batched, KeepFor: 30 * 24 * time.Hour, KeepBytes: 1 << 30}
}

// Validate returns what is wrong with the configuration, field by field.
func (c RecordConfig) Validate() []usher.FieldProblem {
	var problems []usher.FieldProblem
	if c.Audit != Batched && c.Audit != Strict {
		problems = append(problems, usher.FieldProblem{Field: "mode", Message: "must be batched or strict"})
	}
	if c.KeepFor < time.Hour {
		problems = append(problems, usher.FieldProblem{Field: "keepFor", Message: "must be at least 1h"})
	}
	if c.KeepBytes < 1<<20 {
		problems = append(problems, usher.FieldProblem{Field: "keepBytes", Message: "must be at least 1048576 (1 MiB)"})
	}
	return problems
}

// How events are gathered and kept.
const (
	// recordPause is how long events are gathered: with the time that writing
	// takes they are on disk within 100 ms.
	recordPause = 50 * time.Millisecond
	// recordRetry is how long a store that failed is left alone.
	recordRetry = 500 * time.Millisecond
	recordBatch = 2000
	// maxBatch is more than any batch has, so that the numbers of [Position] grow.
	maxBatch = 1 << 12
	// recordWait is how long a call waits for its event to be on disk.
	recordWait = 5 * time.Second
	// recordQueue bounds what waits while the store can't be written. Beyond it
	// decisions and visits wait, and are not taken if that is too long: nothing goes
	// unrecorded, and the queue does not grow. What has happened already is
	// always taken in.
	recordQueue = 20_000
	trimEvery   = 10 * time.Minute
)

// recorder writes events down in batches.
type recorder struct {
	config RecordConfig
	store  store.Record
	now    func() time.Time
	logger *slog.Logger

	wake chan struct{} // has a value while there is something to write

	writing sync.Mutex // held by whoever writes

	mu      sync.Mutex
	pending []usher.Event // what is not on disk yet, in order
	taken   uint64        // how many events were ever taken
	waiting []waiter      // whoever waits, by what for
	failure error         // why the last attempt to write failed
	// awaited are the events that a call waits for also where the audit is not
	// strict; nil is none.
	awaited func(usher.Event) bool
	news    chan struct{} // closed when more is on disk
}

// waiter waits until so many events are on disk; the zero waiter does not wait.
type waiter struct {
	events uint64
	done   chan struct{}
}

func newRecorder(config RecordConfig, s store.Record, now func() time.Time, logger *slog.Logger) *recorder {
	return &recorder{config: config, store: s, now: now, logger: logger, wake: make(chan struct{}, 1), news: make(chan struct{})}
}

// decide takes the event of a decision, once there is room for it. With a strict
// audit it returns when the event is on disk. Where that would be long, since the
// store can't be written, the event is not taken.
func (r *recorder) decide(ctx context.Context, e usher.Event) error {
	for {
		if err := r.room(ctx); err != nil {
			return err
		}
		r.mu.Lock()
		if store.Away(r.failure) && r.waits(e) {
			defer r.mu.Unlock()
			return r.failure
		}
		if len(r.pending) < recordQueue {
			break
		}
		r.mu.Unlock() // others were faster
	}
	done := r.take(e)
	r.mu.Unlock()
	r.again()
	return done.wait(ctx)
}

// room waits until there is room for one event more. Where that would be long,
// since the store can't be written, there is none.
func (r *recorder) room(ctx context.Context) error {
	for {
		r.mu.Lock()
		if len(r.pending) < recordQueue {
			r.mu.Unlock()
			return nil
		}
		if store.Away(r.failure) {
			defer r.mu.Unlock()
			return r.failure
		}
		oldest := r.await(r.taken - uint64(len(r.pending)) + 1)
		r.mu.Unlock()
		if err := oldest.wait(ctx); err != nil {
			return err
		}
	}
}

// tell takes an event that has happened already, however many wait. With a
// strict audit it returns when the event is on disk, or the store can't be
// written.
func (r *recorder) tell(ctx context.Context, e usher.Event) error {
	r.mu.Lock()
	done, failure := r.take(e), r.failure
	r.mu.Unlock()
	r.again()
	if done.done != nil && store.Away(failure) {
		return failure
	}
	return done.wait(ctx)
}

// take appends an event, and returns what its caller has to wait for: nothing,
// unless the audit is strict or the event awaited. The caller holds r.mu.
func (r *recorder) take(e usher.Event) waiter {
	r.pending = append(r.pending, e)
	r.taken++
	if !r.waits(e) {
		return waiter{}
	}
	return r.await(r.taken)
}

// waits reports whether a call waits until an event is on disk.
func (r *recorder) waits(e usher.Event) bool {
	return r.config.Audit == Strict || r.awaited != nil && r.awaited(e)
}

// await returns the waiter for so many events, which callers share: those who
// give up leave nothing behind. The caller holds r.mu.
func (r *recorder) await(events uint64) waiter {
	at, found := slices.BinarySearchFunc(r.waiting, events, func(w waiter, n uint64) int { return cmp.Compare(w.events, n) })
	if found {
		return r.waiting[at]
	}
	w := waiter{events: events, done: make(chan struct{})}
	r.waiting = slices.Insert(r.waiting, at, w)
	return w
}

var errNoRecord = usher.Errorf(usher.Unavailable, "record_unavailable", "The decision could not be recorded in time; try again.")

func (w waiter) wait(ctx context.Context) error {
	if w.done == nil {
		return nil
	}
	select {
	case <-w.done:
		return nil
	case <-time.After(recordWait):
		return errNoRecord
	case <-ctx.Done():
		return errNoRecord
	}
}

// run writes until ctx ends and everything is written.
func (r *recorder) run(ctx context.Context) {
	trim := time.NewTicker(trimEvery)
	defer trim.Stop()
	for {
		select {
		case <-r.wake:
			if !r.urgent() {
				pause(ctx, recordPause)
			}
			if ctx.Err() == nil && !r.write(ctx) {
				pause(ctx, recordRetry)
				r.again()
			}
		case <-trim.C:
			n, err := r.store.Trim(ctx, r.now().Add(-r.config.KeepFor), r.config.KeepBytes)
			if err != nil && ctx.Err() == nil {
				r.logger.Error("old events could not be deleted; it is tried again", "error", err)
			} else if n > 0 {
				r.logger.Info("old events deleted", "batches", n)
			}
		case <-ctx.Done():
			limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer cancel()
			for !r.write(limit) {
				if limit.Err() != nil {
					r.lost()
					return
				}
				pause(limit, recordPause)
			}
			return
		}
	}
}

// urgent reports whether somebody waits for what is pending.
func (r *recorder) urgent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.config.Audit == Strict || len(r.waiting) > 0
}

// unwritten returns how many events are not on disk yet.
func (r *recorder) unwritten() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pending)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (r *recorder) again() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// write appends what is pending, a batch at a time, and reports whether
// nothing is left.
func (r *recorder) write(ctx context.Context) bool {
	r.writing.Lock()
	defer r.writing.Unlock()
	for {
		r.mu.Lock()
		batch := slices.Clone(r.pending[:min(len(r.pending), recordBatch)])
		r.mu.Unlock()
		if len(batch) == 0 {
			return true
		}
		if err := r.append(ctx, batch); err != nil {
			r.failed(err)
			return false
		}
		r.wrote(len(batch))
	}
}

// failed logs the first of a row of failures.
func (r *recorder) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil {
		r.logger.Error("events could not be recorded; they are kept, and it is tried again", "events", len(r.pending), "error", err)
	}
	r.failure = err
}

// lost logs what the record lacks when the process ends.
func (r *recorder) lost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logger.Error("events are missing from the record: it could not be written until the end", "events", len(r.pending))
}

// wrote drops the n oldest events, which are on disk, and answers whoever
// waited for them.
func (r *recorder) wrote(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure = nil
	r.pending = slices.Delete(r.pending, 0, n)
	close(r.news)
	r.news = make(chan struct{})
	written := r.taken - uint64(len(r.pending))
	for len(r.waiting) > 0 && r.waiting[0].events <= written {
		close(r.waiting[0].done)
		r.waiting = r.waiting[1:]
	}
}

func (r *recorder) append(ctx context.Context, events []usher.Event) error {
	first, last := events[0].Time(), events[0].Time()
	for _, e := range events {
		if t := e.Time(); t.Before(first) {
			first = t
		} else if t.After(last) {
			last = t
		}
	}
	_, err := r.store.Append(ctx, store.Batch{First: first, Last: last, Count: len(events), Body: encodeEvents(events)})
	return err
}

// find returns one event, also one that is not yet written.
func (r *recorder) find(ctx context.Context, id usher.ID) (usher.Event, error) {
	named := func(e usher.Event) bool { return e.ID == id }
	r.mu.Lock()
	i := slices.IndexFunc(r.pending, named)
	var found usher.Event
	if i >= 0 {
		found = r.pending[i]
	}
	r.mu.Unlock()
	if i >= 0 {
		return found, nil
	}
	batches, err := r.store.At(ctx, id.Time(), 100)
	if err != nil {
		return usher.Event{}, fmt.Errorf("access: find event: %w", err)
	}
	for _, b := range batches {
		events, err := decodeEvents(b)
		if err != nil {
			return usher.Event{}, err
		}
		if i := slices.IndexFunc(events, named); i >= 0 {
			return events[i], nil
		}
	}
	return usher.Event{}, errNoDecision
}

var errNoDecision = usher.Errorf(usher.NotFound, "decision_not_found", "There is no such decision, or it is older than the record is kept.")

func decodeEvents(b store.Batch) ([]usher.Event, error) {
	var events []usher.Event
	if err := json.Unmarshal(b.Body, &events); err != nil {
		return nil, fmt.Errorf("access: decode events of batch %d: %w", b.Seq, err)
	}
	return events, nil
}
