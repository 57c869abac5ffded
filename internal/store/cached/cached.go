// Package cached keeps in memory what every decision reads of a store: the
// client that calls, the room, the caller's memberships of it, and the marks
// that were taken; and, where no other process writes, who has calls.
//
// It keeps the contract of package store. What this process has written is
// read by whoever asks after the write was answered; what another process on
// the same store has written is read within [Fresh], the bound that holds for
// everything that was taken away. Whatever is not read for every decision goes
// straight to the store.
package cached

import (
	"context"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/store"
)

// Fresh is how long a value is good for after it was read: by then, whatever
// another process wrote meanwhile is seen.
const Fresh = 500 * time.Millisecond

// maxKept bounds the values of one kind that are kept, of less than 1 KiB each.
const maxKept = 8192

// DB is a store with a memory. It is safe for concurrent use.
type DB struct {
	store.DB
	rooms   *rooms
	clients *clients
	members *members
	once    *once
	calls   *calls // nil if another process may write
	// closed stops what is kept from being answered by a store that is not open.
	closed atomic.Bool
}

var _ store.DB = (*DB)(nil)

// New returns a store that reads through db. All that this process writes must
// go through it. It measures how old values are by now.
func New(db store.DB, now func() time.Time) *DB { return newDB(db, now, maxKept) }

// NewAlone is New for a store that no other process writes to. The error is the
// store's, of which something is read at once.
func NewAlone(ctx context.Context, db store.DB, now func() time.Time) (*DB, error) {
	d := New(db, now)
	var err error
	d.calls, err = newCalls(ctx, d)
	return d, err
}

// newDB keeps at most max values of each kind.
func newDB(db store.DB, now func() time.Time, max int) *DB {
	d := &DB{DB: db}
	d.rooms = &rooms{
		Rooms: db.Rooms(), kept: newTable[usher.RoomKey, usher.Room](d, max, now),
		names: &names{max: max, last: make(map[roomName]usher.ID)},
	}
	d.clients = &clients{db.Clients(), newTable[usher.ID, usher.Client](d, max, now)}
	d.members = &members{db.Members(), newTable[memberKey, membership](d, max, now)}
	d.rooms.members = d.members
	d.once = &once{db.Once(), newTable[string, store.Mark](d, max, now)}
	return d
}

// Rooms returns the rooms and their participants, of which rooms are kept.
func (d *DB) Rooms() store.Rooms { return d.rooms }

// Clients returns the registered back ends.
func (d *DB) Clients() store.Clients { return d.clients }

// Members returns who has a standing role in which room.
func (d *DB) Members() store.Members { return d.members }

// Once returns the marks.
func (d *DB) Once() store.Once { return d.once }

// Calls returns the calls.
func (d *DB) Calls() store.Calls {
	if d.calls == nil {
		return d.DB.Calls()
	}
	return d.calls
}

// Close closes the store. Nothing is answered from memory from then on.
func (d *DB) Close() error {
	d.closed.Store(true)
	return d.DB.Close()
}
