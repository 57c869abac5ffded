package access

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"usher"
	"usher/internal/platform"
	"usher/internal/policy"
)

// OpenRoom makes a room on a platform where rooms must be made before use, and
// returns the platform's own answer.
func (a *Access) OpenRoom(ctx context.Context, id usher.Identity, name string) (platform.Opened, error) {
	if err := a.may(ctx, id, policy.OpenMeeting, nil); err != nil {
		return platform.Opened{}, err
	}
	opener, ok := a.platforms()[name].(platform.RoomOpener)
	if !ok {
		return platform.Opened{}, errNoPlatform(name)
	}
	return opener.Open(ctx)
}

// Issue has a platform mint a credential for a room there.
func (a *Access) Issue(ctx context.Context, id usher.Identity, name, roomRef string) (usher.Credential, error) {
	d, err := a.decide(ctx, id, ask{action: policy.EnterMeeting})
	if err != nil {
		return usher.Credential{}, err
	}
	p, ok := a.platforms()[name]
	if !ok {
		return usher.Credential{}, errNoPlatform(name)
	}
	grant := usher.Grant{
		ID: d.id, Identity: id, Room: roomRef,
		Permissions: d.Permissions, NotBefore: d.NotBefore, Expires: d.Expires,
	}
	c, err := p.Issue(ctx, platform.Request{Grant: grant})
	if err != nil {
		return usher.Credential{}, fmt.Errorf("access: issue: %w", err)
	}
	return c, nil
}

func errNoPlatform(name string) error {
	return usher.Errorf(usher.NotFound, "platform_not_configured", "The platform %s is not configured on this server.", name)
}

// PlatformNames returns the names of the configured platforms, in order.
func (a *Access) PlatformNames() []string {
	return slices.Sorted(maps.Keys(a.platforms()))
}
