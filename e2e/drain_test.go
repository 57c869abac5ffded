package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// called is a call between two that goes on.
type called struct {
	id       string
	tokens   [2]usher.Secret
	ann, ben signalConn
	annUser  string
	benUser  string
}

// connected says again, from new devices, that the call goes on, and hands a
// message from one to the other.
func (c *called) connected() {
	for _, side := range []signalConn{c.ann, c.ben} {
		side.ask(client.Message{Action: "call.connected", CallID: c.id})
	}
	c.ben.ask(client.Message{Action: "sdp", CallID: c.id, Payload: json.RawMessage(`{"description":{"type":"offer","sdp":"v=0"}}`)})
	c.ann.hear("sdp")
}

// A server is told to stop with 1,000 sockets and ten calls: everybody is told
// another time to come back at, all come back, and every call goes on.
func TestADrainedServerIsFollowedWithoutAStampede(t *testing.T) {
	t.Parallel()
	const crowd, users, calls = 1000, 100, 10
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()) + unlimited})
	ctx := within(t, 5*time.Minute)
	tokens := make([]usher.Secret, users)
	for n := range tokens {
		tokens[n] = usher.Secret(s.Secret(i.token(fmt.Sprint("user", n)).Reveal()))
	}
	var going []*called
	for n := range calls {
		c := &called{id: fmt.Sprint("call-", n), annUser: fmt.Sprint("ann", n), benUser: fmt.Sprint("ben", n)}
		c.tokens = [2]usher.Secret{i.token(c.annUser), i.token(c.benUser)}
		for _, token := range c.tokens {
			s.Secret(token.Reveal())
		}
		s.wantMutual(c.tokens[0], c.tokens[1])
		c.ann, c.ben = s.signal(c.tokens[0], client.SignalOptions{}), s.signal(c.tokens[1], client.SignalOptions{})
		c.ann.ask(client.Message{Action: "call.invite", To: c.benUser, CallID: c.id, Payload: json.RawMessage(`{"media":{"audio":true}}`)})
		c.ben.hear("call.invite")
		c.ben.ask(client.Message{Action: "call.accept", CallID: c.id})
		c.ann.hear("call.accept")
		c.connected()
		going = append(going, c)
	}
	all := make([]*idler, crowd)
	storm(t, crowd, func(n int) (err error) {
		all[n], err = s.insist(ctx, "auth", tokens[n%users])
		return err
	})
	t.Cleanup(func() {
		for _, o := range all {
			_ = o.Close()
		}
	})

	s.Terminate()
	waits := make([]float64, crowd)
	storm(t, crowd, func(n int) (err error) {
		waits[n], err = all[n].sentAway()
		return err
	})
	for _, c := range going {
		for _, side := range []signalConn{c.ann, c.ben} {
			_, err := side.Receive(ctx)
			for err == nil {
				_, err = side.Receive(ctx)
			}
			end, ok := errors.AsType[*client.SignalClosed](err)
			if !ok || end.Code != 1012 || end.RetryAfter <= 0 {
				t.Fatalf("a caller's connection ended with %+v", err)
			}
			waits = append(waits, end.RetryAfter.Seconds())
		}
	}
	wantSpread(t, waits)
	s.AwaitExit()
	s.Restart()

	// They come back when they were told to, so that nobody has to wait for others.
	var back sync.WaitGroup
	failures := make(chan error, crowd)
	came := time.Now()
	for n := range all {
		back.Go(func() {
			timer := time.NewTimer(time.Duration(waits[n] * float64(time.Second)))
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			o, err := s.insist(ctx, "auth", tokens[n%users])
			if err != nil {
				failures <- err
				return
			}
			all[n] = o
		})
	}
	for _, c := range going {
		c.ann, c.ben = s.signal(c.tokens[0], client.SignalOptions{}), s.signal(c.tokens[1], client.SignalOptions{})
		c.connected()
	}
	back.Wait()
	t.Logf("all are back after %v", time.Since(came).Round(10*time.Millisecond))
	select {
	case err := <-failures:
		t.Fatalf("somebody did not come back: %v", err)
	default:
	}
	until(t, "not all are back", time.Minute, func() bool { return s.metric("usher_signaling_connections") == crowd+2*calls })
	for _, c := range going {
		c.connected() // after everybody's return, too
		c.ben.ask(client.Message{Action: "call.hangup", CallID: c.id})
		if m := c.ann.hear("call.hangup"); m.Call.Reason != "user_hangup" {
			t.Errorf("%s ended with %s", c.id, m.Call.Reason)
		}
	}
}

// sentAway reads until the connection is closed for a restart, and returns when
// it was told to come back.
func (i *idler) sentAway() (seconds float64, err error) {
	if err := i.SetReadDeadline(time.Now().Add(socketTime)); err != nil {
		return 0, err
	}
	for {
		text, err := i.next()
		if closeCode(err) == 1012 && seconds > 0 {
			return seconds, nil
		}
		if err != nil {
			return 0, fmt.Errorf("told to come back in %v s, it ended with %w", seconds, err)
		}
		var m struct {
			Action  string
			Payload client.SignalError
		}
		if err := json.Unmarshal(text, &m); err == nil && m.Action == "error" && m.Payload.Code == "restarting" {
			seconds = m.Payload.RetryAfter
		}
	}
}

// wantSpread wants times to be spread: none of ten parts of the whole has many
// more than its share, and no time has many.
func wantSpread(t *testing.T, waits []float64) {
	t.Helper()
	first, last := slices.Min(waits), slices.Max(waits)
	if first <= 0 || last > 15.5 || last-first < 1 {
		t.Errorf("they were told to come back in %v to %v s", first, last)
	}
	parts := make([]int, 10)
	same := make(map[float64]int)
	for _, w := range waits {
		parts[min(9, int(10*(w-first)/(last-first)))]++
		same[w]++
	}
	for part, n := range parts {
		if n > len(waits)/10+5 {
			t.Errorf("of %d, %d were told the part %d of 10: %d", len(waits), n, part, parts)
		}
	}
	for w, n := range same {
		if n > 2 {
			t.Errorf("%d were told to come back in %v s", n, w)
		}
	}
}

// A server that is told to stop is not ready at once, and serves on for a while.
func TestADrainedServerIsNotReadyAndServesOn(t *testing.T) {
	t.Parallel()
	s := start(t, options{Config: "server: {notice: 5m}\n"})
	mark := len(s.output.Bytes())
	s.Terminate()
	if err := s.output.await(within(t, time.Minute), "draining: not ready", mark); err != nil {
		t.Fatal(err)
	}
	if a := s.do(http.MethodGet, "/readyz", ""); a.Status != http.StatusServiceUnavailable {
		t.Errorf("/readyz answered %d", a.Status)
	}
	if a := s.do(http.MethodGet, "/healthz", ""); a.Status != http.StatusOK {
		t.Errorf("/healthz answered %d", a.Status)
	}
	if _, err := s.operator().CreateRoom(t.Context(), client.CreateRoomRequest{}); err != nil {
		t.Errorf("who comes is not served: %v", err)
	}
	s.Kill() // nobody waits for five minutes
}
