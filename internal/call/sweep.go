package call

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"usher"
	"usher/internal/store"
)

// How the sweeper works: often enough that nobody waits for it, in steps small
// enough that it never holds up a call.
const (
	sweepEvery = time.Second
	sweepBatch = 200
)

// Attach gives a device its newest connection. It returns the calls that
// concern the device now: those that it has, and those that ring.
func (s *Service) Attach(ctx context.Context, d Device) ([]usher.Call, error) {
	calls, err := s.Current(ctx, d.App, d.User)
	if err != nil {
		return nil, err
	}
	var concern []usher.Call
	for _, c := range calls {
		if c.Party(d.User).Device == d.ID {
			c, err = s.changeKey(ctx, c.Key(), func(m moment, c usher.Call) step { return m.attach(c, d) })
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, wrap("attach", err)
			}
			if err != nil || !c.Live() {
				continue
			}
		}
		if c.Party(d.User).Device == d.ID || c.RingsAt(d.User, d.ID) {
			concern = append(concern, c)
		}
	}
	return concern, nil
}

// Lose says that a connection of a device broke: the calls that the device has
// wait for it for the grace. A newer connection of the device keeps them.
func (s *Service) Lose(ctx context.Context, d Device) error {
	calls, err := s.Store.Active(ctx, d.App, d.User)
	if err != nil {
		return wrap("lose", err)
	}
	for _, c := range calls {
		if c.Party(d.User).Device != d.ID {
			continue
		}
		_, err := s.changeKey(ctx, c.Key(), func(m moment, c usher.Call) step { return m.lose(c, d) })
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return wrap("lose", err)
		}
	}
	return nil
}

// Recover notes that the connections of processes that are no more are lost:
// their devices get a full grace, from now, to come back. What rings goes on.
func (s *Service) Recover(ctx context.Context, alive ...usher.ID) (int, error) {
	alive = append(slices.Clone(alive), s.Node)
	return s.drain(func() ([]usher.CallKey, error) { return s.Store.Stranded(ctx, alive, sweepBatch) },
		func(key usher.CallKey) error {
			_, err := s.changeKey(ctx, key, func(m moment, c usher.Call) step { return m.strand(c, alive) })
			return err
		})
}

// Run sweeps until ctx ends: it does what became due while nobody acted.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.Sweep(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			s.Logger.Error("sweeping calls failed; it is tried again", "error", err)
		}
		failing = err != nil
	}
}

// Sweep ends what is due now, and forgets what ended long ago.
func (s *Service) Sweep(ctx context.Context) error {
	_, err := s.drain(func() ([]usher.CallKey, error) { return s.Store.Due(ctx, clock(s.Now), sweepBatch) },
		func(key usher.CallKey) error {
			_, err := s.changeKey(ctx, key, func(_ moment, c usher.Call) step { return step{call: c} })
			return err
		})
	if err != nil {
		return err
	}
	for {
		n, err := s.Store.Sweep(ctx, clock(s.Now), sweepBatch)
		if err != nil || n < sweepBatch {
			return wrap("forget", err)
		}
	}
}

// drain does something with each call of a list until the list is empty, and
// returns how many there were.
func (s *Service) drain(list func() ([]usher.CallKey, error), do func(usher.CallKey) error) (int, error) {
	for total := 0; ; {
		keys, err := list()
		if err != nil || len(keys) == 0 {
			return total, wrap("sweep", err)
		}
		err = together(keys, func(key usher.CallKey) error {
			if err := do(key); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		})
		if err != nil {
			return total, wrap("sweep", err)
		}
		total += len(keys)
	}
}

// changeKey applies a step that can't fail.
func (s *Service) changeKey(ctx context.Context, key usher.CallKey, f func(moment, usher.Call) step) (usher.Call, error) {
	defer s.lines.hold(line{key.App, key.Pair})()
	return s.apply(ctx, key, func(m moment, c usher.Call) (step, error) { return f(m, c), nil })
}

// together calls f for all at once, so that their writes share commits.
func together[T any](all []T, f func(T) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, one := range all {
		wg.Go(func() { errs[i] = f(one) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
