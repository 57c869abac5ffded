package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"time"

	"usher/internal/config"
	"usher/internal/platform/janus"
)

// keysExport is `usher keys export`.
type keysExport struct {
	configFlags
	Janus bool   `required:"" help:"In the one form that janus-plugin-sfu reads: the public key as PKCS#1 in DER."`
	Key   string `placeholder:"FILE" help:"A key to take instead of the server's: public or private, in any usual form."`
	Out   string `default:"-" placeholder:"FILE" help:"Where to write it (default: standard output)."`
}

// Run writes the key for auth_key in janus.plugin.sfu.cfg.
func (c keysExport) Run(env environment) error {
	der, err := c.der(env)
	if err != nil {
		return err
	}
	if c.Out == "-" {
		_, err := env.Stdout.Write(der)
		return err
	}
	if there, err := readKeyFile(c.Out); err == nil {
		if _, err := janus.ParsePrivateKey(there); err == nil {
			return fmt.Errorf("%s has a private key, which would be lost: name another file with --out", c.Out)
		}
	}
	if err := os.WriteFile(c.Out, der, 0o644); err != nil { // a public key
		return err
	}
	fmt.Fprintf(env.Stderr, "wrote %s: name it as auth_key in janus.plugin.sfu.cfg, and restart Janus\n", c.Out)
	return nil
}

func (c keysExport) der(env environment) ([]byte, error) {
	if c.Key != "" {
		file, err := readKeyFile(c.Key)
		if err != nil {
			return nil, err
		}
		return janus.ConvertDER(file)
	}
	cfg, _, err := c.load(env, nil)
	if err != nil {
		return nil, err
	}
	key, err := janusKey(cfg, c.Dev)
	if err != nil {
		return nil, err
	}
	return janus.ExportDER(key)
}

// janusKey returns the private key that a server of this configuration signs
// permission tokens with, and makes it if that server has not yet.
func janusKey(cfg config.Config, dev bool) (crypto.Signer, error) {
	switch {
	case cfg.Janus.KeyFile != "":
		return janus.LoadPrivateKey(cfg.Janus.KeyFile)
	case !cfg.Janus.NeedsKey():
		return nil, errors.New("no key is in use: VideoRoom's tokens are signed with janus.tokenAuthSecret; for janus-plugin-sfu say janus.pluginURL")
	case !cfg.Janus.Enabled() && !dev:
		return nil, errors.New("no Janus is configured: say janus.pluginURL, or name a key with janus.keyFile (or AUTH_KEY_PRIVATE), or with --key FILE")
	}
	own, err := ownKeysOf(cfg)
	if err != nil {
		return nil, err
	}
	return own.loadOrMake()
}

type doctorJanus struct{ configFlags }

// doctorTime bounds an examination.
const doctorTime = 30 * time.Second

// Run examines the configured Janus, and fails if anything is at fault.
func (c doctorJanus) Run(ctx context.Context, env environment) error {
	cfg, _, err := c.load(env, nil)
	if err != nil {
		return err
	}
	if !cfg.Janus.Enabled() {
		return errors.New("no Janus is configured: see the settings that begin with janus in 'usher config doc'")
	}
	if cfg.Janus.NeedsKey() {
		if cfg.Janus.Signer, err = janusKey(cfg, c.Dev); err != nil {
			return err
		}
	}
	p, err := newJanus(cfg.Janus)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	faults := 0
	for _, f := range p.Doctor(ctx) {
		if f.Level == janus.Fault {
			faults++
		}
		if _, err := fmt.Fprintf(env.Stdout, "%-8s %s: %s\n", f.Level, f.Check, f.Message); err != nil {
			return err
		}
	}
	if faults > 0 {
		return fmt.Errorf("%d of these must be mended", faults)
	}
	return nil
}
