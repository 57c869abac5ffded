// Package api is Usher's native API: REST over JSON under /api/v1, one file for
// each resource, described by openapi.yaml.
//
// It parses, asks package access and writes the answer; whatever is decided, is
// decided there. The wire types are those of package client.
package api

import (
	_ "embed"
	"net/http"
	"slices"

	"usher"
	"usher/client"
	"usher/internal/access"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/webhook"
)

// base is the path that every route begins with.
const base = "/api/v1"

// spec describes every route of this package; a test holds one against the other.
//
//go:embed openapi.yaml
var spec []byte

// Config is what [New] needs.
type Config struct {
	Access *access.Access
	// Webhooks are who else is told of what happens.
	Webhooks *webhook.Service
	// Origins are the pages that may call, exactly as a browser names them:
	// https://app.example.
	Origins []string
	// DevLogin is the login of development mode, and nil elsewhere.
	DevLogin *identity.DevLogin
	// Web is how the page signs people in.
	Web client.WebConfig
}

// API serves the native API.
type API struct {
	Config
}

// New returns an API.
func New(config Config) *API { return &API{config} }

// Dialect returns the routes.
func (a *API) Dialect() httpd.Dialect {
	return httpd.Dialect{Name: "native", CORS: httpd.CORS{Origins: a.Origins, Expose: exposed}, Routes: slices.Concat(
		a.roomRoutes(), a.credentialRoutes(), a.peopleRoutes(), a.contactRoutes(), a.operatorRoutes(),
	)}
}

// exposed are the headers of answers that a page may read.
var exposed = []string{"ETag", "Location", "Retry-After", "X-Request-ID"}

// roomRoutes are those of rooms and of the places in them.
func (a *API) roomRoutes() []httpd.Route {
	return []httpd.Route{
		{Pattern: "POST " + base + "/rooms", Caller: httpd.Known, Scope: usher.MeetingCreate, Handle: a.createRoom},
		{Pattern: "GET " + base + "/rooms", Caller: httpd.Known, Scope: usher.MeetingRead, Handle: a.listRooms},
		{Pattern: "GET " + base + "/rooms/{room}", Caller: httpd.Known, Scope: usher.MeetingRead, Handle: a.getRoom},
		{Pattern: "PATCH " + base + "/rooms/{room}", Caller: httpd.Known, Scope: usher.MeetingWrite, Handle: a.changeRoom},
		{Pattern: "DELETE " + base + "/rooms/{room}", Caller: httpd.Known, Scope: usher.MeetingWrite, Handle: a.endRoom},
		{Pattern: "GET " + base + "/rooms/{room}/occupancy", Caller: httpd.Known, Scope: usher.MeetingRead, Handle: a.occupancy},

		{Pattern: "POST " + base + "/rooms/{room}/participants", Caller: httpd.Known, Scope: usher.ParticipantCreate, Handle: a.addParticipant},
		{Pattern: "GET " + base + "/rooms/{room}/participants", Caller: httpd.Known, Scope: usher.ParticipantRead, Handle: a.listParticipants},
		{Pattern: "GET " + base + "/rooms/{room}/participants/{participant}", Caller: httpd.Known, Scope: usher.ParticipantRead, Handle: a.getParticipant},
		{Pattern: "DELETE " + base + "/rooms/{room}/participants/{participant}", Caller: httpd.Known, Scope: usher.ParticipantWrite, Handle: a.removeParticipant},
		{Pattern: "POST " + base + "/rooms/{room}/participants/{participant}/secret", Caller: httpd.Known, Scope: usher.ParticipantWrite, Handle: a.renewSecret},
		{Pattern: "POST " + base + "/rooms/{room}/participants/{participant}/claim", Caller: httpd.Anyone, Handle: a.claim},
	}
}

// credentialRoutes are those of the credentials of platforms.
func (a *API) credentialRoutes() []httpd.Route {
	return []httpd.Route{
		{Pattern: "POST " + base + "/rooms/{room}/credentials", Caller: httpd.Known, Scope: usher.ParticipantCreate, Handle: a.issue},
		{Pattern: "POST " + base + "/credentials/inspect", Caller: httpd.Known, Handle: a.inspect},
		{Pattern: "GET " + base + "/ice-servers", Caller: httpd.Known, Handle: a.iceServers},
	}
}

// peopleRoutes are those of who may enter a room, and of who is calling.
func (a *API) peopleRoutes() []httpd.Route {
	return []httpd.Route{
		{Pattern: "PUT " + base + "/rooms/{room}/members", Caller: httpd.Known, Scope: usher.MeetingWrite, Handle: a.putMember},
		{Pattern: "GET " + base + "/rooms/{room}/members", Caller: httpd.Known, Scope: usher.MeetingRead, Handle: a.listMembers},
		{Pattern: "DELETE " + base + "/rooms/{room}/members/{member}", Caller: httpd.Known, Scope: usher.MeetingWrite, Handle: a.deleteMember},

		{Pattern: "POST " + base + "/rooms/{room}/invites", Caller: httpd.Known, Scope: usher.MeetingWrite, Handle: a.createInvite},
		{Pattern: "GET " + base + "/rooms/{room}/invites", Caller: httpd.Known, Scope: usher.MeetingRead, Handle: a.listInvites},
		{Pattern: "DELETE " + base + "/rooms/{room}/invites/{invite}", Caller: httpd.Known, Scope: usher.MeetingWrite, Handle: a.revokeInvite},
		{Pattern: "POST " + base + "/invites/redeem", Caller: httpd.Anyone, Handle: a.redeem},

		{Pattern: "POST " + base + "/rooms/{room}/bans", Caller: httpd.Known, Scope: usher.ParticipantWrite, Handle: a.ban},
		{Pattern: "GET " + base + "/rooms/{room}/bans", Caller: httpd.Known, Scope: usher.ParticipantRead, Handle: a.listBans},
		{Pattern: "DELETE " + base + "/rooms/{room}/bans", Caller: httpd.Known, Scope: usher.ParticipantWrite, Handle: a.unbanIdentity},
		{Pattern: "DELETE " + base + "/rooms/{room}/bans/{ban}", Caller: httpd.Known, Scope: usher.ParticipantWrite, Handle: a.unban},

		{Pattern: "GET " + base + "/me", Caller: httpd.Known, Handle: a.me},
		{Pattern: "GET " + base + "/web/config", Caller: httpd.Anyone, Handle: a.webConfig},
		{Pattern: "GET " + base + "/openapi.yaml", Caller: httpd.Known, Handle: serveSpec},
	}
}

// contactRoutes are those of the caller as a person, and of whom it knows.
func (a *API) contactRoutes() []httpd.Route {
	return []httpd.Route{
		{Pattern: "GET " + base + "/user", Caller: httpd.Known, Handle: a.getUser},
		{Pattern: "DELETE " + base + "/user", Caller: httpd.Known, Handle: a.eraseSelf},
		{Pattern: "GET " + base + "/contacts", Caller: httpd.Known, Handle: a.listContacts},
		{Pattern: "POST " + base + "/contacts", Caller: httpd.Known, Handle: a.addContact},
		{Pattern: "DELETE " + base + "/contacts/{user}", Caller: httpd.Known, Handle: a.removeContact},
		{Pattern: "POST " + base + "/signal/ticket", Caller: httpd.Known, Handle: a.issueTicket},
		{Pattern: "GET " + base + "/calls/missed", Caller: httpd.Known, Handle: a.listMissedCalls},
		{Pattern: "POST " + base + "/calls/missed/acknowledge", Caller: httpd.Known, Handle: a.acknowledgeCalls},
	}
}

// operatorRoutes are those that only operators may call.
func (a *API) operatorRoutes() []httpd.Route {
	return []httpd.Route{
		{Pattern: "POST " + base + "/clients", Caller: httpd.Operators, Handle: a.addClient},
		{Pattern: "GET " + base + "/clients", Caller: httpd.Operators, Handle: a.listClients},
		{Pattern: "GET " + base + "/clients/{client}", Caller: httpd.Operators, Handle: a.getClient},
		{Pattern: "POST " + base + "/clients/{client}/rotate", Caller: httpd.Operators, Handle: a.rotateClient},
		{Pattern: "DELETE " + base + "/clients/{client}", Caller: httpd.Operators, Handle: a.revokeClient},

		{Pattern: "GET " + base + "/users", Caller: httpd.Operators, Handle: a.listUsers},
		{Pattern: "GET " + base + "/users/{user}", Caller: httpd.Operators, Handle: a.userOf},
		{Pattern: "DELETE " + base + "/users/{user}", Caller: httpd.Operators, Handle: a.eraseUser},

		{Pattern: "POST " + base + "/revocations", Caller: httpd.Operators, Handle: a.revoke},
		{Pattern: "GET " + base + "/revocations", Caller: httpd.Operators, Handle: a.listRevocations},
		{Pattern: "GET " + base + "/ejections", Caller: httpd.Operators, Handle: a.listEjections},

		{Pattern: "GET " + base + "/events", Caller: httpd.Operators, Handle: a.listEvents},
		{Pattern: "GET " + base + "/decisions/{decision}", Caller: httpd.Operators, Handle: a.getDecision},
		{Pattern: "GET " + base + "/decisions/{decision}/explanation", Caller: httpd.Operators, Handle: a.explainDecision},

		{Pattern: "GET " + base + "/figures", Caller: httpd.Operators, Handle: a.figures},
		{Pattern: "GET " + base + "/health", Caller: httpd.Operators, Handle: a.health},
		{Pattern: "GET " + base + "/configuration", Caller: httpd.Operators, Handle: a.configuration},

		{Pattern: "GET " + base + "/webhooks", Caller: httpd.Operators, Handle: a.listWebhooks},
		{Pattern: "POST " + base + "/webhooks/{webhook}/replay", Caller: httpd.Operators, Handle: a.replayWebhook},

		{Pattern: "GET " + base + "/keys", Caller: httpd.Operators, Handle: a.listKeys},
		{Pattern: "POST " + base + "/keys/rotate", Caller: httpd.Operators, Handle: a.rotateKeys},
		{Pattern: "DELETE " + base + "/keys/{kid}", Caller: httpd.Operators, Handle: a.retireKey},
	}
}

func serveSpec(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, err := w.Write(spec)
	return err
}
