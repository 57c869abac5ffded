package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"usher"
	"usher/client"
)

// idler is a connection to /signal that does nothing but answer pings.
type idler struct {
	conn  *websocket.Conn
	hello client.Hello
}

// idle opens one with its first message.
func (s *Server) idle(ctx context.Context, c *http.Client, action string, proof usher.Secret) (idler, error) {
	conn, _, err := websocket.Dial(ctx, s.HTTP+"/signal", &websocket.DialOptions{HTTPClient: c, Subprotocols: []string{"usher.v1"}})
	if err != nil {
		return idler{}, err
	}
	first, err := json.Marshal(map[string]any{"action": action, "payload": map[string]string{"token": proof.Reveal()}})
	if err == nil {
		err = conn.Write(ctx, websocket.MessageText, first)
	}
	var m client.Message
	var data []byte
	if err == nil {
		_, data, err = conn.Read(ctx)
	}
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	i := idler{conn: conn}
	if err == nil {
		err = json.Unmarshal(m.Payload, &i.hello)
	}
	if err == nil && m.Action != "hello" {
		err = fmt.Errorf("greeted with %s", data)
	}
	if err != nil {
		_ = conn.CloseNow()
		return idler{}, err
	}
	conn.CloseRead(context.Background())
	return i, nil
}

// allAtOnce is atOnce for what must succeed, and says no more than is of use if
// it does not.
func allAtOnce(t *testing.T, n int, do func(i int) error) {
	t.Helper()
	if err := atOnce(n, do); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		t.Fatalf("of %d, the first that failed: %s", n, first)
	}
}

func TestACrowdComesGoesAndComesBackAtOnce(t *testing.T) {
	t.Parallel()
	const crowd, users = 2000, 100
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()) + unlimited + "signaling: {resumeWindow: 5m}\n"})
	tokens := make([]usher.Secret, users)
	for n := range tokens {
		tokens[n] = usher.Secret(s.Secret(i.token(fmt.Sprint("user", n)).Reveal()))
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := &http.Client{Transport: transport}
	ctx := within(t, 5*time.Minute)
	// What the first connection of all makes is not theirs.
	if err := s.signal(tokens[0], client.SignalOptions{}).Close(); err != nil {
		t.Fatal(err)
	}
	connections := func(n int) func() bool {
		return func() bool { return s.metric("usher_signaling_connections") == n }
	}
	until(t, "the first one is still there", socketTime, connections(0))
	files, goroutines := s.openFiles(), s.metric("go_goroutines")

	all := make([]idler, crowd)
	t.Cleanup(func() {
		for _, o := range all {
			if o.conn != nil {
				_ = o.conn.CloseNow()
			}
		}
	})
	began := time.Now()
	allAtOnce(t, crowd, func(n int) (err error) {
		all[n], err = s.idle(ctx, c, "auth", tokens[n%users])
		return err
	})
	until(t, "not all are counted", socketTime, connections(crowd))
	t.Logf("%d came within %v, with %d files and %d goroutines", crowd, time.Since(began), s.openFiles(), s.metric("go_goroutines"))

	allAtOnce(t, crowd, func(n int) error { return all[n].conn.CloseNow() })
	began = time.Now()
	allAtOnce(t, crowd, func(n int) error {
		back, err := s.idle(ctx, c, "resume", all[n].hello.Resume.Token)
		if err != nil {
			return err
		}
		if before := all[n].hello.Connection; !back.hello.Resumed || back.hello.Connection != before {
			err = fmt.Errorf("%s came back as %s, resumed: %v", before, back.hello.Connection, back.hello.Resumed)
		}
		all[n] = back
		return err
	})
	until(t, "not all are counted again", socketTime, connections(crowd))
	t.Logf("all came back within %v", time.Since(began))

	allAtOnce(t, crowd, func(n int) error { return all[n].conn.Close(websocket.StatusNormalClosure, "") })
	until(t, "some are still counted", socketTime, connections(0))
	// What is kept open for a while are the files and goroutines of requests for metrics.
	const others = 25
	var nowFiles, nowGoroutines int
	defer func() {
		t.Logf("files before and after: %d, %d; goroutines: %d, %d", files, nowFiles, goroutines, nowGoroutines)
	}()
	until(t, "files or goroutines are left behind", 2*time.Minute, func() bool {
		nowFiles, nowGoroutines = s.openFiles(), s.metric("go_goroutines")
		return nowFiles <= files+others && nowGoroutines <= goroutines+others
	})
}

func TestOneWhoNeverReadsIsPutOutAndSlowsNobody(t *testing.T) {
	t.Parallel()
	const readers = 100
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()) + unlimited + "signaling: {relay: 100000/1s}\n"})
	room := s.openRoom()
	in := joining{Room: room}
	sender := s.signal(i.token("sender"), client.SignalOptions{})
	sender.join(in)
	last := asPayload(t, "the last")
	heard := make([][]string, readers)
	errs := make([]error, readers)
	var wg sync.WaitGroup
	for n := range heard {
		r := s.signal(i.token(fmt.Sprint("reader", n)), client.SignalOptions{})
		r.join(in)
		ctx := within(t, 3*time.Minute)
		wg.Go(func() {
			for {
				m, err := r.Receive(ctx)
				if errs[n] = err; err != nil {
					return
				}
				if m.Action == "room.message" {
					if heard[n] = append(heard[n], string(m.Payload)); string(m.Payload) == string(last) {
						return
					}
				}
			}
		})
	}

	stuck, id := s.stuck(i.token("stuck"), in)
	flood := asPayload(t, strings.Repeat("m", 64<<10))
	var sent []string
	var refused error
	for n := 0; refused == nil; n++ {
		if n == 10_000 {
			t.Fatal("who never reads was never put out")
		}
		ctx := within(t, socketTime)
		if n%10 == 0 {
			news := asPayload(t, fmt.Sprint("news ", n))
			if err := sender.Send(ctx, client.Message{Action: "room.message", Room: usher.ID(room), Payload: news}); err != nil {
				t.Fatal(err)
			}
			sent = append(sent, string(news))
		}
		_, refused = sender.Request(ctx, client.Message{Action: "room.message", Room: usher.ID(room), To: string(id), Payload: flood})
	}
	since := time.Now()
	if code := signalCode(refused); code != "unreachable" && code != "participant_not_found" {
		t.Errorf("the message that was too much was answered %v", refused)
	}
	sender.ask(client.Message{Action: "room.message", Room: usher.ID(room), Payload: last})
	sent = append(sent, string(last))
	// Who wakes up in time to hear why, does.
	var end error
	for end == nil {
		_, _, end = stuck.Read(within(t, socketTime))
	}
	if code := websocket.CloseStatus(end); code != websocket.StatusTryAgainLater && time.Since(since) < 5*time.Second {
		t.Errorf("who never read was put out with %v, want 1013", end)
	}
	wg.Wait()
	for n := range heard {
		if errs[n] != nil || strings.Join(heard[n], "\n") != strings.Join(sent, "\n") {
			t.Errorf("reader %d heard %d messages of %d, or in another order, and error %v", n, len(heard[n]), len(sent), errs[n])
		}
	}
}

// stuck enters a room and reads nothing any more.
func (s *Server) stuck(token usher.Secret, how joining) (*websocket.Conn, usher.ID) {
	s.t.Helper()
	ctx := within(s.t, socketTime)
	conn, _, err := websocket.Dial(ctx, s.HTTP+"/signal?Auth="+s.Secret(token.Reveal()), &websocket.DialOptions{HTTPClient: s.socketClient()})
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
