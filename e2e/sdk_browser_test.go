package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// fakeMedia has a browser without camera and screen show something, and reach
// itself where there is no network.
var fakeMedia = []string{
	"--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--auto-select-desktop-capture-source=Entire screen",
	"--allow-loopback-in-peer-connection", "--autoplay-policy=no-user-gesture-required",
}

// callPages is a browser with pages that call through the SDK.
type callPages struct {
	*httptest.Server
	browser chromium
	s       *Server
}

func newCallPages(t *testing.T, env ...string) *callPages {
	t.Helper()
	buildSDK(t)
	script := bundle(t, "callpage.mjs")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>a call</title><script src="/page.js"></script>`)
	})
	mux.HandleFunc("GET /page.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(script)
	})
	c := &callPages{Server: httptest.NewServer(mux)}
	t.Cleanup(c.Close)
	c.s = start(t, options{Env: append(env, "USHER_SERVER_ORIGINS="+c.URL)})
	c.browser = startBrowser(t, chromiumOptions{Flags: fakeMedia})
	return c
}

// enter opens a page for somebody who signs in, and returns the user's id.
func (c *callPages) enter(name string) (p page, user string) {
	c.s.t.Helper()
	p = c.browser.open(name, c.URL)
	p.run(`return enter(arg.url, arg.name)`, map[string]string{"url": c.s.HTTP, "name": name}, &user)
	return p, user
}

func TestTwoPagesTalkThroughTheSDK(t *testing.T) {
	t.Parallel()
	c := newCallPages(t)
	ann, _ := c.enter("ann")
	bob, bobID := c.enter("bob")
	ann.run(`await client.api.addContact({email: 'bob@example.org'})`, nil, nil)
	bob.run(`await client.api.addContact({email: 'ann@example.org'});
		client.calls.on('incoming', async call => { await call.ring(); await call.accept(); await talk(call); })`, nil, nil)
	ann.run(`const call = await client.calls.call(arg); await talk(call)`, bobID, nil)

	flows := `await until('the media', () => window.peer); await flows(peer); return tracks.map(({kind, track}) => kind + ' ' + track.kind).sort()`
	both := func(body string) {
		t.Helper()
		var seen []string
		for _, p := range []page{ann, bob} {
			p.run(body, nil, &seen)
			if len(seen) != 2 || seen[0] != "camera audio" || seen[1] != "camera video" {
				t.Errorf("%s gets %q", p.name, seen)
			}
		}
	}
	both(flows)

	// Another camera, without a gap.
	ann.run(`const cameras = (await usher.LocalMedia.devices()).filter(({kind}) => kind === 'videoinput');
		const [old] = local.stream.getVideoTracks();
		await local.use('video', cameras[0].deviceId, {width: 160, height: 120});
		if (old.readyState !== 'ended') throw new Error('the old camera is still on');`, nil, nil)
	bob.run(`const {track} = tracks.find(({track}) => track.kind === 'video');
		await until('the smaller picture', async () => [...(await peer.connection.getStats(track)).values()].some(r => r.type === 'inbound-rtp' && r.frameWidth === 160))`, nil, nil)

	// Both change what they send at the same time: the callee gives way.
	const drawn = `const canvas = Object.assign(document.createElement('canvas'), {width: 64, height: 48});
		const pen = canvas.getContext('2d');
		setInterval(() => { pen.fillStyle = '#' + Math.floor(Math.random() * 4095).toString(16).padStart(3, '0'); pen.fillRect(0, 0, 64, 48); }, 50);
		navigator.mediaDevices.getDisplayMedia = async () => canvas.captureStream(20);`
	for _, p := range []page{ann, bob} {
		p.run(drawn, nil, nil)
	}
	done := make(chan error, 2)
	for _, p := range []page{ann, bob} {
		go func() { done <- p.tryRun(`await local.shareScreen()`, nil, nil) }()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []page{ann, bob} {
		p.run(`const shared = await until('the screen', () => tracks.find(({kind}) => kind === 'screen')); await flows(peer, shared.track)`, nil, nil)
	}
	ann.run(`local.stopScreen()`, nil, nil)
	bob.run(`const {track} = tracks.find(({kind}) => kind === 'screen'); await until('the end of the screen', () => track.muted)`, nil, nil)

	// A screen in the place of the camera, which comes back.
	const shows = `const {track} = tracks.find(({kind, track}) => kind === 'camera' && track.kind === 'video');
		await until('a picture of that size', async () => [...(await peer.connection.getStats(track)).values()].some(r => r.type === 'inbound-rtp' && r.frameWidth === arg))`
	ann.run(`await local.shareScreen({video: true}, 'instead')`, nil, nil)
	bob.run(shows, 64, nil)
	ann.run(`local.stopScreen()`, nil, nil)
	bob.run(shows, 160, nil)
	ann.run(`let quality; media.on('quality', now => (quality = now));
		await until('the quality', () => quality?.receiving > 0 && quality.sending > 0 && quality.rtt !== undefined && ['good', 'fair', 'poor'].includes(quality.level))`, nil, nil)

	// ICE restarts while the media flows.
	ann.run(`const before = peer.connection.localDescription.sdp.match(/ice-ufrag:(\S+)/)[1];
		peer.connection.restartIce();
		await until('other ICE credentials', () => peer.connection.signalingState === 'stable' && peer.connection.localDescription.sdp.match(/ice-ufrag:(\S+)/)[1] !== before);
		await flows(peer)`, nil, nil)

	bob.run(`await call.hangup()`, nil, nil)
	ann.run(`await until('the end', () => call.state === 'ended' && peer.connection.connectionState === 'closed')`, nil, nil)
	for _, p := range []page{ann, bob} {
		for _, line := range p.log() {
			if !strings.Contains(line, "404") { // this server has no relays
				t.Errorf("%s's page says: %s", p.name, line)
			}
		}
	}
}

func TestTheQuickStartCallsAsPrinted(t *testing.T) {
	t.Parallel()
	_, code, found := strings.Cut(string(readFile(t, "../docs/sdk.md")), "```js\n")
	code, _, closed := strings.Cut(code, "```")
	if lines := strings.Count(code, "\n"); !found || !closed || lines > 10 {
		t.Fatalf("the quick start has %d lines, and should have ten at most", lines)
	}
	c := newCallPages(t)
	run := `Object.assign(window, arg, {video: Object.assign(document.createElement('video'), {autoplay: true, muted: true})});
		document.body.append(video);
		const {Client, devSignIn, LocalMedia} = usher;
		` + code + `
		window.client = client;
		return client.signal.hello.userId`
	bob, ann := c.browser.open("bob", c.URL), c.browser.open("ann", c.URL)
	var friend string
	bob.run(run, map[string]string{"url": c.s.HTTP, "name": "Bob", "friend": ""}, &friend)
	ann.run(run, map[string]string{"url": c.s.HTTP, "name": "Ann", "friend": friend}, nil)
	for _, p := range []page{ann, bob} {
		p.run(`await until('the picture', () => video.videoWidth > 0 && video.currentTime > 0)`, nil, nil)
	}
}
