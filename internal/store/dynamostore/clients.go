package dynamostore

import (
	"cmp"
	"context"
	"slices"

	"usher"
	"usher/internal/store"
)

type clients struct{ db *DB }

var _ store.Clients = clients{}

// clientPartition has all clients: there are few.
const clientPartition = "clients"

var clientKind = kind[usher.Client]{
	key: func(db *DB, c *usher.Client) key { return clientKey(db, c.ID) },
	fields: func(a *archive, c *usher.Client) {
		text(a, "app", &c.App)
		text(a, "id", &c.ID)
		text(a, "name", &c.Name)
		text(a, "publicKey", &c.PublicKey)
		a.digest("apiKey", &c.APIKey)
		a.stamp("expires", &c.Expires)
		a.stamp("lastUsed", &c.LastUsed)
		texts(a, "scopes", (*[]usher.Scope)(&c.Scopes))
		a.stamp("updatedAt", &c.UpdatedAt)
		a.stamp("notBefore", &c.NotBefore)
		a.stamp("revokedAt", &c.RevokedAt)
		number(a, "version", &c.Version)
	},
	entries: func(_ *DB, c *usher.Client) []entry {
		if c.Revoked() {
			return nil
		}
		return []entry{{slot: slotName, hash: join("client-name", c.App, c.Name), unique: true}}
	},
	version: func(c *usher.Client) *int64 { return &c.Version },
}

func clientKey(db *DB, id usher.ID) key { return key{db.own, clientPartition, string(id)} }

func (s clients) Create(ctx context.Context, c usher.Client) error {
	done, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return clientKind.create(ctx, s.db, c)
}

func (s clients) Get(ctx context.Context, id usher.ID) (usher.Client, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Client{}, err
	}
	defer done()
	return clientKind.read(ctx, s.db, clientKey(s.db, id))
}

func (s clients) List(ctx context.Context) ([]usher.Client, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	items, err := s.db.first(ctx, span{table: s.db.own, hash: clientPartition}, 0)
	if err != nil {
		return nil, err
	}
	var list []usher.Client
	for _, i := range items {
		if !isThere(i) {
			continue
		}
		c, err := unpack(i, clientKind.fields)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b usher.Client) int { return cmp.Compare(orderOf(a.ID), orderOf(b.ID)) })
	return list, nil
}

func (s clients) Update(ctx context.Context, id usher.ID, change func(usher.Client) (usher.Client, error)) (usher.Client, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Client{}, err
	}
	defer done()
	return clientKind.change(ctx, s.db, clientKey(s.db, id), change)
}
