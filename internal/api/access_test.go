package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"usher"
	"usher/client"
)

// enter takes a place for a caller that makes it for itself.
func (s *server) enter(token, room string, req client.AddParticipantRequest) (client.Invited, error) {
	return s.as(token).AddParticipant(s.Context(), room, req)
}

func TestARefusalIsExplainedAndMended(t *testing.T) {
	s := newServer(t)
	r := s.room(owner, client.CreateRoomRequest{Name: "lobby"})
	_, err := s.enter(ann, "lobby", client.AddParticipantRequest{})
	refused := problemOf(t, err)
	if refused.Status != http.StatusForbidden || refused.Code != "not_member" {
		t.Fatalf("got %v, want 403 not_member", err)
	}
	if strings.Contains(refused.Error(), "admission") || !strings.Contains(refused.Error(), string(refused.Decision)) {
		t.Errorf("got %q, want the decision's id and nothing of the rule", refused.Error())
	}

	why := must(s.as(operator).Decision(t.Context(), refused.Decision))(t)
	want := client.Event{
		ID: refused.Decision, Type: usher.Decided, At: client.Time{Time: refused.Decision.Time()}, Who: annKey, Name: ann, Room: r.ID,
		RequestID: refused.RequestID, Reason: refused.Detail,
		Decision: &client.Decision{
			Action: "room.enter", Rule: "admission members", Code: "not_member", Proof: "https://id.example, key 1",
			Permissions: usher.Permissions{}, Clamped: []string{},
		},
	}
	if diff := cmp.Diff(want, why); diff != "" {
		t.Errorf("the decision:\n%s", diff)
	}
	for _, token := range []string{ann, owner, nobody} {
		if _, err := s.as(token).Decision(t.Context(), refused.Decision); problemOf(t, err).Status/100 != 4 {
			t.Errorf("%q was told of the decision: %v", token, err)
		}
	}

	member := must(s.as(owner).PutMember(t.Context(), "lobby", client.PutMemberRequest{Identity: annKey, Role: usher.Viewer, Name: "Ann"}))(t)
	if member.Room != r.ID || member.AddedBy != "client:owner" || member.Role != usher.Viewer {
		t.Errorf("member: got %+v", member)
	}
	p := must(s.enter(ann, "lobby", client.AddParticipantRequest{}))(t)
	if p.Role != usher.Viewer || p.Identity != annKey || p.Grant == "" || len(p.Clamped) != 0 {
		t.Errorf("entered: got %+v", p)
	}
	if diff := cmp.Diff(usher.Permissions{usher.Join, usher.Subscribe}, p.Permissions); diff != "" {
		t.Errorf("permissions:\n%s", diff)
	}
	if granted := must(s.as(operator).Decision(t.Context(), p.Grant))(t); !granted.Decision.Allowed || granted.Decision.Rule != "member "+annKey {
		t.Errorf("the grant: got %+v", granted.Decision)
	}
}

func TestWhatIsAskedForBeyondTheLimitIsCutDown(t *testing.T) {
	s := newServer(t)
	s.room(owner, client.CreateRoomRequest{Name: "lobby", Admission: usher.AdmitOpen})
	for _, tt := range []struct {
		name    string
		ttl     int64
		role    usher.Role
		want    time.Duration
		clamped []string
	}{
		{"nothing", 0, "", 6 * time.Hour, []string{}},
		{"less", 60, usher.Viewer, time.Minute, []string{}},
		{"more", 25 * 3600, usher.Host, 24 * time.Hour, []string{"role", "lifetime"}},
		{"longer than any time", 1<<63 - 1, "", 24 * time.Hour, []string{"lifetime"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := s.clock()
			p := must(s.enter(ann, "lobby", client.AddParticipantRequest{Role: tt.role, TTL: tt.ttl}))(t)
			if got := p.ExpiresAt.Sub(before).Round(time.Second); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if diff := cmp.Diff(tt.clamped, p.Clamped); diff != "" {
				t.Errorf("clamped:\n%s", diff)
			}
			if p.Permissions.Has(usher.Moderate) {
				t.Errorf("got permissions %s", p.Permissions)
			}
		})
	}
	if got := s.send(request{ann, "POST", "/api/v1/rooms/lobby/participants", `{"ttl":-1}`, nil}); got.status != 400 || got.problem(t).Code != "lifetime_invalid" {
		t.Errorf("a negative time: got %d %s", got.status, got.body)
	}
}

func TestAPlaceForSomebodyElse(t *testing.T) {
	s := newServer(t)
	s.room(owner, client.CreateRoomRequest{Name: "lobby", Admission: usher.AdmitOpen})
	if p := must(s.enter(owner, "lobby", client.AddParticipantRequest{For: annKey, Name: "Ann"}))(t); p.Identity != annKey || p.Name != "Ann" {
		t.Errorf("for a user: got %+v", p)
	}
	for code, call := range map[string]struct{ token, whom string }{
		"for_others":          {ben, annKey},
		"participant_invalid": {owner, "group:https://id.example#staff"},
	} {
		if _, err := s.enter(call.token, "lobby", client.AddParticipantRequest{For: call.whom}); problemOf(t, err).Code != code {
			t.Errorf("%s for %s: got %v, want %s", call.token, call.whom, err, code)
		}
	}
}

func TestAdmissionIsChanged(t *testing.T) {
	s := newServer(t)
	s.room(owner, client.CreateRoomRequest{Name: "lobby", Admission: usher.AdmitInvite})
	for _, tt := range []struct {
		admission usher.Admission
		code      string // for a user who is no member
	}{{usher.AdmitInvite, "invite_required"}, {usher.AdmitOpen, ""}, {usher.AdmitMembers, "not_member"}, {"", "not_member"}} {
		r := must(s.as(owner).ChangeRoom(t.Context(), "lobby", client.ChangeRoomRequest{Admission: &tt.admission}))(t)
		if r.Admission != tt.admission {
			t.Errorf("got admission %q, want %q", r.Admission, tt.admission)
		}
		_, err := s.enter(ann, "lobby", client.AddParticipantRequest{})
		if tt.code == "" && err != nil || tt.code != "" && problemOf(t, err).Code != tt.code {
			t.Errorf("admission %q: got %v, want %q", tt.admission, err, tt.code)
		}
	}
	if got := s.send(request{owner, "PATCH", "/api/v1/rooms/lobby", `{"admission":"all"}`, nil}); got.problem(t).Code != "room_invalid" {
		t.Errorf("admission to all: got %s", got.body)
	}
}

func TestAGuestFromItsInviteToItsBan(t *testing.T) {
	s := newServer(t)
	r := s.room(owner, client.CreateRoomRequest{Name: "lobby", Admission: usher.AdmitInvite})
	other := s.room(owner, client.CreateRoomRequest{Name: "other", Admission: usher.AdmitOpen})
	invite := must(s.as(owner).CreateInvite(t.Context(), "lobby", client.CreateInviteRequest{Role: usher.Viewer, MaxUses: 1}))(t)
	redeemed := must(s.as(nobody).Redeem(t.Context(), client.RedeemRequest{Code: invite.Code, Name: "Dora"}))(t)
	if g := redeemed.Guest; g.Name != "Dora" || g.Room != r.ID || g.Role != usher.Viewer || !g.ExpiresAt.After(s.clock()) {
		t.Errorf("guest: got %+v", g)
	}
	dora := redeemed.Token.Reveal()
	me := must(s.as(dora).Me(t.Context()))(t)
	want := client.Me{
		Kind: usher.GuestIdentity, Key: "guest:" + redeemed.Guest.ID, Name: "Dora", Groups: []string{}, Scopes: usher.Scopes{},
		Room: r.ID, Role: usher.Viewer, ExpiresAt: redeemed.Guest.ExpiresAt,
	}
	if diff := cmp.Diff(want, me); diff != "" {
		t.Errorf("me:\n%s", diff)
	}
	if _, err := s.enter(dora, string(other.ID), client.AddParticipantRequest{}); problemOf(t, err).Code != "room_not_found" {
		t.Errorf("another room: got %v", err)
	}
	p := must(s.enter(dora, "lobby", client.AddParticipantRequest{Name: "Ann", Role: usher.Host}))(t)
	if p.Name != "Dora" || p.Role != usher.Viewer || p.Identity != me.Key {
		t.Errorf("place: got %+v, want one as the invite says", p.Participant)
	}

	until := client.Time{Time: s.clock().Add(time.Hour).Truncate(time.Microsecond)}
	ban := must(s.as(owner).Ban(t.Context(), "lobby", client.BanRequest{Participant: p.ID, Until: until, Reason: "Spam."}))(t)
	wantBan := client.Ban{ID: ban.ID, Room: r.ID, Identity: me.Key, By: "client:owner", Reason: "Spam.", Until: until, CreatedAt: client.Time{Time: ban.ID.Time()}}
	if diff := cmp.Diff(wantBan, ban); diff != "" {
		t.Errorf("ban:\n%s", diff)
	}
	if _, err := s.enter(dora, "lobby", client.AddParticipantRequest{}); problemOf(t, err).Code != "banned" {
		t.Errorf("after the ban: got %v", err)
	}
	if _, err := s.as(nobody).Claim(t.Context(), r.ID, p.ID, p.Secret); problemOf(t, err).Status != http.StatusNotFound {
		t.Errorf("a claim after the ban: got %v", err)
	}
	if page := must(s.as(owner).BanPage(t.Context(), "lobby", client.PageQuery{}))(t); !slices.Equal(page.Bans, []client.Ban{ban}) {
		t.Errorf("bans: got %+v", page.Bans)
	}
	if err := s.as(owner).UnbanIdentity(t.Context(), "lobby", client.UnbanRequest{Participant: p.ID}); err != nil {
		t.Fatal(err)
	}
	must(s.enter(dora, "lobby", client.AddParticipantRequest{}))(t)

	if invites := must(s.as(owner).InvitePage(t.Context(), "lobby", client.PageQuery{}))(t).Invites; len(invites) != 1 || invites[0].Uses != 1 {
		t.Errorf("invites: got %+v", invites)
	}
	for _, secret := range []string{dora, invite.Code.Reveal(), p.Secret.Reveal()} {
		if strings.Contains(s.log.String(), secret) {
			t.Error("the log has a secret in it")
		}
	}
}

func TestMembersByTheirKeysInPages(t *testing.T) {
	s := newServer(t)
	s.room(owner, client.CreateRoomRequest{Name: "lobby"})
	keys := []string{"client:m47m2ky7kmi7beiaosxx4grgfy", "group:https://id.example/a?b=c&d#staff/é", annKey, benKey}
	for _, key := range keys {
		must(s.as(owner).PutMember(t.Context(), "lobby", client.PutMemberRequest{Identity: key, Role: usher.Speaker}))(t)
	}
	list := func() (got []string) {
		for m, err := range s.as(owner).Members(t.Context(), "lobby", client.PageQuery{Limit: 1}) {
			got = append(got, must(m, err)(t).Identity)
		}
		return got
	}
	if diff := cmp.Diff(keys, list()); diff != "" {
		t.Error(diff)
	}
	if err := s.as(owner).DeleteMember(t.Context(), "lobby", keys[1]); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(slices.Delete(slices.Clone(keys), 1, 2), list()); diff != "" {
		t.Error(diff)
	}
	must(s.as(owner).PutMember(t.Context(), "lobby", client.PutMemberRequest{Identity: annKey, Role: usher.Host}))(t)
	if _, err := s.as(ann).MemberPage(t.Context(), "lobby", client.PageQuery{}); err != nil {
		t.Errorf("a host lists members: %v", err)
	}
}

func TestABackEndActsForASubject(t *testing.T) {
	s := newServer(t)
	got := must(s.as(owner).Me(t.Context(), client.ActFor(annKey)))(t)
	want := client.Me{Kind: usher.UserIdentity, Key: annKey, Actor: "client:owner", Groups: []string{}, Scopes: usher.Scopes{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	s.room(owner, client.CreateRoomRequest{Name: "lobby"})
	s.room(stranger, client.CreateRoomRequest{Name: "closed"})
	if p := must(s.as(owner).AddParticipant(t.Context(), "lobby", client.AddParticipantRequest{}, client.ActFor(annKey)))(t); p.Identity != annKey {
		t.Errorf("got a place for %q", p.Identity)
	}
	_, err := s.as(owner).AddParticipant(t.Context(), "closed", client.AddParticipantRequest{}, client.ActFor(annKey))
	refused := problemOf(t, err)
	if why := must(s.as(operator).Decision(t.Context(), refused.Decision))(t); refused.Code != "not_member" || why.Who != annKey || why.Actor != "client:owner" {
		t.Errorf("got %v, explained as %+v", err, why)
	}
}

func TestTakingsInPages(t *testing.T) {
	s := newServer(t)
	r := s.room(owner, client.CreateRoomRequest{Name: "lobby"})
	grant := s.invite(owner, "lobby").Grant
	var bans []client.Ban
	for _, who := range []string{annKey, benKey, "user:https://id.example#carl"} {
		bans = append(bans, must(s.as(owner).Ban(t.Context(), "lobby", client.BanRequest{Identity: who}))(t))
	}
	var got []client.Ban
	for b, err := range s.as(owner).Bans(t.Context(), "lobby", client.PageQuery{Limit: 2}) {
		got = append(got, must(b, err)(t))
	}
	if diff := cmp.Diff(bans, got); diff != "" {
		t.Errorf("bans:\n%s", diff)
	}
	if err := s.as(owner).Unban(t.Context(), "lobby", bans[0].ID); err != nil {
		t.Fatal(err)
	}
	must(s.as(operator).Revoke(t.Context(), client.RevokeRequest{Room: "lobby", Reason: "Moved."}))(t)
	revoked := must(s.as(operator).Revoke(t.Context(), client.RevokeRequest{Grant: grant, Forever: true}))(t)
	var all []client.Taking
	for taking, err := range s.as(operator).Revocations(t.Context(), client.PageQuery{Limit: 2}) {
		all = append(all, must(taking, err)(t))
	}
	want := []client.Taking{
		{Seq: 1, Kind: usher.Ban, Room: r.ID, Identity: annKey, By: "client:owner"},
		{Seq: 2, Kind: usher.Ban, Room: r.ID, Identity: benKey, By: "client:owner"},
		{Seq: 3, Kind: usher.Ban, Room: r.ID, Identity: "user:https://id.example#carl", By: "client:owner"},
		{Seq: 4, Kind: usher.Unban, Room: r.ID, Identity: annKey, By: "client:owner"},
		{Seq: 5, Kind: usher.Revocation, Room: r.ID, By: "local:operator", Reason: "Moved."},
		{Seq: 6, Kind: usher.Revocation, Grant: grant, Forever: true, By: "local:operator"},
	}
	if diff := cmp.Diff(want, all, cmpopts.IgnoreFields(client.Taking{}, "ID", "Before", "CreatedAt")); diff != "" {
		t.Errorf("takings:\n%s", diff)
	}
	if all[5] != revoked || revoked.Before.IsZero() {
		t.Errorf("got %+v, want the revocation as it was answered, %+v", all[5], revoked)
	}
}
