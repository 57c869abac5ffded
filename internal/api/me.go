package api

import (
	"net/http"

	"usher/client"
	"usher/internal/httpd"
	"usher/internal/platform/turnrest"
)

// webConfig tells the page how to sign people in, before anybody is known.
func (a *API) webConfig(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "no-cache")
	config := a.Web
	config.Relays = a.Access.HasRelay(turnrest.Name)
	return httpd.JSON(w, http.StatusOK, config)
}

// me tells a caller as whom it is known.
func (a *API) me(w http.ResponseWriter, r *http.Request) error {
	id := httpd.Identity(r.Context())
	return httpd.JSON(w, http.StatusOK, client.Me{
		Kind: id.Kind, Key: id.Key(), Name: id.Name, Email: id.Email, Groups: list(id.Groups), Scopes: list(id.Scopes),
		Operator: id.Operator, Room: id.Room, Role: id.Role, Actor: id.Actor, ExpiresAt: stamp(id.Expires),
	})
}
