package e2e_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// Claim 6: forged and confused messages on a socket.
func TestNoSocketIsEnteredByForce(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	room, other := s.room(`{}`), s.room(`{}`)
	victim := s.joined(s.place(room))
	elsewhere := s.joined(s.place(other))
	unclaimed := s.place(room)
	before := s.must(http.StatusOK, http.MethodGet, "/api/v1/rooms/"+room+"/participants", "").Body

	authenticate := func(token, participant string) string {
		return `{"type":"authenticate","id":"1","token":"` + token + `","participant_id":"` + participant + `"}`
	}
	var wg sync.WaitGroup // all at once, since the server gives each some time to go by itself
	const refused, binary, text, long = 4004, 1003, 1007, 1009
	for name, test := range map[string]struct {
		location string
		kind     websocket.MessageType
		message  string
		code     int
	}{
		"nothing that is JSON":               {victim.Location, websocket.MessageText, "hello", refused},
		"nothing that is text":               {victim.Location, websocket.MessageBinary, authenticate(victim.Token, victim.Participant), binary},
		"text that is none":                  {victim.Location, websocket.MessageText, "{\"type\":\"\xff\"}", text},
		"more than a message has":            {victim.Location, websocket.MessageText, strings.Repeat(" ", 1<<20), long},
		"an offer before anything else":      {victim.Location, websocket.MessageText, `{"type":"media_offer","sdp":"v=0"}`, refused},
		"a token that is none":               {victim.Location, websocket.MessageText, authenticate("", victim.Participant), refused},
		"a token of another form":            {victim.Location, websocket.MessageText, `{"type":"authenticate","token":{"$ne":""},"participant_id":"` + victim.Participant + `"}`, refused},
		"the secret instead of the token":    {victim.Location, websocket.MessageText, authenticate(victim.Secret, victim.Participant), refused},
		"a token for another participant":    {victim.Location, websocket.MessageText, authenticate(elsewhere.Token, victim.Participant), refused},
		"a participant of another room":      {victim.Location, websocket.MessageText, authenticate(elsewhere.Token, elsewhere.Participant), refused},
		"a participant that was not claimed": {victim.Location, websocket.MessageText, authenticate(unclaimed.Secret, unclaimed.Participant), refused},
		"the token in another room":          {elsewhere.Location, websocket.MessageText, authenticate(victim.Token, victim.Participant), refused},
		"a participant with a path":          {victim.Location, websocket.MessageText, authenticate(victim.Token, "../"+victim.Participant), refused},
	} {
		wg.Go(func() {
			c, err := dial(s, seat{Location: test.location})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			defer func() { _ = c.conn.CloseNow() }()
			if err := c.conn.Write(t.Context(), test.kind, []byte(test.message)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if code := c.untilClosed(); code != test.code {
				t.Errorf("%s: the socket was closed with %d, want %d", name, code, test.code)
			}
		})
	}
	wg.Wait()

	after := s.must(http.StatusOK, http.MethodGet, "/api/v1/rooms/"+room+"/participants", "").Body
	if after != before {
		t.Errorf("something has changed:\n%s\nbefore:\n%s", after, before)
	}
	// What was tried with a wrong token is still good with the right one.
	dialSeat(t, s, victim).authenticate(t)
}
