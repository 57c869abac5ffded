package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher/internal/access"
	"usher/internal/config"
	"usher/internal/figures"
	"usher/internal/health"
	"usher/internal/platform"
)

// operations is what operators are told of this server.
func (s *server) operations(cfg config.Config, media map[string]platform.Platform, registry *prometheus.Registry) access.Operations {
	s.figures = figures.New(registry, time.Now)
	s.health = health.New(s.checks(cfg, media), time.Now)
	return access.Operations{
		Figures:  s.figures,
		Health:   s.health,
		Settings: func() []access.Setting { return s.config.Load().Settings() },
	}
}

// checks are of everything that the server depends on.
func (s *server) checks(cfg config.Config, media map[string]platform.Platform) []health.Check {
	list := []health.Check{{Kind: health.Store, Name: cmp.Or(cfg.Store.Driver, config.SQLite), Ask: s.db.Ping}}
	list = append(list, s.certificateChecks(cfg)...)
	for _, name := range slices.Sorted(maps.Keys(media)) {
		check := health.Check{Kind: health.Platform, Name: name}
		if prober, ok := media[name].(platform.Prober); ok {
			check.Ask = prober.Probe
		}
		list = append(list, check)
	}
	issuers := s.callers.foreign.Load().issuers
	for _, name := range issuers.Names() {
		list = append(list, health.Check{Kind: health.Issuer, Name: name, Ask: func(ctx context.Context) error {
			return issuers.Probe(ctx, name)
		}})
	}
	for _, target := range cfg.Webhooks {
		list = append(list, health.Check{Kind: health.Webhook, Name: target.Name, Ask: func(context.Context) error {
			return s.webhooks.Check(target.Name)
		}})
	}
	return list
}
