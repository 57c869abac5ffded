// Package access is the one door to every room: it decides whether a caller is
// allowed, asks package room whether it is possible, has a platform mint what
// the caller needs, and owns every live connection.
//
// Everything that serves a caller, the native API, the foreign dialects,
// signaling, goes through here and calls neither room nor policy nor platform
// itself, so that no step can be forgotten.
package access

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/bus"
	"usher/internal/contact"
	"usher/internal/identity"
	"usher/internal/keys"
	"usher/internal/limit"
	"usher/internal/platform"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store"
)

// Config is what [New] needs.
type Config struct {
	Store store.DB
	// Alone says that no other process writes to the store.
	Alone  bool
	Bus    bus.Bus
	Rooms  room.Config
	Policy policy.Config
	Record RecordConfig
	Limits limit.Config
	// Contacts are the limits of what users list.
	Contacts contact.Config
	// Presence knows who is connected; nil knows nobody.
	Presence Presence
	Logger   *slog.Logger
	IDs      *usher.IDSource
	Now      func() time.Time
	// Platforms are the platforms by name.
	Platforms map[string]platform.Platform
	// Readers recognise credentials of platforms that are not among them.
	Readers []platform.Inspector
	// Keys are our signing keys, and Guests makes the tokens of guests.
	Keys   *keys.Manager
	Guests *identity.Guests
	// Derive makes key material from our own secret; see keys.Sealer.
	Derive func(label string, parts ...string) [32]byte
	// Callers know who presents a token of this server's or of an issuer's; nil
	// knows nobody.
	Callers identity.Authenticator
	// Operations is what operators are told of the server itself.
	Operations Operations
	// Metrics is where the metrics of this package are registered.
	Metrics prometheus.Registerer
	// Random is where secrets come from; nil is crypto/rand.
	Random io.Reader
}

// Access is the way into every room. It is safe for concurrent use.
type Access struct {
	config   Config
	node     usher.ID
	rooms    *room.Service
	contacts *contact.Service
	policy   atomic.Pointer[policy.Policy]
	media    atomic.Pointer[map[string]platform.Platform]
	record   *recorder
	taken    *taken
	limits   *limiters
	abroad   *abroad
	late     latecomers
	metrics  *metrics

	// following is held while the sequence of takings is folded in, and caughtUp
	// is when Refresh did so last, in nanoseconds since 1970.
	following sync.Mutex
	caughtUp  atomic.Int64

	// turns are for who opens a room on a platform: one for each of some names.
	turns [16]chan struct{}

	mu    sync.Mutex
	halls map[usher.RoomKey]*hall

	lives lives

	background sync.WaitGroup
	stopRecord func() // nil before Start
}

// New returns an Access. Run must be running for as long as it is used.
func New(config Config) *Access {
	if config.Random == nil {
		config.Random = rand.Reader
	}
	a := &Access{
		config:  config,
		node:    config.IDs.New(),
		metrics: newMetrics(config.Metrics),
		halls:   make(map[usher.RoomKey]*hall),
		record:  newRecorder(config.Record, config.Store.Record(), config.Now, config.Logger),
		taken:   newTaken(),
		limits:  newLimiters(config.Limits, config.Now),
		abroad:  newAbroad(config.Platforms),
	}
	a.policy.Store(policy.New(config.Policy))
	a.media.Store(&config.Platforms)
	for i := range a.turns {
		a.turns[i] = make(chan struct{}, 1)
	}
	a.rooms = room.New(config.Rooms, room.Deps{
		Store: config.Store.Rooms(), IDs: config.IDs, Random: config.Random, Now: config.Now,
		Logger: config.Logger, Node: a.node,
		Changed: a.placeEnded,
		Ended:   func(r usher.Room) { a.announceEnd(context.Background(), r) },
	})
	a.metrics.watch(config.Metrics, a)
	a.contacts = contact.New(config.Contacts, contact.Deps{
		Users: config.Store.Users(), Contacts: config.Store.Contacts(), Bus: config.Bus, Now: config.Now, Logger: config.Logger,
		Node: a.node, Alone: config.Alone,
	})
	return a
}

// Start learns what was taken away, takes over what a process that is no more
// has left, and starts the record. Nothing may be served before, and Close must
// be called after.
func (a *Access) Start(ctx context.Context) error {
	if err := a.catchUp(ctx); err != nil {
		return err
	}
	n, err := a.rooms.Recover(ctx)
	if err != nil {
		return fmt.Errorf("access: %w", err)
	}
	a.startRecord()
	if n > 0 {
		a.config.Logger.Info("waiting for participants of an earlier run to come back", "participants", n)
	}
	return nil
}

// startRecord writes the record from now on. Only the first call counts: one
// recorder has one writer.
func (a *Access) startRecord() {
	if a.stopRecord != nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); a.record.run(ctx) }()
	a.stopRecord = func() { stop(); <-done }
}

// Run sweeps, follows what is taken away and has foreign platforms follow, until
// ctx ends: until nobody can come back any more, since from then on nobody may
// be called gone.
func (a *Access) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, work := range []func(context.Context){a.rooms.Run, a.rooms.RunForgetting, a.sweepMarks, a.sweepSessions, a.expireVisits, a.follow, a.reviewStays, a.partLate} {
		wg.Go(func() { work(ctx) })
	}
	for _, at := range a.abroad.reach {
		wg.Go(func() { a.askPlatform(ctx, at) })
	}
	wg.Wait()
}

// Close waits until what connections left behind is written down, and the
// record is. Every connection must have been closed before.
func (a *Access) Close(ctx context.Context) error {
	settled := make(chan struct{})
	go func() { defer close(settled); a.background.Wait() }()
	var err error
	select {
	case <-settled:
	case <-ctx.Done():
		err = fmt.Errorf("access: close: a connection did not end: %w", ctx.Err())
	}
	if a.stopRecord != nil {
		a.stopRecord()
	}
	return err
}

// wrapf adds what was being done to an error of the store.
func wrapf(what string, err error) error { return fmt.Errorf("access: %s: %w", what, err) }
