package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// apiAnswer is what a call of the SDK's API came to.
type apiAnswer struct {
	Answer    json.RawMessage
	Code      string
	Status    int
	Decision  string
	RequestID string
	Fields    []struct{ Field, Message string }
}

// api calls a method of the SDK's API in the name of somebody, and decodes what it returns.
func (d *driver) api(name, method string, result any, args ...any) apiAnswer {
	d.t.Helper()
	var a apiAnswer
	d.call("api", who{"name": name, "method": method, "args": args}, &a)
	if result == nil {
		return a
	}
	if a.Code != "" {
		d.t.Fatalf("%s of %s was refused: %+v", method, name, a)
	}
	if err := json.Unmarshal(a.Answer, result); err != nil {
		d.t.Fatalf("%s of %s: %v", method, name, err)
	}
	return a
}

func TestAHostManagesARoomWithTheSDK(t *testing.T) {
	t.Parallel()
	d := sdkClients(t, start(t, options{}))
	d.enter("ann")
	_, bobKey := d.enter("bob")
	d.enter("cleo")

	// A request that is sent again makes one room; changes of what others changed are seen.
	var room, again struct {
		ID        string
		Version   int
		Seats     int
		Admission string
	}
	once := map[string]any{"idempotencyKey": "one"}
	d.api("ann", "createRoom", &room, map[string]any{"name": "lobby"}, once)
	d.api("ann", "createRoom", &again, map[string]any{"name": "lobby"}, once)
	if again.ID != room.ID {
		t.Errorf("two rooms were made, %s and %s", room.ID, again.ID)
	}
	version := map[string]any{"version": room.Version}
	d.api("ann", "changeRoom", &again, "lobby", map[string]any{"seats": 5, "admission": "members"}, version)
	if again.Seats != 5 || again.Admission != "members" {
		t.Errorf("the room was changed to %+v", again)
	}
	if a := d.api("ann", "changeRoom", nil, "lobby", map[string]any{"seats": 6}, version); a.Code != "room_changed" || a.Status != 412 {
		t.Errorf("a change of what was changed meanwhile: %+v", a)
	}
	if a := d.api("ann", "changeRoom", nil, "lobby", map[string]any{"seats": -1}); len(a.Fields) != 1 || a.Fields[0].Field != "seats" || a.RequestID == "" {
		t.Errorf("a room of -1 seats: %+v", a)
	}

	// Members, and who is none.
	refused := d.ask("rejoin", who{"name": "bob", "room": room.ID})
	if refused == "" {
		t.Error("bob entered a room for members")
	}
	d.api("ann", "putMember", nil, "lobby", map[string]any{"identity": bobKey, "role": "speaker", "name": "Bob"})
	var members struct {
		Members []struct{ Identity, Role string }
	}
	d.api("ann", "members", &members, "lobby")
	if len(members.Members) != 1 || members.Members[0].Identity != bobKey || members.Members[0].Role != "speaker" {
		t.Errorf("the members are %+v", members)
	}
	d.ask("join", who{"name": "ann", "room": room.ID})
	d.ask("join", who{"name": "bob", "room": room.ID})

	// A guest by an invite, who is asked to be quiet, and put out for good.
	var invite struct{ ID, Code string }
	d.api("ann", "createInvite", &invite, "lobby", map[string]any{"max_uses": 1})
	var guest struct{ Participant, Role, Kind string }
	d.call("guest", who{"name": "gus", "code": invite.Code}, &guest)
	if guest.Kind != "guest" || guest.Role != "speaker" {
		t.Errorf("the guest is %+v", guest)
	}
	d.ask("roster", who{"name": "ann", "size": 3})
	d.ask("mute", who{"name": "ann", "participant": guest.Participant})
	if got := d.ask("said", who{"name": "gus"}); got != "audio" {
		t.Errorf("the guest was asked to mute %q", got)
	}
	if err := d.try("mute", who{"name": "gus", "participant": guest.Participant}, nil); err == nil {
		t.Error("a guest moderates")
	}
	refusal := d.api("gus", "createInvite", nil, room.ID)
	if refusal.Code == "" || refusal.Decision == "" {
		t.Fatalf("a guest's invite was refused as %+v", refusal)
	}
	var invites struct{ Invites []struct{ Uses int } }
	d.api("ann", "invites", &invites, "lobby")
	if len(invites.Invites) != 1 || invites.Invites[0].Uses != 1 {
		t.Errorf("the invites are %+v", invites)
	}
	var ban struct{ ID, Identity string }
	d.api("ann", "ban", &ban, "lobby", map[string]any{"participant": guest.Participant, "reason": "Enough."})
	if !strings.HasPrefix(ban.Identity, "guest:") {
		t.Errorf("banned %+v", ban)
	}
	d.call("left", who{"name": "gus"}, nil)
	d.ask("roster", who{"name": "ann", "size": 2})
	if got := d.ask("rejoin", who{"name": "gus", "room": room.ID}); got == "" {
		t.Error("a banned guest entered again")
	}
	var bans struct{ Bans []struct{ ID string } }
	d.api("ann", "bans", &bans, "lobby")
	if len(bans.Bans) != 1 || bans.Bans[0].ID != ban.ID {
		t.Errorf("the bans are %+v", bans)
	}
	d.api("ann", "unban", nil, "lobby", ban.ID)
	if a := d.api("ann", "unban", nil, "lobby", ban.ID); a.Code != "ban_not_found" {
		t.Errorf("a ban was lifted twice: %+v", a)
	}
	d.api("ann", "removeMember", nil, "lobby", bobKey)
	d.api("ann", "revokeInvite", nil, "lobby", invite.ID)

	// The end of the room is told to who is there.
	d.api("ann", "endRoom", nil, "lobby", "That's all.")
	var left struct{ Reason, Message string }
	d.call("left", who{"name": "bob"}, &left)
	if left.Reason != "room_ended" || left.Message != "That's all." {
		t.Errorf("bob was told %+v", left)
	}

	// Lists page by page, and why something was refused.
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		d.api("cleo", "createRoom", nil, map[string]any{"name": name})
	}
	var listed struct{ Names, First []string }
	d.call("roomNames", who{"name": "cleo", "most": 3}, &listed)
	if len(listed.Names) < 5 || !cmp.Equal(listed.First, listed.Names[:3]) {
		t.Errorf("the rooms are %+v", listed)
	}
	var explained struct {
		Answer struct{ Decision struct{ Code string } }
	}
	d.call("api", who{"name": "ann", "operator": true, "method": "decision", "args": []string{refusal.Decision}}, &explained)
	if explained.Answer.Decision.Code != refusal.Code {
		t.Errorf("the refusal %s is explained as %+v", refusal.Code, explained)
	}

	// Nobody else is told of what happens here.
	var hooks, replay apiAnswer
	d.call("api", who{"name": "ann", "operator": true, "method": "webhooks", "args": []string{}}, &hooks)
	d.call("api", who{"name": "ann", "operator": true, "method": "replayWebhook", "args": []string{"app", "end"}}, &replay)
	if string(hooks.Answer) != "[]" || replay.Code != "webhook_not_found" {
		t.Errorf("the webhooks are %s (%s), and one is told again: %+v", hooks.Answer, hooks.Code, replay)
	}
}
