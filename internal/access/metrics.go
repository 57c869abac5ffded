package access

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/policy"
)

type metrics struct {
	decisions   *prometheus.CounterVec
	claims      *prometheus.CounterVec
	attachments prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_decisions_total",
			Help: "Decisions of the policy by action and rule.",
		}, []string{"action", "allowed", "rule"}),
		claims: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_claims_total",
			Help: "Claims of participants' secrets by result.",
		}, []string{"result"}),
		attachments: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "usher_attachments",
			Help: "Live connections in rooms.",
		}),
	}
	registry.MustRegister(m.decisions, m.claims, m.attachments)
	return m
}

func (m *metrics) decided(action policy.Action, v policy.Verdict) {
	allowed := "false"
	if v.Allowed {
		allowed = "true"
	}
	m.decisions.WithLabelValues(string(action), allowed, v.Rule).Inc()
}

func (m *metrics) claimed(err error) {
	result := "ok"
	if err != nil {
		result = "error"
		if e, ok := errors.AsType[*usher.Error](err); ok {
			result = e.Code
		}
	}
	m.claims.WithLabelValues(result).Inc()
}
