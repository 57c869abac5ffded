package access

import (
	"usher/internal/limit"
	"usher/internal/platform"
	"usher/internal/policy"
)

// InForce is what can change while a server runs.
type InForce struct {
	Policy    policy.Config
	Limits    limit.Config
	Platforms map[string]platform.Platform
}

// Fits reports whether platforms can take the place of those that are there: they
// must be as many, of the same names, and able to do the same.
func (a *Access) Fits(platforms map[string]platform.Platform) bool {
	current := a.platforms()
	if len(platforms) != len(current) {
		return false
	}
	for name, p := range platforms {
		if was, known := current[name]; !known || !abilitiesOf(was).same(abilitiesOf(p)) {
			return false
		}
	}
	return true
}

// Change puts something else in the place of what is in force, for all that is
// asked from now on. The platforms must fit.
func (a *Access) Change(next InForce) {
	a.policy.Store(policy.New(next.Policy))
	a.limits.set(next.Limits)
	a.media.Store(&next.Platforms)
	for name, at := range a.abroad.reach {
		at.can.Store(abilitiesOf(next.Platforms[name]))
	}
}

// platforms are the platforms in force, by name.
func (a *Access) platforms() map[string]platform.Platform { return *a.media.Load() }
