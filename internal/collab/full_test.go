package collab_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/collab"
	"usher/internal/store"
)

// full is a store of documents whose disk is full when err is set. If it lies,
// what it says it could not write is there.
type full struct {
	store.Documents
	err  error
	lies bool
}

func (f *full) Append(ctx context.Context, room usher.RoomKey, e store.Entries) error {
	if f.err == nil || f.lies {
		if err := f.Documents.Append(ctx, room, e); err != nil {
			return err
		}
	}
	return f.err
}

func (f *full) PutPart(ctx context.Context, room usher.RoomKey, snapshot usher.ID, part int, body []byte) error {
	if f.err != nil {
		return f.err
	}
	return f.Documents.PutPart(ctx, room, snapshot, part, body)
}

// fullWorld has a clock, which ops that are refused for a while need.
func fullWorld(t *testing.T) (w *world, f *full, later func(time.Duration)) {
	f = &full{}
	began := time.Now()
	var passed atomic.Int64
	w = newWorld(t, func(_ *collab.Config, d *collab.Deps) {
		f.Documents, d.Store = d.Store, f
		d.Now = func() time.Time { return began.Add(time.Duration(passed.Load())) }
	})
	return w, f, func(d time.Duration) { passed.Add(int64(d)) }
}

func TestWhatAFullDiskDoesNotTakeIsRefusedAndNobodyIsPutOut(t *testing.T) {
	t.Parallel()
	w, f, later := fullWorld(t)
	pass := w.pass(t, "ann", "r", writer)
	a, b := w.join(t, pass), w.join(t, w.pass(t, "bob", "r", writer))
	a.submit(t, put("x", "1"))
	b.awaitKey(t, "x")
	f.err = store.ErrNoRoom
	for i := range 3 { // the first finds it out, the others are told at once
		a.submit(t, put("x", fmt.Sprint(i+7)), put(fmt.Sprint("lost", i), "2"))
		a.awaitRefusal(t, "storage_full")
		a.forget()
	}
	_, errs, err := w.hub.Write(t.Context(), shop, "r", "robot", []collab.Op{put("robot", "1")})
	if err != nil || len(errs) != 1 || errs[0].Err.Code != "storage_full" {
		t.Errorf("a back end was told %v, %v", errs, err)
	}
	later(time.Minute)
	_, errs, err = w.hub.Write(t.Context(), shop, "r", "robot", []collab.Op{put("x", "1"), put("robot", "1")})
	if err != nil || len(errs) != 2 || errs[1].Index != 1 || errs[1].Err.Code != "storage_full" {
		t.Errorf("a back end that finds it out was told %v, %v", errs, err)
	}
	want := map[string]string{"x": "1"}
	if diff := cmp.Diff(want, w.view(t, pass).Maps["m"]); diff != "" {
		t.Errorf("the document while the disk is full (-want +got):\n%s", diff)
	}

	later(time.Minute)
	f.err = nil
	a.submit(t, put("y", "3"))
	if u := b.awaitKey(t, "y"); u.Stamp != 2 {
		t.Errorf("the next stamp is %d, want 2", u.Stamp)
	}
	want["y"] = "3"
	if diff := cmp.Diff(want, w.view(t, pass).Maps["m"]); diff != "" {
		t.Errorf("the document after that (-want +got):\n%s", diff)
	}
	for _, v := range b.all() {
		if end, ok := v.(collab.End); ok {
			t.Errorf("who did nothing was put out: %v", end)
		}
	}
}

// Who was not told of a change would go on with a document that has it.
func TestARoomEndsIfWhatWasRefusedIsThere(t *testing.T) {
	t.Parallel()
	w, f, _ := fullWorld(t)
	pass := w.pass(t, "ann", "r", writer)
	a, b := w.join(t, pass), w.join(t, w.pass(t, "bob", "r", writer))
	f.err, f.lies = store.ErrUnavailable, true
	a.submit(t, put("x", "1"))
	a.awaitEnd(t, collab.Broken)
	b.awaitEnd(t, collab.Broken)
	f.err = nil
	if got := w.view(t, pass).Maps["m"]["x"]; got != "1" {
		t.Errorf("the document has x = %q", got)
	}
}

func TestADocumentIsReadFromAFullDisk(t *testing.T) {
	t.Parallel()
	w, f, later := fullWorld(t)
	pass := w.pass(t, "ann", "r", writer)
	a := w.join(t, pass)
	first := collab.ItemID{Counter: 1, Writer: "w"}
	a.submit(t, insert(1, "w", collab.ItemID{}, "1"), insert(2, "w", first, "2"), collab.Op{Kind: collab.DeleteItem, Object: "l", Item: first}, put("last", "1"))
	a.awaitKey(t, "last")
	before := w.view(t, pass)
	w.stop()
	later(time.Hour) // so long that items would be given new ids
	f.err = store.ErrNoRoom
	w.start()
	if diff := cmp.Diff(before, w.view(t, pass), shown); diff != "" {
		t.Errorf("the document (-before +after):\n%s", diff)
	}
}
