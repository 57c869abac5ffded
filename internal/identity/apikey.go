package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"usher"
	"usher/internal/store"
)

const (
	// apiKeyPrefix lets people and scanners of leaked secrets tell what it is.
	apiKeyPrefix = "usher_"
	idSize       = 26
	secretSize   = 43
)

const (
	// lastUsedEvery is how exact a client's last use is: it costs a write each.
	lastUsedEvery = time.Minute
	// maxUsed bounds the uses that are still to be written; another waits for the
	// client's next call.
	maxUsed = 1024
	// storeTimeout bounds a write of a last use.
	storeTimeout = 5 * time.Second
)

// NewAPIKey makes a key for a client: "usher_", its id, "_" and a secret of 256
// random bits. It is shown once; the store keeps the digest.
func NewAPIKey(client usher.ID, random io.Reader) (usher.Secret, usher.Digest, error) {
	secret, err := usher.NewSecret(random)
	if err != nil {
		return "", usher.Digest{}, fmt.Errorf("identity: make API key: %w", err)
	}
	key := usher.Secret(apiKeyPrefix + string(client) + "_" + secret.Reveal())
	return key, key.Digest(), nil
}

// ParseAPIKey returns the client that a key names. It reports false for text
// that has not the form of a key. A dialect whose callers send their key other
// than in an Authorization header makes it a [Proof]'s Bearer.
func ParseAPIKey(key usher.Secret) (usher.ID, bool) {
	rest, ok := strings.CutPrefix(key.Reveal(), apiKeyPrefix)
	if !ok || len(rest) != idSize+1+secretSize || rest[idSize] != '_' {
		return "", false
	}
	id, err := usher.ParseID(rest[:idSize])
	return id, err == nil
}

// APIKeys knows the back ends that call with a key. It is safe for concurrent
// use.
type APIKeys struct {
	Clients store.Clients
	Now     func() time.Time
	// Logger is told when a last use could not be written.
	Logger *slog.Logger

	mu   sync.Mutex
	used map[usher.ID]time.Time // what Run has yet to write
	wake chan struct{}
}

var _ Authenticator = (*APIKeys)(nil)

// Authenticate implements [Authenticator]. The client is read on each call, so
// that what was taken from it is gone at once.
func (a *APIKeys) Authenticate(ctx context.Context, p Proof) (usher.Identity, error) {
	if !strings.HasPrefix(p.Bearer.Reveal(), apiKeyPrefix) {
		return usher.Identity{}, ErrNotMine
	}
	id, ok := ParseAPIKey(p.Bearer)
	if !ok {
		return usher.Identity{}, because(ErrBad, "it has not the form of an API key")
	}
	client, err := a.Clients.Get(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return usher.Identity{}, fmt.Errorf("identity: read client: %w", err)
	}
	now := a.Now()
	switch {
	case !client.APIKey.Matches(p.Bearer): // as is no client's at all
		return usher.Identity{}, because(ErrBad, "it is not the API key of the client that it names")
	case client.Revoked():
		return usher.Identity{}, because(ErrBad, "the client is revoked")
	case client.Expired(now):
		return usher.Identity{}, because(ErrBad, "the client's access has expired")
	}
	if now.Sub(client.LastUsed) >= lastUsedEvery {
		a.note(id, now)
	}
	who := clientIdentity(client, client.Scopes)
	who.Proof = "api key"
	who.Expires = client.Expires
	// The key was made with the client, or when its keys were rotated.
	who.IssuedAt = client.CreatedAt()
	if client.NotBefore.After(who.IssuedAt) {
		who.IssuedAt = client.NotBefore
	}
	return who, nil
}

// note leaves a use for Run to write.
func (a *APIKeys) note(id usher.ID, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used == nil {
		a.used = make(map[usher.ID]time.Time)
	}
	if len(a.used) < maxUsed {
		a.used[id] = now
	}
	select {
	case a.signal() <- struct{}{}:
	default: // Run is told already
	}
}

// signal returns the channel that wakes Run. The caller holds a.mu.
func (a *APIKeys) signal() chan struct{} {
	if a.wake == nil {
		a.wake = make(chan struct{}, 1)
	}
	return a.wake
}

// Run writes down when clients were last seen, so that no call has to wait for
// it. It returns when ctx ends, after what is left to write.
func (a *APIKeys) Run(ctx context.Context) {
	a.mu.Lock()
	wake := a.signal()
	a.mu.Unlock()
	for {
		select {
		case <-wake:
			a.write(ctx)
		case <-ctx.Done():
			a.write(ctx)
			return
		}
	}
}

// write writes the uses that were noted. Each has a moment also when ctx ends.
func (a *APIKeys) write(ctx context.Context) {
	a.mu.Lock()
	used := a.used
	a.used = nil
	a.mu.Unlock()
	for id, at := range used {
		err := a.writeOne(context.WithoutCancel(ctx), id, at)
		if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrClosed) {
			a.Logger.WarnContext(ctx, "could not write when a client was last seen", "client", id, "err", err)
		}
	}
}

func (a *APIKeys) writeOne(ctx context.Context, id usher.ID, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	_, err := a.Clients.Update(ctx, id, func(c usher.Client) (usher.Client, error) {
		if at.Sub(c.LastUsed) < lastUsedEvery {
			return c, store.ErrUnchanged // another node was first
		}
		c.LastUsed = at
		return c, nil
	})
	return err
}
