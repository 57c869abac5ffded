package e2e_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// roomApp is an app with pages and its own sessions on Room Service, which the
// pages find by its own name: a browser is told where that is.
type roomApp struct {
	URL     string
	s       *Server
	browser chromium
	// signIn has somebody sign in who is at a page of the app, and sessions are
	// who that was, by the cookie.
	signIn   func(p page, user string)
	sessions sync.Map
	// provision is the app's own auth webhook; nil refuses everybody.
	provision func(user, room string) (answer, bool)
}

// newRoomApp starts a server that is Room Service, an app, and a browser.
func newRoomApp(t *testing.T, more string) *roomApp {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	a := &roomApp{URL: server.URL, signIn: func(p page, user string) {
		p.t.Helper()
		p.run(`await fetch('/login', {method: 'POST', body: new URLSearchParams({user: arg})})`, user, nil)
	}}
	https := "127.0.0.1:" + unusedPort(t)
	a.s = start(t, options{Args: []string{"--https", https}, Config: fmt.Sprintf(`
server: {origins: ['%s']}
session: {url: %s/me, cookies: [sid]}
rooms: {implicit: true}
collab: {grace: 1s}
compat: {roomservice: {enabled: true, access: session}}
%s`, a.URL, a.URL, more)})
	a.serve(mux, bundle(t, "page.mjs"))
	a.browser = startBrowser(t, chromiumOptions{
		Hosts: map[string]string{"super.roomservice.dev:443": https},
		Keys:  []string{keyHash(t, readFile(t, filepath.Join(a.s.Data, "tls", "localhost.crt")))},
	})
	return a
}

// serve answers as the app does.
func (a *roomApp) serve(mux *http.ServeMux, script []byte) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>loading</title><script src="/page.js"></script>`)
	})
	mux.HandleFunc("GET /page.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(script)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		a.begin(w, r.FormValue("user"))
	})
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		user := a.user(r)
		if user == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"sub": user})
	})
	mux.HandleFunc("POST /own-auth", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Room string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		passed, ok := a.provision(a.user(r), body.Room)
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(passed.Status)
		_, _ = io.WriteString(w, passed.Body)
	})
	mux.HandleFunc("POST /roomservice/auth", func(w http.ResponseWriter, r *http.Request) {
		target, err := url.Parse(a.s.HTTP)
		if err != nil {
			panic(err)
		}
		httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
	})
}

// begin begins a session of somebody.
func (a *roomApp) begin(w http.ResponseWriter, user string) {
	session := a.s.Secret(rand.Text())
	a.sessions.Store(session, user)
	http.SetCookie(w, &http.Cookie{
		Name: "sid", Value: session, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(a.URL, "https:"),
	})
}

// user is whose session a request has; "" is nobody's.
func (a *roomApp) user(r *http.Request) string {
	cookie, err := r.Cookie("sid")
	if err != nil {
		return ""
	}
	user, _ := a.sessions.Load(cookie.Value)
	name, _ := user.(string)
	return name
}

// visit opens a page of the app for a signed-in user; an empty one is not.
func (a *roomApp) visit(user string) page {
	a.s.t.Helper()
	p := a.browser.open("page of "+user, a.URL)
	if user != "" {
		a.signIn(p, user)
	}
	return p
}

const enterDemo = `window.room = await new RoomService({auth: async ({room}) => {
	const response = await fetch('/own-auth', {method: 'POST', credentials: 'include', body: JSON.stringify({room})});
	if (response.status !== 200) throw new Error('not let in: ' + response.status);
	return response.json();
}}).room(arg);`

func TestRoomServicesClientSharesARoomInABrowser(t *testing.T) {
	t.Parallel()
	a := newRoomApp(t, "")
	x := a.s.tenant()
	a.provision = x.provisionForPage
	ann, cleo := wantSharedRoom(t, a, func(p page) { p.run(enterDemo, "demo", nil) })

	// Refused.
	a.provision = func(string, string) (answer, bool) { return answer{}, false }
	wantError(t, cleo.tryRun(enterDemo, "other", nil), "not let in: 401")
	const forged = `await new RoomService({auth: async () => ({...arg, token: 'tok_forged'})}).room('demo')`
	p := x.provision("dan", "demo", "read_write")
	wantError(t, cleo.tryRun(forged, p, nil), "not valid JSON")
	wantNoCORS(t, ann, cleo)
}

// provisionForPage is the auth webhook of an app that lets everybody in.
func (x tenant) provisionForPage(user, room string) (answer, bool) {
	body, err := json.Marshal(x.provision(user, room, "read_write"))
	return answer{Status: http.StatusOK, Body: string(body)}, err == nil
}

// wantSharedRoom has people share the room demo, which they enter as the test
// says, through a restart. It returns those who are there in the end.
func wantSharedRoom(t *testing.T, a *roomApp, enter func(page)) (ann, cleo page) {
	t.Helper()
	ann, bob := a.visit("ann"), a.visit("bob")
	enter(ann)
	enter(bob)

	// Presence, of every kind of value that JSON has.
	for _, value := range []string{`{"x":1,"y":2}`, `"text"`, `"123"`, `true`, `7`, `["a"]`} {
		ann.run(`room.presence('cursor').set(arg)`, json.RawMessage(value), nil)
		bob.run(`await until('the cursor', () => JSON.stringify(room.presence('cursor').getAll().ann) === JSON.stringify(arg))`, json.RawMessage(value), nil)
	}
	var me string
	bob.run(`return room.me`, nil, &me)
	if me != "bob" {
		t.Errorf("bob is %q to himself", me)
	}

	// Maps and lists.
	bob.run(`window.heard = []; room.subscribe(room.map('settings'), (map, from) => heard.push([from, map.color])); room.list('todos')`, nil, nil)
	ann.run(`room.map('settings').set('color', 'red'); room.map('settings').set('n', {a: [1, null, 'ü']}); room.map('settings').delete('n');
		const list = room.list('todos'); list.push('one', 'two'); list.insertAt(0, 'zero'); list.set(1, 'ONE'); list.delete(2);`, nil, nil)
	var seen struct {
		Map   map[string]any
		List  []any
		Heard [][]string
	}
	look := `await until('the changes', () => room.list('todos').toArray().join() === 'zero,ONE' && room.map('settings').get('color') === 'red' && !room.map('settings').get('n'));
		return {map: room.map('settings').toObject(), list: room.list('todos').toArray(), heard: window.heard ?? []}`
	ann.run(look, nil, nil)
	bob.run(look, nil, &seen)
	if diff := cmp.Diff(map[string]any{"color": "red"}, seen.Map); diff != "" {
		t.Errorf("bob's map (-want +got):\n%s", diff)
	}
	if !slices.ContainsFunc(seen.Heard, func(h []string) bool { return slices.Equal(h, []string{"ann", "red"}) }) {
		t.Errorf("bob heard %q, want the colour from ann", seen.Heard)
	}

	// The server goes and comes back, with what was there and what was done meanwhile.
	a.s.Stop()
	bob.run(`room.map('settings').set('color', 'green')`, nil, nil)
	a.s.Restart()
	ann.run(`await until('what was done while the server was gone', () => room.map('settings').get('color') === 'green');
		await until('the list', () => room.list('todos').toArray().join() === 'zero,ONE')`, nil, nil)
	bob.run(`room.presence('cursor').set('back')`, nil, nil)
	ann.run(`await until('the cursor', () => room.presence('cursor').getAll().bob === 'back')`, nil, nil)

	// Who comes late sees all of it at once; who leaves is gone.
	cleo = a.visit("cleo")
	enter(cleo)
	var first []any
	cleo.run(`return [room.map('settings').toObject(), room.list('todos').toArray(), room.presence('cursor').getAll()]`, nil, &first)
	want := []any{map[string]any{"color": "green"}, []any{"zero", "ONE"}, map[string]any{"bob": "back"}}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("who comes late sees (-want +got):\n%s", diff)
	}
	bob.shut()
	cleo.run(`await until('bob to be gone', () => !('bob' in room.presence('cursor').getAll()))`, nil, nil)
	return ann, cleo
}

// wantNoCORS checks that no page was kept from reading an answer.
func wantNoCORS(t *testing.T, pages ...page) {
	t.Helper()
	for _, p := range pages {
		for _, line := range p.log() {
			if strings.Contains(line, "CORS") {
				t.Errorf("the log of the page %s has %q", p.name, line)
			}
		}
	}
}

func wantError(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("got the error %v, want one with %q", err, words)
	}
}

// The two forms of the client's auth, each as the page of an app that signs in
// with a cookie uses it.
const (
	// A function may call any origin, and sends cookies along.
	functionForm = `window.room = await new RoomService({auth: async ({room}) => {
		const response = await fetch(arg.server + '/roomservice/auth', {
			method: 'POST', credentials: 'include', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({room})});
		const body = await response.json();
		if (response.status !== 200) throw new Error(response.status + ' ' + body.code);
		return body;
	}}).room(arg.room); return room.me`
	// A URL is called without credentials, so that it must be one of the app's own.
	urlForm = `window.room = await new RoomService({auth: '/roomservice/auth'}).room(arg.room); return room.me`
)

func TestAPageGetsItsTokenByTheSessionOfItsApp(t *testing.T) {
	t.Parallel()
	a := newRoomApp(t, "")
	x := a.s.tenant()
	x.provision("somebody", "members-only", "read_write") // the room is the back end's, which has added nobody
	in := func(room string) map[string]string { return map[string]string{"server": a.s.HTTP, "room": room} }

	ann, bob := a.visit("ann"), a.visit("bob")
	var me string
	ann.run(functionForm, in("demo"), &me)
	if me != "ann" {
		t.Errorf("with the function form ann is %q", me)
	}
	bob.run(urlForm, in("demo"), &me)
	if me != "bob" {
		t.Errorf("with the URL form bob is %q", me)
	}
	ann.run(`room.map('m').set('k', 1)`, nil, nil)
	bob.run(`await until('the change', () => room.map('m').get('k') === 1)`, nil, nil)

	nobody := a.visit("")
	wantError(t, nobody.tryRun(functionForm, in("demo"), nil), "401 ")
	wantError(t, nobody.tryRun(urlForm, in("demo"), nil), "returned unauthorized")
	wantError(t, ann.tryRun(functionForm, in("members-only"), nil), "403 not_member")
	wantError(t, ann.tryRun(urlForm, in("members-only"), nil), "other than 200")
	for name, body := range map[string]string{
		"no JSON": `room=demo`, "no object": `[]`, "neither room nor resources": `{}`, "a room that is no text": `{"room":7}`,
		"resources that are no list": `{"resources":7}`, "no resources": `{"resources":[]}`,
		"a document of no room":  `{"resources":[{"object":"document","reference":"default","permission":"read_write"}]}`,
		"another kind of object": `{"resources":[{"object":"whiteboard","reference":"r"}]}`,
		"another permission":     `{"resources":[{"object":"room","reference":"r","permission":"own"}]}`,
		"a name that is none":    `{"room":" r"}`,
	} {
		var got struct {
			Status int
			Body   map[string]any
		}
		ann.run(`const r = await fetch(arg.server + '/roomservice/auth', {
				method: 'POST', credentials: 'include', headers: {'Content-Type': 'application/json'}, body: arg.body});
			return {status: r.status, body: await r.json()}`, map[string]string{"server": a.s.HTTP, "body": body}, &got)
		if got.Status != http.StatusBadRequest || got.Body["error"] == "" || got.Body["token"] != nil {
			t.Errorf("%s: got %d %v, want 400 with a reason", name, got.Status, got.Body)
		}
	}

	// A page of another origin gets nothing by the user's cookie.
	mux := http.NewServeMux()
	(&roomApp{s: a.s}).serve(mux, bundle(t, "page.mjs"))
	evil := httptest.NewServer(mux)
	t.Cleanup(evil.Close)
	elsewhere := a.browser.open("evil", evil.URL, "page of ann")
	wantError(t, elsewhere.tryRun(functionForm, in("demo"), nil), "Failed to fetch")
}
