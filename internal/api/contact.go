package api

import (
	"net/http"

	"usher"
	"usher/client"
	"usher/internal/access"
	"usher/internal/httpd"
)

func (a *API) listContacts(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	id := httpd.Identity(r.Context())
	contacts, err := a.Access.Contacts(r.Context(), id)
	if err != nil {
		return err
	}
	answer := client.ContactList{Contacts: make([]client.Contact, len(contacts))}
	for i, c := range contacts {
		answer.Contacts[i] = wireContact(c, id)
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

func (a *API) addContact(w http.ResponseWriter, r *http.Request) error {
	var req client.AddContactRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	id := httpd.Identity(r.Context())
	c, added, err := a.Access.AddContact(r.Context(), id, access.ContactSpec{Email: req.Email, User: req.User})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if added {
		status = http.StatusCreated
	}
	return httpd.JSON(w, status, wireContact(c, id))
}

func (a *API) removeContact(w http.ResponseWriter, r *http.Request) error {
	if err := httpd.ReadJSON(r, &struct{}{}, true); err != nil {
		return err
	}
	if err := a.Access.RemoveContact(r.Context(), httpd.Identity(r.Context()), r.PathValue("user")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) issueTicket(w http.ResponseWriter, r *http.Request) error {
	if err := httpd.ReadJSON(r, &struct{}{}, true); err != nil {
		return err
	}
	t, err := a.Access.IssueTicket(r.Context(), httpd.Identity(r.Context()))
	if err != nil {
		return err
	}
	httpd.NoStore(w.Header())
	return httpd.JSON(w, http.StatusCreated, struct {
		Secret    string      `json:"ticket"` // in clear: this is the one place that sends it
		ExpiresAt client.Time `json:"expires_at"`
		ExpiresIn int         `json:"expires_in"`
	}{t.Secret.Reveal(), stamp(t.ExpiresAt), seconds(t.ExpiresIn)})
}

func wireContact(c access.Contact, to usher.Identity) client.Contact {
	return client.Contact{
		ID: usher.UserID(to.Issuer, c.Key), Key: c.Key, Email: c.Email, Name: c.Name, Online: c.Online, AddedAt: stamp(c.AddedAt),
	}
}
