package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
	"usher/internal/webhook"
)

const secret = usher.Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAAAAAAAAA=")

var operator = usher.Identity{App: usher.DefaultApp, Kind: usher.LocalIdentity, Subject: "operator", Operator: true}

// world is a record, and a receiver that what happens is told to.
type world struct {
	*testing.T
	db       store.DB
	ids      *usher.IDSource
	receiver *receiver
	// written are the ids of the events of each room, in order.
	written map[usher.ID][]usher.ID
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db"), Synchronous: sqlstore.Off})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &world{T: t, db: db, ids: usher.SystemIDs(), receiver: &receiver{T: t, told: make(map[usher.ID][]usher.ID)}, written: make(map[usher.ID][]usher.ID)}
}

// happen writes events of rooms down, in one batch.
func (w *world) happen(rooms ...string) []usher.Event {
	w.Helper()
	var events []usher.Event
	for _, r := range rooms {
		e := usher.Event{ID: w.ids.New(), Type: usher.Attached, App: usher.DefaultApp, Room: usher.ID(r), Who: "user:ann"}
		w.written[e.Room] = append(w.written[e.Room], e.ID)
		events = append(events, e)
	}
	w.write(events...)
	return events
}

func (w *world) write(events ...usher.Event) {
	w.Helper()
	body, err := json.Marshal(events)
	if err != nil {
		w.Fatal(err)
	}
	at := events[0].Time()
	if _, err := w.db.Record().Append(w.Context(), store.Batch{First: at, Last: at, Count: len(events), Body: body}); err != nil {
		w.Fatal(err)
	}
}

// server is one server that delivers.
type server struct {
	*webhook.Service
	w        *world
	registry *prometheus.Registry
	log      *logText
	// dead is a server that was killed: nothing of what it does has an effect.
	dead atomic.Bool
}

// logText is a log that can be read while it is written.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var errDead = errors.New("the server was killed")

// marks are those of a server that may be dead.
type marks struct {
	store.Once
	s *server
}

func (m marks) Replace(ctx context.Context, now time.Time, old []byte, next store.Mark) (store.Mark, error) {
	if m.s.dead.Load() {
		return store.Mark{}, errDead
	}
	return m.Once.Replace(ctx, now, old, next)
}

// RoundTrip hands a request to the receiver.
func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.dead.Load() {
		return nil, errDead
	}
	return s.w.receiver.RoundTrip(r)
}

// may is what an operator may.
func may(_ context.Context, id usher.Identity) error {
	if !id.Operator {
		return usher.Errorf(usher.Forbidden, "operators_only", "Only operators may.")
	}
	return nil
}

func (w *world) server(edit ...func(*webhook.Deps)) *server {
	w.Helper()
	s := &server{w: w, registry: prometheus.NewRegistry(), log: &logText{}}
	a := access.New(access.Config{
		Store: w.db, Bus: &bus.Local{}, Rooms: room.DefaultConfig(), Policy: policy.DefaultConfig(), Record: access.DefaultRecordConfig(),
		Logger: slog.New(slog.DiscardHandler), IDs: w.ids, Now: time.Now, Metrics: prometheus.NewRegistry(),
	})
	deps := webhook.Deps{
		Record: a.Follow(), Marks: marks{w.db.Once(), s}, Encode: func(e usher.Event) any { return e }, May: may,
		Alone: true, Node: w.ids.New(), Version: "test", Now: time.Now, Logger: slog.New(slog.NewTextHandler(s.log, nil)), Metrics: s.registry,
		Client: func(bool) *http.Client { return &http.Client{Transport: s} },
		Jitter: func() float64 { return 1 },
	}
	for _, f := range edit {
		f(&deps)
	}
	s.Service = webhook.New(deps)
	w.Cleanup(func() { _ = s.Close() })
	return s
}

// config is that of the one target.
func config(edit ...func(*webhook.Config)) []webhook.Config {
	c := webhook.Config{Name: "app", URL: "https://app.example/hook?q=1", Secret: secret}
	for _, f := range edit {
		f(&c)
	}
	return []webhook.Config{c}
}

func (s *server) apply(configs []webhook.Config) *server {
	s.w.Helper()
	if err := s.Apply(s.w.Context(), configs); err != nil {
		s.w.Fatal(err)
	}
	return s
}

// status is how it stands with the one target.
func (s *server) status() webhook.Status {
	s.w.Helper()
	list, err := s.Targets(s.w.Context(), operator)
	if err != nil || len(list) != 1 {
		s.w.Fatalf("got %+v, %v", list, err)
	}
	return list[0]
}

// metric is the sum of a metric of the one target.
func (s *server) metric(name string) float64 {
	s.w.Helper()
	sum := 0.0
	for _, m := range s.series(name) {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return sum
}

// series are those of a metric.
func (s *server) series(name string) []*dto.Metric {
	s.w.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.w.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()
		}
	}
	return nil
}

// receiver takes events as a script says.
type receiver struct {
	*testing.T
	mu sync.Mutex
	// answer says what comes of a post; nil is 200.
	answer func(room usher.ID, event usher.ID) (*http.Response, error)
	// told are the events of each room that were taken, each once, in the order
	// in which they came first.
	told     map[usher.ID][]usher.ID
	posts    int
	again    int // of events that had been taken already
	sequence []int64
}

// script sets what the receiver answers.
func (r *receiver) script(f func(room, event usher.ID) (*http.Response, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

func answer(status int, header ...string) (*http.Response, error) {
	rec := httptest.NewRecorder()
	for i := 0; i < len(header); i += 2 {
		rec.Header().Set(header[i], header[i+1])
	}
	rec.WriteHeader(status)
	return rec.Result(), nil
}

// RoundTrip takes a post.
func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var m struct {
		Type      usher.EventType
		Timestamp time.Time
		Sequence  int64
		Cursor    string
		Data      usher.Event
	}
	if err := json.Unmarshal(body, &m); err != nil {
		r.Errorf("the body %s: %v", body, err)
	}
	id, timestamp := req.Header.Get("Webhook-Id"), req.Header.Get("Webhook-Timestamp")
	if !verified(req.Header.Get("Webhook-Signature"), id, timestamp, body) {
		r.Errorf("the signature %q does not fit", req.Header.Get("Webhook-Signature"))
	}
	if id != string(m.Data.ID) || m.Type != m.Data.Type || !m.Timestamp.Equal(m.Data.Time()) || m.Cursor == "" || timestamp != fmt.Sprint(time.Now().Unix()) {
		r.Errorf("the post of %s at %s has %s", id, timestamp, body)
	}
	r.mu.Lock()
	f := r.answer
	r.posts++
	r.mu.Unlock()
	if f != nil {
		if res, err := f(m.Data.Room, m.Data.ID); err != nil || res != nil && res.StatusCode >= 300 {
			return res, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.told[m.Data.Room], m.Data.ID) {
		r.again++
	} else {
		r.told[m.Data.Room] = append(r.told[m.Data.Room], m.Data.ID)
		r.sequence = append(r.sequence, m.Sequence)
	}
	return answer(http.StatusNoContent)
}

func verified(signatures, id, timestamp string, body []byte) bool {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret.Reveal(), "whsec_"))
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return slices.Contains(strings.Fields(signatures), want)
}

// snapshot is what was told.
func (r *receiver) snapshot() (told map[usher.ID][]usher.ID, posts, again int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	told = maps.Clone(r.told)
	for room := range told {
		told[room] = slices.Clone(told[room])
	}
	return told, r.posts, r.again
}
