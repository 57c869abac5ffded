package api_test

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/client"
	"usher/internal/api"
	"usher/internal/limit"
)

var apiKey = regexp.MustCompile(`^usher_[a-z2-7]{26}_[A-Za-z0-9_-]{43}$`)

// refuses reports whether a token gets nothing but a 401.
func (s *server) refuses(token string) bool {
	_, err := s.as(token).Me(s.Context())
	e, ok := errors.AsType[*client.Error](err)
	return ok && e.Status == http.StatusUnauthorized
}

func TestAnAPIKeyIsToldOnceAndCallsUntilItIsReplaced(t *testing.T) {
	s := newServer(t)
	expires := client.Time{Time: s.clock().Add(time.Hour).Truncate(time.Microsecond)}
	added := must(s.as(operator).AddClient(t.Context(), client.AddClientRequest{Name: "shop", APIKey: true, ExpiresAt: expires}))(t)
	first := added.APIKey.Reveal()
	if !apiKey.MatchString(first) || !strings.Contains(first, string(added.ID)) {
		t.Fatalf("got the key %q", first)
	}
	if !added.HasAPIKey || added.PublicKey != "" || !added.ExpiresAt.Equal(expires.Time) {
		t.Errorf("added: got %+v", added.Client)
	}
	if diff := cmp.Diff(usher.DefaultScopes, added.Scopes); diff != "" {
		t.Errorf("scopes:\n%s", diff)
	}
	if me := must(s.as(first).Me(t.Context()))(t); me.Key != "client:"+string(added.ID) || me.Kind != usher.ClientIdentity || me.Operator {
		t.Errorf("me: got %+v", me)
	}
	if diff := cmp.Diff(added.Client, must(s.as(operator).Client(t.Context(), added.ID))(t)); diff != "" {
		t.Errorf("read again:\n%s", diff)
	}

	rotated := must(s.as(operator).RotateClient(t.Context(), added.ID, client.RotateClientRequest{PublicKey: publicKey(t), APIKey: true}))(t)
	second := rotated.APIKey.Reveal()
	if second == first || !apiKey.MatchString(second) || rotated.PublicKey == "" {
		t.Errorf("rotated: got %+v", rotated.Client)
	}
	if !s.refuses(first) || s.refuses(second) {
		t.Error("after the rotation the first key must be refused, and the second not")
	}
	s.pass(time.Hour)
	if !s.refuses(second) {
		t.Error("an expired client was served")
	}
	without := must(s.as(operator).RotateClient(t.Context(), added.ID, client.RotateClientRequest{PublicKey: publicKey(t)}))(t)
	if without.HasAPIKey || without.APIKey != "" {
		t.Errorf("an API key outlived a rotation that asked for none: %+v", without.Client)
	}
	for _, key := range []string{first, second} {
		if strings.Contains(s.log.String(), key[len(key)-43:]) {
			t.Error("the log has an API key in it")
		}
	}
}

func TestAClientNeedsAKey(t *testing.T) {
	s := newServer(t)
	for name, req := range map[string]client.AddClientRequest{
		"public_key": {Name: "shop"},
		"expires_at": {Name: "shop", APIKey: true, ExpiresAt: client.Time{Time: s.clock().Add(-time.Second)}},
	} {
		_, err := s.as(operator).AddClient(t.Context(), req)
		if e := problemOf(t, err); e.Code != "client_invalid" || len(e.Fields) != 1 || e.Fields[0].Field != name {
			t.Errorf("got %v, want a problem of %s", err, name)
		}
	}
}

func TestOneIdempotencyKeyMakesOneAPIKey(t *testing.T) {
	s := newServer(t)
	add := func(int) (client.KeyedClient, error) {
		return s.as(operator).AddClient(t.Context(), client.AddClientRequest{Name: "shop", APIKey: true}, client.IdempotencyKey("k"))
	}
	made := together(t, 20, add)
	for _, c := range made {
		if diff := cmp.Diff(made[0], c); diff != "" {
			t.Errorf("got two clients or keys:\n%s", diff)
		}
	}
	if s.refuses(made[0].APIKey.Reveal()) {
		t.Error("the key is refused")
	}
	must(s.as(operator).RotateClient(t.Context(), made[0].ID, client.RotateClientRequest{APIKey: true}))(t)
	if _, err := add(0); problemOf(t, err).Code != "api_key_replaced" {
		t.Errorf("after a rotation: got %v, want api_key_replaced", err)
	}
}

func TestTheRecordIsReadOnFromItsCursor(t *testing.T) {
	s := newRecordingServer(t)
	r := s.room(owner, client.CreateRoomRequest{Name: "lobby"})
	p := s.invite(owner, "lobby")
	must(s.as(nobody).Claim(t.Context(), r.ID, p.ID, p.Secret))(t)
	if _, err := s.enter(ann, "lobby", client.AddParticipantRequest{}); err == nil {
		t.Fatal("a stranger entered")
	}
	read := func(q client.EventQuery) (got []string, next string) {
		for {
			page := must(s.as(operator).EventPage(t.Context(), q))(t)
			for _, e := range page.Events {
				what := string(e.Type)
				if e.Decision != nil {
					what = e.Decision.Action + " by " + e.Who
				}
				got = append(got, what)
			}
			q.Cursor = page.NextCursor
			if !page.More {
				return got, q.Cursor
			}
		}
	}
	want := []string{"room.create by client:owner", "participant.add by client:owner", "claimed", "room.enter by " + annKey}
	all, next := read(client.EventQuery{PageQuery: client.PageQuery{Limit: 1}})
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("by ones:\n%s", diff)
	}
	for name, tt := range map[string]struct {
		q    client.EventQuery
		want []string
	}{
		"of a type": {client.EventQuery{Type: usher.Claimed}, want[2:3]},
		"of a room": {client.EventQuery{Room: r.ID}, want[1:]},
		"of a user": {client.EventQuery{Who: annKey}, want[3:]},
		"by a code": {client.EventQuery{Code: "not_member"}, want[3:]},
	} {
		if got, _ := read(tt.q); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
	must(s.as(owner).EndRoom(t.Context(), "lobby", ""))(t)
	later, _ := read(client.EventQuery{PageQuery: client.PageQuery{Cursor: next}})
	if len(later) == 0 || later[0] != "room.end by client:owner" {
		t.Errorf("what happened later: got %q", later)
	}
}

func TestKeysAreRotatedWithoutAFailedToken(t *testing.T) {
	s := newServer(t)
	signIn := func() string {
		got := s.send(request{method: "POST", path: "/dev/login", body: `{"name":"Ann","email":"Ann@Example.org"}`})
		var answer struct {
			Token string            `json:"token"`
			User  map[string]string `json:"user"`
		}
		got.decode(t, &answer)
		if u := answer.User; u["name"] != "Ann" || u["email"] != "ann@example.org" || u["key"] != "user:dev#"+u["id"] {
			t.Fatalf("user: got %v", u)
		}
		return answer.Token
	}
	before := must(s.as(operator).Keys(t.Context()))(t)
	old := signIn()
	if me := must(s.as(old).Me(t.Context()))(t); !me.Operator || me.Name != "Ann" {
		t.Errorf("me: got %+v", me)
	}
	current := must(s.as(operator).RotateKeys(t.Context()))(t)
	if before[0].State != "current" || before[1].State != "next" || current.ID != before[1].ID || current.State != "current" {
		t.Errorf("rotated %+v to %+v", before, current)
	}
	fresh := signIn()
	if s.refuses(old) || s.refuses(fresh) {
		t.Error("a token failed by a rotation")
	}
	if err := s.as(operator).RetireKey(t.Context(), before[0].ID); err != nil {
		t.Fatal(err)
	}
	if !s.refuses(old) || s.refuses(fresh) {
		t.Error("after the key was retired, what it signed must be refused, and nothing else")
	}
	for _, k := range must(s.as(operator).Keys(t.Context()))(t) {
		if k.ID == before[0].ID {
			t.Errorf("a retired key is still there: %+v", k)
		}
	}
}

func TestPagesOfConfiguredOriginsMayCall(t *testing.T) {
	s := newServer(t, func(set *settings) { set.api.Origins = []string{"https://app.example"} })
	for _, tt := range []struct{ path, origin, want string }{
		{"/api/v1/me", "https://app.example", "https://app.example"},
		{"/api/v1/me", "https://app.example.evil.example", ""},
		{"/api/v1/me", "http://localhost:5173", ""},
		{"/api/v1/me", "", ""},
		{"/dev/login", "http://localhost:5173", "http://localhost:5173"},
		{"/dev/login", "https://app.example", ""},
	} {
		for _, method := range []string{"OPTIONS", "GET"} {
			if tt.path == "/dev/login" && method == "GET" {
				method = "POST"
			}
			req := must(http.NewRequestWithContext(t.Context(), method, s.url+tt.path, nil))(t)
			req.Header.Set("Origin", tt.origin)
			resp := must(http.DefaultClient.Do(req))(t)
			_ = resp.Body.Close()
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != tt.want {
				t.Errorf("%s %s from %q: got %q, want %q", method, tt.path, tt.origin, got, tt.want)
			}
			if !slices.Contains(resp.Header.Values("Vary"), "Origin") || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s %s from %q: got %v", method, tt.path, tt.origin, resp.Header)
			}
		}
	}
}

func TestNobodySignsInOutsideDevelopment(t *testing.T) {
	s := newServer(t, func(set *settings) { set.api = api.Config{} })
	if got := s.send(request{method: "POST", path: "/dev/login", body: `{"name":"Ann"}`}); got.status != http.StatusNotFound || got.problem(t).Code != "route_not_found" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestWhoeverAsksTooOftenIsToldWhenToComeBack(t *testing.T) {
	one := limit.Rate{Count: 1, Per: time.Minute}
	s := newServer(t, func(set *settings) {
		set.access.Limits.Mint = one
		set.httpd.Limits = limit.Config{Open: one, Failed: one}
		set.httpd.Now = set.access.Now
	})
	for name, r := range map[string]request{
		"rooms are made":       {caller: owner, method: "POST", path: "/api/v1/rooms"},
		"an invite is guessed": {method: "POST", path: "/api/v1/invites/redeem", body: `{"code":"x","name":"Dora"}`},
		"a token is guessed":   {caller: "wrong", method: "GET", path: "/api/v1/me"},
	} {
		var last answer
		for range 3 {
			if last = s.send(r); last.status == http.StatusTooManyRequests {
				break
			}
		}
		if last.status != http.StatusTooManyRequests || last.header.Get("Retry-After") == "" {
			t.Errorf("%s: got %d with Retry-After %q: %s", name, last.status, last.header.Get("Retry-After"), last.body)
		}
	}
}
