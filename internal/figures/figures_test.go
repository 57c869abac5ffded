package figures_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"usher/internal/figures"
)

// world is a registry with metrics of the names that are read.
type world struct {
	registry                                  *prometheus.Registry
	sockets, connections, rooms, participants prometheus.Gauge
	credentials, decisions, claims, unknowns  *prometheus.CounterVec
	requests                                  *prometheus.HistogramVec
}

func newWorld() *world {
	gauge := func(name string) prometheus.Gauge { return prometheus.NewGauge(prometheus.GaugeOpts{Name: name}) }
	counter := func(name string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name}, labels)
	}
	w := &world{
		registry: prometheus.NewRegistry(),
		sockets:  gauge("usher_signaling_connections"), connections: gauge("usher_attachments"),
		rooms: gauge("usher_rooms_occupied"), participants: gauge("usher_participants_connected"),
		credentials: counter("usher_credentials_total", "platform"), decisions: counter("usher_decisions_total", "action", "code"),
		claims: counter("usher_claims_total", "result"), unknowns: counter("usher_unauthenticated_total", "dialect", "code"),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "usher_http_request_duration_seconds", Buckets: []float64{.1, .2, 1},
		}, []string{"dialect"}),
	}
	w.registry.MustRegister(w.sockets, w.connections, w.rooms, w.participants, w.credentials, w.decisions, w.claims, w.unknowns, w.requests)
	return w
}

func history(t *testing.T, s *figures.Series) figures.History {
	t.Helper()
	h, err := s.History()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestASampleSaysWhatTheMetricsSay(t *testing.T) {
	w, now := newWorld(), time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	s := figures.New(w.registry, func() time.Time { return now })
	w.decisions.WithLabelValues("room.enter", "not_member").Add(7) // before anybody looked
	first := history(t, s)
	if len(first.Samples) != 1 || len(first.Samples[0].Refusals) != 0 || first.Refusals["not_member"] != 7 {
		t.Errorf("the first sample: got %+v, want no rates, and 7 refusals in all", first)
	}

	w.sockets.Set(5)
	w.connections.Set(4)
	w.rooms.Set(2)
	w.participants.Set(3)
	w.credentials.WithLabelValues("agora").Add(20)
	w.decisions.WithLabelValues("room.enter", "not_member").Add(5)
	w.decisions.WithLabelValues("room.list", "not_member").Add(5)
	w.decisions.WithLabelValues("room.list", "ok").Add(500)
	w.claims.WithLabelValues("room_full").Add(10)
	w.claims.WithLabelValues("ok").Add(10)
	w.unknowns.WithLabelValues("native", "credentials_invalid").Add(30)
	for range 90 {
		w.requests.WithLabelValues("native").Observe(.05)
	}
	for range 10 {
		w.requests.WithLabelValues("agora").Observe(.5)
	}
	now = now.Add(10 * time.Second)
	if err := s.Take(); err != nil {
		t.Fatal(err)
	}
	want := figures.Sample{
		At: now, Sockets: 5, Connections: 4, Rooms: 2, Participants: 3, Requests: 10,
		Tokens:   map[string]float64{"agora": 2},
		Refusals: map[string]float64{"not_member": 1, "room_full": 1, "credentials_invalid": 3},
		Latency: figures.Quantiles{
			P50: 55556 * time.Microsecond, P95: 600 * time.Millisecond, P99: 920 * time.Millisecond,
		},
	}
	got := history(t, s)
	if diff := cmp.Diff(want, got.Samples[1]); diff != "" {
		t.Errorf("the second sample (-want +got):\n%s", diff)
	}
	if got.Tokens["agora"] != 20 || got.Refusals["not_member"] != 17 {
		t.Errorf("in all: got %v and %v", got.Tokens, got.Refusals)
	}
}

func TestAnswersBeyondTheLastBucketAreAtItsBound(t *testing.T) {
	w, now := newWorld(), time.Unix(0, 0)
	s := figures.New(w.registry, func() time.Time { return now })
	history(t, s)
	w.requests.WithLabelValues("native").Observe(30)
	now = now.Add(time.Second)
	if err := s.Take(); err != nil {
		t.Fatal(err)
	}
	if got := history(t, s).Samples[1].Latency; got.P50 != time.Second || got.P99 != time.Second {
		t.Errorf("got %v, want 1s", got)
	}
}

func TestTheHistoryIsShortAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := figures.New(newWorld().registry, time.Now)
		start := time.Now()
		go s.Run(t.Context())
		time.Sleep(2*figures.Kept*figures.Pace + time.Millisecond)
		synctest.Wait()
		got := history(t, s).Samples
		if len(got) != figures.Kept {
			t.Fatalf("got %d samples, want %d", len(got), figures.Kept)
		}
		if last := got[len(got)-1].At; !last.Equal(start.Add(2 * figures.Kept * figures.Pace)) {
			t.Errorf("the last is of %v", last.Sub(start))
		}
		for i := range got[1:] {
			if d := got[i+1].At.Sub(got[i].At); d != figures.Pace {
				t.Errorf("%v between samples %d and %d", d, i, i+1)
			}
		}
	})
}
