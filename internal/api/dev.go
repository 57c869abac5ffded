package api

import (
	"net/http"

	"usher/internal/httpd"
)

// DevDialect returns the login of development mode as a dialect of its own,
// since every page on this machine may call it. Elsewhere it has no routes.
func (a *API) DevDialect() httpd.Dialect {
	d := httpd.Dialect{Name: "dev", CORS: httpd.CORS{Loopback: true}}
	if a.DevLogin != nil {
		d.Routes = []httpd.Route{{Pattern: "POST /dev/login", Caller: httpd.Anyone, Handle: a.devLogin}}
	}
	return d
}

// devLogin takes only JSON, which no page of another origin can send without
// asking first.
func (a *API) devLogin(w http.ResponseWriter, r *http.Request) error {
	var req struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	}
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	token, id, err := a.DevLogin.Issue(req.Name, req.Email)
	if err != nil {
		return err
	}
	type user struct {
		ID    string `json:"id"`
		Key   string `json:"key"`
		Name  string `json:"name"`
		Email string `json:"email,omitempty"`
	}
	httpd.NoStore(w.Header())
	return httpd.JSON(w, http.StatusOK, struct {
		Token string `json:"token"` // in clear: this is the one place that sends it
		User  user   `json:"user"`
	}{token.Reveal(), user{id.Subject, id.Key(), id.Name, id.Email}})
}
