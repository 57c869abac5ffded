package access

import (
	"context"
	"slices"
	"strings"
	"time"

	"usher"
	"usher/internal/keys"
	"usher/internal/policy"
)

// EventQuery selects events of the record.
type EventQuery struct {
	// Cursor is where to go on; empty is the beginning of what is kept or, for
	// the newest first, its end.
	Cursor string
	Limit  int
	// Newest reads backwards: the newest first. A cursor is good for its own
	// direction only.
	Newest bool
	// Type, Room, Who and Code restrict the list, if not empty.
	Type usher.EventType
	Room usher.ID
	Who  string
	Code string
	// Refused restricts it to refusals.
	Refused bool
	// Search restricts it to what has that text, in capitals or not, in the key
	// or name of who it was, what was asked for, or why it was refused.
	Search string
	// Since and Until restrict it to a time; either may be zero.
	Since, Until time.Time
}

func (q EventQuery) keeps(app string, e usher.Event) bool {
	return e.App == app &&
		(q.Type == "" || e.Type == q.Type) && (q.Room == "" || e.Room == q.Room) && (q.Who == "" || e.Who == q.Who) &&
		(q.Code == "" || e.Decision != nil && e.Decision.Code == q.Code) &&
		(!q.Refused || e.Decision != nil && !e.Decision.Allowed) &&
		(q.Since.IsZero() || !e.Time().Before(q.Since)) && (q.Until.IsZero() || !e.Time().After(q.Until)) &&
		(q.Search == "" || q.finds(e))
}

func (q EventQuery) finds(e usher.Event) bool {
	texts := []string{e.Who, e.Name, e.Actor, e.Reason, e.Request, string(e.ID), string(e.Room)}
	if d := e.Decision; d != nil {
		texts = append(texts, d.Action, d.Code, d.Rule)
	}
	return hasText(q.Search, texts...)
}

// hasText reports whether one of the texts has the other in it, in capitals or
// not.
func hasText(search string, texts ...string) bool {
	search = strings.ToLower(search)
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ToLower(text), search) })
}

// eventLooks is how often a page of [Access.Events] reads on while it is empty,
// for what is asked for may be rare: a refusal among what was allowed.
const eventLooks = 10

// Events returns a page of the record, the cursor after it, and whether there
// may be more already. An empty page is not the end if there may be more: it
// looks at a bounded part of the record. The cursor stays good, so that what happens later can
// be read from it.
func (a *Access) Events(ctx context.Context, id usher.Identity, q EventQuery) ([]usher.Event, string, bool, error) {
	if err := a.may(ctx, id, policy.ReadRecord, nil); err != nil {
		return nil, "", false, err
	}
	from, err := parsePosition(q.Cursor, q.Newest)
	if err != nil {
		return nil, "", false, err
	}
	keep := func(e usher.Event) bool { return q.keeps(id.App, e) }
	read := a.record.read
	if q.Newest {
		read = a.record.readBack
		if q.Cursor == "" && !q.Until.IsZero() {
			if from, err = a.record.endOf(ctx, q.Until); err != nil {
				return nil, "", false, err
			}
		}
	}
	var events []usher.Event
	more := true
	for looks := 0; looks < eventLooks && more && len(events) == 0 && err == nil; looks++ {
		events, from, more, err = read(ctx, from, q.Limit, keep)
		if err == nil && more && q.Newest && !q.Since.IsZero() {
			more, err = a.record.reaches(ctx, from, q.Since)
		}
	}
	return events, from.text(q.Newest), more, err
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
