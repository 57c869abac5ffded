package main

import (
	"context"
	"log/slog"
	"reflect"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/config"
	"usher/internal/identity"
	"usher/internal/keys"
	"usher/internal/store"
)

// Lifetimes of the tokens that we sign; keys are retained for the longest.
const (
	accessTokenLifetime = time.Hour
	devTokenLifetime    = 12 * time.Hour
)

// callers is everyone who can be known, and what they are known by.
type callers struct {
	chain   changing
	tokens  *identity.AccessTokens
	apiKeys *identity.APIKeys
	guests  *identity.Guests
	dev     *identity.DevLogin // nil outside development mode
	logger  *slog.Logger
	foreign atomic.Pointer[foreign]
}

// foreign are those whom others know.
type foreign struct {
	issuers *identity.Issuers
	session *identity.Forward // nil if nobody is asked about sessions
}

// changing is an authenticator that another can take the place of.
type changing struct {
	atomic.Pointer[identity.Authenticator]
}

// Authenticate implements [identity.Authenticator].
func (c *changing) Authenticate(ctx context.Context, p identity.Proof) (usher.Identity, error) {
	return (*c.Load()).Authenticate(ctx, p)
}

// retain is the longest lifetime of anything that we sign.
func retain(cfg config.Config) time.Duration {
	return max(accessTokenLifetime, devTokenLifetime, cfg.Policy.MaxLifetime)
}

// newCallers returns the chain of authenticators: what is tried first is what
// can tell from the first byte whether a proof is of its kind.
func newCallers(cfg config.Config, ring *keys.Manager, clients store.Clients, logger *slog.Logger) (*callers, error) {
	issuer := ownName(cfg)
	c := &callers{
		tokens:  &identity.AccessTokens{Keys: ring, Clients: clients, Issuer: issuer, Now: time.Now, Lifetime: accessTokenLifetime},
		apiKeys: &identity.APIKeys{Clients: clients, Now: time.Now, Logger: logger},
		logger:  logger,
		guests:  &identity.Guests{Keys: ring, Issuer: issuer, Now: time.Now, Lifetime: cfg.Policy.MaxLifetime},
	}
	if cfg.Dev {
		c.dev = &identity.DevLogin{Keys: ring, Issuer: issuer, Now: time.Now, Lifetime: devTokenLifetime}
	}
	known, err := c.others(cfg, config.Config{}, foreign{})
	if err != nil {
		return nil, err
	}
	c.use(cfg, known)
	return c, nil
}

// others returns whom others know by a configuration. What it says as one before
// did is kept as it is, with what was learned.
func (c *callers) others(cfg, before config.Config, was foreign) (known foreign, err error) {
	known = was
	if was.issuers == nil || !reflect.DeepEqual(cfg.Issuers, before.Issuers) {
		if known.issuers, err = identity.NewIssuers(identity.IssuersConfig{Issuers: cfg.Issuers, Now: time.Now, Logger: c.logger}); err != nil {
			return foreign{}, err
		}
	}
	if !cfg.Session.Enabled() {
		known.session = nil
	} else if was.session == nil || !reflect.DeepEqual(cfg.Session, before.Session) {
		if known.session, err = identity.NewForward(cfg.Session, nil, time.Now); err != nil {
			return foreign{}, err
		}
	}
	return known, nil
}

// lastWords is for how long issuers that are trusted no more are still asked for
// those who called before.
const lastWords = time.Minute

// use has callers known by a configuration from now on.
func (c *callers) use(cfg config.Config, known foreign) {
	chain := identity.Chain{identity.Local{}, c.apiKeys, c.tokens, c.guests}
	if c.dev != nil {
		chain = append(chain, c.dev)
	}
	chain = append(chain, known.issuers)
	if known.session != nil {
		chain = append(chain, known.session)
	}
	if cfg.Dev {
		chain = append(chain, identity.Dev{})
	}
	all := identity.Operators(chain, cfg.Operators)
	c.chain.Store(&all)
	if was := c.foreign.Swap(&known); was != nil && was.issuers != known.issuers {
		time.AfterFunc(lastWords, was.issuers.Close)
	}
}

// run does what identities need done in the background.
func (c *callers) run(ctx context.Context) { c.apiKeys.Run(ctx) }

// close ends what is being asked of issuers.
func (c *callers) close() { c.foreign.Load().issuers.Close() }

// ownName is what the server calls itself in the tokens that it issues.
func ownName(cfg config.Config) string {
	if cfg.Server.PublicURL != "" {
		return cfg.Server.PublicURL
	}
	// Development mode without a public URL: tokens stay valid when the ports
	// change, and are good for nothing elsewhere.
	return "https://usher.localhost"
}
