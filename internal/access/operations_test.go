package access_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/figures"
	"usher/internal/health"
	"usher/internal/identity"
	"usher/internal/platform"
	"usher/internal/policy"
	"usher/internal/store"
)

// withOperations tells operators everything, of the metrics of that registry.
func withOperations(registry *prometheus.Registry) func(*access.Config) {
	return func(c *access.Config) {
		c.Metrics = registry
		c.Operations = access.Operations{
			Figures: figures.New(registry, time.Now), Health: health.New([]health.Check{{Kind: health.Store, Name: "sqlite"}}, time.Now),
			Settings: func() []access.Setting { return []access.Setting{{Key: "data"}} },
		}
	}
}

func TestOnlyOperatorsAreToldOfTheServer(t *testing.T) {
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{}, withOperations(prometheus.NewRegistry()))
	bare := newAccess(t, openStore(t), &bus.Local{})
	for name, look := range map[string]func(*access.Access, usher.Identity) error{
		"figures":  func(a *access.Access, id usher.Identity) error { _, err := a.Figures(t.Context(), id); return err },
		"health":   func(a *access.Access, id usher.Identity) error { _, err := a.Health(t.Context(), id); return err },
		"settings": func(a *access.Access, id usher.Identity) error { _, err := a.Settings(t.Context(), id); return err },
	} {
		if err := look(a, operator); err != nil {
			t.Errorf("%s for an operator: %v", name, err)
		}
		for _, id := range []usher.Identity{shop, user("ann")} {
			wantCode(t, name+" for "+id.Key(), look(a, id), "operators_only")
		}
		wantCode(t, name+" where there are none", look(bare, operator), "operations_unavailable")
	}
}

// Whoever looks at the console all day does not fill the record with that; who
// may not look is in it.
func TestLookingIsNotRecorded(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, withOperations(prometheus.NewRegistry()))
	stop := run(t, a)
	for range 3 {
		if _, err := a.Figures(t.Context(), operator); err != nil {
			t.Fatal(err)
		}
	}
	_, err := a.Figures(t.Context(), user("ann"))
	wantCode(t, "a user", err, "operators_only")
	stop()
	var got []string
	follow(t, a, access.EventQuery{Limit: 10}, func(e usher.Event) { got = append(got, e.Who+" "+e.Decision.Action) })
	if want := []string{user("ann").Key() + " " + string(policy.Watch)}; !slices.Equal(got, want) {
		t.Errorf("the record has %q, want %q", got, want)
	}
}

func TestWhoIsConnectedIsCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	a := newAccess(t, openStore(t), &bus.Local{}, withOperations(registry))
	count := func(when string, rooms, participants, connections int) {
		t.Helper()
		// Not the series of the server, which looks once in a while.
		h, err := figures.New(registry, time.Now).History()
		if err != nil {
			t.Fatal(err)
		}
		if s := h.Samples[0]; s.Rooms != rooms || s.Participants != participants || s.Connections != connections {
			t.Errorf("%s: got %d rooms, %d participants, %d connections; want %d, %d and %d",
				when, s.Rooms, s.Participants, s.Connections, rooms, participants, connections)
		}
	}
	count("at first", 0, 0, 0)
	one, two := newRoom(t, a), newRoom(t, a)
	ann := claimed(t, a, one, "Ann")
	at, _ := attach(t, a, ann)
	attach(t, a, claimed(t, a, one, "Ben"))
	attach(t, a, claimed(t, a, two, "Cyd"))
	count("with three", 2, 3, 3)
	at.LeaveNow()
	count("when one has left", 2, 2, 2)
}

func TestSearchingRoomsAndParticipants(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	var made []usher.Room
	for i := range 7 {
		r, err := a.CreateRoom(t.Context(), shop, access.RoomSpec{Name: fmt.Sprint("Room ", i)}, "")
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, r)
	}
	rooms := func(f access.RoomFilter, limit int) (names []string) {
		for page := (access.Page{Limit: limit}); ; {
			got, next, err := a.Rooms(t.Context(), operator, f, page)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) > limit {
				t.Fatalf("a page has %d rooms, more than %d", len(got), limit)
			}
			for _, r := range got {
				names = append(names, r.Name)
			}
			if page.After = next; next == "" {
				return names
			}
		}
	}
	for name, tt := range map[string]struct {
		filter access.RoomFilter
		want   []string
	}{
		"part of a name":          {access.RoomFilter{Search: "room"}, []string{"Room 0", "Room 1", "Room 2", "Room 3", "Room 4", "Room 5", "Room 6"}},
		"a name":                  {access.RoomFilter{Search: "ROOM 3"}, []string{"Room 3"}},
		"an id":                   {access.RoomFilter{Search: string(made[2].ID)}, []string{"Room 2"}},
		"a name of another state": {access.RoomFilter{Search: "room 3", Status: usher.RoomEnded}, nil},
		"what nobody has":         {access.RoomFilter{Search: "xyzzy"}, nil},
	} {
		for _, limit := range []int{1, 3, 100} {
			if got := rooms(tt.filter, limit); !slices.Equal(got, tt.want) {
				t.Errorf("%s, by %d: got %q, want %q", name, limit, got, tt.want)
			}
		}
	}

	for _, name := range []string{"Ann", "Anna", "Ben"} {
		claimed(t, a, made[0], name)
	}
	for search, want := range map[string]int{"ann": 2, "ben": 1, "speaker": 3, "xyzzy": 0} {
		got, next, err := a.Participants(t.Context(), operator, string(made[0].ID), access.ParticipantFilter{Search: search}, access.Page{Limit: 10})
		if err != nil || len(got) != want || next != "" {
			t.Errorf("participants with %q: got %d, %q, %v; want %d", search, len(got), next, err, want)
		}
	}
	joined, _, err := a.Participants(t.Context(), operator, string(made[0].ID), access.ParticipantFilter{Status: usher.ParticipantLeft}, access.Page{Limit: 10})
	if err != nil || len(joined) != 0 {
		t.Errorf("who has left: got %d, %v", len(joined), err)
	}
}

// manyRooms is a store with more rooms than anybody wants to make in a test. The
// last is the needle.
type manyRooms struct {
	store.DB
	list []usher.Room
}

func newManyRooms(db store.DB, n int) *manyRooms {
	ids, m := usher.SystemIDs(), &manyRooms{DB: db}
	for i := range n {
		m.list = append(m.list, usher.Room{App: usher.DefaultApp, ID: ids.New(), Name: fmt.Sprint("room ", i), Status: usher.RoomReady})
	}
	m.list[n-1].Name = "needle"
	return m
}

func (m *manyRooms) Rooms() store.Rooms { return listedRooms{m.DB.Rooms(), m} }

type listedRooms struct {
	store.Rooms
	all *manyRooms
}

func (l listedRooms) List(_ context.Context, q store.RoomQuery) ([]usher.Room, error) {
	from := slices.IndexFunc(l.all.list, func(r usher.Room) bool { return r.ID == q.After }) + 1
	return l.all.list[from:min(from+q.Limit, len(l.all.list))], nil
}

// A search among many looks at a bounded number at a time, and says where to go on.
func TestASearchAmongManyGoesOn(t *testing.T) {
	a := newAccess(t, newManyRooms(openStore(t), 5200), &bus.Local{})
	found, next, err := a.Rooms(t.Context(), operator, access.RoomFilter{Search: "needle"}, access.Page{Limit: 10})
	if err != nil || len(found) != 0 || next == "" {
		t.Fatalf("got %d rooms, %q, %v; want none yet, and where to go on", len(found), next, err)
	}
	found, next, err = a.Rooms(t.Context(), operator, access.RoomFilter{Search: "needle"}, access.Page{After: next, Limit: 10})
	if err != nil || len(found) != 1 || next != "" {
		t.Errorf("got %d rooms, %q, %v; want the needle, and the end", len(found), next, err)
	}
}

// proofs knows two tokens, and what is wrong with a third.
type proofs struct{}

func (proofs) Authenticate(_ context.Context, p identity.Proof) (usher.Identity, error) {
	switch token := p.Bearer.Reveal(); {
	case token == jwt(`{"alg":"EdDSA","typ":"at+jwt","kid":"k1"}`, `{"sub":"ann","iat":1700000000,"exp":1700003600}`), token == "key":
		id := user("ann")
		id.IssuedAt, id.Expires = time.Unix(1700000000, 0), time.Unix(1700003600, 0)
		return id, nil
	case strings.HasSuffix(token, ".forged"):
		e := *identity.ErrTokenSignature
		e.Err = fmt.Errorf("the key k1 did not sign it")
		return usher.Identity{}, &e
	case strings.HasSuffix(token, ".old"):
		return usher.Identity{}, identity.ErrTokenExpired
	}
	return usher.Identity{}, identity.ErrBad
}

func jwt(header, claims string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

func TestInspectingTokensByWhichSomebodyIsKnown(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) { c.Callers = proofs{} })
	good := jwt(`{"alg":"EdDSA","typ":"at+jwt","kid":"k1"}`, `{"sub":"ann","iat":1700000000,"exp":1700003600}`)
	forged := strings.TrimSuffix(good, "c2ln") + "forged"
	for name, tt := range map[string]struct {
		token    string
		caller   usher.Identity
		verified platform.Verified
		platform string
		subject  string
		problems int
		says     string
	}{
		"a good one":                       {good, operator, platform.Good, "usher", user("ann").Key(), 0, ""},
		"a key":                            {"key", operator, platform.Good, "usher", user("ann").Key(), 0, ""},
		"a forged one":                     {forged, operator, platform.Bad, "usher", "ann", 2, "In particular: the key k1 did not sign it."},
		"a forged one, to who is nobody":   {forged, user("ben"), platform.Bad, "usher", "ann", 1, ""},
		"an old one":                       {strings.TrimSuffix(good, "c2ln") + "old", operator, platform.Good, "usher", "ann", 1, "expired"},
		"one of another issuer":            {jwt(`{"alg":"RS256"}`, `{"iss":"https://else.example","sub":"x"}`), operator, platform.Unknown, "unknown", "x", 1, "No issuer"},
		"one that does not name an issuer": {jwt(`{"alg":"RS256"}`, `{"sub":"x"}`), operator, platform.Unknown, "unknown", "x", 1, "who issued it"},
	} {
		got, err := a.Inspect(t.Context(), tt.caller, access.InspectSpec{Token: usher.Secret(tt.token)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Verified != tt.verified || got.Platform != tt.platform || got.Subject != tt.subject || len(got.Problems) != tt.problems ||
			!strings.Contains(strings.Join(got.Problems, " "), tt.says) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	revoke(t, a, access.Revocation{Target: usher.Target{Identity: user("ann").Key()}, Reason: "The laptop is lost."})
	got, err := a.Inspect(t.Context(), operator, access.InspectSpec{Token: usher.Secret(good)})
	if err != nil || len(got.Problems) != 1 || !strings.Contains(got.Problems[0], "The laptop is lost.") {
		t.Errorf("after it was revoked: got %+v, %v", got, err)
	}
	for _, token := range []string{"", "x", "a.b.c", jwt("null", "null"), jwt(`{"alg":"EdDSA"}`, "null"), jwt(`{"alg":"EdDSA"}`, "[]")} {
		_, err := a.Inspect(t.Context(), operator, access.InspectSpec{Token: usher.Secret(token)})
		wantCode(t, fmt.Sprintf("%q", token), err, "token_unrecognised")
	}
}

func FuzzInspect(f *testing.F) {
	f.Add(jwt(`{"alg":"EdDSA","typ":"at+jwt","kid":"k1"}`, `{"sub":"ann","iat":1700000000,"exp":1e300}`))
	f.Add(jwt(`{"alg":"x"}`, `{"iat":-1,"exp":"1","iss":7}`))
	f.Add("a.b.c")
	a := newAccess(f, openStore(f), &bus.Local{}, func(c *access.Config) { c.Callers = identity.Chain{} }) // who knows nobody
	f.Fuzz(func(t *testing.T, token string) {
		found, err := a.Inspect(t.Context(), operator, access.InspectSpec{Token: usher.Secret(token)})
		if err != nil && code(err) != "token_unrecognised" {
			t.Errorf("%q: %v", token, err)
		}
		if err == nil && (found.Format == "" || found.Verified == platform.Good) {
			t.Errorf("%q: got %+v", token, found)
		}
	})
}
