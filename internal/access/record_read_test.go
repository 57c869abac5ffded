package access_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/store"
)

// follow reads the record to its present end and returns the cursor there.
func follow(t *testing.T, a *access.Access, q access.EventQuery, each func(usher.Event)) string {
	t.Helper()
	for {
		events, next, more, err := a.Events(t.Context(), operator, q)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) > q.Limit {
			t.Fatalf("a page has %d events, more than %d", len(events), q.Limit)
		}
		for _, e := range events {
			each(e)
		}
		q.Cursor = next
		if !more {
			return next
		}
	}
}

func TestACursorMissesNothingAndDoublesNothing(t *testing.T) {
	for _, limit := range []int{1, 7, 1000} {
		t.Run(fmt.Sprint("pages of ", limit), func(t *testing.T) {
			db := openStore(t)
			a := newAccess(t, db, &bus.Local{})
			stop := run(t, a)
			const writers, each = 4, 60
			var writing sync.WaitGroup
			for w := range writers {
				writing.Go(func() {
					for i := range each {
						if _, err := a.Client(context.Background(), user(fmt.Sprint(w, " ", i)), "x"); code(err) != "operators_only" {
							t.Error(err)
						}
						if i%20 == 0 { // let a batch go
							<-time.After(60 * time.Millisecond)
						}
					}
				})
			}
			done := make(chan struct{})
			go func() { writing.Wait(); stop(); close(done) }()
			seen := make(map[string]int)
			cursor := ""
			for last := false; !last; {
				select {
				case <-done:
					last = true
				case <-time.After(5 * time.Millisecond):
				}
				cursor = follow(t, a, access.EventQuery{Cursor: cursor, Limit: limit}, func(e usher.Event) { seen[e.Name]++ })
			}
			for w := range writers {
				for i := range each {
					if n := seen[fmt.Sprint(w, " ", i)]; n != 1 {
						t.Errorf("the event %d of writer %d was read %d times", i, w, n)
					}
				}
			}
		})
	}
}

// batches writes batches of events, which have these names, into the record.
func batches(t *testing.T, db store.DB, ids *usher.IDSource, groups ...[]string) {
	t.Helper()
	for _, group := range groups {
		var events []usher.Event
		for _, name := range group {
			events = append(events, usher.Event{ID: ids.New(), Type: usher.Claimed, App: usher.DefaultApp, Name: name, Who: "user:x#" + name})
		}
		body, err := json.Marshal(events)
		if err != nil {
			t.Fatal(err)
		}
		b := store.Batch{First: events[0].Time(), Last: events[len(events)-1].Time(), Count: len(events), Body: body}
		if _, err := db.Record().Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

func TestACursorOutlivesWhatItPointsTo(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{})
	ids := usher.SystemIDs()
	batches(t, db, ids, []string{"a", "b", "c"}, []string{"d", "e", "f"})
	page, cursor, more, err := a.Events(t.Context(), operator, access.EventQuery{Limit: 2})
	if err != nil || !more || !slices.Equal(names(page), []string{"a", "b"}) {
		t.Fatalf("got %v, %v, %v", names(page), more, err)
	}
	// The batch in whose middle the cursor stands goes.
	all, err := db.Record().After(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := db.Record().Trim(t.Context(), all[1].First, 0); err != nil || n != 1 {
		t.Fatalf("%d batches went, %v", n, err)
	}
	var got []usher.Event
	follow(t, a, access.EventQuery{Cursor: cursor, Limit: 10}, func(e usher.Event) { got = append(got, e) })
	if !slices.Equal(names(got), []string{"d", "e", "f"}) {
		t.Errorf("then came %v, want d, e and f", names(got))
	}
	for _, bad := range []string{"x", "1", "1.", ".1", "-1.0", "1.-1", "1.1.1", "99999999999999999999.0"} {
		_, _, _, err := a.Events(t.Context(), operator, access.EventQuery{Cursor: bad, Limit: 1})
		wantCode(t, "the cursor "+bad, err, "cursor_invalid")
	}
}

func TestAnEmptyPageIsNotTheEnd(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{})
	groups := make([][]string, 620)
	for i := range groups {
		groups[i] = []string{"noise"}
	}
	groups[300] = []string{"noise", "ben", "noise"}
	groups[619] = []string{"noise", "ann", "noise"}
	batches(t, db, usher.SystemIDs(), groups...)
	// It goes on for what is rare, as long as it looked at few.
	for _, newest := range []bool{false, true} {
		page, _, _, err := a.Events(t.Context(), operator, access.EventQuery{Limit: 10, Who: "user:x#ben", Newest: newest})
		if err != nil || !slices.Equal(names(page), []string{"ben"}) {
			t.Errorf("the newest first is %v: got %v, %v; want ben", newest, names(page), err)
		}
	}
	q := access.EventQuery{Limit: 10, Who: "user:x#ann"}
	page, next, more, err := a.Events(t.Context(), operator, q)
	if err != nil || len(page) != 0 || !more || next == "" {
		t.Fatalf("the first page: got %v, %q, %v, %v; want an empty one, and more", names(page), next, more, err)
	}
	var got []usher.Event
	follow(t, a, q, func(e usher.Event) { got = append(got, e) })
	if !slices.Equal(names(got), []string{"ann"}) {
		t.Errorf("got %v, want ann", names(got))
	}
}

func TestFilters(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{})
	stop := run(t, a)
	r, ann := newRoom(t, a), user("ann")
	_, err := enter(t, a, ann, r)
	wantCode(t, "entering", err, "not_member")
	if _, err := a.PutMember(t.Context(), shop, string(r.ID), usher.Member{Identity: ann.Key(), Role: usher.Viewer}); err != nil {
		t.Fatal(err)
	}
	entered(t, a, ann, r)
	stop()
	batches(t, db, usher.SystemIDs(), []string{"zed"})
	for name, tt := range map[string]struct {
		q    access.EventQuery
		want int
	}{
		"everything":            {access.EventQuery{}, 6},
		"a type":                {access.EventQuery{Type: usher.Claimed}, 2},
		"a room":                {access.EventQuery{Room: r.ID}, 4},
		"somebody":              {access.EventQuery{Who: ann.Key()}, 3},
		"a code":                {access.EventQuery{Code: "not_member"}, 1},
		"what nobody has":       {access.EventQuery{Code: "banned"}, 0},
		"somebody's claims":     {access.EventQuery{Who: ann.Key(), Type: usher.Claimed}, 1},
		"refusals":              {access.EventQuery{Refused: true}, 1},
		"a text in a reason":    {access.EventQuery{Search: "ONLY MEMBERS"}, 1},
		"a text in an action":   {access.EventQuery{Search: "room.ent"}, 2},
		"a text in a name":      {access.EventQuery{Search: "Zed"}, 1},
		"a text of nothing":     {access.EventQuery{Search: "xyzzy"}, 0},
		"before all of it":      {access.EventQuery{Until: time.Now().Add(-time.Hour)}, 0},
		"after all of it":       {access.EventQuery{Since: time.Now().Add(time.Hour)}, 0},
		"around all of it":      {access.EventQuery{Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}, 6},
		"a code and a stranger": {access.EventQuery{Who: shop.Key(), Code: "not_member"}, 0},
	} {
		tt.q.Limit = 100
		for _, tt.q.Newest = range []bool{false, true} {
			n := 0
			follow(t, a, tt.q, func(usher.Event) { n++ })
			if n != tt.want {
				t.Errorf("%s, newest first %v: got %d events, want %d", name, tt.q.Newest, n, tt.want)
			}
		}
	}
	other := operator
	other.App = "other"
	if events, _, _, err := a.Events(t.Context(), other, access.EventQuery{Limit: 100}); err != nil || len(events) != 0 {
		t.Errorf("another app's operator reads %v, %v", events, err)
	}
}

// written is a record of as many batches as there are names, a minute apart, each
// with that name and the same in capitals.
func written(t *testing.T, db store.DB, start time.Time, names ...string) {
	t.Helper()
	now := start
	ids, err := usher.NewIDSource(func() time.Time { return now }, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		batches(t, db, ids, []string{name, strings.ToUpper(name)})
		now = now.Add(time.Minute)
	}
}

func TestTheRecordIsReadBackwards(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{})
	written(t, db, time.Now().Add(-time.Hour), "a", "b", "c", "d")
	for _, limit := range []int{1, 2, 3, 100} {
		var got []usher.Event
		follow(t, a, access.EventQuery{Newest: true, Limit: limit}, func(e usher.Event) { got = append(got, e) })
		if want := []string{"D", "d", "C", "c", "B", "b", "A", "a"}; !slices.Equal(names(got), want) {
			t.Errorf("by %d: got %v, want %v", limit, names(got), want)
		}
	}
	page, cursor, more, err := a.Events(t.Context(), operator, access.EventQuery{Newest: true, Limit: 3})
	if err != nil || !more || !slices.Equal(names(page), []string{"D", "d", "C"}) {
		t.Fatalf("got %v, %v, %v", names(page), more, err)
	}
	written(t, db, time.Now(), "late")
	var got []usher.Event
	follow(t, a, access.EventQuery{Newest: true, Cursor: cursor, Limit: 3}, func(e usher.Event) { got = append(got, e) })
	if want := []string{"c", "B", "b", "A", "a"}; !slices.Equal(names(got), want) {
		t.Errorf("while it is written on: got %v, want %v", names(got), want)
	}
	_, _, _, err = a.Events(t.Context(), operator, access.EventQuery{Cursor: cursor, Limit: 1})
	wantCode(t, "a cursor of the other direction", err, "cursor_invalid")
	_, _, _, err = a.Events(t.Context(), operator, access.EventQuery{Cursor: "1.0", Newest: true, Limit: 1})
	wantCode(t, "a cursor of this direction for the other", err, "cursor_invalid")
}

// A time far back is found without reading all that came after it.
func TestATimeIsFoundInALongRecord(t *testing.T) {
	db := openStore(t)
	counting := &countingReads{DB: db}
	a := newAccess(t, counting, &bus.Local{})
	start, many := time.Now().Add(-1000*time.Minute), make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprint("x", i)
	}
	written(t, db, start, many...)
	at := func(i int) time.Time { return start.Add(time.Duration(i) * time.Minute) }
	for _, i := range []int{0, 1, 49, 50, 500, 998, 999} {
		counting.batches.Store(0)
		var got []usher.Event
		follow(t, a, access.EventQuery{Newest: true, Since: at(i).Add(-time.Second), Until: at(i).Add(time.Second), Limit: 10},
			func(e usher.Event) { got = append(got, e) })
		if want := []string{fmt.Sprint("X", i), fmt.Sprint("x", i)}; !slices.Equal(names(got), want) {
			t.Errorf("around minute %d: got %v, want %v", i, names(got), want)
		}
		if n := counting.batches.Load(); n > 200 {
			t.Errorf("around minute %d: %d batches were read", i, n)
		}
	}
}

// countingReads counts the batches that are read.
type countingReads struct {
	store.DB
	batches atomic.Int64
}

func (c *countingReads) Record() store.Record { return countingRecord{c.DB.Record(), c} }

type countingRecord struct {
	store.Record
	*countingReads
}

func (r countingRecord) After(ctx context.Context, seq int64, limit int) ([]store.Batch, error) {
	list, err := r.Record.After(ctx, seq, limit)
	r.batches.Add(int64(len(list)))
	return list, err
}

func (r countingRecord) Before(ctx context.Context, seq int64, limit int) ([]store.Batch, error) {
	list, err := r.Record.Before(ctx, seq, limit)
	r.batches.Add(int64(len(list)))
	return list, err
}
