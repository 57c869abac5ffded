package access

import (
	"context"

	"usher"
	"usher/internal/keys"
	"usher/internal/policy"
)

// EventQuery selects events of the record.
type EventQuery struct {
	// Cursor is where to go on; empty is the beginning of what is kept.
	Cursor string
	Limit  int
	// Type, Room, Who and Code restrict the list, if not empty.
	Type usher.EventType
	Room usher.ID
	Who  string
	Code string
}

func (q EventQuery) keeps(app string, e usher.Event) bool {
	return e.App == app &&
		(q.Type == "" || e.Type == q.Type) && (q.Room == "" || e.Room == q.Room) && (q.Who == "" || e.Who == q.Who) &&
		(q.Code == "" || e.Decision != nil && e.Decision.Code == q.Code)
}

// Events returns a page of the record, the cursor after it, and whether there
// may be more already. The cursor stays good, so that what happens later can
// be read from it.
func (a *Access) Events(ctx context.Context, id usher.Identity, q EventQuery) ([]usher.Event, string, bool, error) {
	if err := a.may(ctx, id, policy.ReadRecord, nil); err != nil {
		return nil, "", false, err
	}
	from, err := parsePosition(q.Cursor)
	if err != nil {
		return nil, "", false, err
	}
	events, at, more, err := a.record.read(ctx, from, q.Limit, func(e usher.Event) bool { return q.keeps(id.App, e) })
	return events, at.String(), more, err
}

// Decision returns one event of the record, with the rule that decided.
func (a *Access) Decision(ctx context.Context, id usher.Identity, decision usher.ID) (usher.Event, error) {
	if err := a.may(ctx, id, policy.ReadRecord, nil); err != nil {
		return usher.Event{}, err
	}
	e, err := a.record.find(ctx, decision)
	if err == nil && e.App != id.App {
		return usher.Event{}, errNoDecision
	}
	return e, err
}

// SigningKeys returns our signing keys.
func (a *Access) SigningKeys(ctx context.Context, id usher.Identity) ([]keys.Key, error) {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return nil, err
	}
	return a.config.Keys.List(ctx)
}

// RotateKeys makes the next signing key the current one.
func (a *Access) RotateKeys(ctx context.Context, id usher.Identity) (keys.Key, error) {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return keys.Key{}, err
	}
	return a.config.Keys.Rotate(ctx)
}

// RetireKey stops publishing and accepting a signing key at once.
func (a *Access) RetireKey(ctx context.Context, id usher.Identity, key usher.ID) error {
	if err := a.may(ctx, id, policy.Operate, nil); err != nil {
		return err
	}
	return a.config.Keys.Retire(ctx, key)
}
