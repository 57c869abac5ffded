package client

import (
	"context"
	"net/http"

	"usher"
)

// Figures are a short history of what a server's metrics say.
type Figures struct {
	// Every is how many seconds lie between two samples.
	Every int `json:"every"`
	// Samples are the oldest first; the last is the newest.
	Samples []Figure `json:"samples"`
	// Tokens are the credentials that were minted since the server started, by
	// platform, and Refusals what it refused, by the code.
	Tokens   map[string]int64 `json:"tokens"`
	Refusals map[string]int64 `json:"refusals"`
}

// Figure is one sample. Rates are per second since the sample before.
type Figure struct {
	At Time `json:"at"`
	// Sockets are people's connections to the signaling, and Connections those in
	// rooms by whatever protocol.
	Sockets     int `json:"sockets"`
	Connections int `json:"connections"`
	// Rooms are those with a connection, and Participants who has one.
	Rooms        int                `json:"rooms"`
	Participants int                `json:"participants"`
	Tokens       map[string]float64 `json:"tokens"`
	Refusals     map[string]float64 `json:"refusals"`
	Requests     float64            `json:"requests"`
	Latency      Latency            `json:"latency"`
}

// Latency is how many seconds answers took, estimated: half of them at most P50.
// It is zero where there was no request.
type Latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// Figures returns a short history of the server's metrics. Only operators may.
func (a *API) Figures(ctx context.Context) (Figures, error) {
	var f Figures
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"figures"}}, &f)
	return f, err
}

// HealthCheck is how something is that the server depends on.
type HealthCheck struct {
	// Kind is store, platform or issuer.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// State is well, failing, or silent for what can't be asked.
	State string `json:"state"`
	// Message says why it is failing.
	Message   string `json:"message,omitempty"`
	CheckedAt Time   `json:"checked_at"`
	// TookMS is how long the answer took, in milliseconds.
	TookMS int64 `json:"took_ms"`
}

// Health is how everything is that the server depends on.
type Health struct {
	Checks []HealthCheck `json:"checks"`
}

// Health asks how everything is that the server depends on. Only operators may.
func (a *API) Health(ctx context.Context) (Health, error) {
	var h Health
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"health"}}, &h)
	return h, err
}

// Setting is one value of a server's configuration.
type Setting struct {
	// Key is its path: server.publicURL.
	Key string `json:"key"`
	// Value is its text, or YAML where it is made of sections. A placeholder
	// stands for every secret.
	Value string `json:"value"`
	// Secret says that all of it is one.
	Secret bool `json:"secret"`
	// Source says where it was given; empty for a default.
	Source string `json:"source,omitempty"`
	// Doc is what people read about it.
	Doc string `json:"doc"`
}

// Configuration is the configuration that is in force.
type Configuration struct {
	Settings []Setting `json:"settings"`
}

// Configuration returns the configuration that is in force, without its secrets.
// Only operators may.
func (a *API) Configuration(ctx context.Context) (Configuration, error) {
	var c Configuration
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"configuration"}}, &c)
	return c, err
}

// Explanation is an entry of the record in sentences.
type Explanation struct {
	Event     Event    `json:"event"`
	Sentences []string `json:"sentences"`
}

// Explanation explains one entry of the record. Only operators may.
func (a *API) Explanation(ctx context.Context, id usher.ID) (Explanation, error) {
	var e Explanation
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"decisions", string(id), "explanation"}}, &e)
	return e, err
}
