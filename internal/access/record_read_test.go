package access_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
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
	groups := make([][]string, 120)
	for i := range groups {
		groups[i] = []string{"noise"}
	}
	groups[119] = []string{"noise", "ann", "noise"}
	batches(t, db, usher.SystemIDs(), groups...)
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
		"a code and a stranger": {access.EventQuery{Who: shop.Key(), Code: "not_member"}, 0},
	} {
		tt.q.Limit = 100
		n := 0
		follow(t, a, tt.q, func(usher.Event) { n++ })
		if n != tt.want {
			t.Errorf("%s: got %d events, want %d", name, n, tt.want)
		}
	}
	other := operator
	other.App = "other"
	if events, _, _, err := a.Events(t.Context(), other, access.EventQuery{Limit: 100}); err != nil || len(events) != 0 {
		t.Errorf("another app's operator reads %v, %v", events, err)
	}
}
