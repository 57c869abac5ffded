package access

import (
	"context"
	"errors"
	"strings"
	"time"

	"usher"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store"
)

// InviteSpec is what a new invite shall be.
type InviteSpec struct {
	Role usher.Role
	// MaxUses is how often the code can be redeemed; 0 is no limit.
	MaxUses int
	// Expires is when it can't be any more; zero is after the longest lifetime.
	Expires time.Time
}

// CreatedInvite is an invite with the code that only its maker ever sees.
type CreatedInvite struct {
	usher.Invite
	Secret usher.Secret
}

// maxInvite is how long an invite can be good for.
const maxInvite = 90 * 24 * time.Hour

// CreateInvite makes a code that lets guests into a room.
func (a *Access) CreateInvite(ctx context.Context, id usher.Identity, ref string, spec InviteSpec) (CreatedInvite, error) {
	if spec.Role == "" {
		spec.Role = usher.Speaker
	}
	r, err := a.roomToGive(ctx, id, ref, spec.Role)
	if err != nil {
		return CreatedInvite{}, err
	}
	now := a.now()
	if spec.Expires.IsZero() {
		spec.Expires = now.Add(a.config.Policy.MaxLifetime)
	}
	if err := a.validateInvite(spec, now); err != nil {
		return CreatedInvite{}, err
	}
	code, err := usher.NewSecret(a.config.Random)
	if err != nil {
		return CreatedInvite{}, wrapf("create invite", err)
	}
	invite := usher.Invite{
		App: r.App, Room: r.ID, ID: a.config.IDs.New(), Code: code.Digest(), Role: spec.Role,
		MaxUses: spec.MaxUses, Expires: spec.Expires.UTC().Truncate(time.Microsecond), By: id.Key(), UpdatedAt: now, Version: 1,
	}
	if err := a.config.Store.Invites().Create(ctx, invite); err != nil {
		return CreatedInvite{}, wrapf("create invite", err)
	}
	return CreatedInvite{invite, code}, nil
}

func (a *Access) validateInvite(spec InviteSpec, now time.Time) error {
	var problems []usher.FieldProblem
	permissions, known := a.policy.Load().Permissions(spec.Role)
	switch {
	case !known:
		problems = append(problems, usher.FieldProblem{Field: "role", Message: "is not a role of this server"})
	case permissions.Has(usher.Moderate):
		problems = append(problems, usher.FieldProblem{Field: "role", Message: "may moderate, which a code that is passed on must not give; make the person a member"})
	}
	if spec.MaxUses < 0 || spec.MaxUses > maxSeats {
		problems = append(problems, usher.FieldProblem{Field: "max_uses", Message: "must be 0 (no limit) or more"})
	}
	if !spec.Expires.After(now) || spec.Expires.After(now.Add(maxInvite)) {
		problems = append(problems, usher.FieldProblem{Field: "expires_at", Message: "must be in the future, and within 90 days"})
	}
	if len(problems) == 0 {
		return nil
	}
	err := usher.Errorf(usher.Invalid, "invite_invalid", "The invite can't be like this.")
	err.Fields = problems
	return err
}

const maxSeats = 1_000_000

// Invites returns a room's invites by the time they were made, and whether
// there are more.
func (a *Access) Invites(ctx context.Context, id usher.Identity, ref string, page Page) ([]usher.Invite, bool, error) {
	r, err := a.room(ctx, id, policy.ManageRoom, ref)
	if err != nil {
		return nil, false, err
	}
	invites, err := a.config.Store.Invites().List(ctx, r.Key(), page.After, page.Limit+1)
	if err != nil {
		return nil, false, wrapf("list invites", err)
	}
	return invites[:min(len(invites), page.Limit)], len(invites) > page.Limit, nil
}

// RevokeInvite ends an invite. Guests who have redeemed it keep their tokens
// until these expire: see Revoke.
func (a *Access) RevokeInvite(ctx context.Context, id usher.Identity, ref string, invite usher.ID) (usher.Invite, error) {
	r, err := a.room(ctx, id, policy.ManageRoom, ref)
	if err != nil {
		return usher.Invite{}, err
	}
	now := a.now()
	i, err := a.config.Store.Invites().Update(ctx, r.Key(), invite, func(i usher.Invite) (usher.Invite, error) {
		if !i.RevokedAt.IsZero() {
			return i, store.ErrUnchanged
		}
		i.RevokedAt, i.UpdatedAt = now, now
		return i, nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return usher.Invite{}, usher.Errorf(usher.NotFound, "invite_not_found", "There is no such invite to the room.")
	}
	if err != nil {
		return usher.Invite{}, wrapf("revoke invite", err)
	}
	return i, nil
}

// Redeemed is a guest, with the token that it calls with.
type Redeemed struct {
	Guest usher.Identity
	Token usher.Secret
}

// errNoInvite is one answer for an unknown code and for one that can't be used
// any more, so that nothing can be found by guessing.
var errNoInvite = usher.Errorf(usher.NotFound, "invite_not_found", "No invite has that code, or it can't be used any more; ask for a new one.")

// Redeem lets a guest in with the code of an invite, under a name of its own
// choice that no member of the room has.
func (a *Access) Redeem(ctx context.Context, app string, code usher.Secret, name string) (Redeemed, error) {
	if strings.TrimSpace(name) != name || name == "" || usher.ValidateName(name, maxName) != nil {
		err := usher.Errorf(usher.Invalid, "guest_invalid", "The guest needs a name that can be shown to others.")
		err.Fields = []usher.FieldProblem{{Field: "name", Message: "must be 1 to 128 bytes of printable text, without spaces at its ends"}}
		return Redeemed{}, err
	}
	invite, err := a.config.Store.Invites().ByCode(ctx, code.Digest())
	if errors.Is(err, store.ErrNotFound) || err == nil && invite.App != app {
		return Redeemed{}, errNoInvite
	}
	if err != nil {
		return Redeemed{}, wrapf("redeem", err)
	}
	key := usher.RoomKey{App: invite.App, ID: invite.Room}
	r, err := a.rooms.Get(ctx, key)
	if errors.Is(err, room.ErrNotFound) || err == nil && r.Status == usher.RoomEnded {
		return Redeemed{}, errNoInvite
	}
	if err != nil {
		return Redeemed{}, err
	}
	if now := a.now(); !redeemable(invite, now) || a.taken.fromInvite(invite, now) {
		return Redeemed{}, errNoInvite // before a name is compared, which would tell who is a member
	}
	if taken, err := a.nameOfMember(ctx, key, name); err != nil || taken {
		return Redeemed{}, cmpErr(err, usher.Errorf(usher.Conflict, "name_taken", "A member of the room has that name; choose another."))
	}
	return a.redeem(ctx, invite, r, name)
}

// redeem makes the guest and counts the use: what can fail without the guest's
// fault comes first, so that no use is lost by it.
func (a *Access) redeem(ctx context.Context, invite usher.Invite, r usher.Room, name string) (Redeemed, error) {
	now := a.now()
	token, guest, err := a.config.Guests.Issue(usher.Identity{
		App: r.App, Kind: usher.GuestIdentity, Subject: string(a.config.IDs.New()), Name: name,
		Room: r.ID, Role: invite.Role, Inviter: invite.By,
	}, invite.ID, invite.Expires)
	if err != nil {
		return Redeemed{}, wrapf("redeem", err)
	}
	_, err = a.config.Store.Invites().Update(ctx, r.Key(), invite.ID, func(i usher.Invite) (usher.Invite, error) {
		if !redeemable(i, now) {
			return i, errNoInvite
		}
		i.Uses++
		i.UpdatedAt = now
		return i, nil
	})
	if errors.Is(err, errNoInvite) || errors.Is(err, store.ErrNotFound) {
		return Redeemed{}, errNoInvite
	}
	if err != nil { // also of a store that can't be written: the invite is as good as before
		return Redeemed{}, wrapf("redeem", err)
	}
	a.tell(ctx, usher.Event{Type: usher.Redeemed, App: r.App, Who: guest.Key(), Name: name, Room: r.ID, Reason: "invite " + string(invite.ID)})
	return Redeemed{guest, token}, nil
}

// redeemable reports whether an invite has a use left.
func redeemable(i usher.Invite, now time.Time) bool {
	return i.RevokedAt.IsZero() && now.Before(i.Expires) && (i.MaxUses == 0 || i.Uses < i.MaxUses)
}

// nameOfMember reports whether a member of the room has that name, in whatever
// case it is written.
func (a *Access) nameOfMember(ctx context.Context, room usher.RoomKey, name string) (bool, error) {
	const page = 500
	after := ""
	for {
		members, err := a.config.Store.Members().List(ctx, room, after, page)
		if err != nil {
			return false, wrapf("redeem", err)
		}
		for _, m := range members {
			if strings.EqualFold(m.Name, name) {
				return true, nil
			}
		}
		if len(members) < page {
			return false, nil
		}
		after = members[page-1].Identity
	}
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
