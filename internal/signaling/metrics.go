package signaling

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	connections prometheus.Gauge
	relayed     prometheus.Counter
	refused     *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "usher_signaling_connections", Help: "Connections that are authenticated.",
		}),
		relayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_signaling_relayed_total", Help: "Messages that were relayed, counted once for all of their receivers.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_signaling_refused_total", Help: "Messages that were answered with an error, by its code.",
		}, []string{"code"}),
	}
	registry.MustRegister(m.connections, m.relayed, m.refused)
	return m
}
