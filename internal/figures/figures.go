// Package figures keeps a short history of what a server's metrics say, so that
// whoever looks at a chart of them has something to look at at once.
//
// It counts nothing itself: it reads the same registry that /metrics shows, at a
// steady pace, and turns counters into rates and histograms into quantiles.
package figures

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Pace is the time between two samples, and Kept how many are kept: 10 minutes.
const (
	Pace = 5 * time.Second
	Kept = 120
)

// The metrics that are read. What is not registered is read as zero.
const (
	socketsMetric      = "usher_signaling_connections"
	connectionsMetric  = "usher_attachments"
	roomsMetric        = "usher_rooms_occupied"
	participantsMetric = "usher_participants_connected"
	credentialsMetric  = "usher_credentials_total"
	decisionsMetric    = "usher_decisions_total"
	claimsMetric       = "usher_claims_total"
	unknownsMetric     = "usher_unauthenticated_total"
	requestsMetric     = "usher_http_request_duration_seconds"
)

// Metrics returns the names of all metrics that are read.
func Metrics() []string {
	return []string{
		socketsMetric, connectionsMetric, roomsMetric, participantsMetric,
		credentialsMetric, decisionsMetric, claimsMetric, unknownsMetric, requestsMetric,
	}
}

// Sample is what the metrics said at a time. Rates are per second, over the time
// since the sample before; the first sample has none.
type Sample struct {
	At time.Time
	// Sockets are people's connections to the signaling, and Connections those in
	// rooms by whatever protocol.
	Sockets, Connections int
	// Rooms are those with a connection, and Participants who has one.
	Rooms, Participants int
	// Tokens are credentials that were minted, by platform, and Refusals what was
	// refused, by the code.
	Tokens, Refusals map[string]float64
	Requests         float64
	Latency          Quantiles
}

// Quantiles are of the time from a request to the end of its answer, estimated
// from a histogram; zero where there was no request.
type Quantiles struct{ P50, P95, P99 time.Duration }

// History is what is kept.
type History struct {
	// Samples are the oldest first; there is at least one.
	Samples []Sample
	// Tokens and Refusals are how many there were since the server started.
	Tokens, Refusals map[string]float64
}

// Series is a history that goes on. It is safe for concurrent use.
type Series struct {
	gatherer prometheus.Gatherer
	now      func() time.Time

	mu      sync.Mutex
	samples []Sample
	last    reading
}

// New returns a series of what is gathered, which is empty until it runs.
func New(gatherer prometheus.Gatherer, now func() time.Time) *Series {
	return &Series{gatherer: gatherer, now: now}
}

// Run takes samples until ctx ends.
func (s *Series) Run(ctx context.Context) {
	tick := time.NewTicker(Pace)
	defer tick.Stop()
	for {
		_ = s.Take() // what can't be gathered now can be later, and /metrics says why
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Take takes a sample now.
func (s *Series) Take() error {
	families, err := s.gatherer.Gather()
	if err != nil {
		return fmt.Errorf("figures: gather: %w", err)
	}
	next := read(families)
	next.at = s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.samples) == Kept {
		s.samples = slices.Delete(s.samples, 0, 1)
	}
	s.samples = append(s.samples, next.since(s.last))
	s.last = next
	return nil
}

// History returns what is kept. A series that does not run yet takes its first
// sample.
func (s *Series) History() (History, error) {
	s.mu.Lock()
	empty := len(s.samples) == 0
	s.mu.Unlock()
	if empty {
		if err := s.Take(); err != nil {
			return History{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return History{Samples: slices.Clone(s.samples), Tokens: s.last.tokens, Refusals: s.last.refusals}, nil
}
