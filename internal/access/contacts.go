package access

import (
	"context"
	"strings"
	"time"

	"usher"
	"usher/internal/contact"
	"usher/internal/policy"
)

// Presence knows which users are connected.
type Presence interface {
	// Online returns which of the users of these keys are connected; who is not
	// in the map is not.
	Online(ctx context.Context, app string, keys []string) (map[string]bool, error)
}

// Contact is a user whom another lists.
type Contact struct {
	usher.User
	AddedAt time.Time
	// Online says that the user is connected. It is told only of who lists the
	// owner, too.
	Online bool
}

// ContactChange is an entry that was made or that is gone.
type ContactChange = contact.Change

// Contacts returns whom the caller lists, by their e-mail addresses.
func (a *Access) Contacts(ctx context.Context, id usher.Identity) ([]Contact, error) {
	if err := a.may(ctx, id, policy.ListContacts, nil); err != nil {
		return nil, err
	}
	list, err := a.contacts.Contacts(ctx, id.App, id.Key())
	if err != nil {
		return nil, err
	}
	contacts := make([]Contact, len(list))
	var mutual []string
	for i, l := range list {
		contacts[i] = Contact{User: l.User, AddedAt: l.Contact.AddedAt}
		if l.Mutual {
			mutual = append(mutual, l.User.Key)
		}
	}
	online, err := a.online(ctx, id.App, mutual)
	if err != nil {
		return nil, err
	}
	for i, l := range list {
		contacts[i].Online = l.Mutual && online[l.User.Key]
	}
	return contacts, nil
}

// online asks for those who may be told of only.
func (a *Access) online(ctx context.Context, app string, keys []string) (map[string]bool, error) {
	if a.config.Presence == nil || len(keys) == 0 {
		return nil, nil
	}
	online, err := a.config.Presence.Online(ctx, app, keys)
	if err != nil {
		return nil, wrapf("presence", err)
	}
	return online, nil
}

// ContactSpec says who shall be a contact: by a verified e-mail address or by
// key, one of which is empty.
type ContactSpec struct{ Email, User string }

// AddContact enters another user among the caller's contacts, and reports
// whether the entry is new. How often a caller may look for others is limited,
// and whom it does not find is in the record.
func (a *Access) AddContact(ctx context.Context, id usher.Identity, spec ContactSpec) (Contact, bool, error) {
	if err := a.may(ctx, id, policy.AddContact, nil); err != nil {
		return Contact{}, false, err
	}
	if spec.Email = strings.TrimSpace(spec.Email); (spec.Email == "") == (spec.User == "") || spec.User == "" && !usher.ValidEmail(spec.Email) {
		err := usher.Errorf(usher.Invalid, "contact_invalid", "Say who shall be a contact by an e-mail address, such as somebody@example.org.")
		err.Fields = []usher.FieldProblem{{Field: "email", Message: "must be an e-mail address"}}
		return Contact{}, false, err
	}
	if err := a.limitSeek(id); err != nil {
		return Contact{}, false, err
	}
	me, err := a.contacts.See(ctx, id)
	if err != nil {
		return Contact{}, false, err
	}
	return a.list(ctx, id, me, spec)
}

// list makes the entry for who is found.
func (a *Access) list(ctx context.Context, id usher.Identity, me usher.User, spec ContactSpec) (Contact, bool, error) {
	other, err := a.seek(ctx, me, spec)
	if err != nil {
		if usher.AsError(err).Kind == usher.NotFound {
			a.tell(ctx, usher.Event{Type: usher.Sought, App: id.App, Who: id.Key(), Name: id.Name, Actor: id.Actor})
		}
		return Contact{}, false, err
	}
	entry, added, err := a.contacts.Add(ctx, id.App, me.Key, other.Key)
	if err != nil {
		return Contact{}, false, err
	}
	if added {
		a.tell(ctx, usher.Event{Type: usher.Listed, App: id.App, Who: id.Key(), Name: id.Name, Actor: id.Actor, Reason: other.Key})
	}
	c := Contact{User: other, AddedAt: entry.AddedAt}
	mutual, err := a.contacts.Lists(ctx, id.App, other.Key, me.Key)
	if err != nil || !mutual {
		return c, added, err
	}
	online, err := a.online(ctx, id.App, []string{other.Key})
	c.Online = online[other.Key]
	return c, added, err
}

func (a *Access) seek(ctx context.Context, me usher.User, spec ContactSpec) (usher.User, error) {
	if spec.User != "" {
		return a.contacts.User(ctx, me.App, spec.User)
	}
	return a.contacts.ByEmail(ctx, me.App, spec.Email)
}

// RemoveContact ends an entry of the caller's. There may be none: whoever asks
// again is told the same.
func (a *Access) RemoveContact(ctx context.Context, id usher.Identity, key string) error {
	if err := a.may(ctx, id, policy.RemoveContact, nil); err != nil {
		return err
	}
	removed, err := a.contacts.Remove(ctx, id.App, id.Key(), key)
	if removed {
		a.tell(ctx, usher.Event{Type: usher.Unlisted, App: id.App, Who: id.Key(), Name: id.Name, Actor: id.Actor, Reason: key})
	}
	return err
}

// Lists reports whether a user lists another, both by their keys. It is quick:
// what was changed on this node counts at once, what was on another within a
// second. Nobody is asked whether they may know: it is for those who serve
// connections.
func (a *Access) Lists(ctx context.Context, app, owner, user string) (bool, error) {
	return a.contacts.Lists(ctx, app, owner, user)
}

// Mutual returns the keys of those whom a user lists and who list the user: who
// may know whether the user is there.
func (a *Access) Mutual(ctx context.Context, app, user string) ([]string, error) {
	return a.contacts.Mutual(ctx, app, user)
}

// WatchContacts calls f with every change of an entry from now on. One may be lost
// on its way from another node: read [Access.Mutual] and [Access.Lists] for what
// is true. f must not block.
func (a *Access) WatchContacts(f func(ContactChange)) { a.contacts.Watch(f) }
