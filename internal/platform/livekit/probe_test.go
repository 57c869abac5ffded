package livekit_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"usher/internal/platform/livekit"
)

func TestProbing(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Authorization"]) > 0 || r.URL.RawQuery != "" {
			t.Errorf("it was told %v %q", r.Header, r.URL.RawQuery)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	at := func(address string) *livekit.Platform {
		p, err := livekit.New(livekit.Config{
			URL: address, APIKey: "key", APISecret: "abcdefghijklmnopqrstuvwxyz0123456789", HTTP: server.Client(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, address := range []string{server.URL, strings.Replace(server.URL, "http", "ws", 1)} {
		if err := at(address).Probe(t.Context()); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	if status = http.StatusBadGateway; at(server.URL).Probe(t.Context()) == nil {
		t.Error("a proxy's failure was taken for a LiveKit")
	}
	server.Close()
	if at(server.URL).Probe(t.Context()) == nil {
		t.Error("a server that is not there was found")
	}
}
