package vpaas_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
)

func TestToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stranger, _ := w.register(usher.MeetingRead)
		invalidClient := map[string]any{"status": 400.0, "reason": "invalid_client"}
		good := func() string { return w.assertion(w.client, w.key, nil) }
		set := func(name, value string) url.Values {
			form := tokenForm(good())
			if form.Set(name, value); value == "" {
				form.Del(name)
			}
			return form
		}
		asking := func(scope string) url.Values {
			return tokenForm(w.assertion(w.client, w.key, func(c map[string]any) { c["scope"] = scope }))
		}
		used := good()
		for _, test := range []struct {
			name   string
			form   url.Values
			status int
			reason string
			scope  string
		}{
			{"as VPaaS's client asks", asking("meeting:create meeting:read meeting:write participant:create participant:read participant:write"), 200, "", usher.DefaultScopes.String()},
			{"with the public address", tokenForm(w.assertion(w.client, w.key, func(c map[string]any) { c["aud"] = audience })), 200, "", usher.DefaultScopes.String()},
			{"fewer scopes", asking("meeting:read"), 200, "", "meeting:read"},
			{"fewer scopes in the form", set("scope", "meeting:read meeting:fly"), 200, "", "meeting:read"},
			{"with its client_id", set("client_id", string(w.client.ID)), 200, "", usher.DefaultScopes.String()},
			{"with a parameter that nobody knows", set("resource", "x"), 200, "", usher.DefaultScopes.String()},
			{"the first time", tokenForm(used), 200, "", usher.DefaultScopes.String()},
			{"the second time", tokenForm(used), 400, "invalid_client", ""},
			{"no scope that it may have", asking("meeting:fly"), 400, "invalid_scope", ""},
			{"no scope that it may have, in the form", set("scope", "meeting:fly"), 400, "invalid_scope", ""},
			{"another client's client_id", set("client_id", string(stranger.ID)), 400, "invalid_client", ""},
			{"another client's key", tokenForm(w.assertion(stranger, w.key, nil)), 400, "invalid_client", ""},
			{"another address", tokenForm(w.assertion(w.client, w.key, func(c map[string]any) { c["aud"] = "https://elsewhere.example/oauth/token" })), 400, "invalid_client", ""},
			{"expired", tokenForm(w.assertion(w.client, w.key, func(c map[string]any) { c["exp"] = time.Now().Unix() - 1 })), 400, "invalid_client", ""},
			{"no assertion", set("client_assertion", ""), 400, "invalid_client", ""},
			{"no type of assertion", set("client_assertion_type", ""), 400, "invalid_client", ""},
			{"another type of assertion", set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), 400, "invalid_client", ""},
			{"no grant type", set("grant_type", ""), 400, "invalid_request", ""},
			{"another grant type", set("grant_type", "password"), 400, "unsupported_grant_type", ""},
			{"a parameter twice", func() url.Values { f := tokenForm(good()); f.Add("grant_type", "client_credentials"); return f }(), 400, "invalid_request", ""},
			{"what is too large", set("x", strings.Repeat("x", 70<<10)), 413, "The request's body is larger than this call accepts.", ""},
		} {
			a := w.do(call{method: "POST", path: "/oauth/token", form: test.form})
			w.want(test.name, a, test.status, test.reason)
			if got := a.header.Get("Cache-Control"); !strings.HasPrefix(got, "no-store") {
				t.Errorf("%s: Cache-Control is %q", test.name, got)
			}
			if test.reason == "invalid_client" {
				if diff := cmp.Diff(invalidClient, a.body); diff != "" {
					t.Errorf("%s: got (+), want (-):\n%s", test.name, diff)
				}
			}
			if test.status == 200 {
				token := a.body["access_token"]
				delete(a.body, "access_token")
				want := map[string]any{"token_type": "Bearer", "expires_in": 3600.0, "scope": test.scope}
				if diff := cmp.Diff(want, a.body); diff != "" || token == "" {
					t.Errorf("%s: %v, got (+), want (-):\n%s", test.name, token, diff)
				}
			}
		}
		for name, header := range map[string]http.Header{
			"JSON": {"Content-Type": {"application/json"}}, "no media type": {"Content-Type": nil},
		} {
			a := w.do(call{method: "POST", path: "/oauth/token", form: tokenForm(good()), header: header})
			w.want(name, a, 415, "Send the body as application/x-www-form-urlencoded.")
		}
		a := w.do(call{method: "POST", path: "/oauth/token", body: "grant_type=%zz", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
		w.want("no form", a, 400, "invalid_request")
		a = w.do(call{method: "POST", path: "/oauth/token?" + tokenForm(good()).Encode(), form: url.Values{"x": {"y"}}})
		w.want("parameters in the address", a, 400, "invalid_request")
	})
}

func TestAMeetingsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		made := time.Now().UTC()
		m := w.ok("POST", "/v1/meetings", "{}")
		id, _ := m["id"].(string)
		if _, err := usher.ParseID(id); err != nil {
			t.Errorf("the meeting's id is %q", id)
		}
		at := made.Format("2006-01-02T15:04:05.000000")
		want := map[string]any{"id": id, "status": "ready", "created_at": at, "updated_at": at}
		if diff := cmp.Diff(want, m); diff != "" {
			t.Errorf("created: got (+), want (-):\n%s", diff)
		}
		for _, method := range []string{"GET", "PATCH"} {
			if diff := cmp.Diff(want, w.ok(method, "/v1/meetings/"+id, "")); diff != "" {
				t.Errorf("%s: got (+), want (-):\n%s", method, diff)
			}
		}
		pass(1500 * time.Millisecond)
		p := w.place(id)
		c := w.enter(p, w.claim(p))
		want["status"], want["updated_at"] = "running", made.Add(1500*time.Millisecond).Format("2006-01-02T15:04:05.000000")
		if diff := cmp.Diff(want, w.ok("GET", "/v1/meetings/"+id, "")); diff != "" {
			t.Errorf("joined: got (+), want (-):\n%s", diff)
		}
		want["status"] = "ended"
		if diff := cmp.Diff(want, w.ok("DELETE", "/v1/meetings/"+id, "")); diff != "" {
			t.Errorf("ended: got (+), want (-):\n%s", diff)
		}
		c.wantClosed(4002, "The meeting was ended.")
		if diff := cmp.Diff(want, w.ok("GET", "/v1/meetings/"+id, "")); diff != "" {
			t.Errorf("got again: got (+), want (-):\n%s", diff)
		}
		if got := w.status(p); got != "left" {
			t.Errorf("the participant of an ended meeting is %s, want left", got)
		}
		for _, c := range []call{
			{method: "DELETE", path: "/v1/meetings/" + id},
			{method: "PATCH", path: "/v1/meetings/" + id},
			{method: "POST", path: "/v1/meetings/" + id + "/participants", body: "{}"},
			{method: "POST", path: p.path() + "/regenerate_secret"},
		} {
			c.bearer = w.bearer
			w.want(c.method+" "+c.path, w.do(c), 404, "Meeting has already ended")
		}
		w.want("join", w.join(p), 410, "Meeting is in the wrong state to be joined")
	})
}

func TestAParticipantsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		meeting := w.meeting()
		at := time.Now().UTC().Format("2006-01-02T15:04:05.000000")
		a := w.do(call{method: "POST", path: "/v1/meetings/" + meeting + "/participants", bearer: w.bearer})
		if !strings.HasPrefix(a.header.Get("Cache-Control"), "no-store") {
			t.Errorf("an answer with a secret: Cache-Control is %q", a.header.Get("Cache-Control"))
		}
		secret, _ := a.body["participant_secret"].(string)
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(secret) {
			t.Errorf("the secret is %d characters", len(secret))
		}
		p := place{meeting, a.body["id"].(string), secret}
		want := map[string]any{"id": p.id, "meeting_id": meeting, "status": "ready", "created_at": at, "updated_at": at}
		delete(a.body, "participant_secret")
		if diff := cmp.Diff(want, a.body); diff != "" {
			t.Errorf("created: got (+), want (-):\n%s", diff)
		}
		if diff := cmp.Diff(want, w.ok("GET", p.path(), "")); diff != "" {
			t.Errorf("got: got (+), want (-):\n%s", diff)
		}
		list := map[string]any{"objects": []any{want}, "cursor": ""}
		if diff := cmp.Diff(list, w.ok("GET", "/v1/meetings/"+meeting+"/participants", "")); diff != "" {
			t.Errorf("listed: got (+), want (-):\n%s", diff)
		}

		renewed := w.ok("POST", p.path()+"/regenerate_secret", "")
		if renewed["participant_secret"] == p.secret || renewed["id"] != p.id {
			t.Error("the secret was not made anew")
		}
		w.want("join with the earlier secret", w.join(p), 404, "Invalid participant ID or secret")
		p.secret = renewed["participant_secret"].(string)
		w.claim(p)
		a = w.do(call{method: "POST", path: p.path() + "/regenerate_secret", bearer: w.bearer})
		w.want("a new secret while joined", a, 400, "The participant is in the room; its secret can be made anew when it is not.")

		if got := w.ok("DELETE", p.path(), `{"reason":"Enough"}`); got["status"] != "removed" {
			t.Errorf("removed: %v", got)
		}
		w.want("remove again", w.do(call{method: "DELETE", path: p.path(), bearer: w.bearer}), 404, "Participant has already been removed")
		w.want("join when removed", w.join(p), 404, "Invalid participant ID or secret")
		a = w.do(call{method: "POST", path: p.path() + "/regenerate_secret", bearer: w.bearer})
		w.want("a new secret when removed", a, 404, "Participant has already been removed")
	})
}

func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.place(w.meeting())
		other := w.place(w.meeting())
		path := "/v1/meetings/" + p.meeting + "/join"
		unknown := string(w.ids.New())
		for name, test := range map[string]struct {
			place  place
			status int
			reason string
		}{
			"an unknown meeting":      {place{unknown, p.id, p.secret}, 404, "Meeting not found"},
			"a meeting that is no id": {place{"x", p.id, p.secret}, 404, "Meeting not found"},
			"an unknown participant":  {place{p.meeting, unknown, p.secret}, 404, "Invalid participant ID or secret"},
			"one that is no id":       {place{p.meeting, "../" + p.id, p.secret}, 404, "Invalid participant ID or secret"},
			"of another meeting":      {place{p.meeting, other.id, other.secret}, 404, "Invalid participant ID or secret"},
			"a wrong secret":          {place{p.meeting, p.id, other.secret}, 404, "Invalid participant ID or secret"},
		} {
			w.want(name, w.join(test.place), test.status, test.reason)
		}
		a := w.do(call{method: "POST", path: path, body: `{"participant_id":"` + p.id + `"}`})
		w.want("no secret", a, 400, "A join needs participant_id and participant_secret.")
		if diff := cmp.Diff(map[string]any{"participant_secret": []any{"is missing"}}, a.body["details"]); diff != "" {
			t.Errorf("details: got (+), want (-):\n%s", diff)
		}
		w.want("no body", w.do(call{method: "POST", path: path}), 415, "Send the body as application/json.")
		w.want("a number", w.do(call{method: "POST", path: path, body: `{"participant_id":1}`}), 400, "A field of the body has the wrong type.")
		w.want("another field", w.do(call{method: "POST", path: path, body: `{"role":"host"}`}), 400, "The body has a field that this call does not know.")

		a = w.join(p)
		token, _ := a.body["token"].(string)
		want := map[string]any{"location": "ws://usher.test/v1/meetings/" + p.meeting + "/socket", "token": token}
		if diff := cmp.Diff(want, a.body); diff != "" || a.status != 200 || len(token) != 43 {
			t.Errorf("join: %d, got (+), want (-):\n%s", a.status, diff)
		}
		if got := a.header.Get("Cache-Control"); !strings.HasPrefix(got, "no-store") {
			t.Errorf("an answer with a token: Cache-Control is %q", got)
		}
	})
}

func TestAFullMeeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		meeting := w.meeting()
		in, waiting := w.place(meeting), w.place(meeting)
		w.seats(meeting, 1)
		c := w.enter(in, w.claim(in))
		a := w.join(waiting)
		w.want("a join beyond the seats", a, 503, "Meeting is full")
		if got := a.header.Get("Retry-After"); got != "10" {
			t.Errorf("Retry-After is %q, want 10", got)
		}
		c.leave()
		synctest.Wait()
		w.want("a join when somebody has left", w.join(waiting), 200, "")
	})
}

// seats sets the number of seats of a meeting, which VPaaS has no call for.
func (w *world) seats(meeting string, n int) {
	w.t.Helper()
	key := usher.RoomKey{App: usher.DefaultApp, ID: usher.ID(meeting)}
	_, err := w.db.Rooms().Update(w.t.Context(), key, func(r usher.Room) (usher.Room, error) {
		r.Seats, r.Version = n, r.Version+1
		return r, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestOneOfManyClaimsAtOnceWins(t *testing.T) {
	w := newWorld(t)
	p := w.place(w.meeting())
	var won, lost atomic.Int64
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			switch a := w.join(p); a.status {
			case 200:
				won.Add(1)
			case 404:
				lost.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 59 {
		t.Errorf("%d claims won and %d got 404; want 1 and 59", won.Load(), lost.Load())
	}
}

func TestPages(t *testing.T) {
	w := newWorld(t)
	meetings := make([]string, 103)
	for i := range meetings {
		meetings[i] = w.meeting()
	}
	other, otherKey := w.register(usher.DefaultScopes...)
	if got := w.do(call{method: "GET", path: "/v1/meetings", bearer: w.token(other, otherKey)}); len(got.body["objects"].([]any)) != 0 {
		t.Errorf("another client sees %v", got.body)
	}
	places := make([]string, 101)
	for i := range places {
		places[i] = w.place(meetings[0]).id
	}
	for path, want := range map[string][]string{
		"/v1/meetings": meetings,
		"/v1/meetings/" + meetings[0] + "/participants": places,
	} {
		var got []string
		first := w.ok("GET", path, "")
		second := w.ok("GET", path+"?cursor="+first["cursor"].(string), "")
		for _, o := range append(first["objects"].([]any), second["objects"].([]any)...) {
			got = append(got, o.(map[string]any)["id"].(string))
		}
		if diff := cmp.Diff(want, got); diff != "" || len(first["objects"].([]any)) != 100 || second["cursor"] != "" {
			t.Errorf("%s: two pages, the last cursor %q; got (+), want (-):\n%s", path, second["cursor"], diff)
		}
		for _, cursor := range []string{"x", strings.Repeat("a", 25) + "b", "..%2f.."} {
			w.want("cursor "+cursor, w.do(call{method: "GET", path: path + "?cursor=" + cursor, bearer: w.bearer}), 400, "Invalid cursor")
		}
	}
}

// clientCalls is every call of a back end's, with the scope that it needs.
func clientCalls(p place) map[usher.Scope][]call {
	meeting := "/v1/meetings/" + p.meeting
	return map[usher.Scope][]call{
		usher.MeetingCreate:     {{method: "POST", path: "/v1/meetings"}},
		usher.MeetingRead:       {{method: "GET", path: "/v1/meetings"}, {method: "GET", path: meeting}},
		usher.MeetingWrite:      {{method: "PATCH", path: meeting}, {method: "DELETE", path: meeting}},
		usher.ParticipantCreate: {{method: "POST", path: meeting + "/participants"}},
		usher.ParticipantRead:   {{method: "GET", path: meeting + "/participants"}, {method: "GET", path: p.path()}},
		usher.ParticipantWrite:  {{method: "POST", path: p.path() + "/regenerate_secret"}, {method: "DELETE", path: p.path()}},
	}
}

func TestWhoMayCall(t *testing.T) {
	w := newWorld(t)
	p := w.place(w.meeting())
	stranger, strangersKey := w.register(usher.DefaultScopes...)
	strangers := w.token(stranger, strangersKey)
	for scope, calls := range clientCalls(p) {
		var without usher.Scopes
		for _, s := range usher.DefaultScopes {
			if s != scope {
				without = append(without, s)
			}
		}
		c, key := w.register(without...)
		lacking := w.token(c, key)
		for _, c := range calls {
			name := c.method + " " + c.path
			a := w.do(c)
			w.want("nobody: "+name, a, 401, "This call needs credentials: send a token in the Authorization header, as 'Bearer TOKEN'.")
			if got := a.header.Get("WWW-Authenticate"); got != "Bearer" {
				t.Errorf("%s: WWW-Authenticate is %q", name, got)
			}
			c.bearer = "x"
			w.want("an invented token: "+name, w.do(c), 401, "The credentials were not accepted: they are malformed, expired, revoked or meant for another server.")
			c.bearer = lacking
			w.want("without the scope: "+name, w.do(c), 403, "This call needs the scope "+string(scope)+", which the credentials do not have.")
			if c.bearer = strangers; c.path != "/v1/meetings" {
				w.want("another client: "+name, w.do(c), 404, "Invalid meeting ID")
			}
		}
	}
	if got := w.status(p); got != "ready" {
		t.Errorf("after all that was refused the participant is %s, want ready", got)
	}
	w.do(call{method: "DELETE", path: "/v1/meetings/" + p.meeting, bearer: w.bearer})
}

func TestHostileRequests(t *testing.T) {
	w := newWorld(t)
	p := w.place(w.meeting())
	for _, id := range []string{
		"x", strings.ToUpper(p.meeting), p.meeting + "a", p.meeting[:25], "a%2Fb", "%2e%2e%2f" + p.meeting, "..%2f..", "%2e%2e",
		p.meeting + "%2fparticipants", "a%3Fx%3D1", "%00", "%ff", p.meeting + "%20", "%20" + p.meeting, strings.Repeat("a", 25) + "b",
	} {
		for _, calls := range clientCalls(place{id, p.id, ""}) {
			for _, c := range calls {
				if c.bearer = w.bearer; c.path != "/v1/meetings" {
					w.want(c.method+" "+c.path, w.do(c), 404, "Invalid meeting ID")
				}
			}
		}
		for _, c := range []call{{method: "GET", path: place{p.meeting, id, ""}.path()}, {method: "DELETE", path: place{p.meeting, id, ""}.path()}} {
			c.bearer = w.bearer
			w.want(c.method+" "+c.path, w.do(c), 404, "Invalid participant ID")
		}
		w.want("join "+id, w.join(place{id, p.id, p.secret}), 404, "Meeting not found")
		w.want("socket "+id, w.do(call{method: "GET", path: "/v1/meetings/" + id + "/socket"}), 404, "Invalid meeting ID")
	}
	for _, path := range []string{"/v1/meetings/", "/v1//meetings", "/v1/meetings/../meetings", "/v1/meetings/" + p.meeting + "/", "/v1/orgs"} {
		if a := w.do(call{method: "POST", path: path, bearer: w.bearer}); a.status != 404 {
			t.Errorf("POST %s: %d, want 404", path, a.status)
		}
	}
	for _, path := range []string{"/v1/meetings", "/v1/meetings/" + p.meeting + "/participants"} {
		for name, test := range map[string]struct {
			body, media string
			status      int
		}{
			"no JSON":          {"{", "application/json", 400},
			"an unknown field": {`{"seats":1}`, "application/json", 400},
			"null":             {"null", "application/json", 400},
			"a list":           {"[]", "application/json", 400},
			"two values":       {"{}{}", "application/json", 400},
			"a form":           {"a=b", "application/x-www-form-urlencoded", 415},
			"no media type":    {"{}", "", 415},
			"too much":         {`{"x":"` + strings.Repeat("x", 70<<10) + `"}`, "application/json", 413},
		} {
			a := w.do(call{method: "POST", path: path, bearer: w.bearer, body: test.body, header: http.Header{"Content-Type": {test.media}}})
			if reason, _ := a.body["reason"].(string); a.status != test.status || reason == "" {
				t.Errorf("POST %s with %s: %d %v, want %d", path, name, a.status, a.body, test.status)
			}
		}
	}
	a := w.do(call{method: "DELETE", path: p.path(), bearer: w.bearer, body: `{"reason":"` + strings.Repeat("x", 124) + `"}`})
	if a.status != 400 {
		t.Errorf("a reason that no close frame can carry: %d, want 400", a.status)
	}
	if list := w.ok("GET", "/v1/meetings", ""); len(list["objects"].([]any)) != 1 || w.status(p) != "ready" {
		t.Errorf("hostile requests have changed something: %v", list)
	}
}

func TestOtherOrigins(t *testing.T) {
	w := newWorld(t)
	for _, c := range []call{
		{method: "POST", path: "/oauth/token", form: url.Values{}},
		{method: "POST", path: "/v1/meetings"},
		{method: "POST", path: "/v1/meetings/" + w.meeting() + "/join", body: "{}"},
	} {
		c.header = http.Header{"Origin": {"null"}}
		a := w.do(c)
		if got := a.header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("%s: Access-Control-Allow-Origin is %q, want *", c.path, got)
		}
		if got := a.header.Get("Access-Control-Expose-Headers"); got != "X-Request-ID" || a.header.Get("X-Request-ID") == "" {
			t.Errorf("%s: exposed is %q, X-Request-ID is %q", c.path, got, a.header.Get("X-Request-ID"))
		}
		c = call{method: "OPTIONS", path: c.path, header: http.Header{
			"Origin": {"null"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"content-type,traceparent,tracestate"},
		}}
		if a := w.do(c); a.status != 204 || a.header.Get("Access-Control-Allow-Headers") != "content-type,traceparent,tracestate" {
			t.Errorf("OPTIONS %s: %d %v", c.path, a.status, a.header)
		}
	}
}
