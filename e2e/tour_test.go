package e2e_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// tour is what the commands of the README answer, in their order: what each
// answer has in it, and what the reader copies from it, by the name that it has
// in the commands and that in the answer. Commands that start a server or the
// tests are not in it.
var tour = []struct {
	command, want string
	copied        map[string]string
}{
	{"curl -X POST http://localhost:8080/api/v1/rooms ", `"name":"standup"`, nil},
	{"curl -X POST http://localhost:8080/api/v1/rooms/standup/participants ", `"secret":"`, map[string]string{"room": "room", "id": "id", "secret": "secret"}},
	{"curl http://localhost:8080/api/v1/rooms/standup", `"seats":8,"taken":0`, nil},
	{"curl http://localhost:8080/api/v1/rooms/<room>/participants/<id>/claim ", `"connect_in":`, nil},

	{"curl https://localhost:3000/api-address ", `https://`, nil},
	{"curl -X POST https://localhost:3000/meetings ", `"id":"`, map[string]string{"meetingId": "id"}},
	{"curl -X POST https://localhost:3000/meetings/<meetingId>/participants ", `"participant_secret":"`, nil},
	{"openssl genpkey ", "", nil},
	{"openssl pkey ", "", nil},
	{"bin/usher client add ", "", nil},

	{"curl 'http://localhost:8080/rtc/lobby/", `{"rtcToken":"007`, nil},
	{"bin/usher token issue ", "", nil},
	{"bin/usher token inspect ", "Nothing is wrong with it.", nil},
	{"bin/usher keys export ", "", nil},
	{"curl -X POST http://localhost:8080/janus/token ", `"refresh_in":`, nil},

	{"login() ", "", nil},
	{"BEN=", "", nil},
	{"ANN=", "", nil},
	{"curl http://localhost:8080/user ", `"name":"Ben"`, nil},
	{"curl -X POST http://localhost:8080/contacts ", `"name":"Ben","online":false`, nil},
	{"curl http://localhost:8080/contacts ", `[{"userId":"`, map[string]string{"userId": "userId"}},
	{"curl -X DELETE http://localhost:8080/contacts/<userId> ", "", nil},

	{"KEY=", "", nil},
	{"curl -X POST http://localhost:8080/provision ", `{"user":"alice",`, nil},
	{"TOKEN=", "", nil},
	{"curl -X POST http://localhost:8080/roomservice/auth ", `{"user":"`, nil},
}

// A new user follows the README from its first line to its last, in one folder,
// with one server and in one shell.
func TestTheReadmeWorksAsPrinted(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	needs(t, "openssl")
	commands, variables := readmeCommands(t)
	s := start(t, options{Env: variables})
	dir := t.TempDir()
	if err := os.Symlink(s.Data, filepath.Join(dir, "usher-data")); err != nil {
		t.Fatal(err)
	}
	sh := startTerminal(t, dir)
	here := strings.NewReplacer("bin/usher", usherBinary(t), "http://localhost:8080", s.HTTP, "https://localhost:3000", s.HTTPS)
	copied := map[string]string{}
	for i, command := range commands {
		if i >= len(tour) || !strings.HasPrefix(command+" ", tour[i].command) {
			t.Fatalf("the README's command %d is %q, which is not that of this test", i+1, command)
		}
		command = placeholder.ReplaceAllStringFunc(command, func(name string) string {
			value, ok := copied[strings.Trim(name, "<>")]
			if !ok {
				t.Fatalf("%s: no answer before it has what to put for %s", command, name)
			}
			return value
		})
		got, err := sh.run(here.Replace(command))
		if err != nil {
			t.Fatalf("%s: %v", tour[i].command, err)
		}
		for _, m := range secretAnswers.FindAllStringSubmatch(got, -1) {
			s.Secret(m[1])
		}
		if want := tour[i].want; !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q in it", command, got, want)
		}
		for name, from := range tour[i].copied {
			_, value, _ := strings.Cut(got, `"`+from+`":"`)
			copied[name], _, _ = strings.Cut(value, `"`)
		}
	}
	if len(commands) != len(tour) {
		t.Errorf("the README has %d commands, want %d", len(commands), len(tour))
	}
}

var (
	placeholder   = regexp.MustCompile(`<[a-zA-Z]+>`)
	secretAnswers = regexp.MustCompile(`"(?:token|secret|participant_secret|rtcToken)":"([^"]*)"`)
)

// readmeCommands returns the commands of the README, but for those that start a
// server or the tests, and the variables that a server is started with.
func readmeCommands(t *testing.T) (commands, variables []string) {
	t.Helper()
	for i, block := range strings.Split(string(readFile(t, "../README.md")), "```") {
		lines, isConsole := strings.CutPrefix(block, "console\n")
		if i%2 == 0 || !isConsole {
			continue
		}
		for _, command := range strings.Split("\n"+strings.TrimSuffix(lines, "\n"), "\n$ ")[1:] {
			switch {
			case strings.HasPrefix(command, "make "):
			case strings.HasSuffix(command, " bin/usher serve --dev"):
				variables = append(variables, strings.Fields(strings.TrimSuffix(command, " bin/usher serve --dev"))...)
			default:
				commands = append(commands, command)
			}
		}
	}
	return commands, variables
}

// terminal is one shell that runs one command after the other.
type terminal struct {
	stdin  io.Writer
	stdout *bufio.Reader
	stderr lockedBuffer
}

// startTerminal starts a shell, which ends with the test, or with the first
// command that fails.
func startTerminal(t *testing.T, dir string) *terminal {
	t.Helper()
	cmd := exec.CommandContext(within(t, 3*time.Minute), "sh", "-e")
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, environ(), 10*time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	sh := &terminal{stdin: stdin, stdout: bufio.NewReader(stdout)}
	cmd.Stderr = &sh.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	return sh
}

// run returns what a command prints.
func (sh *terminal) run(command string) (string, error) {
	const end = "\n--- end ---\n"
	if _, err := fmt.Fprintf(sh.stdin, "{ %s\n} </dev/null; printf '\\n--- end ---\\n'\n", command); err != nil {
		return "", err
	}
	var printed bytes.Buffer
	for !bytes.HasSuffix(printed.Bytes(), []byte(end)) {
		line, err := sh.stdout.ReadString('\n')
		printed.WriteString(line)
		if err != nil {
			return "", errors.Join(err, errors.New(printed.String()+sh.stderr.String()))
		}
	}
	return strings.TrimSuffix(printed.String(), end), nil
}
