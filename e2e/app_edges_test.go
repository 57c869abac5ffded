package e2e_test

import (
	"net/http"
	"strings"
	"testing"
)

// Who signs in next in a tab sees nothing of whom was there before, and finds
// nothing of theirs in its storage.
func TestSigningOutOfTheAppLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	a.enter("Ben")
	ann := a.enter("Ann")
	ann.adds("Ben")
	ann.hosts("Standup")
	link := ann.invitation()
	a.s.Secret(link[strings.Index(link, "#")+1:])
	ann.drive(`await page.goBack(); await page.getByRole('heading', {name: 'Contacts'}).waitFor()`, nil, nil)
	ann.signsOut()

	// What Carl's own contacts are is not known yet.
	ann.drive(`await page.route('**/api/v1/contacts', () => {})`, nil, nil)
	ann.signIn("Carl")
	ann.sees(`text=Others add you as carl@example.org`)
	ann.gone(`[data-contact="Ben"]`)
}

// signsOut signs out, and checks that nothing but the choice of devices is kept.
func (p person) signsOut() {
	p.t.Helper()
	p.click(`.account-name`)
	p.click(`role=menuitem[name="Sign out"]`)
	p.sees(button("Sign in"))
	var kept []string
	p.run(`const kept = () => [...Object.keys(sessionStorage), ...Object.keys(localStorage)].filter(key => key.startsWith('usher.') && key !== 'usher.devices');
		await until('the storage to be empty', () => kept().length === 0, 30_000).catch(() => {});
		return kept()`, nil, &kept)
	if len(kept) > 0 {
		p.t.Errorf("after %s has signed out there is still %q", p.name, kept)
	}
}

// An address that nobody could have copied whole, or a part of the page that
// can't be loaded, leaves nobody before an empty page.
func TestABrokenAddressOfTheAppStillHasAPage(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	for path, want := range map[string]string{
		"/room/%ff":          button("Sign in"),
		"/join#%":            `role=heading[name="Ready to join?"]`,
		"/console/rooms/%ff": button("Sign in"),
	} {
		a.visit(path, path).sees(want)
	}
	p := a.visit("cut off", "/")
	for part, path := range map[string]string{"App": "/", "Console": "/console"} {
		p.drive(`await page.route('**/assets/'+arg.part+'-*.js', route => route.abort());
			await page.goto(new URL(arg.path, page.url()).href)`, map[string]string{"part": part, "path": path}, nil)
		p.sees(`role=alert >> text=That did not work`)
	}
}

// Whoever looks at an address where nothing is, is told so and led back; a
// program gets an answer that it can read.
func TestAWrongAddressOfTheAppSaysSo(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	p := a.visit("lost", "/nonsense")
	for _, path := range []string{"/nonsense", "/rooms/nonsense", "/join/nonsense", "/room/a/b", "/console/rooms/a/b"} {
		var status int
		p.drive(`return (await page.goto(new URL(arg, page.url()).href)).status()`, path, &status)
		if status != http.StatusNotFound {
			t.Errorf("%s: got status %d", path, status)
		}
		if path == "/console/rooms/a/b" {
			p.sees(button("Sign in"))
			continue
		}
		p.sees(`role=heading[name="There is nothing at this address"]`)
	}
	for _, path := range []string{"/console/nonsense", "/console/health/nonsense"} {
		operator := a.visit(path, path)
		operator.fill("input", "Olga")
		operator.click(button("Sign in"))
		operator.sees(`role=heading[name="There is nothing at this address"]`)
		operator.click(`role=link[name="To the overview"]`)
		operator.sees(`role=heading[name="Overview"]`)
	}
	p.call("goto", map[string]string{"page": p.name, "url": a.s.HTTP + "/nonsense"}, nil)
	p.click(`role=link[name="Back to the start"]`)
	p.sees(button("Sign in"))
	p.quiet("404")

	if got := a.s.must(http.StatusNotFound, http.MethodGet, "/nonsense", ""); !strings.Contains(got.Body, `"code":"route_not_found"`) {
		t.Errorf("a program gets %s", got.Body)
	}
}

// Names are text, whatever is in them, and however long they are.
func TestNamesOfAnyKindAreShownAsTheyAre(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	names := []string{
		`<img src=x onerror=alert(1)>`,
		strings.Repeat("W", 60),
		"שרה אברהם כהן",
	}
	ann := a.enter("Ann")
	var people []person
	for _, name := range names {
		p := a.enter(name)
		ann.adds(name)
		people = append(people, p)
	}
	narrow := func(p person, where string) {
		t.Helper()
		p.do("resize", map[string]any{"width": 390, "height": 844, "scheme": "light"})
		var wide int
		p.run(`await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)));
			return document.scrollingElement.scrollWidth - innerWidth`, nil, &wide)
		if wide > 0 {
			t.Errorf("%s: the page is %d pixels too wide", where, wide)
		}
	}
	narrow(ann, "the contacts")
	for _, p := range people {
		narrow(p, "the start of "+p.name)
		p.adds("Ann")
		p.click(button("Call Ann"))
		ann.sees(button("Accept"))
		narrow(ann, "a call by "+p.name)
		ann.click(button("Accept"))
		ann.sees(`[data-phase="talking"]`)
		narrow(ann, "the call with "+p.name)
		ann.click(button("Hang up"))
		ann.sees(`[data-ended="user_hangup"]`)
		narrow(ann, "after the call with "+p.name)
		ann.click(`aside >> ` + button("Close"))
	}
	ann.hosts(names[1][:40])
	narrow(ann, "a room")
	link := ann.invitation()
	a.s.Secret(link[strings.Index(link, "#")+1:])
	for _, name := range names[1:] {
		a.guest("Guest "+name[:min(len(name), 50)], link)
		ann.sees(`.tile[data-name="Guest ` + name[:min(len(name), 50)] + `"]`)
		narrow(ann, "a room with "+name)
	}
	ann.click(button("People in the room"))
	narrow(ann, "the people in the room")
	var images int
	ann.run(`return document.querySelectorAll('img').length`, nil, &images)
	if images > 0 {
		t.Errorf("a name has become %d pictures", images)
	}
	ann.quiet()
}
