package collab_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/collab"
	"usher/internal/limit"
	"usher/internal/store"
)

func values(v *collab.View) []string {
	var values []string
	for _, item := range v.Lists["l"] {
		if !item.Deleted() {
			values = append(values, item.Value)
		}
	}
	return values
}

func TestAListIsRidOfWhatWasDeletedOnceNobodyCanHaveItInHand(t *testing.T) {
	t.Parallel()
	var later atomic.Int64
	w := newWorld(t, func(c *collab.Config, d *collab.Deps) {
		c.Rate = limit.Rate{}
		d.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	pass := w.pass(t, "ann", "r", writer)
	p := w.join(t, pass)
	after := collab.ItemID{}
	for i := range int64(300) {
		op := insert(i, "w", after, fmt.Sprint(i))
		after = op.Item
		p.submit(t, op)
	}
	for i := range int64(250) {
		p.submit(t, collab.Op{Kind: collab.DeleteItem, Object: "l", Item: collab.ItemID{Counter: i, Writer: "w"}})
	}
	p.submit(t, put("end", "1"))
	p.awaitKey(t, "end")
	before := w.view(t, pass)
	again := func() *collab.View {
		w.stop()
		w.start()
		return w.view(t, pass)
	}
	if diff := cmp.Diff(before, again()); diff != "" {
		t.Fatalf("clients may come back with what they have in hand, and find (-before +after):\n%s", diff)
	}
	later.Store(int64(time.Hour))
	rebuilt := again()
	if diff := cmp.Diff(values(before), values(rebuilt)); diff != "" || len(rebuilt.Lists["l"]) != 50 || rebuilt.Stamp != before.Stamp {
		t.Fatalf("%d items at %d, want 50 at %d; their values (-before +after):\n%s", len(rebuilt.Lists["l"]), rebuilt.Stamp, before.Stamp, diff)
	}
	later.Store(0)
	if diff := cmp.Diff(rebuilt, again()); diff != "" {
		t.Errorf("the new ids were not there to stay (-before +after):\n%s", diff)
	}
	head, err := w.db.Documents().Head(t.Context(), usher.RoomKey{App: usher.DefaultApp, ID: pass.room})
	if err != nil || head.Snapshot.Last != before.Stamp {
		t.Errorf("the head is %+v, with error %v", head, err)
	}
}

// moving is a store of documents in which another node compacts a document while
// it is read.
type moving struct {
	store.Documents
	meanwhile func()
}

func (m *moving) Head(ctx context.Context, room usher.RoomKey) (store.Head, error) {
	head, err := m.Documents.Head(ctx, room)
	if do := m.meanwhile; do != nil {
		m.meanwhile = nil
		do()
	}
	return head, err
}

func TestADocumentThatIsCompactedMeanwhileIsReadAnew(t *testing.T) {
	t.Parallel()
	m := &moving{}
	w := newWorld(t, func(_ *collab.Config, d *collab.Deps) { m.Documents, d.Store = d.Store, m })
	pass := w.pass(t, "ann", "r", writer)
	p := w.join(t, pass)
	p.submit(t, put("x", "1"), put("y", "2"))
	p.awaitKey(t, "y")
	before := w.view(t, pass)
	w.stop()
	m.meanwhile = func() {
		// A snapshot of the same: a body of the log can be a part of one.
		key := usher.RoomKey{App: usher.DefaultApp, ID: pass.room}
		log, err := m.Log(t.Context(), key, 0, 0)
		if err != nil || len(log) != 1 {
			t.Errorf("the log has %d entries, with error %v", len(log), err)
			return
		}
		next := store.Snapshot{ID: w.deps.IDs.New(), Last: 2, Parts: 1}
		if err := errors.Join(m.PutPart(t.Context(), key, next.ID, 0, log[0].Body), m.Compact(t.Context(), key, next, "")); err != nil {
			t.Error(err)
		}
	}
	w.start()
	if diff := cmp.Diff(before, w.view(t, pass)); diff != "" || m.meanwhile != nil {
		t.Errorf("the document (-before +after):\n%s", diff)
	}
}

func TestADamagedDocumentIsNotServed(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]store.Entries{
		"not ops":              {First: 3, Last: 3, Body: []byte("nothing of ours")},
		"fewer than it says":   {First: 3, Last: 5, Body: []byte{1, byte(collab.CreateMap), 1, 'q'}},
		"something impossible": {First: 3, Last: 3, Body: []byte{1, byte(collab.DeleteItem), 1, 'l', 0, 1, 'w'}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			pass := w.pass(t, "ann", "r", writer)
			p := w.join(t, pass)
			p.submit(t, put("x", "1"), put("y", "2"))
			p.awaitKey(t, "y")
			w.stop()
			if err := w.db.Documents().Append(t.Context(), usher.RoomKey{App: usher.DefaultApp, ID: pass.room}, e); err != nil {
				t.Fatal(err)
			}
			w.start()
			_, err := w.hub.Document(t.Context(), pass.token, pass.room)
			wantCode(t, "Document", err, "room_broken")
			_, err = w.hub.Join(t.Context(), pass.token, pass.room, &page{})
			wantCode(t, "Join", err, "room_broken")
		})
	}
}
