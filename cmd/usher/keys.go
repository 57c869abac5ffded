package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"text/tabwriter"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/client"
	"usher/internal/datadir"
	"usher/internal/keys"
	"usher/internal/store"
)

// keysCommand is `usher keys`.
type keysCommand struct {
	List   keysList   `cmd:"" help:"List the signing keys."`
	Rotate keysRotate `cmd:"" help:"Let the next key sign; what the one before signed stays valid."`
	Retire keysRetire `cmd:"" help:"End a key at once; what it signed is void."`
	Forget keysForget `cmd:"" help:"Go on without signing keys that can't be opened any more, since seal.key is lost."`
	Export keysExport `cmd:"" help:"Write the public key that a platform verifies our tokens with."`
}

type keysList struct {
	dataFlag
	JSON bool `help:"Print JSON, one key a line."`
}

// Run lists the keys in the order in which they are published.
func (c keysList) Run(ctx context.Context, env environment) error {
	return c.operate(ctx, env, func(a *client.API) error {
		published, err := a.Keys(ctx)
		if err != nil {
			return err
		}
		lines := json.NewEncoder(env.Stdout)
		table := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
		if !c.JSON {
			fmt.Fprintln(table, "KEY\tALGORITHM\tSTATE\tMADE\tPUBLISHED UNTIL")
		}
		for _, k := range published {
			if c.JSON {
				err = lines.Encode(k)
			} else {
				_, err = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Algorithm, k.State, minute(k.CreatedAt), minute(k.NotAfter))
			}
			if err != nil {
				return err
			}
		}
		return table.Flush()
	})
}

type keysRotate struct{ dataFlag }

// Run rotates the keys. Standard output is the id of the key that signs now.
func (c keysRotate) Run(ctx context.Context, env environment) error {
	return c.operate(ctx, env, func(a *client.API) error {
		current, err := a.RotateKeys(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintln(env.Stderr, "the next key signs from now on; the one before is published until all that it signed has expired")
		_, err = fmt.Fprintln(env.Stdout, current.ID)
		return err
	})
}

type keysRetire struct {
	dataFlag
	Key string `arg:"" name:"kid" help:"The key's id."`
}

// Run retires a key.
func (c keysRetire) Run(ctx context.Context, env environment) error {
	return c.operate(ctx, env, func(a *client.API) error {
		if err := a.RetireKey(ctx, usher.ID(c.Key)); err != nil {
			return err
		}
		fmt.Fprintf(env.Stderr, "the key %s is not accepted any more\n", c.Key)
		return nil
	})
}

type keysForget struct{ configFlags }

// Run deletes the signing keys of a server that does not run, if nobody can open
// them, so that it makes others when it starts.
func (c keysForget) Run(ctx context.Context, env environment) (err error) {
	cfg, _, err := c.load(env, nil)
	if err != nil {
		return err
	}
	dir, err := datadir.Open(cfg.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	db, err := openStore(ctx, cfg, serverOptions{Dir: dir, Logger: slog.New(slog.DiscardHandler)}, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := os.Stat(dir.Path(sealName)); err == nil || cfg.Store.SealKey != "" {
		sealer, err := newSealer(cfg, dir.Path(sealName))
		if err != nil {
			return err
		}
		_, err = keys.Open(ctx, keys.Config{Store: db.Keys(), Sealer: sealer, Retain: retain(cfg)})
		if err == nil {
			return errors.New("the signing keys can be opened: nothing was changed; 'usher keys rotate' exchanges them, and 'usher keys retire' voids what one has signed")
		}
		if !errors.Is(err, keys.ErrSealed) {
			return err
		}
	}
	forgotten := 0
	if _, err := db.Keys().Change(ctx, func(old []store.Key) ([]store.Key, error) {
		forgotten = len(old)
		return nil, nil
	}); err != nil {
		return err
	}
	fmt.Fprintf(env.Stderr, `%d signing keys are gone, and everything that they signed is void: who was let in has to come in again. Next:
  1. %s, if it is there, is sealed in the same way: remove it, and export the new one for Janus when the server runs
  2. start the server, which makes keys, and a %s if there is none; then back it up
`, forgotten, dir.Path(janusKeyName), dir.Path(sealName))
	return nil
}

// maxKeyFile is in bytes, far beyond any key.
const maxKeyFile = 1 << 20

// readKeyFile reads a file that a person says has a key.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	key, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(key) > maxKeyFile {
		err = fmt.Errorf("%s has more than %d bytes: that is no key", path, maxKeyFile)
	}
	return key, err
}
