package keys

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Why [Remote.Key] has no key.
var (
	// ErrUnknownKey: the issuer publishes no key of that id.
	ErrUnknownKey = errors.New("the issuer has no such key")
	// ErrKeyAlgorithm: the issuer's key of that id is for another algorithm.
	ErrKeyAlgorithm = errors.New("the issuer's key is for another algorithm")
	// ErrUnavailable: the issuer could not be asked, and what it said earlier
	// does not answer the question.
	ErrUnavailable = errors.New("the issuer's keys can't be had")
)

// What a RemoteConfig stands for where it is silent.
const (
	defaultPause   = 10 * time.Second
	defaultMaxAge  = 10 * time.Minute
	defaultStale   = 24 * time.Hour
	defaultTimeout = 3 * time.Second
)

// RemoteConfig says where an issuer publishes its keys, and how often it may be
// asked for them.
type RemoteConfig struct {
	// Issuer is the issuer's name. If the discovery document stands where it
	// belongs, that is if Discovery is empty, it must state this name.
	Issuer string
	// JWKS is the address of the key set. Without it, the address is taken from
	// the discovery document of the issuer (OpenID Connect Discovery, section 4).
	JWKS string
	// Discovery is the address of that document, for an issuer that is reached by
	// another name than its own; it may then state what it likes.
	Discovery string

	// MinRefetch is the pause after a search for an unknown key, and after a
	// failure: 10 seconds if zero. Invented key ids, however many, cost the issuer
	// no more than one fetch in that time.
	MinRefetch time.Duration
	// MaxAge is how old keys may be before they are read again: 10 minutes if
	// zero, or less if the issuer's Cache-Control says so. A key that the issuer
	// withdraws is refused after twice that time at the latest.
	MaxAge time.Duration
	// StaleIfError is how long keys serve while the issuer is down: 24 hours if zero.
	StaleIfError time.Duration
	// Timeout bounds a fetch: 3 seconds if zero.
	Timeout time.Duration

	// What follows may be left out for that of the system; without a Logger
	// nothing is logged.
	HTTP   *http.Client
	Now    func() time.Time
	Logger *slog.Logger
}

// Remote is a cache of the keys that an issuer publishes. It follows their
// rotation, lives through the issuer's outages, and asks it rarely. It is safe
// for concurrent use; finding a known key takes no lock.
type Remote struct {
	issuer, jwks, discovery string
	checkIssuer             bool
	pause, maxAge, stale    time.Duration
	timeout                 time.Duration
	http                    *http.Client
	now                     func() time.Time
	log                     *slog.Logger

	set     atomic.Pointer[remoteSet] // what was fetched last; nil before
	fetches atomic.Uint64

	// Fetches belong to the Remote and not to the callers who wait for them.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	running *fetch    // what all who need keys now wait for
	barred  time.Time // when the pause began; zero for none
	failure error     // of the last fetch
	closed  bool
}

// fetch is one reading of the keys, shared by all who wait for it.
type fetch struct {
	// search says that somebody waits for an unknown key.
	search bool
	done   chan struct{}
	err    error // when done
}

// NewRemote returns a cache that has asked for nothing yet.
func NewRemote(c RemoteConfig) (*Remote, error) {
	r := &Remote{
		issuer: c.Issuer, jwks: c.JWKS, discovery: c.Discovery,
		pause: c.MinRefetch, maxAge: c.MaxAge, stale: c.StaleIfError, timeout: c.Timeout,
		now: c.Now, log: c.Logger,
	}
	if r.jwks == "" && r.discovery == "" {
		r.discovery = strings.TrimSuffix(c.Issuer, "/") + "/.well-known/openid-configuration"
		r.checkIssuer = true
	}
	for _, address := range []string{r.jwks, r.discovery} {
		if u, err := url.Parse(address); address != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
			return nil, fmt.Errorf("keys: issuer %q: %q is not the address of a key set or discovery document", c.Issuer, address)
		}
	}
	for _, d := range []struct {
		value  *time.Duration
		silent time.Duration
	}{{&r.pause, defaultPause}, {&r.maxAge, defaultMaxAge}, {&r.stale, defaultStale}, {&r.timeout, defaultTimeout}} {
		if *d.value < 0 {
			return nil, fmt.Errorf("keys: issuer %q: a time can't be negative", c.Issuer)
		}
		if *d.value == 0 {
			*d.value = d.silent
		}
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.http = sameOrigin(c.HTTP)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// Close ends a fetch that is under way and waits for it. Keys that are known
// can still be had.
func (r *Remote) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
}

// Fetches returns how often the issuer was asked for its keys.
func (r *Remote) Fetches() uint64 { return r.fetches.Load() }

// Probe returns why the issuer's keys can't be had. It asks the issuer if what it
// said last is too old or was a failure, and as rarely as [Remote.Key] does.
func (r *Remote) Probe(ctx context.Context) error {
	if set := r.set.Load(); set != nil && r.now().Sub(set.fetched) < set.fresh && !r.failing() {
		return nil
	}
	return r.fetch(ctx, false)
}

// Key returns the issuer's key of that id for that algorithm (RFC 7518, section
// 3.1): an *rsa.PublicKey, an *ecdsa.PublicKey or an ed25519.PublicKey. The
// error is ErrUnknownKey, ErrKeyAlgorithm, ErrUnavailable or that of the context.
//
// A known key is returned at once, unless it is so old that the issuer may have
// withdrawn it and the issuer answered when it was last asked. An unknown one
// makes the issuer be asked, unless it just was.
func (r *Remote) Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	set := r.set.Load()
	key, err := set.find(kid, alg)
	known := !errors.Is(err, ErrUnknownKey)
	if known {
		switch age := r.now().Sub(set.fetched); {
		case age < set.fresh:
			return key, err
		case age < 2*set.fresh || age < r.stale && r.failing():
			_, _ = r.begin(false) // nobody waits for it
			return key, err
		}
	}
	fetchErr := r.fetch(ctx, !known)
	if ctx.Err() != nil && errors.Is(fetchErr, ctx.Err()) {
		return nil, fmt.Errorf("keys: wait for the keys of %s: %w", r.issuer, fetchErr)
	}
	set = r.set.Load()
	key, err = set.find(kid, alg)
	switch {
	case fetchErr == nil:
		if !known && err == nil {
			r.found()
		}
		return key, err
	case !errors.Is(err, ErrUnknownKey) && r.now().Sub(set.fetched) < r.stale:
		return key, err
	default:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, fetchErr)
	}
}

// fetch waits until the keys were read. During the pause it returns at once
// what the last reading returned.
func (r *Remote) fetch(ctx context.Context, search bool) error {
	f, err := r.begin(search)
	if f == nil {
		return err
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin starts a fetch, or returns the one that is under way. There is none
// during the pause, when it returns the error of the last.
func (r *Remote) begin(search bool) (*fetch, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running != nil {
		r.running.search = r.running.search || search
		return r.running, nil
	}
	if r.closed {
		return nil, errors.New("keys: closed")
	}
	// A clock that was set back must not prolong the pause.
	if since := r.now().Sub(r.barred); !r.barred.IsZero() && 0 <= since && since < r.pause {
		return nil, r.failure
	}
	f := &fetch{search: search, done: make(chan struct{})}
	r.running = f
	r.fetches.Add(1)
	r.wg.Go(func() { r.run(f) })
	return f, nil
}

// run reads the keys and tells all who wait.
func (r *Remote) run(f *fetch) {
	ctx, cancel := context.WithTimeout(r.ctx, r.timeout)
	defer cancel()
	set, err := r.read(ctx)

	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.set.Store(set)
	} else if r.ctx.Err() == nil {
		r.log.Warn("could not read the keys of an issuer", "issuer", r.issuer, "err", err)
	}
	// Also when nobody is left to see what a search has found: else callers who
	// go away early could make us ask without end.
	r.barred = time.Time{}
	if err != nil || f.search {
		r.barred = r.now()
	}
	r.failure, r.running, f.err = err, nil, err
	close(f.done)
}

// failing reports whether the last fetch failed.
func (r *Remote) failing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure != nil
}

// found ends the pause after a search that was not in vain.
func (r *Remote) found() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil {
		r.barred = time.Time{}
	}
}
