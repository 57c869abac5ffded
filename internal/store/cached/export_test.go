package cached

import (
	"time"

	"usher/internal/store"
)

// NewSmall returns a store that keeps at most max values of each kind.
func NewSmall(db store.DB, now func() time.Time, max int) *DB { return newDB(db, now, max) }

// Kept returns how many values of the kind that has the most are kept, or have
// a place.
func (d *DB) Kept() int {
	return max(len(d.rooms.kept.slots), len(d.clients.kept.slots), len(d.members.kept.slots), len(d.rooms.names.last), len(d.once.kept.slots))
}
