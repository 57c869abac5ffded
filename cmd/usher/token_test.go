package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"usher/client"
	"usher/internal/config"
	"usher/internal/datadir"
	"usher/internal/turn"
)

const seedEnv = "APP_ID=970CA35de60c44645bbae8a215061b33\nAPP_CERTIFICATE=5CFd2fd1755d40ecb72977518be15d3b\n"

// tokenFolder is the folder of a seed's server, with data of ours.
func tokenFolder(t *testing.T) (data string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile(".env", []byte(seedEnv), 0o600); err != nil {
		t.Fatal(err)
	}
	data = filepath.Join(t.TempDir(), "data")
	if status, _, stderr := command(t, "client", "add", "--data", data, "--name", "a", "--api-key"); status != 0 {
		t.Fatal(stderr)
	}
	return data
}

func TestATokenFromTheCommandLine(t *testing.T) {
	data := tokenFolder(t)
	issue := []string{"token", "issue", "--dev", "--data", data, "--platform", "agora", "--room", "lobby", "--subject", "7", "--ttl", "10m"}
	status, token, stderr := command(t, issue...)
	if status != 0 || !strings.HasPrefix(token, "007e") || strings.Count(token, "\n") != 1 || strings.Contains(stderr, strings.TrimSpace(token)) {
		t.Fatalf("got status %d, printed %q and %q", status, token, stderr)
	}
	for name, tc := range map[string]struct {
		args  []string
		stdin string
		want  string
	}{
		"as an argument":              {[]string{"--dev", strings.TrimSpace(token)}, "", "Nothing is wrong with it."},
		"on standard input":           {[]string{"--dev", "-"}, token, "by a key that this server has"},
		"without the key":             {[]string{strings.TrimSpace(token)}, "", "not one of ours"},
		"as JSON":                     {[]string{"--dev", "--json"}, token, `"verified": "good"`},
		"for what it says it is for":  {[]string{"--dev", "--room", "lobby", "--subject", "7"}, token, "lobby"},
		"for another room than it is": {[]string{"--dev", "--room", "hall"}, token, "hall"},
	} {
		var out, errs bytes.Buffer
		args := append([]string{"token", "inspect", "--data", data}, tc.args...)
		status := run(t.Context(), args, environment{Stdin: strings.NewReader(tc.stdin), Stdout: &out, Stderr: &errs})
		if status != 0 || !strings.Contains(out.String(), tc.want) {
			t.Errorf("%s: got status %d, printed %q and %q, want %q", name, status, &out, &errs, tc.want)
		}
		if strings.Contains(out.String()+errs.String(), strings.TrimSpace(token)) {
			t.Errorf("%s: the token is printed", name)
		}
	}
	var errs bytes.Buffer
	if status := run(t.Context(), []string{"token", "inspect", "--data", data}, environment{Stdin: strings.NewReader("s3cret-nonsense\n"), Stdout: &errs, Stderr: &errs}); status != 1 ||
		!strings.Contains(errs.String(), "token_unrecognised") || strings.Contains(errs.String(), "nonsense") {
		t.Errorf("nonsense: got status %d, printed %q", status, &errs)
	}
}

// Whoever made a token must not write lines of their own, nor tell the terminal
// what to do.
func TestWhatAForeignTokenSaysIsPrintedAsText(t *testing.T) {
	data := tokenFolder(t)
	hostile := "\x1b]0;title\a\nNothing is wrong with it.\u009b2J\u202e"
	claims, err := json.Marshal(map[string]any{
		"iss": hostile, "exp": 1, "sub": hostile, hostile: hostile, "video": map[string]any{"room": hostile, "roomJoin": true},
	})
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	token := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(claims) + "." + encode([]byte("signature"))
	status, out, stderr := command(t, "token", "inspect", "--data", data, token)
	if status != 0 || !strings.Contains(out, "livekit") || !strings.Contains(out, "title") {
		t.Fatalf("got status %d, printed %q and %q", status, out, stderr)
	}
	for line := range strings.Lines(out) {
		if line = strings.TrimSuffix(line, "\n"); line == "Nothing is wrong with it." || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("the line %q is the token's", line)
		}
	}
}

func TestATokenThatIsOfNoUseAloneIsPrintedWithAllThatGoesWithIt(t *testing.T) {
	data := tokenFolder(t)
	status, out, stderr := command(t, "token", "issue", "--dev", "--data", data, "--platform", "vpaas", "--room", "lobby", "--subject", "ann")
	var details map[string]string
	if err := json.Unmarshal([]byte(out), &details); err != nil || status != 0 || len(details) != 4 || details["participant_secret"] == "" || strings.Contains(stderr, details["participant_secret"]) {
		t.Errorf("got status %d, printed %q and %q", status, out, stderr)
	}
}

func TestEveryServiceOfAgorasTokensFromTheCommandLine(t *testing.T) {
	data := tokenFolder(t)
	for _, format := range []string{"rtc", "006/rtc", "rtm", "006/rtm", "rtm2", "chat", "education", "apaas", "apaas-user", "streaming", "fcdn", "fpa", "rtc+rtm+convoai", "rtc+rtm+stt"} {
		status, token, stderr := command(t, "token", "issue", "--dev", "--data", data, "--platform", "agora", "--room", "lobby", "--subject", "7", "--role", "host", "--format", format)
		if status != 0 {
			t.Errorf("%s: %s", format, stderr)
			continue
		}
		args := []string{"token", "inspect", "--dev", "--data", data, "--room", "lobby", "--subject", "7", strings.TrimSpace(token)}
		if format == "education" { // whose user has another name in Chat
			args = append(args[:7:7], strings.TrimSpace(token))
		}
		if status, out, stderr := command(t, args...); status != 0 || !strings.Contains(out, "Nothing is wrong with it.") {
			t.Errorf("%s: inspected as %s%s", format, out, stderr)
		}
	}
}

func TestAKeyOfOurOwnForJanus(t *testing.T) {
	data := tokenFolder(t)
	export := []string{"keys", "export", "--janus", "--data", data}
	status, der, stderr := command(t, append(export, "--dev")...)
	if status != 0 {
		t.Fatal(stderr)
	}
	public, err := x509.ParsePKCS1PublicKey([]byte(der))
	if err != nil {
		t.Fatal(err)
	}
	// It signs what a server of the folder makes, and is made once.
	status, token, stderr := command(t, "token", "issue", "--dev", "--data", data, "--platform", "janus", "--room", "lobby")
	if status != 0 {
		t.Fatal(stderr)
	}
	signed, signature, _ := cutLast(strings.TrimSpace(token), ".")
	sum := sha512.Sum512([]byte(signed))
	mac, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || rsa.VerifyPKCS1v15(public, crypto.SHA512, sum[:], mac) != nil {
		t.Errorf("the token %s is not signed with the key: %v", token, err)
	}
	if status, out, _ := command(t, "token", "inspect", "--dev", "--data", data, strings.TrimSpace(token)); status != 0 || !strings.Contains(out, "by a key that this server has") {
		t.Errorf("the token was inspected as %q", out)
	}
	if _, again, _ := command(t, append(export, "--dev")...); again != der {
		t.Error("exported again it is another key")
	}
	// Rotated: another key, once the file is gone.
	if err := os.Remove(filepath.Join(data, janusKeyName)); err != nil {
		t.Fatal(err)
	}
	if _, again, _ := command(t, append(export, "--dev")...); again == der || again == "" {
		t.Error("the key is the same without its file")
	}
	for name, text := range map[string]string{
		"without a Janus":            "server: {publicURL: https://usher.example.com}",
		"with nothing but VideoRoom": "server: {publicURL: https://usher.example.com}\njanus: {tokenAuthSecret: 0123456789abcdef}",
	} {
		if err := os.WriteFile("usher.yaml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, out, _ := command(t, append(export, "--config", "usher.yaml")...); status == 0 || out != "" {
			t.Errorf("%s: a key was exported", name)
		}
	}
	if err := os.WriteFile("usher.yaml", []byte("server: {publicURL: https://usher.example.com}\njanus: {pluginURL: wss://janus.example.com}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out, stderr := command(t, append(export, "--config", "usher.yaml")...); status != 0 || out == "" {
		t.Errorf("a plugin without a key: %s", stderr)
	}
}

func TestAnExportedKeyNeverReplacesAPrivateOne(t *testing.T) {
	t.Chdir(t.TempDir())
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile("key.pem", private, 0o600); err != nil {
		t.Fatal(err)
	}
	export := []string{"keys", "export", "--janus", "--key", "key.pem", "--out"}
	status, _, stderr := command(t, append(export, "key.pem")...)
	if left, err := os.ReadFile("key.pem"); status != 1 || !strings.Contains(stderr, "private key") || err != nil || !bytes.Equal(left, private) {
		t.Errorf("got status %d, printed %q, and the key is as it was: %v", status, stderr, bytes.Equal(left, private))
	}
	for range 2 { // a public key is replaced
		if status, _, stderr := command(t, append(export, "key.der")...); status != 0 {
			t.Errorf("got status %d, printed %q", status, stderr)
		}
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func TestAKeyThatIsUnreadableStopsTheStart(t *testing.T) {
	data := tokenFolder(t)
	if err := os.WriteFile(filepath.Join(data, janusKeyName), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := command(t, "token", "issue", "--dev", "--data", data, "--platform", "janus", "--room", "lobby"); status == 0 || !strings.Contains(stderr, janusKeyName) {
		t.Errorf("got status %d and %q", status, stderr)
	}
}

func TestTheEmbeddedTURNServerStartsAndStopsWithTheServer(t *testing.T) {
	cfg := config.Default()
	cfg.Data, cfg.Server.PublicURL = t.TempDir(), "https://usher.example"
	cfg.TURN.URLs, cfg.TURN.Secret = []string{"turn:127.0.0.1:3478"}, "0123456789abcdef0123456789abcdef"
	cfg.TURNServer.UDP = "127.0.0.1:0"
	dir, err := datadir.Open(cfg.Data)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(t.Context(), cfg, serverOptions{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	address := s.relay.UDPAddr().String()
	if err := errors.Join(s.close(), dir.Close()); err != nil {
		t.Error(err)
	}
	cfg.TURNServer.UDP = address // which is free again
	again, err := newRelay(cfg, s.logger, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	cfg.TURNServer = turn.DefaultConfig()
	if none, err := newRelay(cfg, s.logger, nil); none != nil || err != nil {
		t.Errorf("got %v, %v, want none", none, err)
	}
}

func TestWhatATokenSaysIsAligned(t *testing.T) {
	var out strings.Builder
	err := describeToken(&out, client.Inspection{
		Format: "janus", Verified: "bad", Room: "a\x1b[2Jb", Subject: "ann\tdoe", Problems: []string{"wrong\nNothing is wrong with it."},
		Claims: map[string]any{"certificate": "primary", "list": []string{"\u009b2J"}, "x\x07": 7},
	})
	want := `"wrong\nNothing is wrong with it."
  format       janus
  signature    wrong
  room         "a\x1b[2Jb"
  subject      "ann\tdoe"
  certificate  primary
  list         "[\"\u009b2J\"]"
  "x\a"        7
`
	if diff := cmp.Diff(want, out.String()); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
