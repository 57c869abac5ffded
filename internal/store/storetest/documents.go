package storetest

import (
	"bytes"
	"fmt"
	"time"

	"usher"
	"usher/internal/store"
)

// document is the document of a room that the suite writes to.
type document struct {
	*suite
	room usher.RoomKey
	log  []store.Entries // all that was ever written
	// snapshots are those that it was seen to begin with.
	snapshots []usher.ID
}

func (s *suite) document() *document {
	return &document{suite: s, room: usher.RoomKey{App: usher.DefaultApp, ID: s.id()}}
}

func (d *document) last() int64 {
	if len(d.log) == 0 {
		return 0
	}
	return d.log[len(d.log)-1].Last
}

// append writes so many changes.
func (d *document) append(changes int) store.Entries {
	d.Helper()
	e := store.Entries{
		First: d.last() + 1, Last: d.last() + int64(changes), At: start.Add(time.Duration(len(d.log)) * time.Second),
		Body: fmt.Appendf(nil, "%d changes after %d", changes, d.last()),
	}
	d.must(d.db.Documents().Append(d.ctx, d.room, e))
	d.log = append(d.log, e)
	return e
}

// snapshot writes the parts of a snapshot.
func (d *document) snapshot(last int64, parts ...string) store.Snapshot {
	d.Helper()
	snapshot := store.Snapshot{ID: d.id(), Last: last, Parts: len(parts)}
	for i, body := range parts {
		d.must(d.db.Documents().PutPart(d.ctx, d.room, snapshot.ID, i, []byte(body)))
	}
	return snapshot
}

func (d *document) compact(next store.Snapshot, replaces usher.ID) {
	d.Helper()
	d.must(d.db.Documents().Compact(d.ctx, d.room, next, replaces))
}

func (d *document) wantHead(what string, want store.Head) {
	d.Helper()
	got, err := d.db.Documents().Head(d.ctx, d.room)
	d.must(err)
	d.wantEqual(what, got, want)
}

func (d *document) wantLog(what string, after int64, limit int, want ...store.Entries) {
	d.Helper()
	got, err := d.db.Documents().Log(d.ctx, d.room, after, limit)
	d.must(err)
	d.wantEqual(what, got, want)
}

// wantParts fails unless the parts of the snapshot are these; none at all if
// there are none.
func (d *document) wantParts(what string, snapshot store.Snapshot, want ...string) {
	d.Helper()
	for i := range max(snapshot.Parts, len(want)) + 1 {
		got, err := d.db.Documents().Part(d.ctx, d.room, snapshot.ID, i)
		if i >= len(want) {
			d.wantErr(fmt.Sprintf("%s: part %d", what, i), err, store.ErrNotFound)
			continue
		}
		d.must(err)
		d.wantEqual(fmt.Sprintf("%s: part %d", what, i), string(got), want[i])
	}
}

var documentTests = []test{
	{"nothing was written of a document that nobody wrote", func(s *suite) {
		d := s.document()
		d.wantHead("head", store.Head{})
		d.wantLog("log", 0, 0)
		d.wantParts("parts", store.Snapshot{ID: s.id()})
	}},
	{"what is appended is read in order, page by page and from any number", func(s *suite) {
		d, other := s.document(), s.document()
		a, b, c := d.append(1), d.append(10), d.append(2)
		s.wantFull(b)
		theirs := other.append(3)
		d.wantHead("head", store.Head{Last: 13, At: c.At})
		d.wantLog("all", 0, 0, a, b, c)
		d.wantLog("the first two", 0, 2, a, b)
		d.wantLog("after the first", 1, 0, b, c)
		d.wantLog("from the midst of the second", 5, 1, b)
		d.wantLog("after the second", 11, 5, c)
		d.wantLog("after the last", 13, 0)
		other.wantLog("of another room", 0, 0, theirs)
	}},
	{"times are UTC and cut to microseconds, and bodies hold any byte", func(s *suite) {
		d := s.document()
		fine := start.Add(9 * time.Nanosecond).In(time.FixedZone("CET", 3600))
		body := make([]byte, 300_000)
		for i := range body {
			body[i] = byte(i)
		}
		s.must(s.db.Documents().Append(s.ctx, d.room, store.Entries{First: 1, Last: 1, At: fine, Body: body}))
		d.wantHead("head", store.Head{Last: 1, At: start})
		d.wantLog("log", 0, 0, store.Entries{First: 1, Last: 1, At: start, Body: body})

		snapshot := store.Snapshot{ID: s.id(), Last: 1, Parts: 1}
		s.must(s.db.Documents().PutPart(s.ctx, d.room, snapshot.ID, 0, body))
		got, err := s.db.Documents().Part(s.ctx, d.room, snapshot.ID, 0)
		s.must(err)
		if !bytes.Equal(got, body) {
			s.Errorf("a part came back with %d other bytes", len(got))
		}
	}},
	{"whoever does not append to the end appends nothing", func(s *suite) {
		d := s.document()
		first, second := d.append(3), d.append(2)
		for _, at := range []int64{1, 3, 4, 5, 7} {
			err := s.db.Documents().Append(s.ctx, d.room, store.Entries{First: at, Last: at + 1, At: start, Body: []byte("late")})
			s.wantErr(fmt.Sprintf("at %d", at), err, store.ErrExists)
		}
		err := s.db.Documents().Append(s.ctx, s.document().room, store.Entries{First: 2, Last: 2, At: start, Body: []byte("early")})
		s.wantErr("to an empty document", err, store.ErrExists)
		d.wantHead("head", store.Head{Last: 5, At: second.At})
		d.wantLog("log", 0, 0, first, second)
	}},
	{"a snapshot counts once it is compacted, and stands for the log before it", func(s *suite) {
		d, other := s.document(), s.document()
		a, b, c := d.append(2), d.append(3), d.append(4)
		theirs := other.append(9)
		snapshot := d.snapshot(b.Last, "one", "two")
		s.wantFull(snapshot)
		d.wantHead("head before", store.Head{Last: 9, At: c.At})
		d.wantLog("log before", 0, 0, a, b, c)

		d.compact(snapshot, "")
		d.wantHead("head after", store.Head{Last: 9, At: c.At, Snapshot: snapshot})
		d.wantLog("log after", 0, 0, c)
		d.wantParts("parts", snapshot, "one", "two")
		other.wantHead("head of another room", store.Head{Last: 9, At: theirs.At})
		other.wantLog("log of another room", 0, 0, theirs)
	}},
	{"numbers go on where they were when the whole log was compacted", func(s *suite) {
		d := s.document()
		d.append(7)
		d.compact(d.snapshot(7, "all"), "")
		d.wantLog("log", 0, 0)
		err := s.db.Documents().Append(s.ctx, d.room, store.Entries{First: 1, Last: 1, At: start, Body: []byte("again")})
		s.wantErr("the first number", err, store.ErrExists)
		d.wantLog("the next", 0, 0, d.append(1))
	}},
	{"a part is written again", func(s *suite) {
		d := s.document()
		d.append(1)
		snapshot := d.snapshot(1, "one", "two")
		s.must(s.db.Documents().PutPart(s.ctx, d.room, snapshot.ID, 1, []byte("two again")))
		d.compact(snapshot, "")
		d.wantParts("parts", snapshot, "one", "two again")
	}},
	{"the next snapshot takes the place of the one before", func(s *suite) {
		d := s.document()
		d.append(2)
		first := d.snapshot(2, "a", "b", "c")
		d.compact(first, "")
		e := d.append(2)
		second := d.snapshot(3, "d")
		d.wantParts("the first, meanwhile", first, "a", "b", "c")
		d.compact(second, first.ID)
		d.wantHead("head", store.Head{Last: 4, At: e.At, Snapshot: second})
		d.wantLog("log, from the midst of what was written at once", second.Last, 0, e)
		d.wantParts("the first", first)
		d.wantParts("the second", second, "d")

		same := d.snapshot(3, "e")
		d.compact(same, second.ID)
		d.wantHead("of the same change", store.Head{Last: 4, At: e.At, Snapshot: same})
	}},
	{"a snapshot that was made beside another comes too late", func(s *suite) {
		d := s.document()
		e := d.append(2)
		first, late := d.snapshot(2, "first"), d.snapshot(2, "late")
		d.compact(first, "")
		s.wantErr("Compact", s.db.Documents().Compact(s.ctx, d.room, late, ""), store.ErrExists)
		s.wantErr("Compact again", s.db.Documents().Compact(s.ctx, d.room, first, ""), store.ErrExists)
		d.wantHead("head", store.Head{Last: 2, At: e.At, Snapshot: first})
		d.wantParts("parts", first, "first")
	}},
	{"what a snapshot that came to nothing left is deleted by the next one", func(s *suite) {
		d, other := s.document(), s.document()
		d.append(2)
		other.append(1)
		theirs := other.snapshot(1, "theirs")
		lost := d.snapshot(1, "lost", "in a crash")
		good := d.snapshot(2, "good")
		d.compact(good, "")
		d.wantParts("of the crash", lost)
		d.wantParts("of the next", good, "good")
		other.wantParts("of another room", theirs, "theirs")
	}},
	{"more is deleted than any step takes", func(s *suite) {
		d := s.document()
		for range 100 {
			d.append(1)
		}
		d.snapshot(50, make([]string, 100)...)
		snapshot := d.snapshot(90, "x")
		d.compact(snapshot, "")
		d.wantLog("log", 0, 0, d.log[90:]...)
		d.wantParts("parts", snapshot, "x")
	}},
}
