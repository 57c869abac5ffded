package access

import (
	"context"
	"errors"
	"time"
)

// What a process does that lives from one event to the next, such as a function
// on AWS Lambda, in place of what [Access.Run] does all the time.

// Join learns what was taken away, and starts the record. Unlike Start, it takes
// nothing over: other processes serve at the same time. Nothing may be served
// before, and Close must be called after.
func (a *Access) Join(ctx context.Context) error {
	if err := a.catchUp(ctx); err != nil {
		return err
	}
	a.caughtUp.Store(a.config.Now().UnixNano())
	a.startRecord()
	return nil
}

// Refresh learns what was taken away, unless that was done a moment ago: an event
// that is served after it obeys what was taken a second before.
func (a *Access) Refresh(ctx context.Context) error {
	now := a.config.Now()
	if since := now.Sub(time.Unix(0, a.caughtUp.Load())); 0 <= since && since < followEvery {
		return nil
	}
	if err := a.catchUp(ctx); err != nil {
		return err
	}
	a.caughtUp.Store(now.UnixNano())
	return nil
}

// Flush returns when everything that happened so far is on disk: the process may
// be stopped after it, for ever.
func (a *Access) Flush(ctx context.Context) error {
	a.background.Wait()
	if !a.record.write(ctx) {
		return errors.New("access: not everything that happened could be recorded")
	}
	return nil
}

// Sweep does once what has become due.
func (a *Access) Sweep(ctx context.Context) error {
	return errors.Join(a.rooms.Sweep(ctx), a.rooms.Forget(ctx), a.forgetMarks(ctx), a.forgetSessions(ctx))
}
