// Package collab keeps the documents that people work on together: it orders
// what they do, writes it down, folds it, and tells everyone, and it knows who
// is there. It has no wire format; a dialect translates.
//
// A room has one document: maps of values by key, and lists of values. What the
// values mean is the clients' concern; here they only have to be JSON. A change
// is an [Op]. The ops of a room pass through one goroutine, which takes those
// that wait, folds them in, appends them to the log in one write, and only then
// tells anyone: an op that was acknowledged is on disk, all hear the same ops in
// the same order, and their stamps grow for ever, also across restarts.
//
// The document in memory is what the log comes to. If a write fails, nobody
// knows whether it took place; the room is then ended in memory, with everyone
// put out, and read anew when the next one comes.
//
// Who may enter, and what they may do there, is access's to say: a [Member] is
// an [access.Visit], and what ends that ends the membership.
//
// Lock order: Hub.mu, room.mu and Member.mu are never held together.
package collab

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/limit"
	"usher/internal/store"
)

// Config is what an operator can say about documents.
type Config struct {
	MaxValue    int           `yaml:"maxValue" doc:"The largest value of a key or an item, in bytes of JSON."`
	MaxDocument int           `yaml:"maxDocument" doc:"How large a document may grow, in bytes of memory, about; 0 is no limit."`
	MaxItems    int           `yaml:"maxItems" doc:"How many keys and items a document may have, deleted items of lists included; 0 is no limit."`
	MaxObjects  int           `yaml:"maxObjects" doc:"How many maps and lists a document may have; 0 is no limit."`
	MaxPresence int           `yaml:"maxPresence" doc:"How much one user may show of himself in a room, in bytes."`
	MaxPeers    int           `yaml:"maxPeers" doc:"How many connections a room may have; 0 is no limit."`
	Rate        limit.Rate    `yaml:"rate" doc:"How often one user may change something in a room, as 12000/1m. The browser client keeps up to 10000 changes while it is offline, and then sends them at once; 0 is no limit."`
	Grace       time.Duration `yaml:"grace" doc:"How long a user whose last connection broke is still shown to the others."`
}

// DefaultConfig returns the values in force where a configuration is silent.
func DefaultConfig() Config {
	return Config{
		MaxValue: 64 << 10, MaxDocument: 64 << 20, MaxItems: 200_000, MaxObjects: 1000,
		MaxPresence: 64 << 10, MaxPeers: 1000,
		Rate: limit.Rate{Count: 12_000, Per: time.Minute}, Grace: 5 * time.Second,
	}
}

// largestValue bounds what can be configured: with all that belongs to it, a
// value must fit into one record of any store.
const largestValue = 128 << 10

// Validate returns what is wrong with the configuration, field by field.
func (c Config) Validate() []usher.FieldProblem {
	var problems []usher.FieldProblem
	add := func(field, format string, args ...any) {
		problems = append(problems, usher.FieldProblem{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	for _, n := range []struct {
		field string
		value int
	}{{"maxDocument", c.MaxDocument}, {"maxItems", c.MaxItems}, {"maxObjects", c.MaxObjects}, {"maxPeers", c.MaxPeers}} {
		if n.value < 0 {
			add(n.field, "must be 0 (no limit) or more")
		}
	}
	for _, n := range []struct {
		field string
		value int
	}{{"maxValue", c.MaxValue}, {"maxPresence", c.MaxPresence}} {
		if n.value < 1 || n.value > largestValue {
			add(n.field, "must be from 1 to %d", largestValue)
		}
	}
	if c.Grace < 0 {
		add("grace", "must not be negative")
	}
	return problems
}

// Deps is what a [Hub] works with.
type Deps struct {
	Access *access.Access
	Store  store.Documents
	IDs    *usher.IDSource
	Now    func() time.Time
	Logger *slog.Logger
	// Metrics is told how much there is to do; it may be left out.
	Metrics prometheus.Registerer
}

// Peer is a dialect's end of one connection. Its methods are called one after
// the other, in the order in which things happened, from the room's goroutine:
// they must not block, nor call the room or the member.
type Peer interface {
	// Updated says that an op took place. It is the answer to an op of the
	// connection's own if own is set, and news otherwise. Own ops that changed
	// nothing are answered all the same: see [Update.Changed].
	Updated(u *Update, own bool)
	// Refused says that an op of the connection's own did not take place.
	Refused(op Op, err *usher.Error)
	// Listed follows Updated for the creation of a list that is there already:
	// all its items, deleted ones included, in the order of the list. There are
	// clients that can't be told in another way of what they don't know.
	Listed(name string, items []Item, stamp int64)
	// Present says what somebody in the room shows of himself. It is told to
	// everyone but the connection that it came from.
	Present(p *Presence)
	// Gone says that a user's last connection left and did not come back.
	Gone(g *Gone)
	// Ended says that the connection is out of the room, and must be closed.
	// Nothing follows.
	Ended(end End)
}

// End is why a member was put out of a room.
type End struct {
	// Why is one of access's reasons, or [Broken].
	Why access.EndReason
	// Message is for the person at the other end.
	Message string
}

// Broken means that the room could not go on, or that the server is stopping.
// Whoever comes back finds it whole.
const Broken access.EndReason = "broken"

// Hub keeps the rooms that somebody is in. It is safe for concurrent use.
type Hub struct {
	config Config
	deps   Deps
	limits *limit.Keyed

	metrics *metrics

	running sync.WaitGroup // the rooms' goroutines

	mu     sync.Mutex
	rooms  map[usher.RoomKey]*room
	closed bool
}

// New returns a hub without rooms.
func New(config Config, deps Deps) *Hub {
	return &Hub{
		config: config, deps: deps, limits: limit.New(config.Rate, deps.Now), metrics: newMetrics(deps.Metrics),
		rooms: make(map[usher.RoomKey]*room),
	}
}

// Close does what the rooms were sent before, puts everyone out, and returns
// when nothing runs any more. Members are to leave as always.
func (h *Hub) Close(ctx context.Context) error {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		for _, r := range h.rooms {
			close(r.stop)
		}
	}
	h.mu.Unlock()
	ended := make(chan struct{})
	go func() { defer close(ended); h.running.Wait() }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("collab: close: a room did not end: %w", ctx.Err())
	}
}

// enter returns a room, which the first to come opens. Each enter needs a release.
func (h *Hub) enter(key usher.RoomKey) (*room, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errStopping
	}
	r := h.rooms[key]
	if r == nil {
		r = newRoom(h, key)
		h.rooms[key] = r
		h.running.Go(func() { r.run(context.Background()) })
	}
	r.users++
	return r, nil
}

func (h *Hub) release(r *room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.users--
}

// retire forgets a room that nobody uses, and reports whether that is so.
func (h *Hub) retire(r *room) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.users > 0 {
		return false
	}
	delete(h.rooms, r.key)
	return true
}

// drop forgets a room that has ended, so that the next to come opens it anew.
func (h *Hub) drop(r *room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms[r.key] == r {
		delete(h.rooms, r.key)
	}
}

// Document returns a room's document to the bearer of a token, with everything
// in it that was told to anyone before.
func (h *Hub) Document(ctx context.Context, token usher.Secret, room usher.ID) (*View, error) {
	s, _, err := h.deps.Access.SessionPass(ctx, token, room)
	if err != nil {
		return nil, err
	}
	return h.view(usher.RoomKey{App: s.App, ID: room})
}

// Present returns who shows what in a room, to the bearer of a token: what has
// not expired, by key and then by user.
func (h *Hub) Present(ctx context.Context, token usher.Secret, room usher.ID) ([]Presence, error) {
	s, _, err := h.deps.Access.SessionPass(ctx, token, room)
	if err != nil {
		return nil, err
	}
	r, err := h.enter(usher.RoomKey{App: s.App, ID: room})
	if err != nil {
		return nil, err
	}
	defer h.release(r)
	var list []Presence
	err = r.do(func() { list = r.people.list(h.deps.Now()) })
	return list, err
}

// Read returns the document of a room to a back end.
func (h *Hub) Read(ctx context.Context, id usher.Identity, ref string) (*View, error) {
	key, err := h.deps.Access.DocumentToRead(ctx, id, ref)
	if err != nil {
		return nil, err
	}
	return h.view(key)
}

func (h *Hub) view(key usher.RoomKey) (*View, error) {
	r, err := h.enter(key)
	if err != nil {
		return nil, err
	}
	defer h.release(r)
	var v *View
	err = r.do(func() { v = r.doc.view() })
	return v, err
}

// OpError is why an op did not take place.
type OpError struct {
	// Index is the place of the op among those that were sent with it.
	Index int
	Err   *usher.Error
}

// Write has a back end change the document of a room, as a user of that name.
// The ops are applied in order; those that can't be are left out, and told with
// their places. The view has them all.
func (h *Hub) Write(ctx context.Context, id usher.Identity, ref, user string, ops []Op) (*View, []OpError, error) {
	key, err := h.deps.Access.DocumentToWrite(ctx, id, ref)
	if err != nil {
		return nil, nil, err
	}
	in := input{ops: ops, errs: make([]*usher.Error, len(ops)), call: &call{user: user, done: make(chan struct{})}}
	for i := range ops {
		in.errs[i] = ops[i].validate(h.config.MaxValue)
	}
	r, err := h.enter(key)
	if err != nil {
		return nil, nil, err
	}
	defer h.release(r)
	if err := r.send(in); err != nil {
		return nil, nil, err
	}
	if err := r.await(in.call.done); err != nil {
		return nil, nil, err
	}
	return in.call.view, in.call.errs, nil
}
