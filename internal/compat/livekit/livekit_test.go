package livekit_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	compatlivekit "usher/internal/compat/livekit"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/keys"
	"usher/internal/platform"
	"usher/internal/platform/livekit"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store/sqlstore"
)

const (
	serverURL = "wss://livekit.example.com"
	apiKey    = "APItest"
	apiSecret = "a secret of this test and nothing else"
)

// server is an endpoint, and what it writes to its log.
type server struct {
	handler http.Handler
	livekit *livekit.Platform
	log     bytes.Buffer
}

func newServer(t testing.TB, who identity.Authenticator, open, implicit bool) *server {
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
	s := &server{}
	if s.livekit, err = livekit.New(livekit.Config{URL: serverURL, APIKey: apiKey, APISecret: apiSecret}); err != nil {
		t.Fatal(err)
	}
	rooms := room.DefaultConfig()
	rooms.Implicit = implicit
	logger, ids := slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})), usher.SystemIDs()
	a := access.New(access.Config{
		Store: db, Bus: &bus.Local{}, Rooms: rooms, Policy: policy.DefaultConfig(), Record: access.DefaultRecordConfig(),
		Logger: logger, IDs: ids, Now: time.Now, Derive: sealer.Derive, Metrics: prometheus.NewRegistry(),
		Platforms: map[string]platform.Platform{"livekit": s.livekit},
	})
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	s.handler, err = httpd.New(httpd.Config{
		Identity: who, Logger: logger, Metrics: httpd.NewMetrics(prometheus.NewRegistry()), RequestIDs: ids,
	}, compatlivekit.New(compatlivekit.Config{Access: a, Open: open}).Dialect())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// developer returns a server in development.
func developer(t *testing.T) *server {
	return newServer(t, identity.Chain{identity.Dev{}}, true, true)
}

// known takes everyone for one identity.
type known struct{ id usher.Identity }

func (k known) Authenticate(context.Context, identity.Proof) (usher.Identity, error) {
	return k.id, nil
}

var ann = usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: "ann", Name: "Ann"}

func (s *server) call(t *testing.T, method, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/livekit/token", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	resp := w.Result()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestTheEndpointAnswersWithAServerAndAToken(t *testing.T) {
	for name, test := range map[string]struct {
		who         identity.Authenticator
		body        string
		sub, called string
	}{
		"a developer, by any name": {
			identity.Chain{identity.Dev{}}, `{"room_name":"standup","participant_identity":"ben"}`, "ben", "Developer",
		},
		"a user who asks for no identity": {
			known{ann}, `{"room_name":"standup","participant_name":"Somebody else"}`, ann.Key(), "Ann",
		},
		"everything that is unset": {
			known{ann}, `{"room_name":"standup","participant_metadata":"","participant_attributes":{},"room_config":{}}`, ann.Key(), "Ann",
		},
		"null is unset": {
			known{ann}, `{"room_name":"standup","participant_identity":null,"participant_attributes":null,"room_config":null}`, ann.Key(), "Ann",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, test.who, true, true)
			resp, body := s.call(t, "POST", test.body)
			var answer map[string]string
			if err := json.Unmarshal([]byte(body), &answer); err != nil || resp.StatusCode != http.StatusCreated {
				t.Fatalf("got %d %s, want 201: %v", resp.StatusCode, body, err)
			}
			token := answer["participant_token"]
			if diff := cmp.Diff(map[string]string{"server_url": serverURL, "participant_token": token}, answer); diff != "" {
				t.Errorf("the answer (-want +got):\n%s", diff)
			}
			found, ok := s.livekit.Inspect(usher.Secret(token), time.Now())
			if !ok || found.Verified != platform.Good || len(found.Problems) > 0 {
				t.Fatalf("the token is not good: %+v", found)
			}
			var claims struct {
				Sub, Name string
				Video     struct {
					Room string
				}
			}
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(payload, &claims); err != nil {
				t.Fatal(err)
			}
			if claims.Sub != test.sub || claims.Name != test.called || claims.Video.Room != "standup" {
				t.Errorf("the token is for %+v, want %s, named %s, in standup", claims, test.sub, test.called)
			}
			if got := resp.Header.Get("Cache-Control"); !strings.Contains(got, "no-store") {
				t.Errorf("the answer may be cached: %q", got)
			}
			if log := s.log.String(); strings.Contains(log, token) || strings.Contains(log, apiSecret) {
				t.Errorf("the log has a secret: %s", log)
			}
		})
	}
}

func TestWhatTheTokenWouldNotCarryIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		body   string
		status int
		field  string
	}{
		"no body":        {"", 400, "room_name"},
		"no room":        {`{}`, 400, "room_name"},
		"an empty room":  {`{"room_name":""}`, 400, "room_name"},
		"every room":     {`{"room_name":"*"}`, 400, "room_name"},
		"metadata":       {`{"room_name":"a","participant_metadata":"{}"}`, 400, "participant_metadata"},
		"attributes":     {`{"room_name":"a","participant_attributes":{"a":"b"}}`, 400, "participant_attributes"},
		"an agent":       {`{"room_name":"a","room_config":{"agents":[{"agent_name":"x"}]}}`, 400, "room_config"},
		"a field more":   {`{"room_name":"a","room_admin":true}`, 400, "room_admin"},
		"another type":   {`{"room_name":1}`, 400, "room_name"},
		"no JSON":        {`room_name=a`, 400, ""},
		"two requests":   {`{"room_name":"a"}{"room_name":"b"}`, 400, ""},
		"no one's id":    {`{"room_name":"a","participant_identity":"*"}`, 400, ""},
		"a long id":      {`{"room_name":"a","participant_identity":"` + strings.Repeat("i", 257) + `"}`, 400, ""},
		"a long body":    {`{"room_name":"` + strings.Repeat("a", 1<<20) + `"}`, 413, ""},
		"a control char": {`{"room_name":"a\u0000"}`, 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := developer(t).call(t, "POST", test.body)
			if resp.StatusCode != test.status || strings.Contains(body, "eyJ") || len(body) > 1000 {
				t.Errorf("got %d %s, want %d", resp.StatusCode, body, test.status)
			}
			if test.field != "" && !strings.Contains(body, `"field":"`+test.field+`"`) {
				t.Errorf("got %s, want the field %s named", body, test.field)
			}
		})
	}
}

func TestWhoMayNotGetsNoToken(t *testing.T) {
	const request = `{"room_name":"standup"}`
	noScope := usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "c", Scopes: usher.Scopes{usher.MeetingRead}}
	for name, test := range map[string]struct {
		who    identity.Authenticator
		status int
		code   string
	}{
		"nobody":                          {identity.Chain{}, 401, "credentials_required"},
		"a back end without the scope":    {known{noScope}, 403, "scope_missing"},
		"a user, where no room is made":   {known{ann}, 404, "room_not_found"},
		"a developer, where none is made": {identity.Chain{identity.Dev{}}, 404, "room_not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := newServer(t, test.who, false, false).call(t, "POST", request)
			if resp.StatusCode != test.status || !strings.Contains(body, `"code":"`+test.code+`"`) {
				t.Errorf("got %d %s, want %d and %s", resp.StatusCode, body, test.status, test.code)
			}
		})
	}
}

func TestPagesMayFetchTokens(t *testing.T) {
	for origin, want := range map[string][2]string{ // where the server is open, and where callers are known
		"http://localhost:3000": {"http://localhost:3000", "*"},
		"https://app.example":   {"", "*"},
	} {
		for i, open := range []bool{true, false} {
			s := newServer(t, known{ann}, open, true)
			for _, method := range []string{"OPTIONS", "POST"} {
				resp, _ := s.call(t, method, `{"room_name":"a"}`, "Origin", origin,
					"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
				if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want[i] {
					t.Errorf("%s from %s, open: %t: allowed %q, want %q", method, origin, open, got, want[i])
				}
				if method == "OPTIONS" && (resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Headers") != "authorization,content-type") {
					t.Errorf("preflight: got %d and %v", resp.StatusCode, resp.Header)
				}
			}
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{`{"room_name":"a"}`, `{"room_name":"*"}`, `{"room_config":{"agents":[]}}`, `[]`, `null`, ``} {
		f.Add(seed)
	}
	// Its only user may enter no room, so that every request is refused in the end.
	s := newServer(f, known{ann}, false, false)
	f.Fuzz(func(t *testing.T, body string) {
		s.log.Reset()
		resp, answer := s.call(t, "POST", body)
		if resp.StatusCode < 400 || resp.StatusCode >= 500 || strings.Contains(answer, "eyJ") {
			t.Errorf("%q: got %d %s, want a refusal", body, resp.StatusCode, answer)
		}
	})
}
