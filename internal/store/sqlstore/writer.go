package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"

	"usher"
	"usher/internal/store"
)

const (
	// maxBatch bounds how many writes share a commit, and so how long the
	// first of them waits for the last.
	maxBatch = 256
	// queueLength bounds the writes that wait; beyond it callers wait to queue.
	queueLength = 4 * maxBatch
	// retryEvery is how soon it is tried again to write, by ourselves, when a
	// commit has failed.
	retryEvery = time.Second
	// repeatEvery is how often it is said at most that commits fail.
	repeatEvery = time.Minute
)

// writer runs every write on one goroutine and one connection.
type writer struct {
	tx      *tx
	log     *slog.Logger
	observe func(Commit)
	now     func() time.Time
	queue   chan *op
	stopped chan struct{}

	// failing is why commits fail, nil while they don't; told is what of that the
	// log was told, and toldAt when. Only loop sets them.
	failing atomic.Pointer[usher.Error]
	told    string
	toldAt  time.Time

	// mu lets stop wait for those who are about to queue. It is never held
	// while a write is waited for.
	mu     sync.RWMutex
	closed bool
}

// op is one write.
type op struct {
	// ctx is asked once, before the write begins. It has no part in the
	// transaction, which belongs to others as well.
	ctx  context.Context
	run  func(*tx) error
	took atomic.Bool // either the writer takes it, or a caller who gives up
	err  error
	done chan struct{}
}

func startWriter(conn *sql.Conn, cfg Config) *writer {
	w := &writer{
		tx:      &tx{conn: conn, stmts: make(map[string]*sql.Stmt)},
		log:     cfg.Logger,
		observe: cfg.Observe,
		now:     cfg.Now,
		queue:   make(chan *op, queueLength),
		stopped: make(chan struct{}),
	}
	go w.loop()
	return w
}

// stop refuses new writes and waits until the accepted ones are answered.
func (w *writer) stop() {
	w.mu.Lock()
	w.closed = true
	close(w.queue)
	w.mu.Unlock()
	<-w.stopped
}

// do runs a write and returns when it is committed. If ctx ends before the
// write began, it never begins; after that do waits for its outcome, so that a
// caller who gave up is never left in doubt.
func (w *writer) do(ctx context.Context, run func(*tx) error) error {
	o := &op{ctx: ctx, run: run, done: make(chan struct{})}
	if err := w.enqueue(o); err != nil {
		return err
	}
	select {
	case <-o.done:
	case <-ctx.Done():
		if o.took.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-o.done
	}
	return o.err
}

func (w *writer) enqueue(o *op) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return store.ErrClosed
	}
	select {
	case w.queue <- o:
		return nil
	case <-o.ctx.Done():
		return o.ctx.Err()
	}
}

// write is [writer.do] for a write that has a result.
func write[T any](ctx context.Context, w *writer, run func(*tx) (T, error)) (T, error) {
	var result T
	err := w.do(ctx, func(t *tx) (err error) {
		result, err = run(t)
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return result, nil
}

func (w *writer) loop() {
	defer close(w.stopped)
	batch := make([]*op, 0, maxBatch)
	var retry <-chan time.Time
	for {
		select {
		case o, open := <-w.queue:
			if !open {
				return
			}
			batch = w.commit(o, batch[:0])
			clear(batch)
		case <-retry:
			retry = nil
			w.try()
			w.observed(Commit{})
		}
		if retry == nil && w.failing.Load() != nil {
			retry = time.After(retryEvery)
		}
	}
}

// try writes something that changes nothing that anybody reads, and notes
// whether that works.
//
// A commit that changes nothing works on a full disk, too, so that the success
// of one says little. And what a commit wrote whose sync failed lies in the log
// whole: if the process were killed now, the next one would find it there and
// take it for done. This overwrites it, though the sync fail again, so that what
// was answered with an error does not come true later.
func (w *writer) try() {
	err := w.tx.exec("PRAGMA user_version = 0")
	e, _ := errors.AsType[*usher.Error](err)
	if err != nil && e == nil {
		e = unavailable(err)
	}
	w.note(e)
}

// note keeps whether commits fail, and tells the log, which is not filled by a
// disk on which some commits find room and others don't.
func (w *writer) note(failure *usher.Error) {
	w.failing.Store(failure)
	switch now := w.now(); {
	case failure == nil && w.told != "":
		w.told = ""
		w.log.Warn("the database can be written again")
	case failure != nil && failure.Code != w.told && now.Sub(w.toldAt) >= repeatEvery:
		w.told, w.toldAt = failure.Code, now
		w.log.Error("the database can't be written: what has to be is refused until it can", "error", failure.Err)
	}
}

// commit runs first, and what queued in the meantime, in one transaction, and
// answers when it is on disk. It returns batch, grown.
func (w *writer) commit(first *op, batch []*op) []*op {
	err := w.tx.exec("BEGIN IMMEDIATE")
	for o := first; o != nil; o = w.next() {
		if o.took.CompareAndSwap(false, true) {
			batch = append(batch, o)
			if err == nil {
				err = w.apply(o)
			}
		}
		if err != nil || len(batch) == maxBatch {
			break
		}
	}
	began := w.now()
	if err == nil {
		err = w.tx.exec("COMMIT")
	}
	took := w.now().Sub(began)
	if err != nil {
		// Nothing of the transaction holds, and some answers were built on it.
		for _, o := range batch {
			o.err = err
		}
		// SQLite may have rolled back by itself, which makes this one fail.
		_ = w.tx.exec("ROLLBACK")
		if e, ok := errors.AsType[*usher.Error](err); ok {
			w.note(e)
		}
	}
	if w.failing.Load() != nil {
		w.try() // before those are answered who are told that nothing was done
	}
	if len(batch) > 0 {
		w.observed(Commit{Writes: len(batch), Took: took, Err: err})
	}
	for _, o := range batch {
		close(o.done)
	}
	return batch
}

// observed tells whoever observes of a commit.
func (w *writer) observed(c Commit) {
	if w.observe != nil {
		c.Failing = w.failing.Load() != nil
		w.observe(c)
	}
}

// next returns a write that is waiting, or nil.
func (w *writer) next() *op {
	select {
	case o := <-w.queue:
		return o
	default:
		return nil
	}
}

// apply runs one write in a savepoint. It returns an error only if the
// transaction as a whole is lost.
func (w *writer) apply(o *op) error {
	if o.err = o.ctx.Err(); o.err != nil {
		return nil
	}
	if err := w.tx.exec("SAVEPOINT write"); err != nil {
		return err
	}
	if o.err = w.contain(o.run); o.err != nil {
		if err := w.tx.exec("ROLLBACK TO write"); err != nil {
			// After a full disk or a failed read SQLite may roll back the whole
			// transaction, and the savepoint with it: then that is the cause.
			if _, ok := errors.AsType[*sqlite.Error](o.err); ok {
				return o.err
			}
			return err
		}
	}
	return w.tx.exec("RELEASE write")
}

// contain turns a panic of a change function into that write's error.
func (w *writer) contain(run func(*tx) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			w.log.Error("a change function panicked", "panic", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("sqlstore: the change function panicked: %v", v)
		}
	}()
	return run(w.tx)
}
