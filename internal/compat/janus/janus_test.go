package janus_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	compatjanus "usher/internal/compat/janus"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/keys"
	"usher/internal/platform"
	"usher/internal/platform/janus"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store/sqlstore"
)

var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// server answers for one caller.
type server struct {
	access  *access.Access
	handler http.Handler
	caller  usher.Identity
}

func (s *server) Authenticate(context.Context, identity.Proof) (usher.Identity, error) {
	return s.caller, nil
}

func newServer(t *testing.T, implicit bool) *server {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db"), Synchronous: sqlstore.Off})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	config := janus.DefaultConfig()
	config.KeyFile, config.Signer = "a test's own", signingKey()
	media, err := janus.New(config)
	if err != nil {
		t.Fatal(err)
	}
	rooms := room.DefaultConfig()
	rooms.Implicit = implicit
	logger, ids := slog.New(slog.DiscardHandler), usher.SystemIDs()
	s := &server{caller: ann}
	s.access = access.New(access.Config{
		Store: db, Bus: &bus.Local{}, Rooms: rooms, Policy: policy.DefaultConfig(), Record: access.DefaultRecordConfig(),
		Logger: logger, IDs: ids, Now: time.Now, Derive: sealer.Derive, Metrics: prometheus.NewRegistry(),
		Platforms: map[string]platform.Platform{janus.Name: media},
	})
	t.Cleanup(func() { _ = s.access.Close(context.Background()) })
	s.handler, err = httpd.New(httpd.Config{
		Identity: s, Logger: logger, Metrics: httpd.NewMetrics(prometheus.NewRegistry()), RequestIDs: ids,
	}, compatjanus.New(compatjanus.Config{Access: s.access}).Dialect())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func user(name string) usher.Identity {
	return usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: name, Name: name}
}

var ann, bob = user("ann"), user("bob")

func (s *server) ask(t *testing.T, as usher.Identity, body string) *httptest.ResponseRecorder {
	t.Helper()
	s.caller = as
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/janus/token", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// granted is an answer, and what its token says.
type granted struct {
	Token     string `json:"token"`
	ExpiresAt string `json:"expires_at"`
	ExpiresIn int    `json:"expires_in"`
	RefreshIn int    `json:"refresh_in"`
	claims    struct {
		JoinHub   bool     `json:"join_hub"`
		KickUsers bool     `json:"kick_users"`
		RoomIDs   []string `json:"room_ids"`
		Expires   int64    `json:"exp"`
	}
}

func (s *server) must(t *testing.T, as usher.Identity, body string) granted {
	t.Helper()
	w := s.ask(t, as, body)
	if w.Code != http.StatusOK {
		t.Fatalf("%s: got %d %s", body, w.Code, w.Body)
	}
	if got := w.Header().Get("Cache-Control"); !strings.Contains(got, "no-store") {
		t.Errorf("Cache-Control is %q", got)
	}
	var g granted
	if err := json.Unmarshal(w.Body.Bytes(), &g); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(g.Token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &g.claims); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestATokenOpensOneRoomForAWhile(t *testing.T) {
	s := newServer(t, true)
	g := s.must(t, ann, `{"room":"lobby"}`)
	if !g.claims.JoinHub || len(g.claims.RoomIDs) != 1 || g.claims.RoomIDs[0] != "lobby" {
		t.Errorf("the token says %+v", g.claims)
	}
	until, err := time.Parse(time.RFC3339, g.ExpiresAt)
	if err != nil || until.Unix() != g.claims.Expires {
		t.Errorf("expires_at is %q, the token's end %d", g.ExpiresAt, g.claims.Expires)
	}
	if g.ExpiresIn < 290 || g.ExpiresIn > 300 || g.RefreshIn <= 0 || g.RefreshIn*3 > g.ExpiresIn*2 {
		t.Errorf("expires in %d s, to be renewed in %d s; want five minutes, and time for two retries", g.ExpiresIn, g.RefreshIn)
	}
}

func TestOnlyTheOwnerCanKick(t *testing.T) {
	s := newServer(t, true)
	if g := s.must(t, ann, `{"room":"nobody's"}`); g.claims.KickUsers {
		t.Error("who names a room first can kick")
	}
	if _, err := s.access.CreateRoom(t.Context(), ann, access.RoomSpec{Name: "lobby", Admission: usher.AdmitOpen}, ""); err != nil {
		t.Fatal(err)
	}
	if g := s.must(t, ann, `{"room":"lobby"}`); !g.claims.KickUsers {
		t.Error("who owns the room can't kick")
	}
	for _, body := range []string{`{"room":"lobby"}`, `{"room":"lobby","role":"host"}`} {
		if g := s.must(t, bob, body); g.claims.KickUsers {
			t.Errorf("%s: somebody else can kick", body)
		}
	}
}

func TestWhatIsNotAllowedIsRefused(t *testing.T) {
	s := newServer(t, false)
	if _, err := s.access.CreateRoom(t.Context(), ann, access.RoomSpec{Name: "office"}, ""); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"a room of members":           {`{"room":"office"}`, 403, "not_member"},
		"a room that there is not":    {`{"room":"elsewhere"}`, 404, "room_not_found"},
		"no room":                     {`{}`, 400, "room_name_invalid"},
		"an unknown field":            {`{"room":"office","kick_users":true}`, 400, "field_unknown"},
		"a list of rooms":             {`{"room":["office"]}`, 400, "json_invalid"},
		"a right that Janus can't do": {`{"room":"office","role":"viewer"}`, 403, "not_member"},
	} {
		w := s.ask(t, bob, c.body)
		var p struct {
			Code string `json:"code"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.status || p.Code != c.code {
			t.Errorf("%s: got %d %s, want %d %s", name, w.Code, w.Body, c.status, c.code)
		}
	}
	if w := s.ask(t, ann, `{"room":"office","role":"viewer"}`); w.Code != http.StatusBadRequest && w.Code != http.StatusForbidden {
		t.Errorf("less than a speaker, which Janus can't express: got %d %s", w.Code, w.Body)
	}
}
