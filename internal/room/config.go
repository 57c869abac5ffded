package room

import (
	"time"

	"usher"
)

// Config says how long rooms and places in them last.
type Config struct {
	Grace    time.Duration `yaml:"grace" doc:"How long the seat of a lost connection is kept, and how long an empty ephemeral room stays. Keep it longer than clients try to reconnect: the VPaaS SDK takes about 27s."`
	Lease    time.Duration `yaml:"lease" doc:"How long a claimed seat waits for its connection."`
	Unjoined time.Duration `yaml:"unjoined" doc:"When an ephemeral room that nobody has joined ends."`
	KeepFor  time.Duration `yaml:"keepFor" doc:"How long a room that has ended is kept, with who was in it, its members, invites and document, before all of that is forgotten; 0s keeps it for good. The record is kept by audit.keepFor."`
	Implicit bool          `yaml:"implicit" doc:"Whether naming a room that there is not, such as an Agora channel, makes it, open to every known user."`
	Seats    int           `yaml:"seats" doc:"Seats of a room that does not say; 0 is no limit."`
}

// leastKept is how long what a room has on other platforms may take to be ended.
const leastKept = 24 * time.Hour

// DefaultConfig returns the values in force where a configuration is silent.
func DefaultConfig() Config {
	return Config{Grace: 45 * time.Second, Lease: 30 * time.Second, Unjoined: 24 * time.Hour, KeepFor: 30 * 24 * time.Hour}
}

// Validate returns what is wrong with the configuration, field by field.
func (c Config) Validate() []usher.FieldProblem {
	var problems []usher.FieldProblem
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"grace", c.Grace}, {"lease", c.Lease}, {"unjoined", c.Unjoined}} {
		if d.value < time.Second {
			problems = append(problems, usher.FieldProblem{Field: d.field, Message: "must be at least 1s"})
		}
	}
	if c.KeepFor != 0 && c.KeepFor < leastKept {
		problems = append(problems, usher.FieldProblem{Field: "keepFor", Message: "must be at least 24h, or 0s to keep them for good"})
	}
	if c.Seats < 0 {
		problems = append(problems, usher.FieldProblem{Field: "seats", Message: "must be 0 (no limit) or more"})
	}
	return problems
}
