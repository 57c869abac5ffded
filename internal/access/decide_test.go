package access_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/policy"
)

func TestWhoIsRefusedIsToldWhyAndTheRecordSaysTheRest(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	r := newRoom(t, a)
	ann := user("ann")
	before := time.Now().Add(-time.Second)
	_, err := enter(t, a, ann, r)
	e := refusal(t, err)
	if e.Kind != usher.Forbidden || e.Code != "not_member" || !strings.HasSuffix(e.Message, ".") || e.Decision == "" {
		t.Fatalf("got %+v, want forbidden, not_member, a sentence and a decision", e)
	}
	if strings.Contains(e.Message, string(r.ID)) || strings.Contains(e.Message, r.Owner) {
		t.Errorf("the refusal tells of the room: %s", e.Message)
	}

	event, err := a.Decision(t.Context(), operator, e.Decision)
	if err != nil {
		t.Fatal(err)
	}
	d := event.Decision
	if d == nil || d.Allowed || d.Rule != "admission members" || d.Code != "not_member" || d.Action != string(policy.EnterRoom) || d.Proof != ann.Proof {
		t.Errorf("the record says %+v", d)
	}
	if event.Who != ann.Key() || event.Room != r.ID || event.Type != usher.Decided || event.Reason != e.Message {
		t.Errorf("the record says %+v", event)
	}
	if at := event.Time(); at.Before(before) || at.After(time.Now()) {
		t.Errorf("it was decided at %v, by the record", at)
	}
	_, err = a.Decision(t.Context(), ann, e.Decision)
	wantCode(t, "the refused caller asks for the record", err, "operators_only")

	if _, err := a.PutMember(t.Context(), shop, string(r.ID), usher.Member{Identity: ann.Key(), Role: usher.Viewer}); err != nil {
		t.Fatal(err)
	}
	p, err := enter(t, a, ann, r)
	if err != nil || p.Participant.Role != usher.Viewer || p.Participant.Identity != ann.Key() || p.Participant.Name != "ann" {
		t.Fatalf("as a member: got %+v, %v", p.Participant, err)
	}
	event, err = a.Decision(t.Context(), operator, p.Participant.Grant)
	if err != nil || !event.Decision.Allowed || event.Decision.Rule != "member "+ann.Key() {
		t.Errorf("the grant is recorded as %+v, %v", event.Decision, err)
	}
}

func TestAdmission(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	room := func(admission usher.Admission, members ...usher.Member) usher.Room {
		r, err := a.CreateRoom(t.Context(), shop, access.RoomSpec{Admission: admission}, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			if _, err := a.PutMember(t.Context(), shop, string(r.ID), m); err != nil {
				t.Fatal(err)
			}
		}
		return r
	}
	ann, staff := user("ann"), user("sam", "staff")
	other := staff
	other.Issuer = "https://other.example"
	member := usher.Member{Identity: ann.Key(), Role: usher.Host}
	group := usher.Member{Identity: "group:" + issuer + "#staff", Role: usher.Viewer}
	for name, tt := range map[string]struct {
		room usher.Room
		id   usher.Identity
		code string
		role usher.Role
	}{
		"an open room lets every user in":           {room(usher.AdmitOpen), ann, "", usher.Speaker},
		"a members' room does not":                  {room(usher.AdmitMembers), ann, "not_member", ""},
		"nor does one that does not say":            {room(""), ann, "not_member", ""},
		"an invite-only room asks for an invite":    {room(usher.AdmitInvite), ann, "invite_required", ""},
		"or to be a member":                         {room(usher.AdmitInvite, member), ann, "", usher.Host},
		"a group's members are members":             {room("", group), staff, "", usher.Viewer},
		"of a group of another issuer they are not": {room("", group), other, "not_member", ""},
		"a back end has no business there":          {room(usher.AdmitOpen), stranger, "room_not_found", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := enter(t, a, tt.id, tt.room)
			wantCode(t, "entering", err, tt.code)
			if p.Participant.Role != tt.role {
				t.Errorf("got the role %q, want %q", p.Participant.Role, tt.role)
			}
		})
	}
}

func TestAMembershipEnds(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	r, ann := newRoom(t, a), user("ann")
	ref := string(r.ID)
	if _, err := a.PutMember(t.Context(), shop, ref, usher.Member{Identity: ann.Key(), Role: usher.Host, Name: "Ann"}); err != nil {
		t.Fatal(err)
	}
	members, more, err := a.Members(t.Context(), shop, ref, "", 1)
	if err != nil || more || len(members) != 1 || members[0].AddedBy != shop.Key() || members[0].UpdatedAt.IsZero() {
		t.Errorf("got %+v, %v, %v", members, more, err)
	}
	// A host manages, too, also its own end.
	if err := a.DeleteMember(t.Context(), ann, ref, ann.Key()); err != nil {
		t.Fatal(err)
	}
	_, err = enter(t, a, ann, r)
	wantCode(t, "entering after that", err, "not_member")
	wantCode(t, "deleting again", a.DeleteMember(t.Context(), shop, ref, ann.Key()), "member_not_found")
}

func TestWhatIsNoMember(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	r := newRoom(t, a)
	for _, m := range []usher.Member{
		{}, {Identity: "ann", Role: usher.Host}, {Identity: "user:#ann", Role: usher.Host}, {Identity: "user:x#", Role: usher.Host},
		{Identity: "user:x#a\nb", Role: usher.Host}, {Identity: "client:shop", Role: usher.Host}, {Identity: "local:operator", Role: usher.Host},
		{Identity: "guest:" + string(r.ID), Role: usher.Host}, // who is bound to an invite's role
		{Identity: "user:x#a", Role: "king"}, {Identity: "user:x#a", Role: usher.Host, Name: strings.Repeat("x", 129)},
		{Identity: "user:x#" + strings.Repeat("a", 512), Role: usher.Host},
	} {
		_, err := a.PutMember(t.Context(), shop, string(r.ID), m)
		if e := refusal(t, err); e.Code != "member_invalid" || len(e.Fields) == 0 {
			t.Errorf("%+v: got %+v", m, e)
		}
	}
}

func TestWindows(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	opens := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	closes := opens.Add(time.Hour)
	r, err := a.CreateRoom(t.Context(), shop, access.RoomSpec{Admission: usher.AdmitOpen, OpensAt: opens, ClosesAt: closes}, "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := enter(t, a, user("ann"), r)
	if err != nil || !p.Decision.NotBefore.Equal(opens) || !p.Participant.Expires.Equal(closes) {
		t.Fatalf("got a place from %v to %v, %v, want the room's window", p.Decision.NotBefore, p.Participant.Expires, err)
	}
	if len(p.Decision.Clamped) != 0 {
		t.Errorf("who asked for no time is told %v", p.Decision.Clamped)
	}
	_, err = a.Claim(t.Context(), p.Participant.Key(), p.Secret)
	if e := refusal(t, err); e.Code != "room_not_open" || e.RetryAfter < 59*time.Minute {
		t.Errorf("a claim before the time: got %+v", e)
	}
}

func TestWhatIsCutOffIsSaid(t *testing.T) {
	ask := access.Place{Role: usher.Host, Lifetime: 1000 * time.Hour}
	a := newAccess(t, openStore(t), &bus.Local{})
	r := openRoom(t, a, shop)
	began := time.Now()
	p, err := a.AddParticipant(t.Context(), user("ann"), string(r.ID), ask, "")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Decision.Clamped, []string{"role", "lifetime"}) || p.Participant.Role != usher.Speaker || p.Decision.Permissions.Has(usher.Moderate) {
		t.Errorf("got %+v, want role and lifetime clamped", p.Decision)
	}
	if most := policy.DefaultConfig().MaxLifetime; p.Participant.Expires.After(time.Now().Add(most)) || p.Participant.Expires.Before(began.Add(most-time.Minute)) {
		t.Errorf("it expires at %v", p.Participant.Expires)
	}
	event, err := a.Decision(t.Context(), operator, p.Participant.Grant)
	if err != nil || !slices.Equal(event.Decision.Clamped, p.Decision.Clamped) {
		t.Errorf("the record says %+v, %v", event.Decision, err)
	}

	refusing := newAccess(t, openStore(t), &bus.Local{}, strictPolicy)
	r = openRoom(t, refusing, shop)
	_, err = refusing.AddParticipant(t.Context(), user("ann"), string(r.ID), ask, "")
	wantCode(t, "where excess is refused", err, "role_exceeds")
	_, err = refusing.AddParticipant(t.Context(), user("ann"), string(r.ID), access.Place{Lifetime: ask.Lifetime}, "")
	wantCode(t, "where excess is refused", err, "lifetime_exceeds")
}

func TestUsersTakePlacesForThemselves(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	r := openRoom(t, a, shop)
	_, err := a.AddParticipant(t.Context(), user("ann"), string(r.ID), access.Place{For: user("ben").Key()}, "")
	wantCode(t, "a place for another", err, "for_others")
	p, err := a.AddParticipant(t.Context(), shop, string(r.ID), access.Place{For: user("ben").Key()}, "")
	if err != nil || p.Participant.Identity != user("ben").Key() || p.Participant.Maker != shop.Key() {
		t.Errorf("a place that a back end makes: got %+v, %v", p.Participant, err)
	}
	for _, whom := range []string{"ben", "group:x#staff", "local:operator", "client:shop"} {
		_, err := a.AddParticipant(t.Context(), shop, string(r.ID), access.Place{For: whom}, "")
		wantCode(t, "a place for "+whom, err, "participant_invalid")
	}
}

func TestWhoActsForSomebodyIsInTheRecord(t *testing.T) {
	a := newAccess(t, openStore(t), &bus.Local{})
	client := backend()
	r := openRoom(t, a, shop)
	p, err := enter(t, a, actingFor(client, "ann"), r)
	if err != nil || p.Participant.Identity != user("ann").Key() || p.Participant.Maker != client.Key() {
		t.Fatalf("got %+v, %v", p.Participant, err)
	}
	event, err := a.Decision(t.Context(), operator, p.Participant.Grant)
	if err != nil || event.Who != user("ann").Key() || event.Actor != client.Key() {
		t.Errorf("the record says %+v, %v", event, err)
	}
	// What a back end made it may manage, also for another.
	own, err := a.CreateRoom(t.Context(), client, access.RoomSpec{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if p, err := enter(t, a, actingFor(client, "ben"), own); err != nil || p.Participant.Identity != user("ben").Key() {
		t.Errorf("in the back end's own room: got %+v, %v", p.Participant, err)
	}
}
