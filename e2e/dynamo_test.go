package e2e_test

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"usher"
	"usher/client"
)

// usherWith runs a command on a storage, and returns what it says.
func usherWith(t testing.TB, on storage, command string) (said string, err error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "usher.yaml")
	if err := os.WriteFile(file, []byte("server: {http: \"127.0.0.1:0\", publicURL: \"http://127.0.0.1\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, usherBinary(t), command, "--config", file)
	cmd.Dir, cmd.Env = dir, environ(on...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestAServerOnDynamoDBSaysThatItNeedsTables(t *testing.T) {
	t.Parallel()
	endpoint := newDynamo(t)
	if said, err := usherWith(t, onDynamo(endpoint), "serve"); err == nil || !strings.Contains(said, "usher migrate") {
		t.Errorf("without tables the server says, error %v:\n%s", err, said)
	}
	newTables(t, endpoint)
	s := start(t, options{Config: trusting(newIssuer(t).entry()), On: newTables(t, endpoint)})
	if _, err := os.Stat(filepath.Join(s.Data, "usher.db")); err == nil {
		t.Error("there is a database in the data folder")
	}
}

// rows is the data layer of the video chat's own program.
type rows struct{ *driver }

func newRows(t testing.TB, endpoint string) rows {
	t.Helper()
	nodeDir(t, "@aws-sdk/client-dynamodb")
	return rows{startDriver(t, "rows.mjs", append(onDynamo(endpoint), "E2E_DYNAMODB="+endpoint)...)}
}

// want compares what a query of the program finds, in its order, but for the
// attributes that are ours alone.
func (r rows) want(when, call string, args who, want ...map[string]string) {
	r.t.Helper()
	var got []map[string]string
	r.call(call, args, &got)
	for i := range got {
		maps.DeleteFunc(got[i], func(name, _ string) bool { return strings.HasPrefix(name, "usher") })
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		r.t.Errorf("%s: %s of %v (-want +got):\n%s", when, call, args, diff)
	}
}

// The video chat's own program and a server of ours work on the same tables.
func TestTheTablesOfTheVideoChatAreShared(t *testing.T) {
	t.Parallel()
	endpoint := newDynamo(t)
	r := newRows(t, endpoint)
	r.call("createTables", nil, nil)
	annRow := map[string]string{"userId": "ann", "email": "ann@old.example", "name": "Ann", "picture": "ann.png"}
	r.call("putUser", annRow, nil)
	r.call("putUser", who{"userId": "ben", "email": "Ben@example.org"}, nil)
	benContact := map[string]string{"userId": "ann", "contactUserId": "ben", "contactEmail": "Ben@example.org"}
	r.call("putContact", benContact, nil)
	r.call("putConnection", who{"userId": "ben", "connectionId": "L0SM9cOFvHcCIhw="}, nil)

	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()) + videoChat, On: newTables(t, endpoint)})
	as := func(sub string) chatter {
		return chatter{s, i.token(sub, claims{"email": sub + "@example.org", "email_verified": true}).Reveal()}
	}
	ann, carl := as("ann"), as("carl")

	// What the program wrote is read. Who it says is online is not believed.
	const ben = `{"userId":"ben","email":"Ben@example.org","online":false}`
	ann.wantJSON(200, "GET", "/contacts", "", `[`+ben+`]`)
	ann.wantJSON(200, "POST", "/contacts", `{"email":"ben@example.org"}`, ben)
	// What the token says is written, and what else the program keeps stays.
	ann.wantJSON(200, "GET", "/user", "", `{"userId":"ann","email":"ann@example.org","name":"User ann"}`)
	annRow["email"], annRow["name"] = "ann@example.org", "User ann"
	r.want("after ann called", "userByEmail", who{"email": "ann@example.org"}, annRow)
	r.want("after ann called", "userByEmail", who{"email": "ann@old.example"})

	// What we write is read by the program.
	carl.wantJSON(200, "GET", "/user", "", `{"userId":"carl","email":"carl@example.org","name":"User carl"}`)
	carlRow := map[string]string{"userId": "carl", "email": "carl@example.org", "name": "User carl"}
	ann.wantJSON(201, "POST", "/contacts", `{"email":"carl@example.org"}`, `{"userId":"carl","email":"carl@example.org","name":"User carl","online":false}`)
	carlContact := map[string]string{"userId": "ann", "contactUserId": "carl", "contactEmail": "carl@example.org"}
	r.want("after carl came", "userByEmail", who{"email": "carl@example.org"}, carlRow)
	r.want("after carl came", "user", who{"userId": "carl"}, carlRow)
	r.want("after carl was added", "contacts", who{"userId": "ann"}, benContact, carlContact) // by e-mail address
	r.want("after carl was added", "contactKeys", who{"userId": "ann"}, benContact, carlContact)

	// The program goes on: it writes users and contacts, and takes contacts away.
	r.call("putUser", who{"userId": "dora", "email": "dora@example.org"}, nil)
	r.call("deleteContact", who{"userId": "ann", "contactUserId": "ben"}, nil)
	ann.wantJSON(201, "POST", "/contacts", `{"email":"dora@example.org"}`, `{"userId":"dora","email":"dora@example.org","online":false}`)
	r.call("putContact", who{"userId": "carl", "contactUserId": "dora", "contactEmail": "dora@example.org"}, nil)
	carl.wantJSON(200, "GET", "/contacts", "", `[{"userId":"dora","email":"dora@example.org","online":false}]`)
	ann.wantJSON(204, "DELETE", "/contacts/carl", "", "")
	r.want("after the rest went", "contacts", who{"userId": "ann"}, map[string]string{"userId": "ann", "contactUserId": "dora", "contactEmail": "dora@example.org"})

	// The program replaces a row that we had written to.
	r.call("putUser", who{"userId": "ann", "email": "ann@example.org", "name": "Annie"}, nil)
	ann.wantJSON(200, "GET", "/user", "", `{"userId":"ann","email":"ann@example.org","name":"User ann"}`)
	s.Kill()
	s.Restart()
	ann.wantJSON(200, "GET", "/contacts", "", `[{"userId":"dora","email":"dora@example.org","online":false}]`)
	// A server leaves the connections to the program.
	s.signal(usher.Secret(carl.token), client.SignalOptions{})
	r.want("while carl is connected", "connections", who{"userId": "ben"}, map[string]string{"userId": "ben", "connectionId": "L0SM9cOFvHcCIhw="})
	r.want("while carl is connected", "connections", who{"userId": "carl"})
}
