package e2e_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// newSecureRoomApp is newRoomApp with all of it over TLS, and people who sign in
// at an issuer. The configuration is that of a section of the documentation.
func newSecureRoomApp(t *testing.T, section string) *roomApp {
	t.Helper()
	authority := newAuthority(t)
	mux := http.NewServeMux()
	a := &roomApp{URL: authority.serve(mux)}
	address := "localhost:" + unusedPort(t)
	a.s = start(t, options{TLS: authority, HTTPS: address,
		Config: documented(t, "room-service.md#"+section, "https://app.example.com", a.URL) + "collab: {grace: 1s}\n"})
	a.serve(mux, bundle(t, "page.mjs"))
	a.signInAt(mux, newSecureProvider(t, authority, a.URL+"/signed-in"))
	a.browser = startBrowser(t, chromiumOptions{Hosts: map[string]string{"super.roomservice.dev:443": address}}.trusting(authority))
	return a
}

// signInAt has people sign in to the app at an issuer, of which it gets the code,
// as an app does whose sessions are its own.
func (a *roomApp) signInAt(mux *http.ServeMux, p *provider) {
	var flows sync.Map
	mux.HandleFunc("GET /sign-in", func(w http.ResponseWriter, r *http.Request) {
		state := rand.Text()
		flow := codeFlow{p, clientID, a.URL + "/signed-in", audience, rand.Text() + rand.Text()}
		flows.Store(state, flow)
		http.Redirect(w, r, flow.begin()+"&state="+state, http.StatusSeeOther)
	})
	mux.HandleFunc("GET /signed-in", func(w http.ResponseWriter, r *http.Request) {
		flow, ok := flows.LoadAndDelete(r.FormValue("state"))
		if !ok {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		tokens, err := flow.(codeFlow).end(r.FormValue("code"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		a.begin(w, subjectOf(tokens.ID))
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	a.signIn = func(at page, user string) {
		at.t.Helper()
		at.drive(`await page.goto(arg.app + '/sign-in');
			await page.fill('input[name="login"]', arg.user);
			await page.fill('input[name="password"]', 'any');
			await page.click('button[type="submit"]');
			await page.click('button[type="submit"] >> text=Continue');
			await page.waitForURL(arg.app + '/')`, map[string]string{"app": a.URL, "user": user}, nil)
	}
}

// backEnd is the app's back end: its client of the server, made by the command
// of the documentation, and npm's client with that key.
func (a *roomApp) backEnd(t *testing.T, scopes string) (tenant, *driver) {
	t.Helper()
	r := runUsher(t, "client", "add", "--data", a.s.Data, "--name", "my-rooms", "--scopes", scopes, "--api-key")
	if r.Status != 0 {
		t.Fatalf("usher client add: status %d\n%s", r.Status, r.Stderr)
	}
	clients, err := a.s.operator().ClientPage(within(t, time.Minute), client.PageQuery{})
	if err != nil || len(clients.Clients) != 1 {
		t.Fatalf("the clients are %+v, %v; want one", clients, err)
	}
	x := tenant{a.s, clients.Clients[0].ID, a.s.Secret(strings.TrimSpace(r.Stdout))}
	a.provision = x.provisionForPage
	return x, startDriver(t, "sdk.mjs", "NODE_EXTRA_CA_CERTS="+a.s.CA())
}

// in is what the forms of the client's auth are told.
func (a *roomApp) in(room string) map[string]string {
	return map[string]string{"server": a.s.HTTPS, "room": room}
}

// Pages with the session of their app share a room, and leave when they have to.
func TestRoomServiceInProduction(t *testing.T) {
	t.Parallel()
	a := newSecureRoomApp(t, "Leave the webhook to Usher")
	ann, cleo := wantSharedRoom(t, a, func(p page) { p.run(functionForm, a.in("demo"), nil) })
	a.s.wantDecision("user:session#ann", "room.enter", "session")

	// Nobody in particular.
	var told struct {
		Status      int
		Error, Code string
	}
	const ask = `const response = await fetch(arg.server + '/roomservice/auth', {
			method: 'POST', credentials: 'include', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({room: arg.room})});
		return {status: response.status, ...await response.json()}`
	a.visit("").run(ask, a.in("demo"), &told)
	if told.Status != http.StatusUnauthorized || !strings.HasSuffix(told.Error, ".") {
		t.Errorf("a stranger is told %+v, want 401 and a sentence", told)
	}

	// Who is banned is out, and stays out.
	cleo.run(`room.presence('cursor').set('here')`, nil, nil)
	ann.run(`await until('cleo', () => room.presence('cursor').getAll().cleo === 'here')`, nil, nil)
	if _, err := a.s.operator().Ban(within(t, time.Minute), "demo", client.BanRequest{Identity: "user:session#cleo", Reason: "Enough."}); err != nil {
		t.Fatal(err)
	}
	ann.run(`await until('cleo to be gone', () => !('cleo' in room.presence('cursor').getAll()))`, nil, nil)
	wantError(t, cleo.tryRun(functionForm, a.in("demo"), nil), "403 banned")

	// The room of a back end is shared with whom the back end lets in.
	x, back := a.backEnd(t, "roomservice:provision")
	plans := map[string]any{
		"domain": a.s.HTTPS, "key": x.key, "room": "plans", "values": map[string]any{"color": "red"}, "items": []string{"one"}, "names": []string{"color"},
	}
	back.call("write", plans, nil)
	wantError(t, ann.tryRun(functionForm, a.in("plans"), nil), "403 not_member")
	dan := a.visit("dan")
	for _, p := range []page{ann, dan} {
		p.run(enterDemo+`; await until('what the back end wrote', () => room.map('settings').get('color') === 'red' && room.list('todos').toArray().join() === 'one')`, "plans", nil)
	}
	ann.run(`room.map('settings').set('color', 'green'); room.presence('cursor').set('here')`, nil, nil)
	dan.run(`await until('the change', () => room.map('settings').get('color') === 'green');
		await until('ann', () => room.presence('cursor').getAll().ann === 'here')`, nil, nil)
	var read map[string]any
	back.call("read", plans, &read)
	if read["color"] != "green" {
		t.Errorf("the back end reads %v, want what the page wrote", read)
	}
	a.s.wantDecision("client:"+string(x.id), "room.create", "")

	// What it takes away is gone at once, from the page and from whoever else has it.
	anns := x.provision("ann", "plans", "read_write")
	inside := a.s.enter(anns)
	if got := x.send(http.MethodPost, "/roomservice/revoke", `{"user":"ann","room":"plans"}`, "Bearer "+x.key); got.Status != http.StatusNoContent {
		t.Fatalf("revoke: got %d: %s", got.Status, got.Body)
	}
	if code := inside.closed(); code != 4001 {
		t.Errorf("the connection was closed with %d, want 4001", code)
	}
	dan.run(`await until('ann to be gone', () => !('ann' in room.presence('cursor').getAll()))`, nil, nil)
	a.s.Kill()
	a.s.Restart()
	again := a.s.dialGuest()
	again.send("guest:authenticate", anns.Token)
	if code := again.closed(); code != 4001 {
		t.Errorf("with the dead token the connection was closed with %d, want 4001", code)
	}
	if got := x.send(http.MethodGet, "/docs/"+anns.document(), "", "Bearer: "+anns.Token); got.Status != http.StatusUnauthorized {
		t.Errorf("the document with the dead token: got %d", got.Status)
	}
	wantError(t, cleo.tryRun(functionForm, a.in("demo"), nil), "403 banned")
	late := a.visit("late")
	late.run(enterDemo+`; await until('what was written before', () => room.map('settings').get('color') === 'green'); room.map('settings').set('color', 'blue')`, "plans", nil)
	dan.run(`await until('the news', () => room.map('settings').get('color') === 'blue')`, nil, nil)
	wantNoCORS(t, ann, dan, cleo, late)
}

// Visitors whom nobody knows follow what a back end writes, and change nothing.
func TestRoomServiceInProductionIsReadByEverybody(t *testing.T) {
	t.Parallel()
	a := newSecureRoomApp(t, "Let everybody read")
	x, back := a.backEnd(t, "roomservice:provision meeting:write")
	write := func(color string) {
		t.Helper()
		back.call("write", map[string]any{
			"domain": a.s.HTTPS, "key": x.key, "room": "notices", "values": map[string]any{"color": color}, "items": []string{color},
		}, nil)
	}
	write("red")
	const enter = `window.room = await new RoomService({auth: async ({room}) => {
		const response = await fetch(arg.server + '/roomservice/auth', {
			method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({room})});
		const body = await response.json();
		if (response.status !== 200) throw new Error(response.status + ' ' + body.code);
		return body;
	}}).room(arg.room); return room.me`
	visitor := a.visit("")
	wantError(t, visitor.tryRun(enter, a.in("notices"), nil), "404 ")
	open := usher.AdmitOpen
	if _, err := a.s.as(usher.Secret(x.key)).ChangeRoom(within(t, time.Minute), "notices", client.ChangeRoomRequest{Admission: &open}); err != nil {
		t.Fatal(err)
	}
	var me string
	visitor.run(enter, a.in("notices"), &me)
	if !strings.HasPrefix(me, "anyone-") {
		t.Errorf("the visitor is %q", me)
	}
	visitor.run(`await until('what the back end wrote', () => room.map('settings').get('color') === 'red')`, nil, nil)

	// What the visitor changes is put right.
	visitor.run(`room.map('settings').set('color', 'mine')`, nil, nil)
	visitor.run(`await until('the truth', () => room.map('settings').get('color') === 'red')`, nil, nil)
	write("green")
	visitor.run(`await until('the news', () => room.map('settings').get('color') === 'green' && room.list('todos').toArray().includes('green'))`, nil, nil)
	wantError(t, visitor.tryRun(enter, a.in("elsewhere"), nil), "404 ")
	a.s.wantDecision("public:anyone", "room.enter", "")
	wantNoCORS(t, visitor)
}

// subjectOf is whom a token is about that came from its issuer directly; "" is
// nobody.
func subjectOf(token string) string {
	var c struct{ Sub string }
	if parts := strings.Split(token, "."); len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(payload, &c)
	}
	return c.Sub
}
