package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/internal/certs"
	"usher/internal/config"
)

// place is where a server is set up.
type place struct{ dir, config, data string }

func newPlace(t *testing.T) place {
	t.Helper()
	dir := t.TempDir()
	return place{dir, filepath.Join(dir, "etc", "usher.yaml"), filepath.Join(dir, "lib", "usher")}
}

// args are the flags of a server there that is behind a proxy, and more.
func (p place) args(more ...string) []string {
	return append([]string{"init", "--config", p.config, "--data", p.data, "--url", "https://usher.example.com", "--tls", "proxy", "--http", "127.0.0.1:0"}, more...)
}

// untouched checks that nothing is there.
func (p place) untouched(t *testing.T) {
	t.Helper()
	if left, err := os.ReadDir(p.dir); err != nil || len(left) > 0 {
		t.Errorf("there is %v, error %v; want nothing", left, err)
	}
}

// answered runs the command for somebody who types the lines.
func answered(t *testing.T, args []string, lines ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, environment{
		Stdin: strings.NewReader(strings.Join(lines, "\n") + "\n"), Stdout: &out, Stderr: &errs, Terminal: true,
	})
	return status, out.String(), errs.String()
}

// startIssuer is an issuer with a key.
func startIssuer(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(nil)
	t.Cleanup(s.Close)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/keys" {
			_, _ = io.WriteString(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
			return
		}
		_, _ = io.WriteString(w, `{"issuer":"`+s.URL+`","jwks_uri":"`+s.URL+`/keys"}`)
	})
	return s.URL
}

// certificateFiles are a certificate for localhost, and its key.
func certificateFiles(t *testing.T) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	if _, err := certs.Localhost(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, certs.CertFile), filepath.Join(dir, certs.KeyFile)
}

// secretFile is a reference to a secret in a file.
func secretFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

func TestAServerIsSetUp(t *testing.T) {
	issuer, cert, key := startIssuer(t), "", ""
	cert, key = certificateFiles(t)
	const apiKey = `^usher_[a-z2-7]{26}_[A-Za-z0-9_-]{43}\n$`
	for name, tt := range map[string]struct {
		args   []string
		stdout string
		next   string // the third of the next commands
	}{
		"with a back end as operator": {[]string{"--operator-key"}, apiKey, "curl https://usher.example.com/api/v1/configuration -H 'Authorization: Bearer <the API key>'"},
		"with a group as operators":   {[]string{"--issuer", issuer, "--audience", "app", "--operator", "group:ops"}, "^$", "usher client add --data "},
		"with its page":               {[]string{"--issuer", issuer, "--client-id", "page", "--operator", "user:ann"}, "^$", "open https://usher.example.com/console and sign in"},
		"with both kinds of operator": {[]string{"--issuer", issuer, "--client-id", "page", "--operator", "user:ann", "--operator-key"}, apiKey, "open https://usher.example.com/console"},
		"with certificate files":      {[]string{"--operator-key", "--url", "https://localhost", "--tls", "files", "--cert", cert, "--key", key, "--https", "127.0.0.1:0"}, apiKey, "curl https://localhost/"},
		"for Agora's clients":         {[]string{"--operator-key", "--dialects", "agora", "--agora-app-id", "970CA35de60c44645bbae8a215061b33", "--agora-certificate", secretFile(t, "5CFd2fd1755d40ecb72977518be15d3b")}, apiKey, "curl"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			status, stdout, stderr := command(t, p.args(tt.args...)...)
			if status != 0 || !regexp.MustCompile(tt.stdout).MatchString(stdout) {
				t.Fatalf("got status %d, printed %q and %s", status, stdout, stderr)
			}
			next := regexp.MustCompile(`(?m)^  \d\. (.*)$`).FindAllStringSubmatch(stderr, -1)
			if len(next) != 3 || !strings.HasPrefix(next[2][1], tt.next) {
				t.Fatalf("next are %q, want the third to begin with %q", next, tt.next)
			}
			if want := "usher serve --config " + p.config; next[1][1] != want {
				t.Errorf("the second is %q, want %q", next[1][1], want)
			}
			for path, want := range map[string]fs.FileMode{p.config: 0o640, p.data: 0o700, filepath.Join(p.data, sealName): 0o600, filepath.Join(p.data, databaseName): 0o600} {
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
					t.Errorf("%s: got %v and error %v, want mode %v", path, info, err, want)
				}
			}
			for folder, want := range map[string][]string{p.data: {sealName, databaseName, lockFile}, filepath.Dir(p.config): {"usher.yaml"}} {
				entries, err := os.ReadDir(folder)
				if err != nil || !slices.EqualFunc(entries, want, func(e os.DirEntry, name string) bool { return e.Name() == name }) {
					t.Errorf("%s has %v, error %v; want %q", folder, entries, err, want)
				}
			}
			// The first of the next commands is content, as it stands.
			if status, stdout, stderr := command(t, strings.Fields(next[0][1])[1:]...); status != 0 {
				t.Errorf("%s: got status %d, printed %s%s", next[0][1], status, stdout, stderr)
			}
			if status, stdout, stderr := command(t, "keys", "list", "--data", p.data); status != 0 || strings.Count(stdout, "\n") != 3 {
				t.Errorf("the keys: got status %d, printed %s%s", status, stdout, stderr)
			}
		})
	}
}

// Whatever is answered, the file is sound, has a text for each setting, and is
// sound with all of its examples, too.
func TestEveryConfigurationThatInitWritesIsSound(t *testing.T) {
	cert, key := certificateFiles(t)
	environ := []string{
		"WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "AGORA_APP_CERTIFICATE=5CFd2fd1755d40ecb72977518be15d3b",
		"LIVEKIT_API_SECRET=" + strings.Repeat("s", 32), "TURN_SECRET=" + strings.Repeat("t", 32),
	}
	addresses := []initCommand{
		{URL: "https://localhost", TLS: byProxy},
		{URL: "http://127.0.0.1:8080", TLS: byProxy},
		{URL: "https://localhost", TLS: byProxy, HTTP: ":8080", TrustedProxies: []string{"10.0.0.0/8", "fd00::/8"}},
		{URL: "https://localhost/", TLS: byFiles, Cert: cert, Key: key},
		{URL: "https://localhost:8443", TLS: byFiles, Cert: cert, Key: key, HTTP: "off", HTTPS: "[::1]:8443"},
	}
	addresses = append(addresses,
		initCommand{URL: "https://usher.example.com", TLS: byACME, AcceptTerms: true},
		initCommand{URL: "https://usher.example.com", TLS: byACME, AcceptTerms: true, ACMEEmail: "ops@example.com", HTTP: "off"},
	)
	people := []initCommand{
		{OperatorKey: true},
		{Issuer: "https://id.example.com/realm/", Audience: []string{"a", "b, c"}, Operator: "group:the ops, all"},
		{Issuer: "https://id.example.com", ClientID: "page", Operator: "user:https://id.example.com#auth0|1"},
		{Issuer: "https://id.example.com", ClientID: "page", Audience: []string{"a"}, OperatorKey: true},
		{Issuer: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abc", ClientID: "page", Operator: "user:x"},
	}
	clients := []initCommand{{Dialects: []string{"none"}}, {Dialects: dialectNames()}, {}}
	for _, name := range dialectNames() {
		clients = append(clients, initCommand{Dialects: []string{name}})
	}
	n := 0
	for _, a := range addresses {
		for _, p := range people {
			for _, d := range clients {
				n++
				where := newPlace(t)
				c := initCommand{
					Config: where.config, Data: where.data, Offline: true, URL: a.URL, TLS: a.TLS, Cert: a.Cert, Key: a.Key,
					HTTP: a.HTTP, HTTPS: a.HTTPS, AcceptTerms: a.AcceptTerms, ACMEEmail: a.ACMEEmail, TrustedProxies: slices.Clone(a.TrustedProxies),
					Issuer: p.Issuer, ClientID: p.ClientID, Audience: slices.Clone(p.Audience), Operator: p.Operator, OperatorKey: p.OperatorKey,
					Dialects: slices.Clone(d.Dialects),
				}
				if c.serves("agora") {
					c.AgoraAppID, c.AgoraCertificate = strings.Repeat("a", 32), "env:AGORA_APP_CERTIFICATE"
				}
				if c.serves("janus") {
					c.JanusURL = "wss://janus.example.com/janus"
				}
				if c.serves("livekit") {
					c.LiveKitURL, c.LiveKitKey, c.LiveKitSecret = "wss://livekit.example.com", "key", "env:LIVEKIT_API_SECRET"
				}
				if err := c.answer(t.Context(), environment{Environ: environ, Stdin: strings.NewReader("")}); err != nil {
					t.Errorf("%+v: %v", c, err)
					continue
				}
				text, err := c.text(nil)
				if err != nil {
					t.Fatal(err)
				}
				cfg, warnings, err := config.Load(config.Options{Path: c.Config, Text: text, Environ: environ})
				if plain := strings.HasPrefix(c.URL, "http:"); err != nil || len(warnings) > 0 && !plain {
					t.Fatalf("%+v: %v %q\n%s", c, err, warnings, text)
				}
				if cfg.Data != where.data || len(cfg.Issuers) == 0 == (c.Issuer != "") || len(cfg.Operators) == 0 == (c.Operator != "") || cfg.Compat.Agora.Enabled != c.serves("agora") {
					t.Errorf("%+v: got %+v", c, cfg)
				}
				all := regexp.MustCompile(`(?m)^( *)#(\S)`).ReplaceAll(text, []byte("$1$2"))
				if _, warnings, err := config.Load(config.Options{Path: c.Config, Text: all, Environ: environ}); err != nil || len(warnings) > 0 {
					t.Fatalf("%+v, with all examples: %v %q\n%s", c, err, warnings, all)
				}
				where.untouched(t)
			}
		}
	}
	if want := 7 * 5 * 10; n != want {
		t.Errorf("%d were written, want %d", n, want)
	}
}

func TestWhatIsNotSaidIsAsked(t *testing.T) {
	issuer := startIssuer(t)
	p := newPlace(t)
	status, stdout, stderr := answered(t, []string{"init"},
		p.config, p.data,
		"usher.example.com", "", "https://usher.example.com/", // the URL
		"nobody", "acme", "no", "files", // who ends TLS; whoever agrees to no terms is asked again
		"/nowhere.crt", p.dir, os.DevNull, // the certificate
	)
	// What is no certificate with its key is asked for again, and the input has ended.
	if status != 1 || stdout != "" {
		t.Errorf("got status %d, printed %q", status, stdout)
	}
	for _, want := range []string{
		"[usher.yaml] > ", "server.publicURL: must be an absolute URL", "no usual answer", "say proxy, files, acme", "open /nowhere.crt: no such file",
		"are no certificate with its key", "without that there is no certificate by ACME",
		"there was no answer to --cert: the input has ended\nnothing was changed\n",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("nobody was told %q:\n%s", want, stderr)
		}
	}
	p.untouched(t)

	status, stdout, stderr = answered(t, []string{"init", "--config", p.config, "--data", p.data, "--tls", "proxy", "--http", "127.0.0.1:0"},
		"https://usher.example.com",
		"everybody", "", // the proxy's addresses
		"http://127.0.0.1:1", "no", issuer+"/", "", issuer, // whose tokens
		"", "", "", "app, other", // neither client nor audience will not do, and both are asked for again
		"ann", "group:"+"ops", // the operator
		"none",
	)
	if status != 0 || stdout != "" {
		t.Fatalf("got status %d, printed %q and %s", status, stdout, stderr)
	}
	for _, want := range []string{
		"server.trustedProxies[0]", "its keys can't be had", "states the issuer", "a token for any app would do", "say user:SUBJECT or group:NAME",
		"may see and end everything: group:" + issuer + "#ops", "(--http)",
	} {
		if has := strings.Contains(stderr, want); has == (want == "(--http)") {
			t.Errorf("%q was said: %v\n%s", want, has, stderr)
		}
	}
	if cfg, _, err := config.Load(config.Options{Path: p.config}); err != nil || len(cfg.Issuers) != 1 || !slices.Equal(cfg.Issuers[0].Audiences, []string{"app", "other"}) || cfg.Compat.VPaaS.Enabled {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

func TestWhatIsUsualIsTakenOnEnter(t *testing.T) {
	p := newPlace(t)
	t.Chdir(p.dir)
	status, stdout, stderr := answered(t, []string{"init"}, "", "", "https://usher.example.com", "proxy", "", "", "", "", "")
	if status != 0 || !strings.HasPrefix(stdout, "usher_") || strings.Contains(stderr, "usher_") {
		t.Fatalf("got status %d, printed %q and %s", status, stdout, stderr)
	}
	cfg, _, err := config.Load(config.Options{Path: "usher.yaml"})
	if err != nil || cfg.Server.HTTP != "127.0.0.1:8080" || cfg.Data != filepath.Join(p.dir, "usher-data") || !cfg.Compat.VPaaS.Enabled || len(cfg.Operators) != 1 {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

// A terminal that hangs up, and Ctrl-C, change nothing.
func TestWhoIsInterruptedChangesNothing(t *testing.T) {
	p := newPlace(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in, typing := io.Pipe()
	defer func() { _ = typing.Close() }()
	var errs bytes.Buffer
	status := run(ctx, []string{"init", "--config", p.config}, environment{Stdin: in, Stdout: &errs, Stderr: &errs, Terminal: true})
	if status != 1 || !strings.Contains(errs.String(), "nothing was changed") {
		t.Errorf("got status %d, printed %s", status, &errs)
	}
	p.untouched(t)
}

func TestWithoutATerminalEverythingIsSaidByFlags(t *testing.T) {
	p := newPlace(t)
	const secret = "5CFd2fd1755d40ecb72977518be15d3b"
	agora := []string{"--operator-key", "--dialects", "agora", "--agora-app-id", strings.Repeat("a", 32), "--agora-certificate"}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"nothing":                        {[]string{"init"}, "add --url, --tls, --operator-key (or --issuer and --operator)"},
		"nothing, by who was asked":      {[]string{"init", "--yes"}, "add --url, --tls, --operator-key"},
		"no operator":                    {p.args(), "add --operator-key"},
		"an operator of nobody":          {p.args("--operator", "user:ann"), "--operator is for an --issuer only"},
		"an operator of others":          {p.args("--offline", "--issuer", "https://id.example.com", "--audience", "a", "--operator", "user:https://other.example.com#ann"), "--operator: it is of another issuer"},
		"no URL":                         {p.args("--url", "usher", "--operator-key"), "--url: server.publicURL: must be an absolute URL"},
		"nobody ends TLS":                {p.args("--tls", "none", "--operator-key"), "--tls: say proxy, files, acme"},
		"no certificate":                 {p.args("--tls", "files", "--operator-key"), "add --cert, --key"},
		"a certificate for a proxy":      {p.args("--cert", "a.crt", "--operator-key"), "--cert is for --tls files only"},
		"a file that is no certificate":  {p.args("--tls", "files", "--cert", os.DevNull, "--key", os.DevNull, "--operator-key"), "usher: --cert and --key: server.tls.certFile: "},
		"a plain URL with a certificate": {p.args("--url", "http://localhost", "--tls", "files", "--cert", os.DevNull, "--key", os.DevNull, "--operator-key"), "--tls: the URL has to begin with https://"},
		"terms that nobody agrees to":    {p.args("--tls", "acme", "--operator-key"), "add --accept-terms"},
		"an authority for nobody":        {p.args("--url", "https://localhost", "--tls", "acme", "--accept-terms", "--operator-key"), "--tls: server.tls.acme.domains[0]: must be the name of a host"},
		"terms of a proxy":               {p.args("--accept-terms", "--operator-key"), "--accept-terms is for --tls acme only"},
		"nowhere to listen":              {p.args("--http", "usher:80", "--operator-key"), "--http: server.http: must be an IP address"},
		"a proxy to nowhere":             {p.args("--http", "off", "--operator-key"), "--http: the proxy has to reach"},
		"an issuer that is silent":       {p.args("--issuer", "http://127.0.0.1:1", "--audience", "a", "--operator", "user:ann"), "or add --offline"},
		"an issuer that is none":         {p.args("--issuer", "id.example.com", "--audience", "a", "--operator", "user:ann"), "--issuer: issuers[0].issuer: must be an absolute URL"},
		"tokens for anybody":             {p.args("--offline", "--issuer", "https://id.example.com", "--operator", "user:ann"), "a token for any app would do"},
		"a user pool without a client":   {p.args("--offline", "--issuer", "https://cognito-idp.eu-central-1.amazonaws.com/x", "--operator", "user:ann"), "--client-id: a token of Cognito says"},
		"a dialect that there is not":    {p.args("--dialects", "agorra", "--operator-key"), `--dialects: "agorra" is none of vpaas,`},
		"a project without an id":        {p.args("--dialects", "agora", "--operator-key"), "add --agora-app-id, --agora-certificate"},
		"a secret written out":           {p.args(append(agora, secret)...), "--agora-certificate: say where the secret is kept"},
		"a secret that is not there":     {p.args(append(agora, "env:NOWHERE")...), "--agora-certificate: agora.appCertificate: the environment variable NOWHERE is not set"},
		"a folder for somebody else":     {p.args("--operator-key", "--user", "root"), "--user: only root can give"},
		"a configuration below a file":   {append(p.args("--operator-key"), "--config", os.DevNull+"/usher.yaml"), "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := command(t, tt.args...)
			if status != 1 || stdout != "" || !strings.Contains(stderr, tt.want) || !strings.Contains(stderr, "nothing was changed") {
				t.Errorf("got status %d, printed %q and %s; want %q", status, stdout, stderr, tt.want)
			}
			if strings.Contains(stderr, secret) {
				t.Errorf("the secret was repeated: %s", stderr)
			}
			p.untouched(t)
		})
	}
}

func TestASecondTimeNothingIsChanged(t *testing.T) {
	p := newPlace(t)
	if status, _, stderr := command(t, p.args("--operator-key")...); status != 0 {
		t.Fatalf("got status %d, printed %s", status, stderr)
	}
	everything := func() map[string]string {
		t.Helper()
		all := make(map[string]string)
		err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				all[path] = ""
				return err
			}
			content, err := os.ReadFile(path)
			all[path] = string(content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := everything()
	elsewhere := filepath.Join(p.dir, "elsewhere")
	if err := os.Mkdir(elsewhere, 0o755); err != nil {
		t.Fatal(err)
	}
	occupied := filepath.Join(t.TempDir(), "occupied")
	if err := os.MkdirAll(filepath.Join(occupied, "photos"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		more []string
		want string
	}{
		"the same":                      {nil, "--config: " + p.config + " is there already"},
		"another data folder":           {[]string{"--data", filepath.Join(elsewhere, "data")}, p.config + " is there already"},
		"another configuration":         {[]string{"--config", filepath.Join(elsewhere, "usher.yaml")}, "has the database of a server already"},
		"a folder of something else's":  {[]string{"--config", filepath.Join(elsewhere, "usher.yaml"), "--data", occupied}, "is not empty, it has photos"},
		"a configuration in the folder": {[]string{"--config", filepath.Join(p.data, databaseName)}, "is there already"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := command(t, p.args(append(tt.more, "--operator-key")...)...)
			if status != 1 || stdout != "" || !strings.Contains(stderr, tt.want) || !strings.Contains(stderr, "nothing was changed") {
				t.Errorf("got status %d, printed %q and %s; want %q", status, stdout, stderr, tt.want)
			}
			if info, err := os.Stat(occupied); err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("the folder of something else's: %v, %v", info, err)
			}
		})
	}
	if err := os.Remove(elsewhere); err != nil {
		t.Error(err)
	}
	after := everything()
	for path, content := range before {
		if after[path] != content {
			t.Errorf("%s has changed", path)
		}
	}
	if len(after) != len(before) {
		t.Errorf("there are %d files, want %d", len(after), len(before))
	}
}

// What fails when the database is there already takes it back, in a folder that
// was made and in one that was not.
func TestWhatFailsLateLeavesNothing(t *testing.T) {
	for name, existing := range map[string]bool{"a folder that is made": false, "a folder that was there": true} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			if existing {
				if err := os.MkdirAll(p.data, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			c := initCommand{Config: p.config, Data: p.data, URL: "https://usher.example.com", TLS: byProxy, OperatorKey: true}
			env := environment{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard}
			if err := c.answer(t.Context(), env); err != nil {
				t.Fatal(err)
			}
			// Somebody else is faster.
			if err := os.MkdirAll(filepath.Dir(p.config), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p.config, []byte("theirs"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := c.make(t.Context(), env); !errors.Is(err, fs.ErrExist) || !strings.HasSuffix(err.Error(), "nothing was changed") {
				t.Errorf("got %v, want that it is there", err)
			}
			if text, err := os.ReadFile(p.config); err != nil || string(text) != "theirs" {
				t.Errorf("got %q, %v", text, err)
			}
			if beside, err := os.ReadDir(filepath.Dir(p.config)); err != nil || len(beside) != 1 {
				t.Errorf("beside it there is %v, %v", beside, err)
			}
			if !existing {
				if _, err := os.Stat(filepath.Dir(p.data)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the folder is there: %v", err)
				}
				return
			}
			left, err := os.ReadDir(p.data)
			if err != nil || len(left) > 1 || len(left) == 1 && left[0].Name() != lockFile {
				t.Errorf("there is %v, %v", left, err)
			}
			if info, err := os.Stat(p.data); err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("the folder: %v, %v", info, err)
			}
		})
	}
}
