package storetest

import (
	"fmt"
	"time"

	"usher/internal/store"
)

var onceTests = []test{
	{"a name is taken once, and the second gets the value of the first", func(s *suite) {
		first := store.Mark{Name: "jti:a", Value: []byte{0, 1, 255}, Expires: start.Add(time.Minute)}
		got, err := s.db.Once().Put(s.ctx, start, first)
		s.must(err)
		s.wantEqual("first", got, first)
		got, err = s.db.Once().Put(s.ctx, start, store.Mark{Name: "jti:a", Value: []byte("b"), Expires: start.Add(time.Hour)})
		s.wantErr("second", err, store.ErrExists)
		s.wantEqual("second", got, first)

		other := store.Mark{Name: "jti:A", Expires: start.Add(time.Minute + time.Nanosecond)}
		got, err = s.db.Once().Put(s.ctx, start, other)
		s.must(err)
		other.Expires = start.Add(time.Minute)
		s.wantEqual("another name", got, other)
		got, err = s.db.Once().Put(s.ctx, start, other)
		s.wantErr("another name again", err, store.ErrExists)
		s.wantEqual("another name again", got, other)
	}},
	{"a name can be taken again from when it expires", func(s *suite) {
		expires := start.Add(time.Minute)
		_, err := s.db.Once().Put(s.ctx, start, store.Mark{Name: "a", Value: []byte("one"), Expires: expires})
		s.must(err)
		next := store.Mark{Name: "a", Value: []byte("two"), Expires: expires.Add(time.Minute)}
		_, err = s.db.Once().Put(s.ctx, expires.Add(-time.Microsecond), next)
		s.wantErr("just before", err, store.ErrExists)
		got, err := s.db.Once().Put(s.ctx, expires, next)
		s.must(err)
		s.wantEqual("then", got, next)
		got, err = s.db.Once().Put(s.ctx, expires, store.Mark{Name: "a", Value: []byte("three"), Expires: expires.Add(time.Hour)})
		s.wantErr("afterwards", err, store.ErrExists)
		s.wantEqual("afterwards", got, next)
	}},
	{"a mark is replaced by who knows its value", func(s *suite) {
		mark := func(value string, expires time.Duration) store.Mark {
			return store.Mark{Name: "a", Value: []byte(value), Expires: start.Add(expires)}
		}
		_, err := s.db.Once().Replace(s.ctx, start, nil, mark("one", time.Minute))
		s.wantErr("none there", err, store.ErrNotFound)
		one := mark("one", time.Minute)
		_, err = s.db.Once().Put(s.ctx, start, one)
		s.must(err)
		for _, old := range []string{"", "on", "One", "one\x00", "two"} {
			got, err := s.db.Once().Replace(s.ctx, start, []byte(old), mark("two", time.Hour))
			s.wantErr("with another value", err, store.ErrExists)
			s.wantEqual("with another value", got, one)
		}
		two := mark("two", time.Hour)
		got, err := s.db.Once().Replace(s.ctx, start, []byte("one"), two)
		s.must(err)
		s.wantEqual("replaced", got, two)
		got, err = s.db.Once().Replace(s.ctx, start, []byte("one"), mark("three", 2*time.Hour))
		s.wantErr("by who comes second", err, store.ErrExists)
		s.wantEqual("by who comes second", got, two)
		got, err = s.db.Once().Put(s.ctx, start, mark("four", 2*time.Hour))
		s.wantErr("Put", err, store.ErrExists)
		s.wantEqual("Put", got, two)
		later := mark("two", 2*time.Hour)
		got, err = s.db.Once().Replace(s.ctx, start, []byte("two"), later)
		s.must(err)
		s.wantEqual("made to last", got, later)
		_, err = s.db.Once().Replace(s.ctx, later.Expires, []byte("two"), mark("five", 3*time.Hour))
		s.wantErr("once it has expired", err, store.ErrNotFound)
	}},
	{"a mark that is taken is gone, and its name is free", func(s *suite) {
		mark := store.Mark{Name: "ticket:a", Value: []byte("who"), Expires: start.Add(time.Minute)}
		_, err := s.db.Once().Put(s.ctx, start, mark)
		s.must(err)
		_, err = s.db.Once().Take(s.ctx, start, "ticket:b")
		s.wantErr("Take another name", err, store.ErrNotFound)
		got, err := s.db.Once().Take(s.ctx, mark.Expires.Add(-time.Microsecond), mark.Name)
		s.must(err)
		s.wantEqual("Take", got, mark)
		_, err = s.db.Once().Take(s.ctx, start, mark.Name)
		s.wantErr("Take again", err, store.ErrNotFound)
		_, err = s.db.Once().Put(s.ctx, start, mark)
		s.must(err)
		_, err = s.db.Once().Take(s.ctx, mark.Expires, mark.Name)
		s.wantErr("Take when it has expired", err, store.ErrNotFound)
	}},
	{"a sweep deletes what has expired, and no more than it is told", func(s *suite) {
		for i := range 5 {
			_, err := s.db.Once().Put(s.ctx, start, store.Mark{Name: fmt.Sprint(i), Expires: start.Add(time.Duration(i+1) * time.Second)})
			s.must(err)
		}
		now := start.Add(3*time.Second + 500*time.Millisecond) // three have expired
		for i, want := range []int{2, 1, 0} {
			got, err := s.db.Once().Sweep(s.ctx, now, 2)
			s.must(err)
			s.wantEqual(fmt.Sprintf("sweep %d", i), got, want)
		}
		_, err := s.db.Once().Put(s.ctx, now, store.Mark{Name: "3", Expires: now.Add(time.Hour)})
		s.wantErr("Put of one that has not expired", err, store.ErrExists)
	}},
}
