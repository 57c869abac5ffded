package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"usher"
	"usher/internal/access"
	"usher/internal/api"
	"usher/internal/bus"
	"usher/internal/collab"
	compatagora "usher/internal/compat/agora"
	compatjanus "usher/internal/compat/janus"
	compatlivekit "usher/internal/compat/livekit"
	compatmeetings "usher/internal/compat/meetings"
	compatroomservice "usher/internal/compat/roomservice"
	compatvideochat "usher/internal/compat/videochat"
	compatvpaas "usher/internal/compat/vpaas"
	"usher/internal/config"
	"usher/internal/datadir"
	"usher/internal/figures"
	"usher/internal/health"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/keys"
	"usher/internal/limit"
	"usher/internal/platform"
	"usher/internal/platform/vpaas"
	"usher/internal/signaling"
	"usher/internal/store"
	"usher/internal/store/cached"
	"usher/internal/store/sqlstore"
	"usher/internal/turn"
	"usher/internal/webhook"
	"usher/web"
)

// server is everything that answers, wired together. It is the only place that
// knows which store, bus and platforms there are.
type server struct {
	logger      *slog.Logger
	db          store.DB
	access      *access.Access
	callers     *callers
	vpaas       *compatvpaas.Service
	documents   *collab.Hub
	roomservice *compatroomservice.Service
	hub         *signaling.Hub    // nil unless configured
	remote      *signaling.Remote // in its place on AWS Lambda
	relay       *turn.Server      // nil unless configured
	webhooks    *webhook.Service
	web         *web.Web // nil unless configured
	figures     *figures.Series
	health      *health.Checks
	limiters    *httpd.Limiters
	expiry      *prometheus.GaugeVec // of certificates
	handler     http.Handler
	connections http.Handler // of the @connections API; nil unless configured
	draining    atomic.Bool

	// config is what is in force, which reload changes.
	config  atomic.Pointer[config.Config]
	reloads *reloads
	own     ownKeys
	level   *slog.LevelVar
	// certificates are what callers over HTTPS are shown; nil without TLS.
	certificates certificates

	stop       context.CancelFunc
	background sync.WaitGroup
}

// sealName is the file in the data folder with the secret that our keys are
// sealed with.
const sealName = "seal.key"

// serverOptions are what is not configuration.
type serverOptions struct {
	Dir    *datadir.Dir
	Logger *slog.Logger
	// Own are the base addresses by which callers may know this server, beside
	// its public URL.
	Own []string
	// Certificates are what callers over HTTPS are shown; nil without TLS.
	Certificates certificates
	// Level is of the logger, if it can change.
	Level *slog.LevelVar
	// Synchronous is Off only for benchmarks.
	Synchronous sqlstore.Synchronous
}

// parts are what a server and a function on AWS Lambda are both made of.
type parts struct {
	registry *prometheus.Registry
	db       store.DB // without the memory in front of it
	alone    bool     // no other process writes to it: the data folder is ours
	ids      *usher.IDSource
	nodes    *bus.Local
	sealer   *keys.Sealer
	ring     *keys.Manager
	media    map[string]platform.Platform
}

// prepare opens the store, and makes what everything that is served is made of.
func (s *server) prepare(ctx context.Context, cfg config.Config, o serverOptions) (p parts, err error) {
	p = parts{registry: prometheus.NewRegistry(), ids: usher.SystemIDs(), nodes: &bus.Local{}}
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.level, s.limiters, s.reloads = o.Level, httpd.NewLimiters(cfg.Limits, time.Now), newReloads(p.registry)
	s.certificates, s.expiry = o.Certificates, newExpiry(p.registry)
	s.config.Store(&cfg)
	db, err := openStore(ctx, cfg, o, p.registry)
	if err != nil {
		return p, err
	}
	if p.db, p.alone = db, cfg.Store.Driver != config.DynamoDB; p.alone {
		s.db, err = cached.NewAlone(ctx, db, time.Now)
	} else {
		s.db = cached.New(db, time.Now)
	}
	if err != nil {
		return p, err
	}
	if o.Dir != nil {
		s.own.dir = o.Dir.Path("")
	}
	if s.own.sealer, err = newSealer(cfg, filepath.Join(s.own.dir, sealName)); err != nil {
		return p, err
	}
	p.sealer = s.own.sealer
	if p.ring, err = keys.Open(ctx, keys.Config{Store: s.db.Keys(), Sealer: p.sealer, Retain: retain(cfg), Logger: o.Logger}); err != nil {
		return p, err
	}
	if s.callers, err = newCallers(cfg, p.ring, s.db.Clients(), o.Logger); err != nil {
		return p, err
	}
	p.media, err = s.platforms(cfg, s.own)
	return p, err
}

// door is what the way into every room is made of.
func (s *server) door(cfg config.Config, p parts) access.Config {
	return access.Config{
		Store: s.db, Alone: p.alone, Bus: p.nodes, IDs: p.ids, Now: time.Now, Logger: s.logger, Metrics: p.registry,
		Rooms: cfg.Rooms, Policy: cfg.Policy, Limits: ownLimits(cfg.Limits), Record: cfg.Record,
		Contacts: cfg.Contacts, Presence: presence{s},
		Platforms: p.media, Readers: readers(), Keys: p.ring, Guests: s.callers.guests, Derive: p.sealer.Derive,
		Callers: &s.callers.chain, Operations: s.operations(cfg, p.media, p.registry),
	}
}

// newServer opens the store and wires everything that is served. Its
// background work runs until close.
func newServer(ctx context.Context, cfg config.Config, o serverOptions) (_ *server, err error) {
	s := &server{logger: o.Logger}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	p, err := s.prepare(ctx, cfg, o)
	if err != nil {
		return s, err
	}
	s.access = access.New(s.door(cfg, p))
	if err := s.access.Start(ctx); err != nil {
		return s, err
	}
	if err := s.tellOthers(ctx, cfg, p); err != nil {
		return s, err
	}
	if err := s.signaling(ctx, cfg, p); err != nil {
		return s, err
	}
	s.vpaas = compatvpaas.New(compatvpaas.Config{
		Access:     s.access,
		Assertions: &identity.Assertions{Clients: s.db.Clients(), Once: s.db.Once(), Now: time.Now, Logger: o.Logger},
		Tokens:     s.callers.tokens,
		Audiences:  audiences(cfg, o),
		Failed:     cfg.Limits.Failed,
		Proxies:    cfg.Server.Proxies(),
		Logger:     o.Logger,
	})
	s.documents = collab.New(cfg.Collab, collab.Deps{Access: s.access, Store: s.db.Documents(), IDs: p.ids, Now: time.Now, Logger: o.Logger, Metrics: p.registry})
	s.roomservice = compatroomservice.New(compatroomservice.Config{
		Access: s.access, Hub: s.documents, MaxValue: cfg.Collab.MaxValue, Logger: o.Logger,
		Lifetime: min(cfg.Compat.RoomService.Lifetime, cfg.Policy.MaxLifetime),
	})
	if cfg.Web.Enabled {
		if s.web, err = web.New(web.Config{Connect: cfg.WebOrigins()}); err != nil {
			return s, err
		}
	}
	common := s.common(cfg, p)
	if s.handler, err = httpd.New(common, s.dialects(cfg, p.ring, p.registry)...); err != nil {
		return s, err
	}
	if err := s.connectionsAPI(cfg, common); err != nil {
		return s, err
	}
	if s.relay, err = newRelay(cfg, o.Logger, p.registry); err != nil {
		return s, err
	}
	s.start(p.ring)
	return s, nil
}

// common is what all handlers have in common, whatever they serve.
func (s *server) common(cfg config.Config, p parts) httpd.Config {
	return httpd.Config{
		Identity: s.access.Authenticator(&s.callers.chain), Logger: s.logger, Metrics: httpd.NewMetrics(p.registry),
		RequestIDs: p.ids, LoopbackOnly: cfg.Dev, LogRequests: cfg.Log.Requests, Limiters: s.limiters, Proxies: cfg.Server.Proxies(),
	}
}

// dialects is the list of everything that is served.
func (s *server) dialects(cfg config.Config, ring *keys.Manager, registry *prometheus.Registry) []httpd.Dialect {
	native := api.New(api.Config{Access: s.access, Webhooks: s.webhooks, Origins: cfg.Server.Origins, DevLogin: s.callers.dev, Web: signIn(cfg)})
	operations := httpd.Operations{
		Ready:   s.ready,
		Metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
		JWKS:    ring.JWKS,
	}
	dialects := append(operations.Dialects(), native.Dialect())
	if cfg.Dev {
		dialects = append(dialects, native.DevDialect())
	}
	if s.web != nil {
		dialects = append(dialects, s.web.Dialect())
	}
	if s.hub != nil {
		dialects = append(dialects, s.hub.Dialect())
	}
	if cfg.Compat.VPaaS.Enabled {
		dialects = append(dialects, s.vpaas.Dialect())
	}
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

// tokenDialects are those of the token servers of other platforms.
func (s *server) tokenDialects(cfg config.Config) []httpd.Dialect {
	var dialects []httpd.Dialect
	if said := cfg.Compat.Agora; said.Enabled {
		d := compatagora.New(compatagora.Config{Access: s.access, Open: cfg.Dev || said.Access != httpd.ByIdentity}).Dialect()
		dialects = append(dialects, opened(cfg, config.MeetingsDialect(said), d))
	}
	if said := cfg.Compat.Janus; said.Enabled {
		d := compatjanus.New(compatjanus.Config{Access: s.access}).Dialect()
		dialects = append(dialects, opened(cfg, config.MeetingsDialect(said), d))
	}
	if said := cfg.Compat.LiveKit; said.Enabled {
		d := compatlivekit.New(compatlivekit.Config{Access: s.access, Open: cfg.Dev || said.Access != httpd.ByIdentity}).Dialect()
		dialects = append(dialects, opened(cfg, config.MeetingsDialect(said), d))
	}
	if said := cfg.Compat.RoomService; said.Enabled {
		auth := config.MeetingsDialect{Enabled: said.Enabled, Access: said.Access, Role: said.Role}
		dialects = append(dialects, s.roomservice.Dialect(),
			opened(cfg, auth, s.roomservice.AuthDialect(cfg.Dev || said.Access != httpd.ByIdentity)))
	}
	return dialects
}

// opened is a dialect, open to those to whom the configuration opens it.
func opened(cfg config.Config, said config.MeetingsDialect, d httpd.Dialect) httpd.Dialect {
	d.Access, d.PublicRole = said.Access, said.Role
	if said.Access != httpd.ByIdentity { // pages need hold nothing, so that not any may call
		d.CORS.Origins = cfg.Server.Origins
		d.CORS.Credentials = said.Access == httpd.BySession // which is taken from those pages
	}
	return d
}

// selfID is what our own calls to our own VPaaS are made by. Whoever made us
// call has been limited already.
const selfID = "usher"

// ownLimits are the limits, without one on ourselves.
func ownLimits(limits limit.Config) limit.Config {
	clients := map[string]limit.Rate{selfID: {}}
	maps.Copy(clients, limits.Clients)
	limits.Clients = clients
	return limits
}

// meetings returns the VPaaS that meetings are made at: the configured one, or
// ourselves.
func (s *server) meetings(cfg config.Config) (platform.Platform, error) {
	if !cfg.ForeignVPaaS() {
		// The handler does not exist yet, and never calls itself before it does.
		self := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) })
		caller := usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: selfID, Name: "Usher itself", Scopes: usher.AllScopes}
		origin := httpd.Origin{Base: controlBase}
		p, err := vpaas.New(vpaas.Config{
			APIAddress: controlBase, Timeout: cfg.VPaaS.Timeout, Now: time.Now,
			HTTP: &http.Client{Transport: httpd.Loopback(self, caller, origin)},
		})
		return vpaas.Own{Platform: p, Address: apiAddress(cfg)}, err
	}
	return foreignVPaaS(cfg)
}

// apiAddress returns what tells where VPaaS is, as whoever is answered reaches it.
func apiAddress(cfg config.Config) func(context.Context) string {
	return func(ctx context.Context) string {
		base := httpd.From(ctx).Base
		switch {
		case cfg.ForeignVPaaS():
			return cfg.VPaaS.APIAddress
		case base == controlBase: // a command on this machine
			return cmp.Or(cfg.Server.PublicURL, "http://"+cfg.Server.HTTP)
		default:
			return base
		}
	}
}

// start runs what works in the background.
func (s *server) start(ring *keys.Manager) {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.background.Go(func() { s.access.Run(ctx) })
	s.background.Go(func() { ring.Run(ctx) })
	s.background.Go(func() { s.callers.run(ctx) })
	s.background.Go(func() { s.figures.Run(ctx) })
	if s.hub != nil {
		s.background.Go(func() { s.hub.Run(ctx) })
	}
}

// alsoRun runs something else in the background, until it is stopped.
func (s *server) alsoRun(work func(context.Context)) {
	ctx, stop := context.WithCancel(context.Background())
	others := s.stop
	s.stop = func() { stop(); others() }
	s.background.Go(func() { work(ctx) })
}

// ready fails while the server should get no traffic.
func (s *server) ready(ctx context.Context) error {
	if s.draining.Load() {
		return errors.New("stopping")
	}
	return s.db.Ping(ctx)
}

// closeSockets tells every live connection to come back.
func (s *server) closeSockets(ctx context.Context) error {
	closes := []func(context.Context) error{s.vpaas.Shutdown, s.roomservice.Shutdown}
	if s.hub != nil {
		closes = append(closes, s.hub.Shutdown)
	}
	errs := make([]error, len(closes))
	var wg sync.WaitGroup
	for i, shut := range closes {
		wg.Go(func() { errs[i] = shut(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// stopBackground ends what works in the background, and waits for it.
func (s *server) stopBackground() {
	if s.stop != nil {
		s.stop()
	}
	s.background.Wait()
}

// settleTime is how long what connections left behind may take to be written.
const settleTime = 10 * time.Second

// close stops the background work, writes down what is left to be, and closes
// the store.
func (s *server) close() (err error) {
	s.stopBackground()
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	if s.documents != nil {
		err = s.documents.Close(ctx)
	}
	if s.access != nil {
		err = errors.Join(err, s.access.Close(ctx))
	}
	if s.webhooks != nil {
		err = errors.Join(err, s.webhooks.Close())
	}
	if s.callers != nil {
		s.callers.close()
	}
	if s.relay != nil {
		_ = s.relay.Close() // never fails
	}
	if s.db == nil {
		return err
	}
	if closing := s.db.Close(); closing != nil {
		err = errors.Join(err, fmt.Errorf("close the store: %w", closing))
	}
	return err
}

// audiences are the token endpoints that an assertion may be meant for.
func audiences(cfg config.Config, o serverOptions) []string {
	var list []string
	if cfg.Server.PublicURL != "" {
		list = append(list, cfg.Server.PublicURL+"/oauth/token")
	}
	for _, base := range o.Own {
		list = append(list, base+"/oauth/token")
	}
	return list
}
