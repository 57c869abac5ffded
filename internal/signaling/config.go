package signaling

import (
	"fmt"
	"time"

	"usher"
	"usher/internal/limit"
	"usher/internal/socket"
)

// Config is what an operator can say about signaling. What is zero is as the
// preset says.
type Config struct {
	Enabled      bool          `yaml:"enabled" doc:"Whether to serve /signal: presence, calls, rooms and relaying between people over a WebSocket."`
	Preset       Preset        `yaml:"preset" doc:"Where the limits below are 0: usher for our own, or aws for those of an API Gateway WebSocket API."`
	TokenExpiry  Expiry        `yaml:"tokenExpiry" doc:"What a connection whose token expires can do: renew takes a new token of the same user before that, close takes none."`
	MaxMessage   int           `yaml:"maxMessage" doc:"The largest message in bytes: 262144, or 131072 with aws."`
	Idle         time.Duration `yaml:"idle" doc:"How long nothing may be heard of a client, not even a pong: 1m, or 10m without any pings with aws."`
	Lifetime     time.Duration `yaml:"lifetime" doc:"How long one socket may last before its client has to connect again: without end, or 2h with aws."`
	Relay        limit.Rate    `yaml:"relay" doc:"How many messages a connection may send: 1000/2s, which is 500 a second with bursts of 1000."`
	Calls        limit.Rate    `yaml:"calls" doc:"How many messages about calls a connection may send: 100/10s."`
	Connections  int           `yaml:"connections" doc:"How many connections one user may have: 50."`
	Queue        int           `yaml:"queue" doc:"How many bytes may wait for a client that reads too slowly, before it is put out: 1048576."`
	ResumeWindow time.Duration `yaml:"resumeWindow" doc:"How long a lost session can be resumed: 30s."`
}

// Preset is a set of limits.
type Preset string

// The presets.
const (
	Usher Preset = "usher"
	AWS   Preset = "aws"
)

// Expiry is what becomes of a connection whose token expires.
type Expiry string

// The ways of expiry.
const (
	Renew Expiry = "renew"
	Close Expiry = "close"
)

// DefaultConfig returns the values in force where a configuration is silent.
func DefaultConfig() Config { return Config{Enabled: true, Preset: Usher, TokenExpiry: Renew} }

// The preset of our own, and what that of AWS has in its place.
var (
	ours = Config{
		MaxMessage: 256 << 10, Idle: 60 * time.Second, Relay: limit.Rate{Count: 1000, Per: 2 * time.Second},
		Calls: limit.Rate{Count: 100, Per: 10 * time.Second}, Connections: 50, Queue: socket.DefaultQueueLimit, ResumeWindow: 30 * time.Second,
	}
	amazons = Config{MaxMessage: 128 << 10, Idle: 10 * time.Minute, Lifetime: 2 * time.Hour}
)

// complete fills in what is zero.
func (c Config) complete() Config {
	fill := func(from Config) {
		for _, d := range []struct{ value, from *time.Duration }{
			{&c.Idle, &from.Idle}, {&c.Lifetime, &from.Lifetime}, {&c.ResumeWindow, &from.ResumeWindow},
		} {
			if *d.value == 0 {
				*d.value = *d.from
			}
		}
		for _, n := range []struct{ value, from *int }{
			{&c.MaxMessage, &from.MaxMessage}, {&c.Connections, &from.Connections}, {&c.Queue, &from.Queue},
		} {
			if *n.value == 0 {
				*n.value = *n.from
			}
		}
		if !c.Relay.Limited() {
			c.Relay = from.Relay
		}
		if !c.Calls.Limited() {
			c.Calls = from.Calls
		}
	}
	if c.Preset == AWS {
		fill(amazons)
	}
	fill(ours)
	return c
}

// pingEvery returns after how much silence a client is pinged. API Gateway
// never does: its clients have to speak by themselves.
func (c Config) pingEvery() time.Duration {
	if c.Preset == AWS {
		return c.Idle
	}
	return min(socket.DefaultPingEvery, c.Idle/2)
}

// Validate returns what is wrong with the configuration, field by field.
func (c Config) Validate() []usher.FieldProblem {
	var problems []usher.FieldProblem
	add := func(field, format string, args ...any) {
		problems = append(problems, usher.FieldProblem{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	if c.Preset != Usher && c.Preset != AWS {
		add("preset", "must be usher or aws")
	}
	if c.TokenExpiry != Renew && c.TokenExpiry != Close {
		add("tokenExpiry", "must be renew or close")
	}
	for _, n := range []struct {
		field           string
		value, min, max int
	}{{"maxMessage", c.MaxMessage, 1 << 10, 8 << 20}, {"connections", c.Connections, 1, 1000}, {"queue", c.Queue, 64 << 10, 64 << 20}} {
		if n.value != 0 && (n.value < n.min || n.value > n.max) {
			add(n.field, "must be from %d to %d, or 0 for the preset's", n.min, n.max)
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
		min   time.Duration
	}{{"idle", c.Idle, 10 * time.Second}, {"lifetime", c.Lifetime, time.Minute}, {"resumeWindow", c.ResumeWindow, 5 * time.Second}} {
		if d.value != 0 && d.value < d.min {
			add(d.field, "must be at least %s, or 0 for the preset's", d.min)
		}
	}
	return problems
}
