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

// usherWith runs a command on a storage, and returns what it says.
func usherWith(t testing.TB, on storage, command string) (said string, err error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "usher.yaml")
	if err := os.WriteFile(file, []byte("server: {http: \"127.0.0.1:0\", publicURL: \"http://127.0.0.1\"}\n"+on.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, usherBinary(t), command, "--config", file)
	cmd.Dir, cmd.Env = dir, environ(on.Env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestAServerOnDynamoDBSaysThatItNeedsTables(t *testing.T) {
	t.Parallel()
	endpoint := newDynamo(t)
	if said, err := usherWith(t, onDynamo(endpoint), "serve"); err == nil || !strings.Contains(said, "usher migrate") {
		t.Errorf("without tables the server says, error %v:\n%s", err, said)
	}
	newTables(t, endpoint)
	s := start(t, options{Config: trusting(newIssuer(t).entry()), On: newTables(t, endpoint)})
	if _, err := os.Stat(filepath.Join(s.Data, "usher.db")); err == nil {
		t.Error("there is a database in the data folder")
	}
}
