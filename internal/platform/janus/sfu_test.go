package janus_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"usher"
	"usher/internal/platform/janus"
)

func TestEjectFromTheSFU(t *testing.T) {
	f := &fakeSFU{plugin: plugin{authKey: export(t)}, secret: apiSecret}
	p := sfuPlatform(t, newSFU(t, f), func(c *janus.Config) { c.APISecret = apiSecret })
	f.seat("my-room", "alice", "bob")
	f.seat("other", "alice")
	if n, err := p.Count(bounded(t), "my-room"); n != 2 || err != nil {
		t.Errorf("%d are in the room, %v, want 2", n, err)
	}
	if err := p.Eject(bounded(t), "my-room", "alice"); err != nil {
		t.Error(err)
	}
	if got := f.in("my-room"); !slices.Equal(got, []string{"bob"}) {
		t.Errorf("%q are in the room, want bob", got)
	}
	if err := p.Eject(bounded(t), "my-room", "alice"); err != nil {
		t.Errorf("who is gone is ejected again: %v", err)
	}
	if err := p.Eject(bounded(t), "nowhere", "alice"); err != nil {
		t.Errorf("from a room that is gone: %v", err)
	}
	f.seat("my-room", "bob", "carol", "dave")
	if err := p.CloseRoom(bounded(t), "my-room"); err != nil {
		t.Error(err)
	}
	if n, err := p.Count(bounded(t), "my-room"); n != 0 || err != nil {
		t.Errorf("%d are in the closed room, %v, want 0", n, err)
	}
	if got := f.in("other"); !slices.Equal(got, []string{"alice"}) {
		t.Errorf("%q are in another room, want alice", got)
	}
	for _, user := range f.joined {
		if !strings.HasPrefix(user, "usher-") {
			t.Errorf("looked into a room as %q", user)
		}
	}
	if f.sessions != 0 {
		t.Errorf("%d sessions were left", f.sessions)
	}
}

func TestEjectSaysThatSomebodyIsStillThere(t *testing.T) {
	f := &fakeSFU{plugin: plugin{authKey: export(t)}, stubborn: 1}
	p := sfuPlatform(t, newSFU(t, f))
	f.seat("my-room", "alice")
	if err := p.Eject(bounded(t), "my-room", "alice"); !errors.Is(err, &usher.Error{Kind: usher.Unavailable, Code: "janus_still_there"}) {
		t.Errorf("got %v, want that alice is still there", err)
	}
	if err := p.Eject(bounded(t), "my-room", "alice"); err != nil || len(f.in("my-room")) != 0 {
		t.Errorf("asked again: %v", err)
	}
}

func TestTheSFUDoesNotAnswerAsItShould(t *testing.T) {
	foreign, err := janus.ExportDER(otherKey())
	if err != nil {
		t.Fatal(err)
	}
	mute := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ws, err := websocket.Accept(w, r, nil); err == nil {
			_, _, _ = ws.Read(r.Context())
			_ = ws.Write(r.Context(), websocket.MessageText, []byte("[]"))
			<-r.Context().Done()
		}
	}))
	t.Cleanup(mute.Close)
	tests := map[string]struct{ address, code string }{
		"its key is another":            {newSFU(t, &fakeSFU{plugin: plugin{authKey: foreign}}), "janus_refused"},
		"its clock is fast by an hour":  {newSFU(t, &fakeSFU{plugin: plugin{authKey: export(t), ahead: time.Hour}}), "janus_refused"},
		"it wants another api_secret":   {newSFU(t, &fakeSFU{plugin: plugin{authKey: export(t)}, secret: "other"}), "janus_refused"},
		"it is not there":               {"ws://127.0.0.1:1", "janus_unreachable"},
		"it speaks something else":      {"ws" + strings.TrimPrefix(mute.URL, "http"), "janus_answer_invalid"},
		"it ignores kicks without keys": {seated(t, &fakeSFU{}), "janus_still_there"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := sfuPlatform(t, test.address, func(c *janus.Config) { c.APISecret = "" })
			err := p.Eject(bounded(t), "my-room", "alice")
			e, ok := errors.AsType[*usher.Error](err)
			if !ok || e.Code != test.code {
				t.Errorf("got %v, want %s", err, test.code)
			}
			if err != nil && strings.Contains(err.Error(), "eyJ") {
				t.Errorf("there is a token in %q", err)
			}
		})
	}
}

func seated(t *testing.T, f *fakeSFU) string {
	address := newSFU(t, f)
	f.seat("my-room", "alice")
	return address
}

func TestNothingToAsk(t *testing.T) {
	p := newPlatform(t, config())
	_, opened := p.Open(t.Context())
	_, counted := p.Count(t.Context(), "my-room")
	for what, err := range map[string]error{
		"open": opened, "open by name": p.OpenRoom(t.Context(), "my-room"), "count": counted,
		"close": p.CloseRoom(t.Context(), "my-room"), "eject": p.Eject(t.Context(), "my-room", "alice"),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: got %v, want that it is not supported", what, err)
		}
	}
}
