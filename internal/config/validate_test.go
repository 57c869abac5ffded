package config_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/certs"
	"usher/internal/config"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/limit"
)

func TestValidate(t *testing.T) {
	key := writeKey(t, ed25519Key(t))
	for name, tc := range map[string]struct {
		change func(c *config.Config)
		// want begins a problem; empty is none.
		want string
	}{
		"all loopback addresses": {func(c *config.Config) { c.Dev = true; c.Server.HTTP, c.Server.HTTPS = "[::1]:0", "127.0.0.9:0" }, ""},
		"all interfaces in development": {
			func(c *config.Config) { c.Dev = true; c.Server.HTTPS = ":3000" },
			"server.https: must be a loopback address, as in localhost:3000: in development mode",
		},
		"another address in development": {
			func(c *config.Config) { c.Dev = true; c.Server.HTTP = "10.0.0.1:8080" },
			"server.http: must be a loopback address",
		},
		"a mapped address in development": {
			func(c *config.Config) { c.Dev = true; c.Server.HTTP = "[::ffff:10.0.0.1]:8080" },
			"server.http: must be a loopback address",
		},
		"all interfaces otherwise":  {func(c *config.Config) { c.Server.HTTPS = ":3000" }, ""},
		"a host name to listen on":  {func(c *config.Config) { c.Server.HTTP = "example.com:80" }, "server.http: must be an IP address"},
		"no port":                   {func(c *config.Config) { c.Server.HTTP = "127.0.0.1" }, "server.http: must be an IP address"},
		"a port too large":          {func(c *config.Config) { c.Server.HTTP = ":65536" }, "server.http: must be an IP address"},
		"a port by name":            {func(c *config.Config) { c.Server.HTTP = ":http" }, "server.http: must be an IP address"},
		"one address for both":      {func(c *config.Config) { c.Server.HTTPS = c.Server.HTTP }, "server.https: is the same as server.http"},
		"any two ports":             {func(c *config.Config) { c.Server.HTTP, c.Server.HTTPS = ":0", ":0" }, ""},
		"no public URL":             {func(c *config.Config) { c.Server.PublicURL = "" }, "server.publicURL: must say"},
		"no public URL, not served": {func(c *config.Config) { c.Server = config.Server{Drain: time.Second} }, ""},
		"profiles for everybody":    {func(c *config.Config) { c.Server.Debug = ":6060" }, "server.debug: must be an address of this machine"},
		"profiles for this machine": {func(c *config.Config) { c.Server.Debug = "127.0.0.1:6060" }, ""},
		"profiles with a token": {func(c *config.Config) {
			c.Server.Debug, c.Server.DebugToken = ":6060", usher.Secret(strings.Repeat("t", 32))
		}, ""},
		"profiles with a word":     {func(c *config.Config) { c.Server.Debug, c.Server.DebugToken = ":6060", "secret" }, "server.debugToken: must have at least 32"},
		"no time to drain":         {func(c *config.Config) { c.Server.Drain = 0 }, "server.drain: must be from 1s"},
		"too long a notice":        {func(c *config.Config) { c.Server.Notice = time.Hour }, "server.notice: must be from 0s"},
		"a public command":         {func(c *config.Config) { c.Server.PublicURL = "https://$(id).example.com" }, "server.publicURL: must name a host"},
		"a public host":            {func(c *config.Config) { c.Server.PublicURL = "usher.example.com" }, "server.publicURL: must be an absolute URL"},
		"another scheme":           {func(c *config.Config) { c.Server.PublicURL = "ftp://usher.example.com" }, "server.publicURL: must be an absolute URL"},
		"a URL without host":       {func(c *config.Config) { c.Server.PublicURL = "https://:443" }, "server.publicURL: must be an absolute URL"},
		"a public path":            {func(c *config.Config) { c.Server.PublicURL = "https://a.example/b" }, "server.publicURL: must have no path"},
		"a public query":           {func(c *config.Config) { c.Server.PublicURL = "https://a.example?b" }, "server.publicURL: must have neither query"},
		"a public fragment":        {func(c *config.Config) { c.Server.PublicURL = "https://a.example#" }, "server.publicURL: must have neither query"},
		"a password in the URL":    {func(c *config.Config) { c.Server.PublicURL = "https://u:p@a.example" }, "server.publicURL: must carry no user"},
		"no data folder":           {func(c *config.Config) { c.Data = "" }, "data: must name a folder"},
		"an operator by name":      {func(c *config.Config) { c.Operators = []string{"alice"} }, `operators: "alice" is none of`},
		"a client that is no id":   {func(c *config.Config) { c.Operators = []string{"client:alice"} }, `operators: "client:alice" is none of`},
		"an operator twice":        {func(c *config.Config) { c.Operators = []string{"user:a#b", "user:a#b"} }, `operators: "user:a#b" is listed twice`},
		"signaling's own mistake":  {func(c *config.Config) { c.Signaling.Preset = "azure" }, "signaling.preset: must be usher or aws"},
		"calls' own mistake":       {func(c *config.Config) { c.Calls.Ring = 0 }, "calls.ring: must be at least 1s"},
		"a room's own mistake":     {func(c *config.Config) { c.Rooms.Grace = 0 }, "rooms.grace: must be at least 1s"},
		"a log level":              {func(c *config.Config) { c.Log.Level = "INFO" }, "log.level: must be"},
		"a log format":             {func(c *config.Config) { c.Log.Format = "xml" }, "log.format: must be"},
		"no time-out":              {func(c *config.Config) { c.VPaaS.Timeout = 0 }, "vpaas.timeout: must be at least"},
		"a client id":              {func(c *config.Config) { c.VPaaS.Credentials.ClientID = "EUOPEKE6QEI65M5PRJCVNQV2LQ" }, "vpaas.credentials.clientId: must be"},
		"no API address":           {func(c *config.Config) { c.VPaaS.APIAddress = "vpaas" }, "vpaas.apiAddress: must be an absolute URL"},
		"a user of no issuer":      {func(c *config.Config) { c.Operators = []string{"user:alice"} }, `operators: "user:alice" is none of`},
		"a user without a subject": {func(c *config.Config) { c.Operators = []string{"user:https://a.example#"} }, `operators: "user:https://a.example#" is none of`},
		"a group":                  {func(c *config.Config) { c.Operators = []string{"group:https://a.example#staff"} }, ""},
		"a group of no issuer":     {func(c *config.Config) { c.Operators = []string{"group:#staff"} }, `operators: "group:#staff" is none of`},
		"a guest as operator":      {func(c *config.Config) { c.Operators = []string{"guest:a#b"} }, `operators: "guest:a#b" is none of`},
		"an origin twice": {
			func(c *config.Config) { c.Server.Origins = []string{"https://a.example", "https://a.example"} },
			"server.origins[1]: is listed twice",
		},
		"a mistake of the policy": {func(c *config.Config) { c.Policy.OpenRole = "king" }, "policy.openRole: is not a role"},
		"a role that exists": {
			func(c *config.Config) { c.Policy.Roles = map[string][]string{"host": {"join"}} },
			"policy.roles.host: is a role that always exists",
		},
		"an unknown permission": {
			func(c *config.Config) { c.Policy.Roles = map[string][]string{"king": {"rule"}} },
			`policy.roles.king: unknown permission "rule"`,
		},
		"a limit for no client": {
			func(c *config.Config) { c.Limits.Clients = map[string]limit.Rate{"alice": {}} },
			"limits.clients.alice: is not the id of a client",
		},
		"an audit":       {func(c *config.Config) { c.Record.Audit = "sometimes" }, "audit.mode: must be batched or strict"},
		"a short memory": {func(c *config.Config) { c.Record.KeepFor = 0 }, "audit.keepFor: must be at least 1h"},
		"a second issuer's mistake": {
			func(c *config.Config) {
				c.Issuers = []identity.IssuerConfig{{Issuer: "https://a.example", Audiences: []string{"usher"}}, {Issuer: "b", Audiences: []string{"usher"}}}
			},
			"issuers[1].issuer: must be an absolute URL",
		},
		"an issuer for any app": {
			func(c *config.Config) { c.Issuers = []identity.IssuerConfig{{Issuer: "https://a.example"}} },
			"issuers[0].clientIds: must be set",
		},
		"an issuer called as the session": {
			func(c *config.Config) {
				c.Issuers = []identity.IssuerConfig{{Issuer: "https://a.example", Audiences: []string{"usher"}}}
				c.Session.Issuer = "https://a.example"
			},
			"session.issuer: is the name of one of issuers",
		},
		"a session's mistake":      {func(c *config.Config) { c.Session.CacheFor = time.Hour }, "session.cacheFor: must be from 0s"},
		"a VPaaS for sessions":     {func(c *config.Config) { c.Compat.VPaaS.Access = httpd.BySession }, "compat.vpaas.access: must be identity"},
		"a VPaaS for the public":   {func(c *config.Config) { c.Compat.VPaaS.Access = httpd.ToPublic }, "compat.vpaas.access: must be identity"},
		"meetings for known ones":  {func(c *config.Config) { c.Compat.Meetings.Enabled = true }, ""},
		"access of a kind unknown": {func(c *config.Config) { c.Compat.Meetings.Access = "open" }, "compat.meetings.access: must be identity, session or public"},
		"access of no kind":        {func(c *config.Config) { c.Compat.Meetings.Access = "" }, "compat.meetings.access: must be identity, session or public"},
		"a role for known callers": {func(c *config.Config) { c.Compat.Meetings.Role = usher.Host }, "compat.meetings.role: is only for compat.meetings.access: public"},
		"sessions without an app": {
			func(c *config.Config) { c.Compat.Meetings.Access = httpd.BySession },
			"compat.meetings.access: is session, which needs session.url",
		},
		"sessions of an app": {
			func(c *config.Config) {
				c.Compat.Meetings.Access, c.Session.URL = httpd.BySession, "https://app.example.com/me"
			},
			"",
		},
		"a public without a role": {
			func(c *config.Config) { c.Compat.Meetings.Access = httpd.ToPublic },
			"compat.meetings.role: must be said where compat.meetings.access is public",
		},
		"a public that may only watch": {
			func(c *config.Config) {
				c.Compat.Meetings.Access, c.Compat.Meetings.Role = httpd.ToPublic, usher.Viewer
			},
			"compat.meetings.role: must be speaker, host, or",
		},
		"a public of speakers": {
			func(c *config.Config) {
				c.Compat.Meetings.Access, c.Compat.Meetings.Role = httpd.ToPublic, usher.Speaker
			},
			"",
		},
		"a public with an unknown role": {
			func(c *config.Config) { c.Compat.Meetings.Access, c.Compat.Meetings.Role = httpd.ToPublic, "king" },
			"compat.meetings.role: must be speaker, host, or",
		},
		"a public with a role of our own": {
			func(c *config.Config) {
				c.Policy.Roles = map[string][]string{"king": strings.Fields(usher.AllPermissions.String())}
				c.Compat.Meetings.Access, c.Compat.Meetings.Role = httpd.ToPublic, "king"
			},
			"",
		},
		"meetings at no VPaaS": {
			func(c *config.Config) { *c = config.Dev(); c.Compat.VPaaS.Enabled = false },
			"compat.vpaas.enabled: must be true",
		},
		"another VPaaS without a client id": {
			func(c *config.Config) {
				c.VPaaS.APIAddress, c.VPaaS.Credentials.PrivateKeyPath = "https://vpaas.example.com", key
			},
			"vpaas.credentials.clientId: is needed",
		},
		"another VPaaS without a key": {
			func(c *config.Config) {
				c.VPaaS.APIAddress, c.VPaaS.Credentials.ClientID = "https://vpaas.example.com", "euopeke6qei65m5prjcvnqv2lq"
			},
			"vpaas.credentials.privateKeyPath: is needed",
		},
		"our own VPaaS without credentials": {func(c *config.Config) { c.VPaaS.APIAddress = c.Server.PublicURL }, ""},
		"our own VPaaS with another's key":  {func(c *config.Config) { c.VPaaS.Credentials.PrivateKeyPath = "none.pem" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := config.Default()
			c.Server.PublicURL = "https://usher.example.com"
			tc.change(&c)
			got := c.Validate()
			switch {
			case tc.want == "" && len(got) > 0:
				t.Errorf("problems = %v, want none", got)
			case tc.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0].String(), tc.want)):
				t.Errorf("problems = %v, want %q alone", got, tc.want)
			}
		})
	}
}

func TestForeignVPaaS(t *testing.T) {
	for api, want := range map[string]bool{
		"":                          false,
		"https://usher.example.com": false,
		"https://localhost:3000":    false,
		"https://127.0.0.1:3000":    false,
		"https://[::1]:3000":        false,
		"http://127.0.0.1:8080":     false,
		"http://localhost:8080":     false,
		"http://[::1]:8080":         true, // we listen on 127.0.0.1 there
		"http://localhost:3000":     true,
		"https://localhost:8080":    true,
		"https://localhost:3001":    true,
		"https://localhost":         true,
		"https://10.0.0.1:3000":     true,
		"https://localhost:3000/v":  true,
		"https://crud.pexip.rocks":  true,
	} {
		t.Run(api, func(t *testing.T) {
			c := config.Default()
			c.Server = config.Server{HTTP: "127.0.0.1:8080", HTTPS: "localhost:3000", PublicURL: "https://usher.example.com", Drain: time.Second}
			c.VPaaS.APIAddress = api
			if got := c.ForeignVPaaS(); got != want {
				t.Errorf("foreign = %t, want %t", got, want)
			}
		})
	}
}

func TestOriginsAreThoseThatBrowsersWrite(t *testing.T) {
	for origin, ok := range map[string]bool{
		"https://app.example.com": true, "http://localhost:5173": true, "https://[::1]:3000": true, "https://xn--bcher-kva.example": true,
		"*": false, "null": false, "": false, "app.example.com": false, "https://*.example.com": false, "https://": false,
		"https://app.example.com/": false, "https://app.example.com/app": false, "https://app.example.com?x": false,
		"https://app.example.com#": false, "https://u:p@app.example.com": false, "https://App.example.com": false,
		"HTTPS://app.example.com": false, "https://app.example.com:443": false, "http://app.example.com:80": false,
		"http://app.example.com:443": true, "https://app.example.com:": false, "https://bücher.example": false, "ftp://a.example": false,
	} {
		c := config.Default()
		c.Server.PublicURL, c.Server.Origins = "https://usher.example.com", []string{origin}
		got := c.Validate()
		if ok != (len(got) == 0) {
			t.Errorf("%q: problems = %v, want one: %t", origin, got, !ok)
		}
		for _, p := range got {
			if p.Field != "server.origins[0]" {
				t.Errorf("%q: a problem of %s", origin, p.Field)
			}
		}
	}
}

func TestTrustedProxies(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "10.0.0.0/8": "10.0.0.0/8", "::1": "::1/128", "2001:db8::/32": "2001:db8::/32",
		"10.1.2.3/8": "", "::ffff:10.0.0.0/104": "", "::ffff:10.0.0.1": "", "fe80::1%eth0": "", "proxy": "", "": "", "10.0.0.0/33": "",
	} {
		c := config.Default()
		c.Server.PublicURL, c.Server.TrustedProxies = "https://usher.example.com", []string{text}
		problems := c.Validate()
		if (want == "") != (len(problems) == 1 && problems[0].Field == "server.trustedProxies[0]") {
			t.Errorf("%q: problems = %v", text, problems)
		}
		got := ""
		for _, p := range c.Server.Proxies() {
			got += p.String()
		}
		if got != want {
			t.Errorf("%q: networks = %s, want %s", text, got, want)
		}
	}
	for _, everybody := range []string{"0.0.0.0/0", "::/0"} {
		for _, dev := range []bool{false, true} {
			c := config.Default()
			if dev {
				c = config.Dev()
			}
			c.Server.PublicURL, c.Server.TrustedProxies = "https://usher.example.com", []string{"10.0.0.0/8", everybody}
			problems := c.Validate()
			if dev != (len(problems) == 0) || !dev && (len(problems) != 1 || problems[0].Field != "server.trustedProxies[1]") {
				t.Errorf("%s, development %v: problems = %v", everybody, dev, problems)
			}
		}
	}
}

func TestWhatIsUnwiseGetsAWarning(t *testing.T) {
	plain := func(path string) string {
		return path + " is not https: what is sent can be read and changed on its way."
	}
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"https everywhere": {"server: {origins: [\"https://a.example\"], trustedProxies: [10.0.0.0/8]}", nil},
		"this machine":     {"server: {publicURL: \"http://[::1]:8080\", origins: [\"http://localhost:5173\"]}", nil},
		"a plain address":  {"server: {publicURL: \"http://usher.example.com\"}", []string{plain("server.publicURL")}},
		"a plain origin":   {"server: {origins: [\"https://a.example\", \"http://b.example\"]}", []string{plain("server.origins[1]")}},
		"a plain session":  {"session: {url: \"http://app.example.com\"}", []string{plain("session.url")}},
		"a plain issuer": {
			"issuers: [{issuer: \"http://a.example\", jwks: \"http://a.example/keys\", audiences: [usher]}]",
			[]string{plain("issuers[0].issuer"), plain("issuers[0].jwks")},
		},
		"trust in everybody": {
			"server: {trustedProxies: [\"::/0\"]}",
			[]string{"server.trustedProxies trusts everybody: callers can say that they call from any address."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := load(t, config.Options{Dev: true, Path: write(t, tc.text)})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func pkcs8(t *testing.T, key crypto.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func ed25519Key(t *testing.T) []byte {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pkcs8(t, key)
}

func writeKey(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func certificatePEM(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := certs.Localhost(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, certs.CertFile))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFilesThatAreNamedAreChecked(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none.pem")
	const key, ca, sessionCA = "vpaas.credentials.privateKeyPath", "vpaas.caFile", "session.caFile"
	for name, tc := range map[string]struct {
		field, path string
		// want is in the one problem, beside the path; empty is none.
		want string
	}{
		"a key":                 {key, writeKey(t, ed25519Key(t)), ""},
		"no key":                {key, none, "no such file"},
		"a weak key":            {key, writeKey(t, pkcs8(t, weak)), "2048 bits"},
		"a key that is text":    {key, write(t, canary), "PEM"},
		"a certificate":         {ca, write(t, certificatePEM(t)), ""},
		"no certificate":        {ca, none, "no such file"},
		"a certificate of text": {ca, write(t, canary), "PEM"},

		"an app's certificate":      {sessionCA, write(t, certificatePEM(t)), ""},
		"an app's none":             {sessionCA, none, "no such file"},
		"an app's that is but text": {sessionCA, write(t, canary), "no certificates"},
	} {
		t.Run(name, func(t *testing.T) {
			flags := map[string]string{
				"vpaas.apiAddress": "https://vpaas.example.com", "vpaas.credentials.clientId": "euopeke6qei65m5prjcvnqv2lq",
				key: writeKey(t, ed25519Key(t)), "session.url": "https://app.example.com/me",
			}
			flags[tc.field] = tc.path
			got := problems(t, config.Options{Dev: true, Flags: flags})
			if tc.want == "" {
				if len(got) > 0 {
					t.Errorf("problems = %q, want none", got)
				}
				return
			}
			if len(got) != 1 || !strings.HasPrefix(got[0], tc.field+": ") || !strings.Contains(got[0], tc.path) || !strings.Contains(got[0], tc.want) {
				t.Fatalf("problems = %q, want one of %s that says %q", got, tc.field, tc.want)
			}
			if strings.Contains(got[0], canary) {
				t.Errorf("the problem quotes the file: %s", got[0])
			}
		})
	}
}

func TestLogHandler(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(config.Log{Format: "json"}.Handler(&out, config.Log{Level: "warn"}.From()))
	log.Info("unheard")
	log.Warn("heard")
	if got := out.String(); strings.Contains(got, "unheard") || !strings.HasPrefix(got, "{") || !strings.Contains(got, `"heard"`) {
		t.Errorf("JSON log = %q", got)
	}
	out.Reset()
	slog.New(config.Log{Format: "text"}.Handler(&out, config.Log{Level: "debug"}.From())).Debug("heard")
	if got := out.String(); !strings.Contains(got, "msg=heard") {
		t.Errorf("text log = %q", got)
	}
}
