package contact

import "usher"

// Config is what an operator can say about contacts.
type Config struct {
	Max int `yaml:"max" doc:"How many contacts a user may have."`
}

// maxContacts keeps a list short enough to be sent whole.
const maxContacts = 10_000

// DefaultConfig returns the values in force where a configuration is silent.
func DefaultConfig() Config { return Config{Max: 1000} }

// Validate returns what is wrong with the configuration, field by field.
func (c Config) Validate() []usher.FieldProblem {
	if c.Max < 1 || c.Max > maxContacts {
		return []usher.FieldProblem{{Field: "max", Message: "must be from 1 to 10000"}}
	}
	return nil
}
