package turn

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	relays         prometheus.Gauge
	refused        *prometheus.CounterVec
	sent, received prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) *metrics {
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "usher_turn_relayed_bytes_total",
		Help: "Bytes relayed, by direction: sent to peers and received from them.",
	}, []string{"direction"})
	m := &metrics{
		relays: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "usher_turn_relays",
			Help: "Relays that are open.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_turn_refused_total",
			Help: "Requests refused by reason: credential, expired, peer, quota or full.",
		}, []string{"reason"}),
		sent:     bytes.WithLabelValues("sent"),
		received: bytes.WithLabelValues("received"),
	}
	// From 0, or the first refusal would be no increase, and alert nobody.
	for _, reason := range []string{"credential", "expired", "peer", "quota", "full"} {
		m.refused.WithLabelValues(reason)
	}
	if registry != nil {
		registry.MustRegister(m.relays, m.refused, bytes)
	}
	return m
}
