package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"usher/internal/access"
	"usher/internal/api"
	"usher/internal/compat/apigateway"
	compatmeetings "usher/internal/compat/meetings"
	compatroomservice "usher/internal/compat/roomservice"
	compatvideochat "usher/internal/compat/videochat"
	compatvpaas "usher/internal/compat/vpaas"
	"usher/internal/config"
	"usher/internal/httpd"
	"usher/internal/keys"
	"usher/internal/signaling"
)

// onLambda reports whether AWS Lambda runs this process, and wants to hand it
// events.
func (e environment) onLambda() bool { return e.variable("AWS_LAMBDA_RUNTIME_API") != "" }

func (e environment) variable(name string) string {
	i := slices.IndexFunc(e.Environ, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
	if i < 0 {
		return ""
	}
	return e.Environ[i][len(name)+1:]
}

// functionConfig is the file of a function's configuration, if it has one; the
// variable USHER_CONFIG names another.
const functionConfig = "usher.yaml"

// runFunction serves the events that AWS Lambda hands over, and does not return
// unless it can't begin: Lambda ends the process.
func runFunction(ctx context.Context, env environment) error {
	path := env.variable("USHER_CONFIG")
	if _, err := os.Stat(functionConfig); path == "" && !errors.Is(err, fs.ErrNotExist) {
		path = functionConfig
	}
	cfg, warnings, err := config.Load(config.Options{OnLambda: true, Path: path, Environ: env.Environ})
	if err != nil {
		return err
	}
	logger := slog.New(cfg.Log.Handler(env.Stderr, cfg.Log.From()))
	for _, w := range warnings {
		logger.Warn(w)
	}
	f, err := newFunction(ctx, cfg, logger)
	if err != nil {
		return err
	}
	lambda.StartWithOptions(f, lambda.WithContext(ctx))
	return nil
}

// function is a server that lives from event to event.
type function struct {
	*server
	service *apigateway.Service
}

var _ lambda.Handler = (*function)(nil)

// newFunction opens the store and wires everything that is served.
func newFunction(ctx context.Context, cfg config.Config, logger *slog.Logger) (*function, error) {
	s := &server{logger: logger}
	p, err := s.prepare(ctx, cfg, serverOptions{Logger: logger})
	if err != nil {
		return nil, err
	}
	s.access = access.New(s.door(cfg, p))
	if err := s.access.Join(ctx); err != nil {
		return nil, err
	}
	if err := s.tellOthers(ctx, cfg, p); err != nil { // of whom there are none here
		return nil, err
	}
	if cfg.Signaling.Enabled {
		s.remote = signaling.NewRemote(cfg.Signaling, cfg.Calls, signaling.RemoteDeps{
			Deps: s.hubDeps(cfg, p), Attachments: s.db.Attachments(), Once: s.db.Once(), Gateway: &connections{region: cfg.Store.Region},
		})
	}
	if s.handler, err = httpd.New(s.common(cfg, p), s.functionDialects(cfg, p)...); err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.background.Go(func() { s.callers.run(background) })
	return &function{s, apigateway.New(apigateway.Config{
		HTTP: s.handler, Remote: s.remote, Base: cfg.Server.PublicURL, Endpoint: cfg.Lambda.Endpoint, Logger: logger,
		Refresh: newRefresher(s.access, p.ring).refresh, Sweep: func(ctx context.Context) error { return s.sweep(ctx, p.ring) }, Flush: s.access.Flush,
	})}, nil
}

// Invoke implements [lambda.Handler].
func (f *function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return f.service.Invoke(ctx, payload)
}

// sweep does what a server does all the time.
func (s *server) sweep(ctx context.Context, ring *keys.Manager) error {
	errs := []error{s.access.Sweep(ctx), ring.Tend(ctx)}
	if s.remote != nil {
		errs = append(errs, s.remote.Sweep(ctx))
	}
	return errors.Join(errs...)
}

// refresher reads before an event what other processes may have changed.
type refresher struct {
	access *access.Access
	ring   *keys.Manager
	turn   chan time.Time // when the keys were read; one event at a time reads them
}

// keysFresh is how old the keys may be that are known: as a server has them.
const keysFresh = 500 * time.Millisecond

func newRefresher(a *access.Access, ring *keys.Manager) *refresher {
	r := &refresher{a, ring, make(chan time.Time, 1)}
	r.turn <- time.Now()
	return r
}

func (r *refresher) refresh(ctx context.Context) error {
	taken := make(chan error, 1)
	go func() { taken <- r.access.Refresh(ctx) }()
	read := <-r.turn
	var err error
	if time.Since(read) >= keysFresh {
		if err = r.ring.Refresh(ctx); err == nil {
			read = time.Now()
		}
	}
	r.turn <- read
	return errors.Join(err, <-taken)
}

// functionDialects is the list of everything that functions serve, and of what
// they refuse because it needs a server.
func (s *server) functionDialects(cfg config.Config, p parts) []httpd.Dialect {
	operations := httpd.Operations{Ready: s.db.Ping, Metrics: promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{}), JWKS: p.ring.JWKS}
	dialects := append(operations.Dialects(), api.New(api.Config{Access: s.access, Webhooks: s.webhooks, Origins: cfg.Server.Origins}).Dialect(),
		apigateway.Unserved(httpd.Dialect{Name: "signaling", Routes: []httpd.Route{{Pattern: "GET /signal", Caller: httpd.Anyone}}}),
		apigateway.Unserved(compatvpaas.New(compatvpaas.Config{Access: s.access, Logger: s.logger}).Dialect()),
		apigateway.Unserved(compatroomservice.New(compatroomservice.Config{Access: s.access, Logger: s.logger}).Dialect()))
	if meetings := cfg.Compat.Meetings; meetings.Enabled {
		dialects = append(dialects, opened(cfg, meetings, compatmeetings.New(compatmeetings.Config{
			Access: s.access, APIAddress: apiAddress(cfg),
		}).Dialect()))
	}
	if cfg.Compat.VideoChat.Enabled {
		dialects = append(dialects, compatvideochat.New(compatvideochat.Config{Access: s.access}).Dialect())
	}
	return append(dialects, s.tokenDialects(cfg)...)
}
