package signaling

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"usher"
	"usher/internal/call"
	"usher/internal/store"
)

// turn is one event of a gateway, and what is read of the store for it. Its
// methods that a hub calls may be called on nil, and then do nothing: where
// connections are sockets of this process there is none.
//
// What was queued for a connection is sent when the turn asks whether it
// arrives, or settles; what turns out by that is settled likewise.
type turn struct {
	*Remote
	ctx context.Context
	hub *Hub
	// endpoint is where the gateway takes what is sent to connections of which
	// that is not written down; empty where the event does not say.
	endpoint string
	// making is the connection that is just being made, if one is, to which nothing
	// can be sent.
	making string
	// message names the message that is handled.
	message string

	mu    sync.Mutex
	users map[userKey]*user
	// rows are what was read of the connections of users, and conns all of them
	// that may be sent to.
	rows  map[userKey][]usher.Attachment
	conns []*posted
	// err is the first failure of the store.
	err error
	// over are connections that turned out not to be there, and told is what people
	// are told of whom.
	over []usher.Attachment
	told map[userKey]status
}

// longAgo is since when devices could come back to a gateway: it never restarts
// with us.
var longAgo = time.Unix(0, 0).UTC()

// turn begins to serve an event.
func (r *Remote) turn(ctx context.Context) *turn {
	t := &turn{
		Remote: r, ctx: ctx, users: make(map[userKey]*user), rows: make(map[userKey][]usher.Attachment), told: make(map[userKey]status),
	}
	h := &Hub{
		Deps: r.Deps, config: r.config, pending: early{t}, failed: r.failed, strangers: r.strangers, metrics: r.metrics,
		tend: newTender(), turn: t,
	}
	h.calls = call.New(r.calls, call.Deps{
		Store: r.Deps.Calls, IDs: r.IDs, Now: r.Now, Logger: r.Logger, Started: longAgo, Changed: h.callChanged,
	})
	t.hub = h
	return t
}

// fail notes that the store could not be read or written.
func (t *turn) fail(what string, err error) {
	t.Logger.Error(what, "error", err)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = cmp.Or(t.err, err)
}

// failure returns why what was asked of the store may not be true.
func (t *turn) failure() error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// again reports whether the message that is handled was handled before.
func (t *turn) again() bool {
	if t == nil || t.message == "" {
		return false
	}
	now := t.Now()
	_, err := t.Once.Put(t.ctx, now, store.Mark{Name: "message:" + t.message, Expires: now.Add(repeatWithin)})
	if err != nil && !errors.Is(err, store.ErrExists) {
		t.fail("it could not be noted that a message came", err)
	}
	return errors.Is(err, store.ErrExists)
}

// repeatWithin is for how long it is known that a message came.
const repeatWithin = 10 * time.Minute

// user returns a user with the connections that the store has.
func (t *turn) user(key userKey) *user {
	t.mu.Lock()
	u, known := t.users[key]
	t.mu.Unlock()
	if known {
		return u
	}
	rows, err := t.Attachments.Of(t.ctx, key.app, key.key)
	if err != nil {
		t.fail("a user's connections could not be read", err)
		return nil
	}
	return t.seat(key, rows)
}

// seat makes a user of connections that were read.
func (t *turn) seat(key userKey, rows []usher.Attachment) *user {
	issuer := issuerOf(key.key)
	u := &user{hub: t.hub, userKey: key, issuer: issuer, id: usher.UserID(issuer, key.key)}
	now := t.Now()
	var conns []*posted
	for _, row := range rows {
		if row.ID != "" && !row.There(now) {
			t.gone(row)
			continue
		}
		s := &session{hub: t.hub, user: u, handle: row.Connection, away: row.Away}
		s.live = t.Access.Resume(row.Who, s)
		conn := &posted{turn: t, row: row}
		conns = append(conns, conn)
		s.link = &link{hub: t.hub, conn: conn, id: row.ID, session: s}
		if err := t.void(row.Who, now); row.ID != "" && err != nil {
			s.link.refuse(&envelope{}, err)
			continue
		}
		u.sessions = append(u.sessions, s)
		u.name, u.email = row.Who.Name, row.Who.Email
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users[key], t.rows[key], t.conns = u, rows, append(t.conns, conns...)
	return u
}

// issuerOf returns the issuer in the key of a user.
func issuerOf(key string) string {
	issuer, _, found := strings.Cut(strings.TrimPrefix(key, string(usher.UserIdentity)+":"), "#")
	if !found {
		return ""
	}
	return issuer
}

// void returns why what proves an identity does not any more, if it does not.
func (t *turn) void(id usher.Identity, now time.Time) error {
	if reason, revoked := t.Access.Revoked(id); revoked {
		return usher.Errorf(usher.Forbidden, "revoked", "%s", reason)
	}
	if !id.Expires.IsZero() && !now.Before(id.Expires) {
		return errExpired
	}
	return nil
}

var errExpired = usher.Errorf(usher.Unauthenticated, "token_expired", "The token has expired; connect again with a new one.")

// speaker returns the session of a connection that has said something, or nil if
// it may say nothing. Whatever waited for it is sent first.
func (t *turn) speaker(e Event) (*session, error) {
	rows, err := t.Attachments.Of(t.ctx, e.App, e.User)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(rows, func(a usher.Attachment) bool { return a.Connection == e.Connection })
	if i < 0 {
		return nil, nil
	}
	if rows[i].ID == "" {
		// Somebody else's program let it in, and only that knows who it is.
		t.gone(rows[i])
		return nil, nil
	}
	row, held, err := t.prolong(rows[i])
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rows[i] = row
	for _, s := range t.seat(userKey{e.App, e.User}, rows).sessions {
		if s.handle == e.Connection {
			s.link.conn.(*posted).queue = held
			return s, nil
		}
	}
	return nil, nil
}

// prolong notes that something was heard of a connection, or has reached it, and
// takes what waited for it.
func (t *turn) prolong(row usher.Attachment) (_ usher.Attachment, held [][]byte, err error) {
	now := t.Now()
	if row.Made && len(row.Held) == 0 && now.Sub(row.SeenAt) < prolongAfter {
		return row, nil, nil
	}
	row, err = t.Attachments.Update(t.ctx, row.AttachmentKey, func(a usher.Attachment) (usher.Attachment, error) {
		held = nil
		if a.ID != row.ID {
			return a, store.ErrNotFound // another one by now
		}
		held = a.Held
		a.Made, a.Held, a.SeenAt = true, nil, now
		a.Due, a.UpdatedAt = t.due(a), now
		return a, nil
	})
	return row, held, err
}

// prolongAfter is how old what is known of a connection may be, so that not each
// of its messages writes.
const prolongAfter = time.Minute

// due is when a connection is over of which nothing more is heard: API Gateway
// would have closed it by then, as idle or for its age.
func (t *turn) due(a usher.Attachment) time.Time {
	due := a.SeenAt.Add(t.config.Idle)
	if t.config.Lifetime > 0 && a.ID.Time().Add(t.config.Lifetime).Before(due) {
		due = a.ID.Time().Add(t.config.Lifetime)
	}
	return due.Add(prolongAfter)
}

// keep writes down what has changed of a session; where that is in memory there
// is nothing to do.
func (h *Hub) keep(s *session, change func(*usher.Attachment)) error {
	t := h.turn
	if t == nil {
		return nil
	}
	conn := s.link.conn.(*posted)
	before := conn.row
	row, err := t.Attachments.Update(t.ctx, conn.row.AttachmentKey, func(a usher.Attachment) (usher.Attachment, error) {
		before = a
		change(&a)
		a.UpdatedAt = t.Now()
		return a, nil
	})
	if err != nil {
		return err
	}
	conn.row = row
	if before.Away != row.Away {
		t.moved(s.user.userKey, func(rows []usher.Attachment) []usher.Attachment {
			return append(without(rows, row), before)
		})
	}
	return nil
}

// connected tells people of a connection that was noted, and the connection of
// what rings.
func (t *turn) connected(row usher.Attachment) {
	key := userKey{row.App, row.User}
	// Of two that come at once the older one counts as first, whoever sees which.
	t.moved(key, func(rows []usher.Attachment) []usher.Attachment {
		return slices.DeleteFunc(rows, func(a usher.Attachment) bool { return !older(a.ID, row.ID) })
	})
	u := t.user(key)
	if u == nil {
		return
	}
	for _, s := range u.sessions {
		if s.handle == row.Connection {
			t.hub.deviceThere(s, s.link)
		}
	}
}

// older reports whether an id was made before another, by an order that all
// agree on.
func older(a, b usher.ID) bool {
	return cmp.Or(a.Time().Compare(b.Time()), cmp.Compare(a, b)) < 0
}

// ended forgets a connection, if it is still known and, where that has an ID, the
// same, and tells people of it.
func (t *turn) ended(row usher.Attachment) {
	t.forget(row.AttachmentKey, func(a usher.Attachment) bool { return row.ID == "" || a.ID == row.ID })
}

// lapsed does the same for a connection of which nothing was heard in time.
func (t *turn) lapsed(key usher.AttachmentKey) {
	now := t.Now()
	t.forget(key, func(a usher.Attachment) bool { return !a.There(now) })
}

func (t *turn) forget(key usher.AttachmentKey, whether func(usher.Attachment) bool) {
	kept := false
	old, err := t.Attachments.Update(t.ctx, key, func(a usher.Attachment) (usher.Attachment, error) {
		if kept = !whether(a); kept {
			return a, store.ErrUnchanged
		}
		return a, store.ErrDelete
	})
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && kept:
		return
	case err != nil:
		t.fail("a connection that is over could not be forgotten", err)
		return
	case old.ID == "":
		return // nobody counted as there by it
	}
	t.metrics.connections.Dec()
	device := call.Device{App: old.App, User: old.User, ID: old.Connection, Connection: old.ID}
	if err := t.hub.calls.Lose(t.ctx, device); err != nil {
		t.fail("the end of a connection was not written down for its calls", err)
	}
	old.Due = t.Now().Add(time.Second) // until now somebody counted as there by it
	t.moved(userKey{old.App, old.User}, func(rows []usher.Attachment) []usher.Attachment { return append(rows, old) })
}

func without(rows []usher.Attachment, row usher.Attachment) []usher.Attachment {
	return slices.DeleteFunc(rows, func(a usher.Attachment) bool { return a.Connection == row.Connection })
}

// readCalls reads the calls of a user, once.
func (t *turn) readCalls(u *user) {
	if t == nil || !u.isPerson() {
		return
	}
	u.load.Do(func() {
		calls, err := t.hub.calls.Current(t.ctx, u.app, u.key)
		if err != nil {
			t.fail("a user's calls could not be read", err)
			return
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		for _, c := range calls {
			u.keepCall(c)
		}
	})
}

// readAtOnce is how many users' connections are read, and how many connections
// are sent to, at a time.
const readAtOnce = 16

// attachmentsOf reads the connections of users.
func (t *turn) attachmentsOf(ctx context.Context, app string, keys []string) ([][]usher.Attachment, error) {
	all, errs := make([][]usher.Attachment, len(keys)), make([]error, len(keys))
	atOnce(len(keys), func(i int) { all[i], errs[i] = t.Attachments.Of(ctx, app, keys[i]) })
	return all, errors.Join(errs...)
}

// atOnce calls f for each number below n, for some of them at a time.
func atOnce(n int, f func(int)) {
	var wg sync.WaitGroup
	free := make(chan struct{}, readAtOnce)
	for i := range n {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			f(i)
		})
	}
	wg.Wait()
}
