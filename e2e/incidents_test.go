package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// incident is a server in trouble, and an operator's shell beside it.
type incident struct {
	t      *testing.T
	s      *Server
	sh     *terminal
	issuer *issuer
	hook   *hookReceiver
	dir    string // of the shell; the log of the server, and back-ups, are in it
	values map[string]string
	here   *strings.Replacer
}

// recipes are what the commands of each section of docs/incidents.md answer, in
// their order: what each answer has in it, and with which status it ends if that
// is not 0. What is not said is not looked at.
var recipes = map[string]struct {
	scene  func(*incident)
	before map[int]func(*incident) // what happens before a command
	want   []string
	status map[int]int
}{
	"Incidents":    {want: []string{"", "", "", ""}},
	"First of all": {want: []string{"issuers: http://", `"state": "well"`, "level=WARN"}},
	"Nobody can sign in": {scene: (*incident).expiredToken, want: []string{
		`usher_unauthenticated_total{code="token_expired",dialect="native"} 1`, "The token has expired", "", `"issuer"`,
		"the configuration is sound", "the configuration was reloaded",
	}},
	"Somebody was refused": {scene: (*incident).refusal, want: []string{
		"not_member", `"not_member"`, `"not_member"`, `"role": "speaker"`, `"bans": []`, "ban_not_found",
	}, status: map[int]int{5: 1}},
	"Somebody must be out now": {want: []string{
		`"key": "user:http`, `"events": [`, `"participants": [`, `"status": "removed"`, `"identity": "user:http`, `"kind": "revocation"`, `"forever": true`,
		`"status": "ended"`, `"client": "`, `"ejections": []`,
	}},
	"A secret has leaked": {want: []string{
		"active", `"events": [`, "usher_", `"kind": "revocation"`, "current", "the next key signs", "the next key signs",
		"is not accepted any more", "is not accepted any more", "", "", "2 signing keys are gone", "", "current",
	}},
	"A platform does not answer": {want: []string{`"kind": "platform"`, `"ejections": []`, `"events": []`}},
	"Webhooks fail or are late":  {scene: (*incident).failingWebhook, want: []string{"app", ".", "."}},
	"The certificate ends":       {scene: (*incident).certificate, want: []string{"good until", "notAfter="}},
	"Memory, files or processor run out": {want: []string{
		"\nprocess_open_fds ", `"samples": [`, "", "", "",
	}},
	"Nothing can be written": {want: []string{"Use%", "IUse%", "disk: ", "usher_store_failing 0"}},
	"The server does not start": {scene: (*incident).brokenAndStopped, want: []string{
		"stopped", "unknown key (line", "unknown key (line",
	}, status: map[int]int{1: 1, 2: 1}},
	"The configuration is broken": {scene: (*incident).brokenAndReloaded, want: []string{
		"did you mean issuers?", "the configuration was reloaded", "usher_config_last_reload_success 1",
	}, status: map[int]int{0: 1}, before: map[int]func(*incident){1: (*incident).mendConfiguration}},
	"Restore on another machine": {scene: (*incident).lostMachine, want: []string{
		"", "is restored, and everything in it verified", "its owner's alone", "", `"operator": true`, `"events": [`,
	}},
	"seal.key is lost": {scene: (*incident).lostSeal, want: []string{
		"is restored", "", "", "2 signing keys are gone", "",
	}, before: map[int]func(*incident){3: (*incident).lostSeal}},
	"The database may be damaged": {scene: (*incident).damaged, want: []string{
		"malformed", "", "", "", "is restored", "",
	}, status: map[int]int{0: 1}},
	"A flood of strangers": {scene: (*incident).flood, want: []string{`code="credentials_invalid"`, "is not listened to for a while"}},
	"Calls do not connect": {want: []string{`"credential"`, "usher_turn_relays 0"}},
	"A room is full, and nobody is in it": {want: []string{
		`"seats": 1`, `"participants": [`, `"platforms"`, `"status": "removed"`, `"seats": 20`,
	}},
	"A person wants to know, or to be forgotten": {want: []string{`"name": "User ann"`, `"name": "User ann"`, `"events": [`, ""}},
	"Going back to an earlier version":           {want: []string{"", "", "", "is restored", ""}},
}

// An operator follows every recipe as it is printed.
func TestTheRecipesForIncidentsWorkAsPrinted(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"curl", "openssl"} {
		needs(t, program)
	}
	page := string(readFile(t, "../docs/incidents.md"))
	sections := regexp.MustCompile(`(?m)^##? `).Split(page, -1)[1:]
	if len(sections) < len(recipes) {
		t.Errorf("there are %d sections, and %d recipes", len(sections), len(recipes))
	}
	t.Logf("figure: %d commands in %d recipes", len(consoleCommands(page)), len(sections))
	for _, section := range sections {
		title, _, _ := strings.Cut(section, "\n")
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			recipe, ok := recipes[title]
			commands := consoleCommands(section)
			if !ok || len(commands) != len(recipe.want) {
				t.Fatalf("the section has %d commands, and the recipe %d", len(commands), len(recipe.want))
			}
			i := newIncident(t)
			if recipe.scene != nil {
				recipe.scene(i)
			}
			for n, command := range commands {
				if f := recipe.before[n]; f != nil {
					f(i)
				}
				got := i.run(command)
				status := "\nstatus " + fmt.Sprint(recipe.status[n]) + "\n"
				if !strings.Contains(got, recipe.want[n]) || !strings.HasSuffix(got, status) {
					t.Errorf("%s: got\n%s\nwant %q in it, and%s", command, got, recipe.want[n], status)
				}
			}
		})
	}
}

// consoleCommands returns what a page tells its reader to type.
func consoleCommands(page string) (commands []string) {
	for i, block := range strings.Split(page, "```") {
		if lines, isConsole := strings.CutPrefix(block, "console\n"); i%2 == 1 && isConsole {
			commands = append(commands, strings.Split("\n"+strings.TrimSuffix(lines, "\n"), "\n$ ")[1:]...)
		}
	}
	return commands
}

// newIncident starts a server as it is run outside development mode, with a back
// end, a room of one seat that is taken, somebody who is known and has nothing to
// do with it, and a back-up.
func newIncident(t *testing.T) *incident {
	t.Helper()
	i := &incident{t: t, issuer: newIssuer(t), hook: newHookReceiver(t), dir: t.TempDir()}
	i.s = start(t, options{Data: filepath.Join(t.TempDir(), "usher"), Config: i.config(), Env: []string{"USHER_SERVER_DEBUG=127.0.0.1:0"}})
	s := i.s
	s.Secret(i.hook.secret.Reveal())
	ann := i.issuer.token("ann", claims{"email": "ann@example.org", "email_verified": true})
	s.must(http.StatusOK, http.MethodGet, "/api/v1/user", "", bearer(ann.Reveal())...)
	id, key := s.apiKey(usher.DefaultScopes)
	ctx := within(t, time.Minute)
	room, err := s.as(key).CreateRoom(ctx, client.CreateRoomRequest{Name: "standup", Seats: new(1)})
	if err != nil {
		t.Fatal(err)
	}
	place, err := s.as(key).AddParticipant(ctx, string(room.ID), client.AddParticipantRequest{Name: "Somebody"})
	if err != nil {
		t.Fatal(err)
	}
	s.Secret(place.Secret.Reveal())
	signing, err := s.operator().Keys(ctx)
	if err != nil || len(signing) != 2 {
		t.Fatalf("there are %d keys, %v", len(signing), err)
	}
	i.values = map[string]string{
		"key": i.issuer.user("ann"), "room": string(room.ID), "participant": string(place.ID), "client": string(id),
		"current": string(signing[0].ID), "next": string(signing[1].ID),
	}
	i.openShell()
	return i
}

func (i *incident) config() string {
	return trusting(i.issuer.entry()) + i.hook.entry("    events: [ended]\n") + `
turn:
  urls: ["turn:127.0.0.1:3478"]
  secret: a-secret-of-the-relay-of-this-test
turnServer:
  udp: 127.0.0.1:0
  relayAddress: 127.0.0.1
`
}

// openShell makes what the recipes name be there.
func (i *incident) openShell() {
	t, s := i.t, i.s
	t.Helper()
	backups := filepath.Join(i.dir, "backups")
	if err := os.Mkdir(backups, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(usherBinary(t), filepath.Join(i.dir, "usher")); err != nil {
		t.Fatal(err)
	}
	if r := runUsher(t, "backup", filepath.Join(backups, "usher.tar"), "--data", s.Data); r.Status != 0 {
		t.Fatal(r.Stderr)
	}
	m := profilesAddress.FindSubmatch(s.output.Bytes())
	if m == nil {
		t.Fatalf("the server does not say where profiles are\n%s", s.output.tail())
	}
	profiles := strings.TrimSuffix(string(m[1]), "/debug/pprof/")
	i.here = strings.NewReplacer(
		"/var/lib/usher", s.Data, "/var/backups/usher", backups, "-o usher -g usher ", "", "/etc/usher/usher.yaml", filepath.Join(s.options.Dir, "usher.yaml"),
		"http://127.0.0.1:6060", profiles, "https://id.example.com", i.issuer.url, "profile?seconds=10", "profile?seconds=1",
	)
	i.sh = startTerminal(t, i.dir)
	// What a machine has that runs the server under systemd.
	i.line(`PATH=$PWD:$PATH; journalctl() { cat log; }; timedatectl() { echo "System clock synchronized: yes"; }`)
	i.line("export USHER_DATA=" + s.Data + " USHER_SERVER_PUBLIC_URL=" + s.HTTP + " USHER_SERVER_HTTP=" + hostOf(t, s.HTTP))
}

// line runs a line in the shell, and returns what it prints and its status.
func (i *incident) line(text string) string {
	i.t.Helper()
	got, err := i.sh.run("{ " + text + "\n} 2>&1 && echo && echo status 0 || { s=$?; echo; echo status $s; }")
	if err != nil {
		i.t.Fatalf("%s: %v", text, err)
	}
	return got
}

// run runs a command of a recipe; those of systemd are done here.
func (i *incident) run(command string) string {
	i.t.Helper()
	switch command {
	case "sudo -s", `usher() { runuser -u usher -- /usr/local/bin/usher "$@"; }`: // here, whoever tests is the server's user
		return "\nstatus 0\n"
	case "systemctl stop usher":
		if i.running() {
			i.s.Stop()
		}
		return "\nstatus 0\n"
	case "systemctl start usher":
		i.s.Restart()
		return "\nstatus 0\n"
	case "systemctl reload usher":
		mark := len(i.s.output.Bytes())
		if err := i.s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			i.t.Fatal(err)
		}
		if err := i.s.output.await(within(i.t, time.Minute), "\n", mark); err != nil {
			i.t.Fatal(err)
		}
		if err := i.s.output.await(within(i.t, time.Minute), "reloaded", mark); err != nil {
			i.t.Fatal(err)
		}
		return string(i.s.output.Bytes()[mark:]) + "\nstatus 0\n"
	}
	if err := os.WriteFile(filepath.Join(i.dir, "log"), i.s.output.Bytes(), 0o600); err != nil {
		i.t.Fatal(err)
	}
	command = placeholder.ReplaceAllStringFunc(command, func(name string) string {
		value, ok := i.values[strings.Trim(name, "<>")]
		if !ok {
			i.t.Fatalf("%s: nothing is known of %s", command, name)
		}
		return value
	})
	got := i.line(i.here.Replace(command))
	for _, key := range regexp.MustCompile(`usher_[a-z2-7]{26}_[A-Za-z0-9_-]{43}`).FindAllString(got, -1) {
		i.s.Secret(key)
	}
	return got
}

func (i *incident) running() bool {
	select {
	case <-i.s.done:
		return false
	default:
		return true
	}
}

func (i *incident) expiredToken() {
	i.t.Helper()
	token := i.issuer.token("ann", claims{"exp": time.Now().Add(-time.Hour).Unix(), "iat": time.Now().Add(-2 * time.Hour).Unix()})
	i.s.must(http.StatusUnauthorized, http.MethodGet, "/api/v1/me", "", bearer(token.Reveal())...)
	if err := os.WriteFile(filepath.Join(i.dir, "token.txt"), []byte(token.Reveal()+"\n"), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

func (i *incident) refusal() {
	i.t.Helper()
	owner, ann := i.issuer.token("owner"), i.issuer.token("ann")
	board := i.s.must(http.StatusCreated, http.MethodPost, "/api/v1/rooms", `{"name":"board"}`, append(bearer(owner.Reveal()), asJSON...)...)
	a := i.s.must(http.StatusForbidden, http.MethodPost, "/api/v1/rooms/board/participants", "{}", append(bearer(ann.Reveal()), asJSON...)...)
	i.values["decision"], i.values["room"] = a.text(i.t, "decision"), board.text(i.t, "id")
	i.s.recorded(1, client.EventQuery{Code: "not_member"})
}

func (i *incident) failingWebhook() {
	i.t.Helper()
	i.hook.set(func(int, usher.ID) int { return http.StatusInternalServerError })
	if _, err := i.s.operator().EndRoom(within(i.t, time.Minute), i.values["room"], ""); err != nil {
		i.t.Fatal(err)
	}
}

// certificate configures TLS, by the certificate for localhost of another server.
func (i *incident) certificate() {
	i.t.Helper()
	tls := start(i.t, options{})
	i.write("usher.yaml", fmt.Sprintf("%s\nserver:\n  https: 127.0.0.1:0\n  publicURL: https://localhost\n  tls: {certFile: %s, keyFile: %s}\n", i.config(), tls.CA(),
		strings.TrimSuffix(tls.CA(), ".crt")+".key"))
	i.line("unset USHER_SERVER_PUBLIC_URL")
	i.here = strings.NewReplacer("/etc/usher/usher.yaml", filepath.Join(i.s.options.Dir, "usher.yaml"),
		"-connect usher.example.com:443 -servername usher.example.com", "-connect "+hostOf(i.t, tls.HTTPS)+" -servername localhost")
}

// write replaces the server's configuration.
func (i *incident) write(name, text string) {
	i.t.Helper()
	if err := os.WriteFile(filepath.Join(i.s.options.Dir, name), []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

func (i *incident) brokenAndStopped() {
	i.t.Helper()
	i.s.Stop()
	i.write("usher.yaml", i.config()+"isuers: []\n")
}

func (i *incident) brokenAndReloaded() {
	i.t.Helper()
	i.s.reload(i.config()+"isuers: []\n", "the configuration was not reloaded, and stays as it was")
}

func (i *incident) mendConfiguration() { i.write("usher.yaml", i.config()) }

func (i *incident) lostMachine() {
	i.t.Helper()
	i.s.Stop()
	if err := os.RemoveAll(i.s.Data); err != nil {
		i.t.Fatal(err)
	}
}

func (i *incident) lostSeal() {
	i.t.Helper()
	if i.running() {
		i.s.Stop()
	}
	if err := os.Remove(filepath.Join(i.s.Data, "seal.key")); err != nil {
		i.t.Fatal(err)
	}
}

// damaged overwrites a part of the database.
func (i *incident) damaged() {
	i.t.Helper()
	i.s.Stop()
	f, err := os.OpenFile(filepath.Join(i.s.Data, "usher.db"), os.O_WRONLY, 0)
	if err != nil {
		i.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err == nil {
		_, err = f.WriteAt([]byte(strings.Repeat("lost", int(info.Size()/8))), info.Size()/4)
	}
	if err != nil {
		i.t.Fatal(err)
	}
}

// flood is of somebody who guesses API keys.
func (i *incident) flood() {
	i.t.Helper()
	for range 100 {
		a := i.s.do(http.MethodGet, "/api/v1/me", "", bearer("usher_guess")...)
		if a.Status == http.StatusTooManyRequests {
			return
		}
	}
	i.t.Error("whoever fails to authenticate is listened to for ever")
}
