package sqlstore_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"usher"
	"usher/internal/store"
	"usher/internal/store/sqlstore"
)

// childMode, if set, makes the test binary a process that only writes to the
// database at childPath and prints what was acknowledged.
const (
	childMode = "SQLSTORE_TEST_CHILD"
	childPath = "SQLSTORE_TEST_PATH"
)

func TestMain(m *testing.M) {
	mode := os.Getenv(childMode)
	if mode == "" {
		os.Exit(m.Run())
	}
	write := map[string]func(context.Context, *sqlstore.DB) error{"load": writeLoad, "steps": writeSteps, "documents": writeDocuments}[mode]
	db, err := sqlstore.Open(context.Background(), sqlstore.Config{Path: os.Getenv(childPath)})
	if err == nil {
		err = errors.Join(write(context.Background(), db), db.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child returns a command that runs the test binary as a child, after the
// words of before, if any.
func child(t *testing.T, mode, path string, before ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(before, self)
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), childMode+"="+mode, childPath+"="+path)
	return cmd
}

// writeLoad creates rooms and claims seats in them from several goroutines,
// without end. It prints each step once it is acknowledged: "room ID",
// "enter ROOM ID", "join ROOM ID", "leave ROOM ID".
func writeLoad(ctx context.Context, db *sqlstore.DB) error {
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() {
			for errs[i] == nil {
				errs[i] = writeRoom(ctx, db)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func writeRoom(ctx context.Context, db *sqlstore.DB) error {
	r := newRoom()
	if err := db.Rooms().Create(ctx, r); err != nil {
		return err
	}
	fmt.Println("room", r.ID)
	for i := range 12 {
		p := usher.Participant{App: r.App, Room: r.ID, ID: ids.New(), Status: usher.ParticipantReady, Version: 1}
		if _, err := db.Rooms().Enter(ctx, p, func(r usher.Room) (usher.Room, error) { return r, nil }); err != nil {
			return err
		}
		fmt.Println("enter", r.ID, p.ID)
		if err := move(ctx, db, p, usher.ParticipantJoined, 1); err != nil {
			return err
		}
		fmt.Println("join", r.ID, p.ID)
		if i > 0 {
			continue
		}
		if err := move(ctx, db, p, usher.ParticipantLeft, -1); err != nil {
			return err
		}
		fmt.Println("leave", r.ID, p.ID)
	}
	return nil
}

// move gives a participant another status and counts the seats with it.
func move(ctx context.Context, db *sqlstore.DB, p usher.Participant, to usher.ParticipantStatus, seats int) error {
	_, err := db.Rooms().Change(ctx, p.Key(), func(e store.Entry) (store.Entry, error) {
		e.Participant.Status = to
		e.Room.Taken += seats
		return e, nil
	})
	return err
}

func TestNothingAcknowledgedIsLostWhenKilled(t *testing.T) {
	const kills = 20
	path := filepath.Join(t.TempDir(), "usher.db")
	acknowledged := make(map[string]string) // the last step by room and participant
	for range kills {
		killLoad(t, path, 1+rand.IntN(250), acknowledged)
		integrityAfterKill(t, path, acknowledged)
	}
	t.Logf("%d records after %d kills", len(acknowledged), kills)
}

// killLoad runs the load until it printed n lines, and adds all that it had
// acknowledged.
func killLoad(t *testing.T, path string, n int, acknowledged map[string]string) {
	t.Helper()
	killAfter(t, "load", path, n, func(line string) bool {
		step, record, ok := strings.Cut(line, " ")
		acknowledged[record] = step
		return ok
	})
}

// killAfter runs a child until it printed n lines, and kills it at once. It
// calls note with every line, also with those that came after, which says whether
// it is one that can be.
func killAfter(t *testing.T, what, path string, n int, note func(line string) bool) {
	t.Helper()
	cmd := child(t, what, path)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	seen := 0
	for lines.Scan() {
		if !note(lines.Text()) {
			t.Fatalf("the child printed %q", lines.Text())
		}
		if seen++; seen == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || seen < n {
		t.Fatalf("the child ended by itself after %d lines with error %v:\n%s", seen, err, &stderr)
	}
}

func integrityAfterKill(t *testing.T, path string, acknowledged map[string]string) {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: path})
	if err != nil {
		t.Fatalf("reopen: %v", err)
	}
	all, err := db.Rooms().List(t.Context(), store.RoomQuery{App: usher.DefaultApp})
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]usher.ParticipantStatus)
	for _, r := range all {
		found[string(r.ID)] = ""
		ps, err := db.Rooms().Participants(t.Context(), store.ParticipantQuery{Room: r.Key()})
		if err != nil {
			t.Fatal(err)
		}
		joined := 0
		for _, p := range ps {
			found[string(p.Room)+" "+string(p.ID)] = p.Status
			if p.Seated() {
				joined++
			}
		}
		if joined != r.Taken {
			t.Errorf("room %s counts %d seats taken, and %d participants are joined", r.ID, r.Taken, joined)
		}
	}
	for record, step := range acknowledged {
		status, ok := found[record]
		lost := map[string]bool{
			"room":  false,
			"enter": status == "",
			"join":  status == usher.ParticipantReady,
			"leave": status != usher.ParticipantLeft,
		}[step]
		if !ok || lost {
			t.Errorf("%s %s was acknowledged; it is there: %v, with status %q", step, record, ok, status)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	integrity(t, path)
}

// steps is how many writes the traced child makes, one after the other.
const steps = 25

// writeSteps writes one room after the other, and says so before and after.
func writeSteps(ctx context.Context, db *sqlstore.DB) error {
	for i := range steps {
		r := newRoom()
		fmt.Printf("begin %d\n", i)
		if err := db.Rooms().Create(ctx, r); err != nil {
			return err
		}
		fmt.Printf("acknowledged %d\n", i)
	}
	return nil
}

var (
	traceLine = regexp.MustCompile(`^(\d+) +(.*)$`)
	traceSync = regexp.MustCompile(`^f(data)?sync\(\d+<[^>]*usher\.db-wal>`)
	traceStep = regexp.MustCompile(`^write\(1<[^>]*>, "(begin|acknowledged) (\d+)\\n"`)
)

// TestTheSyncComesBeforeTheAnswer reads from a trace of system calls that
// between the beginning of each write and its acknowledgement the log was
// synced, once a commit.
func TestTheSyncComesBeforeTheAnswer(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("strace is missing, which shows that writes are synced: install it")
		}
		t.Skip("strace is not installed, so that nothing can show here that writes are synced")
	}
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	cmd := child(t, "steps", filepath.Join(dir, "usher.db"),
		strace, "-f", "-y", "-e", "trace=fsync,fdatasync,write", "-o", trace)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("strace: %v\n%s", err, out)
	}
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	syncs := syncsPerStep(t, f)
	if len(syncs) != steps {
		t.Fatalf("the trace has %d steps, want %d", len(syncs), steps)
	}
	for i, n := range syncs {
		// The first write also syncs the head of the log.
		if n != 1 && (i > 0 || n < 1) {
			t.Errorf("step %d was acknowledged after %d syncs of the log, want 1", i, n)
		}
	}
}

// syncsPerStep counts the syncs of the log that began after a step began and
// succeeded before it was acknowledged.
func syncsPerStep(t *testing.T, trace io.Reader) []int {
	t.Helper()
	var syncs []int
	inStep := false
	pending := make(map[string]bool) // threads in a sync that began within the step
	lines := bufio.NewScanner(trace)
	for lines.Scan() {
		m := traceLine.FindStringSubmatch(lines.Text())
		if m == nil {
			t.Fatalf("the trace has the line %q", lines.Text())
		}
		thread, call := m[1], m[2]
		if step := traceStep.FindStringSubmatch(call); step != nil {
			if inStep = step[1] == "begin"; inStep {
				syncs = append(syncs, 0)
			}
			clear(pending)
			continue
		}
		began, resumed := traceSync.MatchString(call), strings.Contains(call, "sync resumed>")
		done := strings.HasSuffix(call, "= 0")
		if inStep && done && (began || resumed && pending[thread]) {
			syncs[len(syncs)-1]++
		}
		if began || resumed {
			pending[thread] = began && !done && inStep
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return syncs
}
