package access

import (
	"context"
	"fmt"
	"sync"
	"time"

	"usher"
)

// taken is what has been taken away, in memory: folded from the sequence in
// the store, so that every mint, claim and connection can be held against it
// without asking anybody.
type taken struct {
	mu sync.RWMutex
	// seq is the last number of the sequence that is folded in.
	seq  int64
	void map[target]*voided
	bans map[banKey]*exclusion
	// changes are since when connections know what an identity may do.
	changes map[banKey]time.Time
}

// target is one thing that a revocation can name, of an app.
type target struct{ kind, app, name string }

// voided is what all revocations of one target come to.
type voided struct {
	before  time.Time
	forever bool
	// by is the revocation that took the most: one for good, or else the one that
	// reaches the farthest.
	by usher.Taking
}

type banKey struct {
	room     usher.RoomKey
	identity string
}

// exclusion is what all bans of one identity from one room come to.
type exclusion struct {
	ban    usher.Taking // the last one
	lifted bool
	// before voids the places that were made earlier, also when no ban is in
	// force any more.
	before time.Time
}

func (e *exclusion) inForce(now time.Time) bool {
	return !e.lifted && (e.ban.Until.IsZero() || now.Before(e.ban.Until))
}

// voids reports whether a place that was made at that time is void: nothing
// that was made before a ban ended comes back with its end.
func (e *exclusion) voids(made, now time.Time) bool {
	return e.inForce(now) || made.Before(e.before) || !e.lifted && made.Before(e.ban.Until)
}

func newTaken() *taken {
	return &taken{void: make(map[target]*voided), bans: make(map[banKey]*exclusion), changes: make(map[banKey]time.Time)}
}

// String names the target in the record.
func (t target) String() string { return t.app + "/" + t.name }

func targetOf(app string, t usher.Target) target {
	switch {
	case t.Grant != "":
		return target{"grant", app, string(t.Grant)}
	case t.Identity != "":
		return target{"identity", app, t.Identity}
	case t.Client != "":
		return target{"client", app, string(t.Client)}
	default:
		return target{"room", app, string(t.Room)}
	}
}

// apply folds one entry in, and reports whether it was new.
func (k *taken) apply(t usher.Taking) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t.Seq <= k.seq {
		return false
	}
	k.seq = t.Seq
	key := banKey{usher.RoomKey{App: t.App, ID: t.Target.Room}, t.Target.Identity}
	switch t.Kind {
	case usher.Ban:
		k.excluded(key).exclude(t)
	case usher.Unban:
		e := k.excluded(key)
		e.lifted, e.before = true, latest(e.before, t.At())
	case usher.Change:
		k.changes[key] = latest(k.changes[key], t.At())
	case usher.Revocation:
		name := targetOf(t.App, t.Target)
		v := k.void[name]
		if v == nil {
			v = &voided{}
			k.void[name] = v
		}
		if !v.forever && (t.Forever || !t.Before.Before(v.before)) {
			v.by = t
		}
		v.before = latest(v.before, t.Before)
		v.forever = v.forever || t.Forever
	}
	return true
}

// excluded returns what the bans of a key come to. The caller holds k.mu.
func (k *taken) excluded(key banKey) *exclusion {
	e := k.bans[key]
	if e == nil {
		e = &exclusion{}
		k.bans[key] = e
	}
	return e
}

// exclude folds one more ban in.
func (e *exclusion) exclude(t usher.Taking) {
	e.ban, e.lifted, e.before = t, false, latest(e.before, t.At())
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// revoked reports whether something that was issued to, by, or in the target
// at that time is void.
func (k *taken) revoked(name target, issued time.Time) (usher.Taking, bool) {
	v := k.void[name]
	if v == nil || !v.forever && !issued.Before(v.before) {
		return usher.Taking{}, false
	}
	return v.by, true
}

// issued is a target, and when what is held against it was issued.
type issued struct {
	target target
	at     time.Time
}

// any returns what voids one of them. The caller holds k.mu.
func (k *taken) any(list []issued) (usher.Taking, bool) {
	for _, i := range list {
		if t, ok := k.revoked(i.target, i.at); ok {
			return t, true
		}
	}
	return usher.Taking{}, false
}

// fromIdentity reports whether what proves an identity is void. Whoever acts
// on the machine itself proves it by being there.
func (k *taken) fromIdentity(id usher.Identity, now time.Time) (usher.Taking, bool) {
	if !id.Known() || id.Kind == usher.LocalIdentity {
		return usher.Taking{}, false
	}
	since := id.IssuedAt
	if id.Actor != "" {
		since = now // it is the back end's word, given now
	}
	self := id.Key()
	list := append(make([]issued, 0, 5), issued{target{"identity", id.App, self}, since})
	for _, key := range []string{self, id.Actor, id.Inviter} {
		if client, ok := clientOf(key); ok {
			list = append(list, issued{target{"client", id.App, client}, id.IssuedAt})
		}
	}
	if id.Kind == usher.GuestIdentity {
		list = append(list, issued{target{"room", id.App, string(id.Room)}, id.IssuedAt})
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.any(list)
}

// clientOf returns the client's id in an identity's key.
func clientOf(key string) (string, bool) {
	const prefix = string(usher.ClientIdentity) + ":"
	if len(key) > len(prefix) && key[:len(prefix)] == prefix {
		return key[len(prefix):], true
	}
	return "", false
}

// fromParticipant reports whether a participant's place is void: its grant,
// whoever it is for, whoever made it, its room, or by a ban.
func (k *taken) fromParticipant(p usher.Participant, now time.Time) (usher.Taking, bool) {
	// A place that was decided on before something was taken is older than that,
	// even if it was written down after.
	made := p.CreatedAt()
	if decided := p.Grant.Time(); !decided.IsZero() {
		made = earliest(made, decided)
	}
	own, proven := made, earliest(made, p.ProvenAt)
	if p.Maker == p.Identity || isGuest(p.Identity) {
		own = proven
	}
	list := []issued{
		{target{"grant", p.App, string(p.Grant)}, made},
		{target{"identity", p.App, p.Identity}, own},
		{target{"room", p.App, string(p.Room)}, made},
	}
	if isGuest(p.Identity) {
		list = append(list, issued{target{"room", p.App, string(p.Room)}, proven})
	}
	if client, ok := clientOf(p.Maker); ok {
		list = append(list, issued{target{"client", p.App, client}, proven})
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if t, ok := k.any(list); ok {
		return t, true
	}
	if e := k.bans[banKey{p.RoomKey(), p.Identity}]; e != nil && p.Identity != "" && e.voids(made, now) {
		return e.ban, true
	}
	return usher.Taking{}, false
}

// fromInvite reports whether the code of an invite is void: its room, or
// whoever made it, also by a ban from the room.
func (k *taken) fromInvite(i usher.Invite, now time.Time) bool {
	list := []issued{
		{target{"room", i.App, string(i.Room)}, i.CreatedAt()},
		{target{"identity", i.App, i.By}, i.CreatedAt()},
	}
	if client, ok := clientOf(i.By); ok {
		list = append(list, issued{target{"client", i.App, client}, i.CreatedAt()})
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if _, void := k.any(list); void {
		return true
	}
	e := k.bans[banKey{usher.RoomKey{App: i.App, ID: i.Room}, i.By}]
	return e != nil && e.voids(i.CreatedAt(), now)
}

// closed reports whether nothing can be issued any more to, by or in a target.
func (k *taken) closed(name target, now time.Time) (usher.Taking, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.revoked(name, now)
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// ban returns the ban of an identity from a room that is in force.
func (k *taken) ban(room usher.RoomKey, identity string, now time.Time) (usher.Taking, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	e := k.bans[banKey{room, identity}]
	if e == nil || identity == "" || !e.inForce(now) {
		return usher.Taking{}, false
	}
	return e.ban, true
}

// bansOf returns the bans in force in a room.
func (k *taken) bansOf(room usher.RoomKey, now time.Time) []usher.Taking {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var bans []usher.Taking
	for key, e := range k.bans {
		if key.room == room && e.inForce(now) {
			bans = append(bans, e.ban)
		}
	}
	return bans
}

// last returns the number up to which the sequence is folded in.
func (k *taken) last() int64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.seq
}

// How the sequence is followed: more often than once a second, since a bus may
// lose the message that says there is news.
const (
	followEvery = 500 * time.Millisecond
	followBatch = 500
	takenNews   = "taken"
)

// catchUp folds in what is new in the sequence, and puts out of every room
// whomever it concerns.
func (a *Access) catchUp(ctx context.Context) error {
	a.following.Lock()
	defer a.following.Unlock()
	for {
		news, err := a.config.Store.Takings().After(ctx, a.taken.last(), followBatch)
		if err != nil {
			return fmt.Errorf("access: follow what was taken: %w", err)
		}
		changed := false
		for _, t := range news {
			if a.taken.apply(t) {
				changed = true
				a.reviewTaken(t)
			}
		}
		if changed {
			a.putOut()
			a.putOutLives()
		}
		if len(news) < followBatch {
			return nil
		}
	}
}

// follow catches up until ctx ends.
func (a *Access) follow(ctx context.Context) {
	wake := make(chan struct{}, 1)
	unsubscribe := a.config.Bus.Subscribe(takenNews, func([]byte) {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	defer unsubscribe()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-wake:
		}
		if err := a.catchUp(ctx); err != nil && ctx.Err() == nil {
			a.config.Logger.Error("following what was taken away failed; it is tried again", "error", err)
		}
	}
}

// putOut detaches every connection on this node whose place is void.
func (a *Access) putOut() {
	now := a.now()
	for _, h := range a.openHalls() {
		h.endVisits(now)
		for _, at := range h.some(func(at *Attachment) bool { return at.place.Load() != nil }) {
			if t, ok := a.taken.fromParticipant(*at.place.Load(), now); ok {
				at.detach(End{Revoked, reasonOf(t)})
			}
		}
	}
}

func reasonOf(t usher.Taking) string {
	if t.Reason != "" {
		return t.Reason
	}
	return "Your access was taken away."
}

// take writes down that something is taken away, and sees to it on this node
// before it returns.
func (a *Access) take(ctx context.Context, t usher.Taking) (usher.Taking, error) {
	t.ID = a.config.IDs.New()
	t, err := a.config.Store.Takings().Append(ctx, t)
	if err != nil {
		return t, fmt.Errorf("access: take: %w", err)
	}
	// It is committed, and would be obeyed within a second anyway; the caller
	// is told only once it is obeyed here.
	if err := a.catchUp(context.WithoutCancel(ctx)); err != nil {
		return t, err
	}
	a.config.Bus.Publish(takenNews, nil)
	a.tell(ctx, usher.Event{Type: usher.Taken, App: t.App, Who: t.By, Room: t.Target.Room,
		Reason: fmt.Sprintf("%s %s of %s: %s", t.Kind, t.ID, targetOf(t.App, t.Target), t.Reason)})
	return t, nil
}
