package dynamostore

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"usher"
	"usher/internal/store"
)

// contacts keeps contacts in the table of the video chat, in rows as its own
// program writes and reads them: userId, contactUserId and contactEmail.
type contacts struct{ db *DB }

var _ store.Contacts = contacts{}

// The attributes of a contact's row beside those of the video chat.
const (
	addedAttribute = "usherAddedAt"
	// The lives of the owner and of whom it is for: see lifeAttribute. A row of
	// former lives, which a crash may leave, does not count.
	ownerLife = "usherOwnerLife"
	userLife  = "usherContactLife"
)

func (s contacts) key(owner, user string) key { return key{s.db.contacts, owner, user} }

func (s contacts) user(id string) key { return key{table: s.db.users, hash: id} }

// counts reports whether a row is a contact, by the items of its two users.
func counts(row, owner, user item) bool {
	same := func(a, b string) bool { return a == "" || b == "" || a == b }
	return row != nil && isThere(owner) && isThere(user) &&
		same(row.text(ownerLife), owner.text(lifeAttribute)) && same(row.text(userLife), user.text(lifeAttribute))
}

// unpack reads a row.
func (s contacts) unpack(row item) (usher.Contact, error) {
	return unpack(row, func(a *archive, c *usher.Contact) {
		c.App, c.Owner = s.db.userOf(a.item.text("userId"))
		_, c.User = s.db.userOf(a.item.text("contactUserId"))
		a.stamp(addedAttribute, &c.AddedAt)
	})
}

// Add counts before it writes and after it: of two who add at once on different
// nodes, where only one may, it can be that neither does, but never that both do.
func (s contacts) Add(ctx context.Context, c usher.Contact, most int) (usher.Contact, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Contact{}, err
	}
	defer done()
	cut(&c.AddedAt)
	at := s.key(s.db.userID(c.App, c.Owner), s.db.userID(c.App, c.User))
	leave, err := s.db.queues.enter(ctx, s.key(at.hash, ""))
	if err != nil {
		return usher.Contact{}, err
	}
	defer leave()
	nonce, err := s.db.nonce()
	if err != nil {
		return usher.Contact{}, err
	}
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		there, err := s.add(ctx, at, c, most, nonce)
		if !errors.Is(err, errConflict) {
			return there, err
		}
		if err := s.db.pause(ctx, wait); err != nil {
			return usher.Contact{}, err
		}
	}
}

func (s contacts) add(ctx context.Context, at key, c usher.Contact, most int, nonce string) (usher.Contact, error) {
	items, err := s.db.getAll(ctx, []key{s.user(at.hash), s.user(at.sort), at})
	if err != nil {
		return usher.Contact{}, err
	}
	owner, user, row := items[s.user(at.hash)], items[s.user(at.sort)], items[at]
	switch {
	case !isThere(owner) || !isThere(user):
		return usher.Contact{}, store.ErrNotFound
	case row.text(writesAttribute) == nonce: // in doubt it was ours
	case counts(row, owner, user):
		there, err := s.unpack(row)
		return there, errors.Join(err, store.ErrExists)
	default:
		if err := s.space(ctx, at, most); err != nil {
			return usher.Contact{}, err
		}
		if err := s.write(ctx, at, c, row, owner, user, nonce); err != nil {
			return usher.Contact{}, err
		}
	}
	return c, s.confirm(ctx, at, most, nonce)
}

// write writes the row in place of the one that was read, if there was one.
func (s contacts) write(ctx context.Context, at key, c usher.Contact, old, owner, user item, nonce string) error {
	next := pack(at.attributes(), func(a *archive, c *usher.Contact) {
		email, ownerLives, userLives := user.text("email"), owner.text(lifeAttribute), user.text(lifeAttribute)
		text(a, "contactEmail", &email)
		text(a, ownerLife, &ownerLives)
		text(a, userLife, &userLives)
		text(a, writesAttribute, &nonce)
		a.stamp(addedAttribute, &c.AddedAt)
	}, &c)
	var e expression
	condition := e.is(writesAttribute, old[writesAttribute])
	if old == nil {
		condition += " AND " + e.is(s.db.contacts.hash, nil)
	}
	_, err := s.db.put(ctx, s.db.contacts, next, &e, condition)
	return err
}

// space returns [store.ErrFull] if the owner has most contacts beside one.
func (s contacts) space(ctx context.Context, at key, most int) error {
	if most <= 0 {
		return nil
	}
	rows, err := s.db.first(ctx, span{table: s.db.contacts, hash: at.hash}, most+1)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(rows, func(i item) bool { return i.text("contactUserId") == at.sort })
	if len(others) >= most {
		return store.ErrFull
	}
	return nil
}

// confirm looks whether what was true before the row was written still is, and
// takes the row back if it is not.
func (s contacts) confirm(ctx context.Context, at key, most int, nonce string) error {
	err := s.space(ctx, at, most)
	if err == nil {
		var items map[key]item
		items, err = s.db.getAll(ctx, []key{s.user(at.hash), s.user(at.sort), at})
		if row := items[at]; err == nil && row.text(writesAttribute) == nonce && !counts(row, items[s.user(at.hash)], items[s.user(at.sort)]) {
			err = store.ErrNotFound
		}
	}
	if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrNotFound) {
		var e expression
		if _, err := s.db.remove(ctx, at, &e, e.is(writesAttribute, textValue(nonce))); err != nil && !errors.Is(err, errConflict) {
			return err
		}
	}
	return err
}

func (s contacts) Get(ctx context.Context, app, owner, user string) (usher.Contact, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Contact{}, err
	}
	defer done()
	at := s.key(s.db.userID(app, owner), s.db.userID(app, user))
	items, err := s.db.getAll(ctx, []key{s.user(at.hash), s.user(at.sort), at})
	if err != nil {
		return usher.Contact{}, err
	}
	if !counts(items[at], items[s.user(at.hash)], items[s.user(at.sort)]) {
		return usher.Contact{}, store.ErrNotFound
	}
	return s.unpack(items[at])
}

func (s contacts) List(ctx context.Context, app, owner string) ([]store.Listing, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	id := s.db.userID(app, owner)
	rows, err := s.db.first(ctx, span{table: s.db.contacts, hash: id}, 0)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	keys := []key{s.user(id)}
	for _, row := range rows {
		other := row.text("contactUserId")
		keys = append(keys, s.user(other), s.key(other, id))
	}
	items, err := s.db.getAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	var list []store.Listing
	for _, row := range rows {
		other := row.text("contactUserId")
		me, them := items[s.user(id)], items[s.user(other)]
		if !counts(row, me, them) {
			continue
		}
		l := store.Listing{Mutual: counts(items[s.key(other, id)], them, me)}
		if l.Contact, err = s.unpack(row); err != nil {
			return nil, err
		}
		if l.User, err = userKind.unpack(s.db, s.user(other), them); err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b store.Listing) int {
		return cmp.Or(cmp.Compare(usher.FoldEmail(a.User.Email), usher.FoldEmail(b.User.Email)), cmp.Compare(a.User.Key, b.User.Key))
	})
	return list, nil
}

func (s contacts) Remove(ctx context.Context, app, owner, user string) error {
	done, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	at := s.key(s.db.userID(app, owner), s.db.userID(app, user))
	var e expression
	doubt, err := s.db.remove(ctx, at, &e, e.is(at.table.hash, textValue(at.hash)))
	switch {
	case errors.Is(err, errConflict) && doubt:
		return nil // it is gone, as was asked
	case errors.Is(err, errConflict):
		return store.ErrNotFound
	}
	return err
}

// erase deletes all rows of and for a user of a life, and returns those that
// were contacts. It reads the whole table, since the rows that the video chat's
// program wrote are in no index by whom they are for.
func (s contacts) erase(ctx context.Context, id, life string) ([]usher.Contact, error) {
	var gone []usher.Contact
	var e expression
	mine := e.value(textValue(id))
	condition := e.name("userId") + " = " + mine + " OR " + e.name("contactUserId") + " = " + mine
	err := s.db.scan(ctx, s.db.contacts, &e, condition, func(row item) error {
		var e expression
		at := s.db.contacts.keyOf(row)
		if _, err := s.db.remove(ctx, at, &e, e.is(at.table.hash, textValue(at.hash))); err != nil && !errors.Is(err, errConflict) {
			return err
		}
		lived := row.text(ownerLife)
		if at.sort == id {
			lived = row.text(userLife)
		}
		if lived != "" && life != "" && lived != life {
			return nil
		}
		c, err := s.unpack(row)
		gone = append(gone, c)
		return err
	})
	return gone, err
}
