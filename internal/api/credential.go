package api

import (
	"cmp"
	"encoding/json"
	"net/http"
	"time"

	"usher"
	"usher/client"
	"usher/internal/access"
	"usher/internal/httpd"
	"usher/internal/platform/turnrest"
)

func (a *API) issue(w http.ResponseWriter, r *http.Request) error {
	var req client.CredentialRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	permissions, err := knownPermissions(req.Permissions)
	if err != nil {
		return err
	}
	issued, err := a.Access.Credential(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), access.CredentialSpec{
		Platform: req.Platform, Format: req.Format, Subject: req.Subject,
		Role: req.Role, Permissions: permissions, Lifetime: lifetime(req.TTL), Make: true,
	})
	if err != nil {
		return err
	}
	httpd.NoStore(w.Header())
	return httpd.JSON(w, http.StatusCreated, struct {
		client.Credential
		Token string `json:"token"` // in clear: this is the one place that sends it
	}{client.Credential{
		Platform: issued.Platform, Room: cmp.Or(issued.Room.Name, string(issued.Room.ID)), URL: issued.URL,
		ExpiresAt: stamp(issued.ExpiresAt), ExpiresIn: seconds(issued.ExpiresIn), RefreshIn: seconds(issued.RefreshIn),
		Role: issued.Decision.Role, Permissions: list(issued.Decision.Permissions), Clamped: list(issued.Decision.Clamped),
		Grant: issued.Grant, Body: issued.Body,
	}, issued.Token.Reveal()})
}

// knownPermissions refuses a misspelt permission, which would be granted to nobody.
func knownPermissions(asked usher.Permissions) (usher.Permissions, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	names := make([]string, len(asked))
	for i, p := range asked {
		names[i] = string(p)
	}
	permissions, err := usher.ParsePermissions(names)
	if err != nil {
		problem := usher.Errorf(usher.Invalid, "permission_unknown", "There is no such permission.")
		problem.Fields = []usher.FieldProblem{{Field: "permissions", Message: err.Error()}}
		return nil, problem
	}
	return permissions, nil
}

// seconds never tells of more time than there is.
func seconds(d time.Duration) int { return int(d / time.Second) }

func (a *API) inspect(w http.ResponseWriter, r *http.Request) error {
	var req client.InspectRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	found, err := a.Access.Inspect(r.Context(), httpd.Identity(r.Context()), access.InspectSpec{Token: req.Token, Room: req.Room, Subject: req.Subject})
	if err != nil {
		return err
	}
	httpd.NoStore(w.Header())
	return httpd.JSON(w, http.StatusOK, client.Inspection{
		Platform: found.Platform, Format: found.Format, Verified: string(found.Verified), Subject: found.Subject, Room: found.Room,
		IssuedAt: stamp(found.IssuedAt), ExpiresAt: stamp(found.ExpiresAt), Claims: found.Claims, Problems: list(found.Problems),
	})
}

func (a *API) iceServers(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	issued, err := a.Access.Relay(r.Context(), httpd.Identity(r.Context()), turnrest.Name)
	if err != nil {
		return err
	}
	httpd.NoStore(w.Header())
	return httpd.JSON(w, http.StatusOK, struct {
		client.ICEServers
		Servers []json.RawMessage `json:"ice_servers"` // in clear: this is the one place that sends it
	}{client.ICEServers{
		ExpiresAt: stamp(issued.ExpiresAt), ExpiresIn: seconds(issued.ExpiresIn), RefreshIn: seconds(issued.RefreshIn), Grant: issued.Grant,
	}, []json.RawMessage{issued.Body}})
}
