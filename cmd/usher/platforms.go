package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher/internal/config"
	"usher/internal/platform"
	"usher/internal/platform/agora"
	"usher/internal/platform/janus"
	"usher/internal/platform/livekit"
	"usher/internal/platform/turnrest"
	"usher/internal/platform/vpaas"
	"usher/internal/turn"
)

// platforms returns every platform that is configured, by its name. In
// development mode there is a Janus without configuration.
func (s *server) platforms(cfg config.Config, own ownKeys) (_ map[string]platform.Platform, err error) {
	all := make(map[string]platform.Platform)
	if cfg.ForeignVPaaS() || cfg.Compat.VPaaS.Enabled {
		meetings, err := s.meetings(cfg)
		if err != nil {
			return nil, err
		}
		all[vpaas.Name] = meetings
	}
	if cfg.Agora.Enabled() {
		p, err := agora.New(cfg.Agora)
		if err != nil {
			return nil, err
		}
		all[agora.Name] = p
		for name, project := range p.Projects() {
			all[name] = project
		}
	}
	if cfg.Janus.Enabled() || cfg.Dev {
		if all[janus.Name], err = s.janus(cfg.Janus, own); err != nil {
			return nil, err
		}
	}
	if cfg.LiveKit.Enabled() {
		if all[livekit.Name], err = livekit.New(cfg.LiveKit); err != nil {
			return nil, err
		}
	}
	if cfg.TURN.Enabled() {
		if all[turnrest.Name], err = turnrest.New(cfg.TURN); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// foreignVPaaS returns the VPaaS elsewhere that is configured.
func foreignVPaaS(cfg config.Config) (vpaas.Foreign, error) {
	client, err := vpaas.HTTPClient(cfg.VPaaS.CAFile, cfg.VPaaS.Timeout)
	if err != nil {
		return vpaas.Foreign{}, err
	}
	key, err := vpaas.LoadPrivateKey(cfg.VPaaS.Credentials.PrivateKeyPath)
	if err != nil {
		return vpaas.Foreign{}, err
	}
	p, err := vpaas.New(vpaas.Config{
		APIAddress: cfg.VPaaS.APIAddress, Timeout: cfg.VPaaS.Timeout, Now: time.Now, HTTP: client,
		ClientID: cfg.VPaaS.Credentials.ClientID, Signer: key,
	})
	return vpaas.Foreign{Platform: p}, err
}

// janus returns the platform with a key, be it one of our own.
func (s *server) janus(cfg janus.Config, own ownKeys) (_ platform.Platform, err error) {
	if cfg.NeedsKey() {
		if cfg, err = s.keyed(cfg, own); err != nil {
			return nil, err
		}
	}
	p, err := newJanus(cfg)
	if err != nil {
		return nil, err
	}
	if !p.Reaches() {
		// Nobody need remember whom it lets in.
		return struct {
			platform.Platform
			platform.Inspector
		}{p, p}, nil
	}
	return p, nil
}

// newJanus returns the platform with its key, if it has one.
func newJanus(cfg janus.Config) (_ *janus.Platform, err error) {
	if cfg.KeyFile != "" {
		if cfg.Signer, err = janus.LoadPrivateKey(cfg.KeyFile); err != nil {
			return nil, err
		}
	}
	cfg.Now = time.Now
	return janus.New(cfg)
}

// readers recognise the credentials of platforms that are not configured, of
// which only the signature can't be checked then.
func readers() []platform.Inspector {
	return []platform.Inspector{agora.Reader(), janus.Reader(), livekit.Reader(), turnrest.Reader()}
}

// newRelay starts the embedded TURN server, or returns nil where there shall be
// none. It takes the credentials that the platform for TURN makes.
func newRelay(cfg config.Config, logger *slog.Logger, registry prometheus.Registerer) (*turn.Server, error) {
	if !cfg.TURNServer.Enabled() {
		return nil, nil
	}
	relay := cfg.TURNServer
	relay.Secret, relay.Logger, relay.Metrics, relay.Now = cfg.TURN.Secret, logger, registry, time.Now
	started, err := turn.Start(relay)
	if err != nil {
		return nil, fmt.Errorf("start the server of turnServer: %w", err)
	}
	return started, nil
}
