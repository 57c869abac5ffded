package webhook

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	deliveries *prometheus.CounterVec
	held       *prometheus.GaugeVec
	failing    *prometheus.GaugeVec
	lag        *prometheus.GaugeVec
	lost       *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_webhook_deliveries_total",
			Help: "Events that were posted to a target: ok, or failed and posted again.",
		}, []string{"target", "result"}),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "usher_webhook_rooms_held",
			Help: "Rooms whose events wait since the target has not taken an earlier one.",
		}, []string{"target"}),
		failing: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "usher_webhook_failing",
			Help: "1 while a target takes nothing at all, else 0.",
		}, []string{"target"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "usher_webhook_lag_seconds",
			Help: "How old the oldest event is that a target has yet to take; 0 if there is none.",
		}, []string{"target"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_webhook_forgotten_total",
			Help: "How often the record had forgotten events that a target was not told of.",
		}, []string{"target"}),
	}
	registry.MustRegister(m.deliveries, m.held, m.failing, m.lag, m.lost)
	return m
}

// forget drops what is told of a target that is configured no more.
func (m *metrics) forget(target string) {
	for _, v := range []*prometheus.GaugeVec{m.held, m.failing, m.lag} {
		v.DeleteLabelValues(target)
	}
}
