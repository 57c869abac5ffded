package e2e_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/client"
)

// hookReceiver takes what a server tells of, as its moods have it.
type hookReceiver struct {
	t      testing.TB
	url    string
	secret usher.Secret

	mu    sync.Mutex
	posts int
	// mood is what becomes of a post; 0 takes it.
	mood func(post int, room usher.ID) int
	// told are the ids of the events of each room, each once, in the order in
	// which they came.
	told    map[usher.ID][]usher.ID
	changed chan struct{}
}

// hookSecret is a new secret, as the command makes it.
func hookSecret(t testing.TB) usher.Secret {
	t.Helper()
	usherBinary(t) // which takes longer to build than a command may
	return usher.Secret(strings.TrimSpace(runUsher(t, "webhook", "secret").Stdout))
}

func newHookReceiver(t testing.TB) *hookReceiver {
	t.Helper()
	r := &hookReceiver{t: t, told: make(map[usher.ID][]usher.ID), changed: make(chan struct{}, 1)}
	r.secret = hookSecret(t)
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// entry is what a configuration says of the receiver.
func (r *hookReceiver) entry(more string) string {
	return fmt.Sprintf("webhooks:\n  - name: app\n    url: %s/hook\n    secret: %s\n    allowPrivate: true\n%s", r.url, r.secret.Reveal(), more)
}

func (r *hookReceiver) set(mood func(post int, room usher.ID) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mood = mood
}

func (r *hookReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the server was killed
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.secret.Reveal(), "whsec_"))
	if err != nil {
		r.t.Error(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", req.Header.Get("Webhook-Id"), req.Header.Get("Webhook-Timestamp"), body)
	if got, want := req.Header.Get("Webhook-Signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want {
		r.t.Errorf("the signature is %q, want %q", got, want)
	}
	var m struct{ Data client.Event }
	if err := json.Unmarshal(body, &m); err != nil {
		r.t.Errorf("the body %s: %v", body, err)
	}
	e := m.Data
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts++
	if r.mood != nil {
		if status := r.mood(r.posts, e.Room); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	if !slices.Contains(r.told[e.Room], e.ID) {
		r.told[e.Room] = append(r.told[e.Room], e.ID)
	}
	w.WriteHeader(http.StatusNoContent)
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// wait waits until something is true of what was told.
func (r *hookReceiver) wait(ctx context.Context, what string, done func(told map[usher.ID][]usher.ID) bool) {
	r.t.Helper()
	for {
		r.mu.Lock()
		ok := done(r.told)
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-r.changed:
		case <-ctx.Done():
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("%s: of %d rooms was told", what, len(r.told))
		}
	}
}

// livesOfRooms makes rooms, bans two from each and ends it, until the server is
// gone. It returns the rooms whose end was acknowledged.
func livesOfRooms(ctx context.Context, api *client.API, enough func()) (ended []usher.ID) {
	for ctx.Err() == nil {
		room, err := api.CreateRoom(ctx, client.CreateRoomRequest{})
		for i := range 2 {
			if err == nil {
				_, err = api.Ban(ctx, string(room.ID), client.BanRequest{Identity: fmt.Sprint("user:https://id.example#", i)})
			}
		}
		if err == nil {
			_, err = api.EndRoom(ctx, string(room.ID), "")
		}
		if err != nil {
			return ended
		}
		ended = append(ended, room.ID)
		enough()
	}
	return ended
}

// Servers are killed while they tell of what happens, to a receiver that fails
// now and then: in the end it was told of everything that was acknowledged, in
// the order of the record.
func TestNoEventIsMissingOrInDisorderThroughKills(t *testing.T) {
	t.Parallel()
	r := newHookReceiver(t)
	reached := make(chan struct{}, 1)
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case reached <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(inner.Close)
	s := start(t, options{Config: r.entry("    events: [taken, ended]\n" +
		"  - name: inner\n    url: " + inner.URL + "\n    secret: " + r.secret.Reveal() + "\n")})
	s.Secret(r.secret.Reveal())
	ctx := within(t, 3*time.Minute)

	var acknowledged []usher.ID
	for _, mood := range []func(post int, room usher.ID) int{
		nil,
		func(post int, _ usher.ID) int { return []int{0, 0, 503, 0, 0, 0, 500}[post%7] },
		func(_ int, room usher.ID) int { return map[bool]int{true: 410}[room[len(room)-1] < 'e'] },
		func(int, usher.ID) int { return 302 },
	} {
		r.set(mood)
		enough, done := countdown(40)
		lives := make(chan []usher.ID, 4)
		for range cap(lives) {
			go func() { lives <- livesOfRooms(ctx, s.operator(), enough) }()
		}
		select {
		case <-done:
		case <-ctx.Done():
			t.Fatal("too little happened")
		}
		s.Kill()
		for range cap(lives) {
			acknowledged = append(acknowledged, <-lives...)
		}
		s.Restart()
	}
	r.set(nil)
	r.wait(ctx, "after the kills", func(told map[usher.ID][]usher.ID) bool {
		return !slices.ContainsFunc(acknowledged, func(room usher.ID) bool { return len(told[room]) < 3 })
	})

	want := make(map[usher.ID][]usher.ID)
	for _, kind := range []usher.EventType{usher.Taken, usher.Ended} {
		q := client.EventQuery{Type: kind}
		for {
			page, err := s.operator().EventPage(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				want[e.Room] = append(want[e.Room], e.ID) // those of a room are taken, taken, ended
			}
			if q.Cursor = page.NextCursor; !page.More {
				break
			}
		}
	}
	r.wait(ctx, "all of the record", func(told map[usher.ID][]usher.ID) bool {
		return len(told) == len(want) && cmp.Equal(want, told)
	})
	for _, room := range acknowledged {
		if len(want[room]) != 3 {
			t.Errorf("of a room whose end was acknowledged the record has %d events, want 3", len(want[room]))
		}
	}
	select {
	case <-reached:
		t.Error("a private address was reached")
	default:
	}
	list, err := s.operator().Webhooks(ctx)
	if err != nil || len(list) != 2 || len(list[0].Held) > 0 || list[0].Failure != "" || !strings.Contains(list[1].Failure, "not a public one") {
		t.Errorf("the webhooks are %+v, %v", list, err)
	}
	if got := runUsher(t, "webhook", "replay", "app", "--data", s.Data, "--from", "begin"); got.Status != 0 {
		t.Errorf("usher webhook replay: %s", got.Stderr)
	}
	posts := func() int { r.mu.Lock(); defer r.mu.Unlock(); return r.posts }
	total := 0
	for _, events := range want {
		total += len(events)
	}
	t.Logf("figure: %d events of %d rooms through 4 kills, %d posts: each event was told, in order", total, len(want), posts())
	before := posts()
	r.wait(ctx, "again", func(map[usher.ID][]usher.ID) bool { return r.posts >= before+total/2 })
}

// docExample is the program of a language in the page about webhooks.
func docExample(t testing.TB, language string) string {
	t.Helper()
	page := string(readFile(t, "../docs/webhooks.md"))
	m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("docs/webhooks.md has no example in %s", language)
	}
	return m[1]
}

func TestTheExamplesOfReceivers(t *testing.T) {
	t.Parallel()
	for name, example := range map[string]struct{ language, file, program string }{
		"Node.js": {"js", "receiver.mjs", "node"},
		"Go":      {"go", "receiver.go", "go"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needs(t, example.program)
			ctx := within(t, 2*time.Minute)
			file := filepath.Join(t.TempDir(), example.file)
			if err := os.WriteFile(file, []byte(docExample(t, example.language)), 0o600); err != nil {
				t.Fatal(err)
			}
			program := []string{example.program, file}
			if example.language == "go" {
				binary := filepath.Join(t.TempDir(), "receiver")
				if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, file).CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				program = []string{binary}
			}
			secret := hookSecret(t).Reveal()
			port := unusedPort(t)
			cmd := exec.CommandContext(ctx, program[0], program[1:]...)
			cmd.Env = environ("PORT="+port, "WEBHOOK_SECRET="+secret)
			out := newOutput()
			cmd.Stdout, cmd.Stderr = out, out
			cmd.WaitDelay = 10 * time.Second
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			s := start(t, options{Config: "webhooks:\n  - name: app\n    url: http://127.0.0.1:" + port +
				"\n    secret: " + secret + "\n    allowPrivate: true\n    events: [ended]\n"})
			s.Secret(secret)
			room, err := s.operator().CreateRoom(ctx, client.CreateRoomRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.operator().EndRoom(ctx, string(room.ID), ""); err != nil {
				t.Fatal(err)
			}
			if err := out.await(ctx, "ended "+string(room.ID), 0); err != nil {
				t.Fatal(err)
			}
			res, err := http.Post("http://127.0.0.1:"+port, "application/json", strings.NewReader(`{"type":"ended","data":{"id":"x","room":"forged"}}`))
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusUnauthorized || bytes.Contains(out.Bytes(), []byte("forged")) {
				t.Errorf("a forged message: got %d", res.StatusCode)
			}
		})
	}
}
