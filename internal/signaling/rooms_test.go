package signaling_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"usher"
	"usher/internal/access"
	"usher/internal/store"
)

// meeting is a room of a host's, with a participant's place for whoever is to
// come by a secret.
func (w *world) meeting(host string) usher.Room {
	w.t.Helper()
	r, err := w.access.CreateRoom(w.t.Context(), person(host), access.RoomSpec{Name: "meeting of " + host, Admission: usher.AdmitOpen}, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// join enters a room and returns the participant.
func (p *peer) join(format string, args ...any) (participant, token string) {
	p.t.Helper()
	m := p.ask(`{"action":"room.join","id":"j","payload":`+format+`}`, args...)
	joined := m["payload"].(map[string]any)
	if m["action"] != "room.joined" || m["ref"] != "j" {
		p.t.Fatalf("%s was told %v", p.name, m)
	}
	return joined["participant"].(string), joined["token"].(string)
}

// roster waits until so many are in the room.
func (p *peer) roster(n int) {
	p.t.Helper()
	for {
		m := p.next().body
		if m["action"] == "room.roster" && len(m["payload"].(map[string]any)["participants"].([]any)) == n {
			return
		}
	}
}

func TestARoomIsJoinedInThreeWays(t *testing.T) {
	w := newWorld(t)
	r := w.meeting("ann")
	ann, bob, carl := w.connect("ann"), w.connect("bob", legacy), w.connect("carl")
	annsID, _ := ann.join(`{"room":%q}`, r.Name)
	ann.roster(1)
	bobsID, _ := bob.join(`{"room":%q,"role":"viewer"}`, r.ID)
	shop := usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: string(usher.SystemIDs().New()), Scopes: usher.AllScopes}
	if _, err := w.access.PutMember(t.Context(), person("ann"), string(r.ID), usher.Member{Identity: shop.Key(), Role: usher.Host}); err != nil {
		t.Fatal(err)
	}
	invited, err := w.access.AddParticipant(t.Context(), shop, string(r.ID), access.Place{Role: usher.Speaker, Name: "Somebody"}, "")
	if err != nil {
		t.Fatal(err)
	}
	_, token := carl.join(`{"room":%q,"participant":%q,"secret":%q}`, r.ID, invited.Participant.ID, invited.Secret.Reveal())
	ann.roster(3)
	carl.refused("already_in_room", `{"action":"room.join","payload":{"room":%q}}`, r.ID)
	carl.ask(`{"action":"room.leave","id":"1","room":%q}`, r.ID)
	carl.refused("token_invalid", `{"action":"room.join","payload":{"room":%q,"participant":%q,"token":%q}}`, r.ID, invited.Participant.ID, token)
	carl.refused("participant_not_found", `{"action":"room.join","payload":{"room":%q,"participant":%q,"secret":%q}}`, r.ID, invited.Participant.ID, invited.Secret.Reveal())
	carl.refused("not_in_room", `{"action":"room.message","room":%q}`, r.ID)
	ann.roster(2)

	// What each may do.
	ann.ask(`{"action":"room.message","room":%q,"id":"1","payload":{"a": 1}}`, r.ID)
	m := bob.want("room.message")
	if m["from"] != "ann" || m["fromParticipant"] != annsID || m["room"] != string(r.ID) {
		t.Errorf("bob heard %v", m)
	}
	bob.refused("permission_missing", `{"action":"room.message","room":%q}`, r.ID)
	bob.refused("permission_missing", `{"action":"room.moderate","room":%q,"to":%q,"payload":{"do":"remove"}}`, r.ID, annsID)
	bob.refused("permission_missing", `{"action":"room.moderate","room":%q,"to":%q,"payload":{"do":"mute"}}`, r.ID, annsID)
	bob.ask(`{"action":"sdp","room":%q,"to":%q,"id":"2"}`, r.ID, annsID)
	ann.want("sdp")
	bob.ask(`{"action":"sdp","to":"ann","id":"3"}`) // since both are in the room
	ann.want("sdp")
	ann.ask(`{"action":"room.moderate","room":%q,"to":%q,"id":"4","payload":{"do":"mute","kind":"audio"}}`, r.ID, bobsID)
	if m := bob.want("room.moderate"); m["payload"].(map[string]any)["kind"] != "audio" {
		t.Errorf("bob heard %v", m)
	}
	ann.refused("participant_not_found", `{"action":"room.message","room":%q,"to":%q}`, r.ID, invited.Participant.ID)
	ann.refused("malformed", `{"action":"room.moderate","room":%q,"to":%q,"payload":{"do":"sing"}}`, r.ID, bobsID)
	carl.refused("unreachable", `{"action":"sdp","to":"ann"}`)
}

func TestWhoIsRemovedIsOutAtOnceAndForGood(t *testing.T) {
	w := newWorld(t)
	r := w.meeting("ann")
	ann, bob := w.connect("ann"), w.connect("bob")
	ann.join(`{"room":%q}`, r.ID)
	id, token := bob.join(`{"room":%q}`, r.ID)
	ann.ask(`{"action":"room.moderate","room":%q,"to":%q,"id":"1","payload":{"do":"remove","reason":"Enough."}}`, r.ID, id)
	left := bob.want("room.left")
	if p := left["payload"].(map[string]any); p["reason"] != "removed" || p["message"] != "Enough." {
		t.Errorf("bob is told %v", left)
	}
	bob.wantClosed(4406)
	back := func(n *node, what string) {
		t.Helper()
		again := as{node: n}
		bob.resume(0)(&again)
		p, _, err := w.dial("bob", again)
		if err != nil {
			t.Fatal(err)
		}
		p.wantClosed(4404)
		p = w.connect("bob", on(n))
		p.refused("token_invalid", `{"action":"room.join","payload":{"room":%q,"participant":%q,"token":%q}}`, r.ID, id, token)
		p.refused("not_in_room", `{"action":"room.message","room":%q}`, r.ID)
		p.refused("unreachable", `{"action":"sdp","to":"ann"}`)
	}
	back(w.node, "at once")
	w.stop()
	back(w.start(), "after a restart")
}

func TestABanPutsOutAndKeepsOut(t *testing.T) {
	w := newWorld(t)
	r := w.meeting("ann")
	ann, bob := w.connect("ann"), w.connect("bob")
	ann.join(`{"room":%q}`, r.ID)
	bob.join(`{"room":%q}`, r.ID)
	if _, err := w.access.Ban(t.Context(), person("ann"), string(r.ID), access.BanSpec{Identity: person("bob").Key()}); err != nil {
		t.Fatal(err)
	}
	bob.want("room.left")
	bob.wantClosed(4406)
	w.connect("bob").refused("banned", `{"action":"room.join","payload":{"room":%q}}`, r.ID)
}

func TestARightThatIsTakenIsGoneAtOnce(t *testing.T) {
	w := newWorld(t)
	r := w.meeting("ann")
	if _, err := w.access.PutMember(t.Context(), person("ann"), string(r.ID), usher.Member{Identity: person("carl").Key(), Role: usher.Host}); err != nil {
		t.Fatal(err)
	}
	ann, bob, carl := w.connect("ann"), w.connect("bob"), w.connect("carl")
	annsID, _ := ann.join(`{"room":%q}`, r.ID)
	id, _ := bob.join(`{"room":%q}`, r.ID)
	carl.join(`{"room":%q}`, r.ID)
	bob.ask(`{"action":"room.message","room":%q,"id":"1"}`, r.ID)
	bob.refused("permission_missing", `{"action":"room.moderate","room":%q,"to":%q,"payload":{"do":"role","role":"viewer"}}`, r.ID, annsID)
	ann.ask(`{"action":"room.moderate","room":%q,"to":%q,"id":"1","payload":{"do":"role","role":"viewer"}}`, r.ID, id)
	bob.refused("permission_missing", `{"action":"room.message","room":%q}`, r.ID)
	if m := bob.want("room.rights"); m["payload"].(map[string]any)["role"] != "viewer" {
		t.Errorf("bob is told %v", m)
	}
	for text, code := range map[string]string{
		`{"do":"role","role":"king"}`: "role_unknown", `{"do":"role"}`: "role_unknown",
	} {
		ann.refused(code, `{"action":"room.moderate","room":%q,"to":%q,"payload":%s}`, r.ID, id, text)
	}

	// A membership that is worth less takes from the places that it gave.
	carl.ask(`{"action":"room.moderate","room":%q,"to":%q,"id":"2","payload":{"do":"mute"}}`, r.ID, annsID)
	if _, err := w.access.PutMember(t.Context(), person("ann"), string(r.ID), usher.Member{Identity: person("carl").Key(), Role: usher.Viewer}); err != nil {
		t.Fatal(err)
	}
	carl.refused("permission_missing", `{"action":"room.moderate","room":%q,"to":%q,"payload":{"do":"mute"}}`, r.ID, annsID)
	carl.until("room.rights")
	if _, err := w.access.EndRoom(t.Context(), person("ann"), string(r.ID), ""); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*peer{ann, bob, carl} {
		p.until("room.left")
		p.refused("not_in_room", `{"action":"room.message","room":%q}`, r.ID)
	}
}

func TestAResumedSessionIsStillInItsRooms(t *testing.T) {
	w := newWorld(t)
	r := w.meeting("ann")
	ann, bob := w.connect("ann"), w.connect("bob")
	ann.join(`{"room":%q}`, r.ID)
	id, _ := bob.join(`{"room":%q}`, r.ID)
	bob.drop()
	back := w.connect("bob", bob.resume(0))
	if m := back.want("room.joined"); m["payload"].(map[string]any)["participant"] != id {
		t.Errorf("bob is told %v", m)
	}
	newest := w.connect("bob", back.resume(0)) // while the other is still there
	back.wantClosed(4409)
	newest.want("room.joined")
	ann.ask(`{"action":"room.message","room":%q,"to":%q,"id":"1"}`, r.ID, id)
	newest.want("room.message")
	newest.ask(`{"action":"room.message","room":%q,"id":"1"}`, r.ID)
	ann.want("room.message")
}

// brokenRooms are rooms that nobody can be attached to while they are broken.
type brokenRooms struct {
	store.DB
	broken *atomic.Bool
}

func (b brokenRooms) Rooms() store.Rooms { return brokenChange{b.DB.Rooms(), b.broken} }

type brokenChange struct {
	store.Rooms
	broken *atomic.Bool
}

func (b brokenChange) Change(ctx context.Context, key usher.ParticipantKey, change func(store.Entry) (store.Entry, error)) (store.Entry, error) {
	if b.broken.Load() {
		return store.Entry{}, &usher.Error{Kind: usher.Unavailable, Code: "storage_unavailable", Message: "Not now.", Err: errors.New("it is broken")}
	}
	return b.Rooms.Change(ctx, key, change)
}

func TestWhoComesBackWhenTheStoreFailsIsNotPutOut(t *testing.T) {
	w := newWorld(t)
	var broken atomic.Bool
	w.db = brokenRooms{w.db, &broken}
	n := w.start()
	r := w.meeting("ann")
	ann, bob := w.connect("ann", on(n)), w.connect("bob", on(n))
	ann.join(`{"room":%q}`, r.ID)
	id, _ := bob.join(`{"room":%q}`, r.ID)
	broken.Store(true)
	for range 3 {
		bob.drop()
		bob = w.connect("bob", bob.resume(0), on(n))
		bob.wantClosed(1011)
		for len(bob.heard) > 0 {
			if m := <-bob.heard; m.body["action"] == "room.left" {
				t.Errorf("bob was told %s", m.text)
			}
		}
	}
	broken.Store(false)
	bob = w.connect("bob", bob.resume(0), on(n))
	if m := bob.want("room.joined"); m["payload"].(map[string]any)["participant"] != id {
		t.Errorf("bob is told %v", m)
	}
	bob.ask(`{"action":"room.message","room":%q,"id":"1"}`, r.ID)
	ann.want("room.message")
}

func TestAGuestMeetsOthersInTheRoomOnly(t *testing.T) {
	w := newWorld(t)
	r := w.meeting("ann")
	ann := w.connect("ann")
	gus := w.connect("gus", with(w.tokens.issue(guest("gus", r.ID))))
	if gus.hello["userId"] != "guest:gus" {
		t.Errorf("the guest is greeted %v", gus.hello)
	}
	gus.refused("unreachable", `{"action":"sdp","to":"ann"}`)
	gus.refused("users_only", `{"action":"call.invite","to":"ann"}`)
	ann.refused("unreachable", `{"action":"sdp","to":"guest:gus"}`)
	ann.join(`{"room":%q}`, r.ID)
	id, _ := gus.join(`{"room":%q}`, r.ID)
	ann.ask(`{"action":"sdp","room":%q,"to":%q,"id":"1"}`, r.ID, id)
	gus.want("sdp")
}

func TestManyInARoomAreToldOnce(t *testing.T) {
	w := newWorld(t)
	r := w.meeting("p0")
	const n = 20
	var all []*peer
	for i := range n {
		p := w.connect(fmt.Sprint("p", i))
		p.join(`{"room":%q}`, r.ID)
		all = append(all, p)
	}
	for _, p := range all {
		p.roster(n)
	}
	all[0].ask(`{"action":"room.message","room":%q,"id":"1","payload":"x"}`, r.ID)
	for _, p := range all[1:] {
		p.want("room.message")
	}
	all[0].quiet()
}
