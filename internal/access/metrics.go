package access

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
)

type metrics struct {
	decisions   *prometheus.CounterVec
	claims      *prometheus.CounterVec
	credentials *prometheus.CounterVec
	attachments prometheus.Gauge

	ejections        *prometheus.CounterVec
	pendingEjections *prometheus.GaugeVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_decisions_total",
			Help: "Decisions of the policy by action and code; ok is a grant.",
		}, []string{"action", "code"}),
		claims: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_claims_total",
			Help: "Claims of participants' secrets by result.",
		}, []string{"result"}),
		credentials: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_credentials_total",
			Help: "Credentials that were minted, by platform.",
		}, []string{"platform"}),
		attachments: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "usher_attachments",
			Help: "Live connections in rooms.",
		}),
		ejections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_ejections_total",
			Help: "What foreign platforms answered when asked to put somebody out or to close a room: done, retried (it is asked again), failed (it is not).",
		}, []string{"platform", "result"}),
		pendingEjections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "usher_ejections_pending",
			Help: "Ejections that a foreign platform has yet to see to; more than 500 are not counted.",
		}, []string{"platform"}),
	}
	registry.MustRegister(m.decisions, m.claims, m.credentials, m.attachments, m.ejections, m.pendingEjections)
	return m
}

// watch registers what is counted when it is asked for.
func (*metrics) watch(registry prometheus.Registerer, a *Access) {
	registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "usher_rooms_occupied",
			Help: "Rooms with a live connection to this server.",
		}, func() float64 { return float64(len(a.openHalls())) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "usher_participants_connected",
			Help: "Participants with a live connection to this server.",
		}, func() float64 {
			n := 0
			for _, h := range a.openHalls() {
				n += h.present()
			}
			return float64(n)
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "usher_record_pending",
			Help: "Events that are not on disk yet.",
		}, func() float64 { return float64(a.record.unwritten()) }),
	)
}

func (m *metrics) decided(d usher.Decision) {
	// The rule may name an identity, so that the code stands for it.
	code := d.Code
	if d.Allowed {
		code = "ok"
	}
	m.decisions.WithLabelValues(d.Action, code).Inc()
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

// asks has a platform's answers counted from 0: the first to fail is no increase
// of what was not there before, and nobody would be alerted.
func (m *metrics) asks(platform string) {
	for _, result := range []string{"done", "retried", "failed"} {
		m.ejections.WithLabelValues(platform, result)
	}
}

func (m *metrics) minted(platform string) { m.credentials.WithLabelValues(platform).Inc() }
