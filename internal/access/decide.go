package access

import (
	"context"
	"time"

	"usher"
	"usher/internal/policy"
	"usher/internal/store"
)

// ask is a question to the policy, before what is known of the caller's
// standing in the room is added.
type ask struct {
	action   policy.Action
	room     *usher.Room
	role     usher.Role
	lifetime time.Duration
	// permissions, if any are named, are all that is asked for of the role's.
	permissions usher.Permissions
	// whom is the key of the identity that something is made for, where that is
	// not the caller.
	whom string
}

// decision is a verdict with the id that it has in the record.
type decision struct {
	id usher.ID
	usher.Decision
}

// decide answers a question and writes the answer down. It is the only way to
// the policy: what was taken from the caller, its memberships and bans are
// looked up here, so that no call can forget them.
func (a *Access) decide(ctx context.Context, id usher.Identity, q ask) (decision, error) {
	if err := a.limitMaker(id, q); err != nil {
		return decision{}, err
	}
	// The id says when it was decided: not later than what was taken was looked up.
	event := usher.Event{
		ID: a.config.IDs.New(), Type: usher.Decided, App: id.App,
		Who: id.Key(), Name: id.Name, Actor: id.Actor, Request: usher.RequestID(ctx),
	}
	verdict, err := a.judge(ctx, id, q)
	if err != nil {
		return decision{}, err
	}
	if verdict.Err == nil {
		if err := a.limitRoom(id, q); err != nil {
			return decision{}, err
		}
	}
	event.Decision = &verdict.Decision
	if q.room != nil {
		event.Room = q.room.ID
	}
	if verdict.Err != nil {
		event.Reason = verdict.Err.Message
	}
	a.metrics.decided(verdict.Decision)
	// Where nobody is known, nobody can make us write. Reading the record is not
	// in it, or whoever follows it would never come to its end; nor is looking at
	// the server, which is done all day.
	looks := q.action == policy.ReadRecord || q.action == policy.Watch
	if id.Known() && (verdict.Err != nil || !looks) {
		if err := a.record.decide(ctx, event); err != nil {
			return decision{}, err
		}
	}
	if verdict.Err != nil {
		refusal := *verdict.Err
		if id.Known() {
			refusal.Decision = event.ID
		}
		return decision{}, &refusal
	}
	return decision{event.ID, verdict.Decision}, nil
}

// judge holds a question against what was taken away, and then asks the policy.
func (a *Access) judge(ctx context.Context, id usher.Identity, q ask) (policy.Verdict, error) {
	now := a.now()
	if t, err := a.refuses(id, q, now); err != nil {
		return policy.Verdict{Err: err, Decision: usher.Decision{
			Action: string(q.action), Proof: id.Proof, Rule: string(t.Kind) + " " + string(t.ID), Code: err.Code,
		}}, nil
	}
	req := policy.Request{Identity: id, Action: q.action, Room: q.room, Role: q.role, Permissions: q.permissions, Lifetime: q.lifetime}
	if q.room != nil && id.Known() {
		keys := id.Keys() // its own first
		members, err := a.config.Store.Members().Of(ctx, q.room.Key(), keys)
		if err != nil {
			return policy.Verdict{}, wrapf("members", err)
		}
		req.Members = members
		_, req.Banned = a.taken.ban(q.room.Key(), keys[0], now)
	}
	return a.policy.Load().Decide(req, now), nil
}

// What callers are told from whom, or from what they ask for, something was
// taken.
var (
	errRevoked     = usher.Errorf(usher.Unauthenticated, "revoked", "What you present was revoked; sign in again, or ask an operator.")
	errRoomRevoked = usher.Errorf(usher.Forbidden, "room_revoked", "An operator has closed this room to everyone.")
	errWhomRevoked = usher.Errorf(usher.Forbidden, "identity_revoked", "Whom the place is for has lost all access to this server; ask an operator.")
	errWhomBanned  = usher.Errorf(usher.Forbidden, "banned", "Whom the place is for is banned from this room.")
)

// refuses returns what was taken and rules out what is asked for, and what the
// caller is told of it.
func (a *Access) refuses(id usher.Identity, q ask, now time.Time) (usher.Taking, *usher.Error) {
	if t, ok := a.taken.fromIdentity(id, now); ok {
		return t, errRevoked
	}
	if q.room == nil || !makes(q.action) {
		return usher.Taking{}, nil
	}
	if t, ok := a.taken.closed(target{"room", q.room.App, string(q.room.ID)}, now); ok {
		return t, errRoomRevoked
	}
	if t, ok := a.taken.closed(target{"identity", id.App, q.whom}, now); ok {
		return t, errWhomRevoked
	}
	if t, ok := a.taken.ban(q.room.Key(), q.whom, now); ok {
		return t, errWhomBanned
	}
	return usher.Taking{}, nil
}

// may is decide for callers to whom only the refusal matters.
func (a *Access) may(ctx context.Context, id usher.Identity, action policy.Action, room *usher.Room) error {
	_, err := a.decide(ctx, id, ask{action: action, room: room})
	return err
}

// tell writes down what happened to a participant or a room.
func (a *Access) tell(ctx context.Context, e usher.Event) {
	e.ID, e.Request = a.config.IDs.New(), usher.RequestID(ctx)
	if err := a.record.tell(ctx, e); err != nil && !store.Away(err) {
		a.config.Logger.Error("an event is not on disk yet", "type", e.Type, "room", e.Room, "error", err)
	}
}
