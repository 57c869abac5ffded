package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// drawn gives a page a camera with a person in it, in the colour of a name.
const drawn = watching + `
	const canvas = Object.assign(document.createElement('canvas'), {width: 640, height: 360});
	const pen = canvas.getContext('2d');
	let name = 'A';
	const draw = () => {
		name = document.querySelector('.account-name, [data-own] .tile-name')?.textContent || document.querySelector('main > form input')?.value || name;
		const hue = [...name.trim()].slice(0, 3).reduce((sum, letter) => sum + letter.charCodeAt(0) * 47, 0) % 360;
		const fill = (colour, shape) => { pen.fillStyle = colour; pen.beginPath(); shape(); pen.fill(); };
		fill('hsl(' + hue + ' 35% 72%)', () => pen.rect(0, 0, 640, 360));
		fill('hsl(' + hue + ' 40% 38%)', () => pen.ellipse(320, 380, 150, 140, 0, 0, 7));
		fill('hsl(' + hue % 40 + ' 45% 60%)', () => pen.ellipse(320, 170, 62, 78, 0, 0, 7));
		fill('hsl(' + hue + ' 45% 22%)', () => pen.ellipse(320, 118, 66, 40, 0, 0, 7));
	};
	setInterval(draw, 200);
	const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
	navigator.mediaDevices.getUserMedia = async ({audio, video}) => {
		const stream = audio ? await real({audio}) : new MediaStream();
		if (video) { draw(); stream.addTrack(canvas.captureStream(5).getVideoTracks()[0]); }
		return stream;
	};`

// refusing gives a page that may not use the camera.
const refusing = watching + `
	navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); };`

// faintTools are the round buttons that do not stand out from what is behind
// them, neither by their fill nor by their edge: by 3:1 (WCAG 1.4.11).
const faintTools = `
	const parts = colour => colour.match(/[\d.]+/g).map(Number);
	const light = colour => {
		const [r, g, b] = parts(colour).map(part => part / 255).map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const contrast = (one, other) => {
		const [more, less] = [light(one), light(other)].sort((a, b) => b - a);
		return (more + 0.05) / (less + 0.05);
	};
	const behind = element => {
		for (let one = element.parentElement; one; one = one.parentElement) {
			const colour = getComputedStyle(one).backgroundColor;
			if ((parts(colour)[3] ?? 1) === 1) return colour;
		}
		return 'rgb(255, 255, 255)';
	};
	return [...document.querySelectorAll('button.tool:not(:disabled)')].filter(tool => tool.checkVisibility()).flatMap(tool => {
		const {backgroundColor, borderTopColor, borderTopWidth} = getComputedStyle(tool);
		const edge = parseFloat(borderTopWidth) > 0 ? contrast(borderTopColor, behind(tool)) : 1;
		const best = Math.max(edge, contrast(backgroundColor, behind(tool)));
		return best >= 3 ? [] : [tool.getAttribute('aria-label') + ' stands out by ' + best.toFixed(2)];
	});`

// looks has a person look at the page on a phone and on a desk, in light and
// dark: nothing sticks out, and axe finds no serious fault. Where the variable
// E2E_SCREENSHOTS names a folder, pictures are kept there.
func (p person) looks(name string) {
	p.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		for _, size := range [][2]int{{1280, 800}, {390, 844}} {
			look := fmt.Sprintf("%s-%d-%s", name, size[0], scheme)
			p.do("resize", map[string]any{"width": size[0], "height": size[1], "scheme": scheme})
			p.run(`for (const one of document.getAnimations()) if (one.effect?.getComputedTiming().endTime !== Infinity) one.finish();
				await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))`, nil, nil)
			var wide int
			p.run(`return document.scrollingElement.scrollWidth - innerWidth`, nil, &wide)
			if wide > 0 {
				p.t.Errorf("%s: the page is %d pixels too wide", look, wide)
			}
			var faint []string
			p.run(faintTools, nil, &faint)
			for _, tool := range faint {
				p.t.Errorf("%s: the button %s", look, tool)
			}
			var faults []string
			p.call("faults", map[string]string{"page": p.name}, &faults)
			for _, fault := range faults {
				p.t.Errorf("%s: %s", look, fault)
			}
			if folder := os.Getenv("E2E_SCREENSHOTS"); folder != "" {
				p.do("picture", map[string]any{"path": filepath.Join(folder, look+".png")})
			}
		}
	}
	p.do("resize", map[string]any{"width": 1280, "height": 800, "scheme": "light"})
}

func TestEveryPageOfTheAppCanBeUsedByEverybody(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	camera := map[string]any{"script": drawn}
	ann, ben := a.visit("Ann", "/", camera), a.visit("Ben", "/", camera)
	ann.sees(button("Sign in"))
	ann.looks("sign-in")
	ann.signIn("Ann")
	ann.looks("home-first")
	ben.signIn("Ben")
	ann.adds("Ben")
	ben.adds("Ann")
	ann.click(button("Add a contact"))
	ann.fill("role=dialog >> input", "Nobody")
	ann.click(inDialog("Add"))
	ann.sees(`text=Nobody with that name`)
	ann.looks("add-contact")
	ann.click(inDialog("Cancel"))

	ann.click(button("Call Ben"))
	ben.sees(button("Accept"))
	ann.sees(`[data-phase="rings"]`)
	ben.looks("ringing")
	ann.looks("calling")
	ben.click(button("Accept"))
	ann.talks()
	ann.sees(`[data-quality="good"]`)
	ann.looks("call")
	ann.click(button("Camera and sound"))
	ann.sees(`role=dialog >> select`)
	ann.looks("devices")
	ann.click(inDialog("Close"))
	ben.click(button("Hang up"))
	ann.told("user_hangup", "The call with Ben has ended.")
	ann.looks("call-ended")
	ben.click(button("Call Ann"))
	ann.sees(button("Accept"))
	ben.click(button("Cancel the call"))
	ann.sees(`[data-missed="Ben"]`)
	ann.click(`aside >> ` + button("Close"))

	ann.hosts("Standup")
	link := ann.invitation()
	a.s.Secret(link[strings.Index(link, "#")+1:])
	ann.looks("room-alone")
	gus := a.visit("Gus", link[len(a.s.HTTP):], map[string]any{"script": refusing})
	gus.fill("input", "Gus")
	gus.sees(`role=alert >> text=does not let this page`)
	gus.looks("guest-without-camera")
	gil := a.visit("Gil", link[len(a.s.HTTP):], camera)
	gil.fill("input", "Gil")
	gil.sees(`video`)
	gil.looks("guest")
	gil.click(button("Join"))
	gus.click(button("Join"))
	for _, p := range []person{ann, gil} {
		p.sees(`.tile[data-name="Gus"][data-link="connected"]`)
	}
	ann.sees(`.tile[data-name="Gil"] [data-quality="good"]`)
	ann.looks("room")
	ann.click(button("People in the room"))
	ann.sees(`[data-present="Gil"]`)
	ann.looks("people")
	ann.click(button("Remove Gil"))
	ann.sees(`role=dialog[name="Remove Gil from the room?"]`)
	ann.looks("remove")
	ann.click(`role=dialog[name="Remove Gil from the room?"] >> ` + button("Remove Gil"))
	gil.sees(`role=heading[name="You were removed from the room."]`)
	gil.looks("removed")
	ann.click(inDialog("Close"))
	ann.click(button("Leave the room"))
	ann.click(button("Back to the start"))
	ann.finds("Ben", "online")
	ann.looks("home")

	lost := a.visit("lost", "/nonsense")
	lost.sees(`role=heading[name="There is nothing at this address"]`)
	lost.looks("nowhere")
}

// What is done with a mouse is done with a keyboard, too.
func TestACallOfTheAppNeedsNoMouse(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	ann, ben := befriended(a)
	press := func(p person, keys ...string) {
		t.Helper()
		for _, key := range keys {
			p.do("press", map[string]any{"key": key})
		}
	}
	// focus goes on until something has it, as a person would press Tab.
	focus := func(p person, name string) {
		t.Helper()
		for range 40 {
			var now string
			p.run(`return document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent`, nil, &now)
			if now == name {
				return
			}
			press(p, "Tab")
		}
		t.Fatalf("%s can't reach %q with the keyboard", p.name, name)
	}
	focus(ann, "Call Ben")
	press(ann, "Enter")
	ben.sees(button("Accept"))
	focus(ben, "Accept")
	press(ben, "Enter")
	ann.talks()
	focus(ann, "Hang up")
	press(ann, "Enter")
	ben.told("user_hangup", "The call with Ann has ended.")
}

func TestTheFirstLoadOfTheAppIsSmall(t *testing.T) {
	t.Parallel()
	a := openApp(t, options{})
	ann := a.enter("Ann")
	ann.sees(`text=No missed calls`)
	var loaded []string
	ann.run(`return [location.href, ...performance.getEntriesByType('resource').filter(({name}) => name.includes('/assets/')).map(({name}) => name)]`, nil, &loaded)
	const most = 250 << 10
	sum := 0
	for _, address := range loaded {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "gzip") // so that the client does not unpack it
		resp, err := a.s.Client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: got status %d in the encoding %q", address, resp.StatusCode, resp.Header.Get("Content-Encoding"))
		}
		sum += int(n)
	}
	t.Logf("%d files, %d bytes", len(loaded), sum)
	if len(loaded) < 4 || sum > most {
		t.Errorf("the first load is %d files of %d bytes, want at most %d: %q", len(loaded), sum, most, loaded)
	}
	ann.quiet()
}
