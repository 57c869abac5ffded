package access

import (
	"context"
	"errors"
	"strings"
	"time"

	"usher"
	"usher/internal/room"
	"usher/internal/store"
)

// How stays are reviewed. Whatever takes something away names the rooms that it
// concerns, and everything is reviewed when a process starts: what the one
// before had committed and not seen to is found then. The rest is for what
// another node left behind.
const (
	reviewEvery = 10 * time.Minute
	reviewRetry = time.Second
	reviewBatch = 500
)

// review has the stays in a room reviewed soon, or all of them if it is zero.
func (b *abroad) review(key usher.RoomKey) {
	b.mu.Lock()
	if key == (usher.RoomKey{}) {
		b.everything = true
	} else if len(b.reach) > 0 {
		b.rooms[key] = true
	}
	b.mu.Unlock()
	signal(b.wake)
}

func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// due returns what has to be reviewed, and forgets it.
func (b *abroad) due() (everything bool, rooms []usher.RoomKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	everything, b.everything = b.everything, false
	for key := range b.rooms {
		rooms = append(rooms, key)
	}
	clear(b.rooms)
	return everything, rooms
}

// reviewTaken has those stays reviewed that a taking may concern.
func (a *Access) reviewTaken(t usher.Taking) {
	if t.Target.Room == "" {
		a.abroad.review(usher.RoomKey{})
	} else {
		a.abroad.review(usher.RoomKey{App: t.App, ID: t.Target.Room})
	}
}

// reviewStays reviews until ctx ends.
func (a *Access) reviewStays(ctx context.Context) {
	tick := time.NewTicker(reviewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.abroad.forgetOpened(a.now())
			a.abroad.review(usher.RoomKey{})
		case <-a.abroad.wake:
			everything, rooms := a.abroad.due()
			err := a.reviewDue(ctx, everything, rooms)
			if err == nil || ctx.Err() != nil {
				continue
			}
			a.config.Logger.Error("looking for who must be put out of foreign platforms failed; it is tried again", "error", err)
			pause(ctx, reviewRetry)
			if everything {
				a.abroad.review(usher.RoomKey{})
			}
			for _, key := range rooms {
				a.abroad.review(key)
			}
		}
	}
}

func (a *Access) reviewDue(ctx context.Context, everything bool, rooms []usher.RoomKey) error {
	if everything {
		return a.reviewAll(ctx, store.StayQuery{Limit: reviewBatch})
	}
	for _, key := range rooms {
		if err := a.reviewAll(ctx, store.StayQuery{Room: key, Limit: reviewBatch}); err != nil {
			return err
		}
	}
	return nil
}

// reviewAll reviews the stays that a query selects.
func (a *Access) reviewAll(ctx context.Context, q store.StayQuery) error {
	var about *circumstances
	for {
		page, err := a.config.Store.Stays().List(ctx, q)
		if err != nil {
			return wrapf("list stays", err)
		}
		for _, s := range page {
			if about == nil || about.key != s.RoomKey() {
				about = &circumstances{access: a, key: s.RoomKey()}
			}
			if err := a.reviewStay(ctx, about, s); err != nil {
				return err
			}
		}
		if len(page) < q.Limit {
			return nil
		}
		q.After = page[len(page)-1].Key()
	}
}

// reviewStay writes down that a stay must end, or forgets it.
func (a *Access) reviewStay(ctx context.Context, about *circumstances, s usher.Stay) error {
	now := a.now()
	reason, over, err := about.over(ctx, s)
	if err != nil {
		return err
	}
	over = over || !s.Over.IsZero()
	at := a.abroad.reach[s.Platform]
	var change func(usher.Stay) (usher.Stay, error)
	switch {
	case over && at == nil:
		a.notEjected(ctx, s, errors.New("the platform is not configured any more, or can't be asked"))
		change = func(s usher.Stay) (usher.Stay, error) { return s, store.ErrDelete }
	case over:
		change = func(current usher.Stay) (usher.Stay, error) {
			if !current.Over.IsZero() || current.Grant != s.Grant {
				return current, store.ErrUnchanged
			}
			current.Over, current.Reason, current.Due = now, reason, now
			return current, nil
		}
	case s.Subject != "" && now.After(s.Expires.Add(remember)):
		change = func(current usher.Stay) (usher.Stay, error) {
			if current.Version != s.Version {
				return current, store.ErrUnchanged
			}
			return current, store.ErrDelete
		}
	default:
		return nil
	}
	current, err := a.config.Store.Stays().Change(ctx, s.Key(), change)
	if err != nil {
		return wrapf("end a stay", err)
	}
	if over && at != nil {
		signal(at.wake)
	}
	if current.Version > 0 && current.Grant != s.Grant {
		return a.reviewStay(ctx, about, current) // it was renewed in between
	}
	return nil
}

// circumstances are what is true of a room, read when it is asked for.
type circumstances struct {
	access  *Access
	key     usher.RoomKey
	room    *usher.Room
	removed []usher.Participant
	listed  bool
}

// over reports whether a stay must end, and why.
func (c *circumstances) over(ctx context.Context, s usher.Stay) (string, bool, error) {
	if c.room == nil {
		r, err := c.access.rooms.Get(ctx, c.key)
		if errors.Is(err, room.ErrNotFound) {
			r, err = usher.Room{Status: usher.RoomEnded, EndReason: "The room is not known any more."}, nil
		}
		if err != nil {
			return "", false, err
		}
		c.room = &r
	}
	if c.room.Status == usher.RoomEnded {
		return c.room.EndReason, true, nil
	}
	if s.Subject == "" {
		return "", false, nil
	}
	if t, void := c.access.taken.fromParticipant(placeOf(s), c.access.now()); void {
		return reasonOf(t), true, nil
	}
	if err := c.listRemoved(ctx); err != nil {
		return "", false, err
	}
	for _, p := range c.removed {
		if puts(p, s) {
			return p.EndReason, true, nil
		}
	}
	return "", false, nil
}

// puts reports whether the removal of a participant puts a stay to an end: its
// own, or another one of the same person. Any other identity stands for many.
func puts(p usher.Participant, s usher.Stay) bool {
	if p.UpdatedAt.Before(s.IssuedAt()) {
		return false
	}
	one := isGuest(s.Identity) || strings.HasPrefix(s.Identity, string(usher.UserIdentity)+":")
	return p.ID == s.Participant || p.Identity == s.Identity && one
}

// listRemoved reads who was removed from the room.
func (c *circumstances) listRemoved(ctx context.Context) error {
	q := store.ParticipantQuery{Room: c.key, Status: usher.ParticipantRemoved, Limit: reviewBatch}
	for !c.listed {
		page, err := c.access.rooms.Participants(ctx, q)
		if err != nil {
			return err
		}
		c.removed = append(c.removed, page...)
		if c.listed = len(page) < q.Limit; !c.listed {
			q.After = page[len(page)-1].ID
		}
	}
	return nil
}
