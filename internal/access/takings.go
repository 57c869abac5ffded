package access

import (
	"cmp"
	"context"
	"slices"
	"time"

	"usher"
	"usher/internal/policy"
	"usher/internal/store"
)

// Revocation is what an operator takes away.
type Revocation struct {
	// Target has exactly one field set.
	Target usher.Target
	// Before voids what was issued earlier; zero is now. Forever voids also
	// what would be issued later.
	Before  time.Time
	Forever bool
	Reason  string
}

// Revoke takes away what was issued to an identity, by a client, in a room or
// by one grant. When it returns, the revocation is on disk and this node obeys
// it; the others do within a second.
func (a *Access) Revoke(ctx context.Context, id usher.Identity, v Revocation) (usher.Taking, error) {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return usher.Taking{}, err
	}
	now := a.now()
	if v.Before.IsZero() {
		v.Before = now
	}
	if err := v.validate(now); err != nil {
		return usher.Taking{}, err
	}
	if v.Target.Room != "" {
		if _, err := a.rooms.Get(ctx, usher.RoomKey{App: id.App, ID: v.Target.Room}); err != nil {
			return usher.Taking{}, err
		}
	}
	return a.take(ctx, usher.Taking{
		App: id.App, Kind: usher.Revocation, Target: v.Target, Before: v.Before, Forever: v.Forever,
		By: id.Key(), Reason: v.Reason,
	})
}

func (v Revocation) validate(now time.Time) error {
	var problems []usher.FieldProblem
	set := 0
	for _, given := range []bool{v.Target.Grant != "", v.Target.Identity != "", v.Target.Client != "", v.Target.Room != ""} {
		if given {
			set++
		}
	}
	if set != 1 {
		problems = append(problems, usher.FieldProblem{Field: "target", Message: "name exactly one of grant, identity, client and room"})
	}
	if v.Target.Identity != "" && !validKey(v.Target.Identity, identities...) {
		problems = append(problems, usher.FieldProblem{Field: "identity", Message: "must be user:ISSUER#SUBJECT, guest:ID or client:ID"})
	}
	for field, ref := range map[string]usher.ID{"grant": v.Target.Grant, "client": v.Target.Client, "room": v.Target.Room} {
		if _, err := usher.ParseID(string(ref)); ref != "" && err != nil {
			problems = append(problems, usher.FieldProblem{Field: field, Message: "must be an id"})
		}
	}
	if v.Before.After(now) {
		problems = append(problems, usher.FieldProblem{Field: "before", Message: "is in the future; say forever to void also what is issued later"})
	}
	if err := usher.ValidateName(v.Reason, maxReason); err != nil {
		problems = append(problems, usher.FieldProblem{Field: "reason", Message: err.Error()})
	}
	if len(problems) == 0 {
		return nil
	}
	err := usher.Errorf(usher.Invalid, "revocation_invalid", "The revocation can't be like this.")
	err.Fields = problems
	return err
}

// Revocations returns everything that was taken away, in order, after a number
// of the sequence, and whether there is more.
func (a *Access) Revocations(ctx context.Context, id usher.Identity, after int64, limit int) ([]usher.Taking, bool, error) {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return nil, false, err
	}
	list, err := a.config.Store.Takings().After(ctx, after, limit+1)
	if err != nil {
		return nil, false, wrapf("list revocations", err)
	}
	return list[:min(len(list), limit)], len(list) > limit, nil
}

// BanSpec is who shall be kept out of a room.
type BanSpec struct {
	// Identity is the key of who is banned; or Participant names a participant
	// of the room whose identity is.
	Identity    string
	Participant usher.ID
	// Until is when the ban ends; zero is never.
	Until  time.Time
	Reason string
}

// Ban keeps an identity out of a room, and puts out whatever it has there. The
// ban is on disk, and obeyed, before this returns.
func (a *Access) Ban(ctx context.Context, id usher.Identity, ref string, spec BanSpec) (usher.Taking, error) {
	r, err := a.room(ctx, id, policy.ManageRoom, ref)
	if err != nil {
		return usher.Taking{}, err
	}
	if err := a.whomToBan(ctx, r, &spec); err != nil {
		return usher.Taking{}, err
	}
	if err := spec.validate(a.now()); err != nil {
		return usher.Taking{}, err
	}
	t, err := a.take(ctx, usher.Taking{
		App: r.App, Kind: usher.Ban, Target: usher.Target{Room: r.ID, Identity: spec.Identity},
		Until: spec.Until, By: id.Key(), Reason: spec.Reason,
	})
	if err != nil {
		return usher.Taking{}, err
	}
	return t, a.removeAll(ctx, r, spec.Identity, cmp.Or(spec.Reason, "You are banned from this room."))
}

// whomToBan finds the identity of the participant that a spec names instead.
func (a *Access) whomToBan(ctx context.Context, r usher.Room, spec *BanSpec) error {
	if spec.Participant == "" || spec.Identity != "" {
		return nil
	}
	e, err := a.rooms.Participant(ctx, participantKey(r, spec.Participant))
	if err != nil {
		return err
	}
	if e.Participant.Identity == "" {
		return usher.Errorf(usher.Conflict, "participant_unknown",
			"Nobody knows who this participant is, so that only the place can be taken away: remove the participant.")
	}
	spec.Identity = e.Participant.Identity
	return nil
}

func (s BanSpec) validate(now time.Time) error {
	var problems []usher.FieldProblem
	if !validKey(s.Identity, identities...) {
		problems = append(problems, usher.FieldProblem{Field: "identity", Message: "must be user:ISSUER#SUBJECT, guest:ID or client:ID"})
	}
	if !s.Until.IsZero() && !s.Until.After(now) {
		problems = append(problems, usher.FieldProblem{Field: "until", Message: "must be in the future"})
	}
	if err := usher.ValidateName(s.Reason, maxReason); err != nil {
		problems = append(problems, usher.FieldProblem{Field: "reason", Message: err.Error()})
	}
	if len(problems) == 0 {
		return nil
	}
	err := usher.Errorf(usher.Invalid, "ban_invalid", "The ban can't be like this.")
	err.Fields = problems
	return err
}

// removeAll puts every place that an identity has in a room out for good, so
// that nothing of it comes back when the ban ends.
func (a *Access) removeAll(ctx context.Context, r usher.Room, identity, reason string) error {
	q := store.ParticipantQuery{Room: r.Key(), Limit: 500}
	for {
		page, err := a.rooms.Participants(ctx, q)
		if err != nil {
			return err
		}
		for _, p := range page {
			if p.Identity != identity || p.Status == usher.ParticipantRemoved {
				continue
			}
			if _, err := a.rooms.Remove(ctx, p.Key(), reason); err != nil && usher.AsError(err).Kind != usher.Conflict {
				return err
			}
			a.announce(r.Key(), notice{Kind: participantRemoved, Participant: p.ID, Reason: reason})
		}
		if len(page) < q.Limit {
			return nil
		}
		q.After = page[len(page)-1].ID
	}
}

// Bans returns the bans in force in a room, the oldest first.
func (a *Access) Bans(ctx context.Context, id usher.Identity, ref string) ([]usher.Taking, error) {
	r, err := a.room(ctx, id, policy.ManageRoom, ref)
	if err != nil {
		return nil, err
	}
	bans := a.taken.bansOf(r.Key(), a.now())
	slices.SortFunc(bans, func(a, b usher.Taking) int { return cmp.Compare(a.Seq, b.Seq) })
	return bans, nil
}

// Unban lifts a ban. What the ban took stays taken; the identity may ask again.
func (a *Access) Unban(ctx context.Context, id usher.Identity, ref string, ban usher.ID) error {
	r, err := a.room(ctx, id, policy.ManageRoom, ref)
	if err != nil {
		return err
	}
	return a.lift(ctx, id, r, func(t usher.Taking) bool { return t.ID == ban })
}

// UnbanIdentity lifts the ban of an identity: that of the spec, or the one that
// its participant is.
func (a *Access) UnbanIdentity(ctx context.Context, id usher.Identity, ref string, spec BanSpec) error {
	r, err := a.room(ctx, id, policy.ManageRoom, ref)
	if err != nil {
		return err
	}
	if err := a.whomToBan(ctx, r, &spec); err != nil {
		return err
	}
	return a.lift(ctx, id, r, func(t usher.Taking) bool { return t.Target.Identity == spec.Identity })
}

func (a *Access) lift(ctx context.Context, id usher.Identity, r usher.Room, which func(usher.Taking) bool) error {
	bans := a.taken.bansOf(r.Key(), a.now())
	i := slices.IndexFunc(bans, which)
	if i < 0 {
		return usher.Errorf(usher.NotFound, "ban_not_found", "There is no such ban in the room, or it is over.")
	}
	_, err := a.take(ctx, usher.Taking{App: r.App, Kind: usher.Unban, Target: bans[i].Target, By: id.Key()})
	return err
}
