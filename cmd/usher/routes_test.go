package main

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/config"
	"usher/internal/datadir"
	"usher/internal/httpd"
	"usher/internal/identity"
	"usher/internal/limit"
)

// openRoute is what a route answers that serves callers who are not known.
type openRoute struct {
	status int
	// media and body are what a caller would send who guesses.
	media, body string
}

// openRoutes is the closed list of the routes that do not ask who calls. A
// wrong secret finds nothing, and a wrong assertion is no good; the others tell
// what everybody may know. What a socket does is shown by itself.
func openRoutes(participant usher.ID) map[string]openRoute {
	const jsonType = "application/json"
	guess := strings.Repeat("A", 43)
	return map[string]openRoute{
		"POST /oauth/token": {400, "application/x-www-form-urlencoded", url.Values{
			"grant_type": {"client_credentials"}, "client_assertion": {"a.b.c"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		}.Encode()},
		"POST /api/v1/rooms/{room}/participants/{participant}/claim": {404, jsonType, `{"secret":"` + guess + `"}`},
		"POST /api/v1/invites/redeem":                                {404, jsonType, `{"code":"` + guess + `","name":"Guess"}`},
		"POST /v1/meetings/{meeting}/join":                           {404, jsonType, `{"participant_id":"` + string(participant) + `","participant_secret":"` + guess + `"}`},
		"GET /v1/meetings/{meeting}/socket":                          {status: 400},
		"GET /signal":                                                {status: 401},
		"GET /healthz":                                               {status: 200},
		"GET /readyz":                                                {status: 200},
		"GET /.well-known/jwks.json":                                 {status: 200},
		"GET /api-address":                                           {status: 200},
		"GET /api-address/{$}":                                       {status: 200},
		"GET /ping":                                                  {status: 200},
		"GET /ping/{$}":                                              {status: 200},
		"GET /presence/{room}":                                       {status: 401},
		"GET /presence/{room}/{key}":                                 {status: 401},
		"GET /docs/{document}":                                       {status: 401},
		"GET /ws":                                                    {status: 400},
		"GET /api/v1/web/config":                                     {status: 200},
		"GET /{$}":                                                   {status: 200},
		"GET /join":                                                  {status: 200},
		"GET /room/{room}":                                           {status: 200},
		"GET /signed-in":                                             {status: 200},
		"GET /console":                                               {status: 200},
		"GET /console/{page}":                                        {status: 200},
		"GET /console/{page}/{item}":                                 {status: 200},
		"GET /assets/{file}":                                         {status: 404},
	}
}

// nonsense are credentials that nobody was ever given.
func nonsense(client usher.ID) map[string][]string {
	encode := base64.RawURLEncoding.EncodeToString
	forged := encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(`{"iss":"https://usher.example","sub":"client:x"}`)) + "."
	return map[string][]string{
		"nothing":             nil,
		"nonsense":            {"Bearer nonsense"},
		"a key of that form":  {"Bearer usher_" + string(client) + "_" + strings.Repeat("A", 43)},
		"a token of a form":   {"Bearer " + forged},
		"a password":          {"Basic YWRtaW46YWRtaW4="},
		"an empty token":      {"Bearer "},
		"two of them":         {"Bearer nonsense", "Bearer nonsense"},
		"a token and no more": {"nonsense"},
	}
}

// outside is a server outside development mode with every dialect on, and one
// of each thing that a route can name.
type outside struct {
	*server
	cfg config.Config
	// named is what stands for the wildcards of patterns.
	named map[string]string
	room  usher.Room
	ann   usher.Identity
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	cfg := config.Default()
	cfg.Data = t.TempDir()
	cfg.Server.PublicURL = "https://usher.example"
	cfg.Limits = limit.Config{}
	enableAll(t, reflect.ValueOf(&cfg.Compat).Elem())
	dir, err := datadir.Open(cfg.Data)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(t.Context(), cfg, serverOptions{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.closeSockets(context.Background()), s.close(), dir.Close()); err != nil {
			t.Error(err)
		}
	})
	o := &outside{server: s, cfg: cfg}
	o.furnish(t)
	return o
}

// enableAll switches every dialect on, also one that comes later.
func enableAll(t *testing.T, compat reflect.Value) {
	t.Helper()
	for i := range compat.NumField() {
		if compat.Field(i).FieldByName("Listen").IsValid() {
			continue // it has a listener of its own, and what strangers meet there is for e2e
		}
		enabled := compat.Field(i).FieldByName("Enabled")
		if !enabled.IsValid() {
			t.Fatalf("the dialect %s can't be switched on", compat.Type().Field(i).Name)
		}
		enabled.SetBool(true)
	}
}

// furnish makes one of each thing.
func (o *outside) furnish(t *testing.T) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, id := t.Context(), identity.LocalOperator()
	room, err := o.access.CreateRoom(ctx, id, access.RoomSpec{}, "")
	must(err)
	invited, err := o.access.AddParticipant(ctx, id, string(room.ID), access.Place{}, "")
	must(err)
	member, err := o.access.PutMember(ctx, id, string(room.ID), usher.Member{Identity: "user:https://id.example#ann", Role: usher.Host})
	must(err)
	invite, err := o.access.CreateInvite(ctx, id, string(room.ID), access.InviteSpec{})
	must(err)
	ban, err := o.access.Ban(ctx, id, string(room.ID), access.BanSpec{Identity: "user:https://id.example#bob"})
	must(err)
	client, err := o.access.AddClient(ctx, id, access.ClientSpec{Name: "back end", APIKey: true}, "")
	must(err)
	keys, err := o.access.SigningKeys(ctx, id)
	must(err)
	ann := usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: "ann", Email: "ann@example.org"}
	bob := ann
	bob.Subject, bob.Email = "bob", "bob@example.org"
	user, err := o.access.User(ctx, bob)
	must(err)
	_, _, err = o.access.AddContact(ctx, ann, access.ContactSpec{Email: bob.Email})
	must(err)
	o.room, o.ann = room, ann
	o.named = map[string]string{
		"room": string(room.ID), "meeting": string(room.ID), "participant": string(invited.Participant.ID),
		"member": url.PathEscape(member.Identity), "invite": string(invite.ID), "ban": string(ban.ID),
		"client": string(client.ID), "decision": string(invited.Participant.Grant), "kid": string(keys[0].ID), "webhook": "app", "$": "",
		"channel": "lobby", "role": "publisher", "tokentype": "uid", "uid": "7", "rtmuid": "ann", "chatid": "ann",
		"user": url.PathEscape(user.Key), "contactId": "bob",
		"document": "doc_" + string(room.ID), "key": "cursor",
		"page": "rooms", "item": string(room.ID), "file": "none.js",
	}
}

// state is everything that a route could have changed.
func (o *outside) state(t *testing.T) map[string]any {
	t.Helper()
	ctx, id, room, page := t.Context(), identity.LocalOperator(), string(o.room.ID), access.Page{Limit: 100}
	state := make(map[string]any)
	note := func(what string, value any, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		state[what] = value
	}
	rooms, _, err := o.access.Rooms(ctx, id, access.RoomFilter{}, page)
	note("rooms", rooms, err)
	participants, _, err := o.access.Participants(ctx, id, room, access.ParticipantFilter{}, page)
	note("participants", participants, err)
	members, _, err := o.access.Members(ctx, id, room, "", 100)
	note("members", members, err)
	invites, _, err := o.access.Invites(ctx, id, room, page)
	note("invites", invites, err)
	takings, _, err := o.access.Revocations(ctx, id, 0, 100)
	note("takings", takings, err)
	clients, _, err := o.access.Clients(ctx, id, page)
	note("clients", clients, err)
	keys, err := o.access.SigningKeys(ctx, id)
	note("keys", keys, err)
	users, _, err := o.access.Users(ctx, id, "", "", 100)
	note("users", users, err)
	contacts, err := o.access.Contacts(ctx, o.ann)
	note("contacts", contacts, err)
	return state
}

var wildcard = regexp.MustCompile(`\{([^}]+)\}`)

// request fills in a route's pattern.
func (o *outside) request(t *testing.T, r httpd.Route, method, media, body string) *http.Request {
	t.Helper()
	path := wildcard.ReplaceAllStringFunc(r.Path(), func(w string) string {
		value, known := o.named[w[1:len(w)-1]]
		if !known {
			t.Fatalf("%s: this test does not know what %s names", r.Pattern, w)
		}
		return value
	})
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	return req
}

func TestOutsideDevelopmentNoRouteServesAStranger(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	open := openRoutes(usher.ID(o.named["participant"]))
	before := o.state(t)
	met := make(map[string]bool)
	requests := 0
	// What is published does not depend on the keys.
	for _, d := range o.dialects(o.cfg, nil, prometheus.NewRegistry()) {
		if d.Access == httpd.ToPublic {
			t.Errorf("the dialect %s is open to the public without having been told to be", d.Name)
		}
		for _, r := range d.Routes {
			want, isOpen := open[r.Pattern]
			met[r.Pattern] = true
			if isOpen != (r.Caller == httpd.Anyone) {
				t.Errorf("%s: is open to anyone, or should be: it is in only one of the lists", r.Pattern)
			}
			if !isOpen {
				want = openRoute{http.StatusUnauthorized, "application/json", "{}"}
			}
			methods := []string{r.Method()}
			if r.Method() == http.MethodGet {
				methods = append(methods, http.MethodHead)
			}
			for _, method := range methods {
				for name, values := range nonsense(usher.ID(o.named["client"])) {
					req := o.request(t, r, method, want.media, want.body)
					req.Header["Authorization"] = values
					w := httptest.NewRecorder()
					o.handler.ServeHTTP(w, req)
					requests++
					if w.Code != want.status {
						t.Errorf("%s with %s: got status %d, want %d: %s", r.Pattern, name, w.Code, want.status, w.Body)
					}
					if w.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
						t.Errorf("%s with %s: the refusal does not say how to authenticate", r.Pattern, name)
					}
				}
			}
		}
	}
	for pattern := range open {
		if !met[pattern] {
			t.Errorf("%s is in the list of open routes, and no dialect has it", pattern)
		}
	}
	t.Logf("figure: %d routes, %d requests of strangers", len(met), requests)
	if diff := cmp.Diff(before, o.state(t)); diff != "" {
		t.Errorf("strangers changed something (-before +after):\n%s", diff)
	}
}

func TestOutsideDevelopmentThereIsNoLogin(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	for _, method := range []string{http.MethodPost, http.MethodOptions, http.MethodGet} {
		w := httptest.NewRecorder()
		o.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/dev/login", strings.NewReader(`{"name":"x"}`)))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s /dev/login: got status %d, want 404", method, w.Code)
		}
	}
}

func TestASocketIsClosedToAStranger(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	server := httptest.NewServer(o.handler)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup // at once, since the server gives each some time to go by itself
	for name, header := range map[string]http.Header{"without a token": nil, "with a nonsense token": {"Authorization": {"Bearer nonsense"}}} {
		wg.Go(func() {
			conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(server.URL, "http")+"/v1/meetings/"+o.named["meeting"]+"/socket",
				&websocket.DialOptions{HTTPHeader: header})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			message := `{"type":"authenticate","id":"1","token":"` + strings.Repeat("A", 43) + `","participant_id":"` + o.named["participant"] + `"}`
			err = conn.Write(ctx, websocket.MessageText, []byte(message))
			for err == nil {
				_, _, err = conn.Read(ctx)
			}
			if code := websocket.CloseStatus(err); code != 4004 {
				t.Errorf("%s: the socket was closed with %d, want 4004: %v", name, code, err)
			}
		})
	}
	wg.Wait()
}
