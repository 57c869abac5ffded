package access

import (
	"context"
	"errors"

	"usher"
	"usher/internal/policy"
	"usher/internal/store"
)

// SessionTarget names sessions that a back end made: that of a token, those of
// one of its users, or those of a room, or of both.
type SessionTarget struct {
	Token usher.Secret
	User  string
	// Room is a room's id or name.
	Room string
}

var errTarget = usher.Errorf(usher.Invalid, "target_invalid", "Name a token, or a user, or a room, or a user and a room.")

// RevokeSessions takes sessions away for good. When it returns, this node has
// closed their connections; the others do within a second. Whoever lost a
// session may be given another.
func (a *Access) RevokeSessions(ctx context.Context, id usher.Identity, target SessionTarget, reason string) error {
	if err := validateReason(reason); err != nil {
		return err
	}
	revocation := usher.Taking{App: id.App, Kind: usher.Revocation, By: id.Key(), Reason: reason}
	switch {
	case target.Token != "" && target.User == "" && target.Room == "":
		s, err := a.madeSession(ctx, id, target.Token)
		if err != nil {
			return err
		}
		revocation.Target.Grant = s.ID
	case target.Token != "":
		return errTarget
	case target.User != "" && target.Room != "":
		return a.eachPass(ctx, id, target, func(s usher.Session, p usher.Pass) error {
			taking := revocation
			taking.Target.Grant, taking.Before = p.Grant, a.now()
			_, err := a.take(ctx, taking)
			return err
		})
	case target.User != "":
		revocation.Target.Identity = ownUser(id, target.User).Key()
	case target.Room != "":
		r, err := a.room(ctx, id, policy.ManageRoom, target.Room)
		if err != nil {
			return err
		}
		revocation.Target.Room = r.ID
	default:
		return errTarget
	}
	revocation.Before = a.now()
	_, err := a.take(ctx, revocation)
	return err
}

// RestrictSessions cuts down what a back end's user may do in a room by the
// sessions that it has, or gives it back: what was granted with them is the
// limit. Their connections are closed, so that they come back to what is true now.
func (a *Access) RestrictSessions(ctx context.Context, id usher.Identity, target SessionTarget, most usher.Permissions) error {
	if target.Token != "" || target.User == "" || target.Room == "" || len(most) == 0 {
		return errTarget
	}
	return a.eachPass(ctx, id, target, func(s usher.Session, p usher.Pass) error {
		_, err := a.changeSession(ctx, s.Token, func(s usher.Session) usher.Session {
			for i, pass := range s.Passes {
				if pass.Room == p.Room {
					s.Passes[i].Most = most
				}
			}
			return s
		})
		if errors.Is(err, errNoSession) {
			return nil // swept meanwhile
		}
		return err
	})
}

// madeSession returns the session of a token that a back end made.
func (a *Access) madeSession(ctx context.Context, id usher.Identity, token usher.Secret) (usher.Session, error) {
	s, err := a.config.Store.Sessions().Get(ctx, token.Digest())
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && s.Who.Actor != id.Key():
		return usher.Session{}, usher.Errorf(usher.NotFound, "session_not_found", "There is no session of yours with that token.")
	case err != nil:
		return usher.Session{}, wrapf("session", err)
	}
	return s, nil
}

// eachPass does something with every pass to a room that a back end's user has.
func (a *Access) eachPass(ctx context.Context, id usher.Identity, target SessionTarget, do func(usher.Session, usher.Pass) error) error {
	r, err := a.rooms.Find(ctx, id.App, target.Room)
	if err != nil {
		return err
	}
	return a.passesOf(ctx, r, ownUser(id, target.User).Key(), do)
}

// passesOf does something with every pass to a room that an identity has.
func (a *Access) passesOf(ctx context.Context, r usher.Room, identity string, do func(usher.Session, usher.Pass) error) error {
	const batch = 200
	after := usher.ID("")
	for {
		page, err := a.config.Store.Sessions().Of(ctx, r.App, identity, after, batch)
		if err != nil {
			return wrapf("sessions of a user", err)
		}
		for _, s := range page {
			p, ok := s.Pass(r.ID)
			if !ok || s.Expired(a.now()) {
				continue
			}
			if err := do(s, p); err != nil {
				return err
			}
		}
		if len(page) < batch {
			return nil
		}
		after = page[len(page)-1].ID
	}
}
