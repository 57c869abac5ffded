package httpd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/limit"
)

// sessions knows the users of an app by their cookie, if it is given one.
type sessions struct{ asked *[]identity.Proof }

func (s sessions) Authenticate(_ context.Context, p identity.Proof) (usher.Identity, error) {
	*s.asked = append(*s.asked, p)
	if p.Bearer != "" || p.Session.Get("Cookie") != "session=1" { // as identity.Forward, unless it is to judge tokens
		return usher.Identity{}, identity.ErrNotMine
	}
	return usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "session", Subject: "anna"}, nil
}

// tell answers who the handler was told is calling.
func tell(got *usher.Identity) httpd.Handler {
	return func(_ http.ResponseWriter, r *http.Request) error {
		*got = httpd.Identity(r.Context())
		return nil
	}
}

func TestTheAppsOwnSession(t *testing.T) {
	const app = "https://app.example"
	cookie := []string{"Cookie", "session=1"}
	for name, tt := range map[string]struct {
		access  httpd.Access
		method  string
		header  []string
		status  int
		session bool // whether the headers were passed on
	}{
		"a read":                            {httpd.BySession, "GET", cookie, 200, true},
		"a read from another site's page":   {httpd.BySession, "GET", append([]string{"Origin", "https://evil.example"}, cookie...), 200, true},
		"a read without a session":          {httpd.BySession, "GET", nil, 401, true},
		"a write from the app's page":       {httpd.BySession, "POST", append([]string{"Origin", app}, cookie...), 200, true},
		"a write from our own page":         {httpd.BySession, "POST", append([]string{"Sec-Fetch-Site", "same-origin"}, cookie...), 200, true},
		"a write from another site's page":  {httpd.BySession, "POST", append([]string{"Origin", "https://evil.example"}, cookie...), 403, false},
		"a write from nowhere":              {httpd.BySession, "POST", cookie, 403, false},
		"a write from a null origin":        {httpd.BySession, "POST", append([]string{"Origin", "null"}, cookie...), 403, false},
		"a socket from another site's page": {httpd.BySession, "GET", append([]string{"Upgrade", "websocket", "Origin", "https://evil.example"}, cookie...), 403, false},
		"a token beside a cookie":           {httpd.BySession, "POST", append([]string{"Authorization", "Bearer user"}, cookie...), 200, false},
		"a bad token beside a cookie":       {httpd.BySession, "POST", append([]string{"Authorization", "Bearer bad", "Origin", app}, cookie...), 401, true},
		"a dialect that wants credentials":  {httpd.ByIdentity, "POST", append([]string{"Origin", app}, cookie...), 401, false},
		"a dialect that does not say":       {"", "GET", cookie, 401, false},
		"a public dialect":                  {httpd.ToPublic, "POST", append([]string{"Origin", app}, cookie...), 200, false},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []identity.Proof
			a := newAdapter(t, func(c *httpd.Config) { c.Identity = identity.Chain{callers{}, sessions{&asked}} }, httpd.Dialect{
				Name: "test", Access: tt.access, CORS: httpd.CORS{Origins: []string{app}},
				Routes: []httpd.Route{{Pattern: "GET /a", Caller: httpd.Known, Handle: whoami}, {Pattern: "POST /a", Caller: httpd.Known, Handle: whoami}},
			})
			if w := a.ask(tt.method, "/a", "", tt.header...); w.Code != tt.status {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, tt.status)
			}
			passed := len(asked) > 0 && asked[len(asked)-1].Session != nil
			if passed != tt.session {
				t.Errorf("the session was passed on: %t, want %t", passed, tt.session)
			}
		})
	}
}

func TestAPublicDialectServesAnybodyButNotBadCredentials(t *testing.T) {
	var got usher.Identity
	a := newAdapter(t, nil, httpd.Dialect{
		Name: "old", Access: httpd.ToPublic, PublicRole: usher.Viewer,
		Routes: []httpd.Route{
			{Pattern: "POST /a", Caller: httpd.Known, Scope: usher.MeetingCreate, Handle: tell(&got)},
			{Pattern: "POST /clients", Caller: httpd.Clients, Scope: usher.MeetingRead, Handle: tell(&got)},
			{Pattern: "POST /operators", Caller: httpd.Operators, Handle: tell(&got)},
		},
	}, dialect(httpd.Route{Pattern: "POST /other", Caller: httpd.Known, Handle: tell(&got)}))
	if w := a.ask("POST", "/a", ""); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	want := usher.Identity{App: usher.DefaultApp, Kind: usher.PublicIdentity, Subject: "anyone", Name: "Anyone", Role: usher.Viewer, Proof: "public dialect old"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("anybody (-want +got):\n%s", diff)
	}
	for _, header := range []string{"Bearer unknown", "Basic x", "", "Bearer"} {
		if w := a.ask("POST", "/a", "", "Authorization", header); w.Code != http.StatusUnauthorized {
			t.Errorf("with %q: got %d %s, want 401", header, w.Code, w.Body)
		}
	}
	if w := a.ask("POST", "/a", "", "Authorization", "Bearer user"); w.Code != http.StatusOK || got.Kind != usher.UserIdentity {
		t.Errorf("somebody known: got %d as %+v", w.Code, got)
	}
	for path, status := range map[string]int{"/clients": 401, "/operators": 403, "/other": 401} {
		if w := a.ask("POST", path, ""); w.Code != status {
			t.Errorf("%s: got %d %s, want %d", path, w.Code, w.Body, status)
		}
	}
	if w := a.ask("POST", "/a", "", "Usher-Act-As", "user:x#y"); w.Code != http.StatusForbidden {
		t.Errorf("anybody for somebody: got %d %s, want 403", w.Code, w.Body)
	}
}

// actors knows back ends with the scope to act for others, and what else there is.
type actors struct{}

var issued = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func (actors) Authenticate(_ context.Context, p identity.Proof) (usher.Identity, error) {
	id := usher.Identity{App: usher.DefaultApp, Subject: p.Bearer.Reveal(), Operator: true, Proof: "api key", IssuedAt: issued, Expires: issued.Add(time.Hour)}
	switch p.Bearer.Reveal() {
	case "actor":
		id.Kind, id.Scopes = usher.ClientIdentity, usher.AllScopes
	case "client":
		id.Kind, id.Scopes = usher.ClientIdentity, usher.DefaultScopes
	case "user":
		id.Kind, id.Scopes = usher.UserIdentity, usher.AllScopes
	default:
		return usher.Identity{}, identity.ErrBad
	}
	return id, nil
}

func TestABackEndActsForASubject(t *testing.T) {
	var got usher.Identity
	a := newAdapter(t, func(c *httpd.Config) { c.Identity = actors{} },
		dialect(httpd.Route{Pattern: "GET /a", Caller: httpd.Known, Scope: usher.MeetingRead, Handle: tell(&got)}))
	const act, ann = "Usher-Act-As", "user:https://idp.example#ann"
	if w := a.ask("GET", "/a", "", "Authorization", "Bearer actor", act, ann); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	// Of what the back end itself may do nothing is left.
	want := usher.Identity{
		App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "https://idp.example", Subject: "ann",
		Actor: "client:actor", IssuedAt: issued, Expires: issued.Add(time.Hour), Proof: "api key for its subject",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("whom it acts for (-want +got):\n%s", diff)
	}
	if got.Key() != ann {
		t.Errorf("its key is %s, want %s", got.Key(), ann)
	}
	for name, tt := range map[string]struct {
		caller   string
		subjects []string
		code     string
	}{
		"without the scope":       {"client", []string{ann}, "scope_missing"},
		"a user":                  {"user", []string{ann}, "scope_missing"},
		"a client":                {"actor", []string{"client:other"}, "subject_invalid"},
		"a client with an issuer": {"actor", []string{"client:x#other"}, "subject_invalid"},
		"an operator":             {"actor", []string{"local:operator"}, "subject_invalid"},
		"a guest":                 {"actor", []string{"guest:x#y"}, "subject_invalid"},
		"a group":                 {"actor", []string{"group:x#y"}, "subject_invalid"},
		"no kind":                 {"actor", []string{"x#y"}, "subject_invalid"},
		"no issuer":               {"actor", []string{"user:#ann"}, "subject_invalid"},
		"no subject":              {"actor", []string{"user:x#"}, "subject_invalid"},
		"nothing":                 {"actor", []string{""}, "subject_invalid"},
		"two":                     {"actor", []string{ann, ann}, "subject_invalid"},
		"one that is too long":    {"actor", []string{"user:x#" + strings.Repeat("y", 512)}, "subject_invalid"},
		"one with a line break":   {"actor", []string{"user:x#a\nb"}, "subject_invalid"},
		"nobody who is known":     {"nobody", []string{ann}, "credentials_invalid"},
	} {
		header := []string{"Authorization", "Bearer " + tt.caller}
		for _, s := range tt.subjects {
			header = append(header, act, s)
		}
		if got := problemCode(t, a.ask("GET", "/a", "", header...)); got != tt.code {
			t.Errorf("%s: got %q, want %q", name, got, tt.code)
		}
	}
}

func TestWhereARequestComesFrom(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for name, tt := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"no proxy":                          {"192.0.2.1:5", nil, "192.0.2.1"},
		"somebody who claims to be a proxy": {"192.0.2.1:5", []string{"203.0.113.9"}, "192.0.2.1"},
		"a proxy":                           {"10.0.0.1:5", []string{"203.0.113.9"}, "203.0.113.9"},
		"a proxy that says nothing":         {"10.0.0.1:5", nil, "10.0.0.1"},
		"a caller who made something up":    {"10.0.0.1:5", []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9"},
		"who made it up in another line":    {"10.0.0.1:5", []string{"198.51.100.1", "203.0.113.9"}, "203.0.113.9"},
		"who made up a proxy":               {"10.0.0.1:5", []string{"10.0.0.7, 203.0.113.9"}, "203.0.113.9"},
		"two proxies":                       {"10.0.0.1:5", []string{"198.51.100.1, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		"proxies all the way":               {"10.0.0.1:5", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"what is no address":                {"10.0.0.1:5", []string{"203.0.113.9, x"}, "10.0.0.1"},
		"an address with a port":            {"10.0.0.1:5", []string{"203.0.113.9, 198.51.100.1:7"}, "198.51.100.1"},
		"a proxy with a port":               {"10.0.0.1:5", []string{"203.0.113.9:80, 10.0.0.2:7"}, "203.0.113.9"},
		"IPv6 with a port":                  {"10.0.0.1:5", []string{"203.0.113.9, [2001:db9::7]:80"}, "2001:db9::7"},
		"IPv6 in brackets":                  {"10.0.0.1:5", []string{"[2001:db9::7]"}, "2001:db9::7"},
		"IPv4 in brackets":                  {"10.0.0.1:5", []string{"[203.0.113.9]"}, "10.0.0.1"},
		"a port that is none":               {"10.0.0.1:5", []string{"203.0.113.9:x"}, "10.0.0.1"},
		"a name with a port":                {"10.0.0.1:5", []string{"localhost:80"}, "10.0.0.1"},
		"something unreadable before it":    {"10.0.0.1:5", []string{"';--, 203.0.113.9"}, "203.0.113.9"},
		"IPv6":                              {"[2001:db8::1]:5", []string{"2001:db9::7"}, "2001:db9::7"},
		"IPv4 in IPv6":                      {"[::ffff:10.0.0.1]:5", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		"a peer that has no address":        {"@", []string{"203.0.113.9"}, "invalid IP"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.peer
		for _, line := range tt.forwarded {
			r.Header.Add("X-Forwarded-For", line)
		}
		if got := httpd.Address(r, proxies).String(); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
		if got, peer := httpd.Address(r, nil), r.RemoteAddr; peer != "@" && !strings.Contains(peer, got.String()) {
			t.Errorf("%s, where no proxy is trusted: got %s", name, got)
		}
	}
}

// fixed is a clock that tests set.
type fixed struct{ at time.Time }

func (f *fixed) now() time.Time { return f.at }

// from sends a request from an address.
func (a adapter) from(ctx context.Context, address, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil).WithContext(ctx)
	r.RemoteAddr = address
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

func TestFailuresOfOneAddressAreThrottled(t *testing.T) {
	clock := &fixed{issued}
	a := newAdapter(t, func(c *httpd.Config) {
		c.Limits, c.Now = limit.Config{Failed: limit.Rate{Count: 5, Per: time.Minute}}, clock.now
		c.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	}, dialect(
		httpd.Route{Pattern: "GET /a", Caller: httpd.Known, Handle: whoami},
		httpd.Route{Pattern: "GET /healthz", Caller: httpd.Anyone, Handle: whoami},
	))
	good, bad := []string{"Authorization", "Bearer user"}, []string{"Authorization", "Bearer wrong"}
	ask := func(address string, header ...string) *httptest.ResponseRecorder {
		return a.from(t.Context(), address, "GET", "/a", header...)
	}
	const here = "[2001:db8:1:2::1]:5"
	for i := range 5 {
		for range 3 { // who succeeds uses nothing up
			if w := ask(here, good...); w.Code != http.StatusOK {
				t.Fatalf("somebody known, after %d failures: got %d %s", i, w.Code, w.Body)
			}
		}
		if w := ask(here, bad...); w.Code != http.StatusUnauthorized {
			t.Fatalf("the failure %d: got %d %s", i, w.Code, w.Body)
		}
	}
	for i := range 1000 {
		w := ask(fmt.Sprintf("[2001:db8:1:2::%x]:5", i), bad...)
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "12" || problemCode(t, w) != "rate_limited" {
			t.Fatalf("in the burst: got %d %v %s, want 429 with Retry-After 12", w.Code, w.Header(), w.Body)
		}
	}
	if n := strings.Count(a.log.String(), "level=WARN"); n != 1 || !strings.Contains(a.log.String(), "2001:db8:1:2::/64") {
		t.Errorf("the burst made %d lines in the log, want one with its network", n)
	}
	for name, address := range map[string]string{"another network": "[2001:db8:1:3::1]:5", "another address": "192.0.2.1:5"} {
		if w := ask(address, good...); w.Code != http.StatusOK {
			t.Errorf("%s: got %d %s", name, w.Code, w.Body)
		}
	}
	// Behind a proxy each is told apart, and none by what it says itself.
	for range 5 {
		ask("10.0.0.1:5", append([]string{"X-Forwarded-For", "203.0.113.9"}, bad...)...)
	}
	for said, status := range map[string]int{"203.0.113.9": 429, "198.51.100.7, 203.0.113.9": 429, "203.0.113.9, 198.51.100.7": 200} {
		if w := ask("10.0.0.2:5", append([]string{"X-Forwarded-For", said}, good...)...); w.Code != status {
			t.Errorf("for %s: got %d %s, want %d", said, w.Code, w.Body, status)
		}
	}
	if w := a.from(t.Context(), here, "GET", "/healthz"); w.Code != http.StatusOK {
		t.Errorf("what anyone may read: got %d", w.Code)
	}
	local := httpd.WithOrigin(t.Context(), httpd.Origin{Local: true})
	for i := range 20 {
		if w := a.from(local, "@", "GET", "/a", bad...); w.Code != http.StatusUnauthorized {
			t.Fatalf("over the control socket, call %d: got %d %s", i, w.Code, w.Body)
		}
	}
	clock.at = clock.at.Add(12 * time.Second)
	if w := ask(here, good...); w.Code != http.StatusOK {
		t.Errorf("after the wait: got %d %s", w.Code, w.Body)
	}
}

func TestWhatAnyoneMayDoIsLimitedByAddress(t *testing.T) {
	clock := &fixed{issued}
	a := newAdapter(t, func(c *httpd.Config) {
		c.Limits, c.Now = limit.Config{Open: limit.Rate{Count: 3, Per: time.Minute}}, clock.now
	}, dialect(
		httpd.Route{Pattern: "POST /oauth/token", Caller: httpd.Anyone, Handle: whoami},
		httpd.Route{Pattern: "GET /healthz", Caller: httpd.Anyone, Handle: whoami},
		httpd.Route{Pattern: "POST /known", Caller: httpd.Known, Handle: whoami},
	), httpd.Dialect{Name: "old", Access: httpd.ToPublic, Routes: []httpd.Route{{Pattern: "GET /mint", Caller: httpd.Known, Handle: whoami}}})
	const here, there = "192.0.2.1:5", "192.0.2.2:5"
	user := []string{"Authorization", "Bearer user"}
	for range 3 {
		if w := a.from(t.Context(), here, "POST", "/oauth/token"); w.Code != http.StatusOK {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		// An old dialect may mint by GET.
		if w := a.from(t.Context(), there, "GET", "/mint"); w.Code != http.StatusOK {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
	}
	for _, call := range [][3]string{{here, "POST", "/oauth/token"}, {here, "GET", "/mint"}, {there, "GET", "/mint"}} {
		w := a.from(t.Context(), call[0], call[1], call[2])
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "20" {
			t.Errorf("%v: got %d, Retry-After %q, want 429 and 20", call, w.Code, w.Header().Get("Retry-After"))
		}
	}
	for range 10 {
		if w := a.from(t.Context(), here, "GET", "/healthz"); w.Code != http.StatusOK {
			t.Fatalf("reading: got %d", w.Code)
		}
		if w := a.from(t.Context(), here, "POST", "/known", user...); w.Code != http.StatusOK {
			t.Fatalf("somebody known: got %d", w.Code)
		}
		if w := a.from(t.Context(), here, "GET", "/mint", user...); w.Code != http.StatusOK {
			t.Fatalf("somebody known, in the public dialect: got %d", w.Code)
		}
		local := httpd.WithOrigin(t.Context(), httpd.Origin{Local: true})
		if w := a.from(local, "@", "POST", "/oauth/token"); w.Code != http.StatusOK {
			t.Fatalf("over the control socket: got %d", w.Code)
		}
	}
	inside := &http.Client{Transport: httpd.Loopback(a, usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "usher"}, httpd.Origin{})}
	for range 10 {
		resp, err := inside.Post("http://usher.internal/oauth/token", "", nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("from inside: got %v, %v", resp, err)
		}
		_ = resp.Body.Close()
	}
}

func TestARefusalNamesItsDecision(t *testing.T) {
	decision := usher.SystemIDs().New()
	a := newAdapter(t, nil, dialect(
		httpd.Route{Pattern: "GET /a", Caller: httpd.Known, Handle: func(http.ResponseWriter, *http.Request) error {
			return &usher.Error{Kind: usher.Forbidden, Code: "not_member", Message: "Only members may.", Decision: decision}
		}},
		httpd.Route{Pattern: "GET /b", Caller: httpd.Known, Handle: func(http.ResponseWriter, *http.Request) error {
			return usher.Errorf(usher.Conflict, "room_exists", "It exists.")
		}},
	))
	for path, want := range map[string]any{"/a": string(decision), "/b": nil} {
		var p map[string]any
		w := a.ask("GET", path, "", "Authorization", "Bearer user")
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p["decision"] != want {
			t.Errorf("%s: got %s, %v, want the decision %v", path, w.Body, err, want)
		}
	}
}
