package api_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
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
	"usher/client"
	"usher/internal/access"
	"usher/internal/api"
	"usher/internal/bus"
	"usher/internal/figures"
	"usher/internal/health"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/keys"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store/sqlstore"
	"usher/internal/webhook"
)

// The callers of these tests, by their tokens.
const (
	owner    = "owner"    // a client with every scope
	stranger = "stranger" // another one
	unscoped = "unscoped" // a client without scopes
	robot    = "robot"    // a client with every scope that is an operator
	operator = "operator" // on this machine
	ann      = "ann"      // users
	ben      = "ben"
	nobody   = ""
)

// tokens knows the callers.
type tokens struct{}

func (tokens) Authenticate(_ context.Context, p identity.Proof) (usher.Identity, error) {
	id := usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: p.Bearer.Reveal(), Scopes: usher.AllScopes}
	switch p.Bearer.Reveal() {
	case owner, stranger:
		return id, nil
	case unscoped:
		id.Scopes = nil
		return id, nil
	case robot:
		id.Operator = true
		return id, nil
	case operator:
		id.Kind, id.Operator = usher.LocalIdentity, true
		return id, nil
	case ann, ben:
		name := p.Bearer.Reveal()
		return usher.Identity{
			App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: name, Name: name,
			Email: name + "@example.org", Groups: []string{"staff"}, IssuedAt: time.Now(), Proof: "https://id.example, key 1",
		}, nil
	}
	return usher.Identity{}, identity.ErrNotMine
}

// server is a server of the native API, and what was recorded of its traffic.
type server struct {
	*testing.T
	access   *access.Access
	url      string
	recorder *recorder
	log      *lockedBuffer

	mu  sync.Mutex
	now time.Time
}

// settings are what a test can have otherwise.
type settings struct {
	access access.Config
	httpd  httpd.Config
	api    api.Config
}

func newServer(t *testing.T, change ...func(*settings)) *server {
	t.Helper()
	s := &server{T: t, log: &lockedBuffer{}, now: time.Now().UTC()}
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db"), Synchronous: sqlstore.Off})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := usher.NewIDSource(s.clock, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Open(t.Context(), keys.Config{
		Store: db.Keys(), Sealer: sealer, Retain: time.Hour, Refresh: time.Millisecond, Now: s.clock, IDs: ids,
	})
	if err != nil {
		t.Fatal(err)
	}
	const issuer = "https://usher.example"
	guests := &identity.Guests{Keys: ring, Issuer: issuer, Now: s.clock, Lifetime: time.Hour}
	login := &identity.DevLogin{Keys: ring, Issuer: issuer, Now: s.clock, Lifetime: time.Hour}
	registry := prometheus.NewRegistry()
	logger := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	set := settings{
		access: access.Config{
			Store: db, Bus: &bus.Local{}, Rooms: room.DefaultConfig(), Policy: policy.DefaultConfig(), Record: access.DefaultRecordConfig(),
			Logger: logger, IDs: ids, Now: s.clock, Keys: ring, Guests: guests, Derive: sealer.Derive, Metrics: registry,
		},
		httpd: httpd.Config{
			Identity: identity.Chain{tokens{}, guests, login, &identity.APIKeys{Clients: db.Clients(), Now: s.clock, Logger: logger}},
			Logger:   logger, Metrics: httpd.NewMetrics(registry), RequestIDs: usher.SystemIDs(),
		},
		api: api.Config{DevLogin: login, Web: client.WebConfig{SignIn: client.SignInByName}},
	}
	set.access.Callers = identity.Chain{guests, login, &identity.APIKeys{Clients: db.Clients(), Now: s.clock, Logger: logger}}
	set.access.Operations = access.Operations{
		Figures: figures.New(registry, s.clock),
		Health:  health.New([]health.Check{{Kind: health.Store, Name: "sqlite", Ask: db.Ping}, {Kind: health.Platform, Name: "agora"}}, s.clock),
		Settings: func() []access.Setting {
			return []access.Setting{{Key: "agora.appId", Value: "x", Source: "USHER_AGORA_APP_ID"}}
		},
	}
	for _, f := range change {
		f(&set)
	}
	s.access = access.New(set.access)
	t.Cleanup(func() { _ = s.access.Close(context.Background()) })
	set.api.Access = s.access
	set.api.Webhooks = webhook.New(webhook.Deps{
		Record: s.access.Follow(), Marks: db.Once(), May: s.access.MayOperate, Alone: true, Node: ids.New(), Now: s.clock,
		Encode: func(e usher.Event) any { return api.WireEvent(e) }, Logger: logger, Metrics: registry,
	})
	if err := set.api.Webhooks.Apply(t.Context(), []webhook.Config{{
		Name: "app", URL: "http://127.0.0.1:9/", Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Events: []string{"not_ejected"},
	}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.api.Webhooks.Close() })
	native := api.New(set.api)
	handler, err := httpd.New(set.httpd, native.Dialect(), native.DevDialect())
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewServer(handler)
	t.Cleanup(ts.Close)
	s.url, s.recorder = ts.URL, newRecorder(t, ts.Client().Transport)
	return s
}

// newRecordingServer is a server whose record is on disk before it answers.
func newRecordingServer(t *testing.T) *server {
	t.Helper()
	s := newServer(t, func(set *settings) { set.access.Record.Audit = access.Strict })
	if err := s.access.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// clock is a microsecond later each time it is read.
func (s *server) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(time.Microsecond)
	return s.now
}

func (s *server) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// as returns the Go client of a caller.
func (s *server) as(token string) *client.API {
	s.Helper()
	c, err := client.New(s.url, client.Options{Token: usher.Secret(token), Transport: s.recorder})
	if err != nil {
		s.Fatal(err)
	}
	return c
}

// request is what the Go client would not send.
type request struct {
	caller string
	method string
	path   string // escaped, with the query
	body   string // application/json unless header says otherwise
	header map[string]string
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) problem(t *testing.T) client.Problem {
	t.Helper()
	if got, want := a.header.Get("Content-Type"), "application/problem+json"; got != want {
		t.Errorf("Content-Type: got %q, want %q", got, want)
	}
	var p client.Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	return p
}

func (a answer) decode(t *testing.T, value any) {
	t.Helper()
	if err := json.Unmarshal(a.body, value); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
}

func (s *server) send(r request) answer {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), r.method, s.url+r.path, strings.NewReader(r.body))
	if err != nil {
		s.Fatal(err)
	}
	if r.caller != nobody {
		req.Header.Set("Authorization", "Bearer "+r.caller)
	}
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	resp, err := s.recorder.RoundTrip(req)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

func (s *server) room(token string, req client.CreateRoomRequest) client.Room {
	s.Helper()
	return must(s.as(token).CreateRoom(s.Context(), req))(s.T)
}

func (s *server) invite(token, room string) client.Invited {
	s.Helper()
	return must(s.as(token).AddParticipant(s.Context(), room, client.AddParticipantRequest{Name: "Ann"}))(s.T)
}

// must returns the result of a call that may not fail.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func publicKey(t *testing.T) string {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// lockedBuffer takes the log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
