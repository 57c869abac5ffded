package e2e_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// Claim 5: kill -9 leaves what the kernel already has, and so says nothing of a
// power cut. That every answer follows a sync of what it says is what the
// kernel itself is asked here.
func TestNoAnswerPrecedesItsSync(t *testing.T) {
	t.Parallel()
	needs(t, "strace")
	trace := filepath.Join(t.TempDir(), "trace")
	s := start(t, options{Under: []string{
		// With -D the server stays our child, and strace becomes the stranger.
		"strace", "-D", "-f", "-y", "-s", "64", "-o", trace, "-e", "trace=fsync,fdatasync,write,pwrite64,writev,sendto,sendmsg",
	}})
	const rooms = 10
	var requests int
	send := func(status int, method, path, body string) answer {
		t.Helper()
		a, err := send(s.Client, method, s.HTTP+path, body, asJSON...)
		if err != nil || a.Status != status {
			t.Fatalf("%s %s: got status %d and error %v: %s", method, path, a.Status, err, a.Body)
		}
		requests++
		return a
	}
	for range rooms {
		room := send(http.StatusCreated, http.MethodPost, "/api/v1/rooms", "{}").text(t, "id")
		a := send(http.StatusCreated, http.MethodPost, "/api/v1/rooms/"+room+"/participants", "{}")
		p := place{room, a.text(t, "id"), a.text(t, "secret")}
		send(http.StatusOK, http.MethodPost, "/v1/meetings/"+room+"/join", p.joinBody())
	}
	s.Stop()
	answers, unsynced := readTrace(string(readFile(t, trace)))
	if answers != requests {
		t.Errorf("the trace has %d answers, want %d", answers, requests)
	}
	for _, line := range unsynced {
		t.Errorf("an answer was sent before what it says was synced:\n%s", line)
	}
}

// readTrace counts the answers in a trace, and returns those that were begun
// although nothing had been written to the database's log and synced since the
// answer before. Requests must have come one at a time. It begins with the
// first answer that something was created.
func readTrace(trace string) (answers int, unsynced []string) {
	var written, synced bool
	begun := make(map[string]string) // by thread, calls that were not over when another thread's was noted
	for line := range strings.Lines(trace) {
		thread, call, _ := strings.Cut(strings.TrimSpace(line), " ")
		call = strings.TrimSpace(call)
		resumed := strings.HasPrefix(call, "<... ")
		if resumed {
			call = begun[thread] + call
		} else if head, found := strings.CutSuffix(call, "<unfinished ...>"); found {
			begun[thread] = head
		}
		toLog := strings.Contains(call, "usher.db-wal>")
		sync := strings.HasPrefix(call, "fsync(") || strings.HasPrefix(call, "fdatasync(")
		switch {
		case toLog && sync:
			// Only its end counts, and only where it worked.
			if written && strings.HasSuffix(call, "= 0") {
				synced = true
			}
		case toLog:
			written = true
		case !resumed && strings.Contains(call, "HTTP/1.1 20") && (answers > 0 || strings.Contains(call, "HTTP/1.1 201")):
			answers++
			if !synced {
				unsynced = append(unsynced, line)
			}
			written, synced = false, false
		}
	}
	return answers, unsynced
}
