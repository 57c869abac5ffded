package main

import (
	"context"
	"runtime/debug"
	"time"

	compatconnections "usher/internal/compat/connections"
	"usher/internal/config"
	"usher/internal/httpd"
	"usher/internal/signaling"
)

// signaling starts the hub of people's connections, if there shall be one.
func (s *server) signaling(ctx context.Context, cfg config.Config, p parts) error {
	if !cfg.Signaling.Enabled {
		return nil
	}
	hub, err := signaling.New(cfg.Signaling, cfg.Calls, s.hubDeps(cfg, p))
	if err != nil {
		return err
	}
	s.hub = hub
	return hub.Start(ctx)
}

// connectionsAPI makes what serves the listener of the @connections API, if there
// is one.
func (s *server) connectionsAPI(cfg config.Config, common httpd.Config) (err error) {
	d := cfg.Compat.Connections
	if d.Listen == "" {
		return nil
	}
	api := compatconnections.New(compatconnections.Config{Hub: s.hub, Stage: d.Stage, Keys: d.AllKeys(), Rate: d.Rate, Now: time.Now})
	s.connections, err = httpd.New(common, api.Dialect())
	return err
}

// hubDeps is what a hub works with, wherever its connections are.
func (s *server) hubDeps(cfg config.Config, p parts) signaling.Deps {
	return signaling.Deps{
		Access: s.access, Calls: s.db.Calls(), Bus: p.nodes, IDs: p.ids, Now: time.Now, Logger: s.logger, Metrics: p.registry,
		Identity: s.access.Authenticator(&s.callers.chain), Failed: cfg.Limits.Failed, Proxies: cfg.Server.Proxies(),
		Origins: cfg.Server.Origins, Loopback: cfg.Dev, Origin: cfg.Compat.Connections.Listen != "", Settled: debug.FreeOSMemory,
	}
}

// presence asks the hub, which is made later than whoever asks it.
type presence struct{ *server }

// Online implements [access.Presence].
func (p presence) Online(ctx context.Context, app string, keys []string) (map[string]bool, error) {
	switch {
	case p.hub != nil:
		return p.hub.Online(ctx, app, keys)
	case p.remote != nil:
		return p.remote.Online(ctx, app, keys)
	}
	return nil, nil
}
