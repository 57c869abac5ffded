package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"usher"
	"usher/client"
	"usher/internal/api"
	"usher/internal/config"
	"usher/internal/webhook"
)

// tellOthers starts to tell the targets of the configuration what happens. The
// marks are the store's own.
func (s *server) tellOthers(ctx context.Context, cfg config.Config, p parts) error {
	s.webhooks = webhook.New(webhook.Deps{
		Record: s.access.Follow(), Marks: p.db.Once(), May: s.access.MayOperate,
		Encode: func(e usher.Event) any { return api.WireEvent(e) },
		Alone:  p.alone,
		Node:   p.ids.New(), Version: version, Now: time.Now, Logger: s.logger, Metrics: p.registry,
	})
	return s.webhooks.Apply(ctx, cfg.Webhooks)
}

// webhookCommand is `usher webhook`.
type webhookCommand struct {
	List   webhookList   `cmd:"" help:"List the targets of the running server, and how it stands with each."`
	Replay webhookReplay `cmd:"" help:"Tell a target everything from a place of the record on, or leave out what it does not take."`
	Secret webhookSecret `cmd:"" help:"Make a secret to sign with."`
}

type webhookList struct {
	dataFlag
	JSON bool `help:"Print JSON, one target a line."`
}

// Run lists the targets by name.
func (c webhookList) Run(ctx context.Context, env environment) error {
	return c.operate(ctx, env, func(a *client.API) error {
		all, err := a.Webhooks(ctx)
		if err != nil {
			return err
		}
		lines := json.NewEncoder(env.Stdout)
		table := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
		if !c.JSON {
			fmt.Fprintln(table, "TARGET\tHOST\tCURSOR\tROOMS HELD\tFAILING SINCE\tFAILURE")
		}
		for _, w := range all {
			if c.JSON {
				err = lines.Encode(w)
			} else {
				_, err = fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", w.Name, w.Host, w.Cursor, len(w.Held), minute(w.FailingSince), oneLine(w.Failure))
			}
			if err != nil {
				return err
			}
		}
		return table.Flush()
	})
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

type webhookReplay struct {
	dataFlag
	Name string `arg:"" help:"The target's name."`
	From string `required:"" placeholder:"CURSOR" help:"Where to go on: a cursor of the record, as GET /api/v1/events and every message have it, begin for all that is kept, or end for what happens from now on."`
}

// Run has a target told again. Standard output is where it is now.
func (c webhookReplay) Run(ctx context.Context, env environment) error {
	return c.operate(ctx, env, func(a *client.API) error {
		w, err := a.ReplayWebhook(ctx, c.Name, c.From)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(env.Stdout, w.Cursor)
		return err
	})
}

type webhookSecret struct{}

// Run makes a secret and prints it.
func (webhookSecret) Run(env environment) error {
	secret, err := webhook.NewSecret(rand.Reader)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, secret.Reveal())
	return err
}
