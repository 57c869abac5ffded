package collab_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/access"
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
	if diff := cmp.Diff(before, again(), shown); diff != "" {
		t.Fatalf("clients may come back with what they have in hand, and find (-before +after):\n%s", diff)
	}
	later.Store(int64(time.Hour))
	rebuilt := again()
	if diff := cmp.Diff(values(before), values(rebuilt)); diff != "" || len(rebuilt.Lists["l"]) != 50 || rebuilt.Stamp != before.Stamp {
		t.Fatalf("%d items at %d, want 50 at %d; their values (-before +after):\n%s", len(rebuilt.Lists["l"]), rebuilt.Stamp, before.Stamp, diff)
	}
	later.Store(0)
	if diff := cmp.Diff(rebuilt, again(), shown); diff != "" {
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
	if diff := cmp.Diff(before, w.view(t, pass), shown); diff != "" || m.meanwhile != nil {
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

// failing is a store of documents that fails when it is told to.
type failing struct {
	store.Documents
	fail atomic.Bool
}

func (f *failing) Append(ctx context.Context, room usher.RoomKey, e store.Entries) error {
	if f.fail.Load() {
		return errors.New("the disk is on fire")
	}
	return f.Documents.Append(ctx, room, e)
}

func TestWhatCouldNotBeWrittenWasToldToNobody(t *testing.T) {
	t.Parallel()
	f := &failing{}
	w := newWorld(t, func(_ *collab.Config, d *collab.Deps) { f.Documents = d.Store; d.Store = f })
	pass := w.pass(t, "ann", "r", writer)
	a, b := w.join(t, pass), w.join(t, w.pass(t, "bob", "r", writer))
	a.submit(t, put("x", "1"))
	b.awaitKey(t, "x")
	f.fail.Store(true)
	a.submit(t, put("y", "2"))
	for _, p := range []*page{a, b} {
		p.awaitEnd(t, collab.Broken)
		for _, v := range p.all() {
			if u, ok := v.(update); ok && u.Op.Key == "y" {
				t.Errorf("it was told of what is not on disk")
			}
		}
	}
	f.fail.Store(false)
	if v := w.view(t, pass); v.Stamp != 1 || v.Maps["m"]["y"] != "" {
		t.Errorf("the document is %+v", v)
	}
	c := w.join(t, pass)
	c.submit(t, put("y", "3"))
	if u := c.awaitKey(t, "y"); u.Stamp != 2 {
		t.Errorf("the next stamp is %d", u.Stamp)
	}
}

func TestAnotherWriterIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	pass := w.pass(t, "ann", "r", writer)
	a := w.join(t, pass)
	a.submit(t, put("x", "1"))
	a.awaitKey(t, "x")
	other := collab.New(w.config, w.deps)
	defer func() {
		if err := other.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if _, _, err := other.Write(t.Context(), shop, "r", "robot", []collab.Op{put("y", "2")}); err != nil {
		t.Fatal(err)
	}
	a.submit(t, put("x", `"late"`))
	a.awaitEnd(t, collab.Broken)
	v := w.view(t, pass)
	if diff := cmp.Diff(map[string]string{"x": "1", "y": "2"}, v.Maps["m"]); diff != "" {
		t.Errorf("the document (-want +got):\n%s", diff)
	}
}

// stopping is a store of documents in which a write waits until it is let go.
type stopping struct {
	store.Documents
	waits, goes chan struct{}
}

func (s *stopping) Append(ctx context.Context, room usher.RoomKey, e store.Entries) error {
	s.waits <- struct{}{}
	<-s.goes
	return s.Documents.Append(ctx, room, e)
}

func TestWhatWaitsIsNotDoneForWhoeverIsPutOutMeanwhile(t *testing.T) {
	t.Parallel()
	s := &stopping{waits: make(chan struct{}, 10), goes: make(chan struct{}, 10)}
	w := newWorld(t, func(_ *collab.Config, d *collab.Deps) { s.Documents, d.Store = d.Store, s })
	ann, bob := w.join(t, w.pass(t, "ann", "r", writer)), w.join(t, w.pass(t, "bob", "r", writer))
	bob.submit(t, put("x", "1"))
	<-s.waits // the room is busy, and what comes now waits
	ann.submit(t, put("y", "2"))
	if err := w.access.RevokeSessions(t.Context(), shop, access.SessionTarget{User: "ann"}, ""); err != nil {
		t.Fatal(err)
	}
	bob.submit(t, put("z", "3"))
	close(s.goes)
	bob.awaitKey(t, "z")
	want := map[string]string{"x": "1", "z": "3"}
	if diff := cmp.Diff(want, w.view(t, bob.pass).Maps["m"]); diff != "" {
		t.Errorf("the document (-want +got):\n%s", diff)
	}
}

// awaitSnapshot waits until a document has a snapshot, which is written beside
// what goes on.
func awaitSnapshot(t *testing.T, documents store.Documents, room usher.RoomKey) store.Head {
	t.Helper()
	late := time.After(patience)
	for {
		head, err := documents.Head(t.Context(), room)
		if err != nil {
			t.Fatal(err)
		}
		if head.Snapshot.Last > 0 {
			return head
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-late:
			t.Fatalf("waited in vain for a snapshot; the head is %+v", head)
		}
	}
}

func TestTheLogIsCompactedAndWhatItCameToIsNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *collab.Config, _ *collab.Deps) { c.Rate = limit.Rate{} })
	pass := w.pass(t, "ann", "r", writer)
	a := w.join(t, pass)
	value := `"` + strings.Repeat("x", 20_000) + `"`
	for i := range 200 {
		a.submit(t, put(fmt.Sprint(i%40), value), insert(int64(i), "w", collab.ItemID{}, fmt.Sprint(i)))
	}
	a.submit(t, put("end", "1"))
	a.awaitKey(t, "end")
	before := w.view(t, pass)
	key := usher.RoomKey{App: usher.DefaultApp, ID: pass.room}
	head := awaitSnapshot(t, w.db.Documents(), key)
	w.stop()
	if head.Last != before.Stamp {
		t.Errorf("after %d changes the head is %+v", before.Stamp, head)
	}
	log, err := w.db.Documents().Log(t.Context(), key, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	bytes := 0
	for _, e := range log {
		bytes += len(e.Body)
	}
	t.Logf("%d bytes of log beside a snapshot in %d parts", bytes, head.Snapshot.Parts)
	w.start()
	if diff := cmp.Diff(before, w.view(t, pass), shown); diff != "" {
		t.Errorf("the document (-before +after):\n%s", diff)
	}
}

// Whoever sends without a pause holds up neither a revocation nor anybody else.
func TestWhoIsPutOutGoesThoughSomebodySendsWithoutAPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *collab.Config, _ *collab.Deps) { c.Rate = limit.Rate{} })
	pass := w.pass(t, "ann", "r", writer)
	victim := w.join(t, pass)
	var quiet atomic.Bool
	var busy *page
	list := collab.Op{Kind: collab.CreateList, Object: "l"}
	busy = w.joinAs(t, w.pass(t, "bob", "r", writer), func(_ *collab.Update, own bool) {
		// The room hears of the next one before it has done with this one.
		if own && !quiet.Load() {
			_ = busy.Submit(list)
		}
	})
	defer quiet.Store(true)
	busy.submit(t, list)
	if err := w.access.RevokeSessions(t.Context(), shop, access.SessionTarget{Token: pass.token}, ""); err != nil {
		t.Fatal(err)
	}
	victim.awaitEnd(t, access.Revoked)
}
