package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"usher"
)

// User is what the server keeps of a person whom an issuer vouches for.
type User struct {
	// ID is what signaling calls the user: the issuer's sub, for a caller of the
	// same issuer, and else the key.
	ID string `json:"id"`
	// Key names the user as owners and members are named.
	Key string `json:"key"`
	// Email is verified; empty if the issuer never said so.
	Email     string `json:"email,omitempty"`
	Name      string `json:"name,omitempty"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}

// UserPage is one page of a list of users.
type UserPage struct {
	Users []User `json:"users"`
	// NextCursor asks for the next page; empty on the last one.
	NextCursor string `json:"next_cursor"`
}

// Contact is a user whom the caller lists.
type Contact struct {
	// ID is what signaling calls the user: see [User].
	ID    string `json:"id"`
	Key   string `json:"key"`
	Email string `json:"email,omitempty"`
	Name  string `json:"name,omitempty"`
	// Online says that the user is connected. It is told only of who lists the
	// caller, too.
	Online  bool `json:"online"`
	AddedAt Time `json:"added_at"`
}

// ContactList are all contacts of a user.
type ContactList struct {
	Contacts []Contact `json:"contacts"`
}

// AddContactRequest says who shall be a contact, by one of the two.
type AddContactRequest struct {
	// Email is the verified address of a user who was here before.
	Email string `json:"email,omitempty"`
	// User is the user's key.
	User string `json:"user,omitempty"`
}

// Ticket is good for one connection to /signal, for a short time.
type Ticket struct {
	// Ticket is the value of the query parameter ticket; like every
	// [usher.Secret] it is not written back into JSON.
	Ticket    usher.Secret `json:"ticket"`
	ExpiresAt Time         `json:"expires_at"`
	ExpiresIn int          `json:"expires_in"`
}

// User returns the caller, who is entered as a user when seen for the first time.
func (a *API) User(ctx context.Context, options ...Option) (User, error) {
	var u User
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"user"}, options: options}, &u)
	return u, err
}

// EraseSelf deletes what is kept of the caller.
func (a *API) EraseSelf(ctx context.Context, options ...Option) error {
	return a.do(ctx, call{method: http.MethodDelete, path: []string{"user"}, options: options}, nil)
}

// Contacts returns all whom the caller lists, by their e-mail addresses.
func (a *API) Contacts(ctx context.Context, options ...Option) ([]Contact, error) {
	var l ContactList
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"contacts"}, options: options}, &l)
	return l.Contacts, err
}

// AddContact makes another user a contact of the caller. Who is one already
// stays one.
func (a *API) AddContact(ctx context.Context, req AddContactRequest, options ...Option) (Contact, error) {
	var c Contact
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"contacts"}, body: req, options: options}, &c)
	return c, err
}

// RemoveContact ends that the caller lists the user of a key, if it does.
func (a *API) RemoveContact(ctx context.Context, user string, options ...Option) error {
	return a.do(ctx, call{method: http.MethodDelete, path: []string{"contacts", user}, options: options}, nil)
}

// Ticket returns a ticket for one connection of the caller.
func (a *API) Ticket(ctx context.Context, options ...Option) (Ticket, error) {
	var t Ticket
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"signal", "ticket"}, options: options}, &t)
	return t, err
}

// UserQuery selects users.
type UserQuery struct {
	PageQuery
	// Email restricts the list to who has that address, if not empty.
	Email string
}

func (q UserQuery) values() url.Values {
	values := q.PageQuery.values()
	if q.Email != "" {
		values.Set("email", q.Email)
	}
	return values
}

// UserPage returns one page of the users, by their keys. Operators only.
func (a *API) UserPage(ctx context.Context, q UserQuery) (UserPage, error) {
	var p UserPage
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"users"}, query: q.values()}, &p)
	return p, err
}

// Users goes through all users from the query's page on. It ends with the first
// error. Operators only.
func (a *API) Users(ctx context.Context, q UserQuery) iter.Seq2[User, error] {
	return walk(q.Cursor, func(cursor string) ([]User, string, error) {
		q.Cursor = cursor
		p, err := a.UserPage(ctx, q)
		return p.Users, p.NextCursor, err
	})
}

// UserOf returns the user of a key. Operators only.
func (a *API) UserOf(ctx context.Context, key string) (User, error) {
	var u User
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"users", key}}, &u)
	return u, err
}

// EraseUser deletes what is kept of the user of a key. Operators only.
func (a *API) EraseUser(ctx context.Context, key string) error {
	return a.do(ctx, call{method: http.MethodDelete, path: []string{"users", key}}, nil)
}
