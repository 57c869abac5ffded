package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/client"
)

// roomService is the configuration of a server that is Room Service.
const roomService = "compat: {roomservice: {enabled: true}}\n"

// tenant is a back end whose users meet in rooms of Room Service.
type tenant struct {
	*Server
	id  usher.ID
	key string
}

// tenant registers a back end with a key.
func (s *Server) tenant() tenant {
	s.t.Helper()
	id, key := s.apiKey(usher.Scopes{usher.RoomServiceProvision})
	return tenant{s, id, key.Reveal()}
}

// pass is what a user enters a room with.
type pass struct {
	User      string `json:"user"`
	Token     string `json:"token"`
	Session   string `json:"session"`
	Resources []struct {
		ID         string `json:"id"`
		Object     string `json:"object"`
		Reference  string `json:"reference"`
		Permission string `json:"permission"`
		Room       string `json:"room"`
	} `json:"resources"`
}

// of returns the id and the permission of the first resource of a kind.
func (p pass) of(object string) (id, permission string) {
	for _, r := range p.Resources {
		if r.Object == object {
			return r.ID, r.Permission
		}
	}
	return "", ""
}

func (p pass) room() string     { id, _ := p.of("room"); return id }
func (p pass) document() string { id, _ := p.of("document"); return id }

// provision asks for a token; the permission is of the document.
func (x tenant) provision(user, room, permission string) pass {
	x.t.Helper()
	a := x.send(http.MethodPost, "/provision", fmt.Sprintf(
		`{"user":%q,"resources":[{"object":"document","reference":"default","permission":%q,"room":%q},{"object":"room","reference":%q,"permission":"join"}]}`,
		user, permission, room, room), "Bearer: "+x.key)
	if a.Status != http.StatusOK {
		x.t.Fatalf("provision: got %d: %s", a.Status, a.Body)
	}
	return x.passOf(a)
}

func (s *Server) passOf(a answer) pass {
	s.t.Helper()
	var p pass
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil {
		s.t.Fatalf("a pass: %v: %s", err, a.Body)
	}
	s.Secret(p.Token)
	return p
}

// send sends a request with that Authorization header over plain HTTP, which
// every configuration has.
func (s *Server) send(method, path, body, authorization string) answer {
	s.t.Helper()
	headers := append([]string{}, asJSON...)
	if authorization != "" {
		headers = append(headers, "Authorization", authorization)
	}
	a, err := send(s.Client, method, s.HTTP+path, body, headers...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", method, path, err, s.output.tail())
	}
	return a
}

// document reads the document of a pass.
func (s *Server) document(p pass) checkpoint {
	s.t.Helper()
	a := s.send(http.MethodGet, "/docs/"+p.document(), "", "Bearer: "+p.Token)
	var result struct {
		Type string
		Body checkpoint
	}
	if err := json.Unmarshal([]byte(a.Body), &result); err != nil || a.Status != http.StatusOK || result.Type != "result" {
		s.t.Fatalf("GET /docs: got %d: %v: %s", a.Status, err, a.Body)
	}
	return result.Body
}

// converged is what became of one seed.
type converged struct {
	Seed  int             `json:"seed"`
	Same  bool            `json:"same"`
	Items int             `json:"items"`
	Why   string          `json:"why"`
	Seen  json.RawMessage `json:"seen"`
}

// seeds is how many seeds are run; more are asked for by E2E_SEEDS, as `make
// converge` does.
func seeds(t *testing.T) int {
	text := os.Getenv("E2E_SEEDS")
	if text == "" {
		return 60
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("E2E_SEEDS: %v", err)
	}
	return n
}

func TestRoomServiceClientsThatLoseTheirConnectionsConverge(t *testing.T) {
	t.Parallel()
	s := start(t, options{Config: roomService + unlimited})
	x := s.tenant()
	clients := startDriver(t, "converge.mjs", "E2E_SERVER="+s.HTTP)
	const atOnceRun = 12
	queue := make(chan int)
	go func() {
		defer close(queue)
		for seed := range seeds(t) {
			queue <- seed
		}
	}()
	var wg sync.WaitGroup
	for range atOnceRun {
		wg.Go(func() {
			for seed := range queue {
				var got converged
				args := map[string]any{"key": x.key, "seed": seed, "changes": 80, "drops": 4}
				if err := clients.try("run", args, &got); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				} else if !got.Same || got.Items == 0 {
					t.Errorf("seed %d: %s, with %d items: %s", seed, got.Why, got.Items, got.Seen)
				}
			}
		})
	}
	wg.Wait()
}

func TestTheClientOfBackEndsReadsAndWrites(t *testing.T) {
	t.Parallel()
	s := start(t, options{Config: roomService})
	x := s.tenant()
	back := startDriver(t, "sdk.mjs")
	page := s.enter(x.provision("ann", "my room/1", "read_write"))
	args := map[string]any{
		"domain": s.HTTP, "key": x.key, "room": "my room/1", "values": map[string]any{"color": "red", "n": 7}, "items": []string{"one", "two"},
	}
	back.call("write", args, nil)
	heard := make(map[string]bool)
	for len(heard) < 4 {
		var f forward
		if err := json.Unmarshal(page.want("doc:fwd").Body, &f); err != nil {
			t.Fatal(err)
		}
		if f.From != "client:"+string(x.id) || f.Ack {
			t.Errorf("the page heard %+v, want news from the back end", f)
		}
		if name := string(f.Args[0]); name == `"mput"` || name == `"lins"` {
			heard[fmt.Sprintf("%s", f.Args)] = true
		}
	}
	if err := page.command("mput", "settings", "color", `"green"`); err != nil {
		t.Fatal(err)
	}
	page.acknowledged()
	var read map[string]any
	args["names"] = []string{"color", "n"}
	back.call("read", args, &read)
	if diff := cmp.Diff(map[string]any{"color": "green", "n": 7.0}, read); diff != "" {
		t.Errorf("the back end reads (-want +got):\n%s", diff)
	}
	got := s.document(page.pass)
	if want := []json.RawMessage{json.RawMessage(`"\"one\""`), json.RawMessage(`"\"two\""`)}; cmp.Diff(want, got.Lists["todos"].Values) != "" {
		t.Errorf("the list is %s", got.Lists["todos"].Values)
	}
	if _, made := got.Maps["todos"]; made {
		t.Error("a map was made for the list")
	}
	// A room that is there for nobody is made by its first use; one of another is not.
	args["room"] = "new"
	back.call("write", args, nil)
	args["key"] = s.tenant().key
	if err := back.try("write", args, nil); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("another back end writes the room: error %v, want 404", err)
	}
}

func TestATokenOpensItsRoomOnly(t *testing.T) {
	t.Parallel()
	s := start(t, options{Config: roomService})
	x := s.tenant()
	ann, bob := x.provision("ann", "one", "read_write"), x.provision("bob", "two", "read_write")
	for name, a := range map[string]answer{
		"the document of another room":   s.send(http.MethodGet, "/docs/"+bob.document(), "", "Bearer: "+ann.Token),
		"the presence of another room":   s.send(http.MethodGet, "/presence/"+bob.room(), "", "Bearer: "+ann.Token),
		"one key of another room":        s.send(http.MethodGet, "/presence/"+bob.room()+"/cursor", "", "Bearer: "+ann.Token),
		"a document without a token":     s.send(http.MethodGet, "/docs/"+ann.document(), "", ""),
		"a document with a forged token": s.send(http.MethodGet, "/docs/"+ann.document(), "", "Bearer: tok_forged"),
		"a document with an API key":     s.send(http.MethodGet, "/docs/"+ann.document(), "", "Bearer "+x.key),
		"the native API with a token":    s.send(http.MethodGet, "/api/v1/rooms", "", "Bearer "+ann.Token),
		"/provision with a token":        s.send(http.MethodPost, "/provision", `{"user":"eve","resources":[]}`, "Bearer "+ann.Token),
		"a back end's reading":           s.send(http.MethodGet, "/v1/sdk/rooms/one/document/checkpoint", "", "Bearer "+ann.Token),
	} {
		if a.Status != http.StatusUnauthorized && a.Status != http.StatusForbidden || strings.Contains(a.Body, `"maps"`) {
			t.Errorf("%s: got %d: %s", name, a.Status, a.Body)
		}
		if strings.HasPrefix(name, "a document") && json.Valid([]byte(a.Body)) {
			t.Errorf("%s: the refusal is JSON, which the client takes for a document: %s", name, a.Body)
		}
	}

	g := s.dialGuest()
	g.send("guest:authenticate", ann.Token)
	g.want("guest:authenticated")
	g.send("room:join", bob.room())
	g.want("error")
	if code := g.closed(); code != 4001 {
		t.Errorf("joining another room closed with %d, want 4001", code)
	}
	inside, others := s.enter(ann), s.enter(bob)
	for _, body := range []map[string]any{
		{"room": bob.room(), "args": []string{"mput", bob.document(), "m", "k", "1"}},
		{"room": ann.room(), "args": []string{"mput", bob.document(), "m", "k", "1"}},
		{"room": bob.room(), "args": []string{"mput", ann.document(), "m", "k", "1"}},
	} {
		inside.send("doc:cmd", body)
		inside.want("error")
	}
	inside.send("presence:cmd", map[string]any{"room": bob.room(), "key": "k", "value": "1", "expAt": time.Now().Unix() + 60})
	inside.want("error")
	if err := others.command("mput", "m", "k", "2"); err != nil {
		t.Fatal(err)
	}
	others.acknowledged()
	if got := s.document(bob).Maps["m"]["k"]; got != "2" {
		t.Errorf("the other room has %q, want 2", got)
	}
	if got := s.document(ann).Maps; len(got["m"]) != 0 {
		t.Errorf("the room has %v, want nothing", got)
	}
}

func TestWhoMayOnlyReadChangesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, options{Config: roomService})
	x := s.tenant()
	writer, reader := x.provision("ann", "demo", "read_write"), x.provision("rita", "demo", "read")
	if _, permission := reader.of("document"); permission != "read" {
		t.Errorf("the reader is told that it may %q", permission)
	}
	w, r := s.enter(writer), s.enter(reader)
	if err := r.command("mput", "m", "k", `"reader"`); err != nil {
		t.Fatal(err)
	}
	r.want("error")
	if code := r.closed(); code != 4005 {
		t.Errorf("the reader's connection was closed with %d, want 4005, so that it loads what is true", code)
	}
	// It still sees the others, and they it.
	r = s.enter(reader)
	if err := w.command("mput", "m", "k", `"writer"`); err != nil {
		t.Fatal(err)
	}
	w.acknowledged()
	r.want("doc:fwd")
	r.send("presence:cmd", map[string]any{"room": reader.room(), "key": "k", "value": "1", "expAt": time.Now().Unix() + 60})
	w.want("presence:fwd")
	if got := s.document(writer).Maps["m"]["k"]; got != `"writer"` {
		t.Errorf("the document has %s", got)
	}

	// Live downgrade: the connection comes back to less, and another time to more.
	permit := func(permission string) {
		t.Helper()
		a := s.send(http.MethodPost, "/roomservice/permission", fmt.Sprintf(`{"user":"ann","room":"demo","permission":%q}`, permission), "Bearer "+x.key)
		if a.Status != http.StatusNoContent {
			t.Fatalf("permission: got %d: %s", a.Status, a.Body)
		}
		if code := w.closed(); code != 4005 {
			t.Errorf("the connection was closed with %d, want 4005", code)
		}
		w = s.enter(writer)
	}
	permit("read")
	if err := w.command("mput", "m", "k", `"again"`); err != nil {
		t.Fatal(err)
	}
	w.want("error")
	w.closed()
	w = s.enter(writer)
	permit("read_write")
	if err := w.command("mput", "m", "k", `"at last"`); err != nil {
		t.Fatal(err)
	}
	w.acknowledged()
	if got := s.document(reader).Maps["m"]["k"]; got != `"at last"` {
		t.Errorf("the document has %s", got)
	}
}

// revoked is within what a connection whose session was taken away is closed.
const revoked = time.Second

func TestARevokedTokenIsPutOutAndStaysOut(t *testing.T) {
	t.Parallel()
	s := start(t, options{Config: roomService})
	x := s.tenant()
	for name, revoke := range map[string]func(p pass) answer{
		"by its token": func(p pass) answer {
			return s.send(http.MethodPost, "/roomservice/revoke", fmt.Sprintf(`{"token":%q}`, p.Token), "Bearer "+x.key)
		},
		"by its user": func(p pass) answer {
			return s.send(http.MethodPost, "/roomservice/revoke", fmt.Sprintf(`{"user":%q,"reason":"left the company"}`, p.User), "Bearer "+x.key)
		},
		"by its room": func(pass) answer {
			return s.send(http.MethodPost, "/roomservice/revoke", `{"room":"room by its room"}`, "Bearer "+x.key)
		},
		"by its user and room": func(p pass) answer {
			return s.send(http.MethodPost, "/roomservice/revoke", fmt.Sprintf(`{"user":%q,"room":"room by its user and room"}`, p.User), "Bearer "+x.key)
		},
		"by an operator": func(p pass) answer {
			if _, err := s.operator().Revoke(within(t, time.Minute), client.RevokeRequest{Grant: usher.ID(p.Session)}); err != nil {
				t.Error(err)
			}
			return answer{Status: http.StatusNoContent}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := x.provision("user "+name, "room "+name, "read_write")
			bystander := s.enter(x.provision("bystander", "elsewhere "+name, "read_write"))
			g := s.enter(p)
			began := time.Now()
			if a := revoke(p); a.Status != http.StatusNoContent {
				t.Fatalf("revoke: got %d: %s", a.Status, a.Body)
			}
			if code := g.closed(); code != 4001 {
				t.Errorf("closed with %d, want 4001", code)
			}
			t.Logf("closed after %v, of the %v that it may take", time.Since(began), revoked)
			g = s.dialGuest()
			g.send("guest:authenticate", p.Token)
			if code := g.closed(); code != 4001 {
				t.Errorf("coming back was closed with %d, want 4001", code)
			}
			if a := s.send(http.MethodGet, "/docs/"+p.document(), "", "Bearer: "+p.Token); a.Status != http.StatusUnauthorized {
				t.Errorf("the document: got %d", a.Status)
			}
			if err := bystander.command("mput", "m", "k", "1"); err != nil {
				t.Fatal(err)
			}
			bystander.acknowledged()
		})
	}
}
