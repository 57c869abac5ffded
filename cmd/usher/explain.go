package main

import (
	"context"
	"encoding/json"
	"errors"
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
		if refused, ok := errors.AsType[*client.Error](err); ok && refused.Code == "decision_not_found" {
			return fmt.Errorf("%w A refusal's 'decision' is what can be explained; its 'request_id' is what to look for in the server's log", err)
		}
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
