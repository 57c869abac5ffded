// Package keys holds our own secrets: the keys that sign our tokens, in a
// rotation that no verifier notices, and the [Sealer] that encrypts what the
// store keeps.
//
// There is always one key that signs, the current one, and one that will, the
// next. Both are published, as is every retired key for as long as something
// that it signed may be valid. All nodes of one store share the keys: each
// reads them again so often that a change on one node is known to all within
// Config.Refresh. Rotation waits until the next key has been published for as
// long; hence a key that signs is one that every node publishes.
//
// Signing and verifying wait for nobody: they use the set of keys that is in an
// atomic pointer. Manager.mu serializes only what replaces that set.
package keys

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/recent"
	"usher/internal/store"
)

// storeTimeout bounds every access to the store.
const storeTimeout = 5 * time.Second

// defaultRefresh lets a key that was retired on another node be refused as
// fast as everything else that is taken away.
const defaultRefresh = time.Second

// Config says what a Manager works with.
type Config struct {
	Store  store.Keys
	Sealer *Sealer
	// Retain is the longest lifetime of any token that is signed. A retired key
	// is published for that long, and for one Refresh more.
	Retain time.Duration
	// Refresh is the time within which a change on one node is known to all, the
	// same on each of them; one second if zero. The store is read twice as often,
	// so that a late reading does no harm.
	Refresh time.Duration

	// What follows may be left out for that of the system; without a Logger
	// nothing is logged.
	Now    func() time.Time
	IDs    *usher.IDSource
	Random io.Reader
	Logger *slog.Logger
}

// Manager signs our tokens, verifies them and rotates the keys. It is safe for
// concurrent use.
type Manager struct {
	store   store.Keys
	sealer  *Sealer
	retain  time.Duration
	refresh time.Duration
	now     func() time.Time
	ids     *usher.IDSource
	random  io.Reader
	log     *slog.Logger

	ring atomic.Pointer[ring] // what Sign, Verify and JWKS use
	// genuine holds, for tokens that were verified last, the keys that signed them.
	genuine *recent.Map[ed25519.PublicKey]

	// mu orders the replacements of ring, so that what was read earlier never
	// takes the place of what was read later.
	mu       sync.Mutex
	searched time.Time // when a token's unknown kid last made us read
}

// Open loads the keys. In a store without any it makes a current and a next
// one; nodes that start at once agree on them.
func Open(ctx context.Context, c Config) (*Manager, error) {
	switch {
	case c.Store == nil || c.Sealer == nil:
		return nil, errors.New("keys: a manager needs a store and a sealer")
	case c.Retain <= 0:
		return nil, errors.New("keys: a manager needs to know how long its tokens live")
	case c.Refresh < 0:
		return nil, errors.New("keys: the time between two refreshes can't be negative")
	}
	m := &Manager{
		store: c.Store, sealer: c.Sealer, retain: c.Retain, refresh: c.Refresh,
		now: c.Now, ids: c.IDs, random: c.Random, log: c.Logger,
		genuine: recent.New[ed25519.PublicKey](rememberTokens),
	}
	if m.refresh == 0 {
		m.refresh = defaultRefresh
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.random == nil {
		m.random = rand.Reader
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.ids == nil {
		var err error
		if m.ids, err = usher.NewIDSource(m.now, m.random); err != nil {
			return nil, fmt.Errorf("keys: open: %w", err)
		}
	}
	if err := m.initialize(ctx); err != nil {
		return nil, fmt.Errorf("keys: open: %w", err)
	}
	return m, nil
}

// initialize loads the keys, and makes the first two if there are none.
func (m *Manager) initialize(ctx context.Context) error {
	current, err := m.newKey(store.CurrentKey)
	if err != nil {
		return err
	}
	next, err := m.newKey(store.NextKey)
	if err != nil {
		return err
	}
	return m.change(ctx, func(old []store.Key) ([]store.Key, error) {
		if len(old) > 0 {
			return nil, store.ErrUnchanged
		}
		return []store.Key{current, next}, nil
	})
}

// newKey makes a key that no store has yet.
func (m *Manager) newKey(state store.KeyState) (store.Key, error) {
	return newKey(m.ids.New(), state, m.time(), m.random, m.sealer)
}

// time is the present as a store keeps it.
func (m *Manager) time() time.Time { return m.now().UTC().Truncate(time.Microsecond) }

// JWKS returns the published keys as a JSON Web Key Set (RFC 7517): the
// current, the next and the retired ones. The bytes are the same on every node
// and for as long as the keys are, and must not be changed.
func (m *Manager) JWKS() []byte { return m.ring.Load().jwks }

// List reads the keys from the store and returns them in the order in which
// they are published.
func (m *Manager) List(ctx context.Context) ([]Key, error) {
	if err := m.Refresh(ctx); err != nil {
		return nil, err
	}
	keys := m.ring.Load().keys
	list := make([]Key, len(keys))
	for i, k := range keys {
		list[i] = k.info()
	}
	return list, nil
}

// Refresh reads again what other nodes may have changed. If that fails, the
// keys stay as they are.
func (m *Manager) Refresh(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.read(ctx); err != nil {
		return fmt.Errorf("keys: refresh: %w", err)
	}
	return nil
}

// read replaces the ring by what the store has. The caller holds m.mu.
func (m *Manager) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	records, err := m.store.List(ctx)
	if err != nil {
		return err
	}
	return m.use(records)
}

// change changes the stored keys and replaces the ring by the outcome.
func (m *Manager) change(ctx context.Context, f func([]store.Key) ([]store.Key, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	records, err := m.store.Change(ctx, f)
	if err != nil {
		return err
	}
	return m.use(records)
}

// use makes a ring of the records. The caller holds m.mu.
func (m *Manager) use(records []store.Key) error {
	r, err := newRing(records, m.ring.Load(), m.sealer, m.time())
	if err != nil {
		return err
	}
	m.ring.Store(r)
	return nil
}

// find returns a published key, or nil. All who look for an unknown one wait
// for the same read, which therefore heeds no single caller's context.
func (m *Manager) find(id usher.ID) *signingKey {
	if key := m.ring.Load().byID[id]; key != nil {
		return key
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if key := m.ring.Load().byID[id]; key != nil {
		return key
	}
	// A clock that was set back must not prolong the pause.
	if since := m.now().Sub(m.searched); 0 <= since && since < m.refresh {
		return nil
	}
	err := m.read(context.Background())
	m.searched = m.now()
	if err != nil {
		m.log.Warn("could not look for an unknown signing key", "kid", id, "err", err)
	}
	return m.ring.Load().byID[id]
}
