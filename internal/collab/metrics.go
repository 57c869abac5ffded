package collab

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	rooms   prometheus.Gauge
	members prometheus.Gauge
	ops     prometheus.Counter
	refused *prometheus.CounterVec
	broken  prometheus.Counter
}

// newMetrics returns the numbers of a hub; a nil registry is told of none.
func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		rooms: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "usher_collab_rooms", Help: "Rooms whose document is in memory.",
		}),
		members: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "usher_collab_members", Help: "Connections in rooms with a document.",
		}),
		ops: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_collab_ops_total", Help: "Changes to documents that took place.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_collab_refused_total", Help: "Changes to documents that were refused, by the code.",
		}, []string{"code"}),
		broken: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_collab_broken_total", Help: "Rooms that could not go on and were read anew.",
		}),
	}
	if registry != nil {
		registry.MustRegister(m.rooms, m.members, m.ops, m.refused, m.broken)
	}
	return m
}
