package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"usher"
	"usher/client"
)

// clientCommand is `usher client`.
type clientCommand struct {
	Add    clientAdd    `cmd:"" help:"Register a back end and print its client id, or its API key."`
	List   clientList   `cmd:"" help:"List the registered back ends."`
	Rotate clientRotate `cmd:"" help:"Give a back end new keys; what it was issued before is void."`
	Revoke clientRevoke `cmd:"" help:"Take all access from a back end, for good."`
}

// keyFlags say what a back end shall prove itself with.
type keyFlags struct {
	PublicKey string `placeholder:"FILE" help:"Its public key (PEM): RSA of at least 4096 bits, ECDSA P-384 or Ed25519."`
	APIKey    bool   `name:"api-key" help:"Make an API key and print it: it is shown only now."`
}

// Validate is called by the parser.
func (f keyFlags) Validate() error {
	if f.PublicKey == "" && !f.APIKey {
		return errors.New("say what the back end proves itself with: --public-key FILE, --api-key, or both")
	}
	return nil
}

// read returns the public key, if there is one.
func (f keyFlags) read() (string, error) {
	if f.PublicKey == "" {
		return "", nil
	}
	key, err := readKeyFile(f.PublicKey)
	if err == nil && len(key) == 0 {
		return "", fmt.Errorf("%s is empty: it has no public key", f.PublicKey)
	}
	return string(key), err
}

type clientAdd struct {
	dataFlag
	keyFlags
	Name    string        `required:"" placeholder:"NAME" help:"What people call the back end."`
	Scopes  *string       `placeholder:"SCOPES" help:"What it may ask for, separated by spaces (default: ${scopes})."`
	Expires time.Duration `placeholder:"DURATION" help:"After what time it loses all access, such as 720h (default: never)."`
}

// Run registers a back end. Standard output is its API key, if one was asked
// for, and else its id, and nothing else.
func (c clientAdd) Run(ctx context.Context, env environment) error {
	c.create = true // a back end can be registered before the first start
	publicKey, err := c.read()
	if err != nil {
		return err
	}
	req := client.AddClientRequest{Name: c.Name, PublicKey: publicKey, APIKey: c.APIKey}
	if c.Scopes != nil {
		if req.Scopes = usher.ParseScopes(*c.Scopes); req.Scopes == nil {
			return errors.New("--scopes is empty: name at least one scope, or leave it out for the usual ones")
		}
	}
	if c.Expires != 0 {
		req.ExpiresAt = client.Time{Time: time.Now().Add(c.Expires)}
	}
	return c.operate(ctx, env, func(a *client.API) error {
		added, err := a.AddClient(ctx, req)
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Stderr, "registered %s with the scopes %s\n", added.Name, added.Scopes)
		if !c.APIKey {
			_, err = fmt.Fprintln(env.Stdout, added.ID)
			return err
		}
		fmt.Fprintf(env.Stderr, "its client id is %s; its API key is shown only now\n", added.ID)
		_, err = fmt.Fprintln(env.Stdout, added.APIKey.Reveal())
		return err
	})
}

type clientList struct {
	dataFlag
	JSON bool `help:"Print JSON, one client a line."`
}

// Run lists the back ends, the oldest first.
func (c clientList) Run(ctx context.Context, env environment) error {
	return c.operate(ctx, env, func(a *client.API) error {
		lines := json.NewEncoder(env.Stdout)
		table := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
		if !c.JSON {
			fmt.Fprintln(table, "CLIENT\tNAME\tADDED\tUSED\tSTATE\tKEYS\tSCOPES")
		}
		for registered, err := range a.Clients(ctx, client.PageQuery{}) {
			switch {
			case err != nil:
				return err
			case c.JSON:
				err = lines.Encode(registered)
			default:
				_, err = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", registered.ID, registered.Name,
					minute(registered.CreatedAt), minute(registered.LastUsedAt), clientState(registered), clientKeys(registered), registered.Scopes)
			}
			if err != nil {
				return err
			}
		}
		return table.Flush()
	})
}

// minute is a time as tables show it.
func minute(t client.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func clientState(c client.Client) string {
	switch {
	case !c.RevokedAt.IsZero():
		return "revoked"
	case c.ExpiresAt.IsZero():
		return "active"
	case time.Now().Before(c.ExpiresAt.Time):
		return "active until " + minute(c.ExpiresAt)
	default:
		return "expired"
	}
}

// clientKeys names the keys that a back end can prove itself with.
func clientKeys(c client.Client) string {
	switch {
	case c.PublicKey != "" && c.HasAPIKey:
		return "public+api"
	case c.HasAPIKey:
		return "api"
	default:
		return "public"
	}
}

type clientRotate struct {
	dataFlag
	keyFlags
	Client string `arg:"" help:"The client's id."`
}

// Run replaces a back end's keys. Standard output is its API key, if one was
// asked for, and nothing else.
func (c clientRotate) Run(ctx context.Context, env environment) error {
	publicKey, err := c.read()
	if err != nil {
		return err
	}
	return c.operate(ctx, env, func(a *client.API) error {
		rotated, err := a.RotateClient(ctx, usher.ID(c.Client), client.RotateClientRequest{PublicKey: publicKey, APIKey: c.APIKey})
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Stderr, "%s has new keys; its earlier tokens and API key are void\n", rotated.Name)
		if c.APIKey {
			_, err = fmt.Fprintln(env.Stdout, rotated.APIKey.Reveal())
		}
		return err
	})
}

type clientRevoke struct {
	dataFlag
	Client string `arg:"" help:"The client's id."`
}

// Run takes a back end's access away.
func (c clientRevoke) Run(ctx context.Context, env environment) error {
	return c.operate(ctx, env, func(a *client.API) error {
		revoked, err := a.RevokeClient(ctx, usher.ID(c.Client))
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Stderr, "%s has no access any more\n", revoked.Name)
		return nil
	})
}
