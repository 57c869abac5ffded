package api

import (
	"net/http"
	"time"

	"usher/client"
	"usher/internal/figures"
	"usher/internal/httpd"
)

func (a *API) figures(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	h, err := a.Access.Figures(r.Context(), httpd.Identity(r.Context()))
	if err != nil {
		return err
	}
	answer := client.Figures{
		Every: int(figures.Pace / time.Second), Samples: make([]client.Figure, len(h.Samples)),
		Tokens: counts(h.Tokens), Refusals: counts(h.Refusals),
	}
	for i, s := range h.Samples {
		answer.Samples[i] = client.Figure{
			At: stamp(s.At), Sockets: s.Sockets, Connections: s.Connections, Rooms: s.Rooms, Participants: s.Participants,
			Tokens: s.Tokens, Refusals: s.Refusals, Requests: s.Requests,
			Latency: client.Latency{P50: s.Latency.P50.Seconds(), P95: s.Latency.P95.Seconds(), P99: s.Latency.P99.Seconds()},
		}
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

// counts are what counters, which are numbers of any kind, have counted.
func counts(counters map[string]float64) map[string]int64 {
	whole := make(map[string]int64, len(counters))
	for name, n := range counters {
		whole[name] = int64(n)
	}
	return whole
}

func (a *API) health(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	results, err := a.Access.Health(r.Context(), httpd.Identity(r.Context()))
	if err != nil {
		return err
	}
	answer := client.Health{Checks: make([]client.HealthCheck, len(results))}
	for i, c := range results {
		answer.Checks[i] = client.HealthCheck{
			Kind: string(c.Kind), Name: c.Name, State: string(c.State), Message: c.Message,
			CheckedAt: stamp(c.At), TookMS: c.Took.Milliseconds(),
		}
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

func (a *API) configuration(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	settings, err := a.Access.Settings(r.Context(), httpd.Identity(r.Context()))
	if err != nil {
		return err
	}
	answer := client.Configuration{Settings: make([]client.Setting, len(settings))}
	for i, s := range settings {
		answer.Settings[i] = client.Setting{Key: s.Key, Value: s.Value, Secret: s.Secret, Source: s.Source, Doc: s.Doc}
	}
	return httpd.JSON(w, http.StatusOK, answer)
}
