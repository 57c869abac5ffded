package vpaas_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/platformtest"
	"usher/internal/platform/vpaas"
)

// somehow is a participant.
const somehow = "qnol2zvurei65axj5zspbecjne"

// elsewhere is a foreign VPaaS that answers what it is told to.
func elsewhere(t *testing.T, answer func(method, path string) (int, string)) (vpaas.Foreign, *[]string) {
	t.Helper()
	var calls []string
	p, err := vpaas.New(vpaas.Config{APIAddress: base, HTTP: &http.Client{Transport: transport{
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if want := map[string]string{http.MethodPost: "{}"}[r.Method]; string(body) != want || (want == "") != (r.Header.Get("Content-Type") == "") {
				t.Errorf("%s %s: got the body %q of type %q", r.Method, r.URL, body, r.Header.Get("Content-Type"))
			}
			calls = append(calls, r.Method+" "+r.URL.EscapedPath())
			status, text := answer(r.Method, r.URL.EscapedPath())
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return vpaas.Foreign{Platform: p}, &calls
}

// granted asks for an hour.
func granted() platform.Request {
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	return platform.Request{Now: now, Grant: usher.Grant{
		Room: "lobby", Permissions: usher.AllPermissions, NotBefore: now, Expires: now.Add(time.Hour),
	}}
}

func TestEnrolling(t *testing.T) {
	const again = `{"meeting_id":"` + meeting + `","id":"` + somehow + `","participant_secret":"another"}`
	participants := "/v1/meetings/" + meeting + "/participants"
	renewal := participants + "/" + somehow + "/regenerate_secret"
	status := func(s string) string { return `{"id":"` + somehow + `","status":"` + s + `"}` }
	type answers map[string]struct {
		status int
		body   string
	}
	for name, tc := range map[string]struct {
		earlier string
		answers answers
		secret  string
		want    *usher.Error
	}{
		"somebody new":                       {"", answers{"POST " + participants: {200, participantBody}}, secret, nil},
		"of another meeting":                 {somehow + "/" + somehow, answers{"POST " + participants: {200, participantBody}}, secret, nil},
		"of a name that is none":             {"../../evil", answers{"POST " + participants: {200, participantBody}}, secret, nil},
		"who can get another secret":         {meeting + "/" + somehow, answers{"POST " + renewal: {200, again}}, "another", nil},
		"who is in the meeting":              {meeting + "/" + somehow, answers{"POST " + renewal: {400, `{}`}, "GET " + participants + "/" + somehow: {200, status("joined")}}, "", nil},
		"who has left":                       {meeting + "/" + somehow, answers{"POST " + renewal: {400, `{}`}, "GET " + participants + "/" + somehow: {200, status("left")}, "POST " + participants: {200, participantBody}}, secret, nil},
		"who is forgotten":                   {meeting + "/" + somehow, answers{"POST " + renewal: {404, `{}`}, "POST " + participants: {200, participantBody}}, secret, nil},
		"a meeting that there is not":        {"", answers{"POST " + participants: {404, `{}`}}, "", &usher.Error{Kind: usher.NotFound, Code: "meeting_not_found"}},
		"a meeting that is over":             {"", answers{"POST " + participants: {410, `{}`}}, "", &usher.Error{Kind: usher.Gone, Code: "meeting_ended"}},
		"an answer about somebody else":      {meeting + "/" + somehow, answers{"POST " + renewal: {200, `{"meeting_id":"` + meeting + `","id":"` + meeting + `","participant_secret":"x"}`}}, "", &usher.Error{Kind: usher.Upstream, Code: "vpaas_answer_invalid"}},
		"an answer without a secret":         {"", answers{"POST " + participants: {200, `{"meeting_id":"` + meeting + `","id":"` + somehow + `"}`}}, "", &usher.Error{Kind: usher.Upstream, Code: "vpaas_answer_invalid"}},
		"a VPaaS that is busy":               {meeting + "/" + somehow, answers{"POST " + renewal: {503, ""}}, "", &usher.Error{Kind: usher.Unavailable, Code: "vpaas_busy"}},
		"a VPaaS that does not know who":     {meeting + "/" + somehow, answers{"POST " + renewal: {400, "{}"}, "GET " + participants + "/" + somehow: {403, "{}"}}, "", &usher.Error{Kind: usher.Upstream, Code: "vpaas_refused"}},
		"a VPaaS that says what can't be so": {meeting + "/" + somehow, answers{"POST " + renewal: {409, "{}"}, "GET " + participants + "/" + somehow: {200, "[]"}}, "", &usher.Error{Kind: usher.Upstream, Code: "vpaas_answer_invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, calls := elsewhere(t, func(method, path string) (int, string) {
				a, known := tc.answers[method+" "+path]
				if !known {
					t.Errorf("it was asked to %s %s", method, path)
				}
				return a.status, a.body
			})
			got, err := f.Enroll(t.Context(), meeting, tc.earlier, granted())
			if tc.want != nil {
				if !errors.Is(err, tc.want) || got.Subject != "" {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v, after %v", err, *calls)
			}
			want := map[string]string{"api_address": base, "meeting_id": meeting, "participant_id": somehow}
			if tc.secret != "" {
				want["participant_secret"] = tc.secret
			}
			var body map[string]string
			if err := json.Unmarshal(got.Body, &body); err != nil || fmt.Sprint(body) != fmt.Sprint(want) {
				t.Errorf("got the body %s, want %v", got.Body, want)
			}
			if got.Subject != meeting+"/"+somehow || got.Token.Reveal() != tc.secret || !got.ExpiresAt.Equal(granted().Grant.Expires) || got.URL != base {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestEnrollingRefusesWhatAMeetingCannotHold(t *testing.T) {
	f, calls := elsewhere(t, func(string, string) (int, string) { return 500, "" })
	for name, change := range map[string]func(*platform.Request, *string){
		"a listener":                func(r *platform.Request, _ *string) { r.Grant.Permissions = usher.BuiltinRoles()[usher.Viewer] },
		"somebody who comes later":  func(r *platform.Request, _ *string) { r.Grant.NotBefore = r.Now.Add(time.Second) },
		"a room that is no meeting": func(_ *platform.Request, room *string) { *room = "../../evil" },
		"no room":                   func(_ *platform.Request, room *string) { *room = "" },
	} {
		req, room := granted(), meeting
		change(&req, &room)
		_, err := f.Enroll(t.Context(), room, "", req)
		if e, ok := errors.AsType[*usher.Error](err); !ok || e.Kind != usher.Forbidden && e.Kind != usher.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(*calls) > 0 {
		t.Errorf("it was asked to %v", *calls)
	}
}

func TestEjecting(t *testing.T) {
	for status, gone := range map[int]bool{200: true, 204: true, 304: true, 404: true, 410: true, 400: false, 401: false, 403: false, 429: false, 500: false, 503: false} {
		f, calls := elsewhere(t, func(string, string) (int, string) { return status, "" })
		if err := f.Eject(t.Context(), "lobby", meeting+"/"+somehow); (err == nil) != gone {
			t.Errorf("an answer of %d: %v", status, err)
		}
		if want := "DELETE /v1/meetings/" + meeting + "/participants/" + somehow; len(*calls) != 1 || (*calls)[0] != want {
			t.Errorf("it was asked to %v, want %s", *calls, want)
		}
	}
	f, calls := elsewhere(t, func(string, string) (int, string) { return 200, "" })
	for _, subject := range []string{"", "/", meeting, meeting + "/", "/" + somehow, meeting + "/../..", meeting + "/" + somehow + "/", "a/b"} {
		if err := f.Eject(t.Context(), "lobby", subject); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%q: %v", subject, err)
		}
	}
	if len(*calls) > 0 {
		t.Errorf("it was asked to %v", *calls)
	}
}

func TestOurOwnPlaceAsABrowserJoinsIt(t *testing.T) {
	own := vpaas.Own{Address: func(context.Context) string { return "https://usher.example" }}
	expires := time.Now().Add(time.Hour)
	c, err := own.Present(t.Context(), usher.Participant{ID: somehow, Room: meeting, Expires: expires}, secret)
	const want = `{"api_address":"https://usher.example","meeting_id":"` + meeting + `","participant_id":"` + somehow + `","participant_secret":"` + secret + `"}`
	if err != nil || string(c.Body) != want || c.Token != secret || !c.ExpiresAt.Equal(expires) || c.URL != "https://usher.example" {
		t.Errorf("got %+v, %s, %v", c, c.Body, err)
	}
}

// enrolling has the suite of all platforms see what is enrolled: an end that is
// said is one at which whoever enrolls has to eject.
type enrolling struct{ vpaas.Foreign }

func (e enrolling) Issue(ctx context.Context, req platform.Request) (usher.Credential, error) {
	if req.Format != "" {
		return usher.Credential{}, usher.Errorf(usher.Invalid, "format_unknown", "There is one format.")
	}
	if !req.Now.Before(req.Grant.Expires) {
		return usher.Credential{}, usher.Errorf(usher.Forbidden, "grant_expired", "It is over.")
	}
	enrolled, err := e.Enroll(ctx, req.Grant.Room, "", req)
	return enrolled.Credential, err
}

func TestNothingIsEnrolledBeyondItsGrant(t *testing.T) {
	p, err := vpaas.New(vpaas.Config{APIAddress: base, HTTP: &http.Client{Transport: transport{
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, participantBody) }),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	ordinary := granted()
	ordinary.Grant.Room = meeting
	platformtest.Run(t, platformtest.Harness{
		Platform: enrolling{vpaas.Foreign{Platform: p}}, Ordinary: ordinary, Nameless: []string{""},
		Rooms: []string{"", "*", somehow, "room"},
		Decode: func(c usher.Credential) (platformtest.Allowed, error) {
			var d struct {
				Meeting string `json:"meeting_id"`
			}
			err := json.Unmarshal(c.Body, &d)
			return platformtest.Allowed{Room: d.Meeting, Permissions: usher.BuiltinRoles()[usher.Speaker], Expires: c.ExpiresAt}, err
		},
	})
}
