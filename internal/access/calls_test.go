package access_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/call"
	"usher/internal/limit"
)

func TestWhoMayCall(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) { c.Limits.Mint = limit.Rate{} })
	ann, bob := user("ann"), user("bob")
	for _, id := range []usher.Identity{ann, bob} {
		if _, err := a.User(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := a.AddContact(t.Context(), bob, access.ContactSpec{User: ann.Key()}); err != nil {
		t.Fatal(err)
	}
	guest := usher.Identity{App: usher.DefaultApp, Kind: usher.GuestIdentity, Issuer: issuer, Subject: "g"}
	for name, tt := range map[string]struct {
		id     usher.Identity
		to     string
		listed bool
		code   string
	}{
		"a user calls who lists her":         {ann, bob.Key(), true, ""},
		"a user calls who does not list him": {bob, ann.Key(), false, ""},
		"a user calls who is not there":      {ann, "user:" + issuer + "#eve", false, ""},
		"a guest calls":                      {guest, bob.Key(), false, "users_only"},
		"a back end calls":                   {backend(), bob.Key(), false, "users_only"},
		"a back end calls for a user":        {actingFor(backend(), "ann"), bob.Key(), true, ""},
		"nobody calls":                       {usher.Identity{}, bob.Key(), false, "credentials_required"},
	} {
		listed, err := a.PlaceCall(t.Context(), tt.id, tt.to)
		code := ""
		if err != nil {
			code = usher.AsError(err).Code
		}
		if listed != tt.listed || code != tt.code {
			t.Errorf("%s: got %t and %v, want %t and %q", name, listed, err, tt.listed, tt.code)
		}
	}
}

func TestCallsAreLimited(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) { c.Limits.Mint = limit.Rate{Count: 1, Per: 24 * time.Hour} })
	if _, err := a.PlaceCall(t.Context(), user("ann"), user("bob").Key()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.PlaceCall(t.Context(), user("ann"), user("bob").Key()); usher.AsError(err).Kind != usher.TooMany {
		t.Errorf("the second call: got %v", err)
	}
}

// What becomes of a call is in the record: who called whom, that it was
// accepted, and how it ended.
func TestCallsAreRecorded(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := usher.Call{App: usher.DefaultApp, ID: "c1", Status: usher.CallInvited, Version: 1}
	c.Caller.User, c.Callee.User = user("ann").Key(), user("bob").Key()
	a.RecordCall(c, []call.Notice{{Action: call.Invite}})
	c.Status, c.Version = usher.CallRinging, 2
	a.RecordCall(c, []call.Notice{{Action: call.Ringing}})
	c.Status, c.Version = usher.CallAccepted, 3
	a.RecordCall(c, []call.Notice{{Action: call.Accept}, {Action: call.Taken}})
	c.Status, c.Version = usher.CallConnected, 4
	a.RecordCall(c, nil)
	c.Status, c.Version, c.Reason, c.EndedBy = usher.CallEnded, 5, usher.UserHangup, c.Callee.User
	a.RecordCall(c, []call.Notice{{Action: call.Hangup}})
	if err := a.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	operator := user("root")
	operator.Operator = true
	events, _, _, err := a.Events(t.Context(), operator, access.EventQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, fmt.Sprintf("%s %s %s", e.Type, e.Who, e.Reason))
	}
	slices.Sort(got) // they are written in the background
	want := []string{
		"answered " + c.Callee.User + " " + c.Caller.User, "called " + c.Caller.User + " " + c.Callee.User, "hung_up " + c.Callee.User + " user_hangup",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
