package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/bus"
	"usher/internal/config"
	"usher/internal/signaling"
)

// signaling starts the hub of people's connections, if there shall be one.
func (s *server) signaling(ctx context.Context, cfg config.Config, b bus.Bus, ids *usher.IDSource, registry prometheus.Registerer) error {
	if !cfg.Signaling.Enabled {
		return nil
	}
	hub, err := signaling.New(cfg.Signaling, cfg.Calls, signaling.Deps{
		Access: s.access, Calls: s.db.Calls(), Bus: b, IDs: ids, Now: time.Now, Logger: s.logger, Metrics: registry,
		Identity: s.access.Authenticator(s.callers.chain), Failed: cfg.Limits.Failed, Proxies: cfg.Server.Proxies(),
		Origins: cfg.Server.Origins, Loopback: cfg.Dev,
	})
	if err != nil {
		return err
	}
	s.hub = hub
	return hub.Start(ctx)
}

// presence asks the hub, which is made later than whoever asks it.
type presence struct{ *server }

// Online implements [access.Presence].
func (p presence) Online(ctx context.Context, app string, keys []string) (map[string]bool, error) {
	if p.hub == nil {
		return nil, nil
	}
	return p.hub.Online(ctx, app, keys)
}
