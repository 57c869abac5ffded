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

func (w *world) devLogin() *identity.DevLogin {
	return &identity.DevLogin{Keys: w.tokens.Keys, Issuer: issuer, Now: w.clock, Lifetime: time.Hour}
}

func TestDevLogin(t *testing.T) {
	w := newWorld(t)
	token, issued, err := w.devLogin().Issue(" Anna ", "Anna@Example.org")
	if err != nil {
		t.Fatal(err)
	}
	got, err := bearer(w.devLogin(), token.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	want := usher.Identity{
		App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "dev", Subject: got.Subject, Name: "Anna", Email: "anna@example.org",
		IssuedAt: start, Expires: start.Add(time.Hour), Proof: "dev login", Operator: true,
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
	w.pass(time.Hour)
	if _, err := bearer(w.devLogin(), token.Reveal()); !errors.Is(err, identity.ErrTokenExpired) {
		t.Errorf("after its time: %v, want ErrTokenExpired", err)
	}
	if _, err := bearer(w.devLogin(), w.issue(t, w.client(t, edKey(t), usher.MeetingRead), nil).Reveal()); !errors.Is(err, identity.ErrNotMine) {
		t.Errorf("an access token is %v, want ErrNotMine", err)
	}
	other := w.devLogin()
	other.Issuer = "https://other.example"
	if _, err := bearer(other, token.Reveal()); !errors.Is(err, identity.ErrTokenAudience) {
		t.Errorf("another server's is %v, want ErrTokenAudience", err)
	}
}

func TestDevLoginKnowsPeopleAgain(t *testing.T) {
	d := newWorld(t).devLogin()
	subject := func(name, email string) string {
		t.Helper()
		_, id, err := d.Issue(name, email)
		if err != nil {
			t.Fatal(err)
		}
		return id.Subject
	}
	anna := subject("Anna", "anna@example.org")
	for name, test := range map[string]struct {
		name, email string
		same        bool
	}{
		"another name":              {"Änni", "anna@example.org", true},
		"capitals":                  {"Anna", "ANNA@example.ORG", true},
		"no name":                   {"", "anna@example.org", true},
		"another address":           {"Anna", "anna@example.com", false},
		"no address":                {"Anna", "", false},
		"the address as a name":     {"anna@example.org", "", false},
		"a name that looks like it": {"email:anna@example.org", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := subject(test.name, test.email) == anna; got != test.same {
				t.Errorf("the same user: %t, want %t", got, test.same)
			}
		})
	}
	if subject("Anna", "") != subject("ANNA", "") {
		t.Error("capitals of a name make another user")
	}
}

func TestDevLoginRefuses(t *testing.T) {
	d := newWorld(t).devLogin()
	for name, test := range map[string]struct{ name, email, want string }{
		"nothing":                     {"", "", "name_invalid"},
		"spaces":                      {"  ", "", "name_invalid"},
		"a name of two lines":         {"a\nb", "", "name_invalid"},
		"a name without end":          {strings.Repeat("a", 101), "", "name_invalid"},
		"no @":                        {"a", "anna.example.org", "email_invalid"},
		"two @":                       {"a", "anna@example@org", "email_invalid"},
		"nobody":                      {"a", "@example.org", "email_invalid"},
		"nowhere":                     {"a", "anna@", "email_invalid"},
		"a space":                     {"a", "an na@example.org", "email_invalid"},
		"two addresses":               {"a", "anna,b@example.org", "email_invalid"},
		"an address of two lines":     {"a", "anna@example.org\nb", "email_invalid"},
		"an address without end":      {"a", strings.Repeat("a", 251) + "@b.c", "email_invalid"},
		"an address that is not text": {"a", "\xff@example.org", "email_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			token, _, err := d.Issue(test.name, test.email)
			if e := usher.AsError(err); token != "" || e.Kind != usher.Invalid || e.Code != test.want || len(e.Fields) != 1 {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}
