package main

import (
	"context"
	"log/slog"
	"time"

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
	chain   identity.Authenticator
	tokens  *identity.AccessTokens
	apiKeys *identity.APIKeys
	guests  *identity.Guests
	issuers *identity.Issuers
	dev     *identity.DevLogin // nil outside development mode
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
		guests:  &identity.Guests{Keys: ring, Issuer: issuer, Now: time.Now, Lifetime: cfg.Policy.MaxLifetime},
	}
	var err error
	if c.issuers, err = identity.NewIssuers(identity.IssuersConfig{Issuers: cfg.Issuers, Now: time.Now, Logger: logger}); err != nil {
		return nil, err
	}
	chain := identity.Chain{identity.Local{}, c.apiKeys, c.tokens, c.guests}
	if cfg.Dev {
		c.dev = &identity.DevLogin{Keys: ring, Issuer: issuer, Now: time.Now, Lifetime: devTokenLifetime}
		chain = append(chain, c.dev)
	}
	chain = append(chain, c.issuers)
	if cfg.Session.Enabled() {
		forward, err := identity.NewForward(cfg.Session, nil, time.Now)
		if err != nil {
			return nil, err
		}
		chain = append(chain, forward)
	}
	if cfg.Dev {
		chain = append(chain, identity.Dev{})
	}
	c.chain = identity.Operators(chain, cfg.Operators)
	return c, nil
}

// run does what identities need done in the background.
func (c *callers) run(ctx context.Context) { c.apiKeys.Run(ctx) }

// close ends what is being asked of issuers.
func (c *callers) close() { c.issuers.Close() }

// ownName is what the server calls itself in the tokens that it issues.
func ownName(cfg config.Config) string {
	if cfg.Server.PublicURL != "" {
		return cfg.Server.PublicURL
	}
	// Development mode without a public URL: tokens stay valid when the ports
	// change, and are good for nothing elsewhere.
	return "https://usher.localhost"
}
