package storetest

import (
	"fmt"
	"time"

	"usher/internal/store"
)

// batch appends a batch of events from and to so many milliseconds after start,
// with so many bytes.
func (s *suite) batch(from, to, bytes int) store.Batch {
	s.Helper()
	ms := func(n int) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }
	b := store.Batch{First: ms(from), Last: ms(to), Count: to - from + 1, Body: make([]byte, bytes)}
	for i := range b.Body {
		b.Body[i] = byte(i + from)
	}
	got, err := s.db.Record().Append(s.ctx, b)
	s.must(err)
	b.Seq = got.Seq
	s.wantEqual("Append", got, b)
	return b
}

func (s *suite) wantBatches(what string, want ...store.Batch) {
	s.Helper()
	got, err := s.db.Record().After(s.ctx, 0, 0)
	s.must(err)
	s.wantEqual(what, got, want)
}

func (s *suite) wantTrimmed(before time.Time, keep int64, want int) {
	s.Helper()
	got, err := s.db.Record().Trim(s.ctx, before, keep)
	s.must(err)
	s.wantEqual(fmt.Sprintf("trimmed before %v and beyond %d bytes", before, keep), got, want)
}

var recordTests = []test{
	{"every field of a batch is kept", func(s *suite) {
		full := s.batch(0, 300, 70_000) // more than a page, with every byte
		s.wantFull(full)
		s.wantBatches("After", full)
	}},
	{"times are UTC and cut to microseconds", func(s *suite) {
		fine := start.Add(9 * time.Nanosecond).In(time.FixedZone("CET", 3600))
		got, err := s.db.Record().Append(s.ctx, store.Batch{First: fine, Last: fine, Count: 1, Body: []byte("x")})
		s.must(err)
		want := store.Batch{Seq: got.Seq, First: start, Last: start, Count: 1, Body: []byte("x")}
		s.wantEqual("Append", got, want)
		s.wantBatches("After", want)
		at, err := s.db.Record().At(s.ctx, fine, 0)
		s.must(err)
		s.wantEqual("At", at, []store.Batch{want})
	}},
	{"batches are read page by page in the order of their numbers", func(s *suite) {
		s.wantBatches("nothing yet")
		late, early, last := s.batch(500, 600, 1), s.batch(0, 100, 1), s.batch(700, 800, 1)
		s.wantBatches("all", late, early, last)
		stray := last
		stray.Seq = 7777
		stray, err := s.db.Record().Append(s.ctx, stray)
		s.must(err)
		if stray.Seq <= last.Seq || stray.Seq == 7777 {
			s.Errorf("a batch that brings a number was given %d after %d", stray.Seq, last.Seq)
		}
		for after, want := range map[int64][]store.Batch{
			0:         {late, early},
			late.Seq:  {early, last},
			early.Seq: {last, stray},
			last.Seq:  {stray},
			stray.Seq: nil,
		} {
			got, err := s.db.Record().After(s.ctx, after, 2)
			s.must(err)
			s.wantEqual(fmt.Sprintf("after %d", after), got, want)
		}
	}},
	{"batches are read backwards from a number, and from the end", func(s *suite) {
		got, err := s.db.Record().Before(s.ctx, 0, 0)
		s.must(err)
		s.wantEqual("nothing yet", len(got), 0)
		late, early, last := s.batch(500, 600, 400_000), s.batch(0, 100, 1), s.batch(700, 800, 1)
		for before, want := range map[int64][]store.Batch{
			0:            {last, early},
			last.Seq + 9: {last, early},
			last.Seq:     {early, late},
			early.Seq:    {late},
			late.Seq:     nil,
		} {
			got, err := s.db.Record().Before(s.ctx, before, 2)
			s.must(err)
			s.wantEqual(fmt.Sprintf("before %d", before), got, want)
		}
		got, err = s.db.Record().Before(s.ctx, 0, 0)
		s.must(err)
		s.wantEqual("all", got, []store.Batch{last, early, late})
		s.wantTrimmed(late.Last.Add(time.Microsecond), 0, 2)
		got, err = s.db.Record().Before(s.ctx, 0, 0)
		s.must(err)
		s.wantEqual("what is left", got, []store.Batch{last})
	}},
	{"the batches that may hold a time are found, also long ones and those of a clock that stepped", func(s *suite) {
		a, b := s.batch(0, 100, 1), s.batch(101, 200, 1)
		long := s.batch(50, 900, 1)
		other := s.batch(60, 160, 1) // of another node
		moment := s.batch(300, 300, 1)
		for at, want := range map[int][]store.Batch{
			-1:  nil,
			0:   {a},
			50:  {a, long},
			100: {a, other, long},
			101: {other, b, long},
			200: {b, long},
			250: {long},
			300: {moment, long},
			301: {long},
			900: {long},
			901: nil,
		} {
			got, err := s.db.Record().At(s.ctx, start.Add(time.Duration(at)*time.Millisecond), 0)
			s.must(err)
			s.wantEqual(fmt.Sprintf("at %d ms", at), got, want)
		}
		got, err := s.db.Record().At(s.ctx, start.Add(101*time.Millisecond), 2)
		s.must(err)
		s.wantEqual("two of those at 101 ms", got, []store.Batch{other, b})
		got, err = s.db.Record().At(s.ctx, start.Add(100*time.Millisecond+500*time.Microsecond), 0)
		s.must(err)
		s.wantEqual("between two batches", got, []store.Batch{other, long})
	}},
	{"what ended before a time is deleted, in whatever order it was written", func(s *suite) {
		a, late, b := s.batch(0, 100, 1), s.batch(150, 5000, 1), s.batch(101, 200, 1)
		s.wantTrimmed(time.Time{}, 0, 0)
		s.wantTrimmed(a.Last, 0, 0)
		s.wantTrimmed(a.Last.Add(time.Microsecond), 0, 1)
		s.wantBatches("after the first", late, b)
		s.wantTrimmed(b.Last.Add(time.Second), 0, 1)
		s.wantBatches("after the third", late)
		s.wantTrimmed(b.Last.Add(time.Second), 0, 0)
	}},
	{"the newest bytes are kept", func(s *suite) {
		a, b, c := s.batch(0, 1, 10), s.batch(1, 2, 200), s.batch(2, 3, 30)
		s.wantTrimmed(time.Time{}, 240, 0)
		s.wantBatches("at 240 bytes", a, b, c)
		s.wantTrimmed(time.Time{}, 239, 1)
		s.wantBatches("at 239 bytes", b, c)
		s.wantTrimmed(time.Time{}, 230, 0)
		s.wantTrimmed(time.Time{}, 30, 1)
		s.wantBatches("at 30 bytes", c)
		d := s.batch(3, 4, 40)
		s.wantTrimmed(time.Time{}, 70, 0)
		s.wantBatches("at 70 bytes", c, d)
		s.wantTrimmed(time.Time{}, 1, 2)
		s.wantBatches("at 1 byte")
	}},
	{"age goes before size, and what went by age no longer weighs", func(s *suite) {
		old, b, c := s.batch(0, 1, 100), s.batch(10, 20, 10), s.batch(20, 30, 10)
		s.wantTrimmed(old.Last.Add(time.Millisecond), 20, 1)
		s.wantBatches("by age", b, c)
		s.wantTrimmed(b.Last.Add(time.Millisecond), 9, 2)
		s.wantBatches("by both")
	}},
	{"a number is not given again when all batches were deleted", func(s *suite) {
		s.batch(0, 1, 10)
		last := s.batch(1, 2, 10)
		s.wantTrimmed(start.Add(time.Hour), 0, 2)
		next := s.batch(2, 3, 10)
		if next.Seq <= last.Seq {
			s.Errorf("the next batch was given %d after %d", next.Seq, last.Seq)
		}
	}},
	{"more is deleted at once than any step takes", func(s *suite) {
		var all []store.Batch
		for i := range 500 {
			all = append(all, s.batch(i, i, 10))
		}
		s.wantTrimmed(all[200].First, 0, 200)
		s.wantTrimmed(time.Time{}, 1000, 200)
		s.wantBatches("the rest", all[400:]...)
	}},
}
