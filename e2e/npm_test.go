package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// outcome is what became of one call of the npm client.
type outcome struct {
	Status  int            `json:"status"`
	Data    map[string]any `json:"data"`
	Error   string         `json:"error"`
	Class   string         `json:"class"`
	Message string         `json:"message"`
}

func (o outcome) text(field string) string {
	text, _ := o.Data[field].(string)
	return text
}

// node runs a script of the folder node with the real npm client, and reads
// what it reports.
func node(t *testing.T, s *Server, script string, settings map[string]any, result any) {
	t.Helper()
	needs(t, "node")
	dir, err := filepath.Abs("node")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@pexip", "vpaas-api")); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the npm clients are missing: scripts/test-deps installs them")
		}
		t.Skip("the npm clients are not installed, so that this can't be shown here; scripts/test-deps installs them")
	}
	all := map[string]any{"apiAddress": s.HTTPS}
	maps.Copy(all, settings)
	encoded, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	reported := filepath.Join(t.TempDir(), "result.json")

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.Dir = dir
	cmd.Env = environ("NODE_EXTRA_CA_CERTS="+s.CA(), "E2E_SETTINGS="+string(encoded), "E2E_RESULT="+reported)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("node %s: %v\n%s", script, err, &stderr)
	}
	if err := json.Unmarshal(readFile(t, reported), result); err != nil {
		t.Fatalf("node %s: %v", script, err)
	}
}

// Claim 2: create, participants, join and terminate.
func TestTheNpmClientHoldsAMeeting(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	key := clientKey(t)
	holdMeeting(t, s, s.register(key.Public), key)
}

// holdMeeting has the npm client, as that client of the server, hold a meeting
// from its creation to its end.
func holdMeeting(t *testing.T, s *Server, clientID string, key keyFiles) {
	t.Helper()
	settings := map[string]any{"clientId": clientID, "privateKeyPath": key.Private}

	var begun struct {
		Create, Participants, Join, JoinAgain, Late outcome
		Token                                       string
	}
	node(t, s, "meeting.mjs", settings, &begun)
	for _, o := range []outcome{begun.Participants, begun.Late} {
		s.Secret(o.text("participant_secret"))
	}
	s.Secret(begun.Join.text("token"))
	s.Secret(begun.Token[len("Bearer "):])

	for what, o := range map[string]outcome{"create": begun.Create, "participants": begun.Participants, "join": begun.Join, "late": begun.Late} {
		if o.Status != 200 {
			t.Fatalf("%s: got %+v", what, o)
		}
	}
	meeting := begun.Create.text("id")
	if got := begun.Participants.text("meeting_id"); got != meeting {
		t.Errorf("the participant is of meeting %q, want %q", got, meeting)
	}
	if got, want := refusal(begun.JoinAgain), (refused{"NotFoundError", true}); got != want {
		t.Errorf("a second join within the lease: got %+v", begun.JoinAgain)
	}

	// The join is good for a socket, and the end of the meeting closes it.
	c := dialSeat(t, s, seat{
		place:    place{Room: meeting, Participant: begun.Participants.text("id")},
		Location: begun.Join.text("location"), Token: begun.Join.text("token"),
	})
	c.authenticate(t)

	var ended struct{ Terminate, TerminateAgain, JoinEnded, ParticipantsOfEnded outcome }
	settings["meetingId"], settings["token"], settings["late"] = meeting, begun.Token, begun.Late.Data
	node(t, s, "end.mjs", settings, &ended)
	if ended.Terminate.Status != 200 || ended.Terminate.text("id") != meeting || ended.Terminate.text("status") != "ended" {
		t.Errorf("terminate: got %+v", ended.Terminate)
	}
	for what, test := range map[string]struct {
		got  outcome
		want refused
	}{
		"a second terminate":            {ended.TerminateAgain, refused{"NotFoundError", true}},
		"a join of an ended meeting":    {ended.JoinEnded, refused{"GoneError", true}},
		"a participant of an ended one": {ended.ParticipantsOfEnded, refused{"NotFoundError", true}},
	} {
		if got := refusal(test.got); got != test.want {
			t.Errorf("%s: got %+v, want %+v", what, test.got, test.want)
		}
	}
	if code := c.untilClosed(); !finalCode(code) {
		t.Errorf("the end of the meeting closed the socket with %d, after which the SDK reconnects", code)
	}
}

// refused is what an application can tell of a refusal: its class, and whether
// there is a reason to show.
type refused struct {
	Class  string
	Reason bool
}

func refusal(o outcome) refused { return refused{o.Class, o.Message != ""} }

// finalCode reports whether the SDK takes a close code for final.
func finalCode(code int) bool { return code == 1000 || code >= 1017 }

// Claim 2: token renewal.
func TestTheNpmClientRenewsItsToken(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	key := clientKey(t)
	var result struct {
		Calls []struct {
			What   string
			Tokens int
			outcome
		}
		Tokens []struct {
			AccessToken string `json:"access_token"`
			TokenType   string `json:"token_type"`
			ExpiresIn   int    `json:"expires_in"`
			Scope       string
		}
	}
	node(t, s, "renewal.mjs", map[string]any{"clientId": s.register(key.Public), "privateKeyPath": key.Private}, &result)

	type call struct {
		What           string
		Status, Tokens int
	}
	var got []call
	for _, c := range result.Calls {
		got = append(got, call{c.What, c.Status, c.Tokens})
	}
	want := []call{
		{"first", 200, 1},
		{"second", 200, 1},
		{"a second before the margin", 200, 1},
		{"within the margin", 200, 2},
		{"after the renewal", 200, 2},
		{"with the first token", 200, 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls, with the number of tokens fetched by then (-want +got):\n%s", diff)
	}
	for _, token := range result.Tokens {
		s.Secret(token.AccessToken)
		if token.TokenType != "Bearer" || token.ExpiresIn < 300 || token.Scope != allScopes {
			t.Errorf("got a token of type %q for %d s with the scopes %q", token.TokenType, token.ExpiresIn, token.Scope)
		}
	}
}

// Claim 2: the error classes.
func TestTheNpmClientIsRefusedWithItsOwnErrors(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	key, stranger := clientKey(t), strangerKey(t)
	var result struct {
		Results map[string]outcome
		Secret  string
	}
	node(t, s, "refusals.mjs", map[string]any{
		"clientId": s.register(key.Public), "privateKeyPath": key.Private,
		"otherClientId": s.register(stranger.Public), "strangerKeyPath": stranger.Private,
	}, &result)
	s.Secret(result.Secret)

	want := map[string]refused{
		"wrong key":                       {"BadRequestError", true},
		"unknown client":                  {"BadRequestError", true},
		"first use of an assertion":       {},
		"replayed assertion":              {"BadRequestError", true},
		"an assertion that is none":       {"BadRequestError", true},
		"missing scope to create":         {"ForbiddenError", true},
		"missing scope to invite":         {"ForbiddenError", true},
		"missing scope to end":            {"ForbiddenError", true},
		"no token":                        {"UnauthorizedError", true},
		"a token that is none":            {"UnauthorizedError", true},
		"no token to end":                 {"UnauthorizedError", true},
		"unknown meeting":                 {"NotFoundError", true},
		"unknown meeting to end":          {"NotFoundError", true},
		"unknown meeting to join":         {"NotFoundError", true},
		"unknown participant to join":     {"NotFoundError", true},
		"wrong secret":                    {"NotFoundError", true},
		"join without a secret":           {"BadRequestError", true},
		"the meeting of another client":   {"NotFoundError", true},
		"a meeting with a path in its id": {"NotFoundError", true},
	}
	got := make(map[string]refused)
	for what, o := range result.Results {
		got[what] = refusal(o)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("classes of error, and whether they have a reason (-want +got):\n%s\n%+v", diff, result.Results)
	}
	for _, what := range []string{"wrong key", "unknown client", "replayed assertion"} {
		if got := result.Results[what].Message; got != "invalid_client" {
			t.Errorf("%s: the reason is %q, want that of the real service", what, got)
		}
	}
	if got := result.Results["unknown meeting"].Message; got != "Invalid meeting ID" {
		t.Errorf("unknown meeting: the reason is %q, want that of the real service", got)
	}
	if got := result.Results["unknown meeting to join"].Message; got != "Meeting not found" {
		t.Errorf("unknown meeting to join: the reason is %q, want that of the real service", got)
	}
}

// Claim 2: concurrent use.
func TestTheNpmClientMayBeUsedConcurrently(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	key := clientKey(t)
	var result struct{ Meetings, Participants, Joins []outcome }
	node(t, s, "concurrent.mjs", map[string]any{"clientId": s.register(key.Public), "privateKeyPath": key.Private}, &result)

	seen := make(map[string]bool)
	for what, outcomes := range map[string][]outcome{
		"meeting": result.Meetings, "participant": result.Participants, "join": result.Joins,
	} {
		for i, o := range outcomes {
			if o.Status != 200 {
				t.Fatalf("%s %d: got %+v", what, i, o)
			}
			id := o.text("id")
			if what == "join" {
				id = s.Secret(o.text("token"))
			}
			if seen[id] {
				t.Errorf("%s %d: %q was given away twice", what, i, id)
			}
			seen[id] = true
		}
	}
	if got, want := len(seen), 20+100+100; got != want {
		t.Errorf("got %d meetings, participants and joins, want %d", got, want)
	}
}
