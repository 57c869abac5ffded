package access

import (
	"context"
	"time"

	"usher"
	"usher/internal/policy"
)

// ask is a question to the policy, before what is known of the caller's
// standing in the room is added.
type ask struct {
	action   policy.Action
	room     *usher.Room
	role     usher.Role
	lifetime time.Duration
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
	if err := a.limit(id, q); err != nil {
		return decision{}, err
	}
	now := a.now()
	req := policy.Request{Identity: id, Action: q.action, Room: q.room, Role: q.role, Lifetime: q.lifetime}
	verdict := policy.Verdict{Decision: usher.Decision{Action: string(q.action), Proof: id.Proof}}
	if taken, ok := a.taken.fromIdentity(id); ok {
		verdict.Rule = "revocation " + string(taken.ID)
		verdict.Err = errRevoked
		verdict.Code = errRevoked.Code
	} else {
		if q.room != nil && id.Known() {
			members, err := a.config.Store.Members().Of(ctx, q.room.Key(), id.Keys())
			if err != nil {
				return decision{}, wrapf("members", err)
			}
			req.Members = members
			req.Banned = a.taken.banned(q.room.Key(), id.Key(), now)
		}
		verdict = a.policy.Decide(req, now)
	}
	event := usher.Event{
		ID: a.config.IDs.New(), Type: usher.Decided, App: id.App,
		Who: id.Key(), Name: id.Name, Actor: id.Actor, Request: usher.RequestID(ctx),
		Decision: &verdict.Decision,
	}
	if q.room != nil {
		event.Room = q.room.ID
	}
	if verdict.Err != nil {
		event.Reason = verdict.Err.Message
	}
	a.metrics.decided(verdict.Decision)
	// Where nobody is known, nobody can make us write. Reading the record is not
	// in it, or whoever follows it would never come to its end.
	if id.Known() && (verdict.Err != nil || q.action != policy.ReadRecord) {
		if err := a.record.add(ctx, event); err != nil {
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

var errRevoked = usher.Errorf(usher.Unauthenticated, "revoked", "What you present was revoked; sign in again, or ask an operator.")

// may is decide for callers to whom only the refusal matters.
func (a *Access) may(ctx context.Context, id usher.Identity, action policy.Action, room *usher.Room) error {
	_, err := a.decide(ctx, id, ask{action: action, room: room})
	return err
}

// tell writes down what happened to a participant or a room.
func (a *Access) tell(ctx context.Context, e usher.Event) {
	e.ID, e.Request = a.config.IDs.New(), usher.RequestID(ctx)
	if err := a.record.add(ctx, e); err != nil {
		a.config.Logger.Error("an event could not be recorded", "type", e.Type, "room", e.Room, "error", err)
	}
}
