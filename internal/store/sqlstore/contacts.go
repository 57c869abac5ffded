package sqlstore

import (
	"context"
	"errors"

	"usher"
	"usher/internal/store"
)

type contacts struct{ db *DB }

var _ store.Contacts = contacts{}

var contactMapping = mapping[usher.Contact]{
	table:   "contacts",
	columns: []string{"app", "owner", "contact", "added_at"},
	keys:    3,
	fields: func(c *usher.Contact) []any {
		return []any{&c.App, &c.Owner, &c.User, stampField{&c.AddedAt}}
	},
	values: func(c *usher.Contact) []any {
		return []any{c.App, c.Owner, c.User, stamp(c.AddedAt)}
	},
}

var (
	selectContact      = contactMapping.query("WHERE app = $1 AND owner = $2 AND contact = $3")
	selectContactsWith = contactMapping.query("WHERE app = $1 AND (owner = $2 OR contact = $2) ORDER BY owner, contact")
	selectListings     = "SELECT " + contactMapping.list() + ", " + userMapping.list() +
		", EXISTS (SELECT 1 FROM contacts AS back WHERE back.app = contacts.app AND back.owner = contacts.contact AND back.contact = contacts.owner)" +
		" FROM contacts JOIN users ON users.app = contacts.app AND users.identity = contacts.contact" +
		" WHERE contacts.app = $1 AND contacts.owner = $2 ORDER BY users.email_folded, users.identity"
)

const (
	countContacts      = "SELECT COUNT(*) FROM contacts WHERE app = $1 AND owner = $2"
	deleteContact      = "DELETE FROM contacts WHERE app = $1 AND owner = $2 AND contact = $3"
	deleteContactsWith = "DELETE FROM contacts WHERE app = $1 AND (owner = $2 OR contact = $2)"
)

func listingFields(l *store.Listing) []any {
	return append(append(contactMapping.fields(&l.Contact), userMapping.fields(&l.User)...), &l.Mutual)
}

func count(n *int) []any { return []any{n} }

func (s contacts) Add(ctx context.Context, c usher.Contact, most int) (usher.Contact, error) {
	cut(&c.AddedAt)
	var there usher.Contact
	err := s.db.writer.do(ctx, func(t *tx) (err error) {
		ctx := context.Background()
		for _, key := range []string{c.Owner, c.User} {
			if _, err := one(ctx, t, userMapping.fields, selectUser, c.App, key); err != nil {
				return err
			}
		}
		switch there, err = one(ctx, t, contactMapping.fields, selectContact, c.App, c.Owner, c.User); {
		case err == nil:
			return store.ErrExists
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		if n, err := one(ctx, t, count, countContacts, c.App, c.Owner); err != nil {
			return err
		} else if most > 0 && n >= most {
			return store.ErrFull
		}
		there = c
		return contactMapping.insert(t, &c)
	})
	if err != nil && !errors.Is(err, store.ErrExists) {
		return usher.Contact{}, err
	}
	return there, err
}

func (s contacts) Get(ctx context.Context, app, owner, user string) (usher.Contact, error) {
	return one(ctx, s.db.reader, contactMapping.fields, selectContact, app, owner, user)
}

func (s contacts) List(ctx context.Context, app, owner string) ([]store.Listing, error) {
	return all(ctx, s.db.reader, listingFields, selectListings, app, owner)
}

func (s contacts) Remove(ctx context.Context, app, owner, user string) error {
	return s.db.writer.do(ctx, func(t *tx) error {
		n, err := t.affect(deleteContact, app, owner, user)
		if err == nil && n == 0 {
			return store.ErrNotFound
		}
		return err
	})
}
