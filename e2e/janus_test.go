package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"usher"
	"usher/client"
)

// The secrets of the Janus under test.
const (
	janusTokenSecret = "the token_auth_secret of this test"
	janusAdminSecret = "the admin_secret of this test"
	janusAdminKey    = "the admin_key of this test"
)

var janusSecrets = []string{janusTokenSecret, janusAdminSecret, janusAdminKey}

// janusServer is Debian's Janus with VideoRoom.
type janusServer struct {
	t         testing.TB
	dir       string
	admin, ws string // ports
	// tls is "s" where it is called over TLS, for the schemes of its addresses.
	tls    string
	client *http.Client
}

// startJanus starts one on loopback, which ends with the test. With an authority
// it is called over TLS.
func startJanus(t testing.TB, a *authority) *janusServer {
	t.Helper()
	needs(t, "janus")
	j := &janusServer{t: t, dir: t.TempDir(), admin: unusedPort(t), ws: unusedPort(t), client: http.DefaultClient}
	admin := fmt.Sprintf(`admin_http = true, admin_port = %s, admin_ip = "127.0.0.1", admin_https = false`, j.admin)
	ws := fmt.Sprintf(`ws = true, ws_port = %s, ws_ip = "127.0.0.1", wss = false`, j.ws)
	certificates := ""
	if a != nil {
		j.tls, j.client = "s", a.client()
		certFile, keyFile := a.issue()
		admin = fmt.Sprintf(`admin_http = false, admin_https = true, admin_secure_port = %s, admin_secure_ip = "127.0.0.1"`, j.admin)
		ws = fmt.Sprintf(`ws = false, wss = true, wss_port = %s, wss_ip = "127.0.0.1"`, j.ws)
		certificates = fmt.Sprintf("certificates: { cert_pem = %q, cert_key = %q }\n", certFile, keyFile)
	}
	for name, text := range map[string]string{
		"janus.jcfg": fmt.Sprintf(`
general: {
	configs_folder = %q
	token_auth = true
	token_auth_secret = %q
	admin_secret = %q
	log_to_stdout = true
	debug_colors = false
}
media: { rtp_port_range = "20200-20300" }
nat: { ice_enforce_list = "127.0.0.1" }
plugins: { disable = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_voicemail.so" }
transports: { disable = "libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so" }
loggers: { disable = "libjanus_jsonlog.so" }
`, j.dir, janusTokenSecret, janusAdminSecret),
		"janus.transport.http.jcfg": fmt.Sprintf(`
general: { http = false, https = false, json = "compact" }
admin: { admin_base_path = "/admin", %s }
%s`, admin, certificates),
		"janus.transport.websockets.jcfg": fmt.Sprintf(`
general: { %s, json = "compact" }
admin: { admin_ws = false, admin_wss = false }
%s`, ws, certificates),
		"janus.plugin.videoroom.jcfg": fmt.Sprintf("general: { admin_key = %q, string_ids = true }\n", janusAdminKey),
	} {
		if err := os.WriteFile(filepath.Join(j.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	j.launch()
	return j
}

func (j *janusServer) adminURL() string { return "http" + j.tls + "://127.0.0.1:" + j.admin + "/admin" }

// apiURL is where pages reach it.
func (j *janusServer) apiURL() string { return "ws" + j.tls + "://127.0.0.1:" + j.ws }

func (j *janusServer) launch() {
	j.t.Helper()
	var said bytes.Buffer // read when the process has ended
	cmd := exec.Command("janus", "-F", j.dir)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		j.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	j.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if j.t.Failed() {
			j.t.Logf("janus said:\n%s", said.Bytes())
		}
	})
	await(j.t, "an answer of Janus", func() bool {
		select {
		case <-ended:
			j.t.Fatalf("janus ended:\n%s", said.Bytes())
		default:
		}
		resp, err := j.client.Post(j.adminURL(), "application/json", strings.NewReader(`{"janus":"ping","transaction":"t"}`))
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// await polls until what is waited for is true.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	late := time.After(2 * time.Minute) // the lease of a process that was killed is half a minute
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// door is what stands before Janus's Admin API, and can be shut.
type door struct {
	url  string
	shut atomic.Bool
	// refused counts who stood before it while it was shut.
	refused atomic.Int64
}

func newDoor(t testing.TB, to string) *door {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Host, r.Out.URL.Scheme = target.Host, target.Scheme
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.shut.Load() {
			d.refused.Add(1)
			panic(http.ErrAbortHandler) // the connection breaks without an answer
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	d.url = server.URL + target.Path
	return d
}

// videoPage is an app's page in a room of VideoRoom.
type videoPage struct {
	t       testing.TB
	ws      *websocket.Conn
	token   string
	session uint64
	sent    int
	events  []string
}

type janusAnswer struct {
	Janus       string `json:"janus"`
	Transaction string `json:"transaction"`
	Error       struct {
		Code int `json:"code"`
	} `json:"error"`
	Data struct {
		ID uint64 `json:"id"`
	} `json:"data"`
	Plugin struct {
		Data json.RawMessage `json:"data"`
	} `json:"plugindata"`
}

func (p *videoPage) ask(message map[string]any) janusAnswer {
	p.t.Helper()
	ctx := within(p.t, 30*time.Second)
	p.sent++
	message["transaction"], message["token"] = fmt.Sprint(p.sent), p.token
	if p.session != 0 {
		message["session_id"] = p.session
	}
	text, err := json.Marshal(message) // Janus does not take a line's end after it
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.ws.Write(ctx, websocket.MessageText, text); err != nil {
		p.t.Fatal(err)
	}
	for {
		var a janusAnswer
		if err := wsjson.Read(ctx, p.ws, &a); err != nil {
			p.t.Fatal(err)
		}
		switch {
		case a.Transaction != message["transaction"]:
			p.events = append(p.events, string(a.Plugin.Data))
		case a.Janus != "ack" || message["janus"] == "keepalive":
			return a
		}
	}
}

// join takes the two tokens that a page needs, and joins as the user. It returns
// VideoRoom's code of what is wrong.
func (j *janusServer) join(t testing.TB, s *Server, as *client.API, user, room string) (p *videoPage, code int) {
	t.Helper()
	tokens := map[string]string{}
	for _, format := range []string{"core", "videoroom"} {
		c, err := as.Issue(t.Context(), room, client.CredentialRequest{Platform: "janus", Format: format, Subject: user})
		if err != nil {
			t.Fatal(err)
		}
		tokens[format] = s.Secret(c.Token.Reveal())
	}
	return j.joinWith(t, user, room, tokens["core"], tokens["videoroom"])
}

func (j *janusServer) joinWith(t testing.TB, user, room, core, ticket string) (p *videoPage, code int) {
	t.Helper()
	ws, _, err := websocket.Dial(within(t, 30*time.Second), j.apiURL(), &websocket.DialOptions{
		Subprotocols: []string{"janus-protocol"}, HTTPClient: &http.Client{Transport: j.client.Transport}, // without a time limit
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	p = &videoPage{t: t, ws: ws, token: core}
	a := p.ask(map[string]any{"janus": "create"})
	p.session = a.Data.ID
	if a.Error.Code != 0 {
		return p, a.Error.Code
	}
	a = p.ask(map[string]any{"janus": "attach", "plugin": "janus.plugin.videoroom"})
	a = p.ask(map[string]any{"janus": "message", "handle_id": a.Data.ID, "body": map[string]any{
		"request": "join", "ptype": "publisher", "room": room, "id": user, "token": ticket,
	}})
	var said struct {
		Code int `json:"error_code"`
	}
	if err := json.Unmarshal(a.Plugin.Data, &said); err != nil {
		t.Fatalf("%+v: %v", a, err)
	}
	return p, said.Code
}

// removeFrom removes an identity from a room.
func removeFrom(t testing.TB, as *client.API, room, identity string) {
	t.Helper()
	removed := 0
	for p, err := range as.Participants(t.Context(), room, client.PageQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		if p.Identity != identity {
			continue
		}
		if _, err := as.RemoveParticipant(t.Context(), room, p.ID, "Enough."); err != nil {
			t.Fatal(err)
		}
		removed++
	}
	if removed == 0 {
		t.Fatalf("%s is not in %s", identity, room)
	}
}

// kicked reports whether the page was told that it was put out.
func (p *videoPage) kicked() bool {
	p.t.Helper()
	p.ask(map[string]any{"janus": "keepalive"})
	return strings.Contains(strings.Join(p.events, "\n"), `"reason":"kicked"`) // others are told who was
}

// What is taken away while Janus can't be reached is taken away on Janus when it
// comes back, though Usher was killed in between.
func TestWhoIsRemovedIsPutOutOfVideoRoom(t *testing.T) {
	t.Parallel()
	j, issuer := startJanus(t, nil), newIssuer(t)
	admin := newDoor(t, j.adminURL())
	s := start(t, options{Config: trusting(issuer.entry()) + fmt.Sprintf(`
janus:
  tokenAuthSecret: %q
  adminURL: %s
  adminSecret: %q
  adminKey: %q
  apiURL: %s
`, janusTokenSecret, admin.url, janusAdminSecret, janusAdminKey, j.apiURL())})
	for _, secret := range janusSecrets {
		s.Secret(secret)
	}
	_, key := s.apiKey(usher.AllScopes)
	shop, seats, ctx := s.as(key), 5, t.Context()
	if _, err := shop.CreateRoom(ctx, client.CreateRoomRequest{Name: "stand-up", Admission: usher.AdmitOpen, Seats: &seats}); err != nil {
		t.Fatal(err)
	}
	ann, ben := s.as(issuer.token("ann")), s.as(issuer.token("ben"))

	// While Janus can't be reached nobody is sent to a room that is not there.
	admin.shut.Store(true)
	_, err := ann.Issue(ctx, "stand-up", client.CredentialRequest{Platform: "janus", Format: "videoroom", Subject: "ann"})
	if e, ok := err.(*client.Error); !ok || e.Status != http.StatusBadGateway || e.Code != "janus_unreachable" || !strings.Contains(e.Detail, "Janus could not be reached") {
		t.Errorf("a credential for a room that can't be opened: %v", err)
	}
	admin.shut.Store(false)

	annsPage, code := j.join(t, s, ann, "ann", "stand-up")
	if code != 0 {
		t.Fatalf("ann can't join: %d", code)
	}
	bensPage, code := j.join(t, s, ben, "ben", "stand-up")
	if code != 0 {
		t.Fatalf("ben can't join: %d", code)
	}
	wantOccupancy := func(want int) {
		t.Helper()
		got, err := shop.Occupancy(ctx, "stand-up")
		if err != nil || len(got) != 1 || got[0].Participants == nil || *got[0].Participants != want {
			t.Errorf("the occupancy is %+v, %v, want %d", got, err, want)
		}
	}
	wantOccupancy(2)

	admin.shut.Store(true)
	refused := admin.refused.Load()
	removeFrom(t, shop, "stand-up", issuer.user("ann"))
	await(t, "an attempt", func() bool { return admin.refused.Load() > refused })
	if annsPage.kicked() {
		t.Fatal("ann is out though Janus can't be reached")
	}
	s.Kill()
	s.Restart()
	refused = admin.refused.Load()
	await(t, "an attempt of the next process", func() bool { return admin.refused.Load() > refused })
	pending, err := s.operator().Ejections(ctx)
	if err != nil || len(pending) == 0 || pending[0].Subject != "ann" || pending[0].Identity != issuer.user("ann") || pending[0].Reason != "Enough." {
		t.Errorf("pending are %+v, %v", pending, err)
	}
	admin.shut.Store(false)
	await(t, "the ejection of ann", annsPage.kicked)
	wantOccupancy(1)
	if bensPage.kicked() {
		t.Error("ben is out")
	}
	told := s.recorded(1, client.EventQuery{Type: usher.Ejected})
	if told[0].Who != issuer.user("ann") || !strings.Contains(told[0].Reason, "ann on janus: Enough.") {
		t.Errorf("the record says %+v", told)
	}
	if _, err := ann.Issue(ctx, "stand-up", client.CredentialRequest{Platform: "janus", Format: "videoroom", Subject: "ann"}); err == nil {
		t.Error("ann got another credential")
	}
	for _, metric := range []string{`usher_ejections_total{platform="janus",result="done"} 1`, `usher_ejections_pending{platform="janus"} 0`} {
		await(t, "the metric "+metric, func() bool { return bytes.Contains(s.metrics(), []byte(metric)) })
	}

	// The room goes with ours.
	if _, err := shop.EndRoom(ctx, "stand-up", ""); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the room", func() bool {
		_, code := j.joinWith(t, "ben2", "stand-up", bensPage.token, "")
		return code == 426 // no such room; before it is 433, no token
	})
}
