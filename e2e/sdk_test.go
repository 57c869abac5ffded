package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// sdkDir is where the SDK is.
const sdkDir = "../sdk/js"

// buildSDK builds the SDK once for all tests.
func buildSDK(t testing.TB) {
	t.Helper()
	needs(t, "npm")
	if _, err := os.Stat(filepath.Join(sdkDir, "node_modules", "typescript")); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the SDK's compiler is missing: scripts/test-deps installs it")
		}
		t.Skip("the SDK's compiler is not installed, so that this can't be shown here; scripts/test-deps installs it")
	}
	if err := builtSDK(); err != nil {
		t.Fatal(err)
	}
}

var builtSDK = sync.OnceValue(func() error {
	cmd := exec.Command("npm", "run", "--silent", "build")
	cmd.Dir, cmd.Env = sdkDir, environ()
	cmd.WaitDelay = time.Minute
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the SDK: %w\n%s", err, out)
	}
	return nil
})

// sdkClients is the SDK in Node.js, at a server.
func sdkClients(t testing.TB, s *Server) *driver {
	t.Helper()
	buildSDK(t)
	return startDriver(t, "usherclient.mjs", "E2E_SERVER="+s.HTTP)
}

// who are the arguments of a call of the driver.
type who map[string]any

// ask makes a call of the driver and returns its text, if it has one.
func (d *driver) ask(call string, args who) string {
	d.t.Helper()
	var result any
	d.call(call, args, &result)
	text, _ := result.(string)
	return text
}

// enter signs somebody in with the SDK and returns the user's id and key.
func (d *driver) enter(name string) (id, key string) {
	d.t.Helper()
	var u struct{ User, ID, Key string }
	d.call("enter", who{"name": name}, &u)
	if u.User != u.ID || u.ID == "" {
		d.t.Fatalf("%s is %q to the socket and %q to the API", name, u.User, u.ID)
	}
	return u.ID, u.Key
}

func TestTwoPeopleCallEachOtherWithTheSDK(t *testing.T) {
	t.Parallel()
	d := sdkClients(t, start(t, options{}))
	ann, _ := d.enter("ann")
	bob, bobKey := d.enter("bob")
	if got := d.ask("befriend", who{"name": "ann", "other": "bob"}); got != bob {
		t.Errorf("ann's contact is %q, want %q", got, bob)
	}
	d.ask("befriend", who{"name": "bob", "other": "ann"})
	d.ask("status", who{"name": "ann", "of": bob, "is": "online"})
	d.ask("away", who{"name": "bob"})
	d.ask("status", who{"name": "ann", "of": bob, "is": "away"})

	// A call, through lost connections of both.
	d.ask("call", who{"name": "ann", "to": bob})
	var rings struct {
		From, Name string
		Stranger   bool
		Payload    map[string]map[string]bool
	}
	d.call("rings", who{"name": "bob"}, &rings)
	if rings.From != ann || rings.Name != "ann" || rings.Stranger || !rings.Payload["media"]["audio"] {
		t.Errorf("bob's phone says %+v", rings)
	}
	d.ask("rang", who{"name": "ann"})
	d.ask("accept", who{"name": "bob"})
	d.ask("state", who{"name": "ann", "is": "accepted"})
	d.ask("status", who{"name": "ann", "of": bob, "is": "busy"})
	d.ask("connected", who{"name": "ann"})
	var back struct {
		Before, After struct {
			Connection string
			Resumed    bool
		}
	}
	d.call("drop", who{"name": "ann"}, &back)
	if !back.After.Resumed || back.After.Connection != back.Before.Connection {
		t.Errorf("after a lost connection ann is greeted as %+v", back)
	}
	if got := d.ask("relay", who{"name": "bob", "to": "ann", "value": "still there?"}); got != "still there?" {
		t.Errorf("bob's note reached ann as %q", got)
	}
	// What happens while a connection is lost is told when it is back.
	d.ask("cut", who{"name": "ann"})
	d.ask("hangup", who{"name": "bob"})
	if got := d.ask("reason", who{"name": "ann"}); got != "user_hangup" {
		t.Errorf("ann's call ended for %q", got)
	}

	// Declined, cancelled, and by who is no contact any more.
	d.ask("call", who{"name": "bob", "to": ann})
	d.call("rings", who{"name": "ann"}, &rings)
	d.ask("reject", who{"name": "ann"})
	if got := d.ask("reason", who{"name": "bob"}); got != "rejected" {
		t.Errorf("bob's call ended for %q", got)
	}
	d.ask("unfriend", who{"name": "ann", "key": bobKey})
	d.ask("status", who{"name": "ann", "of": bob, "is": "offline"})
	d.ask("call", who{"name": "bob", "to": ann})
	d.call("rings", who{"name": "ann"}, &rings)
	if !rings.Stranger {
		t.Error("who was taken off the list rings as a contact")
	}
	d.ask("hangup", who{"name": "bob"})
	var missed struct{ From, Reason string }
	d.call("missed", who{"name": "ann"}, &missed)
	if missed.From != bob || missed.Reason != "cancelled" {
		t.Errorf("ann missed %+v", missed)
	}
}

func TestTheSDKComesBackToItsRoomsAfterARestart(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	d := sdkClients(t, s)
	d.enter("ann")
	d.enter("bob")
	room := d.ask("room", who{"name": "ann"})
	d.ask("join", who{"name": "ann", "room": room})
	var joined struct{ Participant string }
	d.call("join", who{"name": "bob", "room": room}, &joined)
	d.ask("roster", who{"name": "ann", "size": 2})
	d.ask("say", who{"name": "ann", "value": "hello"})
	if got := d.ask("said", who{"name": "bob"}); got != "hello" {
		t.Errorf("bob heard %q", got)
	}

	s.Stop()
	s.Restart()
	for _, name := range []string{"ann", "bob"} {
		d.ask("back", who{"name": name, "times": 2})
		d.ask("roster", who{"name": name, "size": 2})
	}
	// What they know of the roster may be from before; who may speak is in the room.
	for _, name := range []string{"bob", "ann"} {
		if err := d.until("say", who{"name": name, "value": "again"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.ask("said", who{"name": "bob"}); got != "again" {
		t.Errorf("bob heard %q", got)
	}

	// Removed for good: the connection goes on, the place does not.
	var hellos int
	d.call("hellos", who{"name": "bob"}, &hellos)
	d.ask("remove", who{"name": "ann", "participant": joined.Participant})
	var left struct{ Reason, Message string }
	d.call("left", who{"name": "bob"}, &left)
	if want := "removed"; left.Reason != want || left.Message != "Enough." {
		t.Errorf("bob was told %+v", left)
	}
	d.ask("roster", who{"name": "ann", "size": 1})
	d.ask("back", who{"name": "bob", "times": hellos + 1})
	var stopped []string
	d.call("stopped", who{"name": "bob"}, &stopped)
	if len(stopped) > 0 {
		t.Errorf("bob's client has stopped: %q", stopped)
	}
}

// until makes a call again until it succeeds.
func (d *driver) until(call string, args any) error {
	ctx := within(d.t, time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := d.try(call, args, nil)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

func TestTheSDKRenewsItsCredentials(t *testing.T) {
	t.Parallel()
	s := start(t, options{Dir: agoraFolder(t)})
	s.Secret(agoraCertificate)
	d := sdkClients(t, s)
	d.enter("ann")
	d.enter("bob")
	room := d.ask("room", who{"name": "ann"})
	request := map[string]any{"platform": "agora", "subject": "7", "ttl": 5}

	var renewed struct {
		Seen []struct {
			Token         string
			At, ExpiresIn int64
		}
		Told []string
	}
	d.call("renewals", who{"name": "ann", "room": room, "request": request, "count": 4}, &renewed)
	var tokens []string
	for i, c := range renewed.Seen {
		tokens = append(tokens, s.Secret(c.Token))
		if c.ExpiresIn > 5 || c.ExpiresIn < 1 {
			t.Errorf("credential %d lasts %d s", i, c.ExpiresIn)
		}
	}
	slices.Sort(tokens)
	if distinct := len(slices.Compact(tokens)); distinct < 4 || len(renewed.Told) > 0 {
		t.Errorf("got %d credentials, and was told %q", distinct, renewed.Told)
	}

	// A refusal that is final stops it, and says why.
	request["subject"] = "8"
	d.ask("watch", who{"name": "bob", "room": room, "request": request})
	s.must(200, "DELETE", "/api/v1/rooms/"+room, `{"reason":"done"}`, asJSON...)
	var why struct {
		Code, Message, Decision string
		Final                   bool
	}
	d.call("why", who{"name": "bob"}, &why)
	if !why.Final || why.Code != "room_ended" || why.Message == "" {
		t.Errorf("the credential stopped for %+v", why)
	}
	if got := d.ask("refusal", who{"name": "ann", "room": "aaaaaaaaaaaaaaaaaaaaaaaaaa"}); got != "room_not_found" {
		t.Errorf("a room that there is not is refused with %q", got)
	}
}

func TestTheQuickStartWithARoomRunsAsPrinted(t *testing.T) {
	t.Parallel()
	buildSDK(t)
	s := start(t, options{})
	cmd := exec.CommandContext(within(t, 2*time.Minute), "node", "quickstart.mjs")
	cmd.Dir, cmd.Env = nodeDir(t, "ws"), environ("E2E_SERVER="+s.HTTP)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "speaker\n" {
		t.Fatalf("got the error %v\n%s", err, out)
	}
}
