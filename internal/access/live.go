package access

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"usher"
)

// Caller is a transport's end of a [Live]. Its method is called from other
// goroutines, must not block, and may be called before Connect has returned and
// after the connection has ended.
type Caller interface {
	// Detached says that what proves the identity was taken away: the connection
	// must be closed.
	Detached(End)
}

// Live is a live connection of an identity, which is in no room by it. It is
// put out when the identity, its token, or the client that answers for it is
// revoked.
type Live struct {
	access *Access
	caller Caller
	bearer atomic.Pointer[bearer]
	out    atomic.Bool
}

// bearer is an identity as it is kept for a connection, of which there are many:
// in a third of the memory, for what most have in common is kept once.
type bearer struct {
	common               unique.Handle[common]
	subject, name, email string
	issued, expires      time.Time
	more                 *memberships
}

type common struct {
	app                               string
	kind                              usher.IdentityKind
	issuer, actor, on, inviter, proof string
	room                              usher.ID
	role                              usher.Role
	operator                          bool
}

// memberships are what most identities have none of.
type memberships struct {
	groups []string
	scopes usher.Scopes
}

func newBearer(id usher.Identity) *bearer {
	b := &bearer{
		common: unique.Make(common{
			app: id.App, kind: id.Kind, issuer: id.Issuer, actor: id.Actor, on: id.For, inviter: id.Inviter, proof: id.Proof,
			room: id.Room, role: id.Role, operator: id.Operator,
		}),
		subject: id.Subject, name: id.Name, email: id.Email, issued: id.IssuedAt, expires: id.Expires,
	}
	if id.Groups != nil || id.Scopes != nil {
		b.more = &memberships{id.Groups, id.Scopes}
	}
	return b
}

func (b *bearer) identity() usher.Identity {
	c := b.common.Value()
	id := usher.Identity{
		App: c.app, Kind: c.kind, Issuer: c.issuer, Subject: b.subject, Name: b.name, Email: b.email,
		Actor: c.actor, For: c.on, Inviter: c.inviter, IssuedAt: b.issued, Expires: b.expires, Proof: c.proof,
		Room: c.room, Role: c.role, Operator: c.operator,
	}
	if b.more != nil {
		id.Groups, id.Scopes = b.more.groups, b.more.scopes
	}
	return id
}

// lives are all live connections of identities on this node.
type lives struct {
	mu  sync.Mutex
	all map[*Live]struct{}
}

// Connect registers a live connection, and then asks whether the identity may
// have one, so that a revocation that commits meanwhile finds it. It must be
// ended with [Live.End].
func (a *Access) Connect(ctx context.Context, id usher.Identity, caller Caller) (*Live, error) {
	l := &Live{access: a, caller: caller}
	l.bearer.Store(newBearer(id))
	a.lives.mu.Lock()
	if a.lives.all == nil {
		a.lives.all = make(map[*Live]struct{})
	}
	a.lives.all[l] = struct{}{}
	a.lives.mu.Unlock()
	if err := a.MaySignal(ctx, id); err != nil {
		l.End()
		return nil, err
	}
	return l, nil
}

// Expires returns when the newest proof ends; zero is never.
func (l *Live) Expires() time.Time { return l.bearer.Load().expires }

// Resume returns a live connection that was let in before, by another process
// perhaps. It is not registered: whoever serves it asks [Access.Revoked] each time.
func (a *Access) Resume(id usher.Identity, caller Caller) *Live {
	l := &Live{access: a, caller: caller}
	l.bearer.Store(newBearer(id))
	return l
}

// Revoked reports whether what proves an identity was taken away, and what to
// tell of it.
func (a *Access) Revoked(id usher.Identity) (reason string, revoked bool) {
	t, revoked := a.taken.fromIdentity(id, a.now())
	if !revoked {
		return "", false
	}
	return reasonOf(t), true
}

// Identity returns who the connection is, by the newest proof.
func (l *Live) Identity() usher.Identity { return l.bearer.Load().identity() }

var errIdentityChanged = usher.Errorf(usher.Forbidden, "identity_changed", "The token is somebody else's; open another connection for them.")

// Renew goes on with a newer proof of the same identity. If that is refused, the
// connection stays what it was by the older one.
func (l *Live) Renew(ctx context.Context, id usher.Identity) error {
	old := l.Identity()
	if id.App != old.App || id.Key() != old.Key() {
		return errIdentityChanged
	}
	l.bearer.Store(newBearer(id))
	err := l.access.MaySignal(ctx, id)
	if err == nil {
		return nil
	}
	l.bearer.Store(newBearer(old))
	if usher.AsError(err).Kind == usher.Unauthenticated {
		l.detach(End{Revoked, usher.AsError(err).Message})
	} else if t, void := l.access.taken.fromIdentity(old, l.access.now()); void { // meanwhile
		l.detach(End{Revoked, reasonOf(t)})
	}
	return err
}

// End says that the connection is no more.
func (l *Live) End() {
	l.access.lives.mu.Lock()
	defer l.access.lives.mu.Unlock()
	delete(l.access.lives.all, l)
}

// detach tells the connection to close, once.
func (l *Live) detach(end End) {
	if l.out.CompareAndSwap(false, true) {
		l.caller.Detached(end)
	}
}

// putOutLives detaches every connection of an identity of which the proof is void.
func (a *Access) putOutLives() {
	a.lives.mu.Lock()
	all := slices.Collect(maps.Keys(a.lives.all))
	a.lives.mu.Unlock()
	now := a.now()
	for _, l := range all {
		if t, ok := a.taken.fromIdentity(l.Identity(), now); ok {
			l.detach(End{Revoked, reasonOf(t)})
		}
	}
}

// Person returns the user of a key. Nobody is asked whether they may know: it is
// for those who serve connections.
func (a *Access) Person(ctx context.Context, app, key string) (usher.User, error) {
	return a.contacts.User(ctx, app, key)
}
