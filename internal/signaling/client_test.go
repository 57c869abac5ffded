package signaling_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"usher"
	"usher/client"
)

func dialClient(t *testing.T, w *world, name string, o client.SignalOptions) *client.Signal {
	t.Helper()
	api, err := client.New(base, client.Options{Token: usher.Secret(w.tokens.issue(person(name))), Transport: w.http.Transport})
	if err != nil {
		t.Fatal(err)
	}
	s, err := api.Signal(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Drop() })
	return s
}

// hear returns the next message of that action.
func hear(t *testing.T, s *client.Signal, action string) client.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		m, err := s.Receive(ctx)
		if err != nil {
			t.Fatalf("waiting for %s: %v", action, err)
		}
		if m.Action == action {
			return m
		}
	}
}

func TestTheGoClientCallsAndComesBack(t *testing.T) {
	w := newWorld(t)
	w.friends("ann", "bob")
	ctx := t.Context()
	ann, bob := dialClient(t, w, "ann", client.SignalOptions{}), dialClient(t, w, "bob", client.SignalOptions{})
	old := dialClient(t, w, "bob", client.SignalOptions{InURL: true})
	if ann.Hello().UserID != "ann" || ann.Hello().Connection == "" || ann.Hello().Resume.Token == "" {
		t.Errorf("greeted %+v", ann.Hello())
	}
	ack, err := ann.Request(ctx, client.Message{Action: "call.invite", To: "bob", CallID: "c"})
	if err != nil || ack.CallID != "c" {
		t.Fatalf("got %+v, %v", ack, err)
	}
	if m := hear(t, bob, "call.invite"); m.From != "ann" || m.Call.State != "ringing" || m.Seq == 0 || bob.Seq() != m.Seq {
		t.Errorf("bob heard %+v", m)
	}
	hear(t, old, "call.invite")
	if _, err := bob.Request(ctx, client.Message{Action: "call.accept", CallID: "c"}); err != nil {
		t.Fatal(err)
	}
	hear(t, old, "call.taken")
	hear(t, ann, "call.accept")
	refusal, ok := errors.AsType[*client.SignalError](func() error {
		_, err := ann.Request(ctx, client.Message{Action: "sdp", To: "nobody"})
		return err
	}())
	if !ok || refusal.Code != "unreachable" {
		t.Errorf("got %v", refusal)
	}

	if err := bob.Drop(); err != nil {
		t.Fatal(err)
	}
	back := dialClient(t, w, "bob", client.SignalOptions{Resume: bob.Hello().Resume.Token, Seq: bob.Seq()})
	if !back.Hello().Resumed || back.Hello().Connection != bob.Hello().Connection {
		t.Errorf("greeted %+v", back.Hello())
	}
	if _, err := ann.Request(ctx, client.Message{Action: "sdp", CallID: "c", Payload: json.RawMessage(`{"a":1}`)}); err != nil {
		t.Fatal(err)
	}
	if m := hear(t, back, "sdp"); string(m.Payload) != `{"a":1}` || m.FromConnection != ann.Hello().Connection {
		t.Errorf("bob heard %+v", m)
	}
	api, err := client.New(base, client.Options{Transport: w.http.Transport})
	if err != nil {
		t.Fatal(err)
	}
	_, err = api.Signal(ctx, client.SignalOptions{Resume: bob.Hello().Resume.Token})
	if end, ok := errors.AsType[*client.SignalClosed](err); !ok || end.Code != 4404 {
		t.Errorf("an old resume token: %v", err)
	}
	_, err = api.Signal(ctx, client.SignalOptions{})
	if end, ok := errors.AsType[*client.SignalClosed](err); !ok || end.Code != 4401 {
		t.Errorf("no token: %v", err)
	}
	if _, err = api.Signal(ctx, client.SignalOptions{InURL: true}); err == nil {
		t.Error("no token in the URL: connected")
	}
	if err := back.Close(); err != nil {
		t.Error(err)
	}
	if _, err := back.Receive(ctx); err == nil {
		t.Error("received after the end")
	}
}
