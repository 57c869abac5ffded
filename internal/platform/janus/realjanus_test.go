package janus_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"usher/internal/platform/janus"
)

// server is Debian's Janus, started for a test.
type server struct {
	Dir, Secret, AdminSecret, AdminKey string
	Admin, WS                          int
	// SessionTimeout is after how many seconds without a sign of life a session ends.
	SessionTimeout int
	// NumericRooms, Open and Stored are misconfigurations, or other ones.
	NumericRooms, Open, Stored bool
}

// janusConfig is everything that the server reads, by file.
var janusConfig = map[string]string{
	"janus.jcfg": `
general: {
	configs_folder = "{{.Dir}}"
	admin_secret = "{{.AdminSecret}}"
	server_name = "usher-test"
	session_timeout = {{.SessionTimeout}}
	{{if not .Open}}token_auth = true
	{{if not .Stored}}token_auth_secret = "{{.Secret}}"{{end}}{{end}}
	log_to_stdout = true
	debug_level = 4
	debug_colors = false
}
media: { rtp_port_range = "20000-20100" }
nat: { ice_enforce_list = "127.0.0.1" }
plugins: { disable = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_voicemail.so" }
transports: { disable = "libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so" }
loggers: { disable = "libjanus_jsonlog.so" }
`,
	"janus.transport.http.jcfg": `
general: { http = false, https = false, json = "compact" }
admin: { admin_base_path = "/admin", admin_http = true, admin_port = {{.Admin}}, admin_ip = "127.0.0.1", admin_https = false }
`,
	"janus.transport.websockets.jcfg": `
general: { ws = true, ws_port = {{.WS}}, ws_ip = "127.0.0.1", wss = false, json = "compact" }
admin: { admin_ws = false, admin_wss = false }
`,
	"janus.plugin.videoroom.jcfg": `
general: {
	{{if .AdminKey}}admin_key = "{{.AdminKey}}"{{end}}
	string_ids = {{not .NumericRooms}}
}
`,
}

// startJanus starts the server and waits until it answers. It ends with the test.
func startJanus(t *testing.T, change ...func(*server)) server {
	t.Helper()
	path, err := exec.LookPath("janus")
	if err != nil {
		missing(t, "janus")
	}
	for range 5 {
		s := server{Dir: t.TempDir(), Secret: tokenAuthSecret, AdminSecret: adminSecret, AdminKey: adminKey, SessionTimeout: 4, Admin: freePort(t), WS: freePort(t)}
		for _, do := range change {
			do(&s)
		}
		s.configure(t)
		if s.start(t, path) {
			return s
		}
	}
	t.Fatal("janus did not start")
	return server{}
}

func (s server) configure(t *testing.T) {
	t.Helper()
	for name, text := range janusConfig {
		var file bytes.Buffer
		if err := template.Must(template.New(name).Parse(text)).Execute(&file, s); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.Dir, name), file.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// start reports whether the server answers; another one may have taken its port.
func (s server) start(t *testing.T, path string) bool {
	t.Helper()
	cmd := exec.Command(path, "-F", s.Dir)
	output := &logged{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("janus said:\n%s", output)
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for {
		select {
		case <-ended:
			return false
		case <-late:
			t.Logf("janus did not answer:\n%s", output)
			stop()
			return false
		case <-tick.C:
			if s.answers() {
				return true
			}
		}
	}
}

// answers reports whether both of its listeners are there, and are its own.
func (s server) answers() bool {
	resp, err := http.Post(s.adminURL(), "application/json", strings.NewReader(`{"janus":"ping","transaction":"t"}`))
	if err != nil {
		return false
	}
	resp.Body.Close()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.WS))
	if err != nil {
		return false
	}
	c.Close()
	return resp.StatusCode == http.StatusOK
}

func (s server) adminURL() string { return fmt.Sprintf("http://127.0.0.1:%d/admin", s.Admin) }
func (s server) url() string      { return fmt.Sprintf("ws://127.0.0.1:%d/janus", s.WS) }

// platform returns one that looks after the server.
func (s server) platform(t *testing.T, change ...func(*janus.Config)) *janus.Platform {
	t.Helper()
	c := config()
	c.Signer, c.TokenAuthSecret = nil, tokenAuthSecret
	c.AdminURL, c.AdminSecret, c.AdminKey, c.APIURL = s.adminURL(), adminSecret, adminKey, s.url()
	for _, do := range change {
		do(&c)
	}
	return newPlatform(t, c)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// logged is a buffer that two goroutines use.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// browser is a client of Janus, as an app's page has it.
type browser struct {
	t       *testing.T
	ws      *websocket.Conn
	session uint64
	sent    int
	// events are what came in between answers.
	events []string
}

// answer is what Janus says, as far as the tests look at it.
type answer struct {
	Janus       string `json:"janus"`
	Transaction string `json:"transaction"`
	Error       struct {
		Code   int
		Reason string
	} `json:"error"`
	Data struct {
		ID uint64 `json:"id"`
	} `json:"data"`
	Plugin struct {
		Data json.RawMessage `json:"data"`
	} `json:"plugindata"`
}

func (s server) browser(t *testing.T) *browser {
	t.Helper()
	ws, _, err := websocket.Dial(bounded(t), s.url(), &websocket.DialOptions{Subprotocols: []string{"janus-protocol"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	return &browser{t: t, ws: ws}
}

// ask sends a message with a token, and returns the answer and its code if it
// is an error.
func (b *browser) ask(token string, message map[string]any) (answer, int) {
	b.t.Helper()
	b.sent++
	message["transaction"] = fmt.Sprint(b.sent)
	if token != "" {
		message["token"] = token
	}
	if b.session != 0 {
		message["session_id"] = b.session
	}
	ctx := bounded(b.t)
	text, err := json.Marshal(message)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.ws.Write(ctx, websocket.MessageText, text); err != nil {
		b.t.Fatal(err)
	}
	// A keep-alive has no answer but the acknowledgement.
	for {
		var a answer
		if err := wsjson.Read(ctx, b.ws, &a); err != nil {
			b.t.Fatal(err)
		}
		switch {
		case a.Transaction != message["transaction"]:
			b.events = append(b.events, a.Janus+" "+string(a.Plugin.Data))
		case a.Janus != "ack" || message["janus"] == "keepalive":
			return a, a.Error.Code
		}
	}
}

// enter opens a session, and reports by its code why not.
func (b *browser) enter(token string) int {
	b.t.Helper()
	a, code := b.ask(token, map[string]any{"janus": "create"})
	b.session = a.Data.ID
	return code
}

// attach opens a handle of VideoRoom.
func (b *browser) attach(token string) (handle uint64, code int) {
	b.t.Helper()
	a, code := b.ask(token, map[string]any{"janus": "attach", "plugin": "janus.plugin.videoroom"})
	return a.Data.ID, code
}

// join enters a room on a new handle, with a core token and the room's.
func (b *browser) join(token, room, roomToken, id string) (handle uint64, code int) {
	b.t.Helper()
	handle, code = b.attach(token)
	if code != 0 {
		return 0, code
	}
	body := map[string]any{"request": "join", "ptype": "publisher", "room": room, "id": id}
	if roomToken != "" {
		body["token"] = roomToken
	}
	a, code := b.ask(token, map[string]any{"janus": "message", "handle_id": handle, "body": body})
	if code != 0 {
		return 0, code
	}
	return handle, pluginCode(b.t, a)
}

// pluginCode is VideoRoom's own code of what is wrong.
func pluginCode(t *testing.T, a answer) int {
	t.Helper()
	var said struct {
		Code int `json:"error_code"`
	}
	if err := json.Unmarshal(a.Plugin.Data, &said); err != nil {
		t.Fatalf("%s: %v", a.Plugin.Data, err)
	}
	return said.Code
}

func numeral(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}
