// Package videochat is the REST API of the serverless video chat on AWS: who I
// am, and my contacts. It answers as API Gateway and the functions behind it do.
//
// The socket of the same app is package signaling's; a user has the same id on
// both, by which each is told of the other.
package videochat

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"usher"
	"usher/internal/access"
	"usher/internal/httpd"
	"usher/internal/identity"
)

// Config is what [New] needs.
type Config struct {
	Access *access.Access
}

// Service is the API.
type Service struct {
	config Config
}

// New returns the service.
func New(config Config) *Service { return &Service{config: config} }

// Dialect returns the routes.
func (s *Service) Dialect() httpd.Dialect {
	return httpd.Dialect{
		Name:      "videochat",
		Under:     []string{"/user", "/contacts"},
		CORS:      httpd.CORS{Any: true},
		Header:    header,
		Fail:      fail,
		BareToken: true,
		Routes: []httpd.Route{
			{Pattern: "GET /user", Caller: httpd.Known, Handle: s.user},
			{Pattern: "GET /contacts", Caller: httpd.Known, Handle: s.contacts},
			{Pattern: "POST /contacts", Caller: httpd.Known, Handle: s.add},
			{Pattern: "DELETE /contacts/{contactId}", Caller: httpd.Known, Handle: s.remove},
		},
	}
}

// header sets what the app's gateway says on every answer, and on refusals most
// of all: without it a page can't read why.
func header(h http.Header) {
	h.Set("Access-Control-Allow-Headers", "Content-Type,X-Amz-Date,Authorization,X-Api-Key,X-Amz-Security-Token")
	h.Set("Access-Control-Allow-Methods", "GET,OPTIONS,POST,DELETE,PATCH")
	httpd.NoStore(h)
}

// fail answers as API Gateway does, whose own words clients look for.
func fail(w http.ResponseWriter, _ *http.Request, err *usher.Error) {
	message := err.Message
	if err.Kind == usher.Unauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer")
		message = "Unauthorized"
		if errors.Is(err, identity.ErrTokenExpired) {
			message = "The incoming token has expired"
		}
	}
	_ = httpd.JSON(w, httpd.Status(err.Kind), map[string]string{"message": message}) // it fails only if the caller is gone
}

// person is a user as the app knows one. Email is there also where it is not
// known, since clients read it as text.
type person struct {
	UserID string `json:"userId"`
	Email  string `json:"email"`
	Name   string `json:"name,omitempty"`
}

// contact is a person whom the caller lists.
type contact struct {
	person
	Online bool `json:"online"`
}

func personOf(u usher.User, to usher.Identity) person {
	return person{UserID: usher.UserID(to.Issuer, u.Key), Email: u.Email, Name: u.Name}
}

func contactOf(c access.Contact, to usher.Identity) contact {
	return contact{personOf(c.User, to), c.Online}
}

func (s *Service) user(w http.ResponseWriter, r *http.Request) error {
	id := httpd.Identity(r.Context())
	u, err := s.config.Access.User(r.Context(), id)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, personOf(u, id))
}

func (s *Service) contacts(w http.ResponseWriter, r *http.Request) error {
	id := httpd.Identity(r.Context())
	list, err := s.config.Access.Contacts(r.Context(), id)
	if err != nil {
		return err
	}
	answer := make([]contact, len(list))
	for i, c := range list {
		answer[i] = contactOf(c, id)
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

var errBody = usher.Errorf(usher.Invalid, "body_invalid", `The body must be {"email": "somebody@example.org"}.`)

// add takes what a function behind API Gateway takes: JSON of whatever media
// type, with whatever else is in it.
func (s *Service) add(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return err
		}
		return errBody
	}
	var req struct {
		Email string `json:"email"`
	}
	if json.Unmarshal(body, &req) != nil {
		return errBody
	}
	id := httpd.Identity(r.Context())
	c, added, err := s.config.Access.AddContact(r.Context(), id, access.ContactSpec{Email: req.Email})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if added {
		status = http.StatusCreated
	}
	return httpd.JSON(w, status, contactOf(c, id))
}

// remove succeeds also where there is no such contact, as deleting from the
// app's table does.
func (s *Service) remove(w http.ResponseWriter, r *http.Request) error {
	id := httpd.Identity(r.Context())
	if err := s.config.Access.RemoveContact(r.Context(), id, usher.KeyOfUserID(id.Issuer, r.PathValue("contactId"))); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
