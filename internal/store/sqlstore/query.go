package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"usher"
	"usher/internal/store"
)

// preparer hands out prepared statements, each prepared once. The statements'
// text keeps to what PostgreSQL understands as well.
type preparer interface {
	prepare(ctx context.Context, text string) (*sql.Stmt, error)
	// failed turns an error of the driver into one of the store's.
	failed(err error) error
}

// reader reads through a pool of connections.
type reader struct {
	db      *sql.DB
	closing *atomic.Bool
	stmts   sync.Map // of *sql.Stmt by text
}

func (r *reader) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := r.stmts.Load(text); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := r.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if first, loaded := r.stmts.LoadOrStore(text, s); loaded {
		return first.(*sql.Stmt), s.Close()
	}
	return s, nil
}

func (r *reader) failed(err error) error {
	if r.closing.Load() {
		return store.ErrClosed
	}
	return failed(err)
}

// tx is the writer's connection within a transaction. Only the writer's
// goroutine uses it.
type tx struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func (t *tx) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := t.stmts[text]; ok {
		return s, nil
	}
	s, err := t.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	t.stmts[text] = s
	return s, nil
}

func (t *tx) failed(err error) error { return failed(err) }

// exec runs a statement that returns nothing.
func (t *tx) exec(text string, args ...any) error {
	_, err := t.affect(text, args...)
	return err
}

// affect runs a statement and returns how many rows it changed.
func (t *tx) affect(text string, args ...any) (int, error) {
	s, err := t.prepare(context.Background(), text)
	if err != nil {
		return 0, failed(err)
	}
	result, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, failed(err)
	}
	n, err := result.RowsAffected()
	return int(n), err
}

func (t *tx) close() error {
	var err error
	for _, s := range t.stmts {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, t.conn.Close())
}

// one returns the only row of a query, or [store.ErrNotFound].
func one[T any](ctx context.Context, p preparer, fields func(*T) []any, text string, args ...any) (T, error) {
	var v, none T
	s, err := p.prepare(ctx, text)
	if err != nil {
		return none, p.failed(err)
	}
	switch err := s.QueryRowContext(ctx, args...).Scan(fields(&v)...); {
	case errors.Is(err, sql.ErrNoRows):
		return none, store.ErrNotFound
	case err != nil:
		return none, p.failed(err)
	}
	return v, nil
}

// all returns every row of a query.
func all[T any](ctx context.Context, p preparer, fields func(*T) []any, text string, args ...any) ([]T, error) {
	s, err := p.prepare(ctx, text)
	if err != nil {
		return nil, p.failed(err)
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return nil, p.failed(err)
	}
	defer func() { _ = rows.Close() }() // Err has said what there is to say
	var vs []T
	for rows.Next() {
		var v T
		if err := rows.Scan(fields(&v)...); err != nil {
			return nil, p.failed(err)
		}
		vs = append(vs, v)
	}
	if err := rows.Err(); err != nil {
		return nil, p.failed(err)
	}
	return vs, nil
}

// failed says in the store's terms what went wrong in SQLite.
func failed(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	switch {
	case !ok:
		return fmt.Errorf("sqlstore: %w", err)
	case e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE, e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return store.ErrExists
	case primary(e) == sqlite3.SQLITE_FULL, e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE:
		// The latter is a file beside the log that could not grow.
		return &usher.Error{
			Kind: usher.Unavailable, Code: store.ErrNoRoom.Code, RetryAfter: retryAfter,
			Message: "The server's disk is full, so that nothing can be written until its operator frees some space.",
			Err:     fmt.Errorf("sqlstore: %w", err),
		}
	case primary(e) == sqlite3.SQLITE_IOERR, primary(e) == sqlite3.SQLITE_READONLY, primary(e) == sqlite3.SQLITE_CANTOPEN:
		return unavailable(fmt.Errorf("sqlstore: %w", err))
	}
	return fmt.Errorf("sqlstore: %w", err)
}

// primary is the part of an error's code that is not its detail.
func primary(e *sqlite.Error) int { return e.Code() & 0xff }

// retryAfter is how soon callers may try again what failed for the disk.
const retryAfter = 5 * time.Second

// unavailable is what callers are told of a disk that fails.
func unavailable(err error) *usher.Error {
	return &usher.Error{
		Kind: usher.Unavailable, Code: store.ErrUnavailable.Code, RetryAfter: retryAfter,
		Message: "The server's disk does not work as it should, of which its log tells the operator more; try again in a moment.",
		Err:     err,
	}
}

// limit is what a query's LIMIT is given: a number that is not positive asks
// for everything.
func limit(n int) int64 {
	if n <= 0 {
		return math.MaxInt64
	}
	return int64(n)
}
