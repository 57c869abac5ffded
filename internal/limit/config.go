package limit

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher"
)

// Config says how often things may happen.
type Config struct {
	Mint    Rate            `yaml:"mint" doc:"How often one identity may have rooms, places and credentials made, as 600/1m; 0 is no limit."`
	Room    Rate            `yaml:"room" doc:"How often places and credentials may be made in one room."`
	Claim   Rate            `yaml:"claim" doc:"How often a wrong secret may be presented for one participant."`
	Seek    Rate            `yaml:"seek" doc:"How often one identity may look for another user by an e-mail address, to make a contact."`
	Open    Rate            `yaml:"open" doc:"How often one address (IPv6: one /64) may call what anyone may: tokens, claims, redemptions."`
	Failed  Rate            `yaml:"failed" doc:"How often one address may fail to say who it is."`
	Clients map[string]Rate `yaml:"clients" doc:"Rates of single back ends, by client id, in place of mint."`
}

// DefaultConfig returns the limits in force where a configuration is silent.
func DefaultConfig() Config {
	return Config{
		Mint: Rate{600, time.Minute}, Room: Rate{6000, time.Minute}, Claim: Rate{30, time.Minute}, Seek: Rate{30, time.Minute},
		Open: Rate{300, time.Minute}, Failed: Rate{60, time.Minute},
	}
}

// Validate returns what is wrong with the configuration, field by field.
func (c Config) Validate() []usher.FieldProblem {
	var problems []usher.FieldProblem
	for _, id := range slices.Sorted(maps.Keys(c.Clients)) {
		if _, err := usher.ParseID(id); err != nil {
			problems = append(problems, usher.FieldProblem{Field: "clients." + id, Message: "is not the id of a client, as usher client list shows it"})
		}
	}
	return problems
}

var errRate = errors.New("must be a count and a time, such as 60/1m, or 0 for no limit")

// UnmarshalText reads a rate as a configuration writes it: a count, a slash,
// and the time in which so many may happen. "0" is no limit.
func (r *Rate) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*r = Rate{}
		return nil
	}
	count, per, _ := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 {
		return errRate
	}
	d, err := time.ParseDuration(per)
	if err != nil || d < time.Millisecond {
		return errRate
	}
	*r = Rate{Count: n, Per: d}
	return nil
}

// MarshalText writes a rate as UnmarshalText reads it.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String writes a rate as UnmarshalText reads it.
func (r Rate) String() string {
	if !r.Limited() {
		return "0"
	}
	return fmt.Sprintf("%d/%s", r.Count, r.Per)
}
