package client_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/coder/websocket"

	"usher/client"
)

// What uses many connections has to pay for each of them.
func TestAnIdleConnectionReservesLittle(t *testing.T) {
	const connections, most = 50, 128 << 10 // bytes, of both ends
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"usher.v1"}})
		if err != nil {
			t.Error(err)
			return
		}
		if _, _, err := conn.Read(r.Context()); err != nil {
			t.Error(err)
		}
		if err := conn.Write(r.Context(), websocket.MessageText, []byte(`{"action":"hello","payload":{"connection":"c"}}`)); err != nil {
			t.Error(err)
		}
		_, _, _ = conn.Read(r.Context()) // until it is closed
	}))
	defer server.Close()
	a, err := client.New(server.URL, client.Options{Token: "t0ken", Transport: server.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range connections {
		s, err := a.Signal(t.Context(), client.SignalOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Drop() }()
		if got := s.Hello().Connection; got != "c" {
			t.Errorf("it was greeted as %q", got)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / connections; each > most {
		t.Errorf("a connection takes %d bytes, want at most %d", each, most)
	}
}
