package api

import (
	"net/http"

	"usher"
	"usher/client"
	"usher/internal/httpd"
)

func (a *API) getUser(w http.ResponseWriter, r *http.Request) error {
	id := httpd.Identity(r.Context())
	u, err := a.Access.User(r.Context(), id)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, wireUser(u, id))
}

func (a *API) eraseSelf(w http.ResponseWriter, r *http.Request) error {
	if err := httpd.ReadJSON(r, &struct{}{}, true); err != nil {
		return err
	}
	if err := a.Access.EraseSelf(r.Context(), httpd.Identity(r.Context())); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// listUsers goes on after a user's key, since users have no other id.
func (a *API) listUsers(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "email", "limit", "cursor")
	if err != nil {
		return err
	}
	limit, problems := pageLimit(values)
	email, after := values.Get("email"), values.Get("cursor")
	if values.Has("cursor") && after == "" {
		problems = append(problems, badCursor)
	}
	if values.Has("email") && !usher.ValidEmail(email) {
		problems = append(problems, usher.FieldProblem{Field: "email", Message: "must be an e-mail address"})
	}
	if err := queryError(problems); err != nil {
		return err
	}
	id := httpd.Identity(r.Context())
	users, more, err := a.Access.Users(r.Context(), id, email, after, limit)
	if err != nil {
		return err
	}
	answer := client.UserPage{Users: make([]client.User, len(users))}
	for i, u := range users {
		answer.Users[i] = wireUser(u, id)
		if more {
			answer.NextCursor = u.Key
		}
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

func (a *API) userOf(w http.ResponseWriter, r *http.Request) error {
	id := httpd.Identity(r.Context())
	u, err := a.Access.UserOf(r.Context(), id, r.PathValue("user"))
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, wireUser(u, id))
}

func (a *API) eraseUser(w http.ResponseWriter, r *http.Request) error {
	if err := httpd.ReadJSON(r, &struct{}{}, true); err != nil {
		return err
	}
	if err := a.Access.EraseUser(r.Context(), httpd.Identity(r.Context()), r.PathValue("user")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func wireUser(u usher.User, to usher.Identity) client.User {
	return client.User{
		ID: usher.UserID(to.Issuer, u.Key), Key: u.Key, Email: u.Email, Name: u.Name,
		CreatedAt: stamp(u.CreatedAt), UpdatedAt: stamp(u.UpdatedAt),
	}
}
