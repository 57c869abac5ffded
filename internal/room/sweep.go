package room

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"usher"
	"usher/internal/store"
)

// How the sweeper works: often enough that nobody waits for it, in steps small
// enough that it never holds up a join.
const (
	sweepEvery = time.Second
	sweepBatch = 200
	// What is forgotten is in nobody's way meanwhile. Each room may be many writes,
	// of much: of more at once others would notice.
	forgetEvery = time.Minute
	forgetBatch = 8
)

// Recover takes over the seats whose connections belonged to a process that is
// no more: their participants get a full grace, from now, to come back.
func (s *Service) Recover(ctx context.Context, alive ...usher.ID) (int, error) {
	alive = append(alive, s.Node)
	total := 0
	for {
		keys, err := s.Store.Stranded(ctx, alive, sweepBatch)
		if err != nil || len(keys) == 0 {
			return total, wrap("recover", err)
		}
		err = together(keys, func(key usher.ParticipantKey) error {
			_, err := s.change(ctx, key, func(m moment, e store.Entry) (store.Entry, error) {
				return m.lose(e, e.Participant.Attachment)
			})
			return err
		})
		if err != nil {
			return total, wrap("recover", err)
		}
		total += len(keys)
	}
}

// Run sweeps until ctx ends: it writes down what became due while nobody
// asked. Every answer is right without it, since each step settles what it
// touches; the sweeper frees names and seats, and tells those who are there.
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
			s.Logger.Error("sweeping rooms failed; it is tried again", "error", err)
		}
		failing = err != nil
	}
}

// Sweep settles everything that is due now.
func (s *Service) Sweep(ctx context.Context) error {
	for {
		n, err := s.sweepParticipants(ctx)
		if err != nil {
			return err
		}
		if n < sweepBatch {
			break
		}
	}
	for {
		n, err := s.sweepRooms(ctx)
		if err != nil || n < sweepBatch {
			return err
		}
	}
}

// RunForgetting forgets rooms until ctx ends.
func (s *Service) RunForgetting(ctx context.Context) {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.Forget(ctx); err != nil && ctx.Err() == nil {
			s.Logger.Error("forgetting rooms that have ended failed; it is tried again", "error", err)
		}
	}
}

// Forget forgets the rooms that ended long enough ago, with all that was in them.
func (s *Service) Forget(ctx context.Context) error {
	keep := s.config.KeepFor
	for keep > 0 {
		keys, err := s.Store.Ended(ctx, clock(s.Now).Add(-keep), forgetBatch)
		if err == nil {
			err = together(keys, func(key usher.RoomKey) error {
				if err := s.Store.Forget(ctx, key); !errors.Is(err, store.ErrNotFound) {
					return err
				}
				return nil // another node was faster
			})
		}
		if err != nil || len(keys) < forgetBatch {
			return wrap("forget", err)
		}
	}
	return nil
}

func (s *Service) sweepParticipants(ctx context.Context) (int, error) {
	keys, err := s.Store.DueParticipants(ctx, clock(s.Now), sweepBatch)
	if err != nil {
		return 0, wrap("sweep participants", err)
	}
	err = together(keys, func(key usher.ParticipantKey) error {
		e, err := s.change(ctx, key, func(m moment, e store.Entry) (store.Entry, error) {
			return m.settle(e), nil
		})
		if err == nil && !e.Participant.Seated() {
			s.Changed(e)
		}
		return err
	})
	return len(keys), wrap("sweep participants", err)
}

func (s *Service) sweepRooms(ctx context.Context) (int, error) {
	m := s.moment()
	keys, err := s.Store.DueRooms(ctx, m.now, sweepBatch)
	if err != nil {
		return 0, wrap("sweep rooms", err)
	}
	err = together(keys, func(key usher.RoomKey) error {
		ended := false
		r, err := s.Store.Update(ctx, key, func(before usher.Room) (usher.Room, error) {
			after := m.settleRoom(before)
			ended = before.Status != usher.RoomEnded && after.Status == usher.RoomEnded
			if after == before {
				return before, store.ErrUnchanged
			}
			return m.touchRoom(before, after), nil
		})
		if err == nil && ended {
			s.Ended(r)
		}
		return err
	})
	return len(keys), wrap("sweep rooms", err)
}

// together calls f for all keys at once, so that their writes share commits.
func together[K any](keys []K, f func(K) error) error {
	errs := make([]error, len(keys))
	var wg sync.WaitGroup
	for i, key := range keys {
		wg.Go(func() { errs[i] = f(key) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("room: %s: %w", what, err)
}
