package api

import (
	"net/http"

	"usher"
	"usher/client"
	"usher/internal/httpd"
	"usher/internal/keys"
)

func (a *API) listKeys(w http.ResponseWriter, r *http.Request) error {
	all, err := a.Access.SigningKeys(r.Context(), httpd.Identity(r.Context()))
	if err != nil {
		return err
	}
	answer := client.KeyList{Keys: make([]client.Key, len(all))}
	for i, k := range all {
		answer.Keys[i] = wireKey(k)
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

func (a *API) rotateKeys(w http.ResponseWriter, r *http.Request) error {
	if err := httpd.ReadJSON(r, &struct{}{}, true); err != nil {
		return err
	}
	current, err := a.Access.RotateKeys(r.Context(), httpd.Identity(r.Context()))
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, wireKey(current))
}

func (a *API) retireKey(w http.ResponseWriter, r *http.Request) error {
	id, err := usher.ParseID(r.PathValue("kid"))
	if err != nil {
		return usher.Errorf(usher.NotFound, "key_not_found", "There is no such signing key.")
	}
	if err := httpd.ReadJSON(r, &struct{}{}, true); err != nil {
		return err
	}
	if err := a.Access.RetireKey(r.Context(), httpd.Identity(r.Context()), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func wireKey(k keys.Key) client.Key {
	return client.Key{
		ID: k.ID, Algorithm: k.Algorithm, State: string(k.State), CreatedAt: stamp(k.CreatedAt()), NotAfter: stamp(k.NotAfter),
	}
}
