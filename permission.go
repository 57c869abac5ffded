package usher

import (
	"fmt"
	"slices"
	"strings"
)

// Permission is one thing that a participant may do in a room.
type Permission string

// The permissions.
const (
	Join          Permission = "join"
	Subscribe     Permission = "subscribe"
	PublishAudio  Permission = "publish_audio"
	PublishVideo  Permission = "publish_video"
	PublishScreen Permission = "publish_screen"
	PublishData   Permission = "publish_data"
	Moderate      Permission = "moderate"
)

// AllPermissions lists every permission in its canonical order.
var AllPermissions = Permissions{Join, Subscribe, PublishAudio, PublishVideo, PublishScreen, PublishData, Moderate}

// Permissions is a set of permissions in canonical order.
type Permissions []Permission

// ParsePermissions reads names into a set, in canonical order and without
// doubles.
func ParsePermissions(names []string) (Permissions, error) {
	var set Permissions
	for _, name := range names {
		if !slices.Contains(AllPermissions, Permission(name)) {
			return nil, fmt.Errorf("unknown permission %q: want one of %s", name, AllPermissions)
		}
		set = append(set, Permission(name))
	}
	return AllPermissions.And(set), nil
}

// Has reports whether p is in the set.
func (ps Permissions) Has(p Permission) bool { return slices.Contains(ps, p) }

// And returns what is in both sets, in the order of ps.
func (ps Permissions) And(other Permissions) Permissions {
	var both Permissions
	for _, p := range ps {
		if other.Has(p) {
			both = append(both, p)
		}
	}
	return both
}

// Within reports whether every permission of ps is also in other.
func (ps Permissions) Within(other Permissions) bool {
	return !slices.ContainsFunc(ps, func(p Permission) bool { return !other.Has(p) })
}

// String joins the names with spaces.
func (ps Permissions) String() string {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = string(p)
	}
	return strings.Join(names, " ")
}

// Role is the name of a set of permissions.
type Role string

// The roles that always exist; a configuration may add others.
const (
	Host    Role = "host"
	Speaker Role = "speaker"
	Viewer  Role = "viewer"
)

// BuiltinRoles are the permissions of the roles that always exist.
func BuiltinRoles() map[Role]Permissions {
	return map[Role]Permissions{
		Host:    slices.Clone(AllPermissions),
		Speaker: {Join, Subscribe, PublishAudio, PublishVideo, PublishScreen, PublishData},
		Viewer:  {Join, Subscribe},
	}
}
