package collab

import (
	"context"

	"usher/internal/store"
)

// snapshotted is what a snapshot came to, which was written while the log had
// log bytes.
type snapshotted struct {
	snapshot store.Snapshot
	size     int
	log      int
	err      error
}

// beginSnapshot has a snapshot written beside the room, if it is worth it.
func (r *room) beginSnapshot(ctx context.Context) {
	if r.writing || !r.archive.heavy() || r.archive.log < r.retryAt {
		return
	}
	r.writing = true
	view, id, replaces, log := r.doc.view(), r.hub.deps.IDs.New(), r.archive.head.Snapshot.ID, r.archive.log
	a := r.archive // a copy, since the room goes on to change its own
	r.snapshots.Go(func() {
		s, size, err := a.snapshot(ctx, view, id, replaces)
		r.written <- snapshotted{s, size, log, err}
	})
}

// endSnapshot notes what the snapshot came to.
func (r *room) endSnapshot(s snapshotted) {
	r.writing = false
	if s.err != nil {
		r.hub.deps.Logger.Error("a snapshot of a document could not be written; it is tried again when the log is longer", "room", r.key.ID, "error", s.err)
		r.retryAt = r.archive.log + minLog
		return
	}
	r.archive.head.Snapshot, r.archive.size = s.snapshot, s.size
	r.archive.log = max(0, r.archive.log-s.log) // which is less, if the document was read again meanwhile
	r.retryAt = 0
}
