// Package contact keeps who is who and who lists whom: the users that issuers
// vouch for, and the contacts of each. It knows nothing of who may ask, nor of
// who is connected.
//
// Contacts go one way: that a user lists another says nothing of the other
// direction. What two users may know of each other, such as whether they are
// there, hangs on both.
package contact

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"usher"
	"usher/internal/bus"
	"usher/internal/store"
)

// What callers are told who ask for what can't be.
var (
	ErrNoUser = usher.Errorf(usher.NotFound, "user_not_found", "There is no such user; who was never here can't be found yet.")
	ErrSelf   = usher.Errorf(usher.Invalid, "contact_self", "You can't be a contact of your own.")
)

// Deps is what a [Service] works with.
type Deps struct {
	Users    store.Users
	Contacts store.Contacts
	Bus      bus.Bus
	Now      func() time.Time
	Logger   *slog.Logger
	// Node tells this process from the others on the bus.
	Node usher.ID
	// Alone says that no other process writes to the store.
	Alone bool
}

// Service keeps users and contacts. It is safe for concurrent use.
type Service struct {
	config Config
	Deps
	pairs *pairs

	mu       sync.Mutex
	watchers []func(Change)
}

// New returns a Service, which hears of changes for as long as there is the bus.
func New(config Config, deps Deps) *Service {
	s := &Service{config: config, Deps: deps, pairs: newPairs(deps.Now, deps.Alone)}
	deps.Bus.Subscribe(subject, s.hear)
	return s
}

// now reads the clock as stores keep it.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// See returns the user behind an identity of that kind, who is entered when
// seen for the first time, and brought up to date by what the identity says.
func (s *Service) See(ctx context.Context, id usher.Identity) (usher.User, error) {
	u, err := s.Users.Get(ctx, id.App, id.Key())
	if errors.Is(err, store.ErrNotFound) {
		now := s.now()
		u = usher.User{
			App: id.App, Key: id.Key(), Email: id.Email, Name: id.Name,
			ProvenAt: id.IssuedAt.UTC().Truncate(time.Microsecond), CreatedAt: now, UpdatedAt: now, Version: 1,
		}
		if err = s.Users.Create(ctx, u); err == nil {
			return u, nil
		}
		if errors.Is(err, store.ErrExists) { // at the same time, by another token perhaps
			u, err = s.Users.Get(ctx, id.App, id.Key())
		}
	}
	if err != nil {
		return usher.User{}, fmt.Errorf("contact: user: %w", err)
	}
	if _, news := s.learn(u, id); !news {
		return u, nil
	}
	u, err = s.Users.Update(ctx, id.App, id.Key(), func(u usher.User) (usher.User, error) {
		u, news := s.learn(u, id)
		if !news {
			return u, store.ErrUnchanged
		}
		return u, nil
	})
	if err != nil {
		return usher.User{}, fmt.Errorf("contact: user: %w", err)
	}
	return u, nil
}

// learn returns the user as an identity has it, and whether that is news. An
// older token does not count, or two of them would undo each other; nor does
// one without a verified address, such as an access token, which says less or
// other things of the same person, where one with an address has spoken.
func (s *Service) learn(u usher.User, id usher.Identity) (usher.User, bool) {
	issued := id.IssuedAt.UTC().Truncate(time.Microsecond)
	next := u
	switch {
	case id.Email != "":
		next.Email = id.Email
		if id.Name != "" {
			next.Name = id.Name
		}
	case u.Email == "" && u.Name == "":
		next.Name = id.Name
	}
	if next == u || issued.Before(u.ProvenAt) {
		return u, false
	}
	next.ProvenAt, next.UpdatedAt = issued, s.now()
	return next, true
}

// User returns a user, or [ErrNoUser].
func (s *Service) User(ctx context.Context, app, key string) (usher.User, error) {
	return found(s.Users.Get(ctx, app, key))
}

// ByEmail returns the user of a verified address, or [ErrNoUser].
func (s *Service) ByEmail(ctx context.Context, app, email string) (usher.User, error) {
	return found(s.Users.ByEmail(ctx, app, email))
}

func found(u usher.User, err error) (usher.User, error) {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return usher.User{}, ErrNoUser
	case err != nil:
		return usher.User{}, fmt.Errorf("contact: find user: %w", err)
	}
	return u, nil
}

// List returns an app's users after a key, by their keys.
func (s *Service) List(ctx context.Context, app, after string, limit int) ([]usher.User, error) {
	users, err := s.Users.List(ctx, app, after, limit)
	if err != nil {
		return nil, fmt.Errorf("contact: list users: %w", err)
	}
	return users, nil
}

// Erase forgets a user: what is kept of the person, whom the person lists, and
// that others list the person. It returns [ErrNoUser] if there is nothing.
func (s *Service) Erase(ctx context.Context, app, key string) error {
	gone, err := s.Users.Delete(ctx, app, key)
	if errors.Is(err, store.ErrNotFound) {
		return ErrNoUser
	}
	if err != nil {
		s.pairs.forgetAll()
		return fmt.Errorf("contact: erase user: %w", err)
	}
	for _, c := range gone {
		s.changed(Change{App: app, Owner: c.Owner, User: c.User})
	}
	return nil
}

// Contacts returns whom a user lists, by their e-mail addresses.
func (s *Service) Contacts(ctx context.Context, app, owner string) ([]store.Listing, error) {
	list, err := s.Deps.Contacts.List(ctx, app, owner)
	if err != nil {
		return nil, fmt.Errorf("contact: list: %w", err)
	}
	return list, nil
}

// Add makes an entry of one user for another, and reports whether it is new.
func (s *Service) Add(ctx context.Context, app, owner, user string) (c usher.Contact, added bool, err error) {
	if owner == user {
		return usher.Contact{}, false, ErrSelf
	}
	c, err = s.Deps.Contacts.Add(ctx, usher.Contact{App: app, Owner: owner, User: user, AddedAt: s.now()}, s.config.Max)
	switch {
	case errors.Is(err, store.ErrExists):
		return c, false, nil
	case errors.Is(err, store.ErrNotFound):
		return usher.Contact{}, false, ErrNoUser
	case errors.Is(err, store.ErrFull):
		return usher.Contact{}, false, usher.Errorf(usher.Conflict, "contacts_full", "You have %d contacts, which is as many as there can be; remove one first.", s.config.Max)
	case err != nil:
		s.pairs.forget(pair{app, owner, user}) // who knows
		return usher.Contact{}, false, fmt.Errorf("contact: add: %w", err)
	}
	s.changed(Change{App: app, Owner: owner, User: user, Listed: true})
	return c, true, nil
}

// Remove ends an entry, and reports whether there was one.
func (s *Service) Remove(ctx context.Context, app, owner, user string) (removed bool, err error) {
	err = s.Deps.Contacts.Remove(ctx, app, owner, user)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		s.pairs.forget(pair{app, owner, user}) // who knows
		return false, fmt.Errorf("contact: remove: %w", err)
	}
	s.changed(Change{App: app, Owner: owner, User: user})
	return true, nil
}

// Mutual returns the keys of those whom a user lists and who list the user.
func (s *Service) Mutual(ctx context.Context, app, user string) ([]string, error) {
	list, err := s.Contacts(ctx, app, user)
	if err != nil {
		return nil, err
	}
	var mutual []string
	for _, l := range list {
		if l.Mutual {
			mutual = append(mutual, l.User.Key)
		}
	}
	return mutual, nil
}
