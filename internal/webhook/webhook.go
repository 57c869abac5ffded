// Package webhook tells others of what happens: it posts the events of the record
// to the targets of the configuration, signed.
//
// There is no second queue: the record is on disk, in one order, and is kept for
// long. What a target has been told is a mark in the store: a frontier, up to
// which all is delivered, and the rooms that are held back before it, each with
// its own place. So a room's later events wait for its earlier ones while other
// rooms go on, and whoever takes over knows where to begin. What was posted and
// not yet marked is posted again: events arrive at least once.
//
// Of several servers one has a target, by a lease in the same mark, which every
// change of it is conditional on.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/egress"
	"usher/internal/store"
)

// Deps is what a [Service] works with.
type Deps struct {
	Record access.Follower
	// Marks must be the store's own: what another server has written is to be
	// seen at once.
	Marks store.Once
	// Encode returns an event as others see it, to be written as JSON.
	Encode func(usher.Event) any
	// May refuses whoever may not see targets and replay events.
	May func(context.Context, usher.Identity) error
	// Alone says that no other server can work on the store, so that nobody has
	// to wait for the lease of one that is no more.
	Alone   bool
	Node    usher.ID
	Version string
	Now     func() time.Time
	Logger  *slog.Logger
	Metrics prometheus.Registerer
	// Client returns a client for a target, that may be private or not; nil makes
	// one that keeps to it.
	Client func(private bool) *http.Client
	// Jitter returns a number from 0 to 1; nil is random.
	Jitter func() float64
}

// Service delivers to all targets. It is safe for concurrent use.
type Service struct {
	Deps
	metrics *metrics

	// applying is held while targets change.
	applying sync.Mutex

	mu      sync.Mutex
	targets map[string]*target
}

// New returns a service without targets.
func New(deps Deps) *Service {
	if deps.Jitter == nil {
		deps.Jitter = rand.Float64
	}
	if deps.Client == nil {
		deps.Client = client
	}
	return &Service{Deps: deps, metrics: newMetrics(deps.Metrics), targets: make(map[string]*target)}
}

// client returns a client that connects to public addresses only, unless it may
// to private ones.
func client(private bool) *http.Client {
	if private {
		return egress.Client(nil)
	}
	return egress.Client(egress.Dialer{}.DialContext)
}

// Apply makes these the targets, in the place of those before. One that is new is
// told of what happens from now on: nothing may be served before.
func (s *Service) Apply(ctx context.Context, configs []Config) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	next := make(map[string]*target)
	for _, c := range configs {
		if old := s.target(c.Name); old != nil && reflect.DeepEqual(old.config, c) {
			next[c.Name] = old
			continue
		}
		t, err := s.newTarget(c)
		if err == nil {
			_, err = t.load(ctx)
		}
		if err != nil {
			return fmt.Errorf("webhook: target %s: %w", c.Name, err)
		}
		next[c.Name] = t
	}
	s.mu.Lock()
	former := s.targets
	s.targets = next
	s.mu.Unlock()
	s.await(configs)
	for name, old := range former {
		if next[name] != old {
			old.halt() // all at once: each may take its moment
		}
	}
	for name, old := range former {
		if next[name] != old {
			old.close()
		}
		if next[name] == nil {
			s.metrics.forget(name)
		}
	}
	for _, t := range next {
		t.start()
	}
	return nil
}

// await has those calls wait for the disk whose events targets are told of: what
// was answered is told, whatever happens to the server.
func (s *Service) await(configs []Config) {
	if len(configs) == 0 {
		s.Record.Await(nil)
		return
	}
	configs = slices.Clone(configs)
	s.Record.Await(func(e usher.Event) bool {
		return slices.ContainsFunc(configs, func(c Config) bool { return c.wants(e) })
	})
}

// Close ends all delivery. What is being posted has a moment to be answered.
func (s *Service) Close() error { return s.Apply(context.Background(), nil) }

func (s *Service) target(name string) *target {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.targets[name]
}

// Status is how it stands with a target.
type Status struct {
	Name, Host string
	Events     []string
	// Cursor is up to where the record has been delivered, but for the rooms in
	// Held, which are held back.
	Cursor access.Position
	Held   []usher.ID
	// FailingSince is from when on nothing was taken, and Failure why, as far as
	// this server knows.
	FailingSince time.Time
	Failure      string
	// DeliveredAt is when this server last delivered something.
	DeliveredAt time.Time
}

// Targets returns how it stands with each target, by name.
func (s *Service) Targets(ctx context.Context, id usher.Identity) ([]Status, error) {
	if err := s.May(ctx, id); err != nil {
		return nil, err
	}
	s.mu.Lock()
	targets := slices.Collect(maps.Values(s.targets))
	s.mu.Unlock()
	slices.SortFunc(targets, func(a, b *target) int { return cmp.Compare(a.config.Name, b.config.Name) })
	list := make([]Status, len(targets))
	for i, t := range targets {
		var err error
		if list[i], err = t.status(ctx); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Check returns why a target takes nothing, as far as this server knows; nil says
// that it does, or that there is none.
func (s *Service) Check(name string) error {
	t := s.target(name)
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.health.failures < failingAfter {
		return nil
	}
	return fmt.Errorf("it has taken nothing since %s: %s", t.health.failingSince.UTC().Format(time.RFC3339), t.health.failure)
}

// ErrNotFound: there is no target of that name.
var ErrNotFound = usher.Errorf(usher.NotFound, "webhook_not_found", "There is no webhook of that name in the configuration.")

// The places that a replay can begin at beside cursors.
const (
	Begin = "begin" // of what is kept of the record
	End   = "end"   // what happens from now on
)

// Replay has a target told of everything from a cursor on, or from [Begin] or
// [End], whether it has been told before or not.
func (s *Service) Replay(ctx context.Context, id usher.Identity, name, from string) (Status, error) {
	if err := s.May(ctx, id); err != nil {
		return Status{}, err
	}
	t := s.target(name)
	if t == nil {
		return Status{}, ErrNotFound
	}
	end, err := s.Record.End(ctx)
	if err != nil {
		return Status{}, err
	}
	at := end
	switch from {
	case End:
	case Begin:
		at = access.Position{}
	default:
		if at, err = access.ParsePosition(from); err == nil && (from == "" || at.Compare(end) > 0) {
			err = usher.Errorf(usher.Invalid, "cursor_invalid", "A replay begins at the cursor of an event that was recorded, at begin, or at end.")
		}
		if err != nil {
			return Status{}, err
		}
	}
	if err := t.moveTo(ctx, at); err != nil {
		return Status{}, err
	}
	s.Logger.Info("a webhook goes on from another place of the record", "target", name, "cursor", at.String(), "by", id.Key())
	return t.status(ctx)
}

// state is what is written down of a target.
type state struct {
	// Frontier is up to where all is delivered, but for the rooms in Held, each
	// from a position on. What has no room is a room of its own.
	Frontier access.Position              `json:"frontier"`
	Held     map[usher.ID]access.Position `json:"held,omitempty"`
	// Node delivers until then.
	Node  usher.ID  `json:"node,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

// forGood is for how long a mark lasts: longer than anything else here.
const forGood = 100 * 365 * 24 * time.Hour

func (t *target) mark(value []byte) store.Mark {
	return store.Mark{Name: "webhook:" + t.config.Name, Value: value, Expires: t.Now().Add(forGood)}
}

// stored is a state with its text in the store.
type stored struct {
	state
	text []byte
}

func decode(text []byte) (stored, error) {
	s := stored{text: text}
	if err := json.Unmarshal(text, &s.state); err != nil {
		return stored{}, fmt.Errorf("webhook: decode a mark: %w", err)
	}
	return s, nil
}

func (s state) encode() []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // it has nothing that can't be written
	}
	return text
}

// load reads the state. That of a target that is new begins at the end of the
// record.
func (t *target) load(ctx context.Context) (stored, error) {
	end, err := t.Record.End(ctx)
	if err != nil {
		return stored{}, err
	}
	there, err := t.Marks.Put(ctx, t.Now(), t.mark(state{Frontier: end}.encode()))
	if err != nil && !errors.Is(err, store.ErrExists) {
		return stored{}, fmt.Errorf("webhook: read a mark: %w", err)
	}
	return decode(there.Value)
}

// errMeanwhile says that somebody else has written meanwhile.
var errMeanwhile = errors.New("webhook: another has changed the mark")

// swap writes a state in the place of another. With errMeanwhile it returns the
// one that is there.
func (t *target) swap(ctx context.Context, old stored, next state) (stored, error) {
	text := next.encode()
	if bytes.Equal(text, old.text) {
		return old, nil
	}
	there, err := t.Marks.Replace(ctx, t.Now(), old.text, t.mark(text))
	switch {
	case errors.Is(err, store.ErrExists):
		current, err := decode(there.Value)
		return current, cmp.Or(err, errMeanwhile)
	case err != nil:
		return stored{}, fmt.Errorf("webhook: write a mark: %w", err)
	}
	return stored{next, text}, nil
}

// moveTo has the target go on from a position, whoever delivers to it.
func (t *target) moveTo(ctx context.Context, at access.Position) error {
	current, err := t.load(ctx)
	for err == nil {
		next := current.state
		next.Frontier, next.Held = at, nil
		if current, err = t.swap(ctx, current, next); err == nil {
			t.reload.Store(true)
			t.poke()
			return nil
		}
		if errors.Is(err, errMeanwhile) {
			err = ctx.Err()
		}
	}
	return err
}

func (t *target) status(ctx context.Context) (Status, error) {
	current, err := t.load(ctx)
	if err != nil {
		return Status{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return Status{
		Name: t.config.Name, Host: t.host, Events: t.config.Events,
		Cursor: current.Frontier, Held: slices.Sorted(maps.Keys(current.Held)),
		FailingSince: t.health.failingSince, Failure: t.health.failure, DeliveredAt: t.health.deliveredAt,
	}, nil
}

func (s *Service) newTarget(c Config) (*target, error) {
	t := &target{Service: s, config: c, wake: make(chan struct{}, 1), pauses: make(map[usher.ID]pause)}
	for _, secret := range []usher.Secret{c.Secret, c.FormerSecret} {
		if secret == "" {
			continue
		}
		key, err := parseKey(secret)
		if err != nil {
			return nil, err
		}
		t.keys = append(t.keys, key)
	}
	t.http = s.Client(c.AllowPrivate)
	req, err := http.NewRequest(http.MethodPost, c.URL, nil)
	if err != nil {
		return nil, errors.New("the URL can't be read")
	}
	t.host = strings.ToLower(req.URL.Host)
	return t, nil
}
