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
		ctx, stop := context.WithCancel(context.Background())
		t.stop, t.done = stop, make(chan struct{})
		go func() { defer close(t.done); t.run(ctx) }()
	})
}

// close ends delivery and waits for it.
func (t *target) close() {
	if t.stop != nil {
		t.stop()
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
			t.metrics.lost.WithLabelValues(t.config.Name).Inc()
			t.Logger.Error("the record has forgotten events that a webhook was not told of", "target", t.config.Name, "cursor", t.next.Frontier.String())
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

// adopt goes on from what is written down.
func (t *target) adopt(current stored) {
	t.stored, t.next, t.loaded = current, current.state, true
	t.next.Held = maps.Clone(current.Held)
	clear(t.pauses)
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
	entries, next, _, err := t.Record.Read(ctx, l.at, pageSize, func(e usher.Event) bool {
		return e.Room == l.room && t.config.wants(e)
	})
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.At.Compare(l.end) < 0 {
			l.entries = append(l.entries, e)
		}
	}
	switch {
	case len(l.entries) > 0:
	case next == l.at:
		l.at = l.end
	default:
		l.at = next
	}
	return nil
}

// settle makes of what came of a line what is to be marked.
func (t *target) settle(l *line) {
	now := t.Now()
	recovered := l.delivered > 0 && t.delivered(now)
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
