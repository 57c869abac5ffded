package access

import (
	"context"

	"usher"
	"usher/internal/identity"
	"usher/internal/policy"
)

// Authenticator returns an authenticator that asks next, and refuses whoever
// presents what was revoked: also on calls that need no decision, such as the
// question who is calling.
func (a *Access) Authenticator(next identity.Authenticator) identity.Authenticator {
	return authenticator{a, next}
}

type authenticator struct {
	access *Access
	next   identity.Authenticator
}

var _ identity.Authenticator = authenticator{}

// Authenticate implements [identity.Authenticator].
func (d authenticator) Authenticate(ctx context.Context, p identity.Proof) (usher.Identity, error) {
	id, err := d.next.Authenticate(ctx, p)
	if err != nil {
		return usher.Identity{}, err
	}
	if err := d.access.refuseRevoked(ctx, id); err != nil {
		return usher.Identity{}, err
	}
	return id, nil
}

// refuseRevoked refuses an identity whose proof was revoked.
func (a *Access) refuseRevoked(ctx context.Context, id usher.Identity) error {
	if _, void := a.taken.fromIdentity(id, a.now()); !void {
		return nil
	}
	// It is decided like everything else, so that it can be explained.
	return a.may(ctx, id, policy.Authenticate, nil)
}
