// Package api is Usher's native API: REST over JSON under /api/v1, one file for
// each resource, described by openapi.yaml.
//
// It parses, asks package access and writes the answer; whatever is decided, is
// decided there. The wire types are those of package client.
package api

import (
	_ "embed"
	"net/http"

	"usher"
	"usher/internal/access"
	"usher/internal/httpd"
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
}

// API serves the native API.
type API struct {
	Config
}

// New returns an API.
func New(config Config) *API { return &API{config} }

// Dialect returns the routes.
func (a *API) Dialect() httpd.Dialect {
	return httpd.Dialect{Name: "native", Routes: []httpd.Route{
		{Pattern: "POST " + base + "/rooms", Caller: httpd.Known, Scope: usher.MeetingCreate, Handle: a.createRoom},
		{Pattern: "GET " + base + "/rooms", Caller: httpd.Known, Scope: usher.MeetingRead, Handle: a.listRooms},
		{Pattern: "GET " + base + "/rooms/{room}", Caller: httpd.Known, Scope: usher.MeetingRead, Handle: a.getRoom},
		{Pattern: "PATCH " + base + "/rooms/{room}", Caller: httpd.Known, Scope: usher.MeetingWrite, Handle: a.changeRoom},
		{Pattern: "DELETE " + base + "/rooms/{room}", Caller: httpd.Known, Scope: usher.MeetingWrite, Handle: a.endRoom},

		{Pattern: "POST " + base + "/rooms/{room}/participants", Caller: httpd.Known, Scope: usher.ParticipantCreate, Handle: a.addParticipant},
		{Pattern: "GET " + base + "/rooms/{room}/participants", Caller: httpd.Known, Scope: usher.ParticipantRead, Handle: a.listParticipants},
		{Pattern: "GET " + base + "/rooms/{room}/participants/{participant}", Caller: httpd.Known, Scope: usher.ParticipantRead, Handle: a.getParticipant},
		{Pattern: "DELETE " + base + "/rooms/{room}/participants/{participant}", Caller: httpd.Known, Scope: usher.ParticipantWrite, Handle: a.removeParticipant},
		{Pattern: "POST " + base + "/rooms/{room}/participants/{participant}/secret", Caller: httpd.Known, Scope: usher.ParticipantWrite, Handle: a.renewSecret},
		{Pattern: "POST " + base + "/rooms/{room}/participants/{participant}/claim", Caller: httpd.Anyone, Handle: a.claim},

		{Pattern: "POST " + base + "/clients", Caller: httpd.Operators, Handle: a.addClient},
		{Pattern: "GET " + base + "/clients", Caller: httpd.Operators, Handle: a.listClients},
		{Pattern: "GET " + base + "/clients/{client}", Caller: httpd.Operators, Handle: a.getClient},
		{Pattern: "POST " + base + "/clients/{client}/rotate", Caller: httpd.Operators, Handle: a.rotateClient},
		{Pattern: "DELETE " + base + "/clients/{client}", Caller: httpd.Operators, Handle: a.revokeClient},

		{Pattern: "GET " + base + "/openapi.yaml", Caller: httpd.Known, Handle: serveSpec},
	}}
}

func serveSpec(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, err := w.Write(spec)
	return err
}
