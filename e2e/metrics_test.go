package e2e_test

import (
	"bytes"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// What `promtool check metrics` says of a server's metrics is said by this linter.
func TestMetricsAreNamedAsPrometheusWants(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.do("GET", "/api/v1/rooms", "")
	s.do("POST", "/api/v1/rooms", `{"name":"hall"}`, append(bearer("no token"), asJSON...)...)
	metrics := s.metrics()
	problems, err := promlint.New(bytes.NewReader(metrics)).Lint()
	if err != nil || !bytes.Contains(metrics, []byte("usher_unauthenticated_total{")) {
		t.Fatalf("%d bytes: %v", len(metrics), err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
