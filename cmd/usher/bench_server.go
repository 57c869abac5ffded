package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"usher/internal/config"
	"usher/internal/datadir"
	"usher/internal/httpd"
	"usher/internal/store/sqlstore"
)

// benchServer is a server of this binary that is measured.
type benchServer struct {
	*server
	folder, base string
	stop         func() error
}

// startBench serves an empty folder in the parent, in development mode, which
// has no limits, on a port of its own. The configuration is as edit, if not nil,
// leaves it.
func startBench(ctx context.Context, parent string, mode sqlstore.Synchronous, edit func(*config.Config)) (*benchServer, error) {
	folder, err := os.MkdirTemp(parent, "data-")
	if err != nil {
		return nil, err
	}
	dir, err := datadir.Open(folder)
	if err != nil {
		return nil, err
	}
	cfg := config.Dev()
	cfg.Data = folder
	if edit != nil {
		edit(&cfg)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	base := "http://" + l.Addr().String()
	s, err := newServer(ctx, cfg, serverOptions{Dir: dir, Logger: slog.New(slog.DiscardHandler), Synchronous: mode})
	if err != nil {
		return nil, errors.Join(err, l.Close(), dir.Close())
	}
	serving, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- s.serve(serving, listeners{{Listener: l, Origin: httpd.Origin{Base: base}}})
	}()
	return &benchServer{server: s, folder: folder, base: base, stop: func() error {
		stop()
		return errors.Join(<-done, dir.Close())
	}}, nil
}

// measurement is what was measured once.
type measurement struct {
	rate     float64 // a second
	p50, p99 time.Duration
}

// load has so many clients call f, each one call after the other, for a time.
func load(clients int, d time.Duration, f func() error) (measurement, error) {
	var (
		wg    sync.WaitGroup
		times = make([][]time.Duration, clients)
		errs  = make([]error, clients)
		start = time.Now()
	)
	for i := range clients {
		wg.Go(func() {
			for time.Since(start) < d {
				begin := time.Now()
				if errs[i] = f(); errs[i] != nil {
					return
				}
				times[i] = append(times[i], time.Since(begin))
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	if err := errors.Join(errs...); err != nil {
		return measurement{}, err
	}
	all := slices.Concat(times...)
	if len(all) == 0 {
		return measurement{}, errors.New("nothing was done in the time; measure for longer")
	}
	slices.Sort(all)
	return measurement{
		rate: float64(len(all)) / took.Seconds(),
		p50:  all[len(all)/2],
		p99:  all[len(all)*99/100],
	}, nil
}

// median is the measurement with the median rate.
func median(results []measurement) measurement {
	sorted := slices.SortedFunc(slices.Values(results), func(a, b measurement) int {
		return int(a.rate - b.rate)
	})
	return sorted[len(sorted)/2]
}

func shortTime(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }
