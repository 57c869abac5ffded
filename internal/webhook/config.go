package webhook

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"usher"
)

// Config is one target: who is told of which events.
type Config struct {
	Name         string        `yaml:"name" doc:"What the target is called here: lower-case letters, digits and hyphens. What it has been told is remembered under this name, also while it is not configured."`
	URL          string        `yaml:"url" doc:"Where events are posted to. It belongs into no log, but is no secret either: put nothing into it that lets anybody in."`
	Secret       usher.Secret  `yaml:"secret" doc:"What the posts are signed with: whsec_ and 24 to 64 random bytes in base64, as usher webhook secret makes it."`
	FormerSecret usher.Secret  `yaml:"formerSecret" doc:"A second secret that the posts are signed with, too, while the target changes from the one to the other."`
	Events       []string      `yaml:"events" doc:"The types of event that the target is told of. If not set, all are."`
	App          string        `yaml:"app" doc:"The app whose events they are. If not set, default."`
	AllowPrivate bool          `yaml:"allowPrivate" doc:"Whether the target may have an address that is not a public one, as on this machine or in this network."`
	Timeout      time.Duration `yaml:"timeout" doc:"How long to wait for an answer, at most 30s. If not set, 10s."`
}

const (
	defaultTimeout = 10 * time.Second
	maxTimeout     = 30 * time.Second
	maxName        = 64
	// maxTargets bounds what every event costs.
	maxTargets = 20
)

func (c Config) timeout() time.Duration {
	if c.Timeout == 0 {
		return defaultTimeout
	}
	return c.Timeout
}

func (c Config) app() string {
	if c.App == "" {
		return usher.DefaultApp
	}
	return c.App
}

// wants reports whether the target is told of an event.
func (c Config) wants(e usher.Event) bool {
	return e.App == c.app() && (len(c.Events) == 0 || slices.Contains(c.Events, string(e.Type)))
}

// Validate returns what is wrong with the targets. The fields begin with the
// number of their target in brackets.
func Validate(targets []Config) []usher.FieldProblem {
	var problems []usher.FieldProblem
	if len(targets) > maxTargets {
		problems = append(problems, usher.FieldProblem{Message: fmt.Sprintf("must not be more than %d", maxTargets)})
	}
	for i, c := range targets {
		twice := slices.ContainsFunc(targets[:i], func(other Config) bool { return other.Name == c.Name })
		for _, p := range c.validate(twice) {
			p.Field = fmt.Sprintf("[%d].%s", i, p.Field)
			problems = append(problems, p)
		}
	}
	return problems
}

func (c Config) validate(twice bool) []usher.FieldProblem {
	var problems []usher.FieldProblem
	check := func(field string, ok bool, message string) {
		if !ok {
			problems = append(problems, usher.FieldProblem{Field: field, Message: message})
		}
	}
	check("name", isName(c.Name), "must be 1 to 64 lower-case letters, digits and hyphens")
	check("name", !twice, "is the name of another target, too")
	u, err := url.Parse(c.URL)
	check("url", err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil && u.Fragment == "",
		"must be an absolute URL that begins with https:// or http://, without user and fragment")
	_, err = parseKey(c.Secret)
	check("secret", err == nil, fmt.Sprint(err))
	if c.FormerSecret != "" {
		_, err = parseKey(c.FormerSecret)
		check("formerSecret", err == nil, fmt.Sprint(err))
	}
	for _, e := range c.Events {
		check("events", slices.Contains(usher.EventTypes(), usher.EventType(e)), fmt.Sprintf("has %q, which is no type of event: see docs/webhooks.md", e))
	}
	check("timeout", c.Timeout == 0 || 100*time.Millisecond <= c.Timeout && c.Timeout <= maxTimeout, "must be from 100ms to "+maxTimeout.String())
	return problems
}

func isName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}
