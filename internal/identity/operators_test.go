package identity_test

import (
	"context"
	"errors"
	"testing"

	"usher"
	"usher/internal/identity"
)

// always answers the same.
type always struct {
	id  usher.Identity
	err error
}

func (a always) Authenticate(context.Context, identity.Proof) (usher.Identity, error) {
	return a.id, a.err
}

func TestOperators(t *testing.T) {
	keys := []string{"", "user:https://id.example#anna", "group:https://id.example#ops", "client:abc"}
	for name, test := range map[string]struct {
		id   usher.Identity
		want bool
	}{
		"a user by subject":              {usher.Identity{Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: "anna"}, true},
		"a user by group":                {usher.Identity{Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: "bert", Groups: []string{"a", "ops"}}, true},
		"a client":                       {usher.Identity{Kind: usher.ClientIdentity, Subject: "abc"}, true},
		"who is one anyway":              {usher.Identity{Kind: usher.LocalIdentity, Subject: "operator", Operator: true}, true},
		"another user":                   {usher.Identity{Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: "bert"}, false},
		"the same name elsewhere":        {usher.Identity{Kind: usher.UserIdentity, Issuer: "https://evil.example", Subject: "anna"}, false},
		"the group of another issuer":    {usher.Identity{Kind: usher.UserIdentity, Issuer: "dev", Subject: "bert", Groups: []string{"ops"}}, false},
		"a guest of that name":           {usher.Identity{Kind: usher.GuestIdentity, Subject: "anna"}, false},
		"a user with the id of a client": {usher.Identity{Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: "abc"}, false},
		"nobody":                         {usher.Identity{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := identity.Operators(always{id: test.id}, keys).Authenticate(t.Context(), identity.Proof{})
			if err != nil || got.Operator != test.want || got.Key() != test.id.Key() {
				t.Errorf("%+v, %v; want operator %t", got, err, test.want)
			}
		})
	}
	if _, err := identity.Operators(always{err: identity.ErrBad}, keys).Authenticate(t.Context(), identity.Proof{}); !errors.Is(err, identity.ErrBad) {
		t.Errorf("%v, want ErrBad", err)
	}
}

func TestTheDeveloperIsLocal(t *testing.T) {
	got, err := identity.Chain{identity.Local{}, identity.Dev{}}.Authenticate(t.Context(), identity.Proof{Session: map[string][]string{"Cookie": {"a=b"}}})
	if err != nil || got.Key() != "local:developer" || !got.Operator {
		t.Errorf("%+v, %v; want local:developer, an operator", got, err)
	}
	if _, err := (identity.Dev{}).Authenticate(t.Context(), identity.Proof{Bearer: "x"}); !errors.Is(err, identity.ErrNotMine) {
		t.Errorf("with a token: %v, want ErrNotMine", err)
	}
}
