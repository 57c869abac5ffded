// Command usher is the access server for real-time rooms, and the tool to run it.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"usher"
	"usher/internal/config"
)

// version is set when a release is built.
var version = "devel"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once, so that nobody has to wait for
	// a shutdown that hangs.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], environment{
		Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Terminal: isTerminal(os.Stdin), Root: os.Geteuid() == 0, Installed: isInstalled(),
	}))
}

// environment is what a command has of the world around it.
type environment struct {
	Environ []string
	Stdin   io.Reader
	// Stdout carries only what was asked for; all else goes to Stderr.
	Stdout, Stderr io.Writer
	// Terminal says that somebody is there to be asked.
	Terminal bool
	// Root says that we may give files to others.
	Root bool
	// Installed says that systemd knows the server as usher.
	Installed bool
}

// commands is the command line.
type commands struct {
	Init    initCommand    `cmd:"" help:"Set a server up: write its configuration, make its keys, name its first operator."`
	Serve   serveCommand   `cmd:"" help:"Run the server."`
	Migrate migrateCommand `cmd:"" help:"Make the tables of the store, or check and update those that are there."`
	Backup  backupCommand  `cmd:"" help:"Write all that a server keeps to one file, while it runs or not."`
	Restore restoreCommand `cmd:"" help:"Make a data folder of a back-up, and verify it."`
	Client  clientCommand  `cmd:"" help:"Register and manage the back ends that may call the server."`
	Explain explainCommand `cmd:"" help:"Explain a decision, by the id that a refused caller was told."`
	Keys    keysCommand    `cmd:"" help:"List, rotate and retire the server's own signing keys."`
	Webhook webhookCommand `cmd:"" help:"List who is told of what happens, and tell them again."`
	Token   tokenCommand   `cmd:"" help:"Inspect and issue tokens of the platforms that carry media."`
	API     apiCommand     `cmd:"" name:"api" help:"Call the server's API as the operator on this machine."`
	Doctor  doctorCommand  `cmd:"" help:"Check what the server depends on, and say what to do about it."`
	Health  healthCommand  `cmd:"" help:"Ask a server whether it serves, as the health check of a container."`
	Config  configCommand  `cmd:"" help:"Check, print and explain the configuration."`
	Bench   benchCommand   `cmd:"" help:"Measure this build on this machine."`
	Version versionCommand `cmd:"" help:"Print the version."`

	PrintVersion kong.VersionFlag `name:"version" help:"Print the version."`
}

// exit is the panic with which kong's own exits (--help) leave the parser.
type exit int

// run parses and executes a command line and returns the exit status: 0, 1
// when the command failed, 2 when it was not understood.
func run(ctx context.Context, args []string, env environment) (status int) {
	if len(args) == 0 && env.onLambda() {
		if err := runFunction(ctx, env); err != nil {
			fmt.Fprintf(env.Stderr, "usher: %v\n", err)
			return 1
		}
		return 0
	}
	defer func() {
		switch v := recover().(type) {
		case nil:
		case exit:
			status = int(v)
		default:
			panic(v)
		}
	}()
	var cli commands
	parser, err := kong.New(&cli,
		kong.Name("usher"),
		kong.Description("Usher, the access server for real-time rooms.\n\n  usher serve --dev   try it on this machine\n  usher init          set it up for everybody else"),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Writers(env.Stdout, env.Stderr),
		kong.Vars{
			"version": version, "scopes": usher.DefaultScopes.String(), "data": cmp.Or(env.variable("USHER_DATA"), config.Default().Data),
			"dialects": strings.Join(dialectNames(), ", "),
		},
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(env),
	)
	if err != nil {
		panic(err) // the command line's own definition is wrong
	}
	switch {
	case len(args) == 0:
		args = []string{"--help"}
	case args[0] == "help":
		args = append(slices.Clone(args[1:]), "--help")
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(env.Stderr, "usher: %v\n", err)
		if p, ok := errors.AsType[*kong.ParseError](err); ok && p.Context != nil {
			fmt.Fprintf(env.Stderr, "Run '%s --help' for what it takes.\n", p.Context.Model.Name+commandPath(p.Context))
		}
		return 2
	}
	if err := parsed.Run(); err != nil {
		fmt.Fprintf(env.Stderr, "usher: %v\n", err)
		return 1
	}
	return 0
}

func commandPath(c *kong.Context) string {
	if c.Selected() == nil {
		return ""
	}
	name, _, _ := strings.Cut(c.Command(), " <") // what it is given is no part of what it is called
	return " " + name
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(env environment) error {
	_, err := fmt.Fprintln(env.Stdout, version)
	return err
}
