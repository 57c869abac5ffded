// Package roomservice is Usher as Room Service: what the published clients
// @roomservice/browser and @roomservice/node look for since the real one closed.
//
// A back end gets a session token for one of its users (provision.go), or the
// page gets it here, known by whatever this server knows users by (auth.go). The
// page then reads the document and who is there (read.go) and stays on a
// WebSocket (socket.go), on which commands go up and come back in the order that
// counts (command.go, forward.go). Back ends read and write documents without
// one (sdk.go). This package only translates: what is allowed is decided behind
// package access, and what is true of a document behind package collab.
package roomservice

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/collab"
	"usher/internal/httpd"
	"usher/internal/socket"
)

// Config is what [New] needs.
type Config struct {
	Access *access.Access
	Hub    *collab.Hub
	// Lifetime is how long a token is good, from when it was made and from each
	// renewal.
	Lifetime time.Duration
	// MaxValue is the longest text that a key or an item can have, in bytes.
	MaxValue int
	Logger   *slog.Logger
	// Now may be left out for the system's clock.
	Now func() time.Time
}

// Service is Room Service.
type Service struct {
	Config
	sockets *socket.Group
	loads   loads
}

const (
	pingEvery   = 25 * time.Second
	idleTimeout = 60 * time.Second
	// queueLimit is how many bytes may wait for a client that reads slowly.
	queueLimit = 4 << 20
	// envelope is what a message has beside a value, which JSON in JSON may
	// make several times as long.
	envelope     = 16 << 10
	jsonEscaping = 6
)

// New returns a service without connections.
func New(config Config) *Service {
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Service{
		Config: config,
		// Any page may connect: what it has to show is a token, which no
		// browser sends by itself.
		sockets: socket.NewGroup(socket.Config{
			ReadLimit: int64(jsonEscaping*config.MaxValue + envelope), QueueLimit: queueLimit,
			PingEvery: pingEvery, IdleTimeout: idleTimeout, Logger: config.Logger,
		}),
	}
}

// goodbye is how long peers may take to answer a shutdown's close.
const goodbye = 2 * time.Second

// Shutdown tells every connection to come back soon, lets no new one in, and
// returns when all have been seen off.
func (s *Service) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, goodbye)
	defer cancel()
	return s.sockets.Shutdown(ctx, socket.CodeRestart, "The server restarts; connect again.")
}

// Dialect returns the routes of the service itself. Their callers present a key
// or a token, so that any page may call them.
func (s *Service) Dialect() httpd.Dialect {
	const scope = usher.RoomServiceProvision
	return httpd.Dialect{
		Name:        "roomservice",
		CORS:        httpd.CORS{Any: true},
		Header:      httpd.NoStore,
		Fail:        fail,
		BearerColon: true,
		MaxBody:     maxBody,
		Routes: []httpd.Route{
			{Pattern: "POST /provision", Caller: httpd.Clients, Scope: scope, Handle: s.provision},
			{Pattern: "POST /roomservice/revoke", Caller: httpd.Clients, Scope: scope, Handle: s.revoke},
			{Pattern: "POST /roomservice/permission", Caller: httpd.Clients, Scope: scope, Handle: s.permit},

			{Pattern: "GET /presence/{room}", Caller: httpd.Anyone, Handle: s.presence},
			{Pattern: "GET /presence/{room}/{key}", Caller: httpd.Anyone, Handle: s.presenceKey},
			{Pattern: "GET /docs/{document}", Caller: httpd.Anyone, Handle: s.document},
			{Pattern: "GET /ws", Caller: httpd.Anyone, Handle: s.connect},

			{Pattern: "POST /v1/sdk/rooms", Caller: httpd.Clients, Scope: scope, Handle: s.createRoom},
			{Pattern: checkpointPattern, Caller: httpd.Clients, Scope: scope, Handle: s.checkpoint},
			{Pattern: "POST /v1/sdk/rooms/{room}/document/changes", Caller: httpd.Clients, Scope: scope, Handle: s.change},
		},
	}
}

// AuthDialect returns the route that pages get their tokens from. Open says
// that its callers need not show credentials that a page must have been given:
// then not any page may call it.
func (s *Service) AuthDialect(open bool) httpd.Dialect {
	return httpd.Dialect{
		Name:   "roomservice auth",
		Under:  []string{"/roomservice/"},
		CORS:   httpd.CORS{Any: !open, Loopback: open},
		Header: httpd.NoStore,
		Fail:   fail,
		Routes: []httpd.Route{
			{Pattern: "POST /roomservice/auth", Caller: httpd.Known, Scope: usher.ParticipantCreate, Handle: s.auth},
		},
	}
}

// maxBody is the most that a body may have: 2,000 commands of a back end.
const maxBody = 8 << 20

// What rooms and documents are called on the wire: after the room's own id,
// since a room has one document.
const (
	roomPrefix = "room_"
	docPrefix  = "doc_"
)

// wireID reads an id that is written with a prefix.
func wireID(prefix, text string) (usher.ID, bool) {
	if len(text) < len(prefix) || text[:len(prefix)] != prefix {
		return "", false
	}
	id, err := usher.ParseID(text[len(prefix):])
	return id, err == nil
}

// failure is how an error is told to a back end, or to a page that gets its
// token here. That of a missing or wrong key has the body by which the browser's
// client knows one.
type failure struct {
	Type     string   `json:"type"`
	Body     string   `json:"body"`
	Error    string   `json:"error"`
	Code     string   `json:"code"`
	Decision usher.ID `json:"decision,omitempty"`
}

func fail(w http.ResponseWriter, r *http.Request, err *usher.Error) {
	status := httpd.Status(err.Kind)
	message := err.Message
	for _, field := range err.Fields {
		message += " " + field.String() + "."
	}
	if err.Kind == usher.Unauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Pattern != checkpointPattern {
		// The browser's client looks at no status. An answer that is not JSON is
		// the only one that it takes for a failure.
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(message + " (" + err.Code + ")\n")) // it fails only if the caller is gone
		return
	}
	body := message
	if err.Kind == usher.Unauthenticated {
		body = "Unauthorized"
	}
	_ = httpd.JSON(w, status, failure{Type: "error", Body: body, Error: message, Code: err.Code, Decision: err.Decision})
}

const checkpointPattern = "GET /v1/sdk/rooms/{room}/document/checkpoint"
