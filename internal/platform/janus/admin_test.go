package janus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"usher"
	"usher/internal/platform/janus"
)

// adminAnswers returns a platform whose Admin API answers as told; %s is the
// transaction.
func adminAnswers(t testing.TB, status int, answer string) *janus.Platform {
	t.Helper()
	c := config()
	c.AdminURL, c.AdminSecret = "http://localhost:7088/admin", adminSecret
	c.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		var asked struct {
			Transaction string `json:"transaction"`
			Secret      string `json:"admin_secret"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Secret != adminSecret || r.URL.String() != c.AdminURL {
			t.Errorf("asked %s for %+v, %v", r.URL, asked, err)
		}
		w := httptest.NewRecorder()
		w.Header().Set("Location", "http://localhost:1/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, strings.ReplaceAll(answer, "%s", asked.Transaction))
		return w.Result(), nil
	})}
	return newPlatform(t, c)
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTheAdminAPIDoesNotAnswerAsItShould(t *testing.T) {
	tests := map[string]struct {
		status       int
		answer, code string
	}{
		"a page":                       {200, "<html>", "janus_answer_invalid"},
		"nothing":                      {200, "", "janus_answer_invalid"},
		"somebody else's answer":       {200, `{"janus":"success","transaction":"x","response":{}}`, "janus_answer_invalid"},
		"an answer without a response": {200, `{"janus":"success","transaction":"%s"}`, "janus_answer_invalid"},
		"a response of another form":   {200, `{"janus":"success","transaction":"%s","response":{"participants":7}}`, "janus_answer_invalid"},
		"a redirect":                   {307, "", "janus_answer_invalid"},
		"a failure of a proxy":         {502, "bad gateway", "janus_answer_invalid"},
		"more than anybody would send": {200, strings.Repeat(" ", 1<<20) + "{}", "janus_answer_invalid"},
		"a refusal":                    {200, `{"janus":"error","transaction":"%s","error":{"code":403,"reason":"Unauthorized"}}`, "janus_refused"},
		"a refusal by VideoRoom":       {200, `{"janus":"success","transaction":"%s","response":{"videoroom":"event","error_code":433,"error":"Unauthorized"}}`, "janus_refused"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := adminAnswers(t, test.status, test.answer).Count(t.Context(), "my-room")
			e, ok := errors.AsType[*usher.Error](err)
			if !ok || e.Kind != usher.Upstream || e.Code != test.code {
				t.Errorf("got %v, want %s", err, test.code)
			}
			if strings.Contains(fmt.Sprint(err), "canary") || e != nil && strings.Contains(e.Message, "localhost") {
				t.Errorf("the error tells too much: %v", err)
			}
		})
	}
}

func TestJanusDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config()
		c.Signer, c.AdminURL, c.AdminSecret = nil, "http://localhost:7088/admin", adminSecret
		c.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		})}
		_, err := newPlatform(t, c).Count(t.Context(), "my-room")
		if !errors.Is(err, &usher.Error{Kind: usher.Upstream, Code: "janus_timeout"}) {
			t.Errorf("got %v, want that Janus did not answer in time", err)
		}
	})
}

// TestRoomsThatCannotBe are asked for nowhere: they are gone already.
func TestRoomsThatCannotBe(t *testing.T) {
	p := adminAnswers(t, 500, "")
	for _, room := range []string{"", "*", "a,b", "a:b", strings.Repeat("a", 95)} {
		if n, err := p.Count(t.Context(), room); n != 0 || err != nil {
			t.Errorf("%q: %d, %v", room, n, err)
		}
		if err := errors.Join(p.Eject(t.Context(), room, "alice"), p.CloseRoom(t.Context(), room)); err != nil {
			t.Errorf("%q: %v", room, err)
		}
		if err := p.OpenRoom(t.Context(), room); !errors.Is(err, &usher.Error{Kind: usher.Invalid, Code: "janus_room_invalid"}) {
			t.Errorf("%q is opened: %v", room, err)
		}
	}
}
