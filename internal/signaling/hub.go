// Package signaling is the hub that people's connections meet at: it relays
// what they tell each other, knows who is there, lets calls ring, and carries
// the messages of rooms. The protocol is docs/signaling.md.
//
// A connection costs what package socket needs, and a session of some hundred
// bytes: no goroutine, timer or buffer of its own. A message is looked through
// once for its envelope; its payload is passed on as it came, in one frame that
// all receivers share.
//
// Lock order: place.mu, call.Pending, user.mu, nodes.sending, Hub.mu, room.mu;
// never two of a kind. Sockets
// are written to under user.mu, which keeps the order of what a session is told;
// that never blocks.
package signaling

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/call"
	"usher/internal/identity"
	"usher/internal/limit"
	"usher/internal/socket"
	"usher/internal/store"
)

// Deps is what a [Hub] works with.
type Deps struct {
	Access *access.Access
	Calls  store.Calls
	Bus    bus.Bus
	// Identity knows the bearers of tokens.
	Identity identity.Authenticator
	// Origins are those whose pages may connect, beside our own, and Loopback
	// also lets all of this machine: as for the native API.
	Origins  []string
	Loopback bool
	// Failed is how often one address may fail to authenticate, and Proxies
	// those whose X-Forwarded-For is believed.
	Failed  limit.Rate
	Proxies []netip.Prefix
	// Origin has it kept where each socket comes from, for [Hub.Reached].
	Origin  bool
	IDs     *usher.IDSource
	Now     func() time.Time
	Logger  *slog.Logger
	Metrics prometheus.Registerer
	// Settled, if not nil, is called when many have connected and no more do, for
	// what connecting has left behind is of no use then.
	Settled func()
	// Random is where the key of resume tokens comes from; nil is crypto/rand.
	Random io.Reader
}

// Hub is all connections of this node. It is safe for concurrent use.
type Hub struct {
	Deps
	config  Config
	node    usher.ID
	sockets *socket.Group
	calls   *call.Service
	pending holder
	failed  *limit.Keyed
	// strangers limits the calls to people who do not list the caller.
	strangers *limit.Keyed
	metrics   *metrics
	key       [32]byte // of resume tokens

	// mu guards the maps, and is held for look-ups only.
	mu       sync.RWMutex
	users    map[userKey]*user
	sessions map[string]*session // by handle
	rooms    map[usher.RoomKey]*room

	tend  tender
	nodes nodes

	opened atomic.Int64 // how often a session got a socket
	unlost atomic.Bool  // the last loss of one could not be written down

	// turn is what a hub has that lives for one event of a gateway; it is nil
	// where connections are sockets of this process.
	turn *turn
}

// holder holds back what would come too early, as [call.Pending] does.
type holder interface {
	Begin(call usher.CallKey)
	Hold(call usher.Call, from string, message heldBack, size int) bool
	Open(call usher.Call, from string) []heldBack
	Answer(call usher.CallKey, send func(from string, message heldBack))
	End(call usher.CallKey)
}

// userKey finds a user: key is the identity's.
type userKey struct{ app, key string }

// New returns a hub. Run must be running for as long as it is used.
func New(config Config, calls call.Config, deps Deps) (*Hub, error) {
	if deps.Random == nil {
		deps.Random = rand.Reader
	}
	h := &Hub{
		Deps: deps, config: config.complete(), node: deps.IDs.New(),
		pending: call.NewPending[heldBack](calls.Candidates),
		failed:  limit.New(deps.Failed, deps.Now), strangers: limit.New(strangers, deps.Now),
		metrics:  newMetrics(deps.Metrics),
		users:    make(map[userKey]*user),
		sessions: make(map[string]*session),
		rooms:    make(map[usher.RoomKey]*room),
		tend:     newTender(),
		nodes:    nodes{missed: make(chan struct{}, 1)},
	}
	if _, err := io.ReadFull(deps.Random, h.key[:]); err != nil {
		return nil, err
	}
	h.sockets = socket.NewGroup(socket.Config{
		ReadLimit: int64(h.config.MaxMessage), QueueLimit: h.config.Queue, PingEvery: h.config.pingEvery(), IdleTimeout: h.config.Idle,
		Origins: h.allowsPage, Subprotocols: []string{Subprotocol}, Logger: deps.Logger,
	})
	h.calls = call.New(calls, call.Deps{
		Store: deps.Calls, IDs: deps.IDs, Now: deps.Now, Logger: deps.Logger, Node: h.node, Changed: h.callChanged,
	})
	deps.Access.WatchContacts(h.contactChanged)
	return h, nil
}

// Start takes over what a process that is no more has left. Nothing may be
// served before.
func (h *Hub) Start(ctx context.Context) error {
	_, err := h.calls.Recover(ctx)
	return err
}

// Run does what is due, until ctx ends.
func (h *Hub) Run(ctx context.Context) {
	var work sync.WaitGroup
	for _, f := range []func(context.Context){h.calls.Run, h.sweep, h.tendPresence, h.meetNodes, h.rereadCalls} {
		work.Go(func() { f(ctx) })
	}
	work.Wait()
}

// How soon clients come back after a restart: none before the next process may be
// there, and at most so many a second, as long as their sessions are good for.
const (
	backAfter = 500 * time.Millisecond
	backRate  = 200
	backLeast = time.Second
)

// Shutdown tells every client when to come back, each at another time, lets
// nobody new in, and returns when all connections are closed.
func (h *Hub) Shutdown(ctx context.Context) error {
	h.sendAway()
	return h.sockets.Shutdown(ctx, socket.CodeRestart, "The server restarts; connect again.")
}

// sendAway says to each client that has a socket, and understands it, when to come
// back.
func (h *Hub) sendAway() {
	h.mu.RLock()
	sessions := slices.Collect(maps.Values(h.sessions)) // in no order
	h.mu.RUnlock()
	n := time.Duration(len(sessions))
	spread := min(max(backLeast, n*time.Second/backRate), max(backLeast, h.config.ResumeWindow/2))
	for i, s := range sessions {
		s.sendAway(backAfter + spread*time.Duration(i)/n)
	}
}

// LimitFailed changes how often one address may fail to authenticate.
func (h *Hub) LimitFailed(rate limit.Rate) { h.failed.SetRate(rate) }

// stepTime bounds one step in the store on behalf of one message.
const stepTime = 10 * time.Second

func (h *Hub) step() (context.Context, context.CancelFunc) {
	return context.WithTimeout(h.base(), stepTime)
}

// base is what all that is done for a message goes on in: none is given up when
// its connection ends.
func (h *Hub) base() context.Context {
	if h.turn != nil {
		return h.turn.ctx
	}
	return context.Background()
}

// sweepEvery is how exactly expiry, lifetimes and the ends of sessions are kept.
const sweepEvery = time.Second

// sweep looks after sessions whose time has come, until ctx ends.
func (h *Hub) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var due []*session
	var crowd crowd
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := h.Now()
		h.mu.RLock()
		all := len(h.sessions)
		for _, s := range h.sessions {
			if at := s.due.Load(); at != 0 && at <= now.UnixNano() {
				due = append(due, s)
			}
		}
		h.mu.RUnlock()
		for _, s := range due {
			s.settle(now)
		}
		clear(due)
		due = due[:0]
		if crowd.settled(h.opened.Load(), all) && h.Settled != nil {
			h.Settled()
		}
	}
}

// crowd notices that many have connected.
type crowd struct{ last, before int64 }

// leastCrowd is how many are many, where a quarter of all is less.
const leastCrowd = 1000

// settled is told how many have connected so far, and how many are there. It
// reports whether none has since it was last asked, and many had since it last
// said so.
func (c *crowd) settled(opened int64, all int) bool {
	quiet := opened == c.last
	c.last = opened
	if !quiet || opened-c.before < max(leastCrowd, int64(all/4)) {
		return false
	}
	c.before = opened
	return true
}

// user returns who is connected under that key, or nil.
func (h *Hub) user(app, key string) *user {
	if h.turn != nil {
		return h.turn.user(userKey{app, key})
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.users[userKey{app, key}]
}
