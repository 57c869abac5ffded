package api

import (
	"net/http"

	"usher"
	"usher/client"
	"usher/internal/access"
	"usher/internal/httpd"
)

func (a *API) addClient(w http.ResponseWriter, r *http.Request) error {
	var req client.AddClientRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	c, err := a.Access.AddClient(r.Context(), httpd.Identity(r.Context()), access.ClientSpec{
		Name: req.Name, PublicKey: req.PublicKey, APIKey: req.APIKey, Scopes: req.Scopes, Expires: req.ExpiresAt.Time,
	}, key)
	if err != nil {
		return err
	}
	w.Header().Set("Location", base+"/clients/"+string(c.ID))
	return answerKeyed(w, http.StatusCreated, c)
}

func (a *API) listClients(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor")
	if err != nil {
		return err
	}
	p, err := page(values)
	if err != nil {
		return err
	}
	clients, more, err := a.Access.Clients(r.Context(), httpd.Identity(r.Context()), p)
	if err != nil {
		return err
	}
	answer := client.ClientPage{Clients: make([]client.Client, len(clients))}
	for i, c := range clients {
		answer.Clients[i] = wireClient(c)
		answer.NextCursor = nextCursor(more, c.ID)
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

func (a *API) getClient(w http.ResponseWriter, r *http.Request) error {
	id, err := clientID(r)
	if err != nil {
		return err
	}
	c, err := a.Access.Client(r.Context(), httpd.Identity(r.Context()), id)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, wireClient(c))
}

func (a *API) rotateClient(w http.ResponseWriter, r *http.Request) error {
	id, err := clientID(r)
	if err != nil {
		return err
	}
	var req client.RotateClientRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	c, err := a.Access.RotateClient(r.Context(), httpd.Identity(r.Context()), id,
		access.ClientKeys{PublicKey: req.PublicKey, APIKey: req.APIKey})
	if err != nil {
		return err
	}
	return answerKeyed(w, http.StatusOK, c)
}

func (a *API) revokeClient(w http.ResponseWriter, r *http.Request) error {
	id, err := clientID(r)
	if err != nil {
		return err
	}
	if err := httpd.ReadJSON(r, &struct{}{}, true); err != nil {
		return err
	}
	c, err := a.Access.RevokeClient(r.Context(), httpd.Identity(r.Context()), id)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, wireClient(c))
}

func clientID(r *http.Request) (usher.ID, error) {
	id, err := usher.ParseID(r.PathValue("client"))
	if err != nil {
		return "", usher.Errorf(usher.NotFound, "client_not_found", "There is no such client.")
	}
	return id, nil
}

// answerKeyed tells a client's new API key, if it has one, to its maker only.
func answerKeyed(w http.ResponseWriter, status int, c access.KeyedClient) error {
	httpd.NoStore(w.Header())
	return httpd.JSON(w, status, struct {
		client.Client
		APIKey string `json:"api_key,omitempty"`
	}{wireClient(c.Client), c.Key.Reveal()})
}

func wireClient(c usher.Client) client.Client {
	return client.Client{
		ID: c.ID, Name: c.Name, PublicKey: c.PublicKey, HasAPIKey: !c.APIKey.IsZero(), Scopes: list(c.Scopes),
		ExpiresAt: stamp(c.Expires), LastUsedAt: stamp(c.LastUsed),
		CreatedAt: stamp(c.CreatedAt()), UpdatedAt: stamp(c.UpdatedAt),
		NotBefore: stamp(c.NotBefore), RevokedAt: stamp(c.RevokedAt), Version: c.Version,
	}
}
