package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"

	"usher"
	"usher/client"
)

// clientCommand is `usher client`.
type clientCommand struct {
	Add    clientAdd    `cmd:"" help:"Register a back end and print its client id."`
	List   clientList   `cmd:"" help:"List the registered back ends."`
	Rotate clientRotate `cmd:"" help:"Give a back end a new key; what it was issued before is void."`
	Revoke clientRevoke `cmd:"" help:"Take all access from a back end, for good."`
}

type clientAdd struct {
	dataFlag
	Name      string `required:"" placeholder:"NAME" help:"What people call the back end."`
	PublicKey string `required:"" placeholder:"FILE" help:"Its public key (PEM): RSA of at least 4096 bits, ECDSA P-384 or Ed25519."`
	Scopes    string `placeholder:"SCOPES" help:"What it may ask for, separated by spaces (default: ${scopes})."`
}

// Run registers a back end. Standard output is its id and nothing else.
func (c clientAdd) Run(ctx context.Context, env environment) error {
	key, err := os.ReadFile(c.PublicKey)
	if err != nil {
		return err
	}
	return c.operate(ctx, env, func(a *client.API) error {
		added, err := a.AddClient(ctx, client.AddClientRequest{Name: c.Name, PublicKey: string(key), Scopes: usher.ParseScopes(c.Scopes)})
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Stderr, "registered %s with the scopes %s\n", added.Name, added.Scopes)
		_, err = fmt.Fprintln(env.Stdout, added.ID)
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
			fmt.Fprintln(table, "CLIENT\tNAME\tADDED\tSTATE\tSCOPES")
		}
		for registered, err := range a.Clients(ctx, client.PageQuery{}) {
			switch {
			case err != nil:
				return err
			case c.JSON:
				err = lines.Encode(registered)
			default:
				state := "active"
				if !registered.RevokedAt.IsZero() {
					state = "revoked"
				}
				_, err = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", registered.ID, registered.Name,
					registered.CreatedAt.Format("2006-01-02 15:04"), state, registered.Scopes)
			}
			if err != nil {
				return err
			}
		}
		return table.Flush()
	})
}

type clientRotate struct {
	dataFlag
	Client    string `arg:"" help:"The client's id."`
	PublicKey string `required:"" placeholder:"FILE" help:"The new public key (PEM)."`
}

// Run replaces a back end's key.
func (c clientRotate) Run(ctx context.Context, env environment) error {
	key, err := os.ReadFile(c.PublicKey)
	if err != nil {
		return err
	}
	return c.operate(ctx, env, func(a *client.API) error {
		rotated, err := a.RotateClient(ctx, usher.ID(c.Client), string(key))
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Stderr, "%s has a new key; its earlier tokens are void\n", rotated.Name)
		return nil
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
