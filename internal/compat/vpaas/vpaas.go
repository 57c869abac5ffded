// Package vpaas is Usher as the Pexip VPaaS service: what the application's
// back end and the browser's SDK call when they mean Pexip's.
//
// A back end gets an access token for a signed assertion (token.go), makes
// meetings (meetings.go) and participants (participants.go); a browser joins
// with a participant's one-time secret (join.go) and stays on a WebSocket
// (socket.go, message.go). This package only translates: every decision is
// made behind package access.
package vpaas

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/limit"
	"usher/internal/socket"
)

// Config is what [New] needs.
type Config struct {
	Access     *access.Access
	Assertions *identity.Assertions
	Tokens     *identity.AccessTokens
	// Audiences are the addresses of the token endpoint that an assertion may be
	// meant for. The one of the listener that was called is always among them.
	Audiences []string
	// Failed is how often one address may fail to authenticate a connection, and
	// Proxies those whose X-Forwarded-For is believed.
	Failed  limit.Rate
	Proxies []netip.Prefix
	Logger  *slog.Logger

	// Now and Random may be left out for those of the system.
	Now    func() time.Time
	Random io.Reader
}

// Service serves the VPaaS API.
type Service struct {
	Config
	sockets *socket.Group
	failed  *limit.Keyed // by address
}

// New returns a service without connections.
func New(config Config) *Service {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	return &Service{
		Config: config,
		failed: limit.New(config.Failed, config.Now),
		// Any page may connect: what it has to show is a token, which no
		// browser sends by itself.
		sockets: socket.NewGroup(socket.Config{
			ReadLimit: maxMessage, PingEvery: pingEvery, IdleTimeout: idleTimeout, Logger: config.Logger,
		}),
	}
}

// goodbye is how long peers may take to answer a shutdown's close: short, since
// it is taken from the time in which they can come back.
const goodbye = 2 * time.Second

// Shutdown tells every participant to come back soon, lets nobody new in, and
// returns when all have been seen off.
func (s *Service) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, goodbye)
	defer cancel()
	return s.sockets.Shutdown(ctx, socket.CodeRestart, "The server restarts; connect again.")
}

// Dialect returns the routes.
func (s *Service) Dialect() httpd.Dialect {
	const (
		meetings     = "/v1/meetings"
		meeting      = meetings + "/{meeting}"
		participants = meeting + "/participants"
		participant  = participants + "/{participant}"
	)
	client := func(pattern string, scope usher.Scope, h httpd.Handler) httpd.Route {
		return httpd.Route{Pattern: pattern, Caller: httpd.Clients, Scope: scope, Handle: func(w http.ResponseWriter, r *http.Request) error {
			return clientError(h(w, r))
		}}
	}
	return httpd.Dialect{
		Name:  "vpaas",
		Under: []string{"/v1/", "/oauth/"},
		CORS:  httpd.CORS{Any: true, Expose: []string{"X-Request-ID"}},
		Fail:  fail,
		Routes: []httpd.Route{
			{Pattern: "POST /oauth/token", Caller: httpd.Anyone, Handle: s.token},

			client("POST "+meetings, usher.MeetingCreate, s.createMeeting),
			client("GET "+meetings, usher.MeetingRead, s.listMeetings),
			client("GET "+meeting, usher.MeetingRead, s.getMeeting),
			client("PATCH "+meeting, usher.MeetingWrite, s.changeMeeting),
			client("DELETE "+meeting, usher.MeetingWrite, s.endMeeting),

			client("POST "+participants, usher.ParticipantCreate, s.addParticipant),
			client("GET "+participants, usher.ParticipantRead, s.listParticipants),
			client("GET "+participant, usher.ParticipantRead, s.getParticipant),
			client("DELETE "+participant, usher.ParticipantWrite, s.removeParticipant),
			client("POST "+participant+"/regenerate_secret", usher.ParticipantWrite, s.renewSecret),

			{Pattern: "POST " + meeting + "/join", Caller: httpd.Anyone, Handle: s.join},
			{Pattern: "GET " + meeting + "/socket", Caller: httpd.Anyone, Handle: s.connect},
		},
	}
}
