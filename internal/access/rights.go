package access

import (
	"context"

	"usher"
	"usher/internal/store"
)

// Watcher is a [Connection] that wants to know when its rights change.
type Watcher interface {
	// Rights gives the role and what it may do, whenever that changes. It must
	// not block.
	Rights(usher.Role, usher.Permissions)
}

// Participant returns the participant as its connection last heard of it.
func (at *Attachment) Participant() usher.Participant { return *at.place.Load() }

// Permissions returns what the participant may do now: nothing once it is out.
// It asks nobody, and may be asked for every message.
func (at *Attachment) Permissions() usher.Permissions {
	if at.out.Load() {
		return nil
	}
	permissions, _ := at.access.policy.Load().Permissions(at.place.Load().Role)
	return permissions
}

var errNoModerator = usher.Errorf(usher.Forbidden, "permission_missing", "That needs the permission moderate in this room.")

// Remove puts another participant of the room out for good: see
// [Access.RemoveParticipant].
func (at *Attachment) Remove(ctx context.Context, participant usher.ID, reason string) error {
	if !at.Permissions().Has(usher.Moderate) {
		return errNoModerator
	}
	if err := validateReason(reason); err != nil {
		return err
	}
	if reason == "" {
		reason = "A moderator has put you out of the room."
	}
	key := usher.ParticipantKey{App: at.key.App, Room: at.key.Room, ID: participant}
	if _, err := at.access.rooms.Remove(ctx, key, reason); err != nil {
		return err
	}
	at.tell(ctx, participant, "removed: "+reason)
	at.access.announce(roomKey(key), notice{Kind: participantRemoved, Participant: participant, Reason: reason})
	return nil
}

// GiveRole changes what another participant of the room may do, at once. Nobody
// gives more than they have.
func (at *Attachment) GiveRole(ctx context.Context, participant usher.ID, role usher.Role) error {
	mine := at.Permissions()
	theirs, known := at.access.policy.Load().Permissions(role)
	switch {
	case !mine.Has(usher.Moderate):
		return errNoModerator
	case !known:
		return usher.Errorf(usher.Invalid, "role_unknown", "There is no role of that name.")
	case !theirs.Has(usher.Join):
		return usher.Errorf(usher.Invalid, "role_cannot_join", "The role %s is not allowed to be in a room; remove the participant instead.", role)
	case !theirs.Within(mine):
		return usher.Errorf(usher.Forbidden, "role_exceeds", "The role %s may do more than you may in this room.", role)
	}
	key := usher.ParticipantKey{App: at.key.App, Room: at.key.Room, ID: participant}
	if err := at.access.giveRole(ctx, key, role); err != nil {
		return err
	}
	at.tell(ctx, participant, "role: "+string(role))
	return nil
}

// tell writes down what the participant did to another one.
func (at *Attachment) tell(ctx context.Context, participant usher.ID, reason string) {
	me := at.Participant()
	at.access.tell(ctx, usher.Event{
		Type: usher.Taken, App: at.key.App, Who: me.Identity, Name: me.Name, Room: at.key.Room, Participant: participant, Reason: reason,
	})
}

// giveRole commits a participant's role, and then tells its connections, here
// before it returns.
func (a *Access) giveRole(ctx context.Context, key usher.ParticipantKey, role usher.Role) error {
	e, err := a.rooms.SetRole(ctx, key, role)
	if err != nil {
		return err
	}
	a.announce(roomKey(key), notice{Kind: rightsChanged, Participant: key.ID, Role: e.Participant.Role, Version: e.Participant.Version})
	return nil
}

// lower takes from a member's places what its membership does not allow any
// more. Those that somebody else made for the member, or that the owner has,
// do not hang on the membership.
func (a *Access) lower(ctx context.Context, r usher.Room, m usher.Member) error {
	allowed, _ := a.policy.Load().Permissions(m.Role)
	if m.Identity == r.Owner {
		return nil
	}
	q := store.ParticipantQuery{Room: r.Key(), Limit: 500}
	for {
		page, err := a.rooms.Participants(ctx, q)
		if err != nil {
			return err
		}
		for _, p := range page {
			has, _ := a.policy.Load().Permissions(p.Role)
			gone := p.Status == usher.ParticipantLeft || p.Status == usher.ParticipantRemoved
			if gone || p.Identity != m.Identity || p.Maker != p.Identity || has.Within(allowed) {
				continue
			}
			if err := a.giveRole(ctx, p.Key(), m.Role); err != nil && usher.AsError(err).Kind != usher.Conflict {
				return err
			}
		}
		if len(page) < q.Limit {
			return nil
		}
		q.After = page[len(page)-1].ID
	}
}

// given is a role that a participant got in the record of that version.
type given struct {
	role    usher.Role
	version int64
}

// changeRights gives a participant's connections their new role. News may be
// late, so that an older version changes nothing.
func (h *hall) changeRights(n notice) {
	for _, at := range h.some(func(at *Attachment) bool { return at.key.ID == n.Participant }) {
		// Either the connection, which is about to take its seat, finds the news,
		// or the news finds the seat.
		at.news.Store(&given{n.Role, n.Version})
		at.takeNews()
	}
}

// takeNews brings the participant's role up to date with the newest news, and
// tells the connection.
func (at *Attachment) takeNews() {
	for {
		old, news := at.place.Load(), at.news.Load()
		if old == nil || news == nil || old.Version >= news.version {
			return
		}
		p := *old
		p.Role, p.Version = news.role, news.version
		if !at.place.CompareAndSwap(old, &p) {
			continue
		}
		if w, ok := at.conn.(Watcher); ok && p.Role != old.Role {
			permissions, _ := at.access.policy.Load().Permissions(p.Role)
			w.Rights(p.Role, permissions)
		}
		return
	}
}
