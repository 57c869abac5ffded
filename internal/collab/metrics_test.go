package collab_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"usher/internal/collab"
)

// counted returns what a registry has, by name; those with labels are summed up.
func counted(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			all[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

func TestWhatThereIsToDoIsCounted(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	w := newWorld(t, func(_ *collab.Config, d *collab.Deps) { d.Metrics = registry })
	ann := w.join(t, w.pass(t, "ann", "r", writer))
	bob := w.join(t, w.pass(t, "bob", "r", reader))
	ann.submit(t, put("x", "1"), put("y", "2"))
	bob.submit(t, put("z", "3"))
	bob.awaitRefusal(t, "read_only")
	ann.awaitKey(t, "y")
	bob.Leave()
	want := map[string]float64{
		"usher_collab_rooms": 1, "usher_collab_members": 1, "usher_collab_ops_total": 2, "usher_collab_refused_total": 1, "usher_collab_broken_total": 0,
	}
	got := counted(t, registry)
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s is %v, want %v", name, got[name], n)
		}
	}
	w.stop()
	if got := counted(t, registry); got["usher_collab_rooms"] != 0 || got["usher_collab_members"] != 0 {
		t.Errorf("after the end %v", got)
	}
}
