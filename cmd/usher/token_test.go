package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

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
