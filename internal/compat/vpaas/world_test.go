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
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
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
	listener *memoryListener

	client usher.Client
	key    ed25519.PrivateKey
	bearer string // the client's, with all scopes
}

// newWorld starts a server; change adapts its configuration.
func newWorld(t testing.TB, change ...func(*vpaas.Config)) *world {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	w := &world{t: t, ids: usher.SystemIDs(), listener: newMemoryListener()}
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
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return w.listener.dial() }}
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

// memoryListener accepts connections from its own process.
type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemoryListener() *memoryListener {
	return &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

func (l *memoryListener) dial() (net.Conn, error) {
	theirs, ours := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
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

// peer is a browser's end of a connection. It reads all the time, as a browser
// does.
type peer struct {
	t      testing.TB
	conn   *websocket.Conn
	heard  chan map[string]any
	closed chan websocket.CloseError
}

func (w *world) dial(meeting string) *peer {
	w.t.Helper()
	// As a page from a file, of no origin.
	conn, resp, err := websocket.Dial(context.Background(), "ws://usher.test/v1/meetings/"+meeting+"/socket", &websocket.DialOptions{
		HTTPClient: w.http, HTTPHeader: http.Header{"Origin": {"null"}},
	})
	if err != nil {
		w.t.Fatalf("dial: %v (%v)", err, resp)
	}
	conn.SetReadLimit(1 << 20)
	p := &peer{t: w.t, conn: conn, heard: make(chan map[string]any, 4096), closed: make(chan websocket.CloseError, 1)}
	go p.read()
	w.t.Cleanup(func() { _ = conn.CloseNow() })
	return p
}

func (p *peer) read() {
	for {
		_, data, err := p.conn.Read(context.Background())
		if err != nil {
			end, ok := errors.AsType[websocket.CloseError](err)
			if !ok {
				end.Code = -1 // lost
			}
			p.closed <- end
			return
		}
		var m map[string]any
		if err := json.Unmarshal(data, &m); err != nil {
			p.t.Errorf("the server sent %q: %v", data, err)
		}
		p.heard <- m
	}
}

func (p *peer) send(text string) {
	p.t.Helper()
	if err := p.conn.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		p.t.Errorf("send: %v", err)
	}
}

// patience bounds every wait for something that should be there at once.
const patience = 20 * time.Second

// next returns the next message.
func (p *peer) next() map[string]any {
	p.t.Helper()
	select {
	case m := <-p.heard:
		return m
	case <-time.After(patience):
		p.t.Fatal("nothing was heard")
		return nil
	}
}

// answer returns the next message that is not a roster.
func (p *peer) answer() map[string]any {
	p.t.Helper()
	for {
		if m := p.next(); m["type"] != "roster_update" {
			return m
		}
	}
}

// wantAnswer holds the next message that is not a roster against a wanted one.
func (p *peer) wantAnswer(want map[string]any) {
	p.t.Helper()
	got := p.answer()
	if want["type"] == "success" { // its id is made up
		if id, _ := got["id"].(string); len(id) != 36 || id[14] != '4' {
			p.t.Errorf("the id of a success is %v, want a UUID of version 4", got["id"])
		}
		delete(got, "id")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("got (+), want (-):\n%s", diff)
	}
}

// wantRoster waits for the next roster and holds it against who should be in it.
func (p *peer) wantRoster(places ...place) {
	p.t.Helper()
	want := make(map[string]any)
	for _, q := range places {
		want[q.id] = map[string]any{"streams": map[string]any{}}
	}
	got := p.next()
	if diff := cmp.Diff(map[string]any{"type": "roster_update", "participants": want}, got); diff != "" {
		p.t.Errorf("roster: got (+), want (-):\n%s", diff)
	}
}

// wantClosed waits until the server has closed the connection.
func (p *peer) wantClosed(code int, reason string) {
	p.t.Helper()
	select {
	case end := <-p.closed:
		if int(end.Code) != code || end.Reason != reason {
			p.t.Errorf("closed with %d %q, want %d %q", end.Code, end.Reason, code, reason)
		}
	case <-time.After(patience):
		p.t.Fatal("the connection is still open")
	}
}

// leave closes as the SDK does.
func (p *peer) leave() { _ = p.conn.Close(websocket.StatusNormalClosure, "") }

// lose breaks the connection.
func (p *peer) lose() { _ = p.conn.CloseNow() }

func authenticate(p place, token string) string {
	return `{"type":"authenticate","token":"` + token + `","participant_id":"` + p.id + `","id":"342b271e"}`
}

var success = map[string]any{"type": "success", "ref": "342b271e", "reason": "Authenticated"}

// enter connects with a token and authenticates.
func (w *world) enter(p place, token string) *peer {
	w.t.Helper()
	c := w.dial(p.meeting)
	c.send(authenticate(p, token))
	c.wantAnswer(success)
	return c
}

// pass lets time pass in a bubble, and all that it sets off happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
