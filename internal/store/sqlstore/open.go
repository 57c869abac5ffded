// Package sqlstore keeps Usher's state in an SQLite database.
//
// All writes pass through one goroutine that owns the one connection that
// writes. Each write runs in a savepoint of a transaction that it shares with
// whatever else was waiting, and is answered after the commit, which syncs the
// disk: one sync carries as many writes as queued during the one before, and
// none waits for a timer. A change function must not call the store.
// Reads go through a pool of read-only connections, each of which sees every
// write that was answered before the read began, and hold up nothing.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"

	"usher/internal/store"
)

// Synchronous is how much of a write is on disk when it is answered.
type Synchronous int

// The modes of syncing.
const (
	// Full syncs every commit before its writes are answered, so that they
	// survive a power cut.
	Full Synchronous = iota
	// Off syncs nothing. It is for benchmarks, which show beside it what
	// syncing costs: a power cut can lose answered writes and the whole file.
	Off
)

// String returns the mode as SQLite spells it.
func (s Synchronous) String() string {
	if s == Off {
		return "OFF"
	}
	return "FULL"
}

// busyTimeout is how long a statement waits while another process, such as an
// operator's sqlite3, holds the lock that it needs.
const busyTimeout = 5 * time.Second

// Commit is what an observer is told of one commit.
type Commit struct {
	// Writes is how many writes shared the commit, those that failed by
	// themselves included; 0 is an attempt of the store's own.
	Writes int
	// Took is how long the commit itself took, the sync included.
	Took time.Duration
	// Err is why none of the writes took place.
	Err error
	// Failing says that nothing can be written for now.
	Failing bool
}

// Config is what a store needs to open.
type Config struct {
	// Path is the database file. It is made if it is missing, readable by the
	// own user only; its folder must be there.
	Path        string
	Synchronous Synchronous
	// Logger may be nil.
	Logger *slog.Logger
	// Observe, if set, is called after every commit, and attempt at one, and before
	// its writes are answered. It holds up all writes, so it must return at once.
	Observe func(Commit)
	// Now measures how long a commit took; nil is [time.Now].
	Now func() time.Time
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	writer  *writer
	reader  *reader
	pool    *sql.DB // holds the writer's one connection
	closing atomic.Bool
	close   func() error
}

var _ store.DB = (*DB)(nil)

// Open opens the database and brings its schema up to date. It refuses one
// that a newer version of Usher has changed.
func Open(ctx context.Context, cfg Config) (_ *DB, err error) {
	if cfg.Path == "" {
		return nil, errors.New("sqlstore: open: no path is given")
	}
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: open: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := makePrivate(path); err != nil {
		return nil, fmt.Errorf("sqlstore: open: %w", err)
	}

	db := &DB{}
	if db.pool, err = connect(path, cfg.Synchronous, url.Values{"_journal_mode": {"WAL"}}); err != nil {
		return nil, fmt.Errorf("sqlstore: open %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = db.pool.Close()
		}
	}()
	db.pool.SetMaxOpenConns(1)
	if err := migrate(ctx, db.pool, cfg.Logger); err != nil {
		return nil, fmt.Errorf("sqlstore: open %s: %w", path, err)
	}
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: open %s: %w", path, err)
	}
	readers, err := connect(path, cfg.Synchronous, url.Values{"mode": {"ro"}, "_query_only": {"on"}})
	if err != nil {
		return nil, fmt.Errorf("sqlstore: open %s: %w", path, err)
	}
	n := max(4, runtime.GOMAXPROCS(0))
	readers.SetMaxOpenConns(n)
	readers.SetMaxIdleConns(n)

	db.reader = &reader{db: readers, closing: &db.closing}
	db.writer = startWriter(conn, cfg)
	db.close = sync.OnceValue(db.shut)
	return db, nil
}

// makePrivate creates the file, or takes away what others may do with it.
// SQLite gives the files that it puts beside a database the same mode.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// connect returns a pool of connections that all have the same settings: they
// belong to a connection, not to the file.
func connect(path string, sync Synchronous, extra url.Values) (*sql.DB, error) {
	extra.Set("_busy_timeout", fmt.Sprint(busyTimeout.Milliseconds()))
	extra.Set("_foreign_keys", "on")
	extra.Set("_synchronous", sync.String())
	extra.Set("_dqs", "false")
	extra.Set("_defensive", "true")
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: extra.Encode()}
	connector, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// Rooms returns the rooms and their participants.
func (db *DB) Rooms() store.Rooms { return rooms{db} }

// Clients returns the registered back ends.
func (db *DB) Clients() store.Clients { return clients{db} }

// Keys returns our signing keys.
func (db *DB) Keys() store.Keys { return keys{db} }

// Once returns the marks.
func (db *DB) Once() store.Once { return once{db} }

// Members returns who has a standing role in which room.
func (db *DB) Members() store.Members { return members{db} }

// Invites returns the codes that let guests in.
func (db *DB) Invites() store.Invites { return invites{db} }

// Users returns the people whom issuers vouch for.
func (db *DB) Users() store.Users { return users{db} }

// Contacts returns whom each user lists.
func (db *DB) Contacts() store.Contacts { return contacts{db} }

// Calls returns the calls between people.
func (db *DB) Calls() store.Calls { return calls{db} }

// Takings returns the sequence of what was taken away.
func (db *DB) Takings() store.Takings { return takings{db} }

// Stays returns what rooms have on foreign platforms.
func (db *DB) Stays() store.Stays { return stays{db} }

// Record returns what happened.
func (db *DB) Record() store.Record { return record{db} }

// Sessions returns the sessions of opaque tokens.
func (db *DB) Sessions() store.Sessions { return sessions{db} }

// Attachments returns the connections that a gateway holds.
func (db *DB) Attachments() store.Attachments { return attachments{db} }

// Ping fails when the database can't be read, or when the writer can't begin
// and end a transaction, or is not free before ctx ends. It writes nothing, and
// fails also from a commit that failed until the disk takes one again, which is
// tried every second.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.writer.do(ctx, func(*tx) error { return nil }); err != nil {
		return err
	}
	if failure := db.Failing(); failure != nil {
		return failure
	}
	_, err := one(ctx, db.reader, func(n *int64) []any { return []any{n} }, "SELECT 1")
	return err
}

// Failing returns why the last commit failed, or nil if it did not.
func (db *DB) Failing() error {
	if failure := db.writer.failing.Load(); failure != nil {
		return failure
	}
	return nil
}

// Close refuses new work with [store.ErrClosed], waits for the writes that
// were accepted, moves everything into the one file, and closes it.
func (db *DB) Close() error { return db.close() }

func (db *DB) shut() error {
	db.closing.Store(true)
	db.writer.stop()
	err := db.reader.db.Close()
	// With no reader left, nothing keeps the checkpoint from being whole but a disk
	// that does not take it; then all that was answered is in the log, and is found
	// there.
	checkpoint := db.writer.tx.exec("PRAGMA wal_checkpoint(TRUNCATE)")
	if store.Away(checkpoint) {
		db.writer.log.Warn("the disk does not take what is new in the database: it stays in its log", "error", checkpoint)
		checkpoint = nil
	}
	err = errors.Join(err, checkpoint)
	err = errors.Join(err, db.writer.tx.close(), db.pool.Close())
	if err != nil {
		return fmt.Errorf("sqlstore: close: %w", err)
	}
	return nil
}
