package main

import (
	"context"
	"errors"
	"io/fs"

	"usher/internal/platform"
	"usher/internal/platform/janus"
	"usher/internal/platform/livekit"
	"usher/internal/platform/vpaas"
)

// platforms examines those that can be asked. Agora can't be: what it takes is
// made here, and looked at by 'usher token inspect'.
func (e *examination) platforms(ctx context.Context) {
	if e.cfg.LiveKit.Enabled() {
		p, err := livekit.New(e.cfg.LiveKit)
		e.platform(ctx, livekit.Name, p, err, "see that it runs, that this machine reaches livekit.url, and that its keys are those of livekit")
	}
	if e.cfg.ForeignVPaaS() {
		p, err := foreignVPaaS(e.cfg)
		e.platform(ctx, vpaas.Name, p, err, "see that this machine reaches vpaas.apiAddress, and that vpaas.credentials are a client's of that service")
	}
	if e.cfg.Janus.Enabled() {
		e.janus(ctx)
	}
}

// platform examines one that says by itself how it is.
func (e *examination) platform(ctx context.Context, name string, p platform.Prober, err error, do string) {
	if err == nil {
		err = p.Probe(ctx)
	}
	if err != nil {
		e.add(faultLevel, name, err.Error(), do)
		return
	}
	e.well(name, "it answers, and knows us")
}

// janus examines a Janus as 'usher doctor janus' does, and makes no key for that.
func (e *examination) janus(ctx context.Context) {
	cfg := e.cfg.Janus
	if cfg.NeedsKey() && cfg.KeyFile == "" {
		key, err := ownJanusKey(e.cfg)
		if errors.Is(err, fs.ErrNotExist) {
			e.well(janus.Name, "its key is made when the server starts; look again then")
			return
		}
		if err != nil {
			e.add(faultLevel, janus.Name, err.Error(), "restore "+janusKeyName+" and "+sealName+" from one backup, or set janus.keyFile")
			return
		}
		cfg.Signer = key
	}
	p, err := newJanus(cfg)
	if err != nil {
		e.add(faultLevel, janus.Name, err.Error(), "")
		return
	}
	for _, f := range p.Doctor(ctx) {
		level := map[janus.Level]string{janus.Fine: wellLevel, janus.Warning: warningLevel, janus.Fault: faultLevel}[f.Level]
		e.add(level, janus.Name, f.Check+": "+f.Message, "")
	}
}
