package vpaas_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"usher/internal/compat/vpaas"
	"usher/internal/limit"
)

func TestAQuietConnectionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.place(w.meeting())
		c := w.enter(p, w.claim(p))
		pass(10 * time.Minute) // the library answers pings, as browsers do
		c.send(`{"type":"ping"}`)
		c.wantAnswer(map[string]any{"type": "pong"})
	})
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		meeting := w.meeting()
		var peers []*peer
		for range 5 {
			p := w.place(meeting)
			peers = append(peers, w.enter(p, w.claim(p)))
		}
		last := w.place(meeting)
		token := w.claim(last)
		peers = append(peers, w.dial(meeting)) // not authenticated yet
		if err := w.service.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		for _, c := range peers {
			c.wantClosed(1012, "The server restarts; connect again.")
		}
		synctest.Wait()
		for _, o := range w.ok("GET", "/v1/meetings/"+meeting+"/participants", "")["objects"].([]any) {
			if got := o.(map[string]any)["status"]; got != "joined" {
				t.Errorf("a participant of a server that stops is %s, want joined", got)
			}
		}
		_, resp, err := websocket.Dial(t.Context(), "ws://usher.test/v1/meetings/"+meeting+"/socket", &websocket.DialOptions{HTTPClient: w.http})
		if err == nil || resp == nil || resp.StatusCode != 503 {
			t.Errorf("a connection to a server that stops, with %d characters of token: %v, want 503", len(token), err)
		}
	})
}

func TestUpgradesThatAreNone(t *testing.T) {
	w := newWorld(t)
	a := w.do(call{method: "GET", path: "/v1/meetings/" + w.meeting() + "/socket"})
	w.want("no upgrade", a, 400, "Only WebSocket connections over HTTP/1.1 are served here.")
}

// TestManyConnectionsOfOneParticipant races reconnections: whoever loses is
// told, and one is left.
func TestManyConnectionsOfOneParticipant(t *testing.T) {
	w := newWorld(t)
	p := w.place(w.meeting())
	token := w.claim(p)
	const n = 20
	peers := make([]*peer, n)
	var wg sync.WaitGroup
	for i := range n {
		peers[i] = w.dial(p.meeting)
		wg.Go(func() { peers[i].send(authenticate(p, token)) })
	}
	wg.Wait()
	ended := make(chan error, n)
	for _, c := range peers {
		go func() {
			end := <-c.closed
			if end.Code != 4003 {
				ended <- fmt.Errorf("closed with %d, want 4003", end.Code)
				return
			}
			ended <- nil
		}()
	}
	for range n - 1 {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("more than one connection of a participant is left")
		}
	}
	if got := w.status(p); got != "joined" {
		t.Errorf("the participant is %s, want joined", got)
	}
}

// Whoever fails too often is not listened to, also with a token that is good.
func TestFailedAuthenticationIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *vpaas.Config) { c.Failed = limit.Rate{Count: 3, Per: time.Minute} })
		p := w.place(w.meeting())
		for _, wrong := range []struct{ first, why string }{
			{authenticate(p, "guessed"), tokenInvalid},
			{authenticate(place{p.meeting, p.meeting, ""}, "guessed"), tokenInvalid},
			{`{"type":"ping"}`, mustAuthenticate},
		} {
			peer := w.dial(p.meeting)
			peer.send(wrong.first)
			peer.send(wrong.first) // of one connection, one failure counts
			if m := peer.answer(); m["error_type"] != "authentication_failed" {
				t.Errorf("%s was answered %v", wrong.first, m)
			}
			peer.wantClosed(4004, wrong.why)
		}
		token := w.claim(p)
		late := w.dial(p.meeting)
		late.send(authenticate(p, token))
		late.wantAnswer(refusal("342b271e", "resource_unavailable", "There were too many failed attempts from your address; try again later."))
		late.wantClosed(1013, "too many failed attempts")
		pass(20 * time.Second)
		w.enter(p, token)
	})
}
