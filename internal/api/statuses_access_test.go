package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"usher"
	"usher/client"
)

const annKey, benKey = "user:https://id.example#ann", "user:https://id.example#ben"

// refusals are what every operation refuses in the same way: unknown callers,
// those that may not, and bodies that can't be read. Only operators may call
// those without a room. The body is one that would do, or "" if none is taken.
func refusals(name, method, path, body string) []statusTest {
	inRoom := strings.HasPrefix(path, "/api/v1/rooms/")
	large := `{"name":"` + strings.Repeat("x", 70_000) + `"}`
	caller, refused, code := operator, owner, "operators_only"
	if inRoom {
		caller, refused, code = owner, unscoped, "scope_missing"
	}
	tests := []statusTest{
		{name + " by nobody", request{nobody, method, path, "", nil}, 401, "credentials_required"},
		{name + " by who may not", request{refused, method, path, "", nil}, 403, code},
	}
	if inRoom {
		tests = append(tests, statusTest{name + " in another's room", request{stranger, method, path, body, nil}, 404, "room_not_found"})
	}
	if body == "" {
		robotic := map[string]string{"Usher-Act-As": "nobody"}
		return append(tests, statusTest{name + " for no subject", request{robot, method, path, "", robotic}, 400, "subject_invalid"})
	}
	return append(tests,
		statusTest{name + " with an unknown field", request{caller, method, path, `{"x":1}`, nil}, 400, "field_unknown"},
		statusTest{name + " at length", request{caller, method, path, large, nil}, 413, "body_too_large"},
		statusTest{name + " in text", request{caller, method, path, "x", map[string]string{"Content-Type": "text/plain"}}, 415, "media_type_unsupported"},
	)
}

// accessStatuses are the statuses of who may enter a room.
func accessStatuses(t *testing.T, s *server) []statusTest {
	hall := s.room(owner, client.CreateRoomRequest{Name: "hall"})
	must(s.as(owner).PutMember(t.Context(), "hall", client.PutMemberRequest{Identity: annKey, Role: usher.Speaker, Name: "Ann"}))(t)
	invite := must(s.as(owner).CreateInvite(t.Context(), "hall", client.CreateInviteRequest{MaxUses: 1}))(t)
	banned := must(s.as(owner).Ban(t.Context(), "hall", client.BanRequest{Identity: "user:https://id.example#carl"}))(t)
	unknown := s.invite(owner, "hall")
	path := "/api/v1/rooms/" + string(hall.ID)
	members, invites, bans, redeem := path+"/members", path+"/invites", path+"/bans", "/api/v1/invites/redeem"
	member := members + "/" + url.PathEscape(annKey)
	none := string(usher.SystemIDs().New())
	code := func(name string) string {
		return asJSON(t, map[string]string{"code": invite.Code.Reveal(), "name": name})
	}
	ban := func(field string, value any) string { return asJSON(t, map[string]any{field: value}) }
	large := `{"name":"` + strings.Repeat("x", 70_000) + `"}`
	text := map[string]string{"Content-Type": "text/plain"}

	tests := []statusTest{
		{"a member is put", request{owner, "PUT", members, `{"identity":"` + benKey + `","role":"host"}`, nil}, 200, ""},
		{"a member has no key", request{owner, "PUT", members, `{"identity":"ben","role":"king"}`, nil}, 400, "member_invalid"},
		{"members are listed", request{owner, "GET", members + "?limit=1", "", nil}, 200, ""},
		{"a room's occupancy", request{owner, "GET", path + "/occupancy", "", nil}, 200, ""},
		{"a room's occupancy by a page", request{owner, "GET", path + "/occupancy?limit=1", "", nil}, 400, "query_invalid"},
		{"members are listed to a member", request{ann, "GET", members, "", nil}, 403, "host_only"},
		{"members from an empty cursor", request{owner, "GET", members + "?cursor=", "", nil}, 400, "query_invalid"},

		{"an invite is made without a body", request{owner, "POST", invites, "", nil}, 201, ""},
		{"an invite for a host", request{owner, "POST", invites, `{"role":"host"}`, nil}, 400, "invite_invalid"},
		{"invites are listed", request{owner, "GET", invites, "", nil}, 200, ""},
		{"invites with no limit", request{owner, "GET", invites + "?limit=0", "", nil}, 400, "query_invalid"},
		{"a guest has a member's name", request{nobody, "POST", redeem, code("ann"), nil}, 409, "name_taken"},
		{"a guest has no name", request{nobody, "POST", redeem, code(""), nil}, 400, "guest_invalid"},
		{"a guest comes", request{nobody, "POST", redeem, code("Dora"), nil}, 200, ""},
		{"a guest comes with a used code", request{nobody, "POST", redeem, code("Emil"), nil}, 404, "invite_not_found"},
		{"a guest comes with any code", request{nobody, "POST", redeem, `{"code":"x","name":"Emil"}`, nil}, 404, "invite_not_found"},
		{"a guest wants a role", request{nobody, "POST", redeem, `{"code":"x","name":"Emil","role":"host"}`, nil}, 400, "field_unknown"},
		{"a guest is too large", request{nobody, "POST", redeem, large, nil}, 413, "body_too_large"},
		{"a guest is text", request{nobody, "POST", redeem, "x", text}, 415, "media_type_unsupported"},
		{"an invite is ended", request{owner, "DELETE", invites + "/" + string(invite.ID), "", nil}, 200, ""},
		{"an unknown invite is ended", request{owner, "DELETE", invites + "/" + none, "", nil}, 404, "invite_not_found"},
		{"no invite is ended", request{owner, "DELETE", invites + "/x", "", nil}, 404, "invite_not_found"},

		{"a user is banned", request{owner, "POST", bans, ban("identity", benKey), nil}, 201, ""},
		{"nobody in particular is banned", request{owner, "POST", bans, "{}", nil}, 400, "ban_invalid"},
		{"a name is banned", request{owner, "POST", bans, ban("identity", "ben"), nil}, 400, "ban_invalid"},
		{"two at once are banned", request{owner, "POST", bans, asJSON(t, client.BanRequest{Identity: benKey, Participant: unknown.ID}), nil}, 400, "ban_invalid"},
		{"a participant whom nobody knows is banned", request{owner, "POST", bans, ban("participant", unknown.ID), nil}, 409, "participant_unknown"},
		{"no participant is banned", request{owner, "POST", bans, ban("participant", none), nil}, 404, "participant_not_found"},
		{"bans are listed", request{owner, "GET", bans + "?limit=1", "", nil}, 200, ""},
		{"bans from a wrong cursor", request{owner, "GET", bans + "?cursor=-1", "", nil}, 400, "query_invalid"},
		{"a user's ban is lifted", request{owner, "DELETE", bans, ban("identity", benKey), nil}, 204, ""},
		{"a user's ban is lifted again", request{owner, "DELETE", bans, ban("identity", benKey), nil}, 404, "ban_not_found"},
		{"the ban of nobody in particular is lifted", request{owner, "DELETE", bans, "{}", nil}, 400, "ban_invalid"},
		{"the ban of whom nobody knows is lifted", request{owner, "DELETE", bans, ban("participant", unknown.ID), nil}, 409, "participant_unknown"},

		{"a user is told who it is", request{ann, "GET", "/api/v1/me", "", nil}, 200, ""},
		{"nobody is told who it is", request{nobody, "GET", "/api/v1/me", "", nil}, 401, "credentials_required"},
		{"a back end is nobody else", request{owner, "GET", "/api/v1/me", "", map[string]string{"Usher-Act-As": "ann"}}, 400, "subject_invalid"},
		{"a back end may be nobody else", request{unscoped, "GET", "/api/v1/me", "", map[string]string{"Usher-Act-As": annKey}}, 403, "scope_missing"},

		{"anybody signs in", request{nobody, "POST", "/dev/login", `{"name":"Ann","email":"ann@example.org"}`, nil}, 200, ""},
		{"somebody signs in as nobody", request{nobody, "POST", "/dev/login", "{}", nil}, 400, "name_invalid"},
		{"somebody signs in at length", request{nobody, "POST", "/dev/login", large, nil}, 413, "body_too_large"},
		{"a form signs in", request{nobody, "POST", "/dev/login", "name=Ann", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 415, "media_type_unsupported"},
	}
	for _, op := range []struct {
		name, method, path, body string
	}{
		{"a room's occupancy", "GET", path + "/occupancy", ""},
		{"members are put", "PUT", members, "{}"}, {"members are listed", "GET", members, ""}, {"a membership ends", "DELETE", member, "{}"},
		{"invites are made", "POST", invites, "{}"}, {"invites are listed", "GET", invites, ""},
		{"an invite ends", "DELETE", invites + "/" + string(invite.ID), "{}"},
		{"bans are made", "POST", bans, ban("identity", annKey)}, {"bans are listed", "GET", bans, ""}, {"a user's ban ends", "DELETE", bans, ban("identity", annKey)},
		{"a ban ends", "DELETE", bans + "/" + string(banned.ID), "{}"},
	} {
		tests = append(tests, refusals(op.name, op.method, op.path, op.body)...)
	}
	return append(tests,
		statusTest{"a membership is ended", request{owner, "DELETE", member, "", nil}, 204, ""},
		statusTest{"a membership is ended again", request{owner, "DELETE", member, "", nil}, 404, "member_not_found"},
		statusTest{"a ban is lifted", request{owner, "DELETE", bans + "/" + string(banned.ID), "", nil}, 204, ""},
		statusTest{"a ban is lifted again", request{owner, "DELETE", bans + "/" + string(banned.ID), "", nil}, 404, "ban_not_found"},
	)
}

// operatorStatuses are the statuses of what only operators may do.
func operatorStatuses(t *testing.T, s *server) []statusTest {
	hall := s.room(owner, client.CreateRoomRequest{Name: "annex"})
	_, err := s.as(ann).AddParticipant(t.Context(), "annex", client.AddParticipantRequest{})
	refused := problemOf(t, err)
	if refused.Status != http.StatusForbidden || refused.Decision == "" {
		t.Fatalf("got %+v, want a refusal with its decision", refused)
	}
	current := must(s.as(operator).RotateKeys(t.Context()))(t)
	all := must(s.as(operator).Keys(t.Context()))(t)
	retired := all[len(all)-1]
	revocations, events, keys := "/api/v1/revocations", "/api/v1/events", "/api/v1/keys"
	decision, replay := "/api/v1/decisions/"+string(refused.Decision), "/api/v1/webhooks/app/replay"
	none := string(usher.SystemIDs().New())
	tests := []statusTest{
		{"a user's credentials are revoked", request{operator, "POST", revocations, `{"identity":"` + benKey + `"}`, nil}, 201, ""},
		{"a room's credentials are revoked", request{operator, "POST", revocations, `{"room":"annex","forever":true}`, nil}, 201, ""},
		{"nothing in particular is revoked", request{operator, "POST", revocations, "{}", nil}, 400, "revocation_invalid"},
		{"two things are revoked", request{operator, "POST", revocations, asJSON(t, client.RevokeRequest{Room: string(hall.ID), Identity: annKey}), nil}, 400, "revocation_invalid"},
		{"an unknown room's credentials are revoked", request{operator, "POST", revocations, `{"room":"nowhere"}`, nil}, 404, "room_not_found"},
		{"revocations are listed", request{operator, "GET", revocations + "?limit=1", "", nil}, 200, ""},
		{"ejections are listed", request{operator, "GET", "/api/v1/ejections", "", nil}, 200, ""},
		{"ejections are listed by a page", request{operator, "GET", "/api/v1/ejections?limit=1", "", nil}, 400, "query_invalid"},
		{"revocations from a wrong cursor", request{operator, "GET", revocations + "?cursor=x", "", nil}, 400, "query_invalid"},

		{"the record is read", request{operator, "GET", events + "?type=decided&room=" + string(hall.ID) + "&who=" + url.QueryEscape(annKey) + "&code=not_member", "", nil}, 200, ""},
		{"the record is read by a wrong type", request{operator, "GET", events + "?type=x", "", nil}, 400, "query_invalid"},
		{"the record is read by a room's name", request{operator, "GET", events + "?room=annex", "", nil}, 400, "query_invalid"},
		{"the record is read from a wrong cursor", request{operator, "GET", events + "?cursor=x", "", nil}, 400, "cursor_invalid"},
		{"a decision is read", request{operator, "GET", decision, "", nil}, 200, ""},
		{"a decision is read by who was refused", request{ann, "GET", decision, "", nil}, 403, "operators_only"},
		{"an unknown decision is read", request{operator, "GET", "/api/v1/decisions/" + none, "", nil}, 404, "decision_not_found"},
		{"no decision is read", request{operator, "GET", "/api/v1/decisions/x", "", nil}, 404, "decision_not_found"},

		{"the record is read backwards", request{operator, "GET", events + "?order=newest&refused=true&search=members&since=2020-01-01T00:00:00Z&until=2099-01-01T00:00:00Z", "", nil}, 200, ""},
		{"the record is read sideways", request{operator, "GET", events + "?order=left", "", nil}, 400, "query_invalid"},
		{"the record is read since no time", request{operator, "GET", events + "?since=yesterday", "", nil}, 400, "query_invalid"},
		{"the record is read until no time", request{operator, "GET", events + "?until=now", "", nil}, 400, "query_invalid"},
		{"the record is read for perhaps refusals", request{operator, "GET", events + "?refused=perhaps", "", nil}, 400, "query_invalid"},
		{"the record is read for a text of control characters", request{operator, "GET", events + "?search=a%00b", "", nil}, 400, "query_invalid"},
		{"a decision is explained", request{operator, "GET", decision + "/explanation", "", nil}, 200, ""},
		{"an unknown decision is explained", request{operator, "GET", "/api/v1/decisions/" + none + "/explanation", "", nil}, 404, "decision_not_found"},
		{"the figures are read", request{operator, "GET", "/api/v1/figures", "", nil}, 200, ""},
		{"the figures are read by a page", request{operator, "GET", "/api/v1/figures?limit=1", "", nil}, 400, "query_invalid"},
		{"the health is read", request{operator, "GET", "/api/v1/health", "", nil}, 200, ""},
		{"the health is read by a page", request{operator, "GET", "/api/v1/health?limit=1", "", nil}, 400, "query_invalid"},
		{"the configuration is read", request{operator, "GET", "/api/v1/configuration", "", nil}, 200, ""},
		{"the configuration is read by a page", request{operator, "GET", "/api/v1/configuration?limit=1", "", nil}, 400, "query_invalid"},

		{"webhooks are listed", request{operator, "GET", "/api/v1/webhooks", "", nil}, 200, ""},
		{"webhooks are listed by a page", request{operator, "GET", "/api/v1/webhooks?limit=1", "", nil}, 400, "query_invalid"},
		{"a webhook is told again", request{operator, "POST", replay, `{"from":"begin"}`, nil}, 200, ""},
		{"a webhook is told again from nowhere", request{operator, "POST", replay, `{"from":"there"}`, nil}, 400, "cursor_invalid"},
		{"an unknown webhook is told again", request{operator, "POST", "/api/v1/webhooks/other/replay", `{"from":"end"}`, nil}, 404, "webhook_not_found"},

		{"keys are listed", request{operator, "GET", keys, "", nil}, 200, ""},
		{"the current key is retired", request{operator, "DELETE", keys + "/" + string(current.ID), "", nil}, 409, "key_current"},
		{"an unknown key is retired", request{operator, "DELETE", keys + "/" + none, "", nil}, 404, "key_not_found"},
		{"no key is retired", request{operator, "DELETE", keys + "/x", "", nil}, 404, "key_not_found"},
	}
	for _, op := range []struct {
		name, method, path, body string
	}{
		{"a revocation", "POST", revocations, "{}"}, {"revocations are listed", "GET", revocations, ""}, {"ejections are listed", "GET", "/api/v1/ejections", ""},
		{"the record is read", "GET", events, ""}, {"a decision is read", "GET", decision, ""},
		{"webhooks are listed", "GET", "/api/v1/webhooks", ""}, {"a webhook is told again", "POST", replay, `{"from":"end"}`},
		{"a decision is explained", "GET", decision + "/explanation", ""}, {"the figures are read", "GET", "/api/v1/figures", ""},
		{"the health is read", "GET", "/api/v1/health", ""}, {"the configuration is read", "GET", "/api/v1/configuration", ""},
		{"keys are listed", "GET", keys, ""}, {"keys are rotated", "POST", keys + "/rotate", "{}"},
		{"a key is retired", "DELETE", keys + "/" + string(retired.ID), "{}"},
	} {
		tests = append(tests, refusals(op.name, op.method, op.path, op.body)...)
	}
	return append(tests,
		statusTest{"keys are rotated", request{operator, "POST", keys + "/rotate", "", nil}, 200, ""},
		statusTest{"a key is retired", request{operator, "DELETE", keys + "/" + string(retired.ID), "", nil}, 204, ""},
	)
}

// problemOf returns the refusal that an error is.
func problemOf(t *testing.T, err error) *client.Error {
	t.Helper()
	e, ok := err.(*client.Error)
	if !ok {
		t.Fatalf("got %v, want a refusal", err)
	}
	return e
}
