package sqlstore_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
)

// A document of this test counts: change n is the number n, a body of the log
// holds its numbers, and a snapshot says in each of its parts up to which number
// it goes.

// documentRoom is the room of the document that a goroutine of the child writes.
func documentRoom(i int) usher.RoomKey {
	return usher.RoomKey{App: usher.DefaultApp, ID: usher.ID(fmt.Sprint("document", i))}
}

// writeDocuments appends to documents and compacts them, without end, and
// prints what is acknowledged: "DOCUMENT LAST".
func writeDocuments(ctx context.Context, db *sqlstore.DB) error {
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = writeDocument(ctx, db.Documents(), i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func writeDocument(ctx context.Context, documents store.Documents, i int) error {
	room := documentRoom(i)
	head, err := documents.Head(ctx, room)
	for err == nil {
		e := store.Entries{First: head.Last + 1, Last: head.Last + 1 + rand.Int64N(3), At: time.Now()}
		for n := e.First; n <= e.Last; n++ {
			e.Body = binary.AppendVarint(e.Body, n)
		}
		if err = documents.Append(ctx, room, e); err != nil {
			break
		}
		head.Last = e.Last
		fmt.Println(i, e.Last)
		if rand.IntN(10) == 0 {
			next := store.Snapshot{ID: ids.New(), Last: head.Last - rand.Int64N(2), Parts: 1 + rand.IntN(3)}
			for part := range next.Parts {
				err = errors.Join(err, documents.PutPart(ctx, room, next.ID, part, binary.AppendVarint(nil, next.Last)))
			}
			err = errors.Join(err, documents.Compact(ctx, room, next, head.Snapshot.ID))
			head.Snapshot = next
		}
	}
	return err
}

func TestNoChangeOfADocumentThatWasAcknowledgedIsLostWhenKilled(t *testing.T) {
	const kills = 15
	path := filepath.Join(t.TempDir(), "usher.db")
	acknowledged := make(map[int]int64)
	for range kills {
		killDocuments(t, path, 1+rand.IntN(300), acknowledged)
		wantDocuments(t, path, acknowledged)
	}
	t.Logf("acknowledged after %d kills: %v", kills, acknowledged)
}

// killDocuments runs the load until it printed n lines, and notes all that it
// had acknowledged.
func killDocuments(t *testing.T, path string, n int, acknowledged map[int]int64) {
	t.Helper()
	killAfter(t, "documents", path, n, func(line string) bool {
		var document int
		var last int64
		_, err := fmt.Sscan(line, &document, &last)
		acknowledged[document] = last
		return err == nil
	})
}

// wantDocuments fails unless every document is whole, and has at least what was
// acknowledged.
func wantDocuments(t *testing.T, path string, acknowledged map[int]int64) {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: path})
	if err != nil {
		t.Fatalf("reopen: %v", err)
	}
	for document, last := range acknowledged {
		wantDocument(t, db.Documents(), document, last)
	}
	if err := db.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	integrity(t, path)
}

func wantDocument(t *testing.T, documents store.Documents, document int, acknowledged int64) {
	t.Helper()
	room := documentRoom(document)
	head, err := documents.Head(t.Context(), room)
	if err != nil || head.Last < acknowledged {
		t.Errorf("document %d was acknowledged up to %d; its head is %+v, with error %v", document, acknowledged, head, err)
	}
	for i := range head.Snapshot.Parts {
		part, err := documents.Part(t.Context(), room, head.Snapshot.ID, i)
		if n, _ := binary.Varint(part); err != nil || n != head.Snapshot.Last {
			t.Errorf("document %d: part %d of the snapshot up to %d is of one up to %d, with error %v", document, i, head.Snapshot.Last, n, err)
		}
	}
	log, err := documents.Log(t.Context(), room, head.Snapshot.Last, 0)
	if err != nil {
		t.Fatal(err)
	}
	at := head.Snapshot.Last
	for _, e := range log {
		n := e.First
		for body := e.Body; len(body) > 0; n++ {
			got, size := binary.Varint(body)
			if got != n {
				t.Errorf("document %d: change %d is %d", document, n, got)
			}
			body = body[size:]
		}
		if e.First > at+1 || n != e.Last+1 {
			t.Errorf("document %d: after %d come %d to %d with changes up to %d", document, at, e.First, e.Last, n-1)
		}
		at = e.Last
	}
	if at != head.Last {
		t.Errorf("document %d goes to %d, and should to %d", document, at, head.Last)
	}
}
