package httpd

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts requests by dialect, route and status.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	unknowns *prometheus.CounterVec
}

// NewMetrics registers the metrics of this package.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_http_requests_total",
			Help: "HTTP requests by dialect, route and status.",
		}, []string{"dialect", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "usher_http_request_duration_seconds",
			Help:    "Time from a request's header to the end of its answer, by dialect.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}, []string{"dialect"}),
		unknowns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_unauthenticated_total",
			Help: "Calls whose caller could not prove who it is, by dialect and code.",
		}, []string{"dialect", "code"}),
	}
	registry.MustRegister(m.requests, m.duration, m.unknowns)
	return m
}

// unknown counts a caller that could not prove who it is. Such calls are
// counted and not recorded, so that nobody can make us write.
func (m *Metrics) unknown(dialect, code string) { m.unknowns.WithLabelValues(dialect, code).Inc() }

func (m *Metrics) observe(dialect, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(dialect, route, strconv.Itoa(status)).Inc()
	if status != http.StatusSwitchingProtocols { // a socket lasts as long as its call
		m.duration.WithLabelValues(dialect).Observe(took.Seconds())
	}
}
