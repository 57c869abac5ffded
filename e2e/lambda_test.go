package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// chatApp is the video chat on AWS, as the template deploys it: each function in
// its environment, with its role.
type chatApp struct {
	*awsGateway
	issuer *issuer
	rows   rows
}

// newChatApp deploys it.
func newChatApp(t *testing.T) chatApp {
	t.Helper()
	endpoint := newDynamo(t)
	const seal = "USHER_STORE_SEAL_KEY=0123456789abcdef0123456789abcdef"
	on := append(onDynamo(endpoint), "USHER_TABLE=my-video-chat-usher-dev", seal)
	if said, err := usherWith(t, on, "migrate"); err != nil {
		t.Fatalf("migrate says, error %v:\n%s", err, said)
	}
	app := chatApp{awsGateway: newAWSGateway(t), issuer: newIssuer(t), rows: newRows(t, endpoint)}
	file := filepath.Join(t.TempDir(), "usher.yaml")
	if err := os.WriteFile(file, []byte(trusting(app.issuer.entry())), 0o600); err != nil {
		t.Fatal(err)
	}
	tpl := parseTemplate(t, readFile(t, templateFile))
	for name, r := range tpl.section("Resources") {
		if mapOf(r)["Type"] != "AWS::Serverless::Function" {
			continue
		}
		key, secret := "ASID"+strings.ToUpper(name), "secret-of-the-role-of-"+name+"-0123456789"
		role := role{name, tpl.permissions(t, name)}
		app.roles[key], app.verifier.Secrets[key] = role, usher.Secret(secret)
		env := []string{
			"AWS_ACCESS_KEY_ID=" + key, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_SESSION_TOKEN=session",
			"USHER_CONFIG=" + file, "USHER_STORE_ENDPOINT=" + guarded(t, endpoint, role), "USHER_LAMBDA_ENDPOINT=" + app.endpoint(),
			seal,
		}
		for variable, value := range tpl.environment() {
			if text, ok := mapOf(value)["Fn::Sub"].(string); ok && variable != "USHER_LAMBDA_ENDPOINT" && variable != "USHER_STORE_SEAL_KEY" {
				env = append(env, variable+"="+resolved(text))
			}
			if text, ok := value.(string); ok {
				env = append(env, variable+"="+text)
			}
		}
		app.functions[name] = newLambda(t, env...)
		for _, event := range mapOf(mapOf(mapOf(r)["Properties"])["Events"]) {
			if p := mapOf(mapOf(event)["Properties"]); mapOf(event)["Type"] == "Api" {
				app.routes[fmt.Sprint(p["Method"], " ", p["Path"])] = name
			}
		}
	}
	t.Cleanup(func() {
		app.shut()
		for name, f := range app.functions {
			if cold := f.coldStarts(); cold != "" {
				t.Logf("cold starts of %s: %s", name, cold)
			}
		}
	})
	return app
}

// resolved puts in what the template's parameters and resources are here.
func resolved(text string) string {
	return strings.NewReplacer("${ServiceName}", "my-video-chat", "${Stage}", stage, "${WebSocketApi}", apiID, "${AWS::Partition}", "aws",
		"${AWS::Region}", "us-east-1", "${AWS::AccountId}", account).Replace(text)
}

// permissions returns what a function's policies allow.
func (tpl template) permissions(t *testing.T, function string) (list []permission) {
	t.Helper()
	add := func(document map[string]any) {
		for _, s := range document["Statement"].([]any) {
			s := mapOf(s)
			if s["Effect"] != "Allow" {
				t.Fatalf("%s: this test knows of no %v", function, s["Effect"])
			}
			var p permission
			switch actions := s["Action"].(type) {
			case string:
				p.actions = []string{actions}
			case []any:
				for _, a := range actions {
					p.actions = append(p.actions, fmt.Sprint(a))
				}
			}
			for _, r := range s["Resource"].([]any) {
				_, name, _ := strings.Cut(resolved(fmt.Sprint(mapOf(r)["Fn::Sub"])), ":"+account+":")
				p.resources = append(p.resources, name)
			}
			list = append(list, p)
		}
	}
	resources := tpl.section("Resources")
	for _, policy := range mapOf(mapOf(resources[function])["Properties"])["Policies"].([]any) {
		policy := mapOf(policy)
		if name, ok := policy["Ref"].(string); ok {
			policy = mapOf(mapOf(mapOf(resources[name])["Properties"])["PolicyDocument"])
		}
		add(policy)
	}
	return list
}

// guarded is the DynamoDB at an address as a role may use it.
func guarded(t *testing.T, endpoint string, role role) string {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	forward.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) } // the test ends
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		var request struct {
			TableName, IndexName string
			RequestItems         map[string]json.RawMessage
		}
		if err := json.Unmarshal(body, &request); err != nil {
			t.Errorf("%s: %v", operation, err)
		}
		resource := "table/" + request.TableName
		if request.IndexName != "" {
			resource += "/index/" + request.IndexName
		}
		resources := []string{resource}
		if request.TableName == "" {
			resources = nil
			for table := range request.RequestItems {
				resources = append(resources, "table/"+table)
			}
		}
		for _, resource := range resources {
			if !role.may("dynamodb:"+operation, resource) {
				t.Errorf("the function %s may not %s on %s", role.name, operation, resource)
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `{"__type":"com.amazon.coral.service#AccessDeniedException","message":"not authorized"}`)
				return
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// server is the app's REST API in the place of a server's.
func (app chatApp) server() *Server {
	return &Server{t: app.t, HTTP: app.endpoint(), HTTPS: app.endpoint(), Client: http.DefaultClient, output: newOutput(), secrets: &secrets{}}
}

// token is one for a user with an address.
func (app chatApp) token(user string) usher.Secret {
	return app.issuer.token(user, claims{"email": user + "@example.org", "email_verified": true})
}

// friends lets users list each other.
func (app chatApp) friends(users ...string) {
	app.t.Helper()
	s := app.server()
	for _, user := range users {
		s.must(200, "GET", "/user", "", "Authorization", app.token(user).Reveal())
	}
	for _, user := range users {
		for _, other := range users {
			if user != other {
				s.must(201, "POST", "/contacts", `{"email":"`+other+`@example.org"}`, "Authorization", app.token(user).Reveal())
			}
		}
	}
}

// online is what a user's list says of the only contact.
func (app chatApp) online(user string) bool {
	app.t.Helper()
	a := app.server().must(200, "GET", "/contacts", "", "Authorization", app.token(user).Reveal())
	var list []struct{ Online bool }
	if err := json.Unmarshal([]byte(a.Body), &list); err != nil || len(list) != 1 {
		app.t.Fatalf("the contacts are %s: %v", a.Body, err)
	}
	return list[0].Online
}

// freeze ends all processes between two events, as Lambda does: the next events
// have new ones.
func (app chatApp) freeze() {
	app.settle()
	for _, f := range app.functions {
		f.freeze()
	}
}

// wantNoRows waits until a user has no connections in the table.
func (app chatApp) wantNoRows(user string) {
	app.t.Helper()
	until(app.t, user+" has connections in the table", time.Minute, func() bool {
		var rows []map[string]string
		app.rows.call("connections", who{"userId": user}, &rows)
		return len(rows) == 0
	})
}

func TestTheVideoChatOnLambda(t *testing.T) {
	t.Parallel()
	for name, v2 := range map[string]bool{"behind a REST API": false, "behind an HTTP API": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newChatApp(t)
			app.set(func(g *awsGateway) { g.v2 = v2 })
			s := app.server()
			ann, ben := chatter{s, app.token("ann").Reveal()}, chatter{s, app.token("ben").Reveal()}
			ann.wantJSON(200, "GET", "/user", "", `{"userId":"ann","email":"ann@example.org","name":"User ann"}`)
			wantContacts(ann, ben, "ann", "ben", `{"userId":"ben","email":"ben@example.org","name":"User ben"}`)
			chatter{s, "nonsense"}.wantJSON(401, "GET", "/user", "", `{"message":"Unauthorized"}`)
			expired := app.issuer.token("ann", claims{"exp": time.Now().Add(-time.Hour).Unix()})
			chatter{s, expired.Reveal()}.wantJSON(401, "GET", "/contacts", "", `{"message":"The incoming token has expired"}`)
		})
	}
}

func TestTheSocketOnLambda(t *testing.T) {
	t.Parallel()
	app := newChatApp(t)
	app.friends("ann", "ben")

	// Who is let in, and who is not.
	for name, tt := range map[string]struct {
		token usher.Secret
		want  int
	}{
		"nothing":           {"", 401},
		"nonsense":          {"nonsense", 401},
		"an expired token":  {app.issuer.token("ann", claims{"exp": time.Now().Add(-time.Hour).Unix()}), 401},
		"of another issuer": {newIssuer(t).token("ann"), 401},
		"a key of nobody":   {"usher_without_dots", 401},
	} {
		if _, got := app.dial(tt.token); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
	ann, ben := app.connect(app.token("ann")), app.connect(app.token("ben"))
	until(t, "ben is connected and not online", time.Minute, func() bool { return app.online("ann") })
	var rows []map[string]string
	app.rows.call("connections", who{"userId": "ben"}, &rows)
	if len(rows) != 1 || rows[0]["userId"] != "ben" || !strings.HasSuffix(rows[0]["connectionId"], "=") {
		t.Errorf("ben's rows are %v", rows)
	}

	offer := json.RawMessage(`{"description":{"type":"offer","sdp":"v=0 \" \\ ü"}}`)
	ann.ask(client.Message{Action: "sdp", To: "ben", Payload: offer})
	if m := ben.hear("sdp"); m.From != "ann" || string(m.Payload) != string(offer) {
		t.Errorf("ben hears %+v", m)
	}
	stranger := app.connect(app.token("eve"))
	stranger.wantCode("unreachable", client.Message{Action: "sdp", To: "ben", Payload: offer})
	stranger.say(client.Message{Action: "ping"})
	stranger.hear("pong")

	// A call, with processes that come and go between its steps.
	ann.ask(client.Message{Action: "call.invite", To: "ben", CallID: "c1", Payload: json.RawMessage(`{"media":{"audio":true}}`)})
	if m := ben.hear("call.invite"); m.From != "ann" || m.CallID != "c1" {
		t.Errorf("ben hears %+v", m)
	}
	app.freeze()
	ben.ask(client.Message{Action: "call.accept", CallID: "c1"})
	ann.hear("call.accept")
	ann.ask(client.Message{Action: "call.connected", CallID: "c1"})
	ben.ask(client.Message{Action: "call.hangup", CallID: "c1"})
	ann.hear("call.hangup")

	// Nobody says that ben has gone: he is found out when somebody speaks to him.
	app.lose("ben")
	ann.wantCode("unreachable", client.Message{Action: "sdp", To: "ben", Payload: offer})
	app.wantNoRows("ben")
	until(t, "ben is gone and still online", time.Minute, func() bool { return !app.online("ann") })
	if err := ann.conn.Close(1000, ""); err != nil {
		t.Error(err)
	}
}

// Who fails too often is denied by the policy, also with a token that is good.
func TestTheAuthorizerOnLambdaDenies(t *testing.T) {
	t.Parallel()
	app := newChatApp(t)
	app.functions["AuthWS"].env = append(app.functions["AuthWS"].env, "USHER_LIMITS_FAILED=2/1h")
	statuses := make(map[int]int)
	for range 2*maxSandboxes + 2 { // each process counts for itself
		_, status := app.dial("nonsense.with.dots")
		statuses[status]++
	}
	if statuses[401]+statuses[403] != 2*maxSandboxes+2 || statuses[401] == 0 || statuses[403] == 0 {
		t.Errorf("the statuses are %v, want 401, and then 403", statuses)
	}
}

func TestAnEndThatIsToldOnLambda(t *testing.T) {
	t.Parallel()
	app := newChatApp(t)
	app.friends("ann", "ben")
	ben := app.connect(app.token("ben"))
	until(t, "ben is connected and not online", time.Minute, func() bool { return app.online("ann") })
	_ = ben.conn.Close(1000, "")
	until(t, "ben has left and is still online", time.Minute, func() bool { return !app.online("ann") })
	app.wantNoRows("ben")
}

// API Gateway may hand over an event twice, and events in another order.
func TestEventsThatComeTwiceAndInDisorder(t *testing.T) {
	t.Parallel()
	app := newChatApp(t)
	app.friends("ann", "ben")
	ann, ben := app.connect(app.token("ann")), app.connect(app.token("ben"))
	news := func(n int) client.Message {
		return client.Message{Action: "news", To: "ben", Payload: asPayload(t, n), ID: fmt.Sprint(n)}
	}
	app.set(func(g *awsGateway) { g.twice = true })
	ann.say(news(1))
	ann.hear("ack")
	app.settle()
	app.set(func(g *awsGateway) { g.twice = false })
	ann.ask(news(2))
	var got []string
	for len(got) == 0 || got[len(got)-1] != "2" {
		got = append(got, string(ben.hear("news").Payload))
	}
	if !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("of 1, which came twice, and 2 ben hears %q", got)
	}

	// A cancel that comes before its invite kills it.
	app.set(func(g *awsGateway) { g.backward = true })
	ann.say(client.Message{Action: "call.invite", To: "ben", CallID: "c1", ID: "invite"})
	ann.say(client.Message{Action: "call.cancel", To: "ben", CallID: "c1", ID: "cancel"})
	app.release(2)
	answers := make(map[string]string)
	for len(answers) < 2 {
		m := ann.hear("ack", "error")
		answers[m.Ref] = m.Action
	}
	if answers["invite"] != "error" || answers["cancel"] != "ack" {
		t.Errorf("ann is answered %v, want the invite to be over", answers)
	}
	app.set(func(g *awsGateway) { g.backward = false })
	ann.ask(client.Message{Action: "call.invite", To: "ben", CallID: "c2"})
	if m := ben.hear("call.invite", "call.request"); m.CallID != "c2" {
		t.Errorf("ben hears of the call %s, which was cancelled before", m.CallID)
	}
	ben.ask(client.Message{Action: "call.reject", CallID: "c2"})
	if m := ann.hear("call.reject"); m.CallID != "c2" {
		t.Errorf("ann hears %+v", m)
	}
}

// What time brings is done by the schedule.
func TestTheScheduleOnLambda(t *testing.T) {
	t.Parallel()
	app := newChatApp(t)
	app.friends("ann", "ben")
	app.freeze()
	for _, f := range app.functions {
		f.env = append(f.env, "USHER_CALLS_RING=1s")
	}
	ann := app.connect(app.token("ann"))
	ann.ask(client.Message{Action: "call.invite", To: "ben", CallID: "c1"})
	tick := map[string]any{
		"version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled Event", "source": "aws.events", "account": account,
		"time": time.Now().UTC().Format(time.RFC3339), "region": "us-east-1", "resources": []string{"arn:aws:events:us-east-1:" + account + ":rule/sweep"}, "detail": map[string]any{},
	}
	heard := make(chan client.Message, 1)
	go func() { heard <- ann.hear("call.hangup") }()
	until(t, "the call rings on", time.Minute, func() bool {
		if answer := app.functions["Sweep"].invoke(tick); answer.failed() {
			t.Errorf("the schedule's event is answered by an error: %+v", answer)
		}
		return len(heard) > 0
	})
	if m := <-heard; m.CallID != "c1" || m.Call.Reason != "invite_timeout" {
		t.Errorf("ann hears %+v", m)
	}
}
