package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"usher"
	"usher/client"
)

// keysCommand is `usher keys`.
type keysCommand struct {
	List   keysList   `cmd:"" help:"List the signing keys."`
	Rotate keysRotate `cmd:"" help:"Let the next key sign; what the one before signed stays valid."`
	Retire keysRetire `cmd:"" help:"End a key at once; what it signed is void."`
	Export keysExport `cmd:"" help:"Write the public key that a platform verifies our tokens with."`
}

type keysList struct {
	dataFlag
	JSON bool `help:"Print JSON, one key a line."`
}

// Run lists the keys in the order in which they are published.
func (c keysList) Run(ctx context.Context, env environment) error {
	return c.operate(ctx, env, func(a *client.API) error {
		keys, err := a.Keys(ctx)
		if err != nil {
			return err
		}
		lines := json.NewEncoder(env.Stdout)
		table := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
		if !c.JSON {
			fmt.Fprintln(table, "KEY\tALGORITHM\tSTATE\tMADE\tPUBLISHED UNTIL")
		}
		for _, k := range keys {
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
