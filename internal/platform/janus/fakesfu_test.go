package janus_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"usher/internal/platform/janus"
)

// fakeSFU is a small Janus with janus-plugin-sfu, as the real one was observed:
// every message is acknowledged and then answered, events come in between, a
// kick is always a success, and a handle joins once.
type fakeSFU struct {
	plugin
	secret string // api_secret, if any

	mu sync.Mutex
	// users are those who speak in each room, with the number of their handles.
	users map[string]map[string]int
	// kicks counts messages, and stubborn is how many of them take no effect.
	kicks, stubborn int
	sessions        int
	joined          []string // as whom
}

func newSFU(t testing.TB, f *fakeSFU) (address string) {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	if f.users == nil {
		f.users = map[string]map[string]int{}
	}
	return "ws" + strings.TrimPrefix(server.URL, "http") + "/janus"
}

// seat puts users into a room.
func (f *fakeSFU) seat(room string, users ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users[room] = map[string]int{}
	for _, user := range users {
		f.users[room][user]++
	}
}

func (f *fakeSFU) in(room string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	users := []string{}
	for user := range f.users[room] {
		users = append(users, user)
	}
	return users
}

type fakeMessage struct {
	Janus       string          `json:"janus"`
	Transaction string          `json:"transaction"`
	Session     uint64          `json:"session_id"`
	Handle      uint64          `json:"handle_id"`
	Plugin      string          `json:"plugin"`
	Secret      string          `json:"apisecret"`
	Body        json.RawMessage `json:"body"`
}

func (f *fakeSFU) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"janus-protocol"}})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	if ws.Subprotocol() != "janus-protocol" {
		return
	}
	handles := map[uint64]bool{} // whether each has joined
	session := uint64(0)
	for {
		var m fakeMessage
		if wsjson.Read(r.Context(), ws, &m) != nil {
			return
		}
		send := func(answer map[string]any) {
			answer["transaction"] = m.Transaction
			_ = wsjson.Write(r.Context(), ws, answer)
		}
		fail := func(code int, reason string) {
			send(map[string]any{"janus": "error", "error": map[string]any{"code": code, "reason": reason}})
		}
		joined, attached := handles[m.Handle]
		switch {
		case m.Secret != f.secret:
			fail(403, "Unauthorized request (wrong or missing secret/token)")
		case m.Janus == "create":
			session = 1 << 52
			f.count(1)
			send(map[string]any{"janus": "success", "data": map[string]any{"id": session}})
		case m.Session != session:
			fail(458, "No such session")
		case m.Janus == "destroy":
			f.count(-1)
			session = 0
			send(map[string]any{"janus": "success"})
		case m.Janus == "attach" && m.Plugin == "janus.plugin.sfu":
			handle := uint64(len(handles) + 1<<52)
			handles[handle] = false
			send(map[string]any{"janus": "success", "data": map[string]any{"id": handle}})
		case m.Janus == "attach":
			fail(460, "No such plugin '"+m.Plugin+"'")
		case !attached:
			fail(459, "No such handle")
		default:
			send(map[string]any{"janus": "ack"})
			_ = wsjson.Write(r.Context(), ws, map[string]any{"janus": "event", "plugindata": map[string]any{"data": map[string]any{"event": "leave"}}})
			answer, now := f.message(m.Body, joined)
			handles[m.Handle] = now
			send(map[string]any{"janus": "event", "plugindata": map[string]any{"plugin": "janus.plugin.sfu", "data": answer}})
		}
	}
}

func (f *fakeSFU) count(sessions int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions += sessions
}

// message answers a message to the plugin, and tells whether its handle has joined.
func (f *fakeSFU) message(body json.RawMessage, joined bool) (answer any, joins bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	refuse := func(message string) (any, bool) {
		return map[string]any{"success": false, "error": map[string]any{"msg": message}}, joined
	}
	var m struct {
		Kind  string  `json:"kind"`
		Room  *string `json:"room_id"`
		User  *string `json:"user_id"`
		Token *string `json:"token"`
	}
	if json.Unmarshal(body, &m) != nil || m.Room == nil || m.User == nil {
		return refuse("data did not match any variant of untagged enum OptionalField")
	}
	switch {
	case m.Kind == "kick" && m.Token != nil:
		f.kicks++
		if f.kicks > f.stubborn && f.kick(*m.Token, time.Now()) {
			delete(f.users[*m.Room], *m.User)
		}
		return map[string]any{"success": true, "response": map[string]any{}}, joined
	case m.Kind != "join":
		return refuse("data did not match any variant of untagged enum OptionalField")
	case joined:
		return refuse("Handles may only join once!")
	}
	if why := f.join(m.Token, *m.Room, time.Now()); why != accepted && why != acceptedByNone {
		return refuse(why)
	}
	f.joined = append(f.joined, *m.User)
	users := []string{}
	for user := range f.users[*m.Room] {
		users = append(users, user)
	}
	return map[string]any{"success": true, "response": map[string]any{"users": map[string]any{*m.Room: users}}}, true
}

// sfuPlatform is one that has its clock from the system, as the fake has.
func sfuPlatform(t testing.TB, address string, change ...func(*janus.Config)) *janus.Platform {
	t.Helper()
	c := config()
	c.PluginURL, c.TokenAuthSecret = address, ""
	for _, do := range change {
		do(&c)
	}
	return newPlatform(t, c)
}

func export(t testing.TB) []byte {
	t.Helper()
	der, err := janus.ExportDER(newKey())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// bounded is a context that ends before a test would hang.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
