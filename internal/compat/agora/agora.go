// Package agora is the token servers of Agora's community: the one of the
// Node.js tutorial and its first version, agora-token-service, its sibling with
// /token/getNew, and Agora's own samples with /token/generate and /rtcToken.
//
// It takes their requests and gives their answers, and differs where those
// servers sign what nobody meant: a token for any user, for ever, or of an
// administrator. What they refuse with 500, or not at all, is 400 here.
package agora

import (
	"net/http"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/httpd"
)

// platform is the name of what the tokens are for.
const platform = "agora"

// Messaging is the room whose people may log in to Signaling and Chat, which
// Agora grants for a whole project and not for a channel. No channel can have
// its name, which has a slash.
const Messaging = "agora/messaging"

// The formats of the tokens; their version is the configured one.
const (
	rtc  = "rtc"
	rtm  = "rtm"
	chat = "chat"
	fpa  = "fpa"
	// classroom is a user of Flexible Classroom, outside of any room.
	classroom = "apaas-user"
)

// Config is what [New] needs.
type Config struct {
	Access *access.Access
	// Open says that callers need not show credentials that a page must have been
	// given: in development, by a session, or where everybody is served. Only
	// pages of this machine may then read the answers, and those whose origins
	// are added: any other could have its visitors' browsers fetch tokens.
	Open bool
}

// Service is the token server.
type Service struct {
	config Config
}

// New returns the service.
func New(config Config) *Service { return &Service{config: config} }

// Dialect returns the routes, each with and without a final slash.
func (s *Service) Dialect() httpd.Dialect {
	const scope = usher.ParticipantCreate
	routes := []httpd.Route{
		{Pattern: "GET /ping", Caller: httpd.Anyone, Handle: ping},
		{Pattern: "GET /rtc/{channel}/{role}/{tokentype}/{uid}", Caller: httpd.Known, Scope: scope, Handle: s.rtc},
		{Pattern: "GET /rtm/{uid}", Caller: httpd.Known, Scope: scope, Handle: s.rtm},
		{Pattern: "GET /rte/{channel}/{role}/{tokentype}/{uid}", Caller: httpd.Known, Scope: scope, Handle: s.rte},
		{Pattern: "GET /rte/{channel}/{role}/{tokentype}/{uid}/{rtmuid}", Caller: httpd.Known, Scope: scope, Handle: s.rte},
		{Pattern: "GET /chat/app", Caller: httpd.Known, Scope: scope, Handle: refuseApp},
		{Pattern: "GET /chat/account/{chatid}", Caller: httpd.Known, Scope: scope, Handle: s.chat},
		{Pattern: "POST /getToken", Caller: httpd.Known, Scope: scope, Handle: s.getToken},
		{Pattern: "POST /token/getNew", Caller: httpd.Known, Scope: scope, Handle: s.getToken},
		{Pattern: generatePattern, Caller: httpd.Known, Scope: scope, Handle: s.generate},
		{Pattern: "GET /access_token", Caller: httpd.Known, Scope: scope, Handle: s.accessToken},
		{Pattern: "GET /rtcToken", Caller: httpd.Known, Scope: scope, Handle: s.rtcToken},
		{Pattern: "GET /rtmToken", Caller: httpd.Known, Scope: scope, Handle: s.rtmToken},
	}
	for _, r := range routes {
		r.Pattern += "/{$}"
		routes = append(routes, r)
	}
	return httpd.Dialect{
		Name:   "agora",
		Routes: routes,
		CORS:   httpd.CORS{Any: !s.config.Open, Loopback: s.config.Open, Methods: "GET,HEAD,PUT,PATCH,POST,DELETE"},
		Header: uncached,
		Fail:   fail,
	}
}

// uncached sets the headers that the token servers set on every answer.
func uncached(h http.Header) {
	h.Set("Cache-Control", "private, no-cache, no-store, must-revalidate")
	h.Set("Expires", "-1")
	h.Set("Pragma", "no-cache")
}

func ping(w http.ResponseWriter, _ *http.Request) error {
	return httpd.JSON(w, http.StatusOK, map[string]string{"message": "pong"})
}

// channelToken returns a token to join a channel with.
func (s *Service) channelToken(r *http.Request, channel, user string, role usher.Role, lifetime time.Duration) (string, error) {
	return s.token(r, channel, access.CredentialSpec{Format: rtc, Subject: user, Role: role, Lifetime: lifetime})
}

// loginToken returns a token to log in to messaging with, which is the right to
// send there: no role is named, so that it is what the caller may do, and not
// what it does in a channel, that decides.
func (s *Service) loginToken(r *http.Request, format, user string, lifetime time.Duration) (string, error) {
	return s.token(r, Messaging, access.CredentialSpec{Format: format, Subject: user, Permissions: messages(), Lifetime: lifetime})
}

// messages are the permissions that a login to messaging amounts to.
func messages() usher.Permissions {
	return usher.Permissions{usher.Join, usher.Subscribe, usher.PublishData}
}

func (s *Service) token(r *http.Request, room string, spec access.CredentialSpec) (string, error) {
	spec.Platform, spec.Make = platform, true
	issued, err := s.config.Access.Credential(r.Context(), httpd.Identity(r.Context()), room, spec)
	if err != nil {
		return "", err
	}
	return issued.Token.Reveal(), nil
}
