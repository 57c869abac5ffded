package api_test

import (
	"fmt"
	"strings"
	"testing"

	"usher"
	"usher/client"
	"usher/internal/store"
)

// callStatuses are the statuses of missed calls.
func callStatuses(t *testing.T, _ *server) []statusTest {
	const missed, acknowledge = "/api/v1/calls/missed", "/api/v1/calls/missed/acknowledge"
	some := asJSON(t, client.AcknowledgeCallsRequest{Until: usher.SystemIDs().New()})
	return []statusTest{
		{"missed calls are listed", request{ann, "GET", missed, "", nil}, 200, ""},
		{"missed calls by an unknown parameter", request{ann, "GET", missed + "?from=ben", "", nil}, 400, "query_invalid"},
		{"missed calls from a bad cursor", request{ann, "GET", missed + "?cursor=x", "", nil}, 400, "query_invalid"},
		{"missed calls by nobody", request{nobody, "GET", missed, "", nil}, 401, "credentials_required"},
		{"missed calls by a back end", request{owner, "GET", missed, "", nil}, 403, "users_only"},
		{"missed calls are acknowledged", request{ann, "POST", acknowledge, some, nil}, 204, ""},
		{"missed calls are acknowledged by nobody", request{nobody, "POST", acknowledge, "", nil}, 401, "credentials_required"},
		{"missed calls are acknowledged by a back end", request{owner, "POST", acknowledge, some, nil}, 403, "users_only"},
		{"no missed call in particular", request{ann, "POST", acknowledge, `{"until":"x"}`, nil}, 400, "until_invalid"},
		{"missed calls are acknowledged at length", request{ann, "POST", acknowledge, `{"until":"` + strings.Repeat("x", 70_000) + `"}`, nil}, 413, "body_too_large"},
		{"missed calls are acknowledged in text", request{ann, "POST", acknowledge, "x", map[string]string{"Content-Type": "text/plain"}}, 415, "media_type_unsupported"},
	}
}

func TestMissedCallsOverTheNativeAPI(t *testing.T) {
	var db store.DB
	s := newServer(t, func(set *settings) { db = set.access.Store })
	must(s.as(ben).User(t.Context()))(t)
	ids := usher.SystemIDs()
	missed := func(id, caller, callee string) {
		t.Helper()
		c := usher.Call{
			App: usher.DefaultApp, ID: id, Status: usher.CallEnded, Reason: usher.InviteTimeout, Missed: ids.New(), Request: caller == benKey,
			InvitedAt: s.clock(), EndedAt: s.clock(), Due: s.clock(), Version: 1,
		}
		c.Caller.User, c.Callee.User = caller, callee
		if err := db.Calls().Create(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		missed(fmt.Sprint("c", i), benKey, annKey)
	}
	missed("gone", "user:https://id.example#gone", annKey)
	missed("other", annKey, benKey)
	list := func() (calls []client.MissedCall) {
		t.Helper()
		for c, err := range s.as(ann).MissedCalls(t.Context(), client.PageQuery{Limit: 2}) {
			if err != nil {
				t.Fatal(err)
			}
			calls = append(calls, c)
		}
		return calls
	}
	calls := list()
	var got []string
	for _, c := range calls {
		got = append(got, fmt.Sprintf("%s from %s %s %s %t %s", c.CallID, c.From, c.Name, c.Email, c.Request, c.Reason))
	}
	want := []string{"gone from gone   false invite_timeout"}
	for _, id := range []string{"c3", "c2", "c1", "c0"} {
		want = append(want, id+" from ben ben ben@example.org true invite_timeout")
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := s.as(ann).AcknowledgeCalls(t.Context(), calls[2].ID); err != nil {
		t.Fatal(err)
	}
	if left := list(); len(left) != 2 || left[0] != calls[0] || left[1] != calls[1] {
		t.Errorf("after acknowledging: got %+v", left)
	}
	if page := must(s.as(ben).MissedCallPage(t.Context(), client.PageQuery{}))(t); len(page.Calls) != 1 || page.Calls[0].CallID != "other" {
		t.Errorf("the calls of another: got %+v", page)
	}
}
