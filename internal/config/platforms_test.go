package config_test

import (
	"bytes"
	"strings"
	"testing"

	"usher/internal/config"
	"usher/internal/platform/agora"
)

const otherDigits = "0123456789abcdef0123456789abcdef"

func TestFurtherProjectsHaveTheirSecretsToo(t *testing.T) {
	text := "agora:\n  appId: " + strings.Repeat("a", 32) + "\n  appCertificate: env:MAIN\n" +
		"  projects:\n    classroom:\n      appId: " + strings.Repeat("c", 32) + "\n      appCertificate: file:" + write(t, otherDigits+"\n") + "\n"
	c, warnings := load(t, config.Options{Dev: true, Path: write(t, text), Environ: []string{"MAIN=" + strings.Repeat("b", 32)}})
	want := agora.ProjectConfig{AppID: strings.Repeat("c", 32), AppCertificate: otherDigits}
	if got := c.Agora.Projects["classroom"]; got != want || got.AppCertificate.Reveal() != otherDigits || len(warnings) > 0 {
		t.Errorf("got %+v, warnings %q", got, warnings)
	}
	var out bytes.Buffer
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), otherDigits) || strings.Contains(out.String(), strings.Repeat("b", 32)) {
		t.Errorf("a certificate is printed:\n%s", &out)
	}
}

func TestTheVariablesOfTheServersThatWeReplace(t *testing.T) {
	id, certificate := strings.Repeat("a", 32), strings.Repeat("b", 32)
	seed := []string{"APP_ID=" + id, "APP_CERTIFICATE=" + certificate, "AGORA_TOKEN_VERSION=006", "PORT=8085"}
	c, warnings := load(t, config.Options{Dev: true, Environ: seed})
	if c.Agora.AppID != id || c.Agora.AppCertificate.Reveal() != certificate || c.Agora.TokenVersion != "006" || c.Server.HTTP != "localhost:8085" || len(warnings) > 0 {
		t.Errorf("got %+v at %s, warnings %q", c.Agora, c.Server.HTTP, warnings)
	}
	c, _ = load(t, config.Options{Dev: true, Environ: append(seed, "USHER_AGORA_TOKEN_VERSION=007", "USHER_SERVER_HTTP=localhost:8086")})
	if c.Agora.TokenVersion != "007" || c.Server.HTTP != "localhost:8086" {
		t.Errorf("our own names: got %s, %s", c.Agora.TokenVersion, c.Server.HTTP)
	}
	c, _ = load(t, config.Options{Environ: append(seed, "USHER_SERVER_PUBLIC_URL=https://usher.example.com")})
	if c.Server.HTTP != "127.0.0.1:8080" || !c.Agora.Enabled() {
		t.Errorf("outside development: got %s, %+v", c.Server.HTTP, c.Agora)
	}
	if c, _ = load(t, config.Options{Dev: true}); c.Agora.Enabled() || c.Janus.Enabled() || !c.Rooms.Implicit {
		t.Errorf("development without configuration: got %+v", c)
	}
}

func TestMistakesInPlatforms(t *testing.T) {
	for name, tc := range map[string]struct {
		text    string
		environ []string
		want    string
	}{
		"an app id that is none":         {environ: []string{"APP_ID=x", "APP_CERTIFICATE=" + otherDigits}, want: "agora.appId: must be 32 hexadecimal digits, as Agora's console shows it (APP_ID)"},
		"an app id without certificate":  {environ: []string{"APP_ID=" + otherDigits}, want: "agora.appCertificate: must be 32 hexadecimal digits"},
		"a port that is none":            {environ: []string{"PORT=x"}, want: "server.http: must be an IP address and a port"},
		"a project without certificate":  {text: "agora: {appId: " + strings.Repeat("a", 32) + ", appCertificate: " + strings.Repeat("b", 32) + ", projects: {x: {appId: " + otherDigits + "}}}", want: "agora.projects.x.appCertificate: must be"},
		"a project with an unknown key":  {text: "agora: {projects: {x: {appID: " + otherDigits + "}}}", want: "agora.projects.x.appID: unknown key (line 1); did you mean agora.projects.x.appId?"},
		"a key that is not there":        {environ: []string{"AUTH_KEY_PRIVATE=/nowhere.pem"}, want: "janus.keyFile:"},
		"LiveKit without a secret":       {text: "livekit: {url: \"wss://livekit.example.com\", apiKey: k}", want: "livekit.apiSecret: must be"},
		"a TURN server that nobody uses": {text: "turnServer: {udp: \"127.0.0.1:3478\"}", want: "turn.urls: must name the server of turnServer"},
		"Room Service open in no role":   {text: "compat: {roomservice: {access: public}}", want: "compat.roomservice.role: must be said"},
		"Room Service for no time":       {text: "compat: {roomservice: {lifetime: 1ms}}", want: "compat.roomservice.lifetime: must be"},
		"LiveKit open in no role":        {text: "compat: {livekit: {access: public}}", want: "compat.livekit.role: must be said"},
		"Janus open to viewers":          {text: "compat: {janus: {access: public, role: viewer}}", want: "compat.janus.role: must be speaker, host"},
		"connections without a key":      {text: "compat: {connections: {listen: \"127.0.0.1:1\"}}", want: "compat.connections.accessKeyId: must be set"},
		"connections with half a key":    {text: "compat: {connections: {accessKeyId: AKID0123456789AB}}", want: "compat.connections.secretAccessKey: must have at least 32 characters"},
		"connections with an odd key":    {text: "compat: {connections: {keys: {a-b: {secretAccessKey: " + otherDigits + "}}}}", want: "compat.connections.keys.a-b: must be 16"},
		"connections at our own port":    {text: "compat: {connections: {listen: \"localhost:8080\"}}", want: "compat.connections.listen: must be an address of its own"},
		"connections without /signal":    {text: "{compat: {connections: {listen: \"localhost:1\"}}, signaling: {enabled: false}}", want: "compat.connections.listen: needs signaling.enabled"},
		"connections in no stage":        {text: "compat: {connections: {stage: a/b}}", want: "compat.connections.stage: must be"},
		"video chat without a caller":    {text: "compat: {videochat: {access: public}}", want: "compat.videochat.access: must be identity"},
		"no contacts at all":             {text: "contacts: {max: 0}", want: "contacts.max: must be from 1 to 10000"},
		"contacts without an end":        {text: "contacts: {max: 10001}", want: "contacts.max: must be from 1 to 10000"},
		"Agora open in an unknown role":  {text: "compat: {agora: {access: public, role: king}}", want: "compat.agora.role: must be viewer, speaker"},
	} {
		t.Run(name, func(t *testing.T) {
			all := strings.Join(problems(t, config.Options{Dev: true, Path: write(t, tc.text), Environ: tc.environ}), "\n")
			if !strings.Contains(all, tc.want) {
				t.Errorf("problems = %s, want %s", all, tc.want)
			}
			if strings.Contains(all, strings.Repeat("b", 32)) {
				t.Errorf("a problem quotes a certificate: %s", all)
			}
		})
	}
}
