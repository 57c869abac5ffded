// Package config is the configuration of a server: one struct made of every
// package's own, filled from defaults in code, then a file (YAML, of which JSON
// is a part), then the environment, then flags.
//
// The `yaml` tag of a field is its key, from which the name of its environment
// variable follows, its `env` tag
// another variable that programs which we replace have, and its `doc` tag is what
// people read about it; what checks,
// prints and documents a configuration walks the same tags, so that a new field
// needs nothing else. The `short` tag of a section names the one of its keys
// that a value in place of the section is taken for.
package config

import (
	"io"
	"log/slog"
	"net"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/call"
	"usher/internal/collab"
	"usher/internal/contact"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/limit"
	"usher/internal/platform/agora"
	"usher/internal/platform/janus"
	"usher/internal/platform/livekit"
	"usher/internal/platform/turnrest"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/signaling"
	"usher/internal/turn"
	"usher/internal/webhook"
)

//go:generate go run gendoc.go

// Config is the whole configuration.
type Config struct {
	// Dev is development mode: nobody has to prove who they are. No file and no
	// variable can switch it on, only whoever starts the server.
	Dev bool `yaml:"-"`
	// OnLambda says that this process is a function on AWS Lambda.
	OnLambda bool `yaml:"-"`
	// Sources says where [Load] has the values from that are not the defaults, by
	// their paths.
	Sources map[string]string `yaml:"-"`

	Server    Server                  `yaml:"server"`
	Data      string                  `yaml:"data" doc:"The folder of the database and of what else the server keeps. Made when there is none."`
	Store     Store                   `yaml:"store"`
	Lambda    Lambda                  `yaml:"lambda"`
	Issuers   []identity.IssuerConfig `yaml:"issuers" doc:"Whose tokens say who a user is: a list of issuers, each with the keys below. Without any, only back ends with keys are known, guests, and the users of session."`
	Session   identity.ForwardConfig  `yaml:"session"`
	Operators []string                `yaml:"operators" doc:"Who may see and end everything, as client:ID, user:ISSUER#SUBJECT or group:ISSUER#NAME."`
	Policy    policy.Config           `yaml:"policy"`
	Limits    limit.Config            `yaml:"limits"`
	Record    access.RecordConfig     `yaml:"audit" short:"mode"`
	Webhooks  []webhook.Config        `yaml:"webhooks" doc:"Who else is told of what happens: a list of targets, each with the keys below. See docs/webhooks.md."`
	Rooms     room.Config             `yaml:"rooms"`
	Contacts  contact.Config          `yaml:"contacts"`
	Signaling signaling.Config        `yaml:"signaling"`
	Calls     call.Config             `yaml:"calls"`
	VPaaS     VPaaS                   `yaml:"vpaas"`
	Agora     agora.Config            `yaml:"agora"`
	Janus     janus.Config            `yaml:"janus"`
	LiveKit   livekit.Config          `yaml:"livekit"`
	// TURN is what clients are told of TURN servers, and TURNServer the embedded one.
	TURN       turnrest.Config `yaml:"turn"`
	TURNServer turn.Config     `yaml:"turnServer"`
	Collab     collab.Config   `yaml:"collab"`
	Web        Web             `yaml:"web"`
	Log        Log             `yaml:"log"`
	Compat     Compat          `yaml:"compat"`
}

// Server says where we listen and what we call ourselves.
type Server struct {
	HTTP      string   `yaml:"http" doc:"Where to listen for plain HTTP: an IP address and port, localhost:PORT for the loopback addresses, :PORT for all interfaces, or nothing at all to switch it off. In development mode the variable PORT says which port of localhost."`
	HTTPS     string   `yaml:"https" doc:"Where to listen for HTTPS, likewise, with the certificate of server.tls."`
	TLS       TLS      `yaml:"tls"`
	PublicURL string   `yaml:"publicURL" doc:"What callers reach the server by, such as https://usher.example.com: the audience of tokens and the start of links. Needed outside development mode."`
	Origins   []string `yaml:"origins" doc:"The origins whose pages may call the native API from a browser, exactly as browsers write them, such as https://app.example.com."`
	// TrustedProxies is read with [Server.Proxies].
	TrustedProxies []string      `yaml:"trustedProxies" doc:"The proxies in front of this server, as addresses or networks such as 10.0.0.0/8: what they write into X-Forwarded-For and X-Forwarded-Proto is believed, so that limits count callers and not the proxy. All addresses are too many, but in development mode."`
	Notice         time.Duration `yaml:"notice" doc:"For how long a server that is told to stop goes on as before while /readyz fails, so that whoever balances the load sends nobody anew. Longer than that asks in between; 0s where nobody asks."`
	Drain          time.Duration `yaml:"drain" doc:"How long requests that were begun may take to be answered when a server stops. Keep it shorter than clients try to reconnect."`
	Debug          string        `yaml:"debug" doc:"Where to serve profiles of the process (/debug/pprof/), to those who run it: an address of this machine, as 127.0.0.1:6060. Any other needs debugToken. Nowhere if it is not set."`
	DebugToken     usher.Secret  `yaml:"debugToken" doc:"What has to be sent there, as Authorization: Bearer; at least 32 characters. If it is not set, whoever is on this machine may read profiles."`
	// Port is turned into HTTPS by [Load], which leaves it 0.
	Port int `yaml:"port,omitempty" doc:"A short form of server.https: this port on the loopback addresses in development mode, and on all interfaces otherwise."`
}

// VPaaS is the Pexip VPaaS, or another Usher, that meetings are made at.
type VPaaS struct {
	APIAddress  string        `yaml:"apiAddress" doc:"The VPaaS service that the back end of the Pexip tutorial makes its meetings at. Without it, this server is its own VPaaS."`
	CAFile      string        `yaml:"caFile" doc:"A file of certificates (PEM) to trust there beside the system's, for a service with a private certificate."`
	Timeout     time.Duration `yaml:"timeout" doc:"How long to wait for an answer from there."`
	Credentials Credentials   `yaml:"credentials"`
}

// Credentials are what a VPaaS knows this server by.
type Credentials struct {
	ClientID       string `yaml:"clientId" doc:"The id that the service gave this server when its public key was registered."`
	PrivateKeyPath string `yaml:"privateKeyPath" doc:"The private key (PEM), relative to the folder that the server is started in: RSA of at least 4096 bits, which is what Pexip asks for, ECDSA on P-384, or Ed25519."`
}

// Log says what is logged and how.
type Log struct {
	Level  string `yaml:"level" doc:"The least that is logged: debug, info, warn or error."`
	Format string `yaml:"format" doc:"text, or json for programs that collect logs."`
	// Requests are logged without what is in their paths, queries and bodies.
	Requests bool `yaml:"requests" doc:"Whether there is a line for every request that was answered: by whom, from where, which route, the status, how long it took and how much was sent. It has routes as they are written, as /api/v1/rooms/{room}, and nothing of a query, a header or a body."`
}

// Compat says which foreign dialects are spoken.
type Compat struct {
	VPaaS    VPaaSDialect    `yaml:"vpaas"`
	Meetings MeetingsDialect `yaml:"meetings"`
	Agora    AgoraDialect    `yaml:"agora"`
	Janus    JanusDialect    `yaml:"janus"`
	LiveKit  LiveKitDialect  `yaml:"livekit"`
	// VideoChat is that of the serverless video chat on AWS.
	VideoChat   VideoChatDialect   `yaml:"videochat"`
	Connections ConnectionsDialect `yaml:"connections"`
	RoomService RoomServiceDialect `yaml:"roomservice"`
}

// VPaaSDialect is the service API of Pexip VPaaS.
type VPaaSDialect struct {
	Enabled bool         `yaml:"enabled" doc:"Whether this server is a VPaaS: /oauth/token, /v1/meetings and the participants' sockets."`
	Access  httpd.Access `yaml:"access" doc:"By what its callers are known: identity and nothing else, since they are back ends with keys, and participants with a secret."`
}

// MeetingsDialect is the back end of Pexip's VPaaS tutorial.
type MeetingsDialect struct {
	Enabled bool         `yaml:"enabled" doc:"Whether to serve the back end of the Pexip tutorial: /api-address, /meetings and /meetings/{id}/participants."`
	Access  httpd.Access `yaml:"access" doc:"By what its callers are known: identity is a token or key; session is also a session of the app that session.url asks; public also serves whoever presents nothing."`
	Role    usher.Role   `yaml:"role" doc:"What everybody gets whom access: public serves: speaker, host, or a role of policy.roles that may do no less than a speaker. It has to be said."`
}

// AgoraDialect is the routes of Agora's token servers.
type AgoraDialect struct {
	Enabled bool         `yaml:"enabled" doc:"Whether to serve the routes of Agora's token servers: /rtc, /rtm, /rte, /getToken and the others."`
	Access  httpd.Access `yaml:"access" doc:"By what its callers are known: identity, session or public, as in compat.meetings.access."`
	Role    usher.Role   `yaml:"role" doc:"What everybody gets whom access: public serves: viewer, speaker, host, or a role of policy.roles. It has to be said."`
}

// JanusDialect is the route of permission tokens for janus-plugin-sfu.
type JanusDialect struct {
	Enabled bool         `yaml:"enabled" doc:"Whether to serve /janus/token, where clients of janus-plugin-sfu get their tokens."`
	Access  httpd.Access `yaml:"access" doc:"By what its callers are known: identity, session or public, as in compat.meetings.access."`
	Role    usher.Role   `yaml:"role" doc:"What everybody gets whom access: public serves: speaker, host, or a role of policy.roles that may do no less than a speaker. It has to be said."`
}

// LiveKitDialect is LiveKit's token endpoint.
type LiveKitDialect struct {
	Enabled bool         `yaml:"enabled" doc:"Whether to serve /livekit/token, where LiveKit's SDKs get their tokens."`
	Access  httpd.Access `yaml:"access" doc:"By what its callers are known: identity, session or public, as in compat.meetings.access."`
	Role    usher.Role   `yaml:"role" doc:"What everybody gets whom access: public serves: viewer, speaker, host, or a role of policy.roles. It has to be said."`
}

// VideoChatDialect is the REST API of the serverless video chat.
type VideoChatDialect struct {
	Enabled bool         `yaml:"enabled" doc:"Whether to serve the REST API of the serverless video chat: /user and /contacts."`
	Access  httpd.Access `yaml:"access" doc:"By what its callers are known: identity and nothing else, since only who is somebody has contacts."`
}

// ConnectionsDialect is API Gateway's management API of connections, which has a
// listener of its own.
type ConnectionsDialect struct {
	Listen          string                    `yaml:"listen" doc:"Where to listen for AWS's @connections API, as 127.0.0.1:8090, with which back ends write to the connections of /signal and close them. Without it the API is off."`
	Stage           string                    `yaml:"stage" doc:"The stage that its paths begin with: SDKs are given http://ADDRESS/STAGE as their endpoint."`
	AccessKeyID     string                    `yaml:"accessKeyId" doc:"The id of the AWS access key that may call. It is made up for this; AWS does not know it."`
	SecretAccessKey usher.Secret              `yaml:"secretAccessKey" doc:"The access key's secret, as file:PATH or env:NAME; at least 32 characters."`
	Keys            map[string]ConnectionsKey `yaml:"keys" doc:"Further access keys, by their ids, so that keys can be exchanged one after the other, and told apart in the record."`
	Rate            limit.Rate                `yaml:"rate" doc:"How often one key may call, as 1000/1s; 0 is no limit."`
}

// ConnectionsKey is an access key of those who may reach connections.
type ConnectionsKey struct {
	SecretAccessKey usher.Secret `yaml:"secretAccessKey" doc:"The secret of this access key, likewise."`
}

// RoomServiceDialect is Room Service: the service itself, and the route that
// pages get their tokens from.
type RoomServiceDialect struct {
	Enabled  bool          `yaml:"enabled" doc:"Whether to be Room Service: /provision, /presence, /docs, /ws, /v1/sdk/rooms and /roomservice."`
	Access   httpd.Access  `yaml:"access" doc:"By what those are known who call /roomservice/auth for a token: identity, session or public, as in compat.meetings.access. All else needs a key, or such a token."`
	Role     usher.Role    `yaml:"role" doc:"What everybody gets whom access: public serves: viewer, speaker, host, or a role of policy.roles. It has to be said."`
	Lifetime time.Duration `yaml:"lifetime" doc:"How long a token is good, from when it is given out and from each time that a connection which has it renews it: a page that stays connected keeps its token. Never longer than policy.maxLifetime at a time."`
}

// Default returns the configuration in force where nothing is said.
func Default() Config {
	return Config{
		Server:     Server{HTTP: "127.0.0.1:8080", TLS: DefaultTLS(), Drain: 8 * time.Second},
		Data:       "usher-data",
		Store:      DefaultStore(),
		Session:    identity.DefaultForwardConfig(),
		Policy:     policy.DefaultConfig(),
		Limits:     limit.DefaultConfig(),
		Record:     access.DefaultRecordConfig(),
		Rooms:      room.DefaultConfig(),
		Contacts:   contact.DefaultConfig(),
		Signaling:  signaling.DefaultConfig(),
		Calls:      call.DefaultConfig(),
		VPaaS:      VPaaS{Timeout: 10 * time.Second},
		Agora:      agora.Config{TokenVersion: "007"},
		Janus:      janus.DefaultConfig(),
		TURNServer: turn.DefaultConfig(),
		Collab:     collab.DefaultConfig(),
		Web:        Web{Enabled: true},
		Log:        Log{Level: "info", Format: "text"},
		Compat: Compat{
			VPaaS:       VPaaSDialect{Enabled: true, Access: httpd.ByIdentity},
			Meetings:    MeetingsDialect{Access: httpd.ByIdentity},
			Agora:       AgoraDialect{Access: httpd.ByIdentity},
			Janus:       JanusDialect{Access: httpd.ByIdentity},
			LiveKit:     LiveKitDialect{Access: httpd.ByIdentity},
			VideoChat:   VideoChatDialect{Access: httpd.ByIdentity},
			Connections: ConnectionsDialect{Stage: "dev", Rate: limit.Rate{Count: 1000, Per: time.Second}},
			RoomService: RoomServiceDialect{Access: httpd.ByIdentity, Lifetime: 6 * time.Hour},
		},
	}
}

// Dev returns what takes the place of [Default] in development mode.
func Dev() Config {
	c := Default()
	c.Dev = true
	c.Server.HTTP = "localhost:8080"
	c.Server.HTTPS = "localhost:3000"
	c.Limits = limit.Config{} // only this machine can call
	c.Rooms.Implicit = true
	c.Compat.Meetings.Enabled = true
	c.Compat.Agora.Enabled = true
	c.Compat.Janus.Enabled = true
	c.Compat.LiveKit.Enabled = true
	c.Compat.VideoChat.Enabled = true
	c.Compat.RoomService.Enabled = true
	return c
}

// HTTPAddresses returns the TCP addresses to listen on for plain HTTP, none if
// it is off. The first must be had; a machine may lack a second.
func (s Server) HTTPAddresses() []string { return listenAddresses(s.HTTP) }

// HTTPSAddresses returns the TCP addresses to listen on for HTTPS, as
// [Server.HTTPAddresses] does.
func (s Server) HTTPSAddresses() []string { return listenAddresses(s.HTTPS) }

// listenAddresses spells localhost out, since clients differ in which of its
// two addresses they try. With port 0 the system would choose two ports.
func listenAddresses(address string) []string {
	if address == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil || host != "localhost":
		return []string{address}
	case port == "0":
		return []string{"127.0.0.1:0"}
	default:
		return []string{"127.0.0.1:" + port, "[::1]:" + port}
	}
}

// Handler returns what writes logs to w as configured, from a level on that can
// change.
func (l Log) Handler(w io.Writer, from slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: from}
	if l.Format == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// From is the least that is logged.
func (l Log) From() slog.Level { return logLevels[l.Level] }

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}
