package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// cutter passes connections on to a server, and can break them all off as a
// network does.
type cutter struct {
	net.Listener
	mu   sync.Mutex
	open []net.Conn
	cuts int
}

func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l}
	t.Cleanup(func() {
		_ = l.Close()
		c.cut()
	})
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", target)
			if err != nil {
				_ = from.Close()
				continue
			}
			c.mu.Lock()
			c.open = append(c.open, from, to)
			c.mu.Unlock()
			for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
				go func() {
					_, _ = io.Copy(way[0], way[1])
					_, _ = from.Close(), to.Close()
				}()
			}
		}
	}()
	return c
}

// cut ends every connection without a word.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
	c.open, c.cuts = nil, c.cuts+1
}

// devUser is somebody who logged in in development mode.
type devUser struct {
	id    string
	token usher.Secret
	api   *client.API
}

// login enters a user.
func (s *Server) login(name string) devUser {
	s.t.Helper()
	body := fmt.Sprintf(`{"name":%q,"email":%q}`, name, strings.ToLower(name)+"@example.org")
	token := s.Secret(s.must(http.StatusOK, http.MethodPost, "/dev/login", body, asJSON...).text(s.t, "token"))
	return devUser{s.must(http.StatusOK, http.MethodGet, "/user", "", bearer(token)...).text(s.t, "userId"), usher.Secret(token), s.as(usher.Secret(token))}
}

// friends lets users list each other.
func friends(t *testing.T, a, b devUser) {
	t.Helper()
	for _, pair := range [][2]devUser{{a, b}, {b, a}} {
		user, err := pair[1].api.User(within(t, time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pair[0].api.AddContact(within(t, time.Minute), client.AddContactRequest{Email: user.Email}); err != nil {
			t.Fatal(err)
		}
	}
}

// phone is a page that can be called.
type phone struct {
	page
	user devUser
	line *cutter
}

// phoneFlags give a browser a camera and a microphone, and nobody to ask for them.
var phoneFlags = []string{
	"--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
	"--allow-loopback-in-peer-connection", "--autoplay-policy=no-user-gesture-required",
}

// phoneApp serves the page of a phone.
func phoneApp(t *testing.T) http.Handler {
	t.Helper()
	script := bundle(t, "call.mjs")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/call.js" {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write(script)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>phone</title><video muted></video><script src="/call.js"></script>`)
	})
}

// phones starts two pages of two people who know each other.
func phones(t *testing.T, s *Server) (ann, ben phone) {
	t.Helper()
	app := httptest.NewServer(phoneApp(t))
	t.Cleanup(app.Close)
	b := startBrowser(t, chromiumOptions{Flags: phoneFlags})
	users := [2]devUser{s.login("Ann"), s.login("Ben")}
	friends(t, users[0], users[1])
	var both [2]phone
	for n, user := range users {
		line := newCutter(t, hostOf(t, s.HTTP))
		p := phone{b.open("page of "+user.id, app.URL), user, line}
		p.run(`window.phone = new Phone(arg); phone.polite = arg.polite; await phone.hear('hello')`,
			map[string]any{"url": "ws://" + line.Addr().String() + "/signal", "token": user.token.Reveal(), "polite": n == 1}, nil)
		both[n] = p
	}
	return both[0], both[1]
}

// wantCall has the one call the other, who accepts, until both see each other move.
func wantCall(ann, ben phone) {
	ann.t.Helper()
	ann.run(`await phone.invite(arg, 'c1')`, ben.user.id, nil)
	ben.run(`const call = await phone.hear('call.invite');
		if (call.from !== arg || !call.payload.media.video) throw new Error(JSON.stringify(call));
		await phone.accept('c1')`, ann.user.id, nil)
	ann.run(`await phone.hear('call.accept'); await phone.media()`, nil, nil)
	wantMedia(ann, ben)
}

// wantMedia waits until both see each other move.
func wantMedia(ann, ben phone) {
	ann.t.Helper()
	ann.run(`await phone.watch()`, nil, nil)
	ben.run(`await phone.watch()`, nil, nil)
}

// hangUp ends the call at the one side, and it must end at the other.
func hangUp(ann, ben phone) {
	ann.t.Helper()
	var began, ended float64
	ann.run(`return phone.hangUp()`, nil, &began)
	ben.run(`const end = await phone.hear('call.hangup');
		if (end.call.reason !== 'user_hangup') throw new Error('the reason is ' + end.call.reason);
		await until('end of the media', () => phone.pc.connectionState === 'closed'); return end.at`, nil, &ended)
	ann.t.Logf("the hang-up was at the other side after %.0f ms", ended-began)
}

func TestTwoPagesCallEachOther(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	ann, ben := phones(t, s)
	wantCall(ann, ben)

	// The network of the one goes, and then that of both: the media flow on, the
	// sessions come back, and the call can go on being negotiated.
	ben.line.cut()
	wantMedia(ann, ben)
	ben.run(`await until('resumed session', () => phone.hellos.at(-1).resumed)`, nil, nil)
	ann.line.cut()
	ben.line.cut()
	for _, p := range []phone{ann, ben} {
		var handles []string
		p.run(`const n = arg; await until('resumed session', () => phone.hellos.length === n && phone.hellos.at(-1).resumed);
			return phone.hellos.map(h => h.connection)`, p.line.cuts+1, &handles)
		for _, handle := range handles {
			if handle != handles[0] {
				t.Errorf("the devices of %s are %q, want the same one throughout", p.name, handles)
			}
		}
	}
	const fragment = `phone.pc.localDescription.sdp.match(/a=ice-ufrag:(.*)/)[1]`
	var before, after string
	ben.run(`return `+fragment, nil, &before)
	ann.run(`phone.pc.restartIce()`, nil, nil)
	ben.run(`const before = arg; await until('new negotiation', () => `+fragment+` !== before); return `+fragment, before, &after)
	wantMedia(ann, ben)
	for _, p := range []phone{ann, ben} {
		p.run(`const end = phone.heard.find(m => m.action === 'call.hangup' || m.action === 'error'); if (end) throw new Error(JSON.stringify(end))`, nil, nil)
	}
	hangUp(ann, ben)
}

func TestTwoPagesCallEachOtherAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	ann, ben := phones(t, s)
	// Both send their invites before they know of the other's.
	var invites sync.WaitGroup
	errs := make([]error, 2)
	invites.Go(func() { errs[0] = ann.tryRun(`await phone.invite(arg, 'of-ann')`, ben.user.id, nil) })
	invites.Go(func() { errs[1] = ben.tryRun(`await phone.invite(arg, 'of-ben')`, ann.user.id, nil) })
	invites.Wait()
	var calls [2]string
	for n, p := range []phone{ann, ben} {
		if errs[n] != nil {
			t.Fatal(errs[n])
		}
		p.run(`return (await phone.hear('call.accept')).callId`, nil, &calls[n])
	}
	if calls[0] != calls[1] {
		t.Fatalf("the two are in the calls %q, want one", calls)
	}

	// Both have made an offer before either sees the other's: that of the polite
	// one arrives first, so that it still waits for an answer when the other comes.
	for _, p := range []phone{ann, ben} {
		p.run(`phone.held = []; await phone.media(); await until('offer', () => phone.held.length > 0)`, nil, nil)
	}
	ben.run(`phone.release()`, nil, nil)
	ann.run(`await until('collision', () => phone.collisions === 1); phone.release()`, nil, nil)
	ben.run(`await until('collision', () => phone.collisions === 1)`, nil, nil)
	wantMedia(ann, ben)
	hangUp(ben, ann)
}

// A page that is loaded while it rings is told so, and can accept.
func TestAPageThatIsLoadedWhileItRings(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	ann, ben := phones(t, s)
	ann.run(`await phone.invite(arg, 'c1')`, ben.user.id, nil)
	const reload = `phone.socket.close(1000); await until('end', () => phone.closes.length);
		window.phone = new Phone(phone); const call = await phone.hear('call.invite'); if (call.callId !== 'c1') throw new Error(JSON.stringify(call))`
	ben.run(reload, nil, nil)
	ben.run(reload+`; await phone.accept('c1')`, nil, nil)
	ann.run(`await phone.hear('call.accept'); await phone.media()`, nil, nil)
	wantMedia(ann, ben)
	hangUp(ben, ann)
}
