package e2e_test

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// appFlags are [fakeMedia] at a pace that leaves a small machine something.
var appFlags = append(slices.Clone(fakeMedia), "--use-fake-device-for-media-stream=fps=10")

// watching has a page remember its connections, so that a test can count what
// they decode.
const watching = `
	globalThis.connections = [];
	const Real = globalThis.RTCPeerConnection;
	globalThis.RTCPeerConnection = class extends Real {
		constructor(...args) { super(...args); connections.push(this); }
	};
	globalThis.until = async (what, check, patience = 90_000) => {
		for (const start = Date.now(); ; ) {
			const value = await check();
			if (value) return value;
			if (Date.now() - start > patience) throw new Error('waited in vain for ' + what);
			await new Promise(resolve => setTimeout(resolve, 50));
		}
	};
	globalThis.got = async () => {
		const sum = {frames: 0, energy: 0};
		for (const connection of connections.filter(one => one.connectionState === 'connected')) {
			for (const report of (await connection.getStats()).values()) {
				if (report.type !== 'inbound-rtp') continue;
				sum.frames += report.framesDecoded ?? 0;
				sum.energy += report.totalAudioEnergy ?? 0;
			}
		}
		return sum;
	};
	globalThis.flows = async () => {
		const before = await got();
		await until('pictures and sound', async () => {
			const {frames, energy} = await got();
			return frames >= before.frames + 5 && energy > before.energy;
		});
	};`

// app is the page to call from, as a server serves it, in a browser.
type app struct {
	t       *testing.T
	s       *Server
	browser chromium
}

func openApp(t *testing.T, o options) *app {
	t.Helper()
	builtWeb(t)
	s := start(t, o)
	return &app{t, s, startBrowser(t, chromiumOptions{Flags: appFlags}.trusting(o.TLS))}
}

// builtWeb fails where the page was not built, which is the first thing that
// make test does.
func builtWeb(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(filepath.Join("..", "web", "dist", "index.html")); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("the page is not built: make web builds it")
	}
	t.Skip("the page is not built, so that this can't be shown here; make web builds it")
}

// visit opens a page for a person with a browser of their own.
func (a *app) visit(name, path string, more ...map[string]any) person {
	a.t.Helper()
	args := map[string]any{"page": name, "url": a.s.HTTP + path, "script": watching, "permissions": []string{"clipboard-read", "clipboard-write"}}
	for _, m := range more {
		for key, value := range m {
			args[key] = value
		}
	}
	a.browser.call("open", args, nil)
	return person{page{a.browser, name}}
}

// enter signs somebody in by name.
func (a *app) enter(name string) person {
	a.t.Helper()
	p := a.visit(name, "/")
	p.signIn(name)
	return p
}

// person is somebody at a page.
type person struct{ page }

func (p person) do(call string, args map[string]any) {
	p.t.Helper()
	args["page"] = p.name
	if err := p.try(call, args, nil); err != nil {
		var text string
		_ = p.tryRun(`return document.body.innerText`, nil, &text)
		p.t.Fatalf("%s: %s %v: %v\nthe page says: %s\nits log: %q", p.name, call, args, err, text, p.log())
	}
}

func (p person) click(at string) { p.t.Helper(); p.do("click", map[string]any{"at": at}) }
func (p person) sees(at string)  { p.t.Helper(); p.do("sees", map[string]any{"at": at}) }
func (p person) gone(at string)  { p.t.Helper(); p.do("gone", map[string]any{"at": at}) }
func (p person) fill(at, text string) {
	p.t.Helper()
	p.do("fill", map[string]any{"at": at, "text": text})
}

// button is the selector of a button by its name.
func button(name string) string { return `role=button[name="` + name + `"]` }

// inDialog is the selector of a button in a dialog.
func inDialog(name string) string { return `role=dialog >> ` + button(name) }

func (p person) signIn(name string) {
	p.t.Helper()
	p.fill("input", name)
	p.click(button("Sign in"))
	p.sees(`role=heading[name="Contacts"]`)
}

// adds lists another person.
func (p person) adds(name string) {
	p.t.Helper()
	p.click(button("Add a contact"))
	p.fill("role=dialog >> input", name)
	p.click(inDialog("Add"))
	p.sees(`[data-contact="` + name + `"]`)
	p.gone("role=dialog")
}

// finds waits until a contact is there.
func (p person) finds(name, status string) {
	p.t.Helper()
	p.sees(`[data-contact="` + name + `"][data-status="` + status + `"]`)
}

// talks waits until pictures and sound come, of whoever there is to get them from.
func (p person) talks() {
	p.t.Helper()
	p.sees(`[data-phase="talking"]`)
	p.run(`await flows()`, nil, nil)
}

// told waits until the page says how a call has ended.
func (p person) told(reason, text string) {
	p.t.Helper()
	p.sees(`[data-ended="` + reason + `"] >> text=` + text)
}

// quiet checks that nothing went wrong in the page, nothing broke its policy,
// and nothing was asked of anybody else.
func (p person) quiet(allowed ...string) {
	p.t.Helper()
	for _, line := range p.log() {
		// A server without relays has none to name, and says so with a 404.
		if !strings.Contains(line, "404") && !slices.ContainsFunc(allowed, func(text string) bool { return strings.Contains(line, text) }) {
			p.t.Errorf("%s's page says: %s", p.name, line)
		}
	}
	var origins []string
	p.call("origins", map[string]string{"page": p.name}, &origins)
	for _, origin := range origins {
		if u, err := url.Parse(origin); err != nil || u.Hostname() != "127.0.0.1" {
			p.t.Errorf("%s's page has asked %s for something", p.name, origin)
		}
	}
}
