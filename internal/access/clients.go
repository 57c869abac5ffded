package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher"
	"usher/internal/identity"
	"usher/internal/policy"
	"usher/internal/store"
)

// ClientSpec is what a new client shall be.
type ClientSpec struct {
	Name string
	// PublicKey is a PEM; see [identity.ParsePublicKey] for which keys will do.
	PublicKey string
	// Scopes are the most that the client is ever granted; nil is every scope.
	Scopes usher.Scopes
}

var (
	errNoClient      = usher.Errorf(usher.NotFound, "client_not_found", "There is no such client.")
	errClientRevoked = usher.Errorf(usher.Gone, "client_revoked", "The client was revoked, which is final; register it anew.")
)

// AddClient registers a back end. With an idempotency key, the same call made
// again returns the same client.
func (a *Access) AddClient(ctx context.Context, id usher.Identity, spec ClientSpec, idempotencyKey string) (usher.Client, error) {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return usher.Client{}, err
	}
	if err := spec.validate(); err != nil {
		return usher.Client{}, err
	}
	once, err := a.once(ctx, id, "client", idempotencyKey, spec)
	if err != nil {
		return usher.Client{}, err
	}
	c := usher.Client{
		App: id.App, ID: once.id, Name: spec.Name, PublicKey: spec.PublicKey,
		Scopes: spec.scopes(), UpdatedAt: a.now(), Version: 1,
	}
	if c.ID == "" {
		c.ID = a.config.IDs.New()
	}
	err = a.config.Store.Clients().Create(ctx, c)
	if errors.Is(err, store.ErrExists) && once.id != "" {
		if made, getErr := a.config.Store.Clients().Get(ctx, c.ID); getErr == nil {
			return made, nil // a repeated create
		}
	}
	if errors.Is(err, store.ErrExists) {
		return usher.Client{}, usher.Errorf(usher.Conflict, "client_exists", "A client with that name exists already; rotate its key, revoke it or choose another name.")
	}
	if err != nil {
		return usher.Client{}, fmt.Errorf("access: add client: %w", err)
	}
	return c, nil
}

// now reads the clock as stores keep it.
func (a *Access) now() time.Time { return a.config.Now().UTC().Truncate(time.Microsecond) }

// scopes returns the scopes in their canonical order and without doubles.
func (s ClientSpec) scopes() usher.Scopes {
	if s.Scopes == nil {
		return slices.Clone(usher.DefaultScopes)
	}
	return usher.AllScopes.And(s.Scopes)
}

func (s ClientSpec) validate() error {
	var problems []usher.FieldProblem
	if message := clientNameProblem(s.Name); message != "" {
		problems = append(problems, usher.FieldProblem{Field: "name", Message: message})
	}
	if _, err := identity.ParsePublicKey(s.PublicKey); err != nil {
		problems = append(problems, usher.FieldProblem{Field: "public_key", Message: keyProblem(err)})
	}
	known := strings.Join(strings.Fields(usher.AllScopes.String()), ", ")
	if s.Scopes != nil && len(s.Scopes) == 0 {
		problems = append(problems, usher.FieldProblem{Field: "scopes", Message: "must name at least one of " + known + "; leave it out for all"})
	}
	if slices.ContainsFunc(s.Scopes, func(scope usher.Scope) bool { return !usher.AllScopes.Has(scope) }) {
		problems = append(problems, usher.FieldProblem{Field: "scopes", Message: "has an unknown scope; known are " + known})
	}
	return clientError(problems)
}

func clientNameProblem(name string) string {
	switch {
	case name == "":
		return "must not be empty"
	case strings.TrimSpace(name) != name:
		return "begins or ends with a space"
	}
	if err := usher.ValidateName(name, maxName); err != nil {
		return err.Error()
	}
	return ""
}

// keyProblem is what is wrong with a public key, for whoever sent it.
func keyProblem(err error) string {
	if e, ok := errors.AsType[*usher.Error](err); ok {
		return e.Message
	}
	return err.Error()
}

func clientError(problems []usher.FieldProblem) error {
	if len(problems) == 0 {
		return nil
	}
	err := usher.Errorf(usher.Invalid, "client_invalid", "The client can't be like this.")
	err.Fields = problems
	return err
}

// Clients returns the registered back ends, revoked ones included, by the time
// they were registered, and whether there are more.
func (a *Access) Clients(ctx context.Context, id usher.Identity, page Page) ([]usher.Client, bool, error) {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return nil, false, err
	}
	all, err := a.config.Store.Clients().List(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("access: list clients: %w", err)
	}
	// A store lists clients whole, since there are few.
	clients := slices.DeleteFunc(all, func(c usher.Client) bool {
		return c.App != id.App || page.After != "" && !madeAfter(c.ID, page.After)
	})
	more := len(clients) > page.Limit
	return clients[:min(len(clients), page.Limit)], more, nil
}

// madeAfter orders ids as stores list them.
func madeAfter(a, b usher.ID) bool {
	if c := a.Time().Compare(b.Time()); c != 0 {
		return c > 0
	}
	return a > b
}

// Client returns one back end.
func (a *Access) Client(ctx context.Context, id usher.Identity, client usher.ID) (usher.Client, error) {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return usher.Client{}, err
	}
	c, err := a.config.Store.Clients().Get(ctx, client)
	if err == nil && c.App != id.App {
		err = errNoClient
	}
	if err != nil {
		return usher.Client{}, clientFailure("get", err)
	}
	return c, nil
}

// RotateClient gives a back end a new key and voids every access token that it
// was issued before.
func (a *Access) RotateClient(ctx context.Context, id usher.Identity, client usher.ID, publicKey string) (usher.Client, error) {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return usher.Client{}, err
	}
	if _, err := identity.ParsePublicKey(publicKey); err != nil {
		return usher.Client{}, clientError([]usher.FieldProblem{{Field: "public_key", Message: keyProblem(err)}})
	}
	now := a.now()
	return a.changeClient(ctx, id, client, "rotate", func(c usher.Client) usher.Client {
		c.PublicKey, c.NotBefore, c.UpdatedAt = publicKey, now, now
		return c
	})
}

// RevokeClient takes all access from a back end for good. Its name is free again.
func (a *Access) RevokeClient(ctx context.Context, id usher.Identity, client usher.ID) (usher.Client, error) {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return usher.Client{}, err
	}
	now := a.now()
	return a.changeClient(ctx, id, client, "revoke", func(c usher.Client) usher.Client {
		c.RevokedAt, c.UpdatedAt = now, now
		return c
	})
}

// changeClient changes a client that is not revoked.
func (a *Access) changeClient(ctx context.Context, id usher.Identity, client usher.ID, what string, change func(usher.Client) usher.Client) (usher.Client, error) {
	c, err := a.config.Store.Clients().Update(ctx, client, func(c usher.Client) (usher.Client, error) {
		switch {
		case c.App != id.App:
			return c, errNoClient
		case c.Revoked():
			return c, errClientRevoked
		}
		return change(c), nil
	})
	if err != nil {
		return usher.Client{}, clientFailure(what, err)
	}
	return c, nil
}

func clientFailure(what string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errNoClient
	}
	if _, ok := errors.AsType[*usher.Error](err); ok {
		return err
	}
	return fmt.Errorf("access: %s client: %w", what, err)
}
