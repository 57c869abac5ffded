package agora_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	compatagora "usher/internal/compat/agora"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/keys"
	"usher/internal/platform"
	"usher/internal/platform/agora"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store/sqlstore"
)

// A project that there is not, made up for tests.
const (
	appID       = "970ca35de60c44645bbae8a215061b33"
	certificate = "5cfd2fd1755d40ecb72977518be15d3b"
)

// server is a token server, and what it writes to its log.
type server struct {
	handler http.Handler
	access  *access.Access
	log     bytes.Buffer
}

type settings struct {
	who     identity.Authenticator
	version string
	closed  bool
	// public is the role of everybody, if everybody is served.
	public usher.Role
	access access.Config
}

// newServer returns the server of a developer, which makes tokens of 007,
// unless edit says otherwise.
func newServer(t testing.TB, edit ...func(*settings)) *server {
	t.Helper()
	set := settings{who: identity.Chain{identity.Dev{}}}
	set.access.Rooms, set.access.Policy = room.DefaultConfig(), policy.DefaultConfig()
	set.access.Rooms.Implicit = true
	for _, f := range edit {
		f(&set)
	}
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db"), Synchronous: sqlstore.Off})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	project, err := agora.New(agora.Config{AppID: appID, AppCertificate: certificate, TokenVersion: set.version})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{}
	logger, ids := slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})), usher.SystemIDs()
	config := set.access
	config.Store, config.Bus, config.Record, config.Logger, config.IDs = db, &bus.Local{}, access.DefaultRecordConfig(), logger, ids
	config.Now, config.Derive, config.Metrics = time.Now, sealer.Derive, prometheus.NewRegistry()
	config.Platforms = map[string]platform.Platform{"agora": project}
	s.access = access.New(config)
	t.Cleanup(func() { _ = s.access.Close(context.Background()) })
	d := compatagora.New(compatagora.Config{Access: s.access, Open: !set.closed}).Dialect()
	if set.public != "" {
		d.Access, d.PublicRole = httpd.ToPublic, set.public
	}
	s.handler, err = httpd.New(httpd.Config{
		Identity: set.who, Logger: logger, Metrics: httpd.NewMetrics(prometheus.NewRegistry()), RequestIDs: ids,
	}, d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func as(id usher.Identity) func(*settings) {
	return func(set *settings) { set.who = known{id} }
}

func version(v string) func(*settings) { return func(set *settings) { set.version = v } }

// known takes everyone for one identity.
type known struct{ id usher.Identity }

func (k known) Authenticate(context.Context, identity.Proof) (usher.Identity, error) {
	return k.id, nil
}

func user(name string) usher.Identity {
	return usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: name}
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	body   string
}

// text returns a member of the answer, if it is text.
func (r reply) text(t testing.TB, member string) string {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(r.body), &all); err != nil {
		t.Fatalf("got %d %q: %v", r.status, r.body, err)
	}
	text, _ := all[member].(string)
	return text
}

// call makes a request: "GET /path", or "POST /path" with a body of JSON.
func (s *server) call(t testing.TB, target, body string, header ...string) reply {
	t.Helper()
	method, path, _ := strings.Cut(target, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
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
	return reply{resp.StatusCode, resp.Header, string(b)}
}

// token007 returns a token that must be there, and be good.
func (s *server) token007(t testing.TB, r reply, member string) agora.Token007 {
	t.Helper()
	token := r.text(t, member)
	signed, err := agora.Parse007(usher.Secret(token))
	if err != nil || r.status != http.StatusOK {
		t.Fatalf("got %d %s, want a token of 007: %v", r.status, r.body, err)
	}
	if !signed.Verify(certificate) || signed.AppID != appID {
		t.Fatalf("the token %s is not of our project", token)
	}
	if strings.Contains(s.log.String(), token) {
		t.Errorf("the token is in the log")
	}
	return signed.Token007
}

// callerOf takes everyone for the identity that it points at.
type callerOf struct{ who **usher.Identity }

func (c callerOf) Authenticate(context.Context, identity.Proof) (usher.Identity, error) {
	return **c.who, nil
}
