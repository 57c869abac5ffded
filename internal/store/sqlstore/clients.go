package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"usher"
	"usher/internal/store"
)

type clients struct{ db *DB }

var _ store.Clients = clients{}

var clientMapping = mapping[usher.Client]{
	table: "clients",
	columns: []string{
		"id", "made", "app", "name", "public_key", "api_key", "expires_at", "last_used",
		"scopes", "updated_at", "not_before", "revoked_at", "version",
	},
	keys: 1,
	fields: func(c *usher.Client) []any {
		return []any{
			(*string)(&c.ID), discard{}, &c.App, &c.Name, &c.PublicKey, (*digest)(&c.APIKey), stampField{&c.Expires}, stampField{&c.LastUsed},
			scopesField{&c.Scopes}, stampField{&c.UpdatedAt}, stampField{&c.NotBefore}, stampField{&c.RevokedAt}, &c.Version,
		}
	},
	values: func(c *usher.Client) []any {
		return []any{
			string(c.ID), made(c.ID), c.App, c.Name, c.PublicKey, digest(c.APIKey), stamp(c.Expires), stamp(c.LastUsed),
			c.Scopes.String(), stamp(c.UpdatedAt), stamp(c.NotBefore), stamp(c.RevokedAt), c.Version,
		}
	},
	version: func(c *usher.Client) *int64 { return &c.Version },
}

var (
	selectClient  = clientMapping.query("WHERE id = $1")
	selectClients = clientMapping.query("ORDER BY made, id")
)

// scopesField scans scopes from one text, in the form of OAuth 2.
type scopesField struct{ scopes *usher.Scopes }

// Scan implements [database/sql.Scanner].
func (f scopesField) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("scopes are stored as %T", v)
	}
	*f.scopes = usher.ParseScopes(s)
	return nil
}

func (s clients) Create(ctx context.Context, c usher.Client) error {
	return s.db.writer.do(ctx, func(t *tx) error { return clientMapping.insert(t, &c) })
}

func (s clients) Get(ctx context.Context, id usher.ID) (usher.Client, error) {
	return one(ctx, s.db.reader, clientMapping.fields, selectClient, string(id))
}

func (s clients) List(ctx context.Context) ([]usher.Client, error) {
	return all(ctx, s.db.reader, clientMapping.fields, selectClients)
}

func (s clients) Update(ctx context.Context, id usher.ID, change func(usher.Client) (usher.Client, error)) (usher.Client, error) {
	return write(ctx, s.db.writer, func(t *tx) (usher.Client, error) {
		old, err := one(context.Background(), t, clientMapping.fields, selectClient, string(id))
		if err != nil {
			return usher.Client{}, err
		}
		next, err := change(old)
		switch {
		case errors.Is(err, store.ErrUnchanged):
			return old, nil
		case err != nil:
			return usher.Client{}, err
		}
		cut(&next.Expires, &next.LastUsed, &next.UpdatedAt, &next.NotBefore, &next.RevokedAt)
		if err := clientMapping.update(t, &old, &next); err != nil {
			return usher.Client{}, err
		}
		return next, nil
	})
}
