package webhook

import (
	"context"
	"errors"
	"sync"
	"time"

	"usher"
	"usher/internal/access"
)

// post delivers what lines have, several at once, and holds back the rooms of
// those that did not come to their end.
func (t *target) post(ctx, posting context.Context, lines []*line) {
	until := t.Now().Add(stepTime)
	slots := make(chan struct{}, postsOnce)
	var work sync.WaitGroup
	for _, l := range lines {
		l.end = t.next.Frontier
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			t.deliver(ctx, posting, l, until)
		})
	}
	work.Wait()
	for _, l := range lines {
		t.settle(l)
	}
}

// line is what there is to be told of a room, in order.
type line struct {
	room    usher.ID
	held    bool // the entries are to be read, up to end
	entries []access.Entry
	// at is up to where all of the room is delivered.
	at, end access.Position

	finished  bool
	lost      bool // the record has forgotten some that were not posted
	delivered int
	failure   error
	failed    access.Entry
}

// deliver posts what a line has, one after the other, until it comes to an end,
// one fails, or time is up.
func (t *target) deliver(ctx, posting context.Context, l *line, until time.Time) {
	for {
		if len(l.entries) == 0 {
			if !l.held || l.at.Compare(l.end) >= 0 {
				l.finished = true
				return
			}
			if ctx.Err() != nil || !t.Now().Before(until) {
				return
			}
			if l.failure = t.readOn(ctx, l); l.failure != nil {
				return
			}
			continue
		}
		e := l.entries[0]
		l.at = e.At
		if ctx.Err() != nil || !t.Now().Before(until) {
			return
		}
		if err := t.postOne(posting, e); err != nil {
			l.failure, l.failed = err, e
			return
		}
		l.at, l.entries = e.Next, l.entries[1:]
		l.delivered++
	}
}

// readOn reads a held room's next entries.
func (t *target) readOn(ctx context.Context, l *line) error {
	entries, next, lost, err := t.Record.Read(ctx, l.at, pageSize, func(e usher.Event) bool {
		return e.Room == l.room && t.config.wants(e)
	})
	if err != nil {
		return err
	}
	l.lost = l.lost || lost
	for _, e := range entries {
		if e.At.Compare(l.end) < 0 {
			l.entries = append(l.entries, e)
		}
	}
	switch {
	case len(l.entries) > 0:
	case next == l.at: // nothing is left of what there was
		l.at, l.lost = l.end, true
	default:
		l.at = next
	}
	return nil
}

// settle makes of what came of a line what is to be marked.
func (t *target) settle(l *line) {
	now := t.Now()
	recovered := l.delivered > 0 && t.delivered(now)
	if l.lost {
		t.forgotten("room", l.room)
	}
	if l.finished {
		delete(t.next.Held, l.room)
		delete(t.pauses, l.room)
	} else {
		if t.next.Held == nil {
			t.next.Held = make(map[usher.ID]access.Position)
		}
		t.next.Held[l.room] = l.at
		t.hold(l, now)
	}
	if recovered {
		for room, p := range t.pauses {
			p.due = now
			t.pauses[room] = p
		}
	}
}

// hold has a room wait.
func (t *target) hold(l *line, now time.Time) {
	p := t.pauses[l.room]
	if l.delivered > 0 {
		p.attempts = 0
	}
	p.due = now
	if l.failure != nil {
		wait := min(lastRetry, firstRetry<<min(p.attempts, 10))
		// Not all at once: from half of it to the whole.
		p.due = now.Add(wait/2 + time.Duration(t.Jitter()*float64(wait/2)))
		p.attempts++
	}
	if len(l.entries) > 0 {
		p.since = l.entries[0].Time()
	}
	if l.failed.ID != "" {
		t.failed(l, p, now)
	}
	t.pauses[l.room] = p
}

// delivered notes that the target has taken something, and reports whether it
// takes things again.
func (t *target) delivered(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	again := t.health.failures >= failingAfter
	if again {
		t.Logger.Info("a webhook's target takes events again", "target", t.config.Name)
	}
	t.health = health{deliveredAt: now}
	return again
}

// failed notes that the target has not taken something.
func (t *target) failed(l *line, p pause, now time.Time) {
	if r, ok := errors.AsType[*refusal](l.failure); ok && r.after > 0 {
		t.resume = later(t.resume, now.Add(min(r.after, maxRetryAfter)))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.health.failures++
	t.health.failure = l.failure.Error()
	if t.health.failingSince.IsZero() {
		t.health.failingSince = now
	}
	switch {
	case t.health.failures == failingAfter:
		t.Logger.Error("a webhook's target takes no events; they are kept, and posted until it does", "target", t.config.Name, "error", l.failure)
	case p.attempts == 1 && t.health.failures < failingAfter:
		t.Logger.Warn("a webhook's target has not taken an event, so that later ones of its room wait", "target", t.config.Name,
			"room", l.room, "event", l.failed.ID, "error", l.failure)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
