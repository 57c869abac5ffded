package access

import (
	"context"
	"errors"
	"slices"
	"strings"

	"usher"
	"usher/internal/policy"
	"usher/internal/store"
)

// PutMember gives an identity, or a group, a standing role in a room. What a
// member had before and has not any more is taken from its places, too.
func (a *Access) PutMember(ctx context.Context, id usher.Identity, ref string, m usher.Member) (usher.Member, error) {
	r, err := a.roomToGive(ctx, id, ref, m.Role)
	if err != nil {
		return usher.Member{}, err
	}
	if err := a.validateMember(m); err != nil {
		return usher.Member{}, err
	}
	m.App, m.Room, m.AddedBy, m.UpdatedAt = r.App, r.ID, id.Key(), a.now()
	if err := a.config.Store.Members().Put(ctx, m); err != nil {
		return usher.Member{}, wrapf("put member", err)
	}
	return m, a.lower(ctx, r, m)
}

func (a *Access) validateMember(m usher.Member) error {
	var problems []usher.FieldProblem
	if !validKey(m.Identity, "user", "group", "client") {
		problems = append(problems, usher.FieldProblem{Field: "identity", Message: "must be user:ISSUER#SUBJECT, group:ISSUER#NAME or client:ID"})
	}
	if _, known := a.policy.Load().Permissions(m.Role); !known {
		problems = append(problems, usher.FieldProblem{Field: "role", Message: "is not a role of this server"})
	}
	if err := usher.ValidateName(m.Name, maxName); err != nil {
		problems = append(problems, usher.FieldProblem{Field: "name", Message: err.Error()})
	}
	if len(problems) == 0 {
		return nil
	}
	err := usher.Errorf(usher.Invalid, "member_invalid", "The member can't be like this.")
	err.Fields = problems
	return err
}

// validKey reports whether a text has the form of a key of one of these kinds.
func validKey(key string, kinds ...string) bool {
	kind, rest, found := strings.Cut(key, ":")
	if !found || !slices.Contains(kinds, kind) || usher.ValidateName(key, maxKey) != nil {
		return false
	}
	switch kind {
	case "user", "group":
		issuer, subject, found := strings.Cut(rest, "#")
		return found && issuer != "" && subject != ""
	default:
		_, err := usher.ParseID(rest)
		return err == nil
	}
}

// identities are the kinds of key that name one identity: not a group, of whose
// members nobody keeps a list.
var identities = []string{"user", "guest", "client"}

// Members returns a room's members by their keys after the given one, and
// whether there are more.
func (a *Access) Members(ctx context.Context, id usher.Identity, ref, after string, limit int) ([]usher.Member, bool, error) {
	r, err := a.room(ctx, id, policy.ManageRoom, ref)
	if err != nil {
		return nil, false, err
	}
	members, err := a.config.Store.Members().List(ctx, r.Key(), after, limit+1)
	if err != nil {
		return nil, false, wrapf("list members", err)
	}
	return members[:min(len(members), limit)], len(members) > limit, nil
}

// DeleteMember ends a membership. It puts nobody out who is in the room: see
// RemoveParticipant and Ban.
func (a *Access) DeleteMember(ctx context.Context, id usher.Identity, ref, key string) error {
	r, err := a.room(ctx, id, policy.ManageRoom, ref)
	if err != nil {
		return err
	}
	err = a.config.Store.Members().Delete(ctx, r.Key(), key)
	if errors.Is(err, store.ErrNotFound) {
		return usher.Errorf(usher.NotFound, "member_not_found", "There is no such member in the room.")
	}
	if err != nil {
		return wrapf("delete member", err)
	}
	return nil
}

// roomToGive finds a room in which the caller may give others that role.
func (a *Access) roomToGive(ctx context.Context, id usher.Identity, ref string, role usher.Role) (usher.Room, error) {
	r, err := a.rooms.Find(ctx, id.App, ref)
	if err != nil {
		return usher.Room{}, err
	}
	_, err = a.decide(ctx, id, ask{action: policy.ManageRoom, room: &r, role: role})
	return r, err
}
