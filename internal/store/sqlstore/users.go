package sqlstore

import (
	"context"
	"errors"

	"usher"
	"usher/internal/store"
)

type users struct{ db *DB }

var _ store.Users = users{}

var userMapping = mapping[usher.User]{
	table:   "users",
	columns: []string{"app", "identity", "email", "email_folded", "name", "proven_at", "created_at", "updated_at", "version"},
	keys:    2,
	fields: func(u *usher.User) []any {
		return []any{
			&u.App, &u.Key, &u.Email, discard{}, &u.Name,
			stampField{&u.ProvenAt}, stampField{&u.CreatedAt}, stampField{&u.UpdatedAt}, &u.Version,
		}
	},
	values: func(u *usher.User) []any {
		return []any{
			u.App, u.Key, u.Email, usher.FoldEmail(u.Email), u.Name,
			stamp(u.ProvenAt), stamp(u.CreatedAt), stamp(u.UpdatedAt), u.Version,
		}
	},
	version: func(u *usher.User) *int64 { return &u.Version },
}

var (
	selectUser = userMapping.query("WHERE app = $1 AND identity = $2")
	// SQLite would rather go through all users of the app, for the sake of the order.
	selectUserByEmail = userMapping.query("INDEXED BY users_email WHERE app = $1 AND email_folded = $2 AND email_folded <> ''" +
		" ORDER BY COALESCE(proven_at, 0) DESC, identity DESC LIMIT 1")
	selectUsers = userMapping.query("WHERE app = $1 AND identity > $2 ORDER BY identity LIMIT $3")
)

const deleteUser = "DELETE FROM users WHERE app = $1 AND identity = $2"

func (s users) Create(ctx context.Context, u usher.User) error {
	return s.db.writer.do(ctx, func(t *tx) error { return userMapping.insert(t, &u) })
}

func (s users) Get(ctx context.Context, app, key string) (usher.User, error) {
	return one(ctx, s.db.reader, userMapping.fields, selectUser, app, key)
}

func (s users) ByEmail(ctx context.Context, app, email string) (usher.User, error) {
	return one(ctx, s.db.reader, userMapping.fields, selectUserByEmail, app, usher.FoldEmail(email))
}

func (s users) List(ctx context.Context, app, after string, n int) ([]usher.User, error) {
	return all(ctx, s.db.reader, userMapping.fields, selectUsers, app, after, limit(n))
}

func (s users) Update(ctx context.Context, app, key string, change func(usher.User) (usher.User, error)) (usher.User, error) {
	return write(ctx, s.db.writer, func(t *tx) (usher.User, error) {
		old, err := one(context.Background(), t, userMapping.fields, selectUser, app, key)
		if err != nil {
			return usher.User{}, err
		}
		next, err := change(old)
		switch {
		case errors.Is(err, store.ErrUnchanged):
			return old, nil
		case err != nil:
			return usher.User{}, err
		}
		cut(&next.ProvenAt, &next.CreatedAt, &next.UpdatedAt)
		if err := userMapping.update(t, &old, &next); err != nil {
			return usher.User{}, err
		}
		return next, nil
	})
}

func (s users) Delete(ctx context.Context, app, key string) ([]usher.Contact, error) {
	return write(ctx, s.db.writer, func(t *tx) ([]usher.Contact, error) {
		gone, err := all(context.Background(), t, contactMapping.fields, selectContactsWith, app, key)
		if err != nil {
			return nil, err
		}
		if err := t.exec(deleteContactsWith, app, key); err != nil {
			return nil, err
		}
		n, err := t.affect(deleteUser, app, key)
		if err == nil && n == 0 {
			return nil, store.ErrNotFound
		}
		return gone, err
	})
}
