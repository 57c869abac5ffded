package collab

import (
	"context"
	"slices"
	"sync"
	"time"

	"usher"
	"usher/internal/store"
)

// room is one room that somebody is in, or was a moment ago. Everything that
// happens in it happens in one goroutine, run, to which all others send; what
// they may touch themselves is at the end of the struct.
type room struct {
	hub *Hub
	key usher.RoomKey

	archive archive
	doc     *document
	members []*Member
	people  people

	// pending are the ops that were folded in since the last flush, body those of
	// them that changed something, as they will be in the log.
	pending []outcome
	body    []byte
	// refusing is why the ops before could not be written down, and is told of all
	// others until a time: finding that out costs reading the document again.
	refusing      *usher.Error
	refusingUntil time.Time

	snapshots sync.WaitGroup
	written   chan snapshotted // what the snapshot under way came to
	writing   bool
	retryAt   int // the length of the log at which a snapshot that failed is tried again

	inputs chan input
	wake   chan struct{} // has a value while there are members to be put out
	stop   chan struct{} // closed to end the room
	done   chan struct{} // closed when it has ended, with err
	err    error

	mu     sync.Mutex
	ousted []*Member // members to be put out

	// users counts who has the room in hand: its members, and calls. The hub's
	// lock guards it.
	users int
}

// input is something that the room shall do.
type input struct {
	// ops are to be applied, but for those that have an error in errs, which is
	// as long as ops or nil. They are member's, or a call's of a back end.
	ops    []Op
	errs   []*usher.Error
	member *Member
	call   *call
	// do is called once all ops before it are on disk and told, and now at once.
	do, now func()
}

// call is a back end's change under way.
type call struct {
	user string
	errs []OpError
	view *View
	done chan struct{}
}

// outcome is what came of an op.
type outcome struct {
	update *Update
	err    *usher.Error
	member *Member // nil for a back end's, of whose call it is then the index-th
	call   *call
	index  int
}

const (
	// inputLimit bounds what waits for a room, beyond which senders wait.
	inputLimit = 512
	// pendingLimit bounds how many ops share a write.
	pendingLimit = 1024
	// linger is how long a room that nobody is in stays in memory.
	linger = 30 * time.Second
	// storeTimeout bounds how long a room waits for its store.
	storeTimeout = 20 * time.Second
	// forgetAfter is how long nothing may have happened in a document before it is
	// taken for granted that no client has parts of it in hand.
	forgetAfter = 10 * time.Minute
)

func newRoom(h *Hub, key usher.RoomKey) *room {
	return &room{
		hub: h, key: key,
		archive: archive{store: h.deps.Store, room: key},
		people:  make(people),
		body:    []byte{codecVersion},
		written: make(chan snapshotted, 1),
		inputs:  make(chan input, inputLimit),
		wake:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
}

// run is the room's goroutine.
func (r *room) run(ctx context.Context) {
	metrics := r.hub.metrics
	metrics.rooms.Inc()
	defer metrics.rooms.Dec()
	ctx, cancel := context.WithCancel(ctx)
	err := r.open(ctx)
	if err == nil {
		err = r.serve(ctx)
	}
	cancel()
	r.snapshots.Wait()
	r.hub.drop(r)
	if err != nil {
		r.hub.deps.Logger.Error("a room's document can't be served; it is read anew when somebody comes", "room", r.key.ID, "error", err)
		r.err = errBroken
		metrics.broken.Inc()
	} else {
		r.err = errStopping
	}
	end := End{Broken, r.err.Error()}
	if e := usher.AsError(r.err); e != nil {
		end.Message = e.Message
	}
	for _, m := range r.members {
		m.out.Store(true)
		m.peer.Ended(end)
	}
	metrics.members.Sub(float64(len(r.members)))
	close(r.done)
}

// open reads the document.
func (r *room) open(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if r.doc, err = r.archive.load(ctx); err != nil {
		return err
	}
	if r.hub.deps.Now().Sub(r.archive.head.At) < forgetAfter || !r.doc.rebuild() {
		return nil
	}
	// The new ids must be there to stay before anybody sees them.
	s, size, err := r.archive.snapshot(ctx, r.doc.view(), r.hub.deps.IDs.New(), r.archive.head.Snapshot.ID)
	if store.Away(err) {
		// Those that it has will do, for it can be read as it is.
		r.doc, err = r.archive.load(ctx)
		return err
	}
	r.archive.head.Snapshot, r.archive.size, r.archive.log = s, size, 0
	return err
}

// serve does what is sent to the room until it is stopped, is not used any more,
// or fails.
func (r *room) serve(ctx context.Context) error {
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for {
		select {
		case in := <-r.inputs:
			if err := r.takeAll(ctx, in); err != nil {
				return err
			}
			r.beginSnapshot(ctx)
		case <-r.wake:
			r.oust()
		case s := <-r.written:
			r.endSnapshot(s)
			continue
		case <-r.stop:
			return r.drain(ctx)
		case <-timer.C:
			if r.tick() {
				return nil
			}
		}
		timer.Reset(r.next())
	}
}

// takeAll takes an input, and what else is waiting, and writes down what came of
// it. It does not go on for as long as something is sent: members that are to be
// put out, snapshots and whoever is gone have their turn.
func (r *room) takeAll(ctx context.Context, in input) error {
	for taken := 1; ; taken++ {
		if err := r.take(ctx, in); err != nil {
			return err
		}
		if taken == inputLimit {
			return r.flush(ctx)
		}
		select {
		case in = <-r.inputs:
		default:
			return r.flush(ctx)
		}
	}
}

// drain takes what is waiting, before the room ends.
func (r *room) drain(ctx context.Context) error {
	select {
	case in := <-r.inputs:
		return r.takeAll(ctx, in)
	default:
		return nil
	}
}

func (r *room) take(ctx context.Context, in input) error {
	if in.now != nil {
		in.now()
		return nil
	}
	for i := range in.ops {
		var err *usher.Error
		if in.errs != nil {
			err = in.errs[i]
		}
		if err := r.apply(ctx, in, i, err); err != nil {
			return err
		}
	}
	if in.call == nil && in.do == nil {
		return nil
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	if in.call != nil {
		in.call.view = r.doc.view()
		close(in.call.done)
	} else {
		in.do()
	}
	return nil
}

// apply folds one op of an input in. The error is that of a flush.
func (r *room) apply(ctx context.Context, in input, i int, refused *usher.Error) error {
	op := &in.ops[i]
	from := ""
	switch {
	case in.call != nil:
		from = in.call.user
	case in.member.out.Load():
		return nil // it was told that it is out
	default:
		from = in.member.user
		if refused == nil && !in.member.write {
			refused = errReadOnly
		}
	}
	changed := false
	if refused == nil {
		refused = r.refusal()
	}
	if refused == nil {
		changed, refused = r.doc.apply(op, r.hub.config.bounds())
	}
	if refused != nil {
		r.hub.metrics.refused.WithLabelValues(refused.Code).Inc()
	}
	if refused != nil && in.call != nil {
		in.call.errs = append(in.call.errs, OpError{i, refused})
		return nil
	}
	r.pending = append(r.pending, outcome{
		update: &Update{Op: *op, Stamp: r.doc.stamp, From: from, Changed: changed}, err: refused, member: in.member, call: in.call, index: i,
	})
	if changed {
		r.body = appendOp(r.body, op)
	}
	// Whoever is given the list must have been told of all that is in it, and of
	// nothing else.
	if len(r.pending) >= pendingLimit || len(r.body) >= partSize || op.Kind == CreateList && !changed && refused == nil {
		return r.flush(ctx)
	}
	return nil
}

// flush writes the pending ops down, and then tells everyone.
func (r *room) flush(ctx context.Context) error {
	if len(r.body) > 1 {
		limit, cancel := context.WithTimeout(ctx, storeTimeout)
		err := r.archive.append(limit, r.body, r.doc.stamp, r.hub.deps.Now())
		cancel()
		switch {
		case store.Away(err):
			if !r.undo(ctx, usher.AsError(err)) {
				return err
			}
		case err != nil:
			return err
		default:
			r.refusing = nil
		}
		// The store may keep what it was given no longer than the call.
		r.body = r.body[:1]
	}
	for _, o := range r.pending {
		r.tell(o)
	}
	clear(r.pending)
	r.pending = r.pending[:0]
	return nil
}

// refuseFor is how long ops are refused when some could not be written down.
const refuseFor = time.Second

// refusal returns why no op takes place for now; nil if they do.
func (r *room) refusal() *usher.Error {
	if r.refusing != nil && r.hub.deps.Now().Before(r.refusingUntil) {
		return r.refusing
	}
	return nil
}

// undo takes back the pending ops, which the store could not take, and has their
// makers told. It reports whether the room can go on: whether nothing is in the
// store that nobody was told of.
func (r *room) undo(ctx context.Context, why *usher.Error) bool {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	told := r.archive.head.Last
	doc, err := r.archive.load(ctx)
	if err != nil || r.archive.head.Last != told {
		return false
	}
	r.doc = doc
	r.refusing, r.refusingUntil = why, r.hub.deps.Now().Add(refuseFor)
	for i := range r.pending {
		o := &r.pending[i]
		if o.err != nil {
			continue // it was refused for another reason
		}
		o.err = why
		r.hub.metrics.refused.WithLabelValues(why.Code).Inc()
		if o.call != nil {
			o.call.errs = append(o.call.errs, OpError{o.index, why})
		}
	}
	return true
}

func (r *room) tell(o outcome) {
	own := o.member
	if own != nil && own.index < 0 {
		own = nil // it has left
	}
	switch {
	case o.err != nil:
		if own != nil {
			own.peer.Refused(o.update.Op, o.err)
		}
	case o.update.Changed:
		r.hub.metrics.ops.Inc()
		for _, m := range r.members {
			m.peer.Updated(o.update, m == own)
		}
	case own != nil:
		own.peer.Updated(o.update, true)
		if o.update.Op.Kind == CreateList {
			own.peer.Listed(o.update.Op.Object, r.doc.lists[o.update.Op.Object].view(), r.doc.stamp)
		}
	}
}

// add brings a member in, unless there are too many.
func (r *room) add(m *Member) *usher.Error {
	if most := r.hub.config.MaxPeers; most > 0 && len(r.members) >= most {
		return errCrowded
	}
	m.index = len(r.members)
	r.members = append(r.members, m)
	r.people.come(m.user)
	r.hub.metrics.members.Inc()
	return nil
}

// remove takes a member out. Its user is shown to the others for the grace, unless
// it has another connection.
func (r *room) remove(m *Member, grace time.Duration) {
	if m.index < 0 {
		return
	}
	last := len(r.members) - 1
	moved := r.members[last]
	r.members[m.index], moved.index = moved, m.index
	r.members = slices.Delete(r.members, last, last+1)
	m.index = -1
	r.hub.metrics.members.Dec()
	r.people.leave(m.user, r.hub.deps.Now().Add(grace))
}

// oust puts out the members who were told to go.
func (r *room) oust() {
	r.mu.Lock()
	ousted := r.ousted
	r.ousted = nil
	r.mu.Unlock()
	for _, m := range ousted {
		if m.index < 0 {
			continue // it has left by itself, or is not here yet
		}
		r.remove(m, 0)
		m.peer.Ended(*m.end.Load())
	}
	r.sayWhoIsGone()
}

func (r *room) sayWhoIsGone() time.Time {
	gone, next := r.people.overdue(r.hub.deps.Now())
	for _, user := range gone {
		g := &Gone{User: user}
		for _, m := range r.members {
			m.peer.Gone(g)
		}
	}
	return next
}

// tick does what is due, and reports whether the room is not used any more.
func (r *room) tick() bool {
	r.sayWhoIsGone()
	return len(r.people) == 0 && !r.writing && r.hub.retire(r)
}

// next returns after how long there may be something due.
func (r *room) next() time.Duration {
	next := r.sayWhoIsGone()
	if next.IsZero() {
		return linger
	}
	return min(linger, max(0, next.Sub(r.hub.deps.Now())))
}

// send has the room do something. It waits while the room has much to do, and
// returns why it could not if the room has ended.
func (r *room) send(in input) error {
	select {
	case r.inputs <- in:
		return nil
	case <-r.done:
		return r.err
	}
}

// do has the room call f once everything before it is on disk and told, and
// returns when it has.
func (r *room) do(f func()) error {
	called := make(chan struct{})
	if err := r.send(input{do: func() { f(); close(called) }}); err != nil {
		return err
	}
	return r.await(called)
}

// await waits for something that the room was sent.
func (r *room) await(done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-r.done:
	}
	select {
	case <-done: // just before the room ended
		return nil
	default:
		return r.err
	}
}

// What is told of a room that has ended in memory.
var (
	errBroken   = usher.Errorf(usher.Unavailable, "room_broken", "Something went wrong with the room on our side; come back to find it whole.")
	errStopping = usher.Errorf(usher.Unavailable, "stopping", "The server is stopping; come back in a moment.")
	errCrowded  = usher.Errorf(usher.TooMany, "room_crowded", "As many are connected to the room as may be; try again later.")
	errReadOnly = usher.Errorf(usher.Forbidden, "read_only", "You may read this document, but not change it.")
)

// bounds are what the configuration says about a document.
func (c Config) bounds() bounds {
	return bounds{objects: c.MaxObjects, items: c.MaxItems, bytes: c.MaxDocument}
}
