package dynamostore_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher"
	"usher/internal/store"
	"usher/internal/store/dynamostore"
	"usher/internal/store/dynamotest"
)

// heldUp returns a store on the tables of cfg, whose first request of an
// operation is held up while something else happens, and then treated as said. If
// that is not that it passes, it was the last.
func heldUp(t *testing.T, cfg dynamostore.Config, operation string, then dynamotest.Treatment, meanwhile func()) *dynamostore.DB {
	t.Helper()
	var once sync.Once
	var ended atomic.Bool
	cfg.Endpoint = dynamotest.New(t, cfg.Endpoint, func(name string, _ int64) dynamotest.Treatment {
		how := dynamotest.Passed
		if name == operation {
			once.Do(func() {
				meanwhile()
				how = then
				ended.Store(then != dynamotest.Passed)
			})
		}
		if how == dynamotest.Passed && ended.Load() {
			return dynamotest.Dead
		}
		return how
	}).URL
	db, err := dynamostore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestANameIsNotHadTwiceThoughItsTakerWasHeldUp(t *testing.T) {
	t.Parallel()
	cfg, ctx, ids := config(t), t.Context(), usher.SystemIDs()
	clear := open(t, cfg)
	room := func() usher.Room {
		return usher.Room{App: usher.DefaultApp, ID: ids.New(), Name: "lobby", Kind: usher.Permanent, Status: usher.RoomReady, Version: 1}
	}
	first, second := room(), room()
	slow := heldUp(t, cfg, "UpdateItem", dynamotest.Passed, func() {
		if err := clear.Rooms().Create(ctx, second); err != nil {
			t.Errorf("Create while another is held up: %v", err)
		}
	})
	if err := slow.Rooms().Create(ctx, first); !errors.Is(err, store.ErrExists) {
		t.Errorf("Create after it was held up: got error %v, want %v", err, store.ErrExists)
	}
	list, err := clear.Rooms().List(ctx, store.RoomQuery{App: usher.DefaultApp})
	if err != nil || len(list) != 1 || list[0].ID != second.ID {
		t.Errorf("there are %+v, error %v", list, err)
	}
	if _, err := clear.Rooms().Get(ctx, first.Key()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of the first: got error %v, want %v", err, store.ErrNotFound)
	}
}

func TestAContactOfAnErasedUserDoesNotComeBackWithTheUser(t *testing.T) {
	t.Parallel()
	cfg, ctx := config(t), t.Context()
	clear := open(t, cfg)
	ann, bob := usher.User{App: usher.DefaultApp, Key: keyOf("ann"), Version: 1}, usher.User{App: usher.DefaultApp, Key: keyOf("bob"), Version: 1}
	for _, u := range []usher.User{ann, bob} {
		if err := clear.Users().Create(ctx, u); err != nil {
			t.Fatal(err)
		}
	}
	// The writer dies right after it has written the row.
	slow := heldUp(t, cfg, "PutItem", dynamotest.LastWords, func() {
		if _, err := clear.Users().Delete(ctx, bob.App, bob.Key); err != nil {
			t.Error(err)
		}
	})
	if _, err := slow.Contacts().Add(ctx, usher.Contact{App: ann.App, Owner: ann.Key, User: bob.Key}, 0); err == nil {
		t.Error("Add: got no error")
	}
	if err := clear.Users().Create(ctx, bob); err != nil {
		t.Fatal(err)
	}
	if list, err := clear.Contacts().List(ctx, ann.App, ann.Key); err != nil || len(list) != 0 {
		t.Errorf("ann lists %+v, error %v", list, err)
	}
	if _, err := clear.Contacts().Add(ctx, usher.Contact{App: ann.App, Owner: ann.Key, User: bob.Key}, 1); err != nil && !errors.Is(err, store.ErrFull) {
		t.Errorf("Add again: %v", err)
	}
}

func batchOf(bytes int) store.Batch {
	return store.Batch{First: moment, Last: moment, Count: 1, Body: make([]byte, bytes)}
}

func TestNoNumberIsGivenTwiceThoughAWriterWasHeldUp(t *testing.T) {
	t.Parallel()
	cfg, ctx := config(t), t.Context()
	clear := open(t, cfg)
	slow := heldUp(t, cfg, "UpdateItem", dynamotest.Passed, func() {
		if _, err := clear.Record().Append(ctx, batchOf(10)); err != nil {
			t.Error(err)
		}
		if n, err := clear.Record().Trim(ctx, moment.Add(time.Hour), 0); err != nil || n != 1 {
			t.Errorf("%d batches were trimmed, error %v", n, err)
		}
	})
	got, err := slow.Record().Append(ctx, batchOf(20))
	if err != nil || got.Seq != 2 {
		t.Errorf("the second batch has the number %d, error %v", got.Seq, err)
	}
	if n, err := clear.Record().Trim(ctx, time.Time{}, 20); err != nil || n != 0 {
		t.Errorf("of 20 bytes %d batches were trimmed, error %v", n, err)
	}
	if n, err := clear.Record().Trim(ctx, time.Time{}, 19); err != nil || n != 1 {
		t.Errorf("to 19 bytes %d batches were trimmed, error %v", n, err)
	}
}

func TestNoChangeOfADocumentIsLostThoughAWriterWasHeldUp(t *testing.T) {
	t.Parallel()
	cfg, ctx := config(t), t.Context()
	clear := open(t, cfg)
	room := usher.RoomKey{App: usher.DefaultApp, ID: "room"}
	entries := func(first, last int64, body string) store.Entries {
		return store.Entries{First: first, Last: last, At: moment, Body: []byte(body)}
	}
	slow := heldUp(t, cfg, "PutItem", dynamotest.Passed, func() {
		for _, err := range []error{
			clear.Documents().Append(ctx, room, entries(1, 2, "theirs")),
			clear.Documents().PutPart(ctx, room, "snapshot", 0, []byte("all")),
			clear.Documents().Compact(ctx, room, store.Snapshot{ID: "snapshot", Last: 2, Parts: 1}, ""),
			clear.Documents().Append(ctx, room, entries(3, 3, "more")),
		} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	if err := slow.Documents().Append(ctx, room, entries(1, 5, "ours")); !errors.Is(err, store.ErrExists) {
		t.Errorf("Append after it was held up: got error %v, want %v", err, store.ErrExists)
	}
	for _, after := range []int64{0, 1, 2} {
		log, err := clear.Documents().Log(ctx, room, after, 0)
		if err != nil || len(log) != 1 || string(log[0].Body) != "more" {
			t.Errorf("the log after %d is %+v, error %v", after, log, err)
		}
	}
}

func TestNoByteIsTrimmedTwiceThoughATrimWasHeldUp(t *testing.T) {
	t.Parallel()
	cfg, ctx := config(t), t.Context()
	clear := open(t, cfg)
	for _, size := range []int{10, 20, 30} {
		if _, err := clear.Record().Append(ctx, batchOf(size)); err != nil {
			t.Fatal(err)
		}
	}
	// Counting the last batch, so that the trim is what is held up.
	if n, err := clear.Record().Trim(ctx, time.Time{}, 60); err != nil || n != 0 {
		t.Fatalf("%d batches were trimmed, error %v", n, err)
	}
	slow := heldUp(t, cfg, "UpdateItem", dynamotest.Passed, func() {
		if n, err := clear.Record().Trim(ctx, time.Time{}, 50); err != nil || n != 1 {
			t.Errorf("%d batches were trimmed meanwhile, error %v", n, err)
		}
	})
	if n, err := slow.Record().Trim(ctx, time.Time{}, 50); err != nil || n != 0 {
		t.Errorf("%d batches were trimmed after that, error %v", n, err)
	}
	if n, err := clear.Record().Trim(ctx, time.Time{}, 49); err != nil || n != 1 {
		t.Errorf("to 49 bytes of 50 %d batches were trimmed, error %v", n, err)
	}
}

func TestWhatIsLeftOverIsDeletedWhenItIsOld(t *testing.T) {
	t.Parallel()
	cfg, ctx := config(t), t.Context()
	clear := open(t, cfg)
	room := usher.Room{App: usher.DefaultApp, ID: usher.SystemIDs().New(), Kind: usher.Ephemeral, Status: usher.RoomReady, Due: moment, Version: 1}
	// Its entries are written, and then its writer dies.
	dying := heldUp(t, cfg, "UpdateItem", dynamotest.Dead, func() {})
	_ = dying.Rooms().Create(ctx, room)
	if _, err := clear.Record().Append(ctx, batchOf(10)); err != nil {
		t.Fatal(err)
	}
	if _, err := clear.Record().Trim(ctx, moment.Add(time.Hour), 0); err != nil {
		t.Fatal(err)
	}

	p := newPlain(t, cfg)
	rows := func() (entries, stubs int) {
		return len(p.query(cfg.Tables.Usher, "", "pk", "rooms|default")), len(p.query(cfg.Tables.Usher, "", "pk", "record"))
	}
	for _, tt := range []struct {
		after time.Duration
		want  [2]int
	}{{time.Minute, [2]int{1, 1}}, {2 * time.Hour, [2]int{0, 0}}} {
		later := cfg
		later.Now = func() time.Time { return time.Now().Add(tt.after) }
		db := open(t, later)
		if list, err := db.Rooms().List(ctx, store.RoomQuery{App: usher.DefaultApp}); err != nil || len(list) != 0 {
			t.Errorf("listed are %+v, error %v", list, err)
		}
		if list, err := db.Record().After(ctx, 0, 0); err != nil || len(list) != 0 {
			t.Errorf("in the record are %+v, error %v", list, err)
		}
		if entries, stubs := rows(); [2]int{entries, stubs} != tt.want {
			t.Errorf("after %v there are %d entries and %d stubs, want %v", tt.after, entries, stubs, tt.want)
		}
	}
}
