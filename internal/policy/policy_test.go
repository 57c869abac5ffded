package policy_test

import (
	"testing"

	"usher"
	"usher/internal/policy"
)

func TestDecide(t *testing.T) {
	shop := usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "shop", Scopes: usher.AllScopes}
	namesake := usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "https://idp.example", Subject: "shop"}
	operator := usher.Identity{App: usher.DefaultApp, Kind: usher.LocalIdentity, Subject: "operator", Operator: true}
	claims := usher.Identity{App: usher.DefaultApp, Operator: true} // of nobody
	mine := &usher.Room{App: usher.DefaultApp, Owner: shop.Key()}
	ownerless := &usher.Room{App: usher.DefaultApp}
	tests := []struct {
		name     string
		identity usher.Identity
		action   policy.Action
		room     *usher.Room
		code     string // of the refusal; empty if it is allowed
	}{
		{"nobody makes a room", usher.Identity{}, policy.CreateRoom, nil, "credentials_required"},
		{"nobody claims to be an operator", claims, policy.CreateRoom, nil, "credentials_required"},
		{"nobody reads a room without owner", usher.Identity{}, policy.ReadRoom, ownerless, "credentials_required"},
		{"a client makes a room", shop, policy.CreateRoom, nil, ""},
		{"a client reads its room", shop, policy.ReadRoom, mine, ""},
		{"a client ends its room", shop, policy.EndRoom, mine, ""},
		{"a client reads a room without owner", shop, policy.ReadRoom, ownerless, "room_not_found"},
		{"a user with the client's subject reads its room", namesake, policy.ReadRoom, mine, "room_not_found"},
		{"an operator ends another's room", operator, policy.EndRoom, mine, ""},
		{"an operator manages clients", operator, policy.ManageClients, nil, ""},
		{"a client manages clients", shop, policy.ManageClients, nil, "operators_only"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := policy.Decide(policy.Request{Identity: tt.identity, Action: tt.action, Room: tt.room})
			got := ""
			if v.Err != nil {
				got = usher.AsError(v.Err).Code
			}
			if got != tt.code || v.Allowed != (tt.code == "") {
				t.Errorf("got allowed %t, code %q, want code %q", v.Allowed, got, tt.code)
			}
			if v.Rule == "" {
				t.Error("no rule is named")
			}
		})
	}
}
