package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"usher/client"
	"usher/internal/config"
	"usher/internal/datadir"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/turn"
)

// dataFlag is the flag of every command that works on a data folder, whether
// a server holds it or not.
type dataFlag struct {
	Data   string `default:"${data}" placeholder:"DIR" help:"The server's data folder (default: USHER_DATA of the environment, or usher-data)."`
	create bool   `kong:"-"` // make a database where there is none
	// configure returns the configuration of a server in this process; nil is
	// the default one.
	configure func(environment) (config.Config, error) `kong:"-"`
}

// controlBase is what the control socket is called in URLs that go nowhere.
const controlBase = "http://usher.localhost"

// operate calls f with the API of the server that holds the data folder or,
// where none does, of one in this process that serves only f.
func (d dataFlag) operate(ctx context.Context, env environment, f func(*client.API) error) error {
	return d.reach(ctx, env, func(transport http.RoundTripper) error {
		a, err := client.New(controlBase, client.Options{Transport: transport})
		if err != nil {
			return err
		}
		return f(a)
	})
}

// reach is operate for who calls what has no method of the API.
func (d dataFlag) reach(ctx context.Context, env environment, f func(http.RoundTripper) error) error {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return datadir.Dial(ctx, d.Data) },
	}
	defer transport.CloseIdleConnections()
	conn, err := datadir.Dial(ctx, d.Data)
	switch {
	case err == nil:
		_ = conn.Close()
	case errors.Is(err, datadir.ErrNotServed):
		return d.alone(ctx, env, f)
	default:
		return err
	}
	return f(transport)
}

// alone serves f by a server in this process.
func (d dataFlag) alone(ctx context.Context, env environment, f func(http.RoundTripper) error) (err error) {
	if _, err := os.Stat(filepath.Join(d.Data, databaseName)); errors.Is(err, fs.ErrNotExist) {
		if !d.create {
			return fmt.Errorf("there is no data of a server in %s: say where it is with --data DIR", d.Data)
		}
		fmt.Fprintf(env.Stderr, "no server has run on %s yet: starting its database; is it the right folder?\n", d.Data)
	}
	dir, err := datadir.Open(d.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	cfg := config.Default()
	if d.configure != nil {
		if cfg, err = d.configure(env); err != nil {
			return err
		}
	}
	cfg.Data = d.Data
	cfg.TURNServer = turn.DefaultConfig() // which listens nowhere
	s, err := newServer(ctx, cfg, serverOptions{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return f(httpd.Loopback(s.handler, identity.LocalOperator(), httpd.Origin{Base: controlBase, Local: true}))
}
