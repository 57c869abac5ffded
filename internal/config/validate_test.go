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

	"usher/internal/certs"
	"usher/internal/config"
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
		"no public URL, not served": {func(c *config.Config) { c.Server = config.Server{} }, ""},
		"a public host":             {func(c *config.Config) { c.Server.PublicURL = "usher.example.com" }, "server.publicURL: must be an absolute URL"},
		"another scheme":            {func(c *config.Config) { c.Server.PublicURL = "ftp://usher.example.com" }, "server.publicURL: must be an absolute URL"},
		"a URL without host":        {func(c *config.Config) { c.Server.PublicURL = "https://:443" }, "server.publicURL: must be an absolute URL"},
		"a public path":             {func(c *config.Config) { c.Server.PublicURL = "https://a.example/b" }, "server.publicURL: must have no path"},
		"a public query":            {func(c *config.Config) { c.Server.PublicURL = "https://a.example?b" }, "server.publicURL: must have neither query"},
		"a public fragment":         {func(c *config.Config) { c.Server.PublicURL = "https://a.example#" }, "server.publicURL: must have neither query"},
		"a password in the URL":     {func(c *config.Config) { c.Server.PublicURL = "https://u:p@a.example" }, "server.publicURL: must carry no user"},
		"no data folder":            {func(c *config.Config) { c.Data = "" }, "data: must name a folder"},
		"an operator by name":       {func(c *config.Config) { c.Operators = []string{"alice"} }, `operators: "alice" is neither`},
		"a client that is no id":    {func(c *config.Config) { c.Operators = []string{"client:alice"} }, `operators: "client:alice" is neither`},
		"an operator twice":         {func(c *config.Config) { c.Operators = []string{"user:a#b", "user:a#b"} }, `operators: "user:a#b" is listed twice`},
		"a room's own mistake":      {func(c *config.Config) { c.Rooms.Grace = 0 }, "rooms.grace: must be at least 1s"},
		"a log level":               {func(c *config.Config) { c.Log.Level = "INFO" }, "log.level: must be"},
		"a log format":              {func(c *config.Config) { c.Log.Format = "xml" }, "log.format: must be"},
		"no time-out":               {func(c *config.Config) { c.VPaaS.Timeout = 0 }, "vpaas.timeout: must be at least"},
		"a client id":               {func(c *config.Config) { c.VPaaS.Credentials.ClientID = "EUOPEKE6QEI65M5PRJCVNQV2LQ" }, "vpaas.credentials.clientId: must be"},
		"no API address":            {func(c *config.Config) { c.VPaaS.APIAddress = "vpaas" }, "vpaas.apiAddress: must be an absolute URL"},
		"open routes":               {func(c *config.Config) { c.Compat.Meetings.Enabled = true }, "compat.meetings.enabled: must be false"},
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
			c.Server = config.Server{HTTP: "127.0.0.1:8080", HTTPS: "localhost:3000", PublicURL: "https://usher.example.com"}
			c.VPaaS.APIAddress = api
			if got := c.ForeignVPaaS(); got != want {
				t.Errorf("foreign = %t, want %t", got, want)
			}
		})
	}
}

func TestPlainAddressesGetAWarning(t *testing.T) {
	for url, want := range map[string]int{
		"http://usher.example.com": 1, "https://usher.example.com": 0, "http://localhost:8080": 0, "http://[::1]:8080": 0,
	} {
		_, warnings := load(t, config.Options{Flags: map[string]string{"server.publicURL": url}})
		if len(warnings) != want {
			t.Errorf("%s: warnings = %q, want %d", url, warnings, want)
		}
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

func TestFilesOfAnotherVPaaSAreChecked(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none.pem")
	const key, ca = "vpaas.credentials.privateKeyPath", "vpaas.caFile"
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
	} {
		t.Run(name, func(t *testing.T) {
			flags := map[string]string{
				"vpaas.apiAddress": "https://vpaas.example.com", "vpaas.credentials.clientId": "euopeke6qei65m5prjcvnqv2lq",
				key: writeKey(t, ed25519Key(t)),
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
	log := slog.New(config.Log{Level: "warn", Format: "json"}.Handler(&out))
	log.Info("unheard")
	log.Warn("heard")
	if got := out.String(); strings.Contains(got, "unheard") || !strings.HasPrefix(got, "{") || !strings.Contains(got, `"heard"`) {
		t.Errorf("JSON log = %q", got)
	}
	out.Reset()
	slog.New(config.Log{Level: "debug", Format: "text"}.Handler(&out)).Debug("heard")
	if got := out.String(); !strings.Contains(got, "msg=heard") {
		t.Errorf("text log = %q", got)
	}
}
