package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// driver is a script of the folder node that does as it is told: see
// node/driver.mjs. Its calls may be made at the same time.
type driver struct {
	t      testing.TB
	script string

	mu      sync.Mutex
	stdin   io.Writer
	next    int
	waiting map[int]chan driven
	ended   chan struct{} // closed when nothing more will be answered
	stderr  lockedBuffer
}

// driven is an answer of a script.
type driven struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
}

// startDriver starts a script, which ends with the test.
func startDriver(t testing.TB, script string, env ...string) *driver {
	t.Helper()
	cmd := exec.Command("node", script)
	cmd.Dir, cmd.Env = nodeDir(t, "ws"), environ(env...)
	cmd.WaitDelay = 10 * time.Second
	d := &driver{t: t, script: script, waiting: make(map[int]chan driven), ended: make(chan struct{})}
	cmd.Stderr = &d.stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.stdin = stdin
	go d.read(stdout)
	t.Cleanup(func() {
		_ = stdin.Close() // the script ends by itself
		timer := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		<-d.ended
		_ = cmd.Wait() // it may have been killed
		if t.Failed() {
			t.Logf("node %s wrote:\n%s", script, d.stderr.String())
		}
	})
	return d
}

// read hands the answers to those who wait for them.
func (d *driver) read(stdout io.Reader) {
	defer close(d.ended)
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var a driven
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			continue // something that was printed
		}
		d.mu.Lock()
		c := d.waiting[a.ID]
		delete(d.waiting, a.ID)
		d.mu.Unlock()
		if c != nil {
			c <- a
		}
	}
}

// callTime is how long a call may take.
const callTime = 3 * time.Minute

// try makes a call and returns what the script says of it.
func (d *driver) try(call string, args, result any) error {
	encoded, err := json.Marshal(args)
	if err != nil {
		return err
	}
	answer := make(chan driven, 1)
	d.mu.Lock()
	d.next++
	line := fmt.Sprintf(`{"id":%d,"call":%q,"args":%s}`+"\n", d.next, call, encoded)
	d.waiting[d.next] = answer
	_, err = io.WriteString(d.stdin, line)
	d.mu.Unlock()
	if err != nil {
		return fmt.Errorf("node %s: %w", d.script, err)
	}
	ctx, cancel := context.WithTimeout(d.t.Context(), callTime)
	defer cancel()
	select {
	case a := <-answer:
		if a.Error != "" {
			return errors.New(a.Error)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(a.Result, result)
	case <-d.ended:
		return fmt.Errorf("node %s ended during the call %s", d.script, call)
	case <-ctx.Done():
		return fmt.Errorf("node %s: the call %s was not answered: %w", d.script, call, ctx.Err())
	}
}

// call makes a call that must succeed.
func (d *driver) call(call string, args, result any) {
	d.t.Helper()
	if err := d.try(call, args, result); err != nil {
		d.t.Fatalf("%s: %v", call, err)
	}
}

// lockedBuffer is written by one goroutine and read by another.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns what was written so far.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
