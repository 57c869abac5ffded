package vpaas_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"usher"
	"usher/internal/platform/vpaas"
)

// only lets a fake answer the requests for one path in another way.
func only(path string, answer http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		answer(w, r)
		return true
	}
}

const (
	tokenPath       = "/oauth/token"
	meetingsPath    = "/v1/meetings"
	participantPath = "/v1/meetings/" + meeting + "/participants"
)

func TestEveryFailureHasItsKind(t *testing.T) {
	const canary = "canary-of-a-token-0123456789abcdefghij"
	body := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, text)
		}
	}
	reason := func(status int, text string) http.HandlerFunc {
		return body(status, fmt.Sprintf(`{"status":%d,"reason":%s}`, status, quoted(text)))
	}
	participant := func(old, new string) http.HandlerFunc {
		return body(200, strings.Replace(participantBody, old, new, 1))
	}
	token := func(access, kind string) http.HandlerFunc {
		return body(200, fmt.Sprintf(`{"access_token":%s,"token_type":%s,"expires_in":300}`, access, kind))
	}
	echo := func(w http.ResponseWriter, r *http.Request) {
		_, access, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		reason(403, "not for "+access)(w, r)
	}
	for name, test := range map[string]struct {
		path   string
		answer http.HandlerFunc
		kind   usher.Kind
		code   string
		says   string // in the log
	}{
		"unknown client":               {tokenPath, reason(400, "invalid_client"), usher.Upstream, "vpaas_credentials_refused", "answered 400: invalid_client; check the client id"},
		"a client refused with 401":    {tokenPath, body(401, ""), usher.Upstream, "vpaas_credentials_refused", "answered 401;"},
		"no token route":               {tokenPath, body(404, "<html>"), usher.Upstream, "vpaas_failed", "answered 404"},
		"a token answer of HTML":       {tokenPath, body(200, "<html>"+canary), usher.Upstream, "vpaas_answer_invalid", "no JSON object"},
		"no token":                     {tokenPath, body(200, `{}`), usher.Upstream, "vpaas_answer_invalid", "token_type"},
		"a token of another type":      {tokenPath, token(quoted(canary), `"mac"`), usher.Upstream, "vpaas_answer_invalid", "token_type"},
		"a token with a line break":    {tokenPath, token(quoted(canary+"\r\nX: y"), `"Bearer"`), usher.Upstream, "vpaas_answer_invalid", "access_token"},
		"a token that is a number":     {tokenPath, token(`1`, `"Bearer"`), usher.Upstream, "vpaas_answer_invalid", "access_token"},
		"an empty token":               {tokenPath, token(`""`, `"Bearer"`), usher.Upstream, "vpaas_answer_invalid", "access_token"},
		"an endless token":             {tokenPath, token(quoted(strings.Repeat("a", 9000)), `"Bearer"`), usher.Upstream, "vpaas_answer_invalid", "access_token"},
		"a forbidden create":           {meetingsPath, reason(403, "Missing scope"), usher.Upstream, "vpaas_refused", "answered 403: Missing scope"},
		"a reason that repeats tokens": {meetingsPath, echo, usher.Upstream, "vpaas_refused", "answered 403"},
		"a reason with a long word":    {meetingsPath, reason(500, "x "+canary), usher.Upstream, "vpaas_failed", "answered 500"},
		"a reason with control codes":  {meetingsPath, reason(500, "a\nlevel=ERROR canary"), usher.Upstream, "vpaas_failed", "answered 500"},
		"a very long reason":           {meetingsPath, reason(500, strings.Repeat("canary ", 50)), usher.Upstream, "vpaas_failed", "answered 500"},
		"no create route":              {meetingsPath, body(404, ""), usher.Upstream, "vpaas_failed", "answered 404"},
		"created with 201":             {meetingsPath, body(201, meetingBody), usher.Upstream, "vpaas_failed", "answered 201"},
		"no content":                   {meetingsPath, body(204, ""), usher.Upstream, "vpaas_failed", "answered 204"},
		"too many requests":            {meetingsPath, body(429, ""), usher.Unavailable, "vpaas_busy", "answered 429"},
		"out of service":               {meetingsPath, body(503, ""), usher.Unavailable, "vpaas_busy", "answered 503"},
		"a meeting of HTML":            {meetingsPath, body(200, "<html>"), usher.Upstream, "vpaas_answer_invalid", "no JSON object"},
		"an empty meeting":             {meetingsPath, body(200, ""), usher.Upstream, "vpaas_answer_invalid", "no JSON object"},
		"a meeting that is null":       {meetingsPath, body(200, "null"), usher.Upstream, "vpaas_answer_invalid", "no JSON object"},
		"a list of meetings":           {meetingsPath, body(200, "["+meetingBody+"]"), usher.Upstream, "vpaas_answer_invalid", "no JSON object"},
		"two meetings":                 {meetingsPath, body(200, meetingBody+meetingBody), usher.Upstream, "vpaas_answer_invalid", "no JSON object"},
		"a meeting in broken UTF-8":    {meetingsPath, body(200, strings.Replace(meetingBody, "ready", "\xff", 1)), usher.Upstream, "vpaas_answer_invalid", "no JSON object"},
		"a meeting without id":         {meetingsPath, body(200, `{"status":"ready"}`), usher.Upstream, "vpaas_answer_invalid", "id"},
		"a meeting with a path as id":  {meetingsPath, body(200, `{"id":"../../oauth"}`), usher.Upstream, "vpaas_answer_invalid", "id"},
		"an id of another spelling":    {meetingsPath, body(200, `{"ID":"`+meeting+`"}`), usher.Upstream, "vpaas_answer_invalid", "id"},
		"an id, and then another":      {meetingsPath, body(200, `{"id":"`+meeting+`","id":"x"}`), usher.Upstream, "vpaas_answer_invalid", "id"},
		"an oversized meeting":         {meetingsPath, body(200, meetingBody+strings.Repeat(" ", 64<<10)), usher.Upstream, "vpaas_answer_invalid", "more than 65536 bytes"},
		"an unknown meeting":           {participantPath, reason(404, "Invalid meeting ID"), usher.NotFound, "meeting_not_found", ""},
		"a meeting that is over":       {participantPath, body(410, ""), usher.Gone, "meeting_ended", ""},
		"a participant refused":        {participantPath, reason(400, "no"), usher.Upstream, "vpaas_failed", "answered 400: no"},
		"a participant elsewhere":      {participantPath, participant(meeting, "qnol2zvurei65axj5zspbecjne"), usher.Upstream, "vpaas_answer_invalid", "meeting_id"},
		"a participant without id":     {participantPath, participant(`"id"`, `"di"`), usher.Upstream, "vpaas_answer_invalid", "id"},
		"a participant without secret": {participantPath, participant(secret, ""), usher.Upstream, "vpaas_answer_invalid", "participant_secret"},
		"a secret with a space":        {participantPath, participant(secret, canary+" x"), usher.Upstream, "vpaas_answer_invalid", "participant_secret"},
		"a secret that is an object":   {participantPath, participant(`"`+secret+`"`, "{}"), usher.Upstream, "vpaas_answer_invalid", "participant_secret"},
	} {
		t.Run(name, func(t *testing.T) {
			f, p := connect(t)
			f.before = only(test.path, test.answer)
			var err error
			if test.path == participantPath {
				_, err = p.Issue(t.Context(), request(meeting))
			} else {
				_, err = p.Open(t.Context())
			}
			if err == nil {
				t.Fatal("got no error")
			}
			got := usher.AsError(err)
			if got.Kind != test.kind || got.Code != test.code {
				t.Errorf("got %v, want the code %s", err, test.code)
			}
			text := err.Error()
			if !strings.HasPrefix(text, "vpaas: create a ") || !strings.Contains(text, test.says) {
				t.Errorf("got %q, want it to begin with vpaas: and to say %q", text, test.says)
			}
			for _, word := range []string{"canary", "access-token", secret} {
				if strings.Contains(text, word) {
					t.Errorf("%q repeats %s", text, word)
				}
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, path := range []string{tokenPath, meetingsPath} {
			f, p := connect(t)
			f.before = func(w http.ResponseWriter, r *http.Request) bool {
				switch r.URL.Path {
				case path:
					http.Redirect(w, r, "https://elsewhere.example/", status)
					return true
				case tokenPath:
					return false
				}
				t.Errorf("%d: a call to %s", status, r.URL)
				return true
			}
			_, err := p.Open(t.Context())
			if got := usher.AsError(err); got.Code != "vpaas_failed" || !strings.Contains(err.Error(), fmt.Sprint(status)) {
				t.Errorf("%s: got %v, want vpaas_failed with %d", path, err, status)
			}
		}
	}
}

func TestEveryWaitHasAnEnd(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, path := range map[string]string{"for a token": tokenPath, "for a meeting": meetingsPath} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, p := connect(t, func(c *vpaas.Config) { c.Timeout = 7 * time.Second })
				f.before = only(path, hang)
				start := time.Now()
				_, err := p.Open(t.Context())
				if got := usher.AsError(err); got.Kind != usher.Upstream || got.Code != "vpaas_timeout" {
					t.Errorf("got %v, want vpaas_timeout", err)
				}
				if got := time.Since(start); got != 7*time.Second {
					t.Errorf("it took %v, want 7s", got)
				}
				f.before = nil
				if _, err := p.Open(t.Context()); err != nil {
					t.Errorf("the next call: %v", err)
				}
			})
		})
	}
}

func TestACallerWhoGivesUpIsNotAFailureOfVPaaS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, p := connect(t)
		f.before = only(meetingsPath, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p.Open(ctx)
		if _, told := errors.AsType[*usher.Error](err); told || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that the context ended", err)
		}
	})
}

// What VPaaS sends instead of HTTP must not get into an error.
func TestWhatIsNotHTTPIsNotRepeated(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				io.WriteString(conn, "canary participant_secret\r\n\r\n")
			}
			conn.Close()
		}
	}()
	defer func() { l.Close(); <-done }()

	client, err := vpaas.HTTPClient("", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	p, err := vpaas.New(vpaas.Config{APIAddress: "http://" + l.Addr().String(), HTTP: client})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Open(t.Context())
	if got := usher.AsError(err); got.Code != "vpaas_unreachable" || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v, want vpaas_unreachable without what was sent", err)
	}
}

func TestHTTPClientTrustsTheCAFile(t *testing.T) {
	key := p384(t)
	f := newFake(t, key.Public(), jose.ES384)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != meetingsPath {
			t.Errorf("a call to %s", r.URL.Path)
		}
		f.good["none"] = true
		r.Header.Set("Authorization", "Bearer none")
		f.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // one client breaks off
	server.StartTLS()
	defer server.Close()
	dir := t.TempDir()
	ca, empty := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "empty.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for file, content := range map[string][]byte{ca: text, empty: nil} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open := func(caFile string) error {
		client, err := vpaas.HTTPClient(caFile, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer client.CloseIdleConnections()
		p, err := vpaas.New(vpaas.Config{APIAddress: server.URL, HTTP: client})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Open(t.Context())
		return err
	}
	if err := open(ca); err != nil {
		t.Errorf("with its certificate: %v", err)
	}
	err := open("")
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown || usher.AsError(err).Code != "vpaas_unreachable" {
		t.Errorf("without its certificate: got %v, want an unknown authority", err)
	}
	for _, file := range []string{empty, filepath.Join(dir, "missing.pem")} {
		if _, err := vpaas.HTTPClient(file, time.Second); err == nil || !strings.HasPrefix(err.Error(), "vpaas: caFile: ") {
			t.Errorf("%s: got %v, want an error about caFile", file, err)
		}
	}
}
