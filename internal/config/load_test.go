package config_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/config"
)

// write makes a file of the text and returns its path.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "usher.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, o config.Options) (config.Config, []string) {
	t.Helper()
	c, warnings, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	c.Sources = nil // which have a test of their own
	return c, warnings
}

// problems returns the mistakes that Load finds, as "field: message".
func problems(t *testing.T, o config.Options) []string {
	t.Helper()
	_, _, err := config.Load(o)
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*config.Error](err)
	if !ok {
		t.Fatalf("error = %v (%T), want a *config.Error", err, err)
	}
	var list []string
	for _, p := range e.Problems {
		list = append(list, p.String())
	}
	return list
}

func TestDevelopmentNeedsNothing(t *testing.T) {
	c, warnings := load(t, config.Options{Dev: true})
	if len(warnings) > 0 {
		t.Errorf("warnings = %q", warnings)
	}
	if diff := cmp.Diff(config.Dev(), c); diff != "" {
		t.Errorf("the preset was changed:\n%s", diff)
	}
	want := []string{"127.0.0.1:3000", "[::1]:3000"}
	if diff := cmp.Diff(want, c.Server.HTTPSAddresses()); diff != "" {
		t.Errorf("HTTPS addresses:\n%s", diff)
	}
	want = []string{"127.0.0.1:8080", "[::1]:8080"}
	if diff := cmp.Diff(want, c.Server.HTTPAddresses()); diff != "" {
		t.Errorf("HTTP addresses:\n%s", diff)
	}
}

func TestListenAddresses(t *testing.T) {
	for address, want := range map[string][]string{
		"":               nil,
		":3000":          {":3000"},
		"127.0.0.1:3000": {"127.0.0.1:3000"},
		"[::1]:3000":     {"[::1]:3000"},
		"localhost:3000": {"127.0.0.1:3000", "[::1]:3000"},
		"localhost:0":    {"127.0.0.1:0"},
	} {
		t.Run(address, func(t *testing.T) {
			if diff := cmp.Diff(want, config.Server{HTTP: address}.HTTPAddresses()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The file is the one printed in the text of the Pexip VPaaS tutorial.
func TestTheFileOfTheTutorialIsReadAsItIs(t *testing.T) {
	path, err := filepath.Abs("testdata/default.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Chdir(dir) // the path of the key starts at the working directory
	if err := os.MkdirAll("config/credentials", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("config/credentials/privateKey.pem", ed25519Key(t), 0o600); err != nil {
		t.Fatal(err)
	}

	c, warnings := load(t, config.Options{Dev: true, Path: path})
	want := config.Dev()
	want.VPaaS.APIAddress = "https://crud.pexip.rocks"
	want.VPaaS.Credentials = config.Credentials{
		ClientID: "euopeke6qei65m5prjcvnqv2lq", PrivateKeyPath: "./config/credentials/privateKey.pem",
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings = %q", warnings)
	}
	if !c.ForeignVPaaS() {
		t.Error("the VPaaS is taken for this server")
	}

	public := map[string]string{"server.publicURL": "https://usher.example.com"}
	c, _ = load(t, config.Options{Path: path, Flags: public})
	if got := c.Server.HTTPS; got != ":3000" {
		t.Errorf("outside development mode the port means %q, want all interfaces", got)
	}
}

func TestAllMistakesOfAFileAreReportedAtOnce(t *testing.T) {
	got := problems(t, config.Options{Path: write(t, `
server:
  http: 127.0.0.1
  publicUrl: https://usher.example.com
  https: ":82"
  https: ":83"
colour: red
rooms:
  grace: soon
  seats: -1
vpaas:
  address: https://vpaas.example.com
  timeout: 0s
publicURL: https://usher.example.com
log: debug
compat:
  vpaas: {enabled: perhaps}
data: [a]
operators: alice
`)})
	want := []string{
		"server.publicUrl: unknown key (line 4); did you mean server.publicURL?",
		"server.https: is given twice (line 5 and line 6)",
		"colour: unknown key (line 7)",
		"rooms.grace: must be a duration such as 500ms, 30s or 24h (line 9)",
		"vpaas.address: unknown key (line 12); did you mean vpaas.apiAddress?",
		"publicURL: unknown key (line 14); did you mean server.publicURL?",
		"log: must be a section with keys (line 15)",
		"compat.vpaas.enabled: must be true or false (line 17)",
		"data: must be a single value (line 18)",
		"operators: must be a list (line 19)",
		"server.http: must be an IP address and a port, as in 127.0.0.1:8080 or [::1]:8080, or localhost:8080, or :8080 for all interfaces (line 3)",
		"server.publicURL: must say what callers reach the server by, as in https://usher.example.com",
		"rooms.seats: must be 0 (no limit) or more (line 10)",
		"vpaas.timeout: must be at least 100ms (line 13)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMistakesOfOtherSourcesNameThem(t *testing.T) {
	got := problems(t, config.Options{
		Dev:     true,
		Environ: []string{"USHER_LOG_LEVEL=loud", "USHER_ROOMS_SEATS=many"},
		Flags:   map[string]string{"server.http": "0.0.0.0:8080", "server.htp": "x"},
	})
	want := []string{
		"rooms.seats: must be a whole number (USHER_ROOMS_SEATS)",
		"server.htp: unknown key (command line)",
		"server.http: must be a loopback address, as in localhost:8080: in development mode whoever can reach the server may do everything (command line)",
		"log.level: must be debug, info, warn or error (USHER_LOG_LEVEL)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNoConfiguration(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"text that is no YAML":        {"a:\n  - b\n c: 1\n", "file: is not YAML: value is not allowed in this context (line 3)"},
		"JSON that is cut short":      {`{"server": {"port": 3000`, "file: is not YAML: could not find flow mapping end token '}' (line 1)"},
		"a list":                      {"- a\n- b\n", "file: must be a section with keys (line 1)"},
		"text":                        {"hello", "file: must be a section with keys (line 1)"},
		"two documents":               {"data: a\n---\ndata: b\n", "file: has more than one document (line 3)"},
		"an alias":                    {"data: &a x\nlog: {level: *a}\n", "data: must be written out: anchors, aliases, merges and tags are not read (line 1)"},
		"a merge":                     {"server:\n  <<: {http: \":1\"}\n", "server.?: the key must be written out: anchors, aliases, merges and tags are not read (line 2)"},
		"a key of its own line":       {"? a\n: b\n", "?: the key must be a single value (line 1)"},
		"a path in place of a key":    {"server.http: \":81\"\n", `"server.http": unknown key (line 1)`},
		"a key without a value":       {"data:\n", "data: must have a value; leave the key out to use the default (line 1)"},
		"a list in a list":            {"operators: [[a]]\n", "operators: each of the list must be a single value (line 1)"},
		"a port beside its long form": {"server: {port: 1, https: \":2\"}\n", "server.port: says the same as server.https; keep one of them (line 1)"},
		"a port that is none":         {"server: {port: 0}\n", "server.port: must be from 1 to 65535 (line 1)"},
		"a control character":         {"\"\\u001b[31m\": 1\n", `"\x1b[31m": unknown key (line 1)`},
		"more than fits":              {strings.Repeat("#", 1<<20+1), " is longer than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			got := problems(t, config.Options{Dev: true, Path: write(t, tc.text)})
			if len(got) == 0 || !strings.HasSuffix(got[0], tc.want) {
				t.Errorf("problems = %q, want first %q", got, tc.want)
			}
		})
	}
}

func TestWhatAFileMayLookLike(t *testing.T) {
	for name, tc := range map[string]struct{ text, data string }{
		"empty":                                {"", "usher-data"},
		"comments":                             {"# data: x\n", "usher-data"},
		"a section whose keys are comments":    {"server:\n#  http: x\ndata: d\n", "d"},
		"JSON with tabs":                       {"{\n\t\"data\": \"d\"\n}\n", "d"},
		"a byte order mark and Windows' lines": {"\ufeffdata: d\r\nlog:\r\n  level: warn\r\n", "d"},
		"a document's start and end":           {"---\ndata: d\n...\n", "d"},
		"a quoted key":                         {"\"data\": 'd'\n", "d"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := load(t, config.Options{Dev: true, Path: write(t, tc.text)})
			if c.Data != tc.data {
				t.Errorf("data = %q, want %q", c.Data, tc.data)
			}
		})
	}
}

func TestValuesAreTakenAsWritten(t *testing.T) {
	for text, want := range map[string]string{
		"data: 0123":                "0123",
		"data: 970123e4":            "970123e4",
		"data: true":                "true",
		"data: 1.50":                "1.50",
		"data: a#b":                 "a#b",
		`data: "a\nb"`:              "a\nb",
		"data: |\n  a\n  b\n":       "a\nb\n",
		"data: 2001-01-01":          "2001-01-01",
		`{"data": "a\/b"}`:          "a/b",
		`{"data": "\u00e9t\u00e9"}`: "été",
	} {
		t.Run(text, func(t *testing.T) {
			c, _ := load(t, config.Options{Dev: true, Path: write(t, text)})
			if c.Data != want {
				t.Errorf("data = %q, want %q", c.Data, want)
			}
		})
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	_, _, err := config.Load(config.Options{Dev: true, Path: path})
	if want := "config: file: " + path + " can't be read: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestErrorsHaveALinePerMistake(t *testing.T) {
	one := &config.Error{Path: "a.yaml", Problems: []usher.FieldProblem{{Field: "data", Message: "is wrong"}}}
	if got, want := one.Error(), "config: a.yaml: data: is wrong"; got != want {
		t.Errorf("one mistake = %q, want %q", got, want)
	}
	two := &config.Error{Problems: append(one.Problems, usher.FieldProblem{Field: "log", Message: "too"})}
	if got, want := two.Error(), "config: 2 mistakes\n  data: is wrong\n  log: too"; got != want {
		t.Errorf("two mistakes = %q, want %q", got, want)
	}
}

func TestMisspelledVariablesGetAWarning(t *testing.T) {
	_, got := load(t, config.Options{Dev: true, Environ: []string{
		"USHER_SERVER_PUBLICURL=https://a.example", "USHER_LOG_LEVL=debug", "PATH=/bin", "malformed",
		// What Kubernetes sets where a service is called usher.
		"USHER_SERVICE_HOST=10.0.0.1", "USHER_SERVICE_PORT=80", "USHER_PORT=tcp://10.0.0.1:80", "USHER_PORT_80_TCP_ADDR=10.0.0.1",
	}})
	want := []string{
		"The environment variable USHER_LOG_LEVL means nothing to us; did you mean USHER_LOG_LEVEL?",
		"The environment variable USHER_SERVER_PUBLICURL means nothing to us; did you mean USHER_SERVER_PUBLIC_URL?",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsPrintedCanBeLoaded(t *testing.T) {
	c, _ := load(t, config.Options{Dev: true, Path: write(t, `
operators: ["user:https://id.example.com#alice", "client:euopeke6qei65m5prjcvnqv2lq"]
data: "a: b # c"
server: {port: 4000, origins: ["https://app.example.com"], trustedProxies: ["::1"]}
issuers:
  - issuer: https://id.example.com
    clientIds: ["007", "yes"]
    claims: {groups: realm_access.roles}
  - {issuer: https://other.example.com, audiences: [usher], leeway: 1m, trustEmail: true}
session: {url: "https://app.example.com/me?a=b"}
policy: {roles: {"on stage": [join, publish_audio], "1": []}}
limits: {mint: 5/1s, clients: {euopeke6qei65m5prjcvnqv2lq: 0}}
audit: strict
rooms: {unjoined: 36h}
`)})
	var printed bytes.Buffer
	if err := c.Print(&printed); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(printed.String(), "# development mode\n") {
		t.Errorf("the mode is not shown:\n%s", &printed)
	}
	again, _ := load(t, config.Options{Dev: true, Path: write(t, printed.String())})
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("%s\nprinted:\n%s", diff, &printed)
	}
}

func TestTheDocumentationIsUpToDate(t *testing.T) {
	var want bytes.Buffer
	if err := config.Doc(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("docs/configuration.md is not what the source says; run go generate ./internal/config\n%s", cmp.Diff(string(got), want.String()))
	}
	for section := range strings.SplitSeq(want.String(), "\n## ") {
		if strings.Contains(section, "`\n\n\n") {
			t.Errorf("a key has no documentation: %s", section)
		}
	}
}

func FuzzLoad(f *testing.F) {
	seed, err := os.ReadFile("testdata/default.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed, "", true)
	f.Add([]byte("server: {http: \":1\", publicURL: https://a}\noperators: [a, *b]\n<<: {}\n"), "127.0.0.1:1", false)
	f.Add([]byte("rooms:\n  grace: 1h\n  ? x\n  : y\ndata: |\n  a\n--- \n"), "localhost:0", true)
	f.Add([]byte("data: >-2\n\ta\n\"\\q\": !!str &x {}"), "[::1%eth0]:1", true)
	f.Add([]byte("issuers:\n  - issuer: https://a.example\n    audiences: [b]\n    claims: {groups: c.d}\n  - \n- x\n"), "", true)
	f.Add([]byte("audit: strict\nissuers: [{issuer: \"https://a\", audiences: [b]}, {}, [], null]\nserver: {origins: [\"https://a\"]}\n"), "", true)
	f.Add([]byte("policy: {roles: {a: [join], \"b.c\": {}, ? d : e}}\nlimits: {mint: 1/1s, clients: {x: 0, x: 1}}\n"), "", true)
	f.Add([]byte("compat: {meetings: {access: public, role: king}}\npolicy:\n  roles:\n    king: [join, subscribe]\n"), "", true)
	path := filepath.Join(f.TempDir(), "usher.yaml")
	f.Fuzz(func(t *testing.T, text []byte, http string, dev bool) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := config.Load(config.Options{Dev: dev, Path: path, Flags: map[string]string{"server.http": http}})
		if err != nil {
			if e, ok := errors.AsType[*config.Error](err); !ok || len(e.Problems) == 0 {
				t.Errorf("error = %v, want one that lists problems", err)
			}
			return
		}
		if problems := c.Validate(); len(problems) > 0 {
			t.Errorf("a configuration was loaded that is not valid: %v", problems)
		}
		if err := c.Print(io.Discard); err != nil {
			t.Errorf("a configuration was loaded that can't be printed: %v", err)
		}
	})
}
