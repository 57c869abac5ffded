package sqlstore_test

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usher"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
)

// BenchmarkChange changes a participant and its room, as a claim does. Every
// change writes another value: SQLite writes, and syncs, no page whose content
// stays the same. Compare full with off within one run.
func BenchmarkChange(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		for _, mode := range []sqlstore.Synchronous{sqlstore.Full, sqlstore.Off} {
			b.Run(fmt.Sprintf("callers=%d/sync=%s", callers, mode), func(b *testing.B) { benchmarkChange(b, callers, mode) })
		}
	}
}

func benchmarkChange(b *testing.B, callers int, mode sqlstore.Synchronous) {
	var commits atomic.Int64
	db := open(b, func(cfg *sqlstore.Config) {
		cfg.Synchronous = mode
		cfg.Observe = func(sqlstore.Commit) { commits.Add(1) }
	})
	ps := make([]usher.Participant, callers)
	for i := range ps {
		r := newRoom()
		if err := db.Rooms().Create(b.Context(), r); err != nil {
			b.Fatal(err)
		}
		ps[i] = usher.Participant{App: r.App, Room: r.ID, ID: ids.New(), Status: usher.ParticipantReady, Version: 1}
		if _, err := db.Rooms().Enter(b.Context(), ps[i], func(r usher.Room) (usher.Room, error) { return r, nil }); err != nil {
			b.Fatal(err)
		}
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	commits.Store(0)
	b.ReportAllocs()
	b.ResetTimer()
	for _, p := range ps {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				_, err := db.Rooms().Change(b.Context(), p.Key(), func(e store.Entry) (store.Entry, error) {
					e.Participant.Status, e.Participant.Token = usher.ParticipantJoined, usher.Secret(fmt.Sprint(n)).Digest()
					e.Room.Taken = int(n)
					return e, nil
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/float64(commits.Load()), "writes/commit")
}

// BenchmarkParticipant reads a participant with its room.
func BenchmarkParticipant(b *testing.B) {
	db := open(b)
	r := newRoom()
	p := usher.Participant{App: r.App, Room: r.ID, ID: ids.New(), Version: 1}
	if err := db.Rooms().Create(b.Context(), r); err != nil {
		b.Fatal(err)
	}
	if _, err := db.Rooms().Enter(b.Context(), p, func(r usher.Room) (usher.Room, error) { return r, nil }); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := db.Rooms().Participant(b.Context(), p.Key()); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkRecordAppend appends batches of events, as each node does from one
// goroutine.
func BenchmarkRecordAppend(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		for _, mode := range []sqlstore.Synchronous{sqlstore.Full, sqlstore.Off} {
			b.Run(fmt.Sprintf("bytes=%d/sync=%s", size, mode), func(b *testing.B) {
				db := open(b, func(cfg *sqlstore.Config) { cfg.Synchronous = mode })
				batch := store.Batch{Count: size / 256, Body: bytes.Repeat([]byte("an event"), size/8)}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					batch.First = batch.Last
					batch.Last = batch.Last.Add(100 * time.Millisecond)
					if _, err := db.Record().Append(b.Context(), batch); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
