package figures

import (
	"math"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// reading is what the metrics say, before it is held against an earlier one. Its
// maps are not changed any more once it is made.
type reading struct {
	at                                        time.Time
	sockets, connections, rooms, participants float64
	tokens, refusals                          map[string]float64
	// buckets are how many answers took at most so many seconds.
	buckets map[float64]float64
	answers float64
}

func read(families []*dto.MetricFamily) reading {
	r := reading{tokens: map[string]float64{}, refusals: map[string]float64{}, buckets: map[float64]float64{}}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch f.GetName() {
			case socketsMetric:
				r.sockets += m.GetGauge().GetValue()
			case connectionsMetric:
				r.connections += m.GetGauge().GetValue()
			case roomsMetric:
				r.rooms += m.GetGauge().GetValue()
			case participantsMetric:
				r.participants += m.GetGauge().GetValue()
			case credentialsMetric:
				r.tokens[label(m, "platform")] += m.GetCounter().GetValue()
			case decisionsMetric, unknownsMetric:
				r.refused(label(m, "code"), m)
			case claimsMetric:
				r.refused(label(m, "result"), m)
			case requestsMetric:
				r.answered(m.GetHistogram())
			}
		}
	}
	return r
}

func label(m *dto.Metric, name string) string {
	for _, pair := range m.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

// refused counts by code; ok is no refusal.
func (r reading) refused(code string, m *dto.Metric) {
	if code != "ok" {
		r.refusals[code] += m.GetCounter().GetValue()
	}
}

func (r *reading) answered(h *dto.Histogram) {
	r.answers += float64(h.GetSampleCount())
	for _, b := range h.GetBucket() {
		r.buckets[b.GetUpperBound()] += float64(b.GetCumulativeCount())
	}
}

// since is the sample of a reading, with what came since the one before.
func (r reading) since(before reading) Sample {
	s := Sample{
		At: r.at, Sockets: int(r.sockets), Connections: int(r.connections), Rooms: int(r.rooms), Participants: int(r.participants),
		Tokens: map[string]float64{}, Refusals: map[string]float64{},
	}
	took := r.at.Sub(before.at).Seconds()
	if before.at.IsZero() || took <= 0 {
		return s
	}
	s.Tokens, s.Refusals = rates(r.tokens, before.tokens, took), rates(r.refusals, before.refusals, took)
	s.Requests = (r.answers - before.answers) / took
	s.Latency = Quantiles{r.quantile(before, 0.5), r.quantile(before, 0.95), r.quantile(before, 0.99)}
	return s
}

// rates are by how much counters grew in so many seconds; those that did not are
// left out.
func rates(now, before map[string]float64, seconds float64) map[string]float64 {
	grown := make(map[string]float64)
	for name, n := range now {
		if n > before[name] {
			grown[name] = (n - before[name]) / seconds
		}
	}
	return grown
}

// quantile estimates within which time a part of the answers since then came. In
// a bucket they are taken to be spread evenly; what is beyond the last one is
// said to be at its bound.
func (r reading) quantile(before reading, part float64) time.Duration {
	want := part * (r.answers - before.answers)
	if want <= 0 {
		return 0
	}
	bounds := make([]float64, 0, len(r.buckets))
	for bound := range r.buckets {
		if !math.IsInf(bound, 1) {
			bounds = append(bounds, bound)
		}
	}
	slices.Sort(bounds)
	low, below := 0.0, 0.0
	for _, bound := range bounds {
		n := r.buckets[bound] - before.buckets[bound]
		if n >= want && n > below {
			return seconds(low + (bound-low)*(want-below)/(n-below))
		}
		low, below = bound, n
	}
	return seconds(low)
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Microsecond)
}
