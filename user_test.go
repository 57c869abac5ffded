package usher_test

import (
	"strings"
	"testing"

	"usher"
)

const issuer = "https://id.example"

func TestUsersAreCalledByTheirSubWithinAnIssuer(t *testing.T) {
	for name, tt := range map[string]struct{ issuer, key, want string }{
		"a user of the same issuer":            {issuer, "user:https://id.example#ann", "ann"},
		"a sub with a hash":                    {issuer, "user:https://id.example#a#b", "a#b"},
		"a sub with a colon":                   {issuer, "user:https://id.example#google-oauth2:7", "google-oauth2:7"},
		"a user of another issuer":             {issuer, "user:https://other.example#ann", "user:https://other.example#ann"},
		"one whose issuer begins alike":        {issuer, "user:https://id.example.org#ann", "user:https://id.example.org#ann"},
		"a sub that looks like another's key":  {issuer, "user:https://id.example#user:https://id.example#bob", "user:https://id.example#user:https://id.example#bob"},
		"a sub that looks like a guest":        {issuer, "user:https://id.example#guest:x", "user:https://id.example#guest:x"},
		"a guest":                              {issuer, "guest:x", "guest:x"},
		"to a guest, who has no issuer":        {"", "user:https://id.example#ann", "user:https://id.example#ann"},
		"a user without an issuer, to a guest": {"", "user:#ann", "user:#ann"},
	} {
		got := usher.UserID(tt.issuer, tt.key)
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
		if back := usher.KeyOfUserID(tt.issuer, got); back != tt.key {
			t.Errorf("%s: %q is taken for %q, want %q", name, got, back, tt.key)
		}
	}
}

func FuzzUserID(f *testing.F) {
	f.Add("ann", "bob")
	f.Add("user:https://id.example#bob", "bob")
	f.Fuzz(func(t *testing.T, a, b string) {
		if a == "" || b == "" {
			return
		}
		keys := [2]string{"user:" + issuer + "#" + a, "user:" + issuer + "#" + b}
		ids := [2]string{usher.UserID(issuer, keys[0]), usher.UserID(issuer, keys[1])}
		if (ids[0] == ids[1]) != (a == b) {
			t.Errorf("the subs %q and %q have the ids %q", a, b, ids)
		}
		for i, id := range ids {
			if got := usher.KeyOfUserID(issuer, id); got != keys[i] {
				t.Errorf("%q is called %q, which names %q", keys[i], id, got)
			}
		}
	})
}

func TestEMailAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"ann@example.org": true, "Ann.O'Hara+tag@sub.example.org": true, "zoë@exämple.org": true,
		"": false, "@": false, "ann": false, "ann@": false, "@example.org": false, "a@b@c": false, "ann @example.org": false,
		"Ann <ann@example.org>": false, "a@b,c@d": false, "a@b\x00": false, "a@b\u202e": false, "a@\xff": false,
		strings.Repeat("x", 243) + "@example.org": false, strings.Repeat("x", 242) + "@example.org": true,
	} {
		if got := usher.ValidEmail(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	if a, b := usher.FoldEmail("Zoë@EXAMPLE.org"), usher.FoldEmail("ZOË@example.ORG"); a != b {
		t.Errorf("%q and %q differ", a, b)
	}
}
