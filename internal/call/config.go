package call

import (
	"time"

	"usher"
)

// Config says how long calls may take.
type Config struct {
	Ring       time.Duration `yaml:"ring" doc:"How long a call rings before it is missed. Half a minute is too short for a phone in a bag."`
	Connect    time.Duration `yaml:"connect" doc:"How long an accepted call may take until one of its devices reports call.connected. It is hung up with ice_timeout after that."`
	Grace      time.Duration `yaml:"grace" doc:"How long a device of a call may be without a connection before the call ends."`
	Longest    time.Duration `yaml:"longest" doc:"How long a connected call lasts at most, so that nobody is busy for ever."`
	KeepMissed time.Duration `yaml:"keepMissed" doc:"How long a call stays in the list of missed calls that nobody has acknowledged."`
	Candidates int           `yaml:"candidates" doc:"How many candidates of each side are held until the call's offer has passed; more are dropped."`
}

// DefaultConfig returns the values in force where a configuration is silent.
func DefaultConfig() Config {
	return Config{
		Ring: 60 * time.Second, Connect: 60 * time.Second, Grace: 30 * time.Second, Longest: 24 * time.Hour,
		KeepMissed: 30 * 24 * time.Hour, Candidates: 30,
	}
}

// Validate returns what is wrong with the configuration, field by field.
func (c Config) Validate() []usher.FieldProblem {
	var problems []usher.FieldProblem
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"ring", c.Ring}, {"connect", c.Connect}, {"grace", c.Grace}, {"longest", c.Longest}} {
		if d.value < time.Second {
			problems = append(problems, usher.FieldProblem{Field: d.field, Message: "must be at least 1s"})
		}
	}
	if c.KeepMissed < remembered {
		problems = append(problems, usher.FieldProblem{Field: "keepMissed", Message: "must be at least " + remembered.String()})
	}
	if c.Candidates < 1 || c.Candidates > 1000 {
		problems = append(problems, usher.FieldProblem{Field: "candidates", Message: "must be from 1 to 1000"})
	}
	return problems
}
