package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/access"
	"usher/internal/config"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/limit"
	"usher/internal/policy"
	"usher/internal/room"
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

func TestEverySettingCanBeGivenInEveryWay(t *testing.T) {
	key := writeKey(t, ed25519Key(t))
	ca := write(t, certificatePEM(t))
	values := map[string]string{
		"server.http": "127.0.0.1:81", "server.https": ":82", "server.publicURL": "https://usher.example.com/",
		"server.origins": "https://app.example.com, https://beta.example.com:8443", "server.trustedProxies": "192.0.2.7,10.0.0.0/8,2001:db8::/32",
		"data": "data", "operators": "client:euopeke6qei65m5prjcvnqv2lq, user:https://id.example.com#alice,group:https://id.example.com#staff",
		"session.url": "https://app.example.com/me", "session.issuer": "app", "session.app": "one", "session.cookies": "sid",
		"session.headers": "X-Device", "session.timeout": "1s", "session.cacheFor": "0s", "session.caFile": ca, "session.trustEmail": "true",
		"session.claims.subject": "uid", "session.claims.email": "mail", "session.claims.emailVerified": "ok", "session.claims.name": "display", "session.claims.groups": "teams",
		"session.userHeaders.subject": "Remote-User", "session.userHeaders.email": "Remote-Email", "session.userHeaders.name": "Remote-Name", "session.userHeaders.groups": "Remote-Groups",
		"policy.lifetime": "1h", "policy.maxLifetime": "2h", "policy.excess": "refuse", "policy.admission": "open", "policy.openRole": "viewer",
		"limits.mint": "1/1s", "limits.room": "2/1s", "limits.claim": "3/1s", "limits.open": "4/1s", "limits.failed": "0",
		"audit.mode": "strict", "audit.keepFor": "48h", "audit.keepBytes": "3000000000",
		"rooms.grace": "1m", "rooms.lease": "1s", "rooms.unjoined": "1h", "rooms.seats": "7",
		"vpaas.apiAddress": "https://vpaas.example.com/base/", "vpaas.caFile": ca, "vpaas.timeout": "3s",
		"vpaas.credentials.clientId": "euopeke6qei65m5prjcvnqv2lq", "vpaas.credentials.privateKeyPath": key,
		"log.level": "debug", "log.format": "json",
		"compat.vpaas.enabled": "false", "compat.vpaas.access": "identity",
		"compat.meetings.enabled": "true", "compat.meetings.access": "public", "compat.meetings.role": "host",
	}
	claims := identity.ClaimNames{Subject: "uid", Email: "mail", EmailVerified: "ok", Name: "display", Groups: "teams"}
	want := config.Config{
		Server: config.Server{
			HTTP: "127.0.0.1:81", HTTPS: ":82", PublicURL: "https://usher.example.com",
			Origins:        []string{"https://app.example.com", "https://beta.example.com:8443"},
			TrustedProxies: []string{"192.0.2.7", "10.0.0.0/8", "2001:db8::/32"},
		},
		Data:      "data",
		Operators: []string{"client:euopeke6qei65m5prjcvnqv2lq", "user:https://id.example.com#alice", "group:https://id.example.com#staff"},
		Session: identity.ForwardConfig{
			URL: "https://app.example.com/me", Issuer: "app", App: "one", Cookies: []string{"sid"}, Headers: []string{"X-Device"},
			Timeout: time.Second, CAFile: ca, TrustEmail: true, Claims: claims,
			UserHeaders: identity.HeaderNames{Subject: "Remote-User", Email: "Remote-Email", Name: "Remote-Name", Groups: "Remote-Groups"},
		},
		Policy: policy.Config{
			Lifetime: time.Hour, MaxLifetime: 2 * time.Hour, Excess: policy.Refuse, Admission: usher.AdmitOpen, OpenRole: usher.Viewer,
		},
		Limits: limit.Config{
			Mint: limit.Rate{Count: 1, Per: time.Second}, Room: limit.Rate{Count: 2, Per: time.Second},
			Claim: limit.Rate{Count: 3, Per: time.Second}, Open: limit.Rate{Count: 4, Per: time.Second},
		},
		Record: access.RecordConfig{Audit: access.Strict, KeepFor: 48 * time.Hour, KeepBytes: 3_000_000_000},
		Rooms:  room.Config{Grace: time.Minute, Lease: time.Second, Unjoined: time.Hour, Seats: 7},
		VPaaS: config.VPaaS{
			APIAddress: "https://vpaas.example.com/base", CAFile: ca, Timeout: 3 * time.Second,
			Credentials: config.Credentials{ClientID: "euopeke6qei65m5prjcvnqv2lq", PrivateKeyPath: key},
		},
		Log: config.Log{Level: "debug", Format: "json"},
		Compat: config.Compat{
			VPaaS:    config.VPaaSDialect{Access: httpd.ByIdentity},
			Meetings: config.MeetingsDialect{Enabled: true, Access: httpd.ToPublic, Role: usher.Host},
		},
	}

	var environ []string
	file := make(map[string]any)
	for _, s := range config.Settings() {
		text, given := values[s.Path]
		switch {
		case s.FileOnly || s.Path == "server.port": // which have tests of their own
			continue
		case !given:
			t.Errorf("%s is given a value nowhere in this test", s.Path)
			continue
		}
		environ = append(environ, s.Env+"="+text)
		section, path := file, strings.Split(s.Path, ".")
		for _, key := range path[:len(path)-1] {
			if section[key] == nil {
				section[key] = make(map[string]any)
			}
			section = section[key].(map[string]any)
		}
		section[path[len(path)-1]] = text
		if s.List {
			section[path[len(path)-1]] = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
		}
	}
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]config.Options{
		"a file":          {Path: write(t, string(text))},
		"the environment": {Environ: environ},
		"flags":           {Flags: values},
	} {
		t.Run(name, func(t *testing.T) {
			c, warnings := load(t, o)
			if diff := cmp.Diff(want, c); diff != "" {
				t.Error(diff)
			}
			if len(warnings) > 0 {
				t.Errorf("warnings = %q", warnings)
			}
		})
	}
}

func TestTheNamesOfVariablesFollowFromTheKeys(t *testing.T) {
	got := make(map[string]string)
	for _, s := range config.Settings() {
		got[s.Path] = s.Env
	}
	for path, want := range map[string]string{
		"data": "USHER_DATA", "server.publicURL": "USHER_SERVER_PUBLIC_URL", "server.trustedProxies": "USHER_SERVER_TRUSTED_PROXIES",
		"vpaas.credentials.clientId": "USHER_VPAAS_CREDENTIALS_CLIENT_ID", "audit.mode": "USHER_AUDIT_MODE",
		"compat.meetings.access": "USHER_COMPAT_MEETINGS_ACCESS",
	} {
		if got[path] != want {
			t.Errorf("%s is %q in the environment, want %s", path, got[path], want)
		}
	}
}

func TestLaterSourcesOverrideEarlierOnes(t *testing.T) {
	file := write(t, "data: file\nserver: {port: 1001}\nlog: {level: warn}")
	environ := []string{"USHER_DATA=env", "USHER_SERVER_PORT=1002"}
	for name, tc := range map[string]struct {
		o           config.Options
		data, https string
	}{
		"the preset":                   {config.Options{}, "usher-data", "localhost:3000"},
		"a file over the preset":       {config.Options{Path: file}, "file", "localhost:1001"},
		"the environment over a file":  {config.Options{Path: file, Environ: environ}, "env", "localhost:1002"},
		"an empty variable is not set": {config.Options{Path: file, Environ: []string{"USHER_DATA="}}, "file", "localhost:1001"},
		"flags over all": {
			config.Options{Path: file, Environ: environ, Flags: map[string]string{"data": "flag", "server.https": "127.0.0.1:0"}},
			"flag", "127.0.0.1:0",
		},
		"a flag switches a listener off": {
			config.Options{Path: file, Flags: map[string]string{"server.https": ""}}, "file", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.Dev = true
			c, _ := load(t, tc.o)
			if c.Data != tc.data || c.Server.HTTPS != tc.https {
				t.Errorf("data, https = %q, %q, want %q, %q", c.Data, c.Server.HTTPS, tc.data, tc.https)
			}
		})
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
	})
}
