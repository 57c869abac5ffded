package collab_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"usher"
	"usher/internal/access"
	"usher/internal/collab"
	"usher/internal/limit"
)

func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	if got := usher.AsError(err); err == nil || got.Code != code {
		t.Errorf("%s: got error %v, want the code %s", what, err, code)
	}
}

func TestEveryoneIsToldTheSameAndOnlyTheMakerThatItIsHisOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ann, bob := w.pass(t, "ann", "r", writer), w.pass(t, "bob", "r", writer)
	a, tab, b := w.join(t, ann), w.join(t, ann), w.join(t, bob)
	a.submit(t, put("x", "1"))
	a.submit(t, put("y", "2"), collab.Op{Kind: collab.DeleteKey, Object: "m", Key: "nothing"}, put("z", "3"))
	for _, p := range []*page{a, tab, b} {
		p.awaitKey(t, "z")
	}
	said := func(p *page) []string {
		var got []string
		for _, v := range p.all() {
			u := v.(update)
			got = append(got, fmt.Sprintf("%s %s at %d by %s own %v changed %v", u.Op.Key, u.Op.Value, u.Stamp, u.From, u.own, u.Changed))
		}
		return got
	}
	own := []string{
		"x 1 at 1 by ann own true changed true", "y 2 at 2 by ann own true changed true",
		"nothing  at 2 by ann own true changed false", "z 3 at 3 by ann own true changed true",
	}
	others := []string{
		"x 1 at 1 by ann own false changed true", "y 2 at 2 by ann own false changed true", "z 3 at 3 by ann own false changed true",
	}
	for name, c := range map[string]struct {
		page *page
		want []string
	}{"the maker": {a, own}, "its other tab": {tab, others}, "somebody else": {b, others}} {
		if diff := cmp.Diff(c.want, said(c.page)); diff != "" {
			t.Errorf("%s was told (-want +got):\n%s", name, diff)
		}
	}
}

func TestAFrameIsMadeOnceForAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var made atomic.Int64
	frames := make(chan any, 10)
	show := func(u *collab.Update, own bool) {
		frames <- u.Frame(own, func() any { return made.Add(1) })
	}
	p := w.pass(t, "ann", "r", writer)
	pages := []*page{w.joinAs(t, p, show), w.joinAs(t, p, show), w.joinAs(t, p, show)}
	pages[0].submit(t, put("x", "1"))
	for _, p := range pages {
		p.awaitKey(t, "x")
	}
	if n := made.Load(); n != 2 || len(frames) != 3 {
		t.Errorf("%d frames were made and %d shown, want 2 and 3", n, len(frames))
	}
}

func TestWhoeverMayOnlyReadChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ann, eve := w.join(t, w.pass(t, "ann", "r", writer)), w.join(t, w.pass(t, "eve", "r", reader))
	eve.submit(t, put("x", "1"), collab.Op{Kind: collab.CreateList, Object: "l"})
	eve.awaitRefusal(t, "read_only")
	ann.submit(t, put("y", "2"))
	eve.awaitKey(t, "y")
	want := &collab.View{Stamp: 1, Maps: map[string]map[string]string{"m": {"y": "2"}}}
	if diff := cmp.Diff(want, w.view(t, eve.pass), cmpopts.EquateEmpty(), shown); diff != "" {
		t.Errorf("the document (-want +got):\n%s", diff)
	}
	if err := eve.Show("cursor", "1", time.Now().Add(time.Minute)); err != nil {
		t.Errorf("a reader shows where it is: %v", err)
	}
}

func TestATokenOfOneRoomOpensNothingOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	mine, other := w.pass(t, "ann", "mine", writer), w.pass(t, "bob", "other", writer)
	_, err := w.hub.Join(t.Context(), mine.token, other.room, &page{})
	wantCode(t, "Join", err, "session_elsewhere")
	_, err = w.hub.Document(t.Context(), mine.token, other.room)
	wantCode(t, "Document", err, "session_elsewhere")
	_, err = w.hub.Present(t.Context(), mine.token, other.room)
	wantCode(t, "Present", err, "session_elsewhere")
	_, err = w.hub.Join(t.Context(), "tok_nothing", mine.room, &page{})
	wantCode(t, "Join with no token", err, "session_invalid")
}

func TestADocumentOutlivesTheServerAndItsStampsGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	pass := w.pass(t, "ann", "r", writer)
	p := w.join(t, pass)
	p.submit(t, put("x", "1"), insert(0, "w", collab.ItemID{}, `"a"`), insert(1, "w", collab.ItemID{Counter: 0, Writer: "w"}, `"b"`), put("y", "2"))
	last := p.awaitKey(t, "y").Stamp
	before := w.view(t, pass)
	w.stop()
	p.awaitEnd(t, collab.Broken)
	_, err := w.hub.Join(t.Context(), pass.token, pass.room, &page{})
	wantCode(t, "Join of a hub that has closed", err, "stopping")
	w.start()
	if diff := cmp.Diff(before, w.view(t, pass), shown); diff != "" {
		t.Errorf("the document (-before +after):\n%s", diff)
	}
	p = w.join(t, pass)
	p.submit(t, put("z", "3"))
	if got := p.awaitKey(t, "z").Stamp; got <= last {
		t.Errorf("the stamp %d follows %d", got, last)
	}
}

func TestWhoMakesAListThatIsThereIsGivenIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	a, b := w.join(t, w.pass(t, "ann", "r", writer)), w.join(t, w.pass(t, "bob", "r", writer))
	first, second := collab.ItemID{Counter: 0, Writer: "w"}, collab.ItemID{Counter: 1, Writer: "w"}
	a.submit(t, collab.Op{Kind: collab.CreateList, Object: "l"}, insert(0, "w", collab.ItemID{}, `"a"`), insert(1, "w", first, `"b"`),
		collab.Op{Kind: collab.DeleteItem, Object: "l", Item: first})
	// What follows in the same breath is news, and not in the listing.
	b.submit(t, collab.Op{Kind: collab.CreateList, Object: "l"}, insert(2, "w", second, `"c"`), put("end", "1"))
	b.awaitKey(t, "end")
	heard := b.all()
	i := slices.IndexFunc(heard, func(v any) bool { _, ok := v.(listing); return ok })
	if i < 1 {
		t.Fatalf("nothing was listed: %v", heard)
	}
	want := []collab.Item{{ID: first}, {ID: second, After: first, Value: `"b"`}}
	got := heard[i].(listing)
	if diff := cmp.Diff(want, got.items); diff != "" || got.name != "l" || got.stamp != 4 {
		t.Errorf("listed %s at %d (-want +got):\n%s", got.name, got.stamp, diff)
	}
	if ack := heard[i-1].(update); !ack.own || ack.Changed || ack.Op.Kind != collab.CreateList {
		t.Errorf("before the listing came %+v", ack)
	}
	for _, v := range a.all() {
		if _, ok := v.(listing); ok {
			t.Error("the list was listed to somebody who did not ask")
		}
	}
}

func TestWhatIsTakenEndsTheMembership(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		take func(*world, pass) error
		why  access.EndReason
		code string // of the next try; empty if it succeeds
	}{
		"the token": {func(w *world, p pass) error {
			return w.access.RevokeSessions(context.Background(), shop, access.SessionTarget{Token: p.token}, "")
		}, access.Revoked, "session_revoked"},
		"the user": {func(w *world, p pass) error {
			return w.access.RevokeSessions(context.Background(), shop, access.SessionTarget{User: "ann"}, "")
		}, access.Revoked, "session_revoked"},
		"the room": {func(w *world, p pass) error {
			return w.access.RevokeSessions(context.Background(), shop, access.SessionTarget{Room: "r"}, "")
		}, access.Revoked, "session_revoked"},
		"the user from the room": {func(w *world, p pass) error {
			return w.access.RevokeSessions(context.Background(), shop, access.SessionTarget{User: "ann", Room: "r"}, "")
		}, access.Revoked, "session_revoked"},
		"the right to write": {func(w *world, p pass) error {
			return w.access.RestrictSessions(context.Background(), shop, access.SessionTarget{User: "ann", Room: "r"}, reader)
		}, access.Changed, ""},
		"all of the room": {func(w *world, p pass) error {
			_, err := w.access.EndRoom(context.Background(), shop, "r", "over")
			return err
		}, access.RoomEnded, "room_ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			ann := w.pass(t, "ann", "r", writer)
			a := w.join(t, ann)
			if err := c.take(w, ann); err != nil {
				t.Fatal(err)
			}
			if err := a.Submit(put("x", "1")); err == nil {
				t.Error("a change was taken after what allowed it was not there any more")
			}
			a.awaitEnd(t, c.why)
			next, err := w.hub.Join(t.Context(), ann.token, ann.room, &page{notice: make(chan struct{}, 1)})
			if c.code != "" {
				wantCode(t, "Join", err, c.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer next.Leave()
			if next.Permissions().Has(usher.PublishData) {
				t.Errorf("it may still do %v", next.Permissions())
			}
			if v := w.view(t, ann); v.Stamp != 0 {
				t.Errorf("the document is at %d", v.Stamp)
			}
		})
	}
}

func TestPeopleAreShownUntilTheyAreGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *collab.Config, _ *collab.Deps) { c.Grace = 0 })
	ann, bob := w.pass(t, "ann", "r", reader), w.pass(t, "bob", "r", reader)
	a, tab, b := w.join(t, ann), w.join(t, ann), w.join(t, bob)
	until := time.Now().Add(time.Hour)
	for key, value := range map[string]string{"cursor": `{"x":1}`, "name": `"Ann"`} {
		if err := a.Show(key, value, until); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Show("name", `"Anne"`, until); err != nil {
		t.Fatal(err)
	}
	if err := b.Show("old", `1`, time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	b.await(t, "ann's name", func(v any) bool {
		p, ok := v.(*collab.Presence)
		return ok && p.User == "ann" && p.Key == "name" && p.Value == `"Anne"`
	})
	if len(a.all()) != 1 { // bob's
		t.Errorf("who showed something was told %v", a.all())
	}
	wantShown := func(want ...collab.Presence) {
		t.Helper()
		got, err := w.hub.Present(t.Context(), bob.token, bob.room)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(collab.Presence{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("who is present (-want +got):\n%s", diff)
		}
	}
	wantShown(collab.Presence{User: "ann", Key: "cursor", Value: `{"x":1}`, Expires: until}, collab.Presence{User: "ann", Key: "name", Value: `"Anne"`, Expires: until})
	b.forget()
	a.Leave()
	if err := tab.Show("here", "1", until); err != nil {
		t.Fatal(err)
	}
	b.await(t, "the other tab", func(v any) bool { p, ok := v.(*collab.Presence); return ok && p.Key == "here" })
	tab.Leave()
	b.await(t, "that ann is gone", func(v any) bool { g, ok := v.(*collab.Gone); return ok && g.User == "ann" })
	for _, v := range b.all()[:len(b.all())-1] {
		if _, ok := v.(*collab.Gone); ok {
			t.Error("somebody was said to be gone who had another tab")
		}
	}
	wantShown()
}

func TestWhoComesBackInTimeWasNeverGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *collab.Config, _ *collab.Deps) { c.Grace = time.Hour })
	ann, bob := w.pass(t, "ann", "r", reader), w.pass(t, "bob", "r", reader)
	a, b := w.join(t, ann), w.join(t, bob)
	if err := a.Show("cursor", "1", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	a.Leave()
	w.join(t, ann)
	got, err := w.hub.Present(t.Context(), bob.token, bob.room)
	if err != nil || len(got) != 1 {
		t.Errorf("present are %v, with error %v", got, err)
	}
	// But whoever was put out is gone at once.
	if err := w.access.RevokeSessions(t.Context(), shop, access.SessionTarget{User: "ann"}, ""); err != nil {
		t.Fatal(err)
	}
	b.await(t, "that ann is gone", func(v any) bool { g, ok := v.(*collab.Gone); return ok && g.User == "ann" })
}

func TestLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *collab.Config, _ *collab.Deps) {
		c.MaxValue, c.MaxItems, c.MaxObjects, c.MaxPresence, c.MaxPeers = 10, 3, 2, 200, 2
		c.Rate = limit.Rate{Count: 20, Per: time.Hour}
	})
	ann := w.pass(t, "ann", "r", writer)
	a := w.join(t, ann)
	w.join(t, w.pass(t, "bob", "r", writer))
	_, err := w.hub.Join(t.Context(), ann.token, ann.room, &page{})
	wantCode(t, "a third connection", err, "room_crowded")

	a.submit(t, put("x", `"123456789"`))
	a.awaitRefusal(t, "value_too_large")
	a.submit(t, put("x", "half{"))
	a.awaitRefusal(t, "value_invalid")
	a.submit(t, collab.Op{Kind: collab.CreateList, Object: "l"}, put("1", "1"), put("2", "1"), put("3", "1"), put("4", "1"))
	a.awaitRefusal(t, "document_full")
	a.submit(t, collab.Op{Kind: collab.CreateMap, Object: "third"})
	a.awaitRefusal(t, "too_many_objects")

	until := time.Now().Add(time.Hour)
	wantCode(t, "not JSON", a.Show("k", "x", until), "value_invalid")
	wantCode(t, "not text", a.Show("\xff", "1", until), "name_invalid")
	if err := a.Show("a", "1", time.Now().Add(-time.Second)); err != nil { // expired: it makes room
		t.Fatal(err)
	}
	for _, key := range []string{"b", "c", "b"} {
		if err := a.Show(key, "1", until); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Show("d", "1", until); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "too much to show", a.Show("e", "1", until), "presence_too_large")

	a.forget()
	for range 20 {
		a.submit(t, put("1", "2"))
	}
	a.awaitRefusal(t, "rate_limited")
	wantCode(t, "too often", a.Show("b", "1", until), "rate_limited")
}

func TestABackEndReadsAndWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	a := w.join(t, w.pass(t, "ann", "r", writer))
	view, errs, err := w.hub.Write(t.Context(), shop, "r", "robot", []collab.Op{
		put("x", "1"), put("y", "{"), {Kind: collab.PutItem, Object: "l", Item: collab.ItemID{Writer: "w"}, Value: "1"}, put("z", "3"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var refused []string
	for _, e := range errs {
		refused = append(refused, fmt.Sprint(e.Index, " ", e.Err.Code))
	}
	if diff := cmp.Diff([]string{"1 value_invalid", "2 list_not_found"}, refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if from := a.awaitKey(t, "z").From; from != "robot" {
		t.Errorf("the change came from %q", from)
	}
	read, err := w.hub.Read(t.Context(), shop, "r")
	if err != nil || !cmp.Equal(read, view, cmpopts.EquateEmpty(), shown) || view.Maps["m"]["z"] != "3" || view.Stamp != 2 {
		t.Errorf("read %+v with error %v, wrote %+v", read, err, view)
	}
	stranger := usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "stranger", Scopes: usher.AllScopes}
	_, err = w.hub.Read(t.Context(), stranger, "r")
	wantCode(t, "a stranger reads", err, "room_not_found")
	_, _, err = w.hub.Write(t.Context(), stranger, "r", "robot", []collab.Op{put("x", "2")})
	wantCode(t, "a stranger writes", err, "room_not_found")
	_, err = w.hub.Read(t.Context(), shop, "nowhere")
	wantCode(t, "no room", err, "room_not_found")
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *collab.Config, _ *collab.Deps) { c.Grace = 0; c.Rate = limit.Rate{} })
	var wg sync.WaitGroup
	for i := range 8 {
		user := fmt.Sprint("user", i%5)
		wg.Go(func() {
			for round := range 10 {
				p := w.pass(t, user, fmt.Sprint("room", round%2), writer)
				m := w.join(t, p)
				for n := range 20 {
					if m.Submit(put(fmt.Sprint(n), fmt.Sprint(i))) != nil {
						t.Error("Submit failed")
					}
				}
				if err := m.Show("k", "1", time.Now().Add(time.Minute)); err != nil {
					t.Error(err)
				}
				w.view(t, p)
				m.Leave()
				m.Leave()
				if err := m.Show("k", "1", time.Now().Add(time.Minute)); err == nil {
					t.Error("Show after Leave: got no error")
				}
				heard := len(m.all())
				w.view(t, p)
				if len(m.all()) != heard {
					t.Error("a page was told something after it had left")
				}
			}
		})
	}
	wg.Wait()
}
