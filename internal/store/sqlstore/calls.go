package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher"
	"usher/internal/store"
)

type calls struct{ db *DB }

var _ store.Calls = calls{}

var callMapping = mapping[usher.Call]{
	table: "calls",
	columns: []string{
		"app", "id", "low", "high",
		"caller", "caller_device", "caller_connection", "caller_node", "caller_lost_at",
		"callee", "callee_device", "callee_connection", "callee_node", "callee_lost_at",
		"status", "merged", "request", "payload", "ignored",
		"invited_at", "accepted_at", "connected_at", "ended_at", "ended_by", "reason",
		"missed", "missed_made", "due", "updated_at", "version",
	},
	keys: 4,
	fields: func(c *usher.Call) []any {
		return slices.Concat(
			[]any{&c.App, &c.ID, discard{}, discard{}}, partyFields(&c.Caller), partyFields(&c.Callee),
			[]any{
				(*string)(&c.Status), &c.Merged, &c.Request, &c.Payload, (*texts)(&c.Ignored),
				stampField{&c.InvitedAt}, stampField{&c.AcceptedAt}, stampField{&c.ConnectedAt}, stampField{&c.EndedAt}, &c.EndedBy, (*string)(&c.Reason),
				(*string)(&c.Missed), discard{}, stampField{&c.Due}, stampField{&c.UpdatedAt}, &c.Version,
			})
	},
	values: func(c *usher.Call) []any {
		pair := c.Pair()
		return slices.Concat(
			[]any{c.App, c.ID, pair.Low, pair.High}, partyValues(c.Caller), partyValues(c.Callee),
			[]any{
				string(c.Status), c.Merged, c.Request, c.Payload, texts(c.Ignored).String(),
				stamp(c.InvitedAt), stamp(c.AcceptedAt), stamp(c.ConnectedAt), stamp(c.EndedAt), c.EndedBy, string(c.Reason),
				string(c.Missed), made(c.Missed), stamp(c.Due), stamp(c.UpdatedAt), c.Version,
			})
	},
	version: func(c *usher.Call) *int64 { return &c.Version },
}

func partyFields(p *usher.CallParty) []any {
	return []any{&p.User, &p.Device, (*string)(&p.Connection), (*string)(&p.Node), stampField{&p.LostAt}}
}

func partyValues(p usher.CallParty) []any {
	return []any{p.User, p.Device, string(p.Connection), string(p.Node), stamp(p.LostAt)}
}

// texts is a list of texts in one column, empty for none.
type texts []string

// String returns the value of the column.
func (ts texts) String() string {
	if len(ts) == 0 {
		return ""
	}
	b, err := json.Marshal([]string(ts))
	if err != nil {
		panic(err) // strings can always be written
	}
	return string(b)
}

// Scan implements [database/sql.Scanner].
func (ts *texts) Scan(v any) error {
	*ts = nil
	text, ok := v.(string)
	switch {
	case !ok:
		return fmt.Errorf("a list is stored as %T", v)
	case text == "":
		return nil
	}
	return json.Unmarshal([]byte(text), (*[]string)(ts))
}

var (
	selectCall       = callMapping.query("WHERE app = $1 AND id = $2 AND low = $3 AND high = $4")
	selectCallInto   = callMapping.query("WHERE app = $1 AND merged = $2 AND merged <> '' AND low = $3 AND high = $4")
	selectCallOf     = callMapping.query("WHERE app = $1 AND id = $2 AND (low = $3 OR high = $3)")
	selectCallIntoOf = callMapping.query("WHERE app = $1 AND merged = $2 AND merged <> '' AND (low = $3 OR high = $3)")
	selectCallLive   = callMapping.query("WHERE app = $1 AND low = $2 AND high = $3 AND status <> 'ended'")
	selectCallsLive  = callMapping.query("WHERE app = $1 AND low = $2 AND status <> 'ended'") + " UNION ALL " +
		callMapping.query("WHERE app = $1 AND high = $2 AND status <> 'ended'")
	selectMissed     = callMapping.query("WHERE app = $1 AND callee = $2 AND missed <> ''")
	orderMissed      = " ORDER BY missed_made DESC, missed DESC LIMIT "
	selectMissedAll  = selectMissed + orderMissed + "$3"
	selectMissedFrom = selectMissed + " AND (missed_made, missed) <= ($3, $4)" + orderMissed + "$5"
)

const (
	selectDueCalls = "SELECT app, id, low, high FROM calls WHERE due <= $1 AND status <> 'ended' ORDER BY due LIMIT $2"
	sweepCalls     = "DELETE FROM calls WHERE rowid IN (SELECT rowid FROM calls WHERE due <= $1 AND status = 'ended' ORDER BY due LIMIT $2)"
)

func callKeyFields(k *usher.CallKey) []any { return []any{&k.App, &k.ID, &k.Pair.Low, &k.Pair.High} }

func (s calls) Create(ctx context.Context, c usher.Call) error {
	return s.db.writer.do(ctx, func(t *tx) error { return callMapping.insert(t, &c) })
}

func (s calls) Find(ctx context.Context, q store.CallQuery) (usher.Call, error) {
	text, args := selectCallOf+" UNION ALL "+selectCallIntoOf, []any{q.App, q.ID, q.User}
	if q.Peer != "" {
		pair := usher.PairOf(q.User, q.Peer)
		text, args = selectCall+" UNION ALL "+selectCallInto, []any{q.App, q.ID, pair.Low, pair.High}
	}
	found, err := all(ctx, s.db.reader, callMapping.fields, text, args...)
	switch {
	case err != nil:
		return usher.Call{}, err
	case len(found) == 0:
		return usher.Call{}, store.ErrNotFound
	}
	best := found[0]
	for _, c := range found[1:] {
		if c.Live() && !best.Live() || c.Live() == best.Live() && c.InvitedAt.After(best.InvitedAt) {
			best = c
		}
	}
	return best, nil
}

func (s calls) Live(ctx context.Context, app string, pair usher.Pair) (usher.Call, error) {
	return one(ctx, s.db.reader, callMapping.fields, selectCallLive, app, pair.Low, pair.High)
}

func (s calls) Active(ctx context.Context, app, user string) ([]usher.Call, error) {
	return all(ctx, s.db.reader, callMapping.fields, selectCallsLive, app, user)
}

func (s calls) Update(ctx context.Context, key usher.CallKey, change func(usher.Call) (usher.Call, error)) (usher.Call, error) {
	return write(ctx, s.db.writer, func(t *tx) (usher.Call, error) {
		old, err := one(context.Background(), t, callMapping.fields, selectCall, key.App, key.ID, key.Pair.Low, key.Pair.High)
		if err != nil {
			return usher.Call{}, err
		}
		next, err := change(old)
		switch {
		case errors.Is(err, store.ErrUnchanged):
			return old, nil
		case err != nil:
			return usher.Call{}, err
		}
		cut(&next.Caller.LostAt, &next.Callee.LostAt, &next.InvitedAt, &next.AcceptedAt, &next.ConnectedAt, &next.EndedAt, &next.Due, &next.UpdatedAt)
		if err := callMapping.update(t, &old, &next); err != nil {
			return usher.Call{}, err
		}
		return next, nil
	})
}

func (s calls) Missed(ctx context.Context, q store.MissedQuery) ([]usher.Call, error) {
	if q.From == "" {
		return all(ctx, s.db.reader, callMapping.fields, selectMissedAll, q.App, q.User, limit(q.Limit))
	}
	return all(ctx, s.db.reader, callMapping.fields, selectMissedFrom, q.App, q.User, made(q.From), string(q.From), limit(q.Limit))
}

func (s calls) Due(ctx context.Context, now time.Time, n int) ([]usher.CallKey, error) {
	return all(ctx, s.db.reader, callKeyFields, selectDueCalls, now.UnixMicro(), limit(n))
}

// Stranded may find a call by both of its parties.
func (s calls) Stranded(ctx context.Context, alive []usher.ID, n int) ([]usher.CallKey, error) {
	const from = "SELECT app, id, low, high FROM calls WHERE status <> 'ended' AND "
	callers, args := otherNodes(from+"caller_node <> ''", "caller_node", alive)
	callees, _ := otherNodes(from+"callee_node <> ''", "callee_node", alive)
	text := strings.Join(append(callers, callees...), " UNION ALL ") + fmt.Sprintf(" LIMIT $%d", len(args)+1)
	keys, err := all(ctx, s.db.reader, callKeyFields, text, append(args, limit(n))...)
	var once []usher.CallKey
	for _, k := range keys {
		if !slices.Contains(once, k) {
			once = append(once, k)
		}
	}
	return once, err
}

func (s calls) Sweep(ctx context.Context, now time.Time, n int) (int, error) {
	return write(ctx, s.db.writer, func(t *tx) (int, error) { return t.affect(sweepCalls, now.UnixMicro(), limit(n)) })
}
