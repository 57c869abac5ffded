package e2e_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// peer is a program that a test talks to and ends.
type peer struct {
	t    testing.TB
	kill func()
}

// startPeer starts a program of the folder node and waits until it answers at
// the URL to the client.
func startPeer(t testing.TB, client *http.Client, dir, ready string, env []string, args ...string) *peer {
	t.Helper()
	cmd := exec.Command("node", args...)
	cmd.Dir, cmd.Env = dir, environ(env...)
	cmd.WaitDelay = 5 * time.Second
	var output bytes.Buffer // read when the process has ended
	cmd.Stdout, cmd.Stderr = &output, &output
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(done)
	}()
	p := &peer{t: t, kill: func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill() // it may have ended already
		<-done
	}}
	t.Cleanup(p.kill)

	ctx := within(t, startTime)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := client.Get(ready)
		if err == nil {
			_ = resp.Body.Close()
			return p
		}
		select {
		case <-tick.C:
		case <-done:
			t.Fatalf("node %q ended at its start\n%s", args, &output)
		case <-ctx.Done():
			p.kill()
			t.Fatalf("node %q did not answer at %s: %v\n%s", args, ready, err, &output)
		}
	}
}

// nodeDir is the folder of the npm packages, all of which must be there.
func nodeDir(t testing.TB, packages ...string) string {
	t.Helper()
	needs(t, "node")
	dir, err := filepath.Abs("node")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range packages {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", name)); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("the npm package %s is missing: scripts/test-deps installs it", name)
		}
		t.Skipf("the npm package %s is not installed, so that this can't be shown here; scripts/test-deps installs it", name)
	}
	return dir
}
