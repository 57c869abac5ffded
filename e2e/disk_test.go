package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"usher"
)

// Faults of a disk, as strace has the kernel answer a program.
const (
	// noRoom is a full disk; noRoomSoon lets each thread begin, so that writes end in the middle.
	noRoom     = "pwrite64,write,ftruncate,fallocate:error=ENOSPC"
	noRoomSoon = "pwrite64,write,ftruncate,fallocate:error=ENOSPC:when=3+"
	// noSync takes what is written, and does not say that it is on disk.
	noSync = "fdatasync,fsync:error=EIO"
)

// breakDisk has everything fail that the server does to its database in a way,
// until the function that it returns is called or the server is gone.
func (s *Server) breakDisk(fault string) (mend func()) {
	s.t.Helper()
	needs(s.t, "strace")
	args := []string{"-f", "-o", "/dev/null", "-p", strconv.Itoa(s.cmd.Process.Pid),
		"-e", "trace=pwrite64,write,ftruncate,fallocate,fdatasync,fsync", "-e", "inject=" + fault}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		args = append(args, "-P", filepath.Join(s.Data, "usher.db"+suffix))
	}
	said := newOutput()
	cmd := exec.Command("strace", args...)
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	mend = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended with the server
		_ = cmd.Wait()
	})
	s.t.Cleanup(mend)
	if err := said.await(within(s.t, 30*time.Second), "attached", 0); err != nil {
		s.t.Fatalf("strace: %v\n%s", err, said.tail())
	}
	return mend
}

// unready reports whether the server says that it can't write.
func (s *Server) unready() bool {
	return s.do(http.MethodGet, "/readyz", "").Status == http.StatusServiceUnavailable
}

// await waits until something is so.
func (s *Server) await(what string, is func() bool) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := within(s.t, 30*time.Second); !is(); {
		select {
		case <-tick.C:
		case <-limit.Done():
			s.t.Fatalf("waited in vain until %s\n%s", what, s.output.tail())
		}
	}
}

// scribe changes a document, one change after the other, and keeps what came of
// each.
type scribe struct {
	s             *Server
	pass          pass
	at            *guest // nil when the server has closed its connection
	made, refused []string
}

// change makes a change and reports whether it was acknowledged.
func (c *scribe) change() bool {
	t := c.s.t
	t.Helper()
	// The connection is closed after a change that was refused, to have the
	// document read again: then another is made.
	for range 2 {
		if c.at == nil {
			c.at = c.s.enter(c.pass)
		}
		key := fmt.Sprintf("k%d", len(c.made)+len(c.refused))
		made, err := c.at.try(key)
		switch {
		case err == nil && made:
			c.made = append(c.made, key)
			return true
		case err == nil:
			c.refused = append(c.refused, key)
			return false
		}
		c.at = nil
	}
	t.Fatalf("the connection is closed without an answer\n%s", c.s.output.tail())
	return false
}

// try sets a key and reports whether that was acknowledged or refused; the error
// is the connection's.
func (g *guest) try(key string) (made bool, err error) {
	g.t.Helper()
	if err := g.command("mput", "m", key, "1"); err != nil {
		return false, err
	}
	for {
		f, err := g.read()
		if err != nil {
			return false, err
		}
		var complaint struct{ Code string }
		var news forward
		switch {
		case f.Type == "error" && json.Unmarshal(f.Body, &complaint) == nil:
			if !strings.HasPrefix(complaint.Code, "storage_") {
				g.t.Errorf("a change was refused with %s", f.Body)
			}
			return false, nil
		case f.Type == "doc:fwd" && json.Unmarshal(f.Body, &news) == nil && news.Ack:
			return true, nil
		}
	}
}

// verify holds the document against what was acknowledged and refused.
func (c *scribe) verify() {
	t := c.s.t
	t.Helper()
	got := c.s.document(c.pass).Maps["m"]
	for _, key := range c.made {
		if got[key] != "1" {
			t.Errorf("the change %s was acknowledged and is not there", key)
		}
	}
	for _, key := range c.refused {
		if got[key] != "" {
			t.Errorf("the change %s was refused and is there", key)
		}
	}
}

// changes counts the changes that a connection hears of, until ctx ends.
func (g *guest) changes(ctx context.Context) func() int {
	var n atomic.Int64
	go func() {
		for {
			_, data, err := g.conn.Read(ctx)
			var f frame
			if err != nil || json.Unmarshal(data, &f) != nil {
				return
			}
			if f.Type == "doc:fwd" {
				n.Add(1)
			}
		}
	}()
	return func() int { return int(n.Load()) }
}

func TestAFullDiskIsRecoveredFromWithoutRepair(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	x := s.tenant()
	c := &scribe{s: s, pass: x.provision("ann", "demo", "read_write")}
	ctx := within(t, 3*time.Minute)
	heard := s.enter(x.provision("bob", "demo", "read")).changes(ctx)
	faults := []string{noRoom, noRoomSoon, noSync}
	room := s.room(`{"seats":1}`)
	rooms, places := census(t, s)
	l := s.loadUntil(ctx, "faults", 50, true)
	for i, fault := range faults {
		p := s.place(room)
		places[usher.ID(p.Participant)] = true
		a, err := s.join(p)
		if err != nil {
			t.Fatal(err)
		}
		seated := dialSeat(t, s, s.seat(p, a))
		seated.authenticate(t)
		mend := s.breakDisk(fault)
		s.await("it says that it can't write", s.unready)
		if i == 0 && !bytes.Contains(s.metrics(), []byte("usher_store_failing 1")) {
			t.Error("the metrics don't say that it can't write")
		}
		s.must(http.StatusOK, http.MethodGet, "/api/v1/rooms?limit=1", "")
		s.await("a change is refused", func() bool { return !c.change() })
		if err := seated.leave(); err != nil {
			t.Errorf("leave: %v", err)
		}
		mend()
		s.await("it can write again", func() bool { return !s.unready() })
		s.await("a change takes place", c.change)
		// Who left in between is found to have left.
		s.await("the seat is free", func() bool {
			a := s.do(http.MethodGet, "/api/v1/rooms/"+room, "")
			return a.Status == http.StatusOK && a.JSON(t)["taken"] == float64(0)
		})
		c.verify()
	}
	s.await("who only reads, and was never disconnected, has heard of every change", func() bool { return heard() == len(c.made) })
	if n := bytes.Count(s.output.Bytes(), []byte("can't be written")); n == 0 || n > len(faults) {
		t.Errorf("the log says %d times that the database can't be written, of %d", n, len(faults))
	}
	s.Stop()
	l.wait(ctx, t)
	wantSound(t, s)
	s.Restart()
	s.verifyLoad(ctx, l, rooms, places)
	s.wantRecorded(l)

	// Now it is killed while there is no room.
	l = s.loadUntil(ctx, "killed", 50, true)
	mend := s.breakDisk(noRoomSoon)
	s.await("it says that it can't write", s.unready)
	s.await("a change is refused", func() bool { return !c.change() })
	s.Kill()
	mend()
	l.wait(ctx, t)
	wantSound(t, s)
	s.Restart()
	s.verifyLoad(ctx, l, rooms, places)
	c.at = nil
	c.verify()
	gotRooms, gotPlaces := census(t, s)
	wantSame(t, "rooms", gotRooms, rooms)
	wantSame(t, "participants", gotPlaces, places)
	t.Logf("%d rooms, %d participants; %d changes of a document acknowledged and %d refused", len(rooms), len(places), len(c.made), len(c.refused))
}

// verifyLoad holds what is there against what was acknowledged, and adds what
// there must be.
func (s *Server) verifyLoad(ctx context.Context, l *load, rooms, places map[usher.ID]bool) {
	s.t.Helper()
	claims, err := l.verify(ctx, s)
	if err != nil {
		s.t.Error(err)
	}
	if claims == 0 {
		s.t.Error("no claim was acknowledged in all of the load")
	}
	for _, r := range l.recorders {
		for _, room := range r.rooms {
			rooms[room.id] = true
		}
		for _, p := range r.places {
			places[p.id] = true
		}
	}
}

// What was written and could not be synced lies in the database's log, whole.
func TestWhatWasRefusedForAFailedSyncDoesNotComeTrue(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	before, _ := census(t, s)
	mend := s.breakDisk(noSync)
	if a := s.do(http.MethodPost, "/api/v1/rooms", `{}`, asJSON...); a.Status != http.StatusServiceUnavailable || a.JSON(t)["code"] != "storage_unavailable" {
		t.Errorf("a room was made without a sync: %d %s", a.Status, a.Body)
	}
	s.Kill()
	mend()
	wantSound(t, s)
	s.Restart()
	after, _ := census(t, s)
	wantSame(t, "rooms", after, before)
}

func TestABackUpThatFindsNoRoomLeavesNothing(t *testing.T) {
	t.Parallel()
	needs(t, "strace")
	s := start(t, options{})
	s.room(`{}`)
	dir := t.TempDir()
	cmd := exec.Command("strace", "-f", "-o", "/dev/null", "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC",
		usherBinary(t), "backup", "--data", s.Data, filepath.Join(dir, "backup.tar"))
	cmd.Env = environ()
	said, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !bytes.Contains(said, []byte("is full")) {
		t.Errorf("it ended with %v, and says\n%s", err, said)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	s.must(http.StatusOK, http.MethodGet, "/readyz", "")
}
