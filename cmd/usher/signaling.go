package main

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/bus"
	compatconnections "usher/internal/compat/connections"
	"usher/internal/config"
	"usher/internal/httpd"
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
		Origins: cfg.Server.Origins, Loopback: cfg.Dev, Origin: cfg.Compat.Connections.Listen != "", Settled: debug.FreeOSMemory,
	})
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

// presence asks the hub, which is made later than whoever asks it.
type presence struct{ *server }

// Online implements [access.Presence].
func (p presence) Online(ctx context.Context, app string, keys []string) (map[string]bool, error) {
	if p.hub == nil {
		return nil, nil
	}
	return p.hub.Online(ctx, app, keys)
}
