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
	}
	registry.MustRegister(m.requests, m.duration)
	return m
}

func (m *Metrics) observe(dialect, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(dialect, route, strconv.Itoa(status)).Inc()
	if status != http.StatusSwitchingProtocols { // a socket lasts as long as its call
		m.duration.WithLabelValues(dialect).Observe(took.Seconds())
	}
}
