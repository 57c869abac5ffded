package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// console is the console in a browser, with somebody signed in.
type console struct{ page }

// openConsole signs in at the console of a server in development mode.
func openConsole(b chromium, s *Server, name string) console {
	b.t.Helper()
	p := b.open(name, s.HTTP+"/console")
	p.drive(`await page.getByLabel('Your name').fill(arg);
		await page.getByRole('button', {name: 'Sign in'}).click();
		await page.getByRole('heading', {name: 'Overview'}).waitFor()`, name, nil)
	return console{p}
}

// visit goes to a page by its link.
func (c console) visit(title string) {
	c.t.Helper()
	c.drive(`await page.getByRole('navigation').getByRole('link', {name: arg, exact: true}).click();
		await page.getByRole('heading', {name: arg, exact: true, level: 1}).waitFor()`, title, nil)
}

// world is a server at which something goes on: Ann and Ben talk in a room, and
// Cyd was refused another.
type world struct {
	*Server
	ann, ben, cyd devUser
	bensLine      signalConn
	talk, closed  client.Room
	bensPlace     usher.ID
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s := start(t, options{})
	w := &world{Server: s, ann: s.login("Ann"), ben: s.login("Ben"), cyd: s.login("Cyd")}
	var err error
	if w.talk, err = w.ann.api.CreateRoom(within(t, time.Minute), client.CreateRoomRequest{Name: "standup", Admission: usher.AdmitOpen}); err != nil {
		t.Fatal(err)
	}
	if w.closed, err = w.ann.api.CreateRoom(within(t, time.Minute), client.CreateRoomRequest{Name: "board", Admission: usher.AdmitMembers}); err != nil {
		t.Fatal(err)
	}
	enter := func(u devUser) (signalConn, usher.ID) {
		line := s.signal(u.token, client.SignalOptions{})
		id, token := line.join(joining{Room: string(w.talk.ID)})
		s.Secret(token)
		return line, id
	}
	enter(w.ann)
	w.bensLine, w.bensPlace = enter(w.ben)
	if _, err := w.cyd.api.AddParticipant(within(t, time.Minute), string(w.closed.ID), client.AddParticipantRequest{}); refusedWith(err) != "not_member" {
		t.Fatalf("cyd enters a room of others: %v", err)
	}
	for range 3 {
		s.must(http.StatusOK, http.MethodPost, "/janus/token", `{"room":"lobby"}`, asJSON...)
	}
	return w
}

func TestTheConsoleShowsWhatGoesOnAndPutsPeopleOut(t *testing.T) {
	t.Parallel()
	builtWeb(t)
	w := newWorld(t)
	c := openConsole(startBrowser(t, chromiumOptions{}), w.Server, "Olga")

	// The figures come by themselves.
	for figure, want := range map[string]string{"rooms": "1", "participants": "2", "connections": "2", "sockets": "2"} {
		c.drive(`await page.locator('[data-figure=' + arg.figure + '] .figure').getByText(arg.want, {exact: true}).waitFor()`,
			map[string]string{"figure": figure, "want": want}, nil)
	}
	c.drive(`await page.getByRole('table', {name: 'Tokens per second, by platform'}).getByRole('row', {name: /janus .* 3$/}).waitFor()`, nil, nil)

	// A refusal is explained.
	c.drive(`await page.getByRole('table', {name: 'Refusals per second, by reason'}).getByRole('link', {name: 'not_member'}).click();
		await page.getByRole('link', {name: 'Explain room.enter by Cyd'}).click();
		await page.getByText('the room admits members only, and the caller is none').waitFor();
		await page.getByText('Refused: not_member').waitFor()`, nil, nil)

	// Somebody is put out of a room, and the room is ended.
	c.visit("Rooms")
	c.drive(`await page.getByRole('link', {name: 'standup'}).click();
		const ben = page.getByRole('row', {name: /Ben/});
		await ben.getByText('In the room').waitFor();
		await page.getByRole('button', {name: 'Remove Ben'}).click();
		await page.getByRole('dialog').getByLabel('Reason').fill('Enough.');
		await page.getByRole('dialog').getByRole('button', {name: 'Remove'}).click();
		await page.getByText('Ben was removed.').waitFor();
		await ben.getByText('Removed').waitFor();
		await ben.getByText('Enough.').waitFor()`, nil, nil)
	if got := w.bensLine.closing(socketTime); got != 4406 {
		t.Errorf("ben's socket was closed with %d, want 4406", got)
	}
	if p, err := w.API().Participant(within(t, time.Minute), string(w.talk.ID), w.bensPlace); err != nil || p.Status != usher.ParticipantRemoved {
		t.Errorf("ben's place is %+v, %v", p, err)
	}
	c.drive(`await page.getByRole('button', {name: 'End the room'}).click();
		await page.getByRole('dialog').getByRole('button', {name: 'End the room'}).click();
		await page.getByText('The room has ended.').waitFor();
		await page.getByText('Ended', {exact: true}).first().waitFor()`, nil, nil)
	if r, err := w.API().Room(within(t, time.Minute), string(w.talk.ID)); err != nil || r.Status != usher.RoomEnded {
		t.Errorf("the room is %+v, %v", r, err)
	}
	c.wantQuiet()
}

// wantQuiet fails if something went wrong in the page, its content policy was not
// kept to, or something was asked of another host.
func (c console) wantQuiet() {
	c.t.Helper()
	for _, line := range c.log() {
		c.t.Errorf("the page %s says: %s", c.name, line)
	}
	person(c).quiet()
}

// What goes on in the app is seen in the console, and who is put out there is out.
func TestTheConsoleShowsWhatGoesOnInTheApp(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	ann, ben := befriended(a)
	ann.calls(ben)
	ben.click(button("Hang up"))
	ann.told("user_hangup", "The call with Ben has ended.")
	ann.click(`aside >> ` + button("Close"))
	ann.hosts("Standup")
	link := ann.invitation()
	a.s.Secret(link[strings.Index(link, "#")+1:])
	gus := a.guest("Gus", link)
	ann.meets(gus)

	c := openConsole(a.browser, a.s, "Olga")
	for figure, want := range map[string]string{"rooms": "1", "participants": "2", "sockets": "3"} {
		c.drive(`await page.locator('[data-figure=' + arg.figure + '] .figure').getByText(arg.want, {exact: true}).waitFor()`,
			map[string]string{"figure": figure, "want": want}, nil)
	}
	c.visit("Decisions")
	c.drive(`await page.getByLabel('Refusals only').uncheck();
		await page.getByRole('button', {name: 'Find'}).click();
		await page.getByRole('link', {name: /^Explain .* by Gus$/}).first().waitFor();
		await page.getByRole('link', {name: /^Explain .* by Ann$/}).first().waitFor()`, nil, nil)
	c.visit("Rooms")
	c.drive(`await page.getByRole('link', {name: 'Standup'}).click();
		await page.getByRole('button', {name: 'Remove Gus'}).click();
		await page.getByRole('dialog').getByRole('button', {name: 'Remove'}).click();
		await page.getByText('Gus was removed.').waitFor()`, nil, nil)
	gus.sees(`role=heading[name="You were removed from the room."]`)
	ann.gone(`.tile[data-name="Gus"]`)
	c.wantQuiet()
}

func TestTheConsoleRotatesKeysAndInspectsTokens(t *testing.T) {
	t.Parallel()
	builtWeb(t)
	w := newWorld(t)
	c := openConsole(startBrowser(t, chromiumOptions{}), w.Server, "Olga")

	c.visit("Clients & keys")
	var first, second string
	c.drive(`await page.getByRole('button', {name: 'Register a back end'}).click();
		await page.getByRole('dialog').getByLabel('Name').fill('shop');
		await page.getByRole('dialog').getByRole('button', {name: 'Register'}).click();
		const key = await page.locator('[data-key]').textContent();
		await page.getByRole('dialog').getByRole('button', {name: 'Close'}).last().click();
		return key`, nil, &first)
	w.wantKey(first, true)
	c.drive(`await page.getByRole('button', {name: 'Rotate the keys of shop'}).click();
		await page.getByRole('dialog').getByRole('button', {name: 'Give it new keys'}).click();
		const key = await page.locator('[data-key]').textContent();
		await page.getByRole('dialog').getByRole('button', {name: 'Close'}).last().click();
		return key`, nil, &second)
	w.wantKey(first, false)
	w.wantKey(second, true)
	c.drive(`await page.getByRole('button', {name: 'Revoke shop'}).click();
		await page.getByRole('dialog').getByRole('button', {name: 'Revoke'}).click();
		await page.getByRole('row', {name: /shop/}).getByText('Revoked').waitFor()`, nil, nil)
	w.wantKey(second, false)

	old, err := w.API().Keys(within(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	c.drive(`await page.getByRole('button', {name: 'Rotate the signing keys'}).click();
		await page.getByRole('dialog').getByRole('button', {name: 'Rotate the signing keys'}).click();
		await page.getByText('The next key signs now.').waitFor();
		await page.getByRole('table', {name: 'Signing keys'}).getByText('Retired', {exact: true}).waitFor()`, nil, nil)
	keys, err := w.API().Keys(within(t, time.Minute))
	if err != nil || len(keys) != len(old)+1 {
		t.Errorf("there are %d keys, %v, and were %d", len(keys), err, len(old))
	}
	// Nobody was signed out by that.
	c.visit("Token inspector")
	inspect := `await page.getByLabel('Token', {exact: false}).first().fill(arg.token);
		await page.getByRole('button', {name: 'Inspect'}).click();
		await page.getByText(arg.says).waitFor()`
	good := w.ann.token.Reveal()
	c.drive(inspect, map[string]string{"token": good, "says": "Nothing is wrong with it."}, nil)
	c.drive(inspect, map[string]string{"token": good[:len(good)-8] + "AAAAAAAA", "says": "Something is wrong with it"}, nil)
	c.drive(inspect, map[string]string{"token": "nonsense", "says": "This is no credential of any format"}, nil)

	c.visit("Configuration")
	c.drive(`await page.getByLabel('Search').fill('server.http');
		await page.getByRole('row', {name: /server.https /}).getByText('command line').waitFor();
		await page.getByLabel('Only what is not the default').check();
		await page.getByLabel('Search').fill('log.level');
		await page.getByText('USHER_LOG_LEVEL').waitFor()`, nil, nil)
	c.visit("Health")
	c.drive(`await page.locator('[data-check="store sqlite"]').getByText('Well', {exact: true}).waitFor();
		await page.locator('[data-check="platform janus"]').getByText('Not asked', {exact: true}).waitFor()`, nil, nil)
	for _, line := range c.log() {
		if !strings.Contains(line, "400") { // the nonsense
			t.Errorf("the page says: %s", line)
		}
	}
}

// wantKey fails if an API key is good, or is not.
func (w *world) wantKey(key string, good bool) {
	w.t.Helper()
	w.Secret(key)
	want := http.StatusUnauthorized
	if good {
		want = http.StatusOK
	}
	w.must(want, http.MethodGet, "/api/v1/me", "", bearer(key)...)
}

func TestTheConsoleSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	builtWeb(t)
	s := start(t, options{})
	c := openConsole(startBrowser(t, chromiumOptions{}), s, "Olga")

	// Nothing is there yet.
	c.visit("Rooms")
	c.drive(`await page.getByText('No room is running now.').waitFor();
		await page.getByLabel('Status').selectOption('ended');
		await page.getByText('There is no such room.').waitFor()`, nil, nil)
	c.visit("Decisions")
	c.drive(`await page.getByText('No decision on record matches.').waitFor()`, nil, nil)

	// What can't be loaded can be asked for again.
	c.drive(`await page.route('**/api/v1/health', route => route.fulfill({status: 503, contentType: 'application/problem+json',
			body: JSON.stringify({code: 'store_unavailable', detail: 'The store is away.', status: 503})}))`, nil, nil)
	c.visit("Health")
	c.drive(`await page.getByRole('alert').getByText('The store is away.').waitFor();
		await page.unroute('**/api/v1/health');
		await page.getByRole('button', {name: 'Try again'}).click();
		await page.getByText('Everything that was asked is well.').waitFor()`, nil, nil)

	// The keyboard goes past the pages to the content, and on with a page's title.
	c.drive(`await page.reload();
		await page.getByRole('heading', {name: 'Health'}).waitFor();
		await page.keyboard.press('Tab');
		await page.keyboard.press('Enter');
		await page.waitForFunction(() => document.activeElement.id === 'content');
		await page.getByRole('link', {name: 'Decisions'}).press('Enter');
		await page.waitForFunction(() => document.activeElement.tagName === 'H1')`, nil, nil)

	// Who is no operator is told so, and what to do.
	c.drive(`await page.route('**/api/v1/me', async route => {
			const response = await route.fetch();
			await route.fulfill({response, json: {...await response.json(), operator: false}});
		});
		await page.reload();
		await page.getByRole('heading', {name: 'You are not an operator of this server'}).waitFor();
		await page.getByText('operators: ["user:dev#').waitFor()`, nil, nil)
	c.drive(`await page.getByRole('button', {name: 'Sign out'}).click();
		await page.getByLabel('Your name').waitFor();
		await page.reload();
		await page.getByLabel('Your name').waitFor()`, nil, nil)
}

// Outside development mode somebody is an operator only if the configuration
// says so, and signs in at the issuer.
func TestOperatorsSignInToTheConsoleAtTheIssuer(t *testing.T) {
	t.Parallel()
	builtWeb(t)
	issuer := newProvider(t)
	s := start(t, options{Config: fmt.Sprintf("issuers:\n%soperators: ['user:%s#ann']\nweb:\n  clientId: %s\n", issuer.entry(), issuer.url, clientID)})
	b := startBrowser(t, chromiumOptions{})
	signIn := func(name string) person {
		p := person{b.open(name, s.HTTP+"/console/health")}
		p.sees(`text=You sign in at 127.0.0.1`)
		p.click(button("Sign in"))
		p.fill(`input[name="login"]`, name)
		p.fill(`input[name="password"]`, "any")
		p.click(`button[type="submit"]`)
		p.click(`button[type="submit"] >> text=Continue`)
		return p
	}
	ann, ben := signIn("ann"), signIn("ben")
	ann.sees(`[data-check="issuer ` + issuer.url + `"] >> text=Well`)
	ben.sees(`text=You are not an operator of this server`)
	ben.sees(`text=operators: ["user:` + issuer.url + `#ben"]`)
	ann.reload()
	ann.sees(`role=heading[name="Health"]`)
	ann.click(button("Sign out"))
	ann.sees(button("Sign in"))
	ann.reload()
	ann.sees(button("Sign in"))
}

// Every page, on a phone and on a desk, in light and in dark.
func TestTheConsoleIsForEverybody(t *testing.T) {
	t.Parallel()
	builtWeb(t)
	w := newWorld(t)
	if _, err := w.API().AddClient(within(t, time.Minute), client.AddClientRequest{Name: "shop", APIKey: true}); err != nil {
		t.Fatal(err)
	}
	b := startBrowser(t, chromiumOptions{})
	p := person{b.open("sign-in", w.HTTP+"/console")}
	p.sees(button("Sign in"))
	p.looks("console-sign-in")
	c := openConsole(b, w.Server, "Olga")
	p = person(c)
	for _, one := range []struct{ title, awaited, name string }{
		{"Overview", "janus", "overview"}, {"Rooms", "standup", "rooms"}, {"Clients & keys", "shop", "clients"},
		{"Decisions", "Refused: not_member", "decisions"}, {"Configuration", "server.publicURL", "configuration"}, {"Health", "sqlite", "health"},
	} {
		c.visit(one.title)
		p.sees("text=" + one.awaited)
		p.looks("console-" + one.name)
	}
	c.visit("Decisions")
	p.click(`role=link[name="Explain room.enter by Cyd"]`)
	p.sees("text=It was refused")
	p.looks("console-decision")
	c.visit("Token inspector")
	p.fill("textarea", "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJzdWIiOiJhbm4ifQ.c2ln")
	p.click(button("Inspect"))
	p.sees("text=Something is wrong with it")
	p.looks("console-inspector")
	c.visit("Rooms")
	p.click(`role=link[name="standup"]`)
	p.sees("text=Ben")
	p.looks("console-room")
	p.click(button("Remove Ben"))
	p.sees("role=dialog >> text=They are put out at once")
	p.looks("console-removing")
	c.drive(`await page.route('**/api/v1/me', async route => {
			const response = await route.fetch();
			await route.fulfill({response, json: {...await response.json(), operator: false}});
		});
		await page.reload()`, nil, nil)
	p.sees("text=You are not an operator of this server")
	p.looks("console-stranger")
	c.wantQuiet()
}
