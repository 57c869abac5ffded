package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"usher/client"
)

// tutorial is what the tutorial's front end asks for, with those headers, up
// to a place that can be claimed. It returns the statuses of the two calls.
func (s *Server) tutorial(headers ...string) (meeting, participant int, p place) {
	s.t.Helper()
	a := s.do(http.MethodPost, "/meetings", "", headers...)
	if a.Status != http.StatusOK {
		return a.Status, s.do(http.MethodPost, "/meetings/aaaaaaaaaaaaaaaaaaaaaaaaaa/participants", "", headers...).Status, p
	}
	id := a.text(s.t, "id")
	b := s.do(http.MethodPost, "/meetings/"+id+"/participants", "", headers...)
	if b.Status != http.StatusOK {
		return a.Status, b.Status, p
	}
	return a.Status, b.Status, place{id, b.text(s.t, "id"), s.Secret(b.text(s.t, "participant_secret"))}
}

// wantServed checks that the tutorial works from its first call to the socket.
func (s *Server) wantServed(headers ...string) {
	s.t.Helper()
	meeting, participant, p := s.tutorial(headers...)
	if meeting != http.StatusOK || participant != http.StatusOK {
		s.t.Fatalf("got the statuses %d and %d", meeting, participant)
	}
	c := dialSeat(s.t, s, s.joined(p))
	c.authenticate(s.t)
}

// wantTutorialRefused checks that neither call is served.
func (s *Server) wantTutorialRefused(status int, headers ...string) {
	s.t.Helper()
	if meeting, participant, _ := s.tutorial(headers...); meeting != status || participant != status {
		s.t.Errorf("with %q: got the statuses %d and %d, want %d", headers, meeting, participant, status)
	}
}

const ownPage = "https://rooms.example"

func TestTheTutorialIsServedToKnownCallers(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()) + "compat: {meetings: {enabled: true}}\n"})
	s.wantTutorialRefused(http.StatusUnauthorized)
	s.wantTutorialRefused(http.StatusUnauthorized, "Cookie", "session=ann")
	s.wantTutorialRefused(http.StatusUnauthorized, bearer("nonsense")...)
	s.wantServed(bearer(s.Secret(i.token("ann").Reveal()))...)
	_, key := s.apiKey(nil)
	s.wantServed(bearer(key.Reveal())...)
}

// newApp is an app with sessions of its own.
func newApp(t *testing.T) string {
	t.Helper()
	app := httptest.NewServer(sessions("session"))
	t.Cleanup(app.Close)
	return app.URL
}

// sessions says who a caller of an app is: whoever has the cookie with a name in
// it is signed in under that name.
func sessions(cookieName string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie(cookieName)
		if err != nil || cookie.Value == "" || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"id": cookie.Value, "name": "User " + cookie.Value})
	}
}

func TestTheTutorialIsServedToAnAppsOwnSessions(t *testing.T) {
	t.Parallel()
	s := start(t, options{Config: fmt.Sprintf(`
server: {origins: [%s]}
session: {url: %s, cookies: [session]}
compat: {meetings: {enabled: true, access: session}}
`, ownPage, newApp(t))})
	cookie := func(more ...string) []string { return append([]string{"Cookie", "other=1; session=ann"}, more...) }

	s.wantServed(cookie("Origin", ownPage)...)
	s.wantServed(cookie("Sec-Fetch-Site", "same-origin")...)
	s.recorded(4, client.EventQuery{Who: "user:session#ann"})
	preflight := s.do(http.MethodOptions, "/meetings", "", "Origin", ownPage, "Access-Control-Request-Method", "POST")
	if h := preflight.Header; h.Get("Access-Control-Allow-Origin") != ownPage || h.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("our page may not send the session: %v", h)
	}

	for name, headers := range map[string][]string{
		"a page of another site":              {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		"a page of another site, no metadata": {"Origin", "https://evil.example"},
		"a page of a sibling":                 {"Origin", "https://evil.rooms.example", "Sec-Fetch-Site", "same-site"},
		"a page without an origin":            {"Origin", "null"},
		"a link":                              {"Sec-Fetch-Site", "none"},
		"no browser":                          nil,
		"our page and another":                {"Origin", ownPage, "Origin", "https://evil.example"},
	} {
		t.Run(name, func(t *testing.T) {
			s.wantTutorialRefused(http.StatusForbidden, cookie(headers...)...)
			h := s.do(http.MethodPost, "/meetings", "", cookie(headers...)...).Header
			if got := h.Get("Access-Control-Allow-Origin"); got == "https://evil.example" || got == "*" {
				t.Errorf("the page may read the answer: %q", got)
			}
			if h.Get("Access-Control-Allow-Credentials") != "" && h.Get("Access-Control-Allow-Origin") != ownPage {
				t.Error("the page may send the session")
			}
		})
	}
	s.wantTutorialRefused(http.StatusUnauthorized, "Origin", ownPage)
	s.wantTutorialRefused(http.StatusUnauthorized, "Origin", ownPage, "Cookie", "session=")
	s.wantTutorialRefused(http.StatusUnauthorized, "Origin", ownPage, "Cookie", "other=ann")
	// A session is good for the dialect that it was configured for only.
	s.must(http.StatusUnauthorized, http.MethodGet, "/api/v1/me", "", cookie("Origin", ownPage)...)
	s.must(http.StatusUnauthorized, http.MethodPost, "/v1/meetings", "", cookie("Origin", ownPage)...)
}

func TestTheTutorialIsServedToThePublic(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()) + "compat: {meetings: {enabled: true, access: public, role: speaker}}\n"})
	s.wantServed()
	s.wantServed(bearer(s.Secret(i.token("ann").Reveal()))...)
	s.wantTutorialRefused(http.StatusUnauthorized, bearer("nonsense")...)
	s.wantTutorialRefused(http.StatusUnauthorized, "Authorization", "Basic YTpi")
	s.must(http.StatusUnauthorized, http.MethodPost, "/v1/meetings", "") // of the VPaaS itself, nothing is public
	s.must(http.StatusUnauthorized, http.MethodPost, "/api/v1/rooms", "{}", asJSON...)

	var roles []string
	for _, e := range s.recorded(2, client.EventQuery{Who: "public:anyone"}) {
		if d := e.Decision; d != nil && d.Action == "meeting.enter" {
			roles = append(roles, string(d.Role))
		}
	}
	if len(roles) != 1 || roles[0] != "speaker" {
		t.Errorf("the record says that the public entered as %q, want once as speaker", roles)
	}

	t.Run("but not too often", func(t *testing.T) {
		busy := start(t, options{Config: "compat: {meetings: {enabled: true, access: public, role: speaker}}\nlimits: {open: 5/1m}\n"})
		var last answer
		for range 6 {
			last = busy.do(http.MethodPost, "/meetings", "")
		}
		if last.Status != http.StatusTooManyRequests || last.Header.Get("Retry-After") == "" {
			t.Errorf("the sixth meeting within a minute: got status %d and Retry-After %q", last.Status, last.Header.Get("Retry-After"))
		}
	})
}

// What is taken from a user is taken from what the tutorial's back end made for
// it, although that is made by a call of ours to our own VPaaS.
func TestABanReachesPlacesThatTheTutorialMade(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()) + "compat: {meetings: {enabled: true}}\n"})
	ann := bearer(s.Secret(i.token("ann").Reveal()))
	_, _, p := s.tutorial(ann...)
	again := s.must(http.StatusOK, http.MethodPost, "/meetings/"+p.Room+"/participants", "", ann...)
	unclaimed := place{p.Room, again.text(t, "id"), s.Secret(again.text(t, "participant_secret"))}
	c := dialSeat(t, s, s.joined(p))
	c.authenticate(t)

	if _, err := s.operator().Ban(t.Context(), p.Room, client.BanRequest{Identity: i.user("ann"), Reason: "enough"}); err != nil {
		t.Fatal(err)
	}
	if code := c.untilClosed(); code != 4001 {
		t.Errorf("the connection was closed with %d, want 4001", code)
	}
	if a, err := s.join(unclaimed); err != nil || a.Status != http.StatusNotFound {
		t.Errorf("a place that was made before is claimed after: got status %d, %v", a.Status, err)
	}
	if a := s.do(http.MethodPost, "/meetings/"+p.Room+"/participants", "", ann...); a.Status == http.StatusOK {
		t.Error("the banned one gets another place")
	}
}
