package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"usher/internal/config"
	"usher/internal/datadir"
	"usher/internal/httpd"
)

// serveCommand is `usher serve`.
type serveCommand struct {
	configFlags
	HTTP  *string `placeholder:"ADDR" help:"Where to listen for plain HTTP, as 127.0.0.1:8080; an empty ADDR switches it off."`
	HTTPS *string `placeholder:"ADDR" help:"Where to listen for HTTPS, as 127.0.0.1:3000; an empty ADDR switches it off."`
}

// Run serves until ctx ends.
func (c serveCommand) Run(ctx context.Context, env environment) (err error) {
	// From now on a hang-up is no reason to end.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	load := func() (config.Config, []string, error) {
		return c.load(env, map[string]*string{"server.http": c.HTTP, "server.https": c.HTTPS})
	}
	cfg, warnings, err := load()
	if err != nil {
		return err
	}
	var level slog.LevelVar
	level.Set(cfg.Log.From())
	logger := slog.New(cfg.Log.Handler(env.Stderr, &level))
	for _, w := range warnings {
		logger.Warn(w)
	}
	dir, err := datadir.Open(cfg.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	listeners, err := listen(cfg, dir, logger)
	if err != nil {
		return err
	}
	s, err := newServer(ctx, cfg, serverOptions{Dir: dir, Logger: logger, Level: &level, Own: listeners.names(), Certificates: listeners.certificates()})
	if err != nil {
		listeners.close()
		if ctx.Err() != nil { // which is why, and no failure
			logger.Info("told to stop before it was ready", "error", err)
			return nil
		}
		return err
	}
	s.alsoRun(func(ctx context.Context) { s.follow(ctx, hangups, load) })
	if s.certificates != nil {
		s.alsoRun(func(ctx context.Context) {
			tick := time.NewTicker(watchTime)
			defer tick.Stop()
			s.watch(ctx, tick.C)
		})
	}
	banner(env, cfg, listeners)
	return s.serve(ctx, listeners)
}

// serve answers on the listeners until ctx ends, then stops without loss: what
// was begun is answered, sockets are told to come back, and the store is
// closed last.
func (s *server) serve(ctx context.Context, ls listeners) error {
	failed := make(chan error, len(ls))
	servers := make([]*http.Server, len(ls))
	for i, l := range ls {
		servers[i] = s.httpServer(l)
		go func() { failed <- servers[i].Serve(l.Listener) }()
	}
	s.logger.Info("ready", "version", version)

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("serve: %w", err)
	}
	s.draining.Store(true)
	stopping := s.config.Load().Server
	if stopping.Notice > 0 && err == nil {
		s.logger.Info("draining: not ready for anybody new, and serving all who come", "for", stopping.Notice)
		select {
		case <-time.After(stopping.Notice):
		case err = <-failed:
			err = fmt.Errorf("serve: %w", err)
		}
	}
	s.logger.Info("stopping: answering what was begun, and telling connections to come back")
	// Nobody can come back from now on, so nobody is called gone any more.
	s.stopBackground()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopping.Drain)
	defer cancel()
	var ending sync.WaitGroup
	for _, h := range servers {
		ending.Go(func() {
			if h.Shutdown(limit) != nil {
				_ = h.Close() // it had its time
			}
		})
	}
	err = errors.Join(err, s.closeSockets(limit))
	ending.Wait()
	err = errors.Join(err, s.close())
	s.logger.Info("stopped")
	return err
}

// Limits on what a connection may cost before anybody is known.
const (
	headerTime  = 5 * time.Second
	requestTime = 30 * time.Second
	idleTime    = 2 * time.Minute
	maxHeader   = 32 << 10
)

func (s *server) httpServer(l listener) *http.Server {
	handler, write := s.handler, requestTime
	switch cfg := s.config.Load(); {
	case l.connections:
		handler = s.connections
	case l.debug:
		handler, write = debugHandler(cfg.Server.DebugToken), profileTime
	case !l.Origin.Local:
		handler = secure(*cfg).Handler(handler)
		if l.challenges != nil {
			handler = l.challenges(handler)
		}
	}
	return &http.Server{
		Handler:           handler,
		ConnContext:       l.connContext(),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		WriteTimeout:      write,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(quietHandler{s.logger.Handler()}, slog.LevelDebug),
	}
}

// secure says how callers are kept on HTTPS, where it is served to others than
// this machine.
func secure(cfg config.Config) httpd.Secure {
	s := httpd.Secure{HSTS: cfg.StrictTransport(), Proxies: cfg.Server.Proxies()}
	if cfg.Server.Public() && !cfg.Dev {
		s.Base = cfg.Server.PublicURL
	}
	return s
}

// quietHandler marks what net/http logs by itself: mostly strangers that
// open a connection and say nothing that it understands.
type quietHandler struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h quietHandler) Handle(ctx context.Context, r slog.Record) error {
	if !h.Enabled(ctx, r.Level) {
		return nil
	}
	r.Message = strings.TrimSpace(r.Message)
	return h.Handler.Handle(ctx, r)
}

// banner tells whoever started the server where it is and what it is.
func banner(env environment, cfg config.Config, ls listeners) {
	fmt.Fprintf(env.Stderr, "\nUsher %s\n", version)
	for _, base := range ls.bases() {
		fmt.Fprintf(env.Stderr, "  %s\n", base)
	}
	for _, l := range ls {
		if l.debug {
			fmt.Fprintf(env.Stderr, "  profiles at %s%s\n", l.Origin.Base, profiles)
		}
		if l.connections {
			fmt.Fprintf(env.Stderr, "  @connections at %s/%s\n", l.Origin.Base, cfg.Compat.Connections.Stage)
		}
	}
	fmt.Fprintf(env.Stderr, "  data in %s\n", cfg.Data)
	if cfg.Dev {
		if bases := ls.bases(); len(bases) > 0 {
			// A browser warns of the certificate of the other, which is made here.
			i := max(0, slices.IndexFunc(bases, func(base string) bool { return strings.HasPrefix(base, "http://") }))
			fmt.Fprintf(env.Stderr, "\n  To call somebody, open %s in two windows; what goes on is at %[1]s/console.\n", bases[i])
		}
		fmt.Fprint(env.Stderr, "\n  Development mode: whoever can reach these addresses may do everything,\n"+
			"  so only this machine can. Never put it behind a proxy.\n")
	}
	fmt.Fprint(env.Stderr, "\n  Ctrl-C stops it.\n\n")
}

// configFlags are the flags of every command that reads the configuration.
type configFlags struct {
	Dev    bool   `help:"Development mode: no configuration needed, callers are not authenticated, this machine only."`
	Config string `placeholder:"FILE" help:"Configuration file (YAML or JSON)."`
	Data   string `placeholder:"DIR" help:"Folder of the database and the keys."`
}

var errNoConfig = errors.New("say which configuration: add --dev to try it on this machine, or --config FILE (see 'usher config doc')")

func (f configFlags) load(env environment, flags map[string]*string) (config.Config, []string, error) {
	if !f.Dev && f.Config == "" {
		return config.Config{}, nil, errNoConfig
	}
	set := map[string]string{}
	for key, value := range flags {
		if value != nil {
			set[key] = *value
		}
	}
	if f.Data != "" {
		set["data"] = f.Data
	}
	return config.Load(config.Options{Dev: f.Dev, Path: f.Config, Environ: env.Environ, DotEnv: ".env", Flags: set})
}
