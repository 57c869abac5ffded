package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"usher"
)

// Config is what an operator can say about the policy.
type Config struct {
	Lifetime    time.Duration       `yaml:"lifetime" doc:"How long a place in a room can be used by who asks for no time."`
	MaxLifetime time.Duration       `yaml:"maxLifetime" doc:"The longest that anyone gets, whatever is asked for."`
	Excess      Excess              `yaml:"excess" doc:"What becomes of a request for more than is allowed: clamp gives what is allowed and says so, refuse gives nothing."`
	Admission   usher.Admission     `yaml:"admission" doc:"Who may enter a room that does not say: open (every known user), members, or invite."`
	OpenRole    usher.Role          `yaml:"openRole" doc:"The role of users in an open room who are not members of it."`
	Roles       map[string][]string `yaml:"roles" doc:"Further roles, each a list of permissions: join, subscribe, publish_audio, publish_video, publish_screen, publish_data, moderate."`
}

// Excess is what becomes of a request for more than is allowed.
type Excess string

// The ways to treat excess.
const (
	Clamp  Excess = "clamp"
	Refuse Excess = "refuse"
)

// DefaultConfig returns the values in force where a configuration is silent.
func DefaultConfig() Config {
	return Config{
		Lifetime: 6 * time.Hour, MaxLifetime: 24 * time.Hour, Excess: Clamp,
		Admission: usher.AdmitMembers, OpenRole: usher.Speaker,
	}
}

// Validate returns what is wrong with the configuration, field by field.
func (c Config) Validate() []usher.FieldProblem {
	var problems []usher.FieldProblem
	add := func(field, format string, args ...any) {
		problems = append(problems, usher.FieldProblem{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	if c.Lifetime < time.Second {
		add("lifetime", "must be at least 1s")
	}
	if c.MaxLifetime < c.Lifetime {
		add("maxLifetime", "must not be shorter than lifetime")
	}
	if c.Excess != Clamp && c.Excess != Refuse {
		add("excess", "must be clamp or refuse")
	}
	switch c.Admission {
	case usher.AdmitOpen, usher.AdmitMembers, usher.AdmitInvite:
	default:
		add("admission", "must be open, members or invite")
	}
	roles := usher.BuiltinRoles()
	for _, name := range slices.Sorted(maps.Keys(c.Roles)) {
		if _, builtin := roles[usher.Role(name)]; builtin {
			add("roles."+name, "is a role that always exists; choose another name")
			continue
		}
		permissions, err := usher.ParsePermissions(c.Roles[name])
		if err != nil {
			add("roles."+name, "%s", err)
		}
		roles[usher.Role(name)] = permissions
	}
	if _, known := roles[c.OpenRole]; !known {
		add("openRole", "is not a role")
	}
	slices.SortFunc(problems, func(a, b usher.FieldProblem) int { return cmp.Compare(a.Field, b.Field) })
	return problems
}
