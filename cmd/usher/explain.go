package main

import (
	"context"
	"encoding/json"
	"fmt"

	"usher"
	"usher/client"
)

// explainCommand is `usher explain`.
type explainCommand struct {
	dataFlag
	ID   string `arg:"" help:"The decision's id, as a refused caller was told, or any other id of the record."`
	JSON bool   `help:"Print JSON."`
}

// Run explains one entry of the record.
func (c explainCommand) Run(ctx context.Context, env environment) error {
	return c.operate(ctx, env, func(a *client.API) error {
		e, err := a.Decision(ctx, usher.ID(c.ID))
		if err != nil {
			return err
		}
		if c.JSON {
			lines := json.NewEncoder(env.Stdout)
			lines.SetIndent("", "  ")
			return lines.Encode(e)
		}
		for _, sentence := range e.Explain() {
			if _, err := fmt.Fprintln(env.Stdout, sentence); err != nil {
				return err
			}
		}
		return nil
	})
}
