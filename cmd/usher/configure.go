package main

import (
	"fmt"

	"usher/internal/config"
)

// configCommand is `usher config`.
type configCommand struct {
	Check configCheck `cmd:"" help:"Check a configuration and list every mistake in it."`
	Print configPrint `cmd:"" help:"Print the configuration in force, with secrets hidden."`
	Doc   configDoc   `cmd:"" help:"Explain every setting, with its default and environment variable."`
}

type configCheck struct{ configFlags }

// Run checks the configuration as serve would.
func (c configCheck) Run(env environment) error {
	_, warnings, err := c.load(env, nil)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		fmt.Fprintln(env.Stderr, "warning: "+w)
	}
	fmt.Fprintln(env.Stderr, "the configuration is sound")
	return nil
}

type configPrint struct{ configFlags }

// Run prints the configuration in force.
func (c configPrint) Run(env environment) error {
	cfg, _, err := c.load(env, nil)
	if err != nil {
		return err
	}
	return cfg.Print(env.Stdout)
}

type configDoc struct{}

// Run prints the documentation of every setting.
func (configDoc) Run(env environment) error { return config.Doc(env.Stdout) }
