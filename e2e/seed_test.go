package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The commands of the seed, as its page prints them.
const (
	seedAPIAddress  = "curl https://localhost:3000/api-address --insecure"
	seedMeeting     = "curl -X POST https://localhost:3000/meetings --insecure"
	seedParticipant = "curl -X POST https://localhost:3000/meetings/<meetingId>/participants --insecure"
)

// The formats of the seed's examples.
var (
	idForm     = regexp.MustCompile(`^[a-z2-7]{26}$`)
	secretForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	timeForm   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$`)
)

// Claim 1.
func TestTheSeedsCurlCommandsWorkAsPrinted(t *testing.T) {
	needs(t, "curl")
	freePort(t, "3000")
	freePort(t, "8080")
	s := start(t, options{DefaultPorts: true})
	if s.HTTPS != "https://localhost:3000" {
		t.Fatalf("the server is at %s", s.HTTPS)
	}
	tutorialByCurl(t, s, s, func(line string) string { return line })
}

// tutorialByCurl runs the seed's commands against a back end, each as adapt has
// it, and joins at the service with what they make.
func tutorialByCurl(t *testing.T, front, service *Server, adapt func(line string) string) seat {
	t.Helper()
	if got := shell(t, adapt(seedAPIAddress)); got != service.HTTPS {
		t.Errorf("the API address is %q, want %q", got, service.HTTPS)
	}

	meeting := record(t, shell(t, adapt(seedMeeting)))
	id, _ := meeting["id"].(string)
	wantForms(t, "meeting", meeting, map[string]*regexp.Regexp{
		"id": idForm, "status": regexp.MustCompile("^ready$"), "created_at": timeForm, "updated_at": timeForm,
	})

	participant := record(t, shell(t, adapt(strings.Replace(seedParticipant, "<meetingId>", id, 1))))
	secret, _ := participant["participant_secret"].(string)
	front.Secret(service.Secret(secret))
	wantForms(t, "participant", participant, map[string]*regexp.Regexp{
		"id": idForm, "meeting_id": regexp.MustCompile("^" + id + "$"), "participant_secret": secretForm,
		"status": regexp.MustCompile("^ready$"), "created_at": timeForm, "updated_at": timeForm,
	})
	wantRecent(t, meeting, participant)

	// The place is a real one: its secret opens it at the address above.
	pid, _ := participant["id"].(string)
	joined := service.joined(place{id, pid, secret})
	if joined.Token == "" {
		t.Error("the participant joined without a token")
	}
	return joined
}

// Claim 1: what curl -v shows of the same commands.
func TestTheSeedsRoutesAnswerLikeItsServer(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	meeting := s.must(http.StatusOK, http.MethodPost, "/meetings", "").text(t, "id")

	const (
		html = "text/html; charset=utf-8"
		json = "application/json; charset=utf-8"
	)
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		media, answer      string
	}{
		"the address":                       {http.MethodGet, "/api-address", "", 200, html, s.HTTPS},
		"only the head of the address":      {http.MethodHead, "/api-address", "", 200, html, ""},
		"a meeting":                         {http.MethodPost, "/meetings", "", 200, json, "*"},
		"a meeting with a body of any sort": {http.MethodPost, "/meetings", "{not JSON", 200, json, "*"},
		"a participant":                     {http.MethodPost, "/meetings/" + meeting + "/participants", "", 200, json, "*"},
		"a participant of no meeting": {http.MethodPost, "/meetings/aaaaaaaaaaaaaaaaaaaaaaaaaa/participants", "",
			500, html, "Cannot get participants from the meeting"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.do(test.method, test.path, test.body, "Origin", "https://localhost:4000")
			if a.Status != test.status || a.Header.Get("Content-Type") != test.media {
				t.Errorf("got status %d and type %q, want %d and %q: %s", a.Status, a.Header.Get("Content-Type"), test.status, test.media, a.Body)
			}
			if test.answer != "*" && a.Body != test.answer {
				t.Errorf("got the body %q, want %q", a.Body, test.answer)
			}
			if test.answer == "*" && a.text(t, "id") == "" {
				t.Errorf("got the body %q", a.Body)
			}
			if secret, ok := optionalText(a, "participant_secret"); ok {
				s.Secret(secret)
				if !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
					t.Errorf("a secret may be cached: Cache-Control is %q", a.Header.Get("Cache-Control"))
				}
			}
			if diff := cmp.Diff(seedHeaders(), selectHeaders(a.Header, seedHeaders())); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if a.Header.Get("X-Powered-By") != "" {
				t.Error("the answer says what the server runs on")
			}
		})
	}
}

func TestABrowserOfTheTutorialMayCallTheSeedsRoutes(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	a := s.do(http.MethodOptions, "/meetings", "",
		"Origin", "https://localhost:4000", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,x-test")
	if a.Status != http.StatusNoContent || a.Body != "" {
		t.Errorf("preflight: got status %d and body %q", a.Status, a.Body)
	}
	if got := a.Header.Get("Access-Control-Allow-Origin"); got != "https://localhost:4000" {
		t.Errorf("preflight: the origin allowed is %q", got)
	}
	if got := a.Header.Get("Access-Control-Allow-Headers"); got != "content-type,x-test" {
		t.Errorf("preflight: the headers allowed are %q", got)
	}
	if got := a.Header.Get("Access-Control-Allow-Methods"); !strings.Contains(got, "POST") {
		t.Errorf("preflight: the methods allowed are %q", got)
	}
	a = s.do(http.MethodPost, "/meetings", "", "Origin", "https://evil.example")
	if got := a.Header.Get("Access-Control-Allow-Origin"); got == "https://evil.example" || got == "*" {
		t.Errorf("a page of another origin may read the answer: %q", got)
	}
}

// seedHeaders are those of cors 2.8.5 and helmet 7.1, which the seed's server
// sends with every answer.
func seedHeaders() map[string]string {
	return map[string]string{
		"Access-Control-Allow-Origin": "https://localhost:4000",
		"Vary":                        "Origin",
		"Content-Security-Policy": "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';frame-ancestors 'self';" +
			"img-src 'self' data:;object-src 'none';script-src 'self';script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
		"Cross-Origin-Opener-Policy":        "same-origin",
		"Cross-Origin-Resource-Policy":      "same-origin",
		"Origin-Agent-Cluster":              "?1",
		"Referrer-Policy":                   "no-referrer",
		"Strict-Transport-Security":         "max-age=15552000; includeSubDomains",
		"X-Content-Type-Options":            "nosniff",
		"X-Dns-Prefetch-Control":            "off",
		"X-Download-Options":                "noopen",
		"X-Frame-Options":                   "SAMEORIGIN",
		"X-Permitted-Cross-Domain-Policies": "none",
		"X-Xss-Protection":                  "0",
	}
}

// selectHeaders returns those headers that are wanted.
func selectHeaders(h http.Header, wanted map[string]string) map[string]string {
	got := make(map[string]string)
	for name := range wanted {
		if values := h.Values(name); len(values) > 0 {
			got[name] = strings.Join(values, ", ")
		}
	}
	return got
}

func optionalText(a answer, field string) (string, bool) {
	var value map[string]any
	if json.Unmarshal([]byte(a.Body), &value) != nil {
		return "", false
	}
	text, ok := value[field].(string)
	return text, ok
}

// freePort fails the test if a port that the seed names is taken.
func freePort(t *testing.T, port string) {
	t.Helper()
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), time.Second)
		if err == nil {
			_ = conn.Close()
			t.Fatalf("another program listens on %s, the port that the seed's commands name: stop it and run this test again", conn.RemoteAddr())
		}
	}
}

// shell runs a command line as someone would who copies it, and returns what
// it prints.
func shell(t *testing.T, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, &stderr)
	}
	return stdout.String()
}

func record(t *testing.T, text string) map[string]any {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return value
}

// wantForms checks that a record has exactly those fields, each of its form.
func wantForms(t *testing.T, what string, got map[string]any, want map[string]*regexp.Regexp) {
	t.Helper()
	for field, form := range want {
		if text, ok := got[field].(string); !ok || !form.MatchString(text) {
			t.Errorf("%s: %s is %v, want %v", what, field, got[field], form)
		}
	}
	for field := range got {
		if want[field] == nil {
			t.Errorf("%s: has a field %q that the seed's has not", what, field)
		}
	}
}

// wantRecent checks that times without a zone are in UTC and of this minute.
func wantRecent(t *testing.T, records ...map[string]any) {
	t.Helper()
	for _, r := range records {
		for _, field := range []string{"created_at", "updated_at"} {
			text, _ := r[field].(string)
			at, err := time.Parse("2006-01-02T15:04:05.000000", text)
			if age := time.Since(at); err != nil || age < -time.Second || age > time.Minute {
				t.Errorf("%s is %q: error %v, %v ago by UTC", field, text, err, age)
			}
		}
	}
}
