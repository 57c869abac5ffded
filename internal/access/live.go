package access

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

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
	access   *Access
	caller   Caller
	identity atomic.Pointer[usher.Identity]
	out      atomic.Bool
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
	l.identity.Store(&id)
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

// Identity returns who the connection is, by the newest proof.
func (l *Live) Identity() usher.Identity { return *l.identity.Load() }

var errIdentityChanged = usher.Errorf(usher.Forbidden, "identity_changed", "The token is somebody else's; open another connection for them.")

// Renew goes on with a newer proof of the same identity. If that is refused, the
// connection stays what it was by the older one.
func (l *Live) Renew(ctx context.Context, id usher.Identity) error {
	old := l.Identity()
	if id.App != old.App || id.Key() != old.Key() {
		return errIdentityChanged
	}
	l.identity.Store(&id)
	err := l.access.MaySignal(ctx, id)
	if err == nil {
		return nil
	}
	l.identity.Store(&old)
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
