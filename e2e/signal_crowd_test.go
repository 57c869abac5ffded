package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws/wsutil"

	"usher"
	"usher/client"
)

// storm does something that must succeed for each of n, as fast as this machine
// can: that is, for a thousand at a time. It says no more than is of use if it
// does not.
func storm(t *testing.T, n int, do func(i int) error) {
	t.Helper()
	var next atomic.Int64
	err := atOnce(1000, func(int) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return nil
			}
			if err := do(i); err != nil {
				return err
			}
		}
	})
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		t.Fatalf("of %d, the first that failed: %s", n, first)
	}
}

func TestACrowdComesBackAfterARestartAndADropAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	// Each is a file here and one there, and a process may have 20,000.
	const crowd, users = 10_000, 250
	const patience = 2 * time.Minute
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()) + unlimited + "signaling: {resumeWindow: 5m, idle: 10m}\n"})
	tokens := make([]usher.Secret, users)
	for n := range tokens {
		tokens[n] = usher.Secret(s.Secret(i.token(fmt.Sprint("user", n)).Reveal()))
	}
	ctx := within(t, 10*time.Minute)
	all := make([]*idler, crowd)
	t.Cleanup(func() {
		for _, o := range all {
			if o != nil {
				_ = o.Close()
			}
		}
	})
	began := time.Now()
	counted := func(want int, what string) {
		t.Helper()
		until(t, what, patience, func() bool { return s.metric("usher_signaling_connections") == want })
		t.Logf("%6v: %d connections, with %d files and %d goroutines", time.Since(began).Round(100*time.Millisecond), want, s.openFiles(), s.metric("go_goroutines"))
	}
	come := func(n int) (err error) {
		all[n], err = s.insist(ctx, "auth", tokens[n%users])
		return err
	}
	storm(t, crowd, come)
	counted(crowd, "not all are counted")

	s.Terminate()
	storm(t, crowd, func(n int) error {
		if err := all[n].ending(); closeCode(err) != 1012 {
			return fmt.Errorf("at a restart a connection ended with %w, want 1012", err)
		}
		return nil
	})
	s.AwaitExit()
	s.Restart()
	// What the first connection of all makes is not theirs.
	if err := s.signal(tokens[0], client.SignalOptions{}).Close(); err != nil {
		t.Fatal(err)
	}
	counted(0, "the first one is still there")
	files, goroutines := s.openFiles(), s.metric("go_goroutines")
	storm(t, crowd, func(n int) error {
		// As the protocol has it: what the server forgot can't be resumed.
		if _, err := s.insist(ctx, "resume", all[n].hello.Resume.Token); closeCode(err) != 4404 {
			return fmt.Errorf("after a restart, resume ended with %v, want 4404", err)
		}
		return come(n)
	})
	counted(crowd, "not all are counted after the restart")

	storm(t, crowd, func(n int) error { return all[n].Close() })
	counted(0, "some are counted after they were lost")
	storm(t, crowd, func(n int) error {
		back, err := s.insist(ctx, "resume", all[n].hello.Resume.Token)
		if err != nil {
			return err
		}
		if before := all[n].hello.Connection; !back.hello.Resumed || back.hello.Connection != before {
			err = fmt.Errorf("%s came back as %s, resumed: %v", before, back.hello.Connection, back.hello.Resumed)
		}
		all[n] = back
		return err
	})
	counted(crowd, "not all are counted after the drop")

	storm(t, crowd, func(n int) error { return all[n].leave() })
	counted(0, "some are still counted")
	// What is kept open for a while are the files and goroutines of requests for metrics.
	const others = 25
	until(t, "files or goroutines are left behind", patience, func() bool {
		return s.openFiles() <= files+others && s.metric("go_goroutines") <= goroutines+others
	})
	t.Logf("%6v: files before and after: %d, %d; goroutines: %d, %d", time.Since(began).Round(100*time.Millisecond), files, s.openFiles(), goroutines, s.metric("go_goroutines"))
}

// reader is somebody in a room who reads all the time.
type reader struct {
	*idler
	joined chan struct{}
	news   chan string // what was said in the room
	end    error       // set when news is closed
}

// reader lets somebody enter a room. It is there once joined is closed.
func (s *Server) reader(ctx context.Context, token usher.Secret, room string) (*reader, error) {
	i, err := s.insist(ctx, "auth", token)
	if err != nil {
		return nil, err
	}
	r := &reader{idler: i, joined: make(chan struct{}), news: make(chan string, 1)}
	join, err := json.Marshal(client.Message{Action: "room.join", ID: "join", Payload: json.RawMessage(fmt.Sprintf(`{"room":%q}`, room))})
	if err == nil {
		err = wsutil.WriteClientText(i, join)
	}
	if err != nil {
		_ = i.Close()
		return nil, err
	}
	go r.read()
	return r, nil
}

func (r *reader) read() {
	defer close(r.news)
	for {
		text, err := r.next()
		if err != nil {
			r.end = err
			return
		}
		var m client.Message
		switch {
		case bytes.HasPrefix(text, []byte(`{"action":"room.roster"`)): // a long list, which is of no interest
		case json.Unmarshal(text, &m) != nil || m.Action == "error":
			r.end = fmt.Errorf("it was told %s", text)
			return
		case m.Action == "room.joined":
			close(r.joined)
		case m.Action == "room.message":
			r.news <- string(m.Payload)
		}
	}
}

func TestOneWhoNeverReadsIsPutOutAndAThousandHearEverything(t *testing.T) {
	t.Parallel()
	const readers = 1000
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()) + unlimited + "signaling: {relay: 100000/1s}\n"})
	room := s.openRoom()
	ctx := within(t, 5*time.Minute)
	all := make([]*reader, readers)
	tokens := make([]usher.Secret, readers)
	for n := range tokens {
		tokens[n] = usher.Secret(s.Secret(i.token(fmt.Sprint("reader", n)).Reveal()))
	}
	t.Cleanup(func() {
		for _, r := range all {
			if r != nil {
				_ = r.Close()
			}
		}
		for _, r := range all {
			if r != nil {
				for range r.news { // until it has ended
				}
			}
		}
	})
	began := time.Now()
	storm(t, readers, func(n int) (err error) {
		all[n], err = s.reader(ctx, tokens[n], room)
		return err
	})
	for n, r := range all {
		select {
		case <-r.joined:
		case <-r.news:
			t.Fatalf("reader %d did not come in: %v", n, r.end)
		case <-ctx.Done():
			t.Fatalf("reader %d did not come in in time", n)
		}
	}
	t.Logf("%v: %d are in the room", time.Since(began).Round(time.Millisecond), readers)
	in := joining{Room: room}
	sender := s.signal(i.token("sender"), client.SignalOptions{})
	sender.join(in)
	stuck, id := s.stuck(ctx, i.token("stuck"), in)

	// Everybody has heard one thing before the next is said, so that nobody
	// waits for the one who does not read.
	say := func(text string) {
		t.Helper()
		news := asPayload(t, text)
		if _, err := sender.Request(ctx, client.Message{Action: "room.message", Room: usher.ID(room), Payload: news}); err != nil {
			t.Fatal(err)
		}
		for n, r := range all {
			select {
			case got, ok := <-r.news:
				if !ok || got != string(news) {
					t.Fatalf("reader %d heard %q, want %s; error %v", n, got, news, r.end)
				}
			case <-ctx.Done():
				t.Fatalf("reader %d did not hear %s in time", n, news)
			}
		}
	}
	flood := asPayload(t, strings.Repeat("m", 64<<10))
	since := time.Now()
	var refused error
	for n := 0; refused == nil; n++ {
		if n == 10_000 {
			t.Fatal("who never reads was never put out")
		}
		if n%10 == 0 {
			say(fmt.Sprint("news ", n))
		}
		_, refused = sender.Request(ctx, client.Message{Action: "room.message", Room: usher.ID(room), To: string(id), Payload: flood})
	}
	if code := signalCode(refused); code != "unreachable" && code != "participant_not_found" {
		t.Errorf("the message that was too much was answered %v", refused)
	}
	// Who wakes up in time to hear why, does.
	var end error
	for end == nil {
		_, _, end = stuck.Read(ctx)
	}
	if code := websocket.CloseStatus(end); code != websocket.StatusTryAgainLater && time.Since(since) < 5*time.Second {
		t.Errorf("who never read was put out with %v, want 1013", end)
	}
	say("the last")
	t.Logf("%v: it was put out with %v", time.Since(began).Round(time.Millisecond), end)
}

// stuck enters a room and reads nothing any more.
func (s *Server) stuck(ctx context.Context, token usher.Secret, how joining) (*websocket.Conn, usher.ID) {
	s.t.Helper()
	conn, _, err := websocket.Dial(ctx, s.HTTP+"/signal?Auth="+s.Secret(token.Reveal()), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(-1)
	join := how.message(s.t)
	join.ID = "join"
	if err := conn.Write(ctx, websocket.MessageText, asPayload(s.t, join)); err != nil {
		s.t.Fatal(err)
	}
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		var joined struct {
			Ref     string
			Payload struct{ Participant usher.ID }
		}
		if err := json.Unmarshal(data, &joined); err != nil {
			s.t.Fatal(err)
		}
		if joined.Ref == "join" {
			return conn, joined.Payload.Participant
		}
	}
}
