package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// examined is what the doctor finds with a configuration, by level and check, and
// the status that it ends with.
func examined(t *testing.T, text string) (findings map[string][]finding, status int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "usher.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	status = run(t.Context(), []string{"doctor", "--config", file, "--json"}, environment{Stdout: &out, Stderr: &errs})
	findings = make(map[string][]finding)
	for line := range strings.Lines(out.String()) {
		var f finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		findings[f.Level+" "+f.Check] = append(findings[f.Level+" "+f.Check], f)
	}
	if len(findings) == 0 {
		t.Fatalf("nothing was found: %s", &errs)
	}
	return findings, status
}

func TestTheDoctor(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	issuer := func(offset time.Duration) string {
		s := httptest.NewServer(nil)
		t.Cleanup(s.Close)
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(offset).UTC().Format(http.TimeFormat))
			w.Header().Set("Content-Type", "application/json")
			if r.URL.Path == "/keys" {
				_, _ = w.Write([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
				return
			}
			_, _ = w.Write([]byte(`{"issuer":"` + s.URL + `","jwks_uri":"` + s.URL + `/keys"}`))
		})
		return "issuers: [{issuer: \"" + s.URL + "\", audiences: [a]}]\n"
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(open, databaseName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	base := func(data, http string) string {
		return "server: {publicURL: \"https://usher.example\", http: \"" + http + "\"}\ndata: " + data + "\n"
	}
	fresh := filepath.Join(t.TempDir(), "data")
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.Mkdir(damaged, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{databaseName: strings.Repeat("no database at all ", 1000), sealName: rand.Text()} {
		if err := os.WriteFile(filepath.Join(damaged, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	private := filepath.Join(t.TempDir(), "privateKey.pem")
	key, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600); err != nil {
		t.Fatal(err)
	}
	turn := fmt.Sprintf("turn: {urls: [\"turn:127.0.0.1:1?transport=tcp\"], secret: %q}\n", strings.Repeat("s", 32))
	hook := func(more string) string {
		return "webhooks: [{name: app, url: \"https://127.0.0.1/\", secret: \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"" + more + "}]\n"
	}
	for name, tt := range map[string]struct {
		text  string
		fault string // the check that is at fault; empty if none is
		says  string
	}{
		"all is well":              {base(fresh, "127.0.0.1:0") + issuer(0) + hook(", allowPrivate: true"), "", ""},
		"mistakes":                 {base(fresh, "127.0.0.1:0") + "operator: []\n", "configuration", "unknown key"},
		"a port that is taken":     {base(fresh, taken.Addr().String()), "ports", "address already in use"},
		"a folder that is open":    {base(open, "127.0.0.1:0"), "data", "can be read by others"},
		"keys that are missing":    {base(open, "127.0.0.1:0"), "keys", sealName + " is missing"},
		"an issuer that is silent": {base(fresh, "127.0.0.1:0") + "issuers: [{issuer: \"http://127.0.0.1:1\", audiences: [a]}]\n", "issuers", "127.0.0.1:1"},
		"a clock that is wrong":    {base(fresh, "127.0.0.1:0") + issuer(time.Hour), "clock", "differs by"},
		"a damaged database":       {base(damaged, "127.0.0.1:0"), "database", "file is not a database"},
		"a relay's port is taken":  {base(fresh, "127.0.0.1:0") + turn + "turnServer: {tcp: \"" + taken.Addr().String() + "\"}\n", "ports", "turnServer.tcp"},
		"a VPaaS that is silent":   {base(fresh, "127.0.0.1:0") + "vpaas: {apiAddress: \"http://127.0.0.1:1\", credentials: {clientId: aaaaaaaaaaaaaaaaaaaaaaaaaa, privateKeyPath: " + private + "}}\n", "vpaas", "127.0.0.1:1"},
		"a Janus that is silent":   {base(fresh, "127.0.0.1:0") + "janus: {pluginURL: \"ws://127.0.0.1:1/\", keyFile: " + private + "}\n", "janus", "could not be asked"},
		"a LiveKit that is silent": {base(fresh, "127.0.0.1:0") + "livekit: {url: \"ws://127.0.0.1:1\", apiKey: a, apiSecret: " + strings.Repeat("s", 32) + "}\n", "livekit", "127.0.0.1:1"},
		"a webhook to nowhere":     {base(fresh, "127.0.0.1:0") + hook(""), "webhooks", "has the address 127.0.0.1, which is not a public one"},
	} {
		t.Run(name, func(t *testing.T) {
			found, status := examined(t, tt.text)
			if tt.fault == "" {
				for key := range found {
					if strings.HasPrefix(key, faultLevel) {
						t.Errorf("%s: %+v", key, found[key])
					}
				}
				if status != 0 || len(found[wellLevel+" clock"]) != 1 || len(found[wellLevel+" issuers"]) != 1 {
					t.Errorf("got status %d and %+v", status, found)
				}
				return
			}
			faults := found[faultLevel+" "+tt.fault]
			if status != 1 || len(faults) == 0 || !strings.Contains(faults[0].Message, tt.says) {
				t.Errorf("got status %d and %+v, want a fault of %s that says %q", status, found, tt.fault, tt.says)
			}
		})
	}
}

func TestWhatNeedsAConfigurationNamesItsFlags(t *testing.T) {
	for _, args := range [][]string{{"doctor"}, {"config", "check"}, {"serve"}} {
		_, _, stderr := command(t, args...)
		if !strings.Contains(stderr, "add --dev to try it on this machine, or --config FILE") {
			t.Errorf("usher %q: printed %q", args, stderr)
		}
	}
}
