package config_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/internal/config"
)

func commented(t *testing.T, lines ...config.Line) string {
	t.Helper()
	var out bytes.Buffer
	if err := config.Commented(&out, "A head.\nOf two lines.", lines); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestACommentedFileIsReadAsItWasMeant(t *testing.T) {
	odd := []string{
		"group:https://id.example#a b", "user:https://id.example#x, y", "user:https://id.example#[z]: {}", `group:https://id.example#"q'\`,
		"user:https://id.example# hash", "user:https://id.example#ü", "user:https://id.example#ends:", "user:https://id.example#<&>",
	}
	text := commented(t,
		config.Line{Key: "server.http", Value: ""},
		config.Line{Key: "server.publicURL", Value: "https://usher.example.com"},
		config.Line{Key: "server.trustedProxies", Value: []string{"::1", "10.0.0.0/8"}},
		config.Line{Key: "server.notice", Value: "5s", Off: true},
		config.Line{Key: "data", Value: `/srv/my "data": #1`},
		config.Line{Key: "issuers[].issuer", Value: "https://id.example"},
		config.Line{Key: "issuers[].audiences", Value: []string{"true", "null", "017", "-", "~"}},
		config.Line{Key: "issuers[].claims.groups", Value: "realm_access.roles"},
		config.Line{Key: "operators", Value: odd},
		config.Line{Key: "limits.mint"},
		config.Line{Key: "log.requests", Value: true},
		config.Line{Key: "compat.agora.enabled", Value: true},
		config.Line{Key: "compat.janus.enabled", Value: true, Off: true},
	)
	got, warnings, err := config.Load(config.Options{Path: "usher.yaml", Text: []byte(text)})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v %q\n%s", err, warnings, text)
	}
	want := config.Default()
	if got.Server.HTTP != "" || got.Server.PublicURL != "https://usher.example.com" || got.Data != `/srv/my "data": #1` || !got.Log.Requests ||
		got.Server.Notice != 0 || got.Limits.Mint != want.Limits.Mint || !got.Compat.Agora.Enabled || got.Compat.Janus.Enabled {
		t.Errorf("got %+v", got)
	}
	for _, tt := range []struct{ got, want any }{
		{got.Operators, odd},
		{got.Server.TrustedProxies, []string{"::1", "10.0.0.0/8"}},
		{got.Issuers[0].Audiences, []string{"true", "null", "017", "-", "~"}},
		{got.Issuers[0].Claims.Groups, "realm_access.roles"},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("(-want +got):\n%s\n%s", diff, text)
		}
	}
	if !strings.HasPrefix(text, "# A head.\n# Of two lines.\n\nserver:\n  # Where to listen for plain HTTP: ") {
		t.Errorf("it begins with\n%.200s", text)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") && len(line) > 101 {
			t.Errorf("it is %d bytes wide: %s", len(line), line)
		}
	}
}

// What is off is switched on by taking the number signs away.
func TestWhatIsOffInACommentedFileIsAnExample(t *testing.T) {
	text := commented(t,
		config.Line{Key: "server.publicURL", Value: "https://usher.example.com"},
		config.Line{Key: "server.notice", Value: "5s", Off: true},
		config.Line{Key: "webhooks[].name", Value: "app", Off: true},
		config.Line{Key: "webhooks[].url", Value: "https://app.example.com/usher", Off: true},
		config.Line{Key: "webhooks[].secret", Value: "env:HOOK", Off: true},
	)
	environ := []string{"HOOK=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	before, _, err := config.Load(config.Options{Path: "usher.yaml", Text: []byte(text), Environ: environ})
	if err != nil || before.Server.Notice != 0 || len(before.Webhooks) != 0 {
		t.Errorf("%v: %+v", err, before)
	}
	text = regexp.MustCompile(`(?m)^( *)#(\S)`).ReplaceAllString(text, "$1$2")
	after, _, err := config.Load(config.Options{Path: "usher.yaml", Text: []byte(text), Environ: environ})
	if err != nil || after.Server.Notice == 0 || len(after.Webhooks) != 1 || after.Webhooks[0].Secret == "" {
		t.Errorf("%v: %+v\n%s", err, after, text)
	}
}

func TestACommentedFileHasNoSettingsThatThereAreNot(t *testing.T) {
	for _, lines := range [][]config.Line{
		{{Key: "server.publicUrl", Value: "https://usher.example.com"}},
		{{Key: "data", Value: "a"}, {Key: "data", Value: "b"}},
		{{Key: "webhooks", Value: "a"}, {Key: "webhooks.name", Value: "b"}},
	} {
		if err := config.Commented(new(bytes.Buffer), "", lines); err == nil {
			t.Errorf("%+v: no error", lines)
		}
	}
}
