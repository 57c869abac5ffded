package identity_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/identity"
)

// issue gets a client a token, and fails the test if there is none.
func (w *world) issue(t testing.TB, c usher.Client, scopes usher.Scopes) usher.Secret {
	t.Helper()
	token, err := w.tokens.Issue(identity.Asserted{
		Identity: usher.Identity{App: c.App, Kind: usher.ClientIdentity, Subject: string(c.ID), Scopes: scopes}, At: w.clock(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (w *world) authenticate(token usher.Secret) (usher.Identity, error) {
	return w.tokens.Authenticate(context.Background(), identity.Proof{Bearer: token})
}

func TestAnAccessTokenIsAsRFC9068HasIt(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, edKey(t), usher.AllScopes...)
	parts := strings.Split(w.issue(t, c, usher.Scopes{usher.MeetingCreate, usher.MeetingRead}).Reveal(), ".")
	part := func(i int) map[string]any {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if got := part(0)["typ"]; got != "at+jwt" {
		t.Errorf("typ is %v, want at+jwt", got)
	}
	got := part(1)
	if jti, _ := got["jti"].(string); len(jti) != 22 {
		t.Errorf("jti is %v, want 16 bytes", got["jti"])
	}
	delete(got, "jti")
	at := float64(start.UnixMicro()) / 1e6
	want := map[string]any{
		"iss": issuer, "aud": issuer, "sub": string(c.ID), "client_id": string(c.ID),
		"scope": "meeting:create meeting:read", "iat": at, "exp": at + 3600,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims: got (+), want (-):\n%s", diff)
	}
}

func TestAnAccessTokenShowsItsClient(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, edKey(t), usher.AllScopes...)
	token := w.issue(t, c, usher.Scopes{usher.MeetingCreate, usher.MeetingRead})
	w.pass(time.Hour - time.Microsecond)
	got, err := w.authenticate(token)
	if err != nil {
		t.Fatal(err)
	}
	kid, isKey := strings.CutPrefix(got.Proof, "access token, key ")
	if _, err := usher.ParseID(kid); err != nil || !isKey {
		t.Errorf("got proof %q, want the key that signed", got.Proof)
	}
	want := usher.Identity{
		App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: string(c.ID), Name: c.Name,
		Scopes:   usher.Scopes{usher.MeetingCreate, usher.MeetingRead},
		IssuedAt: start, Expires: start.Add(time.Hour), Proof: got.Proof,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("got (+), want (-):\n%s", diff)
	}
	w.pass(time.Microsecond)
	if _, err := w.authenticate(token); !errors.Is(err, identity.ErrBad) {
		t.Errorf("after its life: %v, want ErrBad", err)
	}
}

func TestWhatIsTakenFromAClientIsGoneAtOnce(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, edKey(t), usher.AllScopes...)
	token := w.issue(t, c, usher.Scopes{usher.MeetingCreate, usher.MeetingRead})

	w.change(t, c.ID, func(c *usher.Client) { c.Scopes = usher.Scopes{usher.MeetingRead, usher.ParticipantRead} })
	if got, err := w.authenticate(token); err != nil || got.Scopes.String() != "meeting:read" {
		t.Errorf("with fewer scopes: %q, %v; want meeting:read", got.Scopes, err)
	}
	w.pass(3 * time.Microsecond)
	w.change(t, c.ID, func(c *usher.Client) { c.NotBefore = w.clock() })
	if _, err := w.authenticate(token); !errors.Is(err, identity.ErrBad) {
		t.Errorf("after a rotation: %v, want ErrBad", err)
	}
	w.pass(time.Microsecond)
	if _, err := w.authenticate(w.issue(t, c, usher.AllScopes)); err != nil {
		t.Errorf("a token from right after the rotation: %v", err)
	}
	token = w.issue(t, c, usher.AllScopes)
	w.change(t, c.ID, func(c *usher.Client) { c.RevokedAt = w.clock() })
	if _, err := w.authenticate(token); !errors.Is(err, identity.ErrBad) {
		t.Errorf("of a revoked client: %v, want ErrBad", err)
	}
}

func TestTokensThatAreNotOurs(t *testing.T) {
	w := newWorld(t)
	key := edKey(t)
	c := w.client(t, key, usher.AllScopes...)
	good := w.issue(t, c, usher.AllScopes).Reveal()
	parts := strings.Split(good, ".")
	signed := func(claims map[string]any, typ string) string {
		token, err := w.tokens.Keys.Sign(claims, typ)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	now := start.Unix()
	claims := map[string]any{"iss": issuer, "aud": issuer, "sub": c.ID, "scope": "", "iat": now + 1, "exp": now + 60}
	if _, err := w.authenticate(usher.Secret(signed(claims, "at+jwt"))); err != nil {
		t.Fatalf("the claims that the others differ from: %v", err)
	}
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"none":                           {"", identity.ErrNotMine},
		"no JWT":                         {"Gkq3Zr", identity.ErrNotMine},
		"a client's own assertion":       {sign(t, key, "EdDSA", header("EdDSA"), encode(t, w.claims(c))), identity.ErrNotMine},
		"an unsigned token":              {b64(`{"alg":"none","typ":"at+jwt"}`) + "." + parts[1] + ".", identity.ErrNotMine},
		"another type of ours":           {signed(claims, "guest+jwt"), identity.ErrNotMine},
		"another issuer":                 {signed(with(claims, "iss", "https://other.example"), "at+jwt"), identity.ErrNotMine},
		"other claims, the same key":     {parts[0] + "." + b64(encode(t, claims)) + "." + parts[2], identity.ErrBad},
		"a damaged signature":            {parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86), identity.ErrBad},
		"another audience":               {signed(with(claims, "aud", "https://other.example"), "at+jwt"), identity.ErrBad},
		"no expiry":                      {signed(with(claims, "exp", nil), "at+jwt"), identity.ErrBad},
		"no scope":                       {signed(with(claims, "scope", nil), "at+jwt"), identity.ErrBad},
		"a client that nobody knows":     {signed(with(claims, "sub", w.ids.New()), "at+jwt"), identity.ErrBad},
		"a subject that is no client id": {signed(with(claims, "sub", "developer"), "at+jwt"), identity.ErrBad},
		"claims that can't be read":      {signed(with(claims, "iat", "now"), "at+jwt"), identity.ErrBad},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := w.authenticate(usher.Secret(test.token)); !errors.Is(err, test.want) || got.Known() {
				t.Errorf("got %v, %v; want %v", got, err, test.want)
			}
		})
	}
	w.tokens.Clients = brokenClients{}
	if _, err := w.authenticate(usher.Secret(good)); !errors.Is(err, errBroken) {
		t.Errorf("without a store: %v, want our own failure", err)
	}
}
