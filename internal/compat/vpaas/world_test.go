package vpaas_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/compat/vpaas"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/keys"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/socket/sockettest"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
)

const (
	base     = "http://usher.test"
	audience = "https://public.example/oauth/token"
	lease    = 30 * time.Second
	grace    = 45 * time.Second
)

// world is a server on a listener in memory, so that it can live in a bubble of
// package synctest, and a client of it.
type world struct {
	t        testing.TB
	db       *sqlstore.DB
	rooms    *unsureRooms
	ids      *usher.IDSource
	handler  http.Handler
	service  *vpaas.Service
	http     *http.Client
	listener *sockettest.Listener

	client usher.Client
	key    ed25519.PrivateKey
	bearer string // the client's, with all scopes
}

// newWorld starts a server; change adapts its configuration.
func newWorld(t testing.TB, change ...func(*vpaas.Config)) *world {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	w := &world{t: t, ids: usher.SystemIDs(), listener: sockettest.NewListener()}
	var err error
	if w.db, err = sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db")}); err != nil {
		t.Fatal(err)
	}
	w.rooms = &unsureRooms{Rooms: w.db.Rooms()}
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	manager, err := keys.Open(t.Context(), keys.Config{Store: w.db.Keys(), Sealer: sealer, Retain: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	rooms := room.DefaultConfig()
	rooms.Lease, rooms.Grace = lease, grace
	registry := prometheus.NewRegistry()
	door := access.New(access.Config{
		Store: unsureDB{w.db, w.rooms}, Bus: &bus.Local{}, Rooms: rooms, Policy: policy.DefaultConfig(), Record: access.DefaultRecordConfig(), Logger: logger, IDs: w.ids, Now: time.Now,
		Derive: sealer.Derive, Metrics: registry,
	})
	config := vpaas.Config{
		Access:     door,
		Assertions: &identity.Assertions{Clients: w.db.Clients(), Once: w.db.Once(), Now: time.Now, Logger: logger},
		Tokens:     &identity.AccessTokens{Keys: manager, Clients: w.db.Clients(), Issuer: base, Now: time.Now, Lifetime: time.Hour},
		Audiences:  []string{audience},
		Logger:     logger,
	}
	for _, f := range change {
		f(&config)
	}
	w.service = vpaas.New(config)
	w.handler, err = httpd.New(httpd.Config{
		Identity: identity.Chain{config.Tokens}, Logger: logger, Metrics: httpd.NewMetrics(registry), RequestIDs: w.ids,
	}, w.service.Dialect())
	if err != nil {
		t.Fatal(err)
	}
	w.serve(door)
	w.client, w.key = w.register(usher.DefaultScopes...)
	w.bearer = w.token(w.client, w.key)
	return w
}

// unsureRooms can lose the answer to a write.
type unsureRooms struct {
	store.Rooms
	lose atomic.Bool // the next
}

func (r *unsureRooms) Change(ctx context.Context, key usher.ParticipantKey, change func(store.Entry) (store.Entry, error)) (store.Entry, error) {
	e, err := r.Rooms.Change(ctx, key, change)
	if err == nil && r.lose.Swap(false) {
		return store.Entry{}, context.DeadlineExceeded
	}
	return e, err
}

type unsureDB struct {
	store.DB
	rooms store.Rooms
}

func (db unsureDB) Rooms() store.Rooms { return db.rooms }

// serve runs the server until the test is over.
func (w *world) serve(door *access.Access) {
	server := &http.Server{Handler: w.handler, ConnContext: httpd.ConnContext(httpd.Origin{Base: base})}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(w.listener) })
	running.Go(func() { door.Run(ctx) })
	transport := w.listener.Transport()
	w.http = &http.Client{Transport: transport}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.service.Shutdown(ctx); err != nil {
			w.t.Error(err)
		}
		_ = door.Close(context.Background())
		stop()
		transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			w.t.Error(err)
		}
		running.Wait()
		if err := w.db.Close(); err != nil {
			w.t.Error(err)
		}
	})
}

// register adds a client with a new key.
func (w *world) register(scopes ...usher.Scope) (usher.Client, ed25519.PrivateKey) {
	w.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		w.t.Fatal(err)
	}
	id := w.ids.New()
	c := usher.Client{
		App: usher.DefaultApp, ID: id, Name: "client " + string(id), Scopes: scopes, UpdatedAt: time.Now(), Version: 1,
		PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
	}
	if err := w.db.Clients().Create(w.t.Context(), c); err != nil {
		w.t.Fatal(err)
	}
	return c, private
}

// assertion signs a client's assertion; change, if not nil, adapts its claims.
func (w *world) assertion(c usher.Client, key ed25519.PrivateKey, change func(map[string]any)) string {
	w.t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{"iss": c.ID, "sub": c.ID, "aud": base + "/oauth/token", "iat": now, "exp": now + 60, "jti": rand.Text()}
	if change != nil {
		change(claims)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		w.t.Fatal(err)
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(signed)))
}

// tokenForm is a token request as VPaaS's client sends it.
func tokenForm(assertion string) url.Values {
	return url.Values{
		"grant_type":            {"client_credentials"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}
}

// token gets a client an access token.
func (w *world) token(c usher.Client, key ed25519.PrivateKey) string {
	w.t.Helper()
	a := w.do(call{method: "POST", path: "/oauth/token", form: tokenForm(w.assertion(c, key, nil))})
	token, _ := a.body["access_token"].(string)
	if a.status != 200 || token == "" {
		w.t.Fatalf("no token: %d %v", a.status, a.body)
	}
	return token
}

// call is a request to the server.
type call struct {
	method, path string
	bearer       string
	body         string // JSON, if not empty
	form         url.Values
	header       http.Header
}

// answered is the answer to a call.
type answered struct {
	status int
	header http.Header
	body   map[string]any
}

func (w *world) do(c call) answered {
	w.t.Helper()
	var body io.Reader
	switch {
	case c.form != nil:
		body = strings.NewReader(c.form.Encode())
	case c.body != "":
		body = strings.NewReader(c.body)
	}
	req, err := http.NewRequest(c.method, base+c.path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	switch {
	case c.form != nil:
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case c.body != "":
		req.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answered{status: resp.StatusCode, header: resp.Header}
	if err := json.NewDecoder(resp.Body).Decode(&a.body); err != nil && resp.StatusCode != http.StatusNoContent {
		w.t.Errorf("%s %s: %d without JSON: %v", c.method, c.path, resp.StatusCode, err)
	}
	return a
}

// ok does a call of the client's that must succeed.
func (w *world) ok(method, path, body string) map[string]any {
	w.t.Helper()
	a := w.do(call{method: method, path: path, bearer: w.bearer, body: body})
	if a.status != 200 {
		w.t.Fatalf("%s %s: %d %v, want 200", method, path, a.status, a.body)
	}
	return a.body
}

// want holds an answer against a status and a reason.
func (w *world) want(what string, a answered, status int, reason string) {
	w.t.Helper()
	if a.status != status || status != 200 && a.body["reason"] != reason {
		w.t.Errorf("%s: %d %v, want %d %s", what, a.status, a.body, status, reason)
	}
	if status != 200 && a.body["status"] != float64(status) {
		w.t.Errorf("%s: the body's status is %v, want %d", what, a.body["status"], status)
	}
}

// place is a participant that may join.
type place struct{ meeting, id, secret string }

func (p place) path() string { return "/v1/meetings/" + p.meeting + "/participants/" + p.id }

func (w *world) meeting() string {
	w.t.Helper()
	return w.ok("POST", "/v1/meetings", "{}")["id"].(string)
}

func (w *world) place(meeting string) place {
	w.t.Helper()
	p := w.ok("POST", "/v1/meetings/"+meeting+"/participants", "{}")
	return place{meeting, p["id"].(string), p["participant_secret"].(string)}
}

// status is what a back end is told of a participant.
func (w *world) status(p place) string {
	w.t.Helper()
	return w.ok("GET", p.path(), "")["status"].(string)
}

func (w *world) join(p place) answered {
	w.t.Helper()
	return w.do(call{method: "POST", path: "/v1/meetings/" + p.meeting + "/join", body: encode(w.t, map[string]string{
		"participant_id": p.id, "participant_secret": p.secret,
	})})
}

// claim joins and returns the token.
func (w *world) claim(p place) string {
	w.t.Helper()
	a := w.join(p)
	if a.status != 200 {
		w.t.Fatalf("join: %d %v, want 200", a.status, a.body)
	}
	return a.body["token"].(string)
}

func encode(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// pass lets time pass in a bubble, and all that it sets off happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
