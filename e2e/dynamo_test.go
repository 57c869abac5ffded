package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// onDynamoDB is the configuration of a store on a DynamoDB of its own, and the
// environment that it needs.
func onDynamoDB(t *testing.T) (config string, env []string) {
	t.Helper()
	dir := nodeDir(t, "dynalite")
	endpoint := "http://127.0.0.1:" + unusedPort(t)
	startPeer(t, dir, endpoint, nil, "dynalite.mjs", endpoint[strings.LastIndex(endpoint, ":")+1:])
	config = "store: {driver: dynamodb, region: us-east-1, endpoint: \"" + endpoint + "\"}\n"
	return config, []string{
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
		"CONTACTS_TABLE=my-video-chat-contacts-dev", "USERS_TABLE=my-video-chat-users-dev", "CONNECTIONS_TABLE=my-video-chat-connections-dev",
		"USER_ID_INDEX=UserIdIndex", "USER_EMAIL_INDEX=UserIdIndex",
	}
}

// usherWith runs a command on a configuration, and returns what it says.
func usherWith(t *testing.T, config string, env []string, command string) (said string, err error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "usher.yaml")
	if err := os.WriteFile(file, []byte("server: {http: \"127.0.0.1:0\", publicURL: \"http://127.0.0.1\"}\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, usherBinary(t), command, "--config", file)
	cmd.Dir, cmd.Env = dir, environ(env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestAServerOnDynamoDB(t *testing.T) {
	t.Parallel()
	config, env := onDynamoDB(t)
	if said, err := usherWith(t, config, env, "serve"); err == nil || !strings.Contains(said, "usher migrate") {
		t.Errorf("without tables the server says, error %v:\n%s", err, said)
	}
	for range 2 {
		if said, err := usherWith(t, config, env, "migrate"); err != nil || !strings.Contains(said, "the store is as this version needs it") {
			t.Fatalf("migrate says, error %v:\n%s", err, said)
		}
	}

	p := newProvider(t)
	s := start(t, options{Config: trusting(p.entry()) + videoChat + config, Env: env})
	ann, ben := chatter{s, p.signIn(clientID, "ann", audience).ID}, chatter{s, p.signIn(clientID, "ben", audience).ID}
	const benUser = `{"userId":"ben","email":"ben@example.org","name":"User ben"}`
	ann.wantJSON(200, "GET", "/user", "", `{"userId":"ann","email":"ann@example.org","name":"User ann"}`)
	wantContacts(ann, ben, "ann", "ben", benUser)
	// What was acknowledged outlives the process and its data folder's database.
	s.Kill()
	s.Restart()
	ann.wantJSON(200, "GET", "/contacts", "", `[`+strings.TrimSuffix(benUser, "}")+`,"online":false}]`)
	if _, err := os.Stat(filepath.Join(s.Data, "usher.db")); err == nil {
		t.Error("there is a database in the data folder")
	}
}
