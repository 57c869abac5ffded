package e2e_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// shape is the form that a refusal has.
type shape string

const (
	vpaasShape   shape = "VPaaS"          // {"status", "reason"}
	problemShape shape = "RFC 9457"       // {"code", "detail", …}
	textShape    shape = "the tutorial's" // a sentence as text/html
	bareShape    shape = "bare"           // net/http's own, for what is no HTTP
)

// target is a server with something in it that hostile requests could change.
type target struct {
	*Server
	client, token string
	// meeting is the client's, with a participant that nobody has claimed.
	meeting place
	before  string
}

func newTarget(t *testing.T) *target {
	t.Helper()
	s := start(t, options{})
	key := clientKey(t)
	x := &target{Server: s, client: s.register(key.Public)}
	x.token = s.token(x.client, key)
	auth := bearer(x.token)
	meeting := s.must(http.StatusOK, http.MethodPost, "/v1/meetings", "", auth...).text(t, "id")
	a := s.must(http.StatusOK, http.MethodPost, "/v1/meetings/"+meeting+"/participants", "", auth...)
	x.meeting = place{meeting, a.text(t, "id"), s.Secret(a.text(t, "participant_secret"))}
	s.room(`{"name":"standing","seats":3}`)
	x.before = x.snapshot()
	return x
}

// snapshot is everything that a request could change.
func (x *target) snapshot() string {
	x.t.Helper()
	var b strings.Builder
	for _, path := range []string{
		"/api/v1/rooms?limit=200", "/api/v1/clients?limit=200",
		"/api/v1/rooms/" + x.meeting.Room + "/participants?limit=200", "/api/v1/rooms/standing/participants",
	} {
		b.WriteString(x.must(http.StatusOK, http.MethodGet, path, "").Body)
	}
	return b.String()
}

// inside is what no answer may tell of how the server is made.
var inside = regexp.MustCompile(`(?i)goroutine|panic|\.go:|sqlite|usher/internal|SELECT |/tmp/`)

// wantRefused checks the answer to a hostile request.
func (x *target) wantRefused(t *testing.T, a answer, status int, form shape, sent ...string) {
	t.Helper()
	if a.Status != status {
		t.Errorf("got status %d, want %d: %s", a.Status, status, a.Body)
	}
	if !hasShape(a, form) {
		t.Errorf("the answer does not have the shape of %s: %q %s", form, a.Header.Get("Content-Type"), a.Body)
	}
	if m := inside.FindString(a.Body); m != "" {
		t.Errorf("the answer tells %q of the inside: %s", m, a.Body)
	}
	everything := a.Body + fmt.Sprint(a.Header)
	for _, secret := range append(sent, x.token, x.meeting.Secret) {
		if len(secret) >= 16 && strings.Contains(everything, secret) {
			t.Errorf("the answer repeats a secret: %s", everything)
		}
	}
	if after := x.snapshot(); after != x.before {
		t.Errorf("something has changed:\n%s\nbefore:\n%s", after, x.before)
	}
}

func hasShape(a answer, form shape) bool {
	media, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	switch form {
	case vpaasShape:
		reason, ok := optionalText(a, "reason")
		return ok && reason != "" && media == "application/json"
	case problemShape:
		code, ok := optionalText(a, "code")
		detail, _ := optionalText(a, "detail")
		return ok && code != "" && detail != "" && media == "application/problem+json"
	case textShape:
		return media == "text/html" && a.Body != "" && !strings.Contains(a.Body, "<")
	default:
		return media == "text/plain"
	}
}

// route is one that takes an id, with ID where that goes.
type route struct {
	method, path string
	form         shape
	status       int
	// token says that a client's token is needed.
	token bool
}

func (x *target) routes() []route {
	m, p := "/v1/meetings/ID", "/v1/meetings/"+x.meeting.Room+"/participants/ID"
	r, q := "/api/v1/rooms/ID", "/api/v1/rooms/"+x.meeting.Room+"/participants/ID"
	c := "/api/v1/clients/ID"
	return []route{
		{"GET", m, vpaasShape, 404, true},
		{"PATCH", m, vpaasShape, 404, true},
		{"DELETE", m, vpaasShape, 404, true},
		{"GET", m + "/participants", vpaasShape, 404, true},
		{"POST", m + "/participants", vpaasShape, 404, true},
		{"GET", m + "/participants/" + x.meeting.Participant, vpaasShape, 404, true},
		{"DELETE", m + "/participants/" + x.meeting.Participant, vpaasShape, 404, true},
		{"POST", m + "/participants/" + x.meeting.Participant + "/regenerate_secret", vpaasShape, 404, true},
		{"POST", m + "/join", vpaasShape, 404, false},
		{"GET", m + "/socket", vpaasShape, 404, false},
		{"GET", p, vpaasShape, 404, true},
		{"DELETE", p, vpaasShape, 404, true},
		{"POST", p + "/regenerate_secret", vpaasShape, 404, true},

		{"GET", r, problemShape, 404, false},
		{"PATCH", r, problemShape, 404, false},
		{"DELETE", r, problemShape, 404, false},
		{"GET", r + "/participants", problemShape, 404, false},
		{"POST", r + "/participants", problemShape, 404, false},
		{"GET", r + "/participants/" + x.meeting.Participant, problemShape, 404, false},
		{"POST", r + "/participants/" + x.meeting.Participant + "/claim", problemShape, 404, false},
		{"GET", q, problemShape, 404, false},
		{"DELETE", q, problemShape, 404, false},
		{"POST", q + "/secret", problemShape, 404, false},
		{"POST", q + "/claim", problemShape, 404, false},
		{"GET", c, problemShape, 404, false},
		{"DELETE", c, problemShape, 404, false},
		{"POST", c + "/rotate", problemShape, 404, false},

		{"POST", "/meetings/ID/participants", textShape, 500, false},
	}
}

// bodyOf is a body that the route would accept.
func (x *target) bodyOf(r route) string {
	switch {
	case strings.HasSuffix(r.path, "/join"):
		return x.meeting.joinBody()
	case strings.HasSuffix(r.path, "/claim"):
		return fmt.Sprintf(`{"secret":%q}`, x.meeting.Secret)
	case strings.HasSuffix(r.path, "/rotate"):
		return `{"public_key":"none"}`
	default:
		return "{}"
	}
}

// Claim 6: encoded slashes and dots in ids.
func TestNoIDLeadsAnywhereElse(t *testing.T) {
	t.Parallel()
	x := newTarget(t)
	for _, r := range x.routes() {
		valid := x.meeting.Room
		if strings.Contains(r.path, x.meeting.Room+"/participants/ID") {
			valid = x.meeting.Participant
		}
		if strings.Contains(r.path, "/clients/") {
			valid = x.client
		}
		for name, id := range map[string]string{
			"an encoded slash and more":   valid + "%2Fparticipants",
			"an encoded slash at its end": valid + "%2F",
			"encoded dots and slashes":    "%2e%2e%2F" + valid,
			"only encoded dots":           "%2e%2e",
			"twice encoded dots":          "%252e%252e%252f" + valid,
			"an encoded backslash":        "..%5C" + valid,
			"an overlong encoding":        "%c0%ae%c0%ae%c0%af" + valid,
			"an encoded question mark":    valid + "%3Fx=1",
			"an encoded hash":             valid + "%23x",
			"an encoded zero":             valid + "%00",
			"an encoded line break":       valid + "%0d%0aX-Injected:%201",
			"a parameter":                 valid + ";x=1",
			"capital letters":             strings.ToUpper(valid),
			"another spelling":            valid[:25] + "b",
			"one character more":          valid + "a",
			"very many characters":        strings.Repeat("a", 8000),
		} {
			t.Run(r.method+" "+r.path+" with "+name, func(t *testing.T) {
				request := rawRequest{Method: r.method, Target: strings.Replace(r.path, "ID", id, 1)}
				if r.token {
					request.Headers = append(request.Headers, "Authorization: Bearer "+x.token)
				}
				if r.method != "GET" {
					request.Headers = append(request.Headers, "Content-Type: application/json")
					request.Body = x.bodyOf(r)
				}
				a, _ := x.raw(t, request)
				if a.Header.Get("X-Injected") != "" {
					t.Error("the id has made a header")
				}
				form := r.form
				if id == "%2e%2e" && hasShape(a, problemShape) {
					form = problemShape // a step up, before any route is looked for
				}
				status := r.status
				if form == problemShape && a.Status == http.StatusMethodNotAllowed {
					status = a.Status // of the path above
				}
				x.wantRefused(t, a, status, form)
			})
		}
	}
}

// Claim 6: paths that are none.
func TestNoPathIsMended(t *testing.T) {
	t.Parallel()
	x := newTarget(t)
	for _, path := range []string{
		"//oauth/token", "/oauth//token", "/oauth/./token", "/x/../oauth/token", "/oauth/token/", "/oauth%2Ftoken", "/OAUTH/TOKEN",
		"//v1/meetings", "/v1//meetings", "/v1/meetings/", "/v1/./meetings", "/v1/../v1/meetings", "/v1/meetings//participants",
		"//api/v1/rooms", "/api/v1/rooms/", "/api//v1/rooms", "/api/v1/../v1/rooms", "/api/v1/rooms/standing/../standing", "/api/v2/rooms",
		"//meetings", "/meetings//participants", "/./meetings", "/..", "/../../etc/passwd", "/.git/config", "/%2e%2e/", "/metrics/..", "/\\..\\",
	} {
		t.Run("POST "+path, func(t *testing.T) {
			a, _ := x.raw(t, rawRequest{
				Method: "POST", Target: path, Body: "{}",
				Headers: []string{"Content-Type: application/json", "Authorization: Bearer " + x.token},
			})
			if a.Header.Get("Location") != "" {
				t.Errorf("the answer leads to %s", a.Header.Get("Location"))
			}
			form := problemShape
			if strings.HasPrefix(path, "/oauth/") || strings.HasPrefix(path, "/oauth%2F") || strings.HasPrefix(path, "/v1/") {
				form = vpaasShape // what its clients can read, also where it has no route
			}
			x.wantRefused(t, a, http.StatusNotFound, form)
		})
	}
}

// Claim 6: bodies.
func TestNoBodyIsMisread(t *testing.T) {
	t.Parallel()
	x := newTarget(t)
	const mb = 1 << 20
	join, rooms := "/v1/meetings/"+x.meeting.Room+"/join", "/api/v1/rooms"
	claim := rooms + "/" + x.meeting.Room + "/participants/" + x.meeting.Participant + "/claim"
	asJSON, asForm := "Content-Type: application/json", "Content-Type: application/x-www-form-urlencoded"
	for name, test := range map[string]struct {
		path   string
		header []string
		body   string
		status int
		form   shape
	}{
		"a join that is too large":               {join, []string{asJSON}, `{"participant_id":"` + strings.Repeat("a", mb), 413, vpaasShape},
		"a join that is too large, in chunks":    {join, []string{asJSON, "Transfer-Encoding: chunked"}, chunked(`{"participant_id":"` + strings.Repeat("a", mb)), 413, vpaasShape},
		"a room that is too large":               {rooms, []string{asJSON}, `{"name":"` + strings.Repeat("a", mb), 413, problemShape},
		"a room that is too large, in chunks":    {rooms, []string{asJSON, "Transfer-Encoding: chunked"}, chunked(`{"name":"` + strings.Repeat("a", mb)), 413, problemShape},
		"a token request that is too large":      {"/oauth/token", []string{asForm}, "grant_type=" + strings.Repeat("a", mb), 413, vpaasShape},
		"blanks without end":                     {rooms, []string{asJSON}, strings.Repeat(" ", mb), 413, problemShape},
		"a chunk that is longer than it says":    {rooms, []string{asJSON, "Transfer-Encoding: chunked"}, "1\r\n{\"name\":\"x\"}\r\n0\r\n\r\n", 400, problemShape},
		"a chunk without a length":               {rooms, []string{asJSON, "Transfer-Encoding: chunked"}, "zz\r\n{}\r\n0\r\n\r\n", 400, problemShape},
		"a chunk longer than there are numbers":  {rooms, []string{asJSON, "Transfer-Encoding: chunked"}, "fffffffffffffffff\r\n{}\r\n0\r\n\r\n", 400, problemShape},
		"half of a join":                         {join, []string{asJSON}, x.meeting.joinBody()[:60], 400, vpaasShape},
		"half of a room":                         {rooms, []string{asJSON}, `{"seats":`, 400, problemShape},
		"two rooms in one":                       {rooms, []string{asJSON}, `{}{}`, 400, problemShape},
		"a room and garbage":                     {rooms, []string{asJSON}, `{} x`, 400, problemShape},
		"a list instead of a room":               {rooms, []string{asJSON}, `[]`, 400, problemShape},
		"null instead of a room":                 {rooms, []string{asJSON}, `null`, 400, problemShape},
		"a number instead of a join":             {join, []string{asJSON}, `1`, 400, vpaasShape},
		"null instead of a join":                 {join, []string{asJSON}, `null`, 400, vpaasShape},
		"brackets without end":                   {rooms, []string{asJSON}, strings.Repeat("[", 60_000), 400, problemShape},
		"a seat count that is text":              {rooms, []string{asJSON}, `{"seats":"3"}`, 400, problemShape},
		"a seat count that no number is":         {rooms, []string{asJSON}, `{"seats":1e400}`, 400, problemShape},
		"fewer seats than none":                  {rooms, []string{asJSON}, `{"seats":-1}`, 400, problemShape},
		"more seats than there are people":       {rooms, []string{asJSON}, `{"seats":99999999999}`, 400, problemShape},
		"half a seat":                            {rooms, []string{asJSON}, `{"seats":0.5}`, 400, problemShape},
		"a name with a zero":                     {rooms, []string{asJSON}, `{"name":"a\u0000b"}`, 400, problemShape},
		"a name of dots":                         {rooms, []string{asJSON}, `{"name":".."}`, 400, problemShape},
		"a name that is an id":                   {rooms, []string{asJSON}, `{"name":"` + x.meeting.Room + `"}`, 400, problemShape},
		"a time that is none":                    {rooms, []string{asJSON}, `{"opens_at":"yesterday"}`, 400, problemShape},
		"a field that is not known":              {rooms, []string{asJSON}, `{"seets":3}`, 400, problemShape},
		"an owner that one chooses":              {rooms, []string{asJSON}, `{"owner":"client:x"}`, 400, problemShape},
		"a join with a field that is not known":  {join, []string{asJSON}, strings.Replace(x.meeting.joinBody(), "{", `{"role":"host",`, 1), 400, vpaasShape},
		"a claim with a field that is not known": {claim, []string{asJSON}, fmt.Sprintf(`{"secret":%q,"room":"x"}`, x.meeting.Secret), 400, problemShape},
		"a meeting with a field":                 {"/v1/meetings", []string{asJSON, "Authorization: Bearer " + x.token}, `{"id":"mine"}`, 400, vpaasShape},
		"a join as a form":                       {join, []string{asForm}, x.meeting.joinBody(), 415, vpaasShape},
		"a join as text":                         {join, []string{"Content-Type: text/plain"}, x.meeting.joinBody(), 415, vpaasShape},
		"a join as nothing":                      {join, nil, x.meeting.joinBody(), 415, vpaasShape},
		"a join as two things":                   {join, []string{"Content-Type: application/json, text/plain"}, x.meeting.joinBody(), 415, vpaasShape},
		"a room as XML":                          {rooms, []string{"Content-Type: application/xml"}, `<room/>`, 415, problemShape},
		"a claim as text":                        {claim, []string{"Content-Type: text/plain"}, fmt.Sprintf(`{"secret":%q}`, x.meeting.Secret), 415, problemShape},
		"a token request as JSON":                {"/oauth/token", []string{asJSON}, `{"grant_type":"client_credentials"}`, 415, vpaasShape},
		"a token request for a password":         {"/oauth/token", []string{asForm}, "grant_type=password&username=a&password=b", 400, vpaasShape},
		"a token request with everything twice":  {"/oauth/token", []string{asForm}, tokenRequest("a") + "&" + tokenRequest("b"), 400, vpaasShape},
		"a token request that is no form":        {"/oauth/token", []string{asForm}, "%zz=%", 400, vpaasShape},
		"an empty token request":                 {"/oauth/token", []string{asForm}, "", 400, vpaasShape},
		"an empty join":                          {join, []string{asJSON, "Content-Length: 0"}, "", 400, vpaasShape},
		"a join without a secret":                {join, []string{asJSON}, fmt.Sprintf(`{"participant_id":%q}`, x.meeting.Participant), 400, vpaasShape},
		"a join with a list as its secret":       {join, []string{asJSON}, fmt.Sprintf(`{"participant_id":%q,"participant_secret":[%q]}`, x.meeting.Participant, x.meeting.Secret), 400, vpaasShape},
		"a join with half of its secret":         {join, []string{asJSON}, fmt.Sprintf(`{"participant_id":%q,"participant_secret":%q}`, x.meeting.Participant, x.meeting.Secret[:42]), 404, vpaasShape},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := x.raw(t, rawRequest{Method: "POST", Target: test.path, Headers: test.header, Body: test.body})
			x.wantRefused(t, a, test.status, test.form)
		})
	}
}

func chunked(body string) string {
	return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
}

// Claim 6: what is not HTTP, or pretends to be somewhere else.
func TestNoRequestIsSmuggledIn(t *testing.T) {
	t.Parallel()
	x := newTarget(t)
	const rooms = "/api/v1/rooms"
	hidden := "POST " + rooms + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	asJSON := "Content-Type: application/json"
	for name, test := range map[string]struct {
		request rawRequest
		status  int
		form    shape
	}{
		"a length beside chunks, shorter": {rawRequest{Method: "POST", Target: rooms, Headers: []string{asJSON, "Content-Length: 4", "Transfer-Encoding: chunked"},
			Body: chunked(hidden)}, 400, problemShape},
		"two lengths":                 {rawRequest{Method: "POST", Target: rooms, Headers: []string{asJSON, "Content-Length: 0", fmt.Sprintf("Content-Length: %d", len(hidden))}, Body: hidden}, 400, bareShape},
		"a list of lengths":           {rawRequest{Method: "POST", Target: rooms, Headers: []string{asJSON, "Content-Length: 0, 5"}, Body: hidden}, 400, bareShape},
		"a length with a sign":        {rawRequest{Method: "POST", Target: rooms, Headers: []string{asJSON, "Content-Length: +2"}, Body: "{}"}, 400, bareShape},
		"a length below zero":         {rawRequest{Method: "POST", Target: rooms, Headers: []string{asJSON, "Content-Length: -1"}, Body: "{}"}, 400, bareShape},
		"chunks of another sort":      {rawRequest{Method: "POST", Target: rooms, Headers: []string{asJSON, "Transfer-Encoding: xchunked"}, Body: chunked(hidden)}, 501, bareShape},
		"chunks, and then not":        {rawRequest{Method: "POST", Target: rooms, Headers: []string{asJSON, "Transfer-Encoding: chunked, identity"}, Body: chunked(hidden)}, 501, bareShape},
		"chunks twice":                {rawRequest{Method: "POST", Target: rooms, Headers: []string{asJSON, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"}, Body: chunked(hidden)}, 501, bareShape},
		"a blank before the colon":    {rawRequest{Method: "POST", Target: rooms, Headers: []string{asJSON, "Transfer-Encoding : chunked"}, Body: chunked(hidden)}, 400, bareShape},
		"a line that goes on":         {rawRequest{Method: "POST", Target: rooms, Headers: []string{asJSON, "X-Test: a\r\n Transfer-Encoding: chunked"}, Body: "x"}, 400, problemShape},
		"a header with a zero":        {rawRequest{Method: "GET", Target: rooms, Headers: []string{"X-Test: a\x00b"}}, 400, bareShape},
		"a header with no name":       {rawRequest{Method: "GET", Target: rooms, Headers: []string{": a"}}, 400, bareShape},
		"a method that is none":       {rawRequest{Method: "GET\x01", Target: rooms}, 400, bareShape},
		"a target with a blank":       {rawRequest{Method: "GET", Target: "/a b"}, 400, bareShape},
		"a target that can't be read": {rawRequest{Method: "GET", Target: "/%zz"}, 400, bareShape},
		"a method of nobody":          {rawRequest{Method: "BREW", Target: rooms}, 405, problemShape},
		"TRACE":                       {rawRequest{Method: "TRACE", Target: rooms, Headers: []string{"Authorization: Bearer " + x.token}}, 405, problemShape},
		"CONNECT":                     {rawRequest{Method: "CONNECT", Target: "evil.example:443"}, 403, problemShape},
		"CONNECT to ourselves":        {rawRequest{Method: "CONNECT", Target: "localhost:22", Host: "localhost:22"}, 405, problemShape}, // the page is at /
		"the asterisk":                {rawRequest{Method: "GET", Target: "*"}, 404, problemShape},
		"no Host":                     {rawRequest{Method: "GET", Target: rooms, Host: "-"}, 400, bareShape},
		"two Hosts":                   {rawRequest{Method: "GET", Target: rooms, Headers: []string{"Host: localhost"}}, 400, bareShape},
		"a Host that is none":         {rawRequest{Method: "GET", Target: rooms, Host: "a b"}, 400, bareShape},
		"another Host":                {rawRequest{Method: "POST", Target: rooms, Host: "evil.example", Headers: []string{asJSON}, Body: "{}"}, 403, problemShape},
		"another Host for a meeting":  {rawRequest{Method: "POST", Target: "/meetings", Host: "evil.example:8080"}, 403, problemShape},
		"another Host for a join":     {rawRequest{Method: "POST", Target: "/v1/meetings/" + x.meeting.Room + "/join", Host: "evil.example", Headers: []string{asJSON}, Body: x.meeting.joinBody()}, 403, vpaasShape},
		"a Host that looks local":     {rawRequest{Method: "GET", Target: rooms, Host: "localhost.evil.example"}, 403, problemShape},
		"a Host that looks like ours": {rawRequest{Method: "GET", Target: rooms, Host: "127.0.0.1.evil.example"}, 403, problemShape},
		"an address of no loopback":   {rawRequest{Method: "GET", Target: rooms, Host: "192.168.1.1"}, 403, problemShape},
		"a target at another host":    {rawRequest{Method: "GET", Target: "http://evil.example" + rooms}, 403, problemShape},
		"a target with another user":  {rawRequest{Method: "GET", Target: "http://localhost@evil.example" + rooms}, 403, problemShape},
		"two tokens":                  {rawRequest{Method: "POST", Target: "/v1/meetings", Headers: []string{"Authorization: Bearer " + x.token, "Authorization: Bearer " + x.token}}, 401, vpaasShape},
		"a token and a password":      {rawRequest{Method: "POST", Target: "/v1/meetings", Headers: []string{"Authorization: Bearer " + x.token + ", Basic YTpi"}}, 401, vpaasShape},
		"a password":                  {rawRequest{Method: "POST", Target: rooms, Headers: []string{asJSON, "Authorization: Basic YTpi"}, Body: "{}"}, 401, problemShape},
		"an empty Authorization":      {rawRequest{Method: "POST", Target: rooms, Headers: []string{asJSON, "Authorization:"}, Body: "{}"}, 401, problemShape},
		"headers of 100 KB":           {rawRequest{Method: "GET", Target: rooms, Headers: []string{"X-Test: " + strings.Repeat("a", 100<<10)}}, 431, bareShape},
		"a thousand headers":          {rawRequest{Method: "GET", Target: rooms, Headers: strings.Split(strings.Repeat("X-Test: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 1000)+"X-Test: a", "\n")}, 431, bareShape},
		"a target of 100 KB":          {rawRequest{Method: "GET", Target: "/" + strings.Repeat("a", 100<<10)}, 431, bareShape},
		"HTTP of the future":          {rawRequest{Method: "GET", Target: rooms + " HTTP/9.9\r\nX-Test:"}, 505, bareShape},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := x.raw(t, test.request)
			x.wantRefused(t, a, test.status, test.form)
		})
	}
}

// A back end may stand behind a proxy that believes the length where we believe
// the chunks. Whatever the first request was answered, its connection must not
// serve what the other reading takes for a second one (RFC 9112, section 6.3).
func TestALengthBesideChunksEndsTheConnection(t *testing.T) {
	t.Parallel()
	x := newTarget(t)
	hidden := "POST /api/v1/rooms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	body := "0\r\n\r\n" + hidden
	a, open := x.raw(t, rawRequest{
		Method: "GET", Target: "/healthz",
		Headers: []string{fmt.Sprintf("Content-Length: %d", len(body)), "Transfer-Encoding: chunked"}, Body: body,
	})
	if open {
		t.Errorf("the connection stays open after status %d", a.Status)
	}
	if x.snapshot() != x.before {
		t.Error("the hidden request was served")
	}
}
