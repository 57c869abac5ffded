package access

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// latecomers are the ends of connections that could not be written down yet. Their
// seats are held until they are; in a process that ends before, until the next
// one calls those gone who do not come back.
type latecomers struct {
	mu   sync.Mutex
	list []late
	told bool // the log knows of them
}

type late struct {
	at    *Attachment
	write leaving
}

// lateEvery is how often it is tried again, and lateBatch how many are written at once.
const (
	lateEvery = time.Second
	lateBatch = 256
)

// add keeps an end that could not be written down for that error. The log is
// told of the first of a row.
func (l *latecomers) add(logger *slog.Logger, one late, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.told {
		logger.Error("the end of a connection could not be written down; it is tried again", "participant", one.at.key.ID, "error", why)
	}
	l.list, l.told = append(l.list, one), true
}

// take takes some of the ends, those that have waited longest. When there are
// none left, and none was added meanwhile, a row is over.
func (l *latecomers) take() []late {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.list), lateBatch)
	l.told = n > 0
	some := slices.Clone(l.list[:n])
	l.list = slices.Delete(l.list, 0, n)
	return some
}

// partLate writes down the ends of connections that could not be before, until
// ctx ends.
func (a *Access) partLate(ctx context.Context) {
	tick := time.NewTicker(lateEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for some := a.late.take(); len(some) > 0; some = a.late.take() {
			// If one can't be written the others can't, either.
			var failed atomic.Bool
			var wg sync.WaitGroup
			for _, l := range some {
				wg.Go(func() {
					if !l.at.part(l.write) {
						failed.Store(true)
					}
				})
			}
			wg.Wait()
			if failed.Load() {
				break
			}
		}
	}
}
