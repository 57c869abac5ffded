package vpaas_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"usher"
	"usher/internal/platform/vpaas"
)

// FuzzAnswers gives VPaaS's part to the fuzzer: whatever it answers, what is
// passed on is unchanged, one JSON object and about what was asked for, and no
// error tells of it.
func FuzzAnswers(f *testing.F) {
	f.Add(200, `{"access_token":"a","token_type":"bearer","expires_in":3600}`, meetingBody, participantBody)
	f.Add(200, `{"access_token":"a","token_type":"Bearer","expires_in":1e999}`, `{"id":null}`, `{"id":"","meeting_id":7}`)
	f.Add(400, `{"status":400,"reason":"invalid_client"}`, `[]`, `null`)
	f.Add(200, "{}", "\ufeff{}", `{"participant_secret":"\ud800"}`)
	f.Add(401, ``, ``, ``)
	key := p384(f)
	f.Fuzz(func(t *testing.T, status int, token, opened, invited string) {
		status = 200 + (status%400+400)%400
		answers := map[string]string{tokenPath: token, meetingsPath: opened, participantPath: invited}
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer, ok := answers[r.URL.EscapedPath()]
			if !ok {
				t.Errorf("a call to %s", r.URL)
			}
			w.WriteHeader(status)
			io.WriteString(w, answer)
		})
		p, err := vpaas.New(vpaas.Config{
			APIAddress: base, ClientID: clientID, Signer: key, HTTP: &http.Client{Transport: transport{handler}},
		})
		if err != nil {
			t.Fatal(err)
		}
		check := func(what, sent string, body json.RawMessage, err error) {
			if err != nil {
				if !strings.HasPrefix(err.Error(), "vpaas: ") || len(err.Error()) > 600 {
					t.Errorf("%s: an error of another form: %q", what, err)
				}
				return
			}
			var object map[string]any
			if string(body) != sent || !utf8.Valid(body) || json.Unmarshal(body, &object) != nil || object == nil {
				t.Errorf("%s: %q was passed on as %q", what, sent, body)
			}
			if id, _ := object["id"].(string); !validID(id) {
				t.Errorf("%s: passed on with the id %q", what, id)
			}
		}
		o, err := p.Open(t.Context())
		check("a meeting", opened, o.Body, err)
		if err == nil && !validID(o.Room) {
			t.Errorf("the room %q", o.Room)
		}
		c, err := p.Issue(t.Context(), request(meeting))
		check("a participant", invited, c.Body, err)
		if err == nil && c.Token == "" {
			t.Error("a participant without a secret")
		}
	})
}

func validID(s string) bool {
	_, err := usher.ParseID(s)
	return err == nil
}
