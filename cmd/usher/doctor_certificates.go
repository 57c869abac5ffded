package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"usher/internal/certs"
	"usher/internal/keys"
)

// certificates examines those that callers are shown; that one in files fits its
// key and the public URL, the configuration was examined for.
func (e *examination) certificates(ctx context.Context, served bool) {
	const check, renew = "certificate", "renew it; a running server shows the new one within a minute"
	files := e.cfg.Server.TLS
	switch {
	case len(files.ACME.Domains) > 0:
		e.acme(ctx, served)
	case files.CertFile != "":
		cert, err := certs.Load(files.CertFile, files.KeyFile)
		if err != nil {
			e.add(faultLevel, check, err.Error(), renew)
			return
		}
		e.certificate(certs.State{Leaf: cert.Leaf}, "it", renew)
	}
}

// certificate examines one that is there.
func (e *examination) certificate(state certs.State, name, renew string) {
	const check = "certificate"
	problem := state.Check(e.now())
	switch leaf := state.Leaf; {
	case problem == nil:
		e.well(check, fmt.Sprintf("%s is good until %s", name, leaf.NotAfter.Format(time.DateTime)))
	case leaf.NotBefore.After(e.now()):
		e.add(faultLevel, check, problem.Error(), "set the clock, or take one that is good already")
	case leaf.NotAfter.After(e.now()):
		e.add(warningLevel, check, problem.Error(), renew)
	default:
		e.add(faultLevel, check, problem.Error(), renew)
	}
}

// acme examines the certificates that were got from an authority, and whether it
// answers. Whether it reaches this machine is seen only when it is asked.
func (e *examination) acme(ctx context.Context, served bool) {
	const check = "certificate"
	got, err := certs.NewACME(acmeOf(e.cfg, filepath.Join(e.cfg.Data, acmeName), e.sealer(), slog.New(slog.DiscardHandler)))
	if err != nil {
		e.add(faultLevel, check, err.Error(), "")
		return
	}
	address := e.cfg.Server.TLS.ACME.DirectoryURL
	if err := got.Probe(ctx); err != nil {
		e.add(faultLevel, check, fmt.Sprintf("the authority %s does not answer: %v", address, err), "see that this machine reaches it, and trusts it (server.tls.acme.caFile)")
	} else {
		e.well(check, "the authority "+address+" answers")
	}
	for _, state := range got.States() {
		switch {
		case state.Leaf != nil:
			e.certificate(state, "that of "+state.Host, "see in the server's log why it was not renewed")
		case served:
			e.add(faultLevel, check, "there is none for "+state.Host+" yet", "see in the server's log what came of asking for it")
		default:
			e.well(check, "there is none for "+state.Host+" yet; it is got when the server runs")
		}
	}
}

// sealer is what opens the server's files. Nothing is made that is not there.
func (e *examination) sealer() certs.Sealer {
	path := filepath.Join(e.cfg.Data, sealName)
	if _, err := os.Stat(path); err != nil && e.cfg.Store.SealKey == "" {
		return nothingSealed{}
	}
	sealer, err := newSealer(e.cfg, path)
	if err != nil {
		return nothingSealed{}
	}
	return sealer
}

// nothingSealed stands in where there is no key, and so nothing to open.
type nothingSealed struct{}

func (nothingSealed) Seal([]byte, []byte) []byte { return nil }

func (nothingSealed) Open([]byte, []byte) ([]byte, error) { return nil, keys.ErrSealed }
