package vpaas_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"usher/internal/platform/vpaas"
)

func TestProbing(t *testing.T) {
	f, p := connect(t)
	probe := vpaas.Foreign{Platform: p}.Probe
	for range 2 { // each is asked anew
		if err := probe(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if n := f.tokenRequests(); n != 2 {
		t.Errorf("the service was asked for %d tokens, want 2", n)
	}
	f.before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "{}")
		return true
	}
	if err := probe(t.Context()); err == nil || strings.Contains(err.Error(), "eyJ") {
		t.Errorf("a service that is not well: got %v", err)
	}
}
