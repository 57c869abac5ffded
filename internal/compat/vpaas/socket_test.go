package vpaas_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"usher/internal/compat/vpaas"
)

func refusal(ref, kind, message string) map[string]any {
	m := map[string]any{"type": "error", "error_type": kind, "error_message": message, "detail": map[string]any{}}
	if ref != "" {
		m["ref"] = ref
	}
	return m
}

const (
	mustAuthenticate = "The first message must authenticate."
	tokenInvalid     = "The token does not open a connection for this participant, or no longer does."
	noClaim          = "Invalid participant ID or secret"
)

func TestTheClaim(t *testing.T) {
	tests := map[string]func(t *testing.T, w *world, p place){
		"a claim is held by a lease until the connection is there": func(t *testing.T, w *world, p place) {
			token := w.claim(p)
			pass(lease - time.Second)
			w.want("a second claim within the lease", w.join(p), 404, noClaim)
			w.enter(p, token)
			pass(10 * lease)
			w.want("a second claim while the connection lives", w.join(p), 404, noClaim)
			if got := w.status(p); got != "joined" {
				t.Errorf("the participant is %s, want joined", got)
			}
		},
		"a claim whose connection never came can be made again": func(t *testing.T, w *world, p place) {
			before := w.claim(p)
			pass(lease)
			if got := w.status(p); got != "ready" {
				t.Errorf("the participant is %s, want ready", got)
			}
			after := w.claim(p)
			late := w.dial(p.meeting)
			late.send(authenticate(p, before))
			late.wantAnswer(refusal("342b271e", "authentication_failed", tokenInvalid))
			w.enter(p, after)
		},
		"after a loss the same token opens another connection": func(t *testing.T, w *world, p place) {
			token := w.claim(p)
			w.enter(p, token).lose()
			pass(grace - time.Second)
			w.enter(p, token)
			pass(2 * grace)
			if got := w.status(p); got != "joined" {
				t.Errorf("the participant is %s, want joined", got)
			}
		},
		"after a loss one rejoin succeeds and voids the earlier token": func(t *testing.T, w *world, p place) {
			before := w.claim(p)
			w.enter(p, before).lose()
			synctest.Wait()
			after := w.claim(p)
			w.want("a second rejoin", w.join(p), 404, noClaim)
			late := w.dial(p.meeting)
			late.send(authenticate(p, before))
			late.wantAnswer(refusal("342b271e", "authentication_failed", tokenInvalid))
			w.enter(p, after)
		},
		"after the grace the secret is used up": func(t *testing.T, w *world, p place) {
			stays := w.place(p.meeting) // or the meeting would end
			w.enter(stays, w.claim(stays))
			token := w.claim(p)
			w.enter(p, token).lose()
			pass(grace)
			w.want("a rejoin after the grace", w.join(p), 404, noClaim)
			if got := w.status(p); got != "left" {
				t.Errorf("the participant is %s, want left", got)
			}
			late := w.dial(p.meeting)
			late.send(authenticate(p, token))
			late.wantAnswer(refusal("342b271e", "authentication_failed", tokenInvalid))
		},
		"leaving uses the secret up": func(t *testing.T, w *world, p place) {
			w.enter(p, w.claim(p)).leave()
			synctest.Wait()
			if got := w.status(p); got != "left" {
				t.Errorf("the participant is %s, want left", got)
			}
			w.want("a join after leaving", w.join(p), 404, noClaim)
		},
		"the meeting ends when the last has left": func(t *testing.T, w *world, p place) {
			w.enter(p, w.claim(p)).leave()
			pass(grace + time.Second)
			if got := w.ok("GET", "/v1/meetings/"+p.meeting, "")["status"]; got != "ended" {
				t.Errorf("the meeting is %s, want ended", got)
			}
			w.want("a join after the end", w.join(p), 410, "Meeting is in the wrong state to be joined")
		},
		"a page that is left may come back": func(t *testing.T, w *world, p place) {
			token := w.claim(p)
			c := w.enter(p, token)
			_ = c.conn.Close(websocket.StatusGoingAway, "")
			synctest.Wait()
			if got := w.status(p); got != "joined" {
				t.Errorf("the participant is %s, want joined", got)
			}
			w.enter(p, token)
		},
		"a newer connection replaces the older one": func(t *testing.T, w *world, p place) {
			token := w.claim(p)
			older := w.enter(p, token)
			newer := w.enter(p, token)
			older.wantClosed(4003, "You have connected again elsewhere.")
			pass(2 * grace)
			newer.send(`{"type":"ping","id":"x"}`)
			newer.wantAnswer(map[string]any{"type": "pong", "ref": "x"})
		},
		"a removal closes for good, and holds": func(t *testing.T, w *world, p place) {
			token := w.claim(p)
			c := w.enter(p, token)
			w.ok("DELETE", p.path(), "")
			c.wantClosed(4001, "An Administrator disconnected you from the meeting")
			w.want("a join after the removal", w.join(p), 404, noClaim)
			back := w.dial(p.meeting)
			back.send(authenticate(p, token))
			back.wantAnswer(refusal("342b271e", "authentication_failed", tokenInvalid))
			if got := w.status(p); got != "removed" {
				t.Errorf("the participant is %s, want removed", got)
			}
		},
		"a removal tells its reason": func(t *testing.T, w *world, p place) {
			c := w.enter(p, w.claim(p))
			w.ok("DELETE", p.path(), `{"reason":"Überzogen"}`)
			c.wantClosed(4001, "Überzogen")
		},
		"a removal between claim and connection holds": func(t *testing.T, w *world, p place) {
			token := w.claim(p)
			w.ok("DELETE", p.path(), "")
			c := w.dial(p.meeting)
			c.send(authenticate(p, token))
			c.wantAnswer(refusal("342b271e", "authentication_failed", tokenInvalid))
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				test(t, w, w.place(w.meeting()))
			})
		})
	}
}

func TestAuthentication(t *testing.T) {
	for name, test := range map[string]struct {
		first   func(p, other place, token string) string
		ref     string
		message string
	}{
		"a wrong token":                   {func(p, _ place, _ string) string { return authenticate(p, "wrong") }, "342b271e", tokenInvalid},
		"an empty token":                  {func(p, _ place, _ string) string { return authenticate(p, "") }, "342b271e", tokenInvalid},
		"the secret in place of a token":  {func(p, _ place, _ string) string { return authenticate(p, p.secret) }, "342b271e", tokenInvalid},
		"another participant's token":     {func(_, other place, token string) string { return authenticate(other, token) }, "342b271e", tokenInvalid},
		"a participant that nobody knows": {func(p, _ place, token string) string { return authenticate(place{id: p.meeting}, token) }, "342b271e", tokenInvalid},
		"a participant that is no id":     {func(_, _ place, token string) string { return authenticate(place{id: "../x"}, token) }, "342b271e", "The token does not open a connection for this participant."},
		"no token": {func(p, _ place, _ string) string {
			return `{"type":"authenticate","participant_id":"` + p.id + `","id":"1"}`
		}, "1", mustAuthenticate},
		"an offer first":        {func(_, _ place, _ string) string { return `{"type":"media_offer","sdp":"v=0","id":"1"}` }, "1", mustAuthenticate},
		"a ping first":          {func(_, _ place, _ string) string { return `{"type":"ping"}` }, "", mustAuthenticate},
		"an unknown type first": {func(_, _ place, _ string) string { return `{"type":"x","id":"1"}` }, "1", mustAuthenticate},
		"no JSON first":         {func(_, _ place, _ string) string { return `{"type":"authenticate"` }, "", mustAuthenticate},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				meeting := w.meeting()
				p, other := w.place(meeting), w.place(meeting)
				token := w.claim(p)
				w.claim(other)
				c := w.dial(meeting)
				c.send(test.first(p, other, token))
				c.wantAnswer(refusal(test.ref, "authentication_failed", test.message))
				pass(3 * time.Second)
				c.send(authenticate(p, token)) // too late, and no reason to stay longer
				c.wantAnswer(refusal("342b271e", "authentication_failed", mustAuthenticate))
				pass(2*time.Second - time.Millisecond)
				select {
				case end := <-c.closed:
					t.Errorf("closed too early: %v", end)
				default:
				}
				pass(time.Millisecond)
				c.wantClosed(4004, test.message)
			})
		})
	}

	t.Run("nothing at all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			c := w.dial(w.meeting())
			pass(10*time.Second - time.Millisecond)
			select {
			case end := <-c.closed:
				t.Errorf("closed too early: %v", end)
			default:
			}
			pass(time.Millisecond)
			c.wantClosed(4004, "There was no authentication in time.")
		})
	})

	t.Run("the meeting of the address counts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			p := w.place(w.meeting())
			c := w.dial(w.meeting())
			c.send(authenticate(p, w.claim(p)))
			c.wantAnswer(refusal("342b271e", "authentication_failed", tokenInvalid))
		})
	})

	t.Run("a refused client that closes itself is gone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			c := w.dial(w.meeting())
			c.send(`{}`)
			c.answer()
			c.leave()
			pass(time.Minute)
		})
	})

	t.Run("a store that fails is not the client's fault", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			p := w.place(w.meeting())
			token := w.claim(p)
			c := w.dial(p.meeting)
			if err := w.db.Close(); err != nil {
				t.Fatal(err)
			}
			c.send(authenticate(p, token))
			c.wantAnswer(map[string]any{"type": "server_error", "ref": "342b271e", "error_message": "The server could not let you in; try again."})
			pass(5 * time.Second)
			c.wantClosed(1011, "internal error")
		})
	})
}

func TestAnAttachmentThatMayHaveBeenWrittenHoldsNoSeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.place(w.meeting())
		token := w.claim(p)
		c := w.dial(p.meeting)
		w.rooms.lose.Store(true)
		c.send(authenticate(p, token))
		if m := c.answer(); m["type"] != "server_error" {
			t.Errorf("got %v, want a server_error", m)
		}
		w.enter(p, token).lose() // it may try again
		pass(grace + time.Second)
		if got := w.status(p); got != "left" {
			t.Errorf("the participant is %s, want left", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.place(w.meeting())
		token := w.claim(p)
		c := w.dial(p.meeting)
		w.rooms.lose.Store(true)
		c.send(authenticate(p, token))
		pass(grace + time.Second)
		if got := w.status(p); got != "left" {
			t.Errorf("the participant that did not try again is %s, want left", got)
		}
	})
}

func TestMessages(t *testing.T) {
	w := newWorld(t, steadyRate())
	p := w.place(w.meeting())
	token := w.claim(p)
	c := w.enter(p, token)
	sdp := strings.Repeat("a=candidate\\r\\n", 17000) // more than the SDK ever sends
	for _, test := range []struct {
		name, message string
		want          map[string]any
	}{
		{"authenticate again", authenticate(p, token), success},
		{"authenticate with another token", authenticate(p, "other"), refusal("342b271e", "authentication_failed", "This connection is that of another participant, or was opened with another token.")},
		{"authenticate as another", authenticate(place{id: "x"}, token), refusal("342b271e", "authentication_failed", "This connection is that of another participant, or was opened with another token.")},
		{"an offer", `{"type":"media_offer","sdp":"v=0\r\n","id":"1"}`, refusal("1", "sdp_offer_processing", "Usher does not carry media for VPaaS meetings yet: the offer can't be answered.")},
		{"a large offer", `{"type":"media_offer","sdp":"` + sdp + `","id":"1"}`, refusal("1", "sdp_offer_processing", "Usher does not carry media for VPaaS meetings yet: the offer can't be answered.")},
		{"an offer of nothing", `{"type":"media_offer","id":"1"}`, refusal("1", "invalid_message", "The message media_offer needs sdp.")},
		{"a stream", `{"type":"request_stream","producer_id":"a","stream_id":"b","rid":"h","receive_mid":null,"id":"1"}`, refusal("1", "resource_unavailable", "There is no such stream: Usher does not carry media for VPaaS meetings yet.")},
		{"a stream of nobody", `{"type":"request_stream","stream_id":"b","id":"1"}`, refusal("1", "invalid_message", "The message request_stream needs producer_id and stream_id.")},
		{"a stream, with a number", `{"type":"request_stream","producer_id":"a","stream_id":"b","receive_mid":5,"id":"1"}`, refusal("1", "invalid_message", "The field receive_mid must be text.")},
		{"no stream", `{"type":"disconnect_stream","receive_mid":"6","id":"1"}`, refusal("1", "invalid_parameter", "No stream is received on that line.")},
		{"no stream on no line", `{"type":"disconnect_stream","receive_mid":null,"id":"1"}`, refusal("1", "invalid_message", "The message disconnect_stream needs receive_mid.")},
		{"a ping", `{"type":"ping","trace":{"traceparent":"x"}}`, map[string]any{"type": "pong"}},
		{"a candidate that is none", `{"type":"add_new_candidate"}`, refusal("", "invalid_message", "The message add_new_candidate needs candidate.")},
		{"a type of ours", `{"type":"roster_update","participants":{},"id":"1"}`, refusal("1", "unsupported_message", "Messages of this type are not understood here.")},
		{"no type", `{"id":"1"}`, refusal("1", "invalid_message", "The message has no type.")},
		{"a type that is no text", `{"id":"1","type":{}}`, refusal("1", "invalid_message", "The field type must be text.")},
		{"null", `null`, refusal("", "invalid_message", "The message has no type.")},
		{"a list", `[{"type":"ping"}]`, refusal("", "invalid_message", "A message must be a JSON object.")},
		{"text", `"ping"`, refusal("", "invalid_message", "A message must be a JSON object.")},
		{"no JSON", `{"type":"ping","id":"1"`, refusal("", "invalid_json", "The message is not valid JSON.")},
		{"nothing", ``, refusal("", "invalid_json", "The message is not valid JSON.")},
		{"an id of 64 characters", `{"type":"ping","id":"` + strings.Repeat("i", 64) + `"}`, map[string]any{"type": "pong", "ref": strings.Repeat("i", 64)}},
		{"an id that is too long", `{"type":"ping","id":"` + strings.Repeat("i", 65) + `"}`, map[string]any{"type": "pong"}},
		{"an id of other letters", `{"type":"ping","id":"é\u0000"}`, map[string]any{"type": "pong"}},
		{"an id that is a number", `{"type":"ping","id":7}`, refusal("", "invalid_message", "The field id must be text.")},
	} {
		c.send(test.message)
		t.Run(test.name, func(t *testing.T) { c.wantAnswer(test.want) })
	}

	c.send(`{"type":"add_new_candidate","candidate":"x","mid":"0","ufrag":"u","pwd":"p","id":"1"}`)
	c.send(`{"type":"pong","id":"2"}`)
	c.send(`{"type":"ping","id":"3"}`)
	c.wantAnswer(map[string]any{"type": "pong", "ref": "3"}) // and nothing to the two before

	c.send(`{"type":"media_offer","sdp":"` + strings.Repeat("x", 256<<10) + `"}`)
	c.wantClosed(1009, "a message may have 262144 bytes")
}

// steadyRate gives a service a clock by which every message comes a second
// after the one before.
func steadyRate() func(*vpaas.Config) {
	var mu sync.Mutex
	now := time.Now()
	return func(c *vpaas.Config) {
		c.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(time.Second)
			return now
		}
	}
}

func TestAFloodIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.place(w.meeting())
		token := w.claim(p)
		c := w.enter(p, token)
		for range 199 { // the first of the burst has authenticated
			c.send(`{"type":"pong"}`)
		}
		synctest.Wait()
		pass(time.Second)
		for range 100 {
			c.send(`{"type":"pong"}`)
		}
		c.send(`{"type":"ping"}`)
		c.wantClosed(1008, "too many messages")
		w.enter(p, token) // it was a loss, not a leave
	})
}

func TestRosters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		meeting := w.meeting()
		a, b := w.place(meeting), w.place(meeting)
		first := w.enter(a, w.claim(a))
		first.wantRoster(a)
		token := w.claim(b)
		second := w.enter(b, token)
		first.wantRoster(a, b)
		second.wantRoster(a, b)

		second.lose() // and may come back: nobody is told
		pass(time.Second)
		second = w.enter(b, token)
		second.wantRoster(a, b)

		second.leave()
		synctest.Wait()
		for {
			select {
			case m := <-first.heard:
				if len(m["participants"].(map[string]any)) == 1 {
					return
				}
			case <-time.After(patience):
				t.Fatal("the leaver is still on the roster")
			}
		}
	})
}
