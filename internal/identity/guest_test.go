package identity_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/identity"
)

func (w *world) guests() *identity.Guests {
	return &identity.Guests{Keys: w.tokens.Keys, Issuer: issuer, Now: w.clock, Lifetime: time.Hour}
}

func TestAGuestIsBoundToItsInvite(t *testing.T) {
	w := newWorld(t)
	room, invite := w.ids.New(), w.ids.New()
	in := usher.Identity{Name: "Zoë", Room: room, Role: usher.Speaker, Operator: true, Scopes: usher.AllScopes, Email: "a@b.c"}
	token, issued, err := w.guests().Issue(in, invite, start.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	got, err := bearer(w.guests(), token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	want := usher.Identity{
		App: usher.DefaultApp, Kind: usher.GuestIdentity, Subject: got.Subject, Name: "Zoë", Room: room, Role: usher.Speaker,
		IssuedAt: start, Expires: start.Add(time.Minute), Proof: "guest invite " + string(invite),
	}
	proof, key, _ := strings.Cut(got.Proof, ", key ")
	if _, err := usher.ParseID(key); err != nil {
		t.Errorf("the proof %q names no key", got.Proof)
	}
	got.Proof = proof
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the identity differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(issued, got); diff != "" {
		t.Errorf("it is not who it was issued to (-issued +got):\n%s", diff)
	}
	_, other, err := w.guests().Issue(in, invite, start.Add(time.Minute))
	if err != nil || other.Subject == got.Subject || len(got.Subject) != 22 {
		t.Errorf("another guest has the subject %q, %v; the first has %q", other.Subject, err, got.Subject)
	}
	in.Subject = got.Subject // renewal
	if _, again, err := w.guests().Issue(in, invite, start.Add(time.Minute)); err != nil || again.Key() != got.Key() {
		t.Errorf("a guest who comes again is %s, %v; want %s", again.Key(), err, got.Key())
	}
	w.pass(time.Minute)
	if _, err := bearer(w.guests(), token.Reveal()); !errors.Is(err, identity.ErrTokenExpired) {
		t.Errorf("after its time: %v, want ErrTokenExpired", err)
	}
}

func TestAGuestsTokenDoesNotOutliveTheKeys(t *testing.T) {
	w := newWorld(t)
	for name, expires := range map[string]time.Time{"never": {}, "in a year": start.Add(365 * 24 * time.Hour)} {
		_, got, err := w.guests().Issue(usher.Identity{Name: "Zoë", Room: w.ids.New(), Role: usher.Viewer}, w.ids.New(), expires)
		if err != nil || !got.Expires.Equal(start.Add(time.Hour)) {
			t.Errorf("%s: it expires at %s, %v; want in an hour", name, got.Expires, err)
		}
	}
}

func TestGuestsThatAreRefusedAToken(t *testing.T) {
	w := newWorld(t)
	good := usher.Identity{Name: "Zoë", Room: w.ids.New(), Role: usher.Viewer}
	for name, test := range map[string]struct {
		change  func(*usher.Identity)
		expires time.Time
		want    string
	}{
		"no name":                         {func(g *usher.Identity) { g.Name = "" }, start.Add(time.Minute), "name_invalid"},
		"a name of spaces":                {func(g *usher.Identity) { g.Name = " " }, start.Add(time.Minute), "name_invalid"},
		"a name with a space before":      {func(g *usher.Identity) { g.Name = " Anna" }, start.Add(time.Minute), "name_invalid"},
		"a name without end":              {func(g *usher.Identity) { g.Name = strings.Repeat("é", 101) }, start.Add(time.Minute), "name_invalid"},
		"a name that turns text around":   {func(g *usher.Identity) { g.Name = "\u202eannA" }, start.Add(time.Minute), "name_invalid"},
		"a name of two lines":             {func(g *usher.Identity) { g.Name = "Anna\nadmin" }, start.Add(time.Minute), "name_invalid"},
		"a name that is not UTF-8":        {func(g *usher.Identity) { g.Name = "Ann\xff" }, start.Add(time.Minute), "name_invalid"},
		"a name with a space of no width": {func(g *usher.Identity) { g.Name = "An\u200bna" }, start.Add(time.Minute), "name_invalid"},
		"no room":                         {func(g *usher.Identity) { g.Room = "" }, start.Add(time.Minute), "internal"},
		"no role":                         {func(g *usher.Identity) { g.Role = "" }, start.Add(time.Minute), "internal"},
		"a time that has passed":          {func(*usher.Identity) {}, start, "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			guest := good
			test.change(&guest)
			token, _, err := w.guests().Issue(guest, w.ids.New(), test.expires)
			if got := usher.AsError(err); err == nil || got.Code != test.want || token != "" {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

func TestTokensThatAreNoGuests(t *testing.T) {
	w := newWorld(t)
	g := w.guests()
	signed := func(claims any, typ string) string {
		token, err := w.tokens.Keys.Sign(claims, typ)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	claims := map[string]any{
		"iss": issuer, "aud": issuer, "app": "default", "sub": "x", "name": "Anna", "room": w.ids.New(), "role": "host",
		"iat": start.Unix(), "exp": start.Unix() + 60, "jti": "x", "invite": w.ids.New(),
	}
	good := signed(claims, "guest+jwt")
	access := w.issue(t, w.client(t, edKey(t), usher.MeetingRead), usher.Scopes{usher.MeetingRead})
	dev, _, err := w.devLogin().Issue("Anna", "")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"a good one":             {good, nil},
		"nothing":                {"", identity.ErrNotMine},
		"an access token":        {access.Reveal(), identity.ErrNotMine},
		"a development token":    {dev.Reveal(), identity.ErrNotMine},
		"the same of no type":    {signed(claims, "JWT"), identity.ErrNotMine},
		"another server's":       {signed(with(claims, "iss", "https://other.example"), "guest+jwt"), identity.ErrTokenAudience},
		"for another server":     {signed(with(claims, "aud", "https://other.example"), "guest+jwt"), identity.ErrTokenAudience},
		"one without expiry":     {signed(with(claims, "exp", nil), "guest+jwt"), identity.ErrTokenExpired},
		"claims of another kind": {signed([]string{"a"}, "guest+jwt"), identity.ErrTokenMalformed},
		"other claims":           {tampered(good, encode(t, with(claims, "role", "moderator"))), identity.ErrTokenSignature},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := bearer(g, test.token); !errors.Is(err, test.want) || got.Known() != (test.want == nil) {
				t.Errorf("%+v, %v; want %v", got, err, test.want)
			}
		})
	}
	if _, err := w.authenticate(usher.Secret(good)); !errors.Is(err, identity.ErrNotMine) {
		t.Errorf("as an access token it is %v, want ErrNotMine", err)
	}
}

// tampered puts other claims into a token.
func tampered(token, claims string) string {
	part := strings.Split(token, ".")
	return part[0] + "." + b64(claims) + "." + part[2]
}
