package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"usher"
	"usher/client"
)

// canaries makes secrets that nobody would mistake for anything else, has every
// output of the server searched for them, and counts them.
type canaries struct {
	s *Server
	n atomic.Int64
	// spelled are all of them, in each spelling.
	spelled *secrets
}

// sing returns a secret of the form of ours. Its beginning is random, since it
// is by the beginning that secrets are found.
func (c *canaries) sing() string {
	secret := fmt.Sprintf("%012x-canary-%06d-", rand.Uint64()>>16, c.n.Add(1))
	secret += strings.Repeat("A", 43-len(secret))
	for _, spelling := range spellings(secret) {
		c.s.Secret(spelling)
		c.spelled.add(spelling)
	}
	return secret
}

// spellings are the ways in which a secret can be written and still be read.
func spellings(secret string) []string {
	return []string{
		secret, base64.StdEncoding.EncodeToString([]byte(secret)),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
	}
}

// carrier puts a secret somewhere into a request.
type carrier struct {
	name string
	put  func(r *http.Request, secret string)
}

// body is a carrier of a body of that type, in which %s is the secret.
func body(name, media, format string) carrier {
	return carrier{name, func(r *http.Request, secret string) {
		text := strings.ReplaceAll(format, "%s", secret)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		r.Header.Set("Content-Type", media)
	}}
}

func header(name, format string) carrier {
	return carrier{name + ": " + format, func(r *http.Request, secret string) {
		r.Header.Set(name, strings.ReplaceAll(format, "%s", secret))
	}}
}

func query(name string) carrier {
	return carrier{"?" + name, func(r *http.Request, secret string) { r.URL.RawQuery = url.Values{name: {secret}}.Encode() }}
}

// carriers are the places where a secret is sent, rightly or by mistake.
func carriers() []carrier {
	const asJSON, asForm = "application/json", "application/x-www-form-urlencoded"
	list := []carrier{
		header("Authorization", "Bearer %s"), header("Authorization", "Bearer usher_aaaaaaaaaaaaaaaaaaaaaaaaaa_%s"), header("Authorization", "Bearer e30.%s.x"),
		header("Authorization", "bearer  %s"), header("Authorization", "Basic %s"), header("Authorization", "%s"), header("Authorization", "Bearer %s %s"),
		header("Cookie", "session=%s"), header("X-Api-Key", "%s"), header("Proxy-Authorization", "Basic %s"), header("Idempotency-Key", "%s"),
		header("If-Match", `"%s"`), header("Referer", "https://rooms.example/#%s"), header("User-Agent", "app/%s"), header("X-Forwarded-For", "%s"),
		header("X-Request-Id", "%s"), header("Origin", "https://%s.example"), header("Usher-Act-As", "%s"), header("Content-Type", "%s"),
		query("token"), query("access_token"), query("code"), query("secret"), query("cursor"), query("limit"), query("status"),
		query("Auth"), query("ticket"),
		body("JSON that is cut", asJSON, `{"secret":"%s","code":"%s`),
		body("JSON of another type", asJSON, `{"secret":{"%s":1},"code":["%s"],"name":{"x":"%s"},"role":["%s"]}`),
		body("text", "text/plain", "%s"),
		body("a number", asJSON, `"%s"`),
		body("a form", asForm, "grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=%s&client_secret=%s"),
		body("a form with three parts", asForm, "grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=%s.%s.%s"),
		body("a password", asForm, "grant_type=password&username=x&password=%s&refresh_token=%s"),
		body("a private key", asJSON, `{"name":"k","public_key":"-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n"}`),
		body("a join", asJSON, `{"participant_id":"aaaaaaaaaaaaaaaaaaaaaaaaaa","participant_secret":"%s"}`),
		body("a redemption", asJSON, `{"code":"%s","name":"Guest"}`),
	}
	for _, field := range []string{"secret", "code", "token", "participant_secret", "api_key", "password", "identity", "cursor", "client"} {
		list = append(list, body("the field "+field, asJSON, `{"`+field+`":"%s"}`))
	}
	return list
}

// sweep sends a new secret in every carrier to every route and method, from each
// caller, and has every answer searched.
func (c *canaries) sweep(t *testing.T, routes [][2]string, fill *strings.Replacer, callers map[string]usher.Secret) {
	t.Helper()
	type job struct {
		method, path string
		carrier      carrier
		token        usher.Secret
	}
	var jobs []job
	for _, r := range routes {
		inPath := carrier{name: "the path"}
		for name, token := range callers {
			if r[1] == "/api/v1/keys/rotate" && name == "an operator" {
				continue // it takes a second each time, so that others learn of the key
			}
			for _, where := range append(carriers(), inPath) {
				jobs = append(jobs, job{r[0], r[1], where, token})
			}
		}
		for _, method := range []string{http.MethodPost, http.MethodPatch, http.MethodOptions, "BREW"} {
			jobs = append(jobs, job{method, r[1], carriers()[0], ""}, job{method, r[1], inPath, ""})
		}
	}
	var wg sync.WaitGroup
	next := make(chan job)
	for range 8 {
		wg.Go(func() {
			for j := range next {
				if err := c.send(j.method, j.path, fill, j.carrier, j.token); err != nil {
					t.Errorf("%s %s with %s: %v", j.method, j.path, j.carrier.name, err)
				}
			}
		})
	}
	for _, j := range jobs {
		next <- j
	}
	close(next)
	wg.Wait()
	t.Logf("%d requests", len(jobs))
}

func (c *canaries) send(method, path string, fill *strings.Replacer, where carrier, token usher.Secret) error {
	secret := c.sing()
	target := fill.Replace(path)
	if where.put == nil {
		target = wildcards.ReplaceAllString(path, secret)
		if target == path {
			target += "/" + secret
		}
	}
	req, err := http.NewRequest(method, c.s.HTTP+target, nil)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	if where.put != nil {
		where.put(req, secret)
	}
	resp, err := c.s.Client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer bytes.Buffer
	if err := resp.Header.Write(&answer); err != nil {
		return err
	}
	if _, err := answer.ReadFrom(resp.Body); err != nil {
		return err
	}
	if len(c.spelled.find(answer.Bytes())) > 0 {
		return fmt.Errorf("the answer with status %d repeats the secret: %s", resp.StatusCode, answer.Bytes())
	}
	return nil
}

var wildcards = regexp.MustCompile(`\{[^}]+\}`)

// foreignRoutes are those of the dialects and of operations.
func foreignRoutes() [][2]string {
	return [][2]string{
		{"POST", "/oauth/token"}, {"POST", "/v1/meetings"}, {"DELETE", "/v1/meetings/{room}"},
		{"POST", "/v1/meetings/{room}/participants"}, {"POST", "/v1/meetings/{room}/join"}, {"GET", "/v1/meetings/{room}/socket"},
		{"GET", "/api-address"}, {"POST", "/meetings"}, {"POST", "/meetings/{room}/participants"},
		{"GET", "/healthz"}, {"GET", "/readyz"}, {"GET", "/metrics"}, {"GET", "/.well-known/jwks.json"}, {"POST", "/dev/login"}, {"GET", "/nothing"},
		{"POST", "/provision"}, {"POST", "/roomservice/auth"}, {"POST", "/roomservice/revoke"}, {"POST", "/roomservice/permission"},
		{"GET", "/docs/doc_{room}"}, {"GET", "/presence/room_{room}"}, {"GET", "/ws"},
		{"GET", "/signal"}, {"GET", "/user"}, {"GET", "/contacts"}, {"POST", "/contacts"}, {"DELETE", "/contacts/{member}"},
		{"POST", "/v1/sdk/rooms"}, {"GET", "/v1/sdk/rooms/{room}/document/checkpoint"}, {"POST", "/v1/sdk/rooms/{room}/document/changes"},
	}
}

// sockets presents secrets on sockets, in messages that are wrong in every way.
func (c *canaries) sockets(t *testing.T, room string, h *held) {
	t.Helper()
	participant := h.unclaimed.Participant
	var wg sync.WaitGroup // at once, since the server gives each some time to go by itself
	for _, message := range []string{
		`{"type":"authenticate","id":"1","token":"%s","participant_id":"` + participant + `"}`,
		`{"type":"authenticate","id":"1","token":{"%s":1},"participant_id":"` + participant + `"}`,
		`{"type":"authenticate","id":"%s","token":"%s","participant_id":"%s"}`,
		`{"type":"%s","token":"%s"}`, `{"type":"authenticate","token":"%s`, `%s`,
	} {
		wg.Go(func() {
			secret := c.sing()
			conn, _, err := websocket.Dial(within(t, time.Minute), c.s.HTTP+"/v1/meetings/"+room+"/socket?token="+secret,
				&websocket.DialOptions{HTTPClient: c.s.socketClient(), Subprotocols: []string{secret}})
			if err != nil {
				return // refused for what is wrong with it
			}
			defer func() { _ = conn.CloseNow() }()
			_ = conn.Write(within(t, time.Minute), websocket.MessageText, []byte(strings.ReplaceAll(message, "%s", secret))) // what comes back counts
			for {
				_, data, err := conn.Read(within(t, time.Minute))
				if err != nil {
					if len(c.spelled.find([]byte(err.Error()))) > 0 {
						t.Errorf("the close frame repeats the secret: %v", err)
					}
					return
				}
				if !strings.Contains(message, `"id":"%s"`) && len(c.spelled.find(data)) > 0 { // an id is echoed
					t.Errorf("a message repeats the secret: %s", data)
				}
			}
		})
	}
	wg.Wait()
}

// signals presents secrets on /signal: in first messages that are wrong, and from
// somebody who is in, in everything that is not relayed.
func (c *canaries) signals(t *testing.T, room string, in, other usher.Secret) {
	t.Helper()
	var wg sync.WaitGroup
	for _, message := range []string{
		`{"action":"auth","payload":{"token":"%s"}}`, `{"action":"auth","payload":{"token":"e30.%s.x"}}`, `{"action":"auth","payload":{"ticket":"%s"}}`,
		`{"action":"auth","payload":{"token":["%s"]}}`, `{"action":"auth","payload":"%s"}`, `{"action":"auth","token":"%s"}`,
		`{"action":"resume","payload":{"token":"%s","seq":1}}`, `{"action":"resume","payload":{"token":"%s.1.%s"}}`,
		`{"action":"%s","payload":{"token":"%s"}}`, `{"action":"auth","%s":1,"payload":{"token":"%s"`, `%s`,
	} {
		wg.Go(func() {
			secret := c.sing()
			conn, _, err := websocket.Dial(within(t, time.Minute), c.s.HTTP+"/signal?Auth="+secret+"&ticket="+secret,
				&websocket.DialOptions{HTTPClient: c.s.socketClient(), Subprotocols: []string{"usher.v1", secret}})
			if err != nil {
				t.Errorf("%s: %v", message, err)
				return
			}
			defer func() { _ = conn.CloseNow() }()
			_ = conn.Write(within(t, time.Minute), websocket.MessageText, []byte(strings.ReplaceAll(message, "%s", secret))) // what comes back counts
			for {
				_, data, err := conn.Read(within(t, time.Minute))
				if err != nil {
					if code := websocket.CloseStatus(err); code < 4400 || len(c.spelled.find([]byte(err.Error()))) > 0 {
						t.Errorf("%s: the connection ends with %v", message, err)
					}
					return
				}
				if len(c.spelled.find(data)) > 0 {
					t.Errorf("a message repeats the secret: %s", data)
				}
			}
		})
	}
	wg.Wait()

	// Genuine ones: of a token, a ticket, a session and a place in a room.
	c.s.wantMutual(in, other)
	c.s.signal(in, client.SignalOptions{InURL: true})
	c.s.signal("", client.SignalOptions{InURL: true, Ticket: c.s.ticket(in)})
	dora, ben := c.s.signal(in, client.SignalOptions{}), c.s.signal(other, client.SignalOptions{})
	dora.ask(client.Message{Action: "auth", Payload: asPayload(t, map[string]string{"token": in.Reveal()})})
	_, token := dora.join(joining{Room: room})
	c.s.Secret(token)
	for _, m := range []client.Message{
		{Action: "auth", Payload: asPayload(t, map[string]string{"token": c.sing()})},
		{Action: "room.join", Payload: asPayload(t, joining{Room: c.sing()})},
		{Action: "room.join", Payload: asPayload(t, joining{Room: room, Participant: c.sing(), Secret: c.sing()})},
		{Action: "room.join", Payload: asPayload(t, joining{Room: room, Participant: room, Token: c.sing()})},
		{Action: "call." + c.sing()}, {Action: "room." + c.sing()},
		{Action: "call.reject", CallID: "not-there", Payload: asPayload(t, map[string]string{"reason": c.sing()})},
		{Action: "presence", Payload: asPayload(t, map[string]string{"status": c.sing()})},
		{Action: "sdp", To: c.sing()}, {Action: "sdp", To: "ben", ToConnection: c.sing()},
	} {
		_, err := dora.Request(within(t, time.Minute), m)
		if signalCode(err) == "" || len(c.spelled.find([]byte(err.Error()))) > 0 {
			t.Errorf("%.6s…: got the error %v, want a refusal without the secret", m.Action, err)
		}
	}
	// What two people tell each other is nobody's business either.
	dora.ask(client.Message{Action: "call.invite", To: "ben", CallID: "c1", Payload: asPayload(t, "ringing")})
	ben.ask(client.Message{Action: "call.accept", CallID: "c1", Payload: asPayload(t, c.sing())})
	dora.ask(client.Message{Action: "sdp", CallID: "c1", Payload: asPayload(t, c.sing())})
	ben.hear("sdp")
	dora.ask(client.Message{Action: "room.message", Room: usher.ID(room), Payload: asPayload(t, c.sing())})
	dora.ask(client.Message{Action: "call.hangup", CallID: "c1", Payload: asPayload(t, map[string]string{"note": c.sing()})})
	ben.hear("call.hangup")
}
