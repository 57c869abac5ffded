package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"usher"
	"usher/client"
	"usher/internal/config"
)

// tokenCommand is `usher token`.
type tokenCommand struct {
	Inspect tokenInspect `cmd:"" help:"Say what a token of any platform is, and what is wrong with it."`
	Issue   tokenIssue   `cmd:"" help:"Have a token made for a room on a platform, and print it."`
}

// tokenFlags say where the server is and, if none runs there, what it would be
// configured with.
type tokenFlags struct {
	dataFlag
	Dev    bool   `help:"If no server runs: configure as in development mode, with .env."`
	Config string `placeholder:"FILE" help:"If no server runs: its configuration file."`
}

// operate is that of [dataFlag], with the platforms that are configured.
func (f tokenFlags) operate(ctx context.Context, env environment, call func(*client.API) error) error {
	if f.Dev || f.Config != "" {
		f.configure = func(env environment) (config.Config, error) {
			cfg, warnings, err := configFlags{Dev: f.Dev, Config: f.Config}.load(env, nil)
			for _, w := range warnings {
				fmt.Fprintln(env.Stderr, "warning: "+w)
			}
			return cfg, err
		}
	}
	return f.dataFlag.operate(ctx, env, call)
}

type tokenInspect struct {
	tokenFlags
	Token   string `arg:"" optional:"" default:"-" help:"The token, or - to read it from standard input, which keeps it out of the shell's history."`
	Room    string `placeholder:"NAME" help:"The room that it is said to be for, which not every format names."`
	Subject string `placeholder:"ID" help:"Whom it is said to be for, likewise."`
	JSON    bool   `help:"Print JSON."`
}

// maxToken is in bytes, beyond any token.
const maxToken = 64 << 10

// Run inspects a token, and never prints it.
func (c tokenInspect) Run(ctx context.Context, env environment) error {
	if c.Token == "-" {
		text, err := io.ReadAll(io.LimitReader(env.Stdin, maxToken))
		if err != nil {
			return fmt.Errorf("read the token: %w", err)
		}
		c.Token = strings.TrimRight(string(text), "\r\n")
	}
	if c.Token == "" {
		return errors.New("there is no token: name it, or write it to standard input")
	}
	return c.operate(ctx, env, func(a *client.API) error {
		found, err := a.Inspect(ctx, client.InspectRequest{Token: usher.Secret(c.Token), Room: c.Room, Subject: c.Subject})
		if err != nil {
			return err
		}
		if c.JSON {
			lines := json.NewEncoder(env.Stdout)
			lines.SetIndent("", "  ")
			return lines.Encode(found)
		}
		return describeToken(env.Stdout, found)
	})
}

// clock is how times are told: to the microsecond, as the record does.
const clock = "2006-01-02 15:04:05.000000 UTC"

// verdicts say what came of checking a signature.
var verdicts = map[string]string{
	"good": "by a key that this server has", "bad": "wrong", "unknown": "not checked: this server does not have the key",
}

// describeToken tells what a token says, the problems first.
func describeToken(w io.Writer, found client.Inspection) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, problem := range found.Problems {
		fmt.Fprintln(out, shown(problem))
	}
	if len(found.Problems) == 0 {
		fmt.Fprintln(out, "Nothing is wrong with it.")
	}
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(out, "  %s\t%s\n", shown(name), shown(value))
		}
	}
	row("format", found.Format)
	row("signature", verdicts[found.Verified])
	row("room", found.Room)
	row("subject", found.Subject)
	for _, t := range []struct {
		name string
		at   client.Time
	}{{"issued", found.IssuedAt}, {"expires", found.ExpiresAt}} {
		if !t.at.IsZero() {
			row(t.name, t.at.UTC().Format(clock))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found.Claims)) {
		if text, ok := found.Claims[name].(string); ok {
			row(name, text)
			continue
		}
		value, err := json.Marshal(found.Claims[name])
		if err != nil {
			return err
		}
		row(name, string(value))
	}
	return out.Flush()
}

// shown is text out of a token as it can be shown: whoever made the token must
// not write lines of their own, nor tell the terminal what to do.
func shown(s string) string {
	if usher.ValidateName(s, len(s)) != nil {
		return strconv.QuoteToASCII(s)
	}
	return s
}

type tokenIssue struct {
	tokenFlags
	Platform string        `required:"" placeholder:"NAME" help:"The platform: agora, agora/PROJECT, janus, livekit, turn or vpaas."`
	Room     string        `required:"" placeholder:"ROOM" help:"The room's id or name."`
	Format   string        `placeholder:"FORMAT" help:"One of the platform's formats (default: its usual one)."`
	Subject  string        `placeholder:"ID" help:"Whom the platform shall know the bearer as, such as an Agora uid."`
	Role     string        `placeholder:"ROLE" help:"The role in the room: viewer, speaker, host or one of the configuration."`
	TTL      time.Duration `placeholder:"DURATION" help:"For how long it shall be good, such as 30m."`
}

// Run has a token made. Standard output is the token and nothing else; or, where
// the token alone is of no use, all that goes with it, as JSON.
func (c tokenIssue) Run(ctx context.Context, env environment) error {
	return c.operate(ctx, env, func(a *client.API) error {
		issued, err := a.Issue(ctx, c.Room, client.CredentialRequest{
			Platform: c.Platform, Format: c.Format, Subject: c.Subject, Role: usher.Role(c.Role), TTL: int64(c.TTL / time.Second),
		})
		if err != nil {
			return err
		}
		if !issued.ExpiresAt.IsZero() {
			fmt.Fprintf(env.Stderr, "good until %s for %s in the room %s\n", issued.ExpiresAt.UTC().Format(clock), issued.Role, issued.Room)
		}
		if len(issued.Clamped) > 0 {
			fmt.Fprintf(env.Stderr, "cut down: %s\n", strings.Join(issued.Clamped, ", "))
		}
		if len(issued.Body) > 0 {
			_, err = fmt.Fprintf(env.Stdout, "%s\n", issued.Body)
			return err
		}
		_, err = fmt.Fprintln(env.Stdout, issued.Token.Reveal())
		return err
	})
}
