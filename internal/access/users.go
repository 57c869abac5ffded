package access

import (
	"context"

	"usher"
	"usher/internal/policy"
)

// User returns the caller, a user, who is entered when seen for the first time
// and brought up to date by what the issuer says.
func (a *Access) User(ctx context.Context, id usher.Identity) (usher.User, error) {
	if err := a.may(ctx, id, policy.ReadUser, nil); err != nil {
		return usher.User{}, err
	}
	return a.contacts.See(ctx, id)
}

// Users returns the users after a key, by their keys, and whether there are
// more; with an e-mail address, the one who has it. It is for operators.
func (a *Access) Users(ctx context.Context, id usher.Identity, email, after string, limit int) ([]usher.User, bool, error) {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return nil, false, err
	}
	if email != "" {
		u, err := a.contacts.ByEmail(ctx, id.App, email)
		if usher.AsError(err).Kind == usher.NotFound || err == nil && u.Key <= after {
			return nil, false, nil
		}
		return []usher.User{u}, false, err
	}
	users, err := a.contacts.List(ctx, id.App, after, limit+1)
	return users[:min(len(users), limit)], len(users) > limit, err
}

// UserOf returns the user of a key. It is for operators.
func (a *Access) UserOf(ctx context.Context, id usher.Identity, key string) (usher.User, error) {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return usher.User{}, err
	}
	return a.contacts.User(ctx, id.App, key)
}

// EraseSelf forgets the caller, a user: see [Access.EraseUser].
func (a *Access) EraseSelf(ctx context.Context, id usher.Identity) error {
	if err := a.may(ctx, id, policy.EraseUser, nil); err != nil {
		return err
	}
	return a.erase(ctx, id, id.Key())
}

// EraseUser forgets a user: name and address, whom the user lists, that others
// list the user, and the list of missed calls. The record and the calls go on
// naming the key until they are forgotten by themselves, and whoever comes with a
// good token is entered anew: see Revoke. It is for operators.
func (a *Access) EraseUser(ctx context.Context, id usher.Identity, key string) error {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return err
	}
	return a.erase(ctx, id, key)
}

func (a *Access) erase(ctx context.Context, id usher.Identity, key string) error {
	// The user goes last, so that who is told of a failure can ask again.
	if err := a.missed().Acknowledge(ctx, id.App, key, ""); err != nil {
		return err
	}
	if err := a.contacts.Erase(ctx, id.App, key); err != nil {
		return err
	}
	a.tell(ctx, usher.Event{Type: usher.Erased, App: id.App, Who: id.Key(), Actor: id.Actor, Reason: key})
	return nil
}
