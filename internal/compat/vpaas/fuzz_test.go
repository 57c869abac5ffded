package vpaas_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"usher"
	"usher/internal/compat/vpaas"
)

var messageSeeds = []string{
	`{"type":"authenticate","token":"t","participant_id":"p","id":"1"}`,
	`{"type":"media_offer","sdp":"v=0\r\n","id":"1"}`,
	`{"type":"request_stream","producer_id":"a","stream_id":"b","rid":null,"id":"1"}`,
	`{"type":"disconnect_stream","receive_mid":"6"}`, `{"type":"add_new_candidate","candidate":""}`,
	`{"type":"ping","id":7}`, `{"type":null}`, `[]`, `null`, `{`, ``, `{"type":"ping","TYPE":"pong","trace":{}}`,
}

func FuzzParseMessage(f *testing.F) {
	for _, s := range messageSeeds {
		f.Add([]byte(s))
	}
	types := []string{"authenticate", "media_offer", "add_new_candidate", "request_stream", "disconnect_stream", "ping", "pong"}
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, ref, complaint := vpaas.Parse(data)
		switch {
		case complaint == "" && !slices.Contains(types, kind):
			t.Errorf("%q passed as %q", data, kind)
		case (complaint == "invalid_json") == json.Valid(data):
			t.Errorf("%q: valid JSON is %t, complaint is %q", data, json.Valid(data), complaint)
		case len(ref) > 64 || strings.ContainsFunc(ref, func(r rune) bool { return r <= ' ' || r > '~' }):
			t.Errorf("%q: %q would be repeated", data, ref)
		}
	})
}

// FuzzConnection sends anything over a live connection, which must survive it.
func FuzzConnection(f *testing.F) {
	w := newWorld(f, steadyRate())
	p := w.place(w.meeting())
	c := w.enter(p, w.claim(p))
	for _, s := range messageSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || len(text) > 200<<10 {
			return // the socket closes such a connection
		}
		c.t = t
		c.send(text)
		c.send(`{"type":"ping","id":"end"}`)
		for {
			if m := c.next(); m["type"] == "pong" && m["ref"] == "end" {
				return
			}
		}
	})
}

func FuzzIDs(f *testing.F) {
	w := newWorld(f)
	p := w.place(w.meeting())
	for _, s := range []string{p.meeting, "x", "..", "a/b", "\x00", "%2f", strings.ToUpper(p.meeting), p.meeting + "/", ""} {
		f.Add(s, p.id)
		f.Add(p.meeting, s)
	}
	f.Fuzz(func(t *testing.T, meeting, participant string) {
		path := "/v1/meetings/" + url.PathEscape(meeting) + "/participants/" + url.PathEscape(participant)
		r := httptest.NewRequest("GET", "http://usher.test/", nil)
		r.URL = &url.URL{Scheme: "http", Host: "usher.test", Path: "/v1/meetings/" + meeting + "/participants/" + participant, RawPath: path}
		r.Header.Set("Authorization", "Bearer "+w.bearer)
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		want := http.StatusNotFound
		if meeting == p.meeting && participant == p.id {
			want = http.StatusOK
		}
		if rec.Code != want || !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%q, %q: %d %s, want %d", meeting, participant, rec.Code, rec.Body, want)
		}
		if _, err := usher.ParseID(meeting); err != nil && strings.Contains(rec.Body.String(), p.id) {
			t.Errorf("%q, %q: %s", meeting, participant, rec.Body)
		}
	})
}
