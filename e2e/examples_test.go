package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// examples are the pages of the folder of that name, as a developer serves them,
// in a browser.
type examples struct {
	*httptest.Server
	s       *Server
	browser chromium
}

// openExamples serves the pages, and scripts that they need beyond their folder.
func openExamples(t *testing.T, s *Server, b chromiumOptions, scripts map[string]string) *examples {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir("../examples")))
	for path, script := range scripts {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = io.WriteString(w, script)
		})
	}
	e := &examples{httptest.NewServer(mux), s, startBrowser(t, b)}
	t.Cleanup(e.Close)
	return e
}

// visit opens an example in a window of its own.
func (e *examples) visit(name, example string) page {
	e.s.t.Helper()
	return e.browser.open(name, e.URL+"/"+example+"/?usher="+url.QueryEscape(e.s.HTTP))
}

// says waits until a page says something.
func (p page) says(text string) {
	p.t.Helper()
	p.drive(`await page.getByText(arg).first().waitFor()`, text, nil)
}

// quiet fails if anything went wrong in a page.
func (p page) quiet() {
	p.t.Helper()
	for _, line := range p.log() {
		p.t.Errorf("the page %s says: %s", p.name, line)
	}
}

// press presses a button, and enter fills a field.
func (p page) press(name string) {
	p.t.Helper()
	p.drive(`await page.getByRole('button', {name: arg}).click()`, name, nil)
}

func (p page) enter(label, text string) {
	p.t.Helper()
	p.drive(`await page.getByLabel(arg.label).fill(arg.text)`, map[string]string{"label": label, "text": text}, nil)
}

func TestEveryExampleHasATest(t *testing.T) {
	t.Parallel()
	tests := string(readFile(t, "examples_test.go"))
	folders, err := os.ReadDir("../examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		if !strings.Contains(tests, `"`+folder.Name()+`")`) {
			t.Errorf("no test opens examples/%s", folder.Name())
		}
		if _, err := os.Stat(filepath.Join("../examples", folder.Name(), "README.md")); err != nil {
			t.Error(err)
		}
	}
}

func TestTheExampleOfVPaaS(t *testing.T) {
	t.Parallel()
	e := openExamples(t, start(t, options{}), chromiumOptions{}, nil)
	meetInExample(t, e.visit("a meeting", "pexip-vpaas"), e.s.API())
}

// meetInExample makes a meeting in the example's page, enters it, and is put out
// by who may.
func meetInExample(t *testing.T, p page, operator *client.API) {
	t.Helper()
	p.press("Make a meeting")
	p.says("The meeting is ")
	var said string
	p.drive(`return page.locator('#status').textContent()`, nil, &said)
	room := strings.TrimSuffix(strings.TrimPrefix(said, "The meeting is "), ".")
	p.press("Enter it")
	p.says("You are in, as ")
	p.says("(you)")
	there, err := operator.ParticipantPage(within(t, time.Minute), room, client.PageQuery{})
	if err != nil || len(there.Participants) != 1 {
		t.Fatalf("there are %d participants, %v", len(there.Participants), err)
	}
	if _, err := operator.RemoveParticipant(within(t, time.Minute), room, there.Participants[0].ID, "Enough."); err != nil {
		t.Fatal(err)
	}
	p.says("You are out: ")
	p.quiet()
}

func TestTheExampleOfAgora(t *testing.T) {
	t.Parallel()
	s := start(t, options{Env: []string{"APP_ID=970CA35de60c44645bbae8a215061b33", "APP_CERTIFICATE=5CFd2fd1755d40ecb72977518be15d3b"}})
	e := openExamples(t, s, chromiumOptions{}, nil)
	p := e.visit("a token", "agora")
	p.enter("Channel", "my room")
	p.press("Get a token")
	p.says("Token 1 for my room")
	var token string
	p.drive(`return page.locator('#token').textContent()`, nil, &token)
	e.s.Secret(token)
	found, err := e.s.API().Inspect(within(t, time.Minute), client.InspectRequest{Token: usher.Secret(token), Room: "my room", Subject: "7"})
	if err != nil || len(found.Problems) > 0 || found.Verified != "good" {
		t.Errorf("the token is %+v, %v", found, err)
	}
	p.quiet()
}

func TestTheExampleOfJanus(t *testing.T) {
	t.Parallel()
	e := openExamples(t, start(t, options{}), chromiumOptions{}, nil)
	p := e.visit("a token", "janus")
	p.enter("Room", "my room")
	p.press("Get a token")
	p.says("A token for my room: good for ")
	p.says(`"join_hub": true`)
	var message string
	p.drive(`return page.locator('#message').textContent()`, nil, &message)
	_, token, _ := strings.Cut(message, `"token": "`)
	token, _, _ = strings.Cut(token, `"`)
	e.s.Secret(token)
	found, err := e.s.API().Inspect(within(t, time.Minute), client.InspectRequest{Token: usher.Secret(token), Room: "my room"})
	if err != nil || len(found.Problems) > 0 || found.Verified != "good" {
		t.Errorf("the token is %+v, %v", found, err)
	}
	p.quiet()
}

func TestTheExampleOfTheVideoChat(t *testing.T) {
	t.Parallel()
	e := openExamples(t, start(t, options{}), chromiumOptions{}, nil)
	enter := func(name string) page {
		p := e.visit(name, "video-chat")
		p.enter("Your name", name)
		p.press("Sign in")
		p.says(strings.ToLower(name) + "@example.org, and online.")
		return p
	}
	ann, ben := enter("Ann"), enter("Ben")
	ann.enter("Whose e-mail address?", "ben@example.org")
	ann.press("Add a contact")
	ann.says("ben@example.org: offline")
	ben.enter("Whose e-mail address?", "ann@example.org")
	ben.press("Add a contact")
	ben.says("ann@example.org: online")
	ann.says("ben@example.org: online")
	ben.shut()
	ann.says("ben@example.org: offline")
	ann.press("Remove")
	ann.drive(`await page.getByText('ben@example.org: offline').waitFor({state: 'detached'})`, nil, nil)
	ann.quiet()
}

// bundleAsPrinted runs the command of an example's README.md that bundles its
// script, with the packages that are installed already, and returns the script.
func bundleAsPrinted(t *testing.T, folder string) string {
	t.Helper()
	packages := filepath.Join(nodeDir(t, "@roomservice/browser", "esbuild"), "node_modules")
	_, line, found := strings.Cut(string(readFile(t, filepath.Join(folder, "README.md"))), "$ npx esbuild ")
	line, _, _ = strings.Cut(line, "\n")
	arguments, isLast := strings.CutSuffix(line, " --outfile=client.js")
	if !found || !isLast {
		t.Fatalf("README.md does not say how to make client.js with esbuild: %q", line)
	}
	out := filepath.Join(t.TempDir(), "client.js")
	cmd := exec.CommandContext(within(t, startTime), "sh", "-c", `"$ESBUILD" `+arguments+` --outfile="$OUT"`)
	cmd.Dir = folder
	cmd.Env = environ("NODE_PATH="+packages, "ESBUILD="+filepath.Join(packages, ".bin", "esbuild"), "OUT="+out)
	if printed, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, printed)
	}
	return string(readFile(t, out))
}

func TestTheExampleOfRoomService(t *testing.T) {
	t.Parallel()
	script := bundleAsPrinted(t, "../examples/room-service")
	const published = "super.roomservice.dev"
	if !strings.Contains(script, published) {
		t.Fatal("the client does not have the name of its server in it")
	}
	s := start(t, options{})
	e := openExamples(t, s, chromiumOptions{Keys: []string{keyHash(t, readFile(t, s.CA()))}}, map[string]string{
		"/room-service/client.js": strings.ReplaceAll(script, published, strings.TrimPrefix(s.HTTPS, "https://")),
	})
	enter := func(name string) page {
		p := e.visit(name, "room-service")
		p.enter("Your name", name)
		p.press("Enter the room")
		p.says("You are in the room, as " + name)
		return p
	}
	ann, ben := enter("Ann"), enter("Ben")
	ann.says("Ann, Ben")
	ann.enter("Something to do", "buy milk")
	ann.press("Add")
	ben.says("buy milk")
	ben.enter("Something to do", "fetch the post")
	ben.press("Add")
	ann.says("fetch the post")
	ann.quiet()
	ben.quiet()
}
