package main

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher/internal/access"
	"usher/internal/config"
)

// reloads tells how reloading went.
type reloads struct {
	one     sync.Mutex // is held by who reloads
	success prometheus.Gauge
	at      prometheus.Gauge
}

func newReloads(registry prometheus.Registerer) *reloads {
	r := &reloads{
		success: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "usher_config_last_reload_success",
			Help: "1 if the configuration was sound when it was last read, 0 if not, so that the one before is in force.",
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "usher_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration in force was read.",
		}),
	}
	registry.MustRegister(r.success, r.at)
	r.done()
	return r
}

func (r *reloads) done() {
	r.success.Set(1)
	r.at.Set(float64(time.Now().Unix()))
}

// failed says why the configuration stays as it is.
func (s *server) failed(err error) {
	s.reloads.success.Set(0)
	s.logger.Error("the configuration was not reloaded, and stays as it was", "error", err)
}

// reload goes on with another configuration, in what can change while a server
// runs. It changes everything or, with an error, nothing.
func (s *server) reload(ctx context.Context, next config.Config) error {
	s.reloads.one.Lock()
	defer s.reloads.one.Unlock()
	before := *s.config.Load()
	cfg, changed, restart := before.Change(next)
	media, err := s.platforms(cfg, s.own)
	if err == nil && !s.access.Fits(media) {
		// Platforms come and go only with a restart.
		cfg, changed, restart = before.Change(next, "vpaas", "agora", "janus", "livekit", "turn")
		media, err = s.platforms(cfg, s.own)
	}
	if err != nil {
		return err
	}
	known, err := s.callers.others(cfg, before, *s.callers.foreign.Load())
	if err != nil {
		return err
	}
	// From here on nothing fails but the store, which webhooks ask where to begin.
	if err := s.webhooks.Apply(ctx, cfg.Webhooks); err != nil {
		return err
	}
	s.callers.use(cfg, known)
	s.access.Change(access.InForce{Policy: cfg.Policy, Limits: ownLimits(cfg.Limits), Platforms: media})
	s.limiters.Set(cfg.Limits)
	if s.hub != nil {
		s.hub.LimitFailed(cfg.Limits.Failed)
	}
	if s.level != nil {
		s.level.Set(cfg.Log.From())
	}
	s.health.Set(s.checks(cfg, media))
	s.config.Store(&cfg)
	s.reloads.done()
	s.logger.Info("the configuration was reloaded", "changed", strings.Join(changed, ", "))
	if len(restart) > 0 {
		s.logger.Warn("some of the configuration has changed that is read only when a server starts: restart it", "settings", strings.Join(restart, ", "))
	}
	return nil
}

// follow reloads the configuration, and the certificates, whenever it is told to,
// until ctx ends.
func (s *server) follow(ctx context.Context, told <-chan os.Signal, load func() (config.Config, []string, error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-told:
		}
		cfg, warnings, err := load()
		if err == nil {
			err = s.reload(ctx, cfg)
		}
		if err != nil {
			s.failed(err)
			continue
		}
		for _, w := range warnings {
			s.logger.Warn(w)
		}
		if s.certificates == nil {
			continue
		}
		if err := s.certificates.Reload(); err != nil {
			s.logger.Error("the certificate was not read anew, and stays as it was", "error", err)
		}
	}
}
