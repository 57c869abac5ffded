package webhook

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/access"
)

// How a target is delivered to.
const (
	// lookEvery is how often the record is looked at for what other servers write.
	lookEvery = time.Second
	// lease is for how long no other server delivers, once one has renewed it,
	// and leaseLeft what there is at least of it when a step begins: longer than
	// a step takes.
	lease     = 90 * time.Second
	leaseLeft = 60 * time.Second
	// stepTime is how long posting goes on before what was delivered is marked;
	// what is being posted by then is waited for.
	stepTime = 5 * time.Second
	// markEvery is how often the frontier is marked when nothing was posted.
	markEvery = time.Minute

	pageSize  = 100
	postsOnce = 8
	// heldMost is from how many rooms on no more are begun: then it is the target
	// that has a problem, and not a room's events.
	heldMost = 64
	// failingAfter is after how many failures in a row nobody doubts it.
	failingAfter = 5

	firstRetry = time.Second
	lastRetry  = time.Minute
	// maxRetryAfter bounds for how long a target can ask us to be left alone.
	maxRetryAfter = time.Hour
	// farewell is how long what is being posted may take when delivery ends, and
	// marking what was.
	farewell = 2 * time.Second
)

// target is one target and who delivers to it: a goroutine, which all fields
// belong to that have no other note.
type target struct {
	*Service
	config Config
	keys   [][]byte
	http   *http.Client
	host   string

	begin sync.Once
	stop  context.CancelFunc // nil before start
	done  chan struct{}
	wake  chan struct{} // has a value when there is news of another kind than the record's
	// reload says that the mark was changed by another.
	reload atomic.Bool

	stored stored
	loaded bool
	// next is the state as it will be marked, and at when it was last.
	next state
	at   time.Time
	// pauses are of the rooms that are held back.
	pauses map[usher.ID]pause
	// resume is when the target wants to be asked again.
	resume time.Time

	mu     sync.Mutex
	health health
}

// pause is how long a room's events wait.
type pause struct {
	attempts int
	due      time.Time
	since    time.Time // when the event happened that waits; zero if that is not known
}

// health is what is known of a target.
type health struct {
	failures     int // in a row
	failingSince time.Time
	failure      string
	deliveredAt  time.Time
}

// start begins to deliver. Only the first call counts.
func (t *target) start() {
	t.begin.Do(func() {
		t.metrics.lost.WithLabelValues(t.config.Name) // from 0, or the first would be no increase, and alert nobody
		ctx, stop := context.WithCancel(context.Background())
		t.stop, t.done = stop, make(chan struct{})
		go func() { defer close(t.done); t.run(ctx) }()
	})
}

// halt ends delivery.
func (t *target) halt() {
	if t.stop != nil {
		t.stop()
	}
}

// close ends delivery and waits for it.
func (t *target) close() {
	t.halt()
	if t.done != nil {
		<-t.done
	}
	t.http.CloseIdleConnections()
}

func (t *target) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *target) run(ctx context.Context) {
	// What is being posted when it ends is not cut off at once, or it would be
	// posted again.
	posting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(farewell, cancel) })()
	quiet := false // an error was logged
	for {
		news := t.Record.News()
		wait, err := t.step(ctx, posting)
		switch {
		case ctx.Err() != nil:
			t.leave(ctx)
			return
		case err == nil:
			quiet = false
		case !quiet:
			quiet = true
			t.Logger.Error("a webhook can't go on; it is tried again", "target", t.config.Name, "error", err)
		}
		if err != nil {
			wait, news = lookEvery, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-news:
		case <-t.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// step posts what there is to be posted, for a while, and says how long there is
// nothing to do unless there is news.
func (t *target) step(ctx, posting context.Context) (wait time.Duration, err error) {
	if ours, err := t.lead(ctx); err != nil || !ours {
		return lookEvery, err
	}
	now := t.Now()
	if rest := t.resume.Sub(now); rest > 0 {
		t.observe()
		return min(rest, lookEvery), nil
	}
	lines := t.dueLines(now)
	busy := false
	if len(t.next.Held) < heldMost {
		p, next, lost, err := t.Record.Read(ctx, t.next.Frontier, pageSize, t.config.wants)
		if err != nil {
			return 0, err
		}
		if lost && t.next.Frontier != (access.Position{}) {
			t.forgotten("cursor", t.next.Frontier.String())
		}
		lines = append(lines, t.newLines(p)...)
		busy = next != t.next.Frontier
		t.next.Frontier = next
	}
	// To mark a frontier for itself would cost more than to read it again.
	if len(lines) > 0 || now.Sub(t.at) >= markEvery {
		t.post(ctx, posting, lines)
		if err := t.save(context.WithoutCancel(ctx)); err != nil {
			return 0, err
		}
	}
	t.observe()
	return t.rest(t.Now(), busy), nil
}

// forgotten says that the record has forgotten what the target was not told of,
// and where.
func (t *target) forgotten(where string, value any) {
	t.metrics.lost.WithLabelValues(t.config.Name).Inc()
	t.Logger.Error("the record has forgotten events that a webhook was not told of", "target", t.config.Name, where, value)
}

// rest is how long there is nothing to do.
func (t *target) rest(now time.Time, busy bool) time.Duration {
	if busy {
		return 0
	}
	wait := lookEvery
	for room := range t.next.Held {
		wait = min(wait, t.pauses[room].due.Sub(now))
	}
	return max(wait, 0)
}

// lead reports whether this server delivers, having taken or renewed the lease
// where there are others.
func (t *target) lead(ctx context.Context) (bool, error) {
	if t.reload.Swap(false) || !t.loaded {
		current, err := t.load(ctx)
		if err != nil {
			return false, err
		}
		t.adopt(current)
	}
	now := t.Now()
	switch mine := t.stored.Node == t.Node; {
	case mine && (t.Alone || t.stored.Until.Sub(now) >= leaseLeft):
		return true, nil
	case !mine && !t.Alone && t.stored.Until.After(now):
		t.loaded = false // look again, since it may be renewed
		return false, nil
	}
	t.next.Node, t.next.Until = t.Node, now.Add(lease).UTC()
	err := t.save(ctx)
	return t.stored.Node == t.Node, err
}

// adopt goes on from what is written down, at once: whoever has written it may
// know that the target takes things again.
func (t *target) adopt(current stored) {
	t.stored, t.next, t.loaded = current, current.state, true
	t.next.Held = maps.Clone(current.Held)
	clear(t.pauses)
	t.resume = time.Time{}
}

// save marks what was delivered. If another has changed the mark meanwhile, it
// goes on from there.
func (t *target) save(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	current, err := t.swap(ctx, t.stored, t.next)
	switch {
	case errors.Is(err, errMeanwhile):
		t.adopt(current)
		t.poke()
		return nil
	case err != nil:
		return err
	}
	t.stored, t.at = current, t.Now()
	t.next.Held = maps.Clone(t.next.Held)
	return nil
}

// leave marks what was delivered and frees the lease, for another to go on.
func (t *target) leave(ctx context.Context) {
	if !t.loaded || t.stored.Node != t.Node {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	t.next.Node, t.next.Until = "", time.Time{}
	if _, err := t.swap(ctx, t.stored, t.next); err != nil && !errors.Is(err, errMeanwhile) {
		t.Logger.Error("what a webhook was told of could not be marked; some of it will be posted again", "target", t.config.Name, "error", err)
	}
}

// observe tells the metrics how it stands.
func (t *target) observe() {
	var oldest time.Time
	for room := range t.next.Held {
		if since := t.pauses[room].since; oldest.IsZero() || !since.IsZero() && since.Before(oldest) {
			oldest = since
		}
	}
	lag := 0.0
	if !oldest.IsZero() {
		lag = t.Now().Sub(oldest).Seconds()
	}
	failing := 0.0
	if t.failing() {
		failing = 1
	}
	name := t.config.Name
	t.metrics.held.WithLabelValues(name).Set(float64(len(t.next.Held)))
	t.metrics.lag.WithLabelValues(name).Set(lag)
	t.metrics.failing.WithLabelValues(name).Set(failing)
}

func (t *target) failing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.health.failures >= failingAfter
}

// dueLines are the lines of held rooms whose time has come. While the target
// takes nothing it is asked for one room only.
func (t *target) dueLines(now time.Time) []*line {
	var due []usher.ID
	for room := range t.next.Held {
		if !t.pauses[room].due.After(now) {
			due = append(due, room)
		}
	}
	slices.SortFunc(due, func(a, b usher.ID) int { return t.pauses[a].due.Compare(t.pauses[b].due) })
	if len(due) > 1 && t.failing() {
		due = due[:1]
	}
	lines := make([]*line, len(due))
	for i, room := range due {
		lines[i] = &line{room: room, at: t.next.Held[room], held: true}
	}
	return lines
}

// newLines are the lines of rooms that are not held back; what others have is
// read when it is their turn.
func (t *target) newLines(entries []access.Entry) []*line {
	byRoom := make(map[usher.ID]*line)
	var lines []*line
	for _, e := range entries {
		if _, held := t.next.Held[e.Room]; held {
			continue
		}
		l := byRoom[e.Room]
		if l == nil {
			l = &line{room: e.Room, at: e.At}
			byRoom[e.Room] = l
			lines = append(lines, l)
		}
		l.entries = append(l.entries, e)
	}
	return lines
}
