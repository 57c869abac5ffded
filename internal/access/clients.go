package access

import (
	"context"
	"encoding/base64"
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
	// PublicKey and APIKey are as in [ClientKeys].
	PublicKey string
	APIKey    bool
	// Scopes are the most that the client is ever granted; nil is the usual ones.
	Scopes usher.Scopes
	// Expires is when the client loses all access by itself; zero is never.
	Expires time.Time
}

// ClientKeys are what a client shall prove itself with: one of them, or both.
type ClientKeys struct {
	// PublicKey is a PEM; see [identity.ParsePublicKey] for which keys will do.
	PublicKey string
	// APIKey asks for a key of ours.
	APIKey bool
}

// KeyedClient is a client with the API key that was made for it, if one was:
// only its maker ever sees it.
type KeyedClient struct {
	usher.Client
	Key usher.Secret
}

var (
	errNoClient      = usher.Errorf(usher.NotFound, "client_not_found", "There is no such client.")
	errClientRevoked = usher.Errorf(usher.Gone, "client_revoked", "The client was revoked, which is final; register it anew.")
)

// AddClient registers a back end. With an idempotency key, the same call made
// again returns the same client, and the same API key unless it has been
// replaced since.
func (a *Access) AddClient(ctx context.Context, id usher.Identity, spec ClientSpec, idempotencyKey string) (KeyedClient, error) {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return KeyedClient{}, err
	}
	if err := spec.validate(a.now()); err != nil {
		return KeyedClient{}, err
	}
	once, err := a.once(ctx, id, "client", idempotencyKey, spec)
	if err != nil {
		return KeyedClient{}, err
	}
	c := usher.Client{
		App: id.App, ID: once.id, Name: spec.Name, PublicKey: spec.PublicKey,
		Scopes: spec.scopes(), Expires: spec.Expires.UTC().Truncate(time.Microsecond), UpdatedAt: a.now(), Version: 1,
	}
	random := a.config.Random
	if c.ID == "" {
		c.ID = a.config.IDs.New()
	} else {
		random = base64.NewDecoder(base64.RawURLEncoding, strings.NewReader(once.secret.Reveal()))
	}
	var key usher.Secret
	if spec.APIKey {
		if key, c.APIKey, err = identity.NewAPIKey(c.ID, random); err != nil {
			return KeyedClient{}, fmt.Errorf("access: add client: %w", err)
		}
	}
	err = a.config.Store.Clients().Create(ctx, c)
	if errors.Is(err, store.ErrExists) && once.id != "" {
		if made, getErr := a.config.Store.Clients().Get(ctx, c.ID); getErr == nil {
			return repeatedClient(made, key)
		}
	}
	if errors.Is(err, store.ErrExists) {
		return KeyedClient{}, usher.Errorf(usher.Conflict, "client_exists", "A client with that name exists already; rotate its key, revoke it or choose another name.")
	}
	if err != nil {
		return KeyedClient{}, fmt.Errorf("access: add client: %w", err)
	}
	return KeyedClient{c, key}, nil
}

// repeatedClient answers a create that was made before.
func repeatedClient(made usher.Client, key usher.Secret) (KeyedClient, error) {
	if key != "" && !made.APIKey.Matches(key) {
		return KeyedClient{}, usher.Errorf(usher.Conflict, "api_key_replaced",
			"The client was made by this request before, and its keys were replaced since; rotate them for another.")
	}
	return KeyedClient{made, key}, nil
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

func (s ClientSpec) validate(now time.Time) error {
	var problems []usher.FieldProblem
	if message := clientNameProblem(s.Name); message != "" {
		problems = append(problems, usher.FieldProblem{Field: "name", Message: message})
	}
	if message := (ClientKeys{s.PublicKey, s.APIKey}).problem(); message != "" {
		problems = append(problems, usher.FieldProblem{Field: "public_key", Message: message})
	}
	if !s.Expires.IsZero() && !s.Expires.After(now) {
		problems = append(problems, usher.FieldProblem{Field: "expires_at", Message: "must be in the future"})
	}
	known := strings.Join(strings.Fields(usher.AllScopes.String()), ", ")
	if s.Scopes != nil && len(s.Scopes) == 0 {
		problems = append(problems, usher.FieldProblem{Field: "scopes", Message: "must name at least one of " + known + "; leave it out for the usual ones"})
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

// problem is what is wrong with the keys, for whoever sent them.
func (k ClientKeys) problem() string {
	if k.PublicKey == "" {
		if k.APIKey {
			return ""
		}
		return "must be a public key in PEM, unless an API key is asked for"
	}
	_, err := identity.ParsePublicKey(k.PublicKey)
	if err == nil {
		return ""
	}
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

// RotateClient gives a back end new keys and voids everything that it was
// issued before: its access tokens, and its API key. A public key stays if no
// new one is given, since it is the client's own.
func (a *Access) RotateClient(ctx context.Context, id usher.Identity, client usher.ID, keys ClientKeys) (KeyedClient, error) {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return KeyedClient{}, err
	}
	if message := keys.problem(); message != "" {
		return KeyedClient{}, clientError([]usher.FieldProblem{{Field: "public_key", Message: message}})
	}
	var key usher.Secret
	var digest usher.Digest
	if keys.APIKey {
		var err error
		if key, digest, err = identity.NewAPIKey(client, a.config.Random); err != nil {
			return KeyedClient{}, fmt.Errorf("access: rotate client: %w", err)
		}
	}
	now := a.now()
	c, err := a.changeClient(ctx, id, client, "rotate", func(c usher.Client) usher.Client {
		if keys.PublicKey != "" {
			c.PublicKey = keys.PublicKey
		}
		c.APIKey, c.NotBefore, c.UpdatedAt = digest, now, now
		return c
	})
	if err != nil {
		return KeyedClient{}, err
	}
	return KeyedClient{c, key}, nil
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
