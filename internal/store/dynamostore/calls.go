package dynamostore

import (
	"context"
	"slices"
	"time"

	"usher"
	"usher/internal/store"
)

type calls struct{ db *DB }

var _ store.Calls = calls{}

// The indexes of calls. What is asked for of one person is in a partition of the
// person's.
const (
	slotLive   = "live"
	dueCalls   = "due-calls"
	endedCalls = "ended-calls"
	callNodes  = "call-nodes"

	idOrder     = "id|"
	liveOrder   = "live"
	missedOrder = "missed|"
)

var callKind = kind[usher.Call]{
	key:     func(db *DB, c *usher.Call) key { return callKey(db, c.Key()) },
	fields:  callFields,
	entries: callEntries,
	version: func(c *usher.Call) *int64 { return &c.Version },
}

func callFields(a *archive, c *usher.Call) {
	text(a, "app", &c.App)
	text(a, "id", &c.ID)
	partyFields(a, "caller", &c.Caller)
	partyFields(a, "callee", &c.Callee)
	text(a, "status", &c.Status)
	text(a, "merged", &c.Merged)
	a.flag("request", &c.Request)
	text(a, "payload", &c.Payload)
	texts(a, "ignored", &c.Ignored)
	a.stamp("invitedAt", &c.InvitedAt)
	a.stamp("acceptedAt", &c.AcceptedAt)
	a.stamp("connectedAt", &c.ConnectedAt)
	a.stamp("endedAt", &c.EndedAt)
	text(a, "endedBy", &c.EndedBy)
	text(a, "reason", &c.Reason)
	text(a, "missed", &c.Missed)
	a.stamp("due", &c.Due)
	a.stamp("updatedAt", &c.UpdatedAt)
	number(a, "version", &c.Version)
}

func partyFields(a *archive, prefix string, p *usher.CallParty) {
	text(a, prefix, &p.User)
	text(a, prefix+"Device", &p.Device)
	text(a, prefix+"Connection", &p.Connection)
	text(a, prefix+"Node", &p.Node)
	a.stamp(prefix+"LostAt", &p.LostAt)
}

func callEntries(_ *DB, c *usher.Call) []entry {
	low, high := callsOf(c.App, c.Pair().Low), callsOf(c.App, c.Pair().High)
	list := []entry{
		{slot: "idLow", hash: low, order: idOrder + c.ID},
		{slot: "idHigh", hash: high, order: idOrder + c.ID},
	}
	if c.Merged != "" {
		list = append(list,
			entry{slot: "mergedLow", hash: low, order: idOrder + c.Merged},
			entry{slot: "mergedHigh", hash: high, order: idOrder + c.Merged})
	}
	if c.Missed != "" {
		list = append(list, entry{slot: "missed", hash: callsOf(c.App, c.Callee.User), order: missedOrder + orderOf(c.Missed)})
	}
	name := low + high + c.ID
	due := entry{slot: "due", hash: sharded(dueCalls, name), order: order(c.Due)}
	if !c.Live() {
		due.hash = sharded(endedCalls, name)
	}
	if !c.Due.IsZero() {
		list = append(list, due)
	}
	if !c.Live() {
		return list
	}
	list = append(list,
		entry{slot: slotLive, hash: livePair(c.App, c.Pair()), unique: true},
		entry{slot: "liveLow", hash: low, order: liveOrder},
		entry{slot: "liveHigh", hash: high, order: liveOrder})
	for slot, node := range map[string]usher.ID{"callerNode": c.Caller.Node, "calleeNode": c.Callee.Node} {
		if node != "" {
			list = append(list, entry{slot: slot, hash: sharded(callNodes, name), order: string(node)})
		}
	}
	return list
}

func callKey(db *DB, k usher.CallKey) key {
	return key{db.own, join("calls", k.App, k.Pair.Low, k.Pair.High), k.ID}
}

func callsOf(app, user string) string { return join("calls-of", app, user) }

func livePair(app string, p usher.Pair) string { return join("live-call", app, p.Low, p.High) }

func (s calls) Create(ctx context.Context, c usher.Call) error {
	done, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return callKind.create(ctx, s.db, c)
}

// ordered are the entries of one order in a partition.
func ordered(hash, order string) span {
	return span{hash: hash, low: order + separator, high: order + beyond}
}

func (s calls) Find(ctx context.Context, q store.CallQuery) (usher.Call, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Call{}, err
	}
	defer done()
	found, err := collect(ctx, s.db, callKind, s.db.own, ordered(callsOf(q.App, q.User), idOrder+q.ID), 0, func(c usher.Call) bool {
		return q.ID != "" && (q.Peer == "" || c.Pair() == usher.PairOf(q.User, q.Peer))
	})
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
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Call{}, err
	}
	defer done()
	return byName(ctx, s.db, callKind, s.db.own, livePair(app, pair), slotLive)
}

func (s calls) Active(ctx context.Context, app, user string) ([]usher.Call, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return collect(ctx, s.db, callKind, s.db.own, ordered(callsOf(app, user), liveOrder), 0, nil)
}

func (s calls) Update(ctx context.Context, k usher.CallKey, change func(usher.Call) (usher.Call, error)) (usher.Call, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Call{}, err
	}
	defer done()
	return callKind.change(ctx, s.db, callKey(s.db, k), change)
}

func (s calls) Missed(ctx context.Context, q store.MissedQuery) ([]usher.Call, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	in := span{hash: callsOf(q.App, q.User), low: missedOrder, high: missedOrder + "~", backwards: true}
	if q.From != "" {
		in.high = missedOrder + orderOf(q.From) + beyond
	}
	return collect(ctx, s.db, callKind, s.db.own, in, q.Limit, nil)
}

func (s calls) Due(ctx context.Context, now time.Time, limit int) ([]usher.CallKey, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	fs, err := s.db.overdue(ctx, s.db.own, dueCalls, order(now)+beyond, limit)
	return keysOf(fs, err, callOf)
}

// Stranded may find a call by both of its parties.
func (s calls) Stranded(ctx context.Context, alive []usher.ID, limit int) ([]usher.CallKey, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	fs, err := s.db.elsewhere(ctx, s.db.own, callNodes, alive, limit)
	keys, err := keysOf(fs, err, callOf)
	slices.SortFunc(keys, compareCalls)
	return slices.Compact(keys), err
}

func compareCalls(a, b usher.CallKey) int {
	return slices.Compare([]string{a.App, a.Pair.Low, a.Pair.High, a.ID}, []string{b.App, b.Pair.Low, b.Pair.High, b.ID})
}

func callOf(f found) usher.CallKey {
	return usher.CallKey{App: f.head.text("app"), ID: f.head.text("id"), Pair: usher.PairOf(f.head.text("caller"), f.head.text("callee"))}
}

func (s calls) Sweep(ctx context.Context, now time.Time, limit int) (int, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	fs, err := s.db.overdue(ctx, s.db.own, endedCalls, order(now)+beyond, limit)
	if err != nil {
		return 0, err
	}
	return sweep(ctx, s.db, callKind, fs)
}
