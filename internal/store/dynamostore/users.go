package dynamostore

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"usher"
	"usher/internal/store"
)

// users keeps users in the table of the video chat, in rows as its own program
// writes and reads them: userId, email and name. Our attributes beside those
// begin with usher, and rows without them are users as well.
type users struct{ db *DB }

var _ store.Users = users{}

// lifeAttribute tells a user from who comes back after being erased.
const lifeAttribute = "usherLife"

var userKind = kind[usher.User]{
	key: func(db *DB, u *usher.User) key { return userKey(db, u.App, u.Key) },
	fields: func(a *archive, u *usher.User) {
		text(a, "email", &u.Email)
		text(a, "name", &u.Name)
		a.stamp("usherProvenAt", &u.ProvenAt)
		a.stamp("usherCreatedAt", &u.CreatedAt)
		a.stamp("usherUpdatedAt", &u.UpdatedAt)
		number(a, "usherVersion", &u.Version)
	},
	entries: func(_ *DB, u *usher.User) []entry {
		list := []entry{{slot: "all", hash: join("users", u.App), order: u.Key}}
		if u.Email != "" {
			list = append(list, entry{slot: "email", hash: emailPartition(u.App, u.Email)})
		}
		return list
	},
	version:  func(u *usher.User) *int64 { return &u.Version },
	complete: func(db *DB, at key, u *usher.User) { u.App, u.Key = db.userOf(at.hash) },
	life:     lifeAttribute,
}

func userKey(db *DB, app, identity string) key {
	return key{table: db.users, hash: db.userID(app, identity)}
}

func emailPartition(app, email string) string {
	return join("users-of-email", app, usher.FoldEmail(email))
}

// otherApp begins the ids of users of other apps than the default one, which the
// video chat does not know.
const otherApp = "@"

// userID is what the video chat's tables call a user: the issuer's own by their
// sub, and all others by their key.
func (db *DB) userID(app, key string) string {
	if app != usher.DefaultApp {
		return otherApp + escape.Replace(app) + "|" + key
	}
	if id := usher.UserID(db.issuer, key); !strings.HasPrefix(id, otherApp) {
		return id
	}
	return key
}

// userOf is the inverse of userID.
func (db *DB) userOf(id string) (app, key string) {
	if rest, other := strings.CutPrefix(id, otherApp); other {
		if app, key, ok := strings.Cut(rest, "|"); ok {
			return unescape.Replace(app), key
		}
	}
	return usher.DefaultApp, usher.KeyOfUserID(db.issuer, id)
}

func (s users) Create(ctx context.Context, u usher.User) error {
	done, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	err = userKind.create(ctx, s.db, u)
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	i, readErr := s.db.get(ctx, userKey(s.db, u.App, u.Key))
	if readErr != nil || !i.has(goingAttribute) {
		return errors.Join(readErr, err)
	}
	// Whoever was erasing the user has not come to the end of it.
	if _, err := s.erase(ctx, u.App, u.Key); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return userKind.create(ctx, s.db, u)
}

func (s users) Get(ctx context.Context, app, key string) (usher.User, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.User{}, err
	}
	defer done()
	return userKind.read(ctx, s.db, userKey(s.db, app, key))
}

// ByEmail finds by entries of our own, which are always right, and by the table's
// index, which lags behind by a moment but also has those whom the video chat's
// program wrote: those are found as their addresses are written, or in small
// letters.
func (s users) ByEmail(ctx context.Context, app, email string) (usher.User, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.User{}, err
	}
	defer done()
	folded := usher.FoldEmail(email)
	if folded == "" {
		return usher.User{}, store.ErrNotFound
	}
	all, err := collect(ctx, s.db, userKind, s.db.users, span{hash: emailPartition(app, email)}, 0, nil)
	if err != nil {
		return usher.User{}, err
	}
	var keys []key
	for _, written := range slices.Compact([]string{email, folded}) {
		rows, err := s.db.first(ctx, span{table: s.db.users, index: s.db.tables.UserEmail, by: "email", hash: written}, 0)
		if err != nil {
			return usher.User{}, err
		}
		for _, i := range rows {
			keys = append(keys, s.db.users.keyOf(i))
		}
	}
	items, err := s.db.getAll(ctx, keys)
	if err != nil {
		return usher.User{}, err
	}
	for at, i := range items {
		if !isThere(i) {
			continue
		}
		u, err := userKind.unpack(s.db, at, i)
		if err != nil {
			return usher.User{}, err
		}
		all = append(all, u)
	}
	all = slices.DeleteFunc(all, func(u usher.User) bool { return u.App != app || usher.FoldEmail(u.Email) != folded })
	if len(all) == 0 {
		return usher.User{}, store.ErrNotFound
	}
	return slices.MaxFunc(all, func(a, b usher.User) int {
		return cmp.Or(a.ProvenAt.Compare(b.ProvenAt), cmp.Compare(a.Key, b.Key))
	}), nil
}

func (s users) List(ctx context.Context, app, after string, limit int) ([]usher.User, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return collect(ctx, s.db, userKind, s.db.users, span{hash: join("users", app), low: after + beyond}, limit, nil)
}

func (s users) Update(ctx context.Context, app, key string, change func(usher.User) (usher.User, error)) (usher.User, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.User{}, err
	}
	defer done()
	return userKind.change(ctx, s.db, userKey(s.db, app, key), change)
}

// Delete marks the user first, which is the moment in which the user and all the
// contacts go, and then deletes what is left of them. Create of the same user
// does that, too, if it was not done.
func (s users) Delete(ctx context.Context, app, key string) ([]usher.Contact, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return s.erase(ctx, app, key)
}

func (s users) erase(ctx context.Context, app, key string) ([]usher.Contact, error) {
	at := userKey(s.db, app, key)
	leave, err := s.db.queues.enter(ctx, at)
	if err != nil {
		return nil, err
	}
	defer leave()
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		i, err := s.db.get(ctx, at)
		if err != nil {
			return nil, err
		}
		if i == nil {
			return nil, store.ErrNotFound
		}
		gone, err := s.eraseOnce(ctx, at, i)
		if !errors.Is(err, errConflict) {
			return gone, err
		}
		if err := s.db.pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func (s users) eraseOnce(ctx context.Context, at key, i item) ([]usher.Contact, error) {
	if !i.has(goingAttribute) {
		u, err := userKind.unpack(s.db, at, i)
		if err != nil {
			return nil, err
		}
		going := &update{key: at, old: i, next: maps.Clone(i)}
		going.next[goingAttribute] = &boolValue
		if err := s.db.index(going, userKind.entries(s.db, &u), nil); err != nil {
			return nil, err
		}
		if err := s.db.commit(ctx, going); err != nil {
			return nil, err
		}
		i = going.next
	}
	gone, err := contacts(s).erase(ctx, at.hash, i.text(lifeAttribute))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(gone, func(a, b usher.Contact) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.User, b.User))
	})
	var e expression
	going := update{key: at, old: i}
	if _, err := s.db.remove(ctx, at, &e, going.unchanged(&e)); err != nil && !errors.Is(err, errConflict) {
		return nil, err
	}
	return gone, nil
}

// scan reads the rows of a table for which a condition holds.
func (db *DB) scan(ctx context.Context, t *table, e *expression, condition string, visit func(item) error) error {
	in := &dynamodb.ScanInput{
		TableName: &t.name, FilterExpression: &condition, ConsistentRead: aws.Bool(true),
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
	}
	for {
		var out *dynamodb.ScanOutput
		if err := db.ask(ctx, func(ctx context.Context) (err error) {
			out, err = db.api.Scan(ctx, in)
			return err
		}); err != nil {
			return err
		}
		for _, i := range out.Items {
			if err := visit(i); err != nil {
				return err
			}
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return nil
		}
	}
}
