package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// signalConn is somebody's connection to /signal.
type signalConn struct {
	*client.Signal
	t testing.TB
}

// trySignal connects to /signal with a token.
func (s *Server) trySignal(token usher.Secret, o client.SignalOptions) (signalConn, error) {
	s.t.Helper()
	s.Secret(token.Reveal())
	conn, err := s.as(token).Signal(within(s.t, socketTime), o)
	if err != nil {
		return signalConn{}, err
	}
	s.Secret(conn.Hello().Resume.Token.Reveal())
	s.t.Cleanup(func() { _ = conn.Drop() })
	return signalConn{conn, s.t}, nil
}

// signal is trySignal for who must be let in.
func (s *Server) signal(token usher.Secret, o client.SignalOptions) signalConn {
	s.t.Helper()
	c, err := s.trySignal(token, o)
	if err != nil {
		s.t.Fatalf("connect to /signal: %v\n%s", err, s.output.tail())
	}
	return c
}

// ticket is a ticket for one connection.
func (s *Server) ticket(token usher.Secret) usher.Secret {
	s.t.Helper()
	ticket, err := s.as(token).Ticket(within(s.t, socketTime))
	if err != nil {
		s.t.Fatal(err)
	}
	return usher.Secret(s.Secret(ticket.Ticket.Reveal()))
}

// ask sends a message that must be taken.
func (c signalConn) ask(m client.Message) client.Message {
	c.t.Helper()
	answer, err := c.Request(within(c.t, socketTime), m)
	if err != nil {
		c.t.Fatalf("%s: %v", m.Action, err)
	}
	return answer
}

// refused sends a message that must not be taken, for that reason.
func (c signalConn) refused(code string, m client.Message) {
	c.t.Helper()
	_, err := c.Request(within(c.t, socketTime), m)
	if got := signalCode(err); got != code {
		c.t.Errorf("%s: got the error %v, want %s", m.Action, err, code)
	}
}

// hear returns the next message of that action.
func (c signalConn) hear(action string) client.Message {
	c.t.Helper()
	ctx := within(c.t, socketTime)
	for {
		m, err := c.Receive(ctx)
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", action, err)
		}
		if m.Action == action {
			return m
		}
	}
}

// closing reads until the server closes the socket and returns the code.
func (c signalConn) closing(patience time.Duration) int {
	c.t.Helper()
	ctx := within(c.t, patience)
	for {
		if _, err := c.Receive(ctx); err != nil {
			return closeCode(err)
		}
	}
}

// join enters a room and returns the participant and the token that opens its
// place again.
func (c signalConn) join(how joining) (id usher.ID, token string) {
	c.t.Helper()
	var joined struct {
		Participant usher.ID
		Token       string
	}
	if err := json.Unmarshal(c.ask(how.message(c.t)).Payload, &joined); err != nil {
		c.t.Fatal(err)
	}
	return joined.Participant, joined.Token
}

// joining is how a room is entered.
type joining struct {
	Room        string `json:"room"`
	Participant string `json:"participant,omitempty"`
	Secret      string `json:"secret,omitempty"`
	Token       string `json:"token,omitempty"`
}

func (j joining) message(t testing.TB) client.Message {
	t.Helper()
	return client.Message{Action: "room.join", Payload: asPayload(t, j)}
}

func asPayload(t testing.TB, value any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// signalCode returns the code of a refusal, or "" of any other error.
func signalCode(err error) string {
	if e, ok := errors.AsType[*client.SignalError](err); ok {
		return e.Code
	}
	return ""
}

// closeCode returns with which code a connection was closed, or 0.
func closeCode(err error) int {
	if e, ok := errors.AsType[*client.SignalClosed](err); ok {
		return e.Code
	}
	return 0
}

// metric returns the value of a metric without labels.
func (s *Server) metric(name string) int {
	s.t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(s.metrics())
	if m == nil {
		s.t.Fatalf("there is no metric %s", name)
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return int(n)
}

// until waits for something to be so.
func until(t testing.TB, what string, patience time.Duration, check func() bool) {
	t.Helper()
	ctx := within(t, patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !check() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// wantMutual lets two users of a server list each other.
func (s *Server) wantMutual(a, b usher.Secret) {
	s.t.Helper()
	for _, pair := range [][2]usher.Secret{{a, b}, {b, a}} {
		user, err := s.as(pair[1]).User(within(s.t, time.Minute))
		if err == nil {
			_, err = s.as(pair[0]).AddContact(within(s.t, time.Minute), client.AddContactRequest{User: user.Key})
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// online is what the contact list of a user says of its only contact.
func (s *Server) online(token usher.Secret) bool {
	s.t.Helper()
	contacts, err := s.as(token).Contacts(within(s.t, time.Minute))
	if err != nil || len(contacts) != 1 {
		s.t.Fatalf("the contacts are %+v, error %v; want one", contacts, err)
	}
	return contacts[0].Online
}

func TestAContactIsOnlineWhileItIsConnected(t *testing.T) { onEachStorage(t, testPresence) }

func testPresence(t *testing.T, on storage) {
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()), On: on})
	ann, ben := i.token("ann"), i.token("ben")
	s.wantMutual(ann, ben)
	if s.online(ann) {
		t.Error("ben is online and was never connected")
	}
	first, second := s.signal(ben, client.SignalOptions{}), s.signal(ben, client.SignalOptions{InURL: true})
	isOnline := func() bool { return s.online(ann) } // others are told a moment later
	until(t, "ben is connected and not online", socketTime, isOnline)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if !s.online(ann) {
		t.Error("ben is connected at another device and not online")
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "ben is still online", socketTime, func() bool { return !s.online(ann) })
	// A node that died has nobody on it once its lease is over.
	s.signal(ben, client.SignalOptions{})
	until(t, "ben is connected again and not online", socketTime, isOnline)
	s.Kill()
	s.Restart()
	until(t, "ben is still online", time.Minute, func() bool { return !s.online(ann) })
}

func TestACallRingsOnAfterAKill(t *testing.T) { onEachStorage(t, testCallOverAKill) }

func testCallOverAKill(t *testing.T, on storage) {
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()), On: on})
	annsToken, bensToken := i.token("ann"), i.token("ben")
	s.wantMutual(annsToken, bensToken)
	ann, ben := s.signal(annsToken, client.SignalOptions{}), s.signal(bensToken, client.SignalOptions{})
	payload := json.RawMessage(`{"media":{"audio":true}}`)
	ann.ask(client.Message{Action: "call.invite", To: "ben", CallID: "c1", Payload: payload})
	ben.hear("call.invite")
	s.Kill()
	s.Restart()

	if _, err := s.trySignal(bensToken, client.SignalOptions{Resume: ben.Hello().Resume.Token}); closeCode(err) != 4404 {
		t.Errorf("a session of the process that died: got %v, want it to be gone", err)
	}
	ann, ben = s.signal(annsToken, client.SignalOptions{}), s.signal(bensToken, client.SignalOptions{})
	if m := ben.hear("call.invite"); m.CallID != "c1" || m.From != "ann" || string(m.Payload) != string(payload) || m.Call.State != "ringing" {
		t.Errorf("after the restart ben hears %+v", m)
	}
	// Ann's client is another device now, and says so by inviting again.
	ann.ask(client.Message{Action: "call.invite", To: "ben", CallID: "c1", Payload: payload})
	ben.ask(client.Message{Action: "call.accept", CallID: "c1"})
	ann.hear("call.accept")
	offer := json.RawMessage(`{"description":{"type":"offer","sdp":"v=0"}}`)
	ann.ask(client.Message{Action: "sdp", CallID: "c1", Payload: offer})
	if m := ben.hear("sdp"); string(m.Payload) != string(offer) {
		t.Errorf("ben hears %s", m.Payload)
	}
	ann.ask(client.Message{Action: "call.connected", CallID: "c1"})

	// Nor does a restart end a call that was accepted.
	s.Kill()
	s.Restart()
	ann, ben = s.signal(annsToken, client.SignalOptions{}), s.signal(bensToken, client.SignalOptions{})
	ann.ask(client.Message{Action: "call.connected", CallID: "c1"})
	ben.ask(client.Message{Action: "call.connected", CallID: "c1"})
	ben.ask(client.Message{Action: "sdp", CallID: "c1", Payload: offer})
	ann.hear("sdp")
	ben.ask(client.Message{Action: "call.hangup", CallID: "c1"})
	if m := ann.hear("call.hangup"); m.CallID != "c1" || m.Call.Reason != "user_hangup" {
		t.Errorf("ann hears %+v", m)
	}
}

// Somebody who is removed holds a place of every kind.
func TestWhoIsRemovedHasNothingLeftOnTheSocket(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()) + unlimited})
	_, hostKey := s.apiKey(nil)
	host := s.as(hostKey)
	room, err := host.CreateRoom(within(t, time.Minute), client.CreateRoomRequest{Name: "meeting", Admission: usher.AdmitOpen})
	if err != nil {
		t.Fatal(err)
	}
	in := joining{Room: string(room.ID)}
	ann := s.signal(i.token("ann"), client.SignalOptions{})
	ann.join(in)

	bensToken := i.token("ben")
	invited, err := host.AddParticipant(within(t, time.Minute), string(room.ID), client.AddParticipantRequest{Name: "Somebody"})
	if err != nil {
		t.Fatal(err)
	}
	type out struct {
		who    string
		token  usher.Secret
		conn   signalConn
		id     usher.ID
		in     []joining
		banned bool
	}
	ben := out{who: "ben", banned: true, token: bensToken, conn: s.signal(bensToken, client.SignalOptions{}), in: []joining{in}}
	guestToken := i.token("carl")
	carl := out{who: "carl", token: guestToken, conn: s.signal(guestToken, client.SignalOptions{})}
	enter := func(o *out, how joining) {
		id, token := o.conn.join(how)
		o.id = id
		o.in = append(o.in, joining{Room: string(room.ID), Participant: string(id), Token: s.Secret(token)})
	}
	enter(&ben, in)
	bySecret := joining{Room: string(room.ID), Participant: string(invited.ID), Secret: s.Secret(invited.Secret.Reveal())}
	enter(&carl, bySecret)
	carl.in = append(carl.in, bySecret)

	text := func(text string) client.Message {
		return client.Message{Action: "room.message", Room: room.ID, Payload: asPayload(t, text)}
	}
	for _, o := range []out{ben, carl} {
		o.conn.ask(text("still here"))
		ann.hear("room.message")
		if o.banned { // or the open room would let him in as anybody
			if _, err := host.Ban(within(t, time.Minute), string(room.ID), client.BanRequest{Identity: i.user(o.who), Reason: "Enough."}); err != nil {
				t.Fatal(err)
			}
		} else if _, err := host.RemoveParticipant(within(t, time.Minute), string(room.ID), o.id, "Enough."); err != nil {
			t.Fatal(err)
		}
		if _, err := o.conn.Request(within(t, socketTime), text("after the removal")); err == nil {
			t.Errorf("%s: a message after the removal was taken", o.who)
		}
		if got := o.conn.closing(socketTime); got != 4406 {
			t.Errorf("%s: the socket was closed with %d, want 4406", o.who, got)
		}
	}
	wantGone := func(when string) {
		t.Helper()
		for _, o := range []out{ben, carl} {
			if _, err := s.trySignal(o.token, client.SignalOptions{Resume: o.conn.Hello().Resume.Token}); closeCode(err) != 4404 {
				t.Errorf("%s, %s: the session is resumed with the error %v, want 4404", when, o.who, err)
			}
			again := s.signal(o.token, client.SignalOptions{}) // it is only the room that is closed to it
			for _, how := range o.in {
				if m, err := again.Request(within(t, socketTime), how.message(t)); signalCode(err) == "" {
					t.Errorf("%s, %s: %+v is answered %+v and error %v, want a refusal", when, o.who, how, m, err)
				}
			}
			again.refused("not_in_room", text("from outside"))
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	wantGone("after the removal")
	dan := s.signal(i.token("dan"), client.SignalOptions{})
	dan.join(in)
	dan.ask(text("the next"))
	if m := ann.hear("room.message"); string(m.Payload) != `"the next"` {
		t.Errorf("after the removals ann hears %s", m.Payload)
	}
	s.Kill()
	s.Restart()
	wantGone("after the restart")
}

// wantCode is for errors of /signal that must be one of a code.
func wantCode(t *testing.T, what string, err error, code int) {
	t.Helper()
	if got := closeCode(err); got != code {
		t.Errorf("%s: got the error %v, want it closed with %d", what, err, code)
	}
}

// wantStatus is for upgrades that must be answered with a status.
func wantStatus(t *testing.T, what string, err error, status int) {
	t.Helper()
	if want := fmt.Sprintf("client: signal: the server answered %d ", status); err == nil || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
		t.Errorf("%s: got the error %v, want %d", what, err, status)
	}
}
