package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/client"
)

// statusTest is a request and what it gets.
type statusTest struct {
	name string
	request
	status int
	code   string
}

// Every status that the document promises for an operation, by a request that
// gets it.
func TestEveryStatusOfEveryOperation(t *testing.T) {
	s := newServer(t, withPlatforms(t), func(set *settings) { set.access.Contacts.Max = 1 })
	one := 1
	open := s.room(owner, client.CreateRoomRequest{Name: "lobby"})
	small := s.room(owner, client.CreateRoomRequest{Seats: &one})
	later := s.room(owner, client.CreateRoomRequest{OpensAt: client.Time{Time: s.clock().Add(time.Hour)}})
	over := s.room(owner, client.CreateRoomRequest{Name: "over"})
	late := s.invite(owner, string(over.ID))
	must(s.as(owner).EndRoom(t.Context(), string(over.ID), ""))(t)
	ready, removed, joined := s.invite(owner, "lobby"), s.invite(owner, "lobby"), s.invite(owner, string(small.ID))
	must(s.as(owner).RemoveParticipant(t.Context(), "lobby", removed.ID, ""))(t)
	must(s.as(nobody).Claim(t.Context(), small.ID, joined.ID, joined.Secret))(t)
	squeezed, early := s.invite(owner, string(small.ID)), s.invite(owner, string(later.ID))
	key := publicKey(t)
	backend := must(s.as(operator).AddClient(t.Context(), client.AddClientRequest{Name: "shop", PublicKey: key}))(t)
	revoked := must(s.as(operator).AddClient(t.Context(), client.AddClientRequest{Name: "gone", PublicKey: key}))(t)
	must(s.as(operator).RevokeClient(t.Context(), revoked.ID))(t)

	rooms, clients := "/api/v1/rooms", "/api/v1/clients"
	lobby, ended := rooms+"/lobby", rooms+"/"+string(over.ID)
	in := func(r usher.ID, p client.Invited, more string) string {
		return rooms + "/" + string(r) + "/participants/" + string(p.ID) + more
	}
	none := usher.SystemIDs().New()
	secret := func(p client.Invited) string { return asJSON(t, map[string]string{"secret": p.Secret.Reveal()}) }
	newClient := asJSON(t, client.AddClientRequest{Name: "bank", PublicKey: key, Scopes: usher.Scopes{usher.MeetingRead}})
	rotate := asJSON(t, client.RotateClientRequest{PublicKey: key})
	large := `{"name":"` + strings.Repeat("x", 70_000) + `"}`
	text := map[string]string{"Content-Type": "text/plain"}
	keyed := map[string]string{"Idempotency-Key": "k"}
	actAsNobody := map[string]string{"Usher-Act-As": "nobody"}

	tests := []statusTest{
		{"a room is made without a body", request{owner, "POST", rooms, "", nil}, 201, ""},
		{"a room is made with a key", request{owner, "POST", rooms, "{}", keyed}, 201, ""},
		{"a key is used for another room", request{owner, "POST", rooms, `{"name":"b"}`, keyed}, 409, "idempotency_key_reused"},
		{"a name is taken", request{owner, "POST", rooms, `{"name":"lobby"}`, nil}, 409, "room_exists"},
		{"a name is an id", request{owner, "POST", rooms, fmt.Sprintf(`{"name":%q}`, none), nil}, 400, "room_name_invalid"},
		{"a room has too many seats", request{owner, "POST", rooms, `{"seats":1000001}`, nil}, 400, "room_invalid"},
		{"a room opens when no grant can be written", request{owner, "POST", rooms, `{"opens_at":"9999-12-31T23:59:59Z"}`, nil}, 400, "room_invalid"},
		{"a room closes before it opens", request{owner, "POST", rooms, `{"opens_at":"2090-01-02T00:00:00Z","closes_at":"2090-01-01T00:00:00Z"}`, nil}, 400, "room_invalid"},
		{"a time is no time", request{owner, "POST", rooms, `{"opens_at":"tomorrow"}`, nil}, 400, "json_invalid"},
		{"a key is empty", request{owner, "POST", rooms, "{}", map[string]string{"Idempotency-Key": ""}}, 400, "idempotency_key_invalid"},
		{"nobody makes a room", request{nobody, "POST", rooms, "{}", nil}, 401, "credentials_required"},
		{"an unknown token makes a room", request{"wrong", "POST", rooms, "{}", nil}, 401, "credentials_invalid"},
		{"a client without the scope makes a room", request{unscoped, "POST", rooms, "{}", nil}, 403, "scope_missing"},
		{"a room is too large", request{owner, "POST", rooms, large, nil}, 413, "body_too_large"},
		{"a room is text", request{owner, "POST", rooms, "{}", text}, 415, "media_type_unsupported"},

		{"rooms are listed", request{owner, "GET", rooms + "?status=ready&limit=200", "", nil}, 200, ""},
		{"rooms are looked for", request{owner, "GET", rooms + "?search=LOB", "", nil}, 200, ""},
		{"rooms are looked for at length", request{owner, "GET", rooms + "?search=" + strings.Repeat("x", 201), "", nil}, 400, "query_invalid"},
		{"participants are looked for", request{owner, "GET", lobby + "/participants?search=ann&status=joined", "", nil}, 200, ""},
		{"participants of an unknown status", request{owner, "GET", lobby + "/participants?status=busy", "", nil}, 400, "query_invalid"},
		{"rooms of an unknown status", request{owner, "GET", rooms + "?status=busy", "", nil}, 400, "query_invalid"},
		{"rooms are listed for nobody", request{nobody, "GET", rooms, "", nil}, 401, "credentials_required"},
		{"rooms are listed without the scope", request{unscoped, "GET", rooms, "", nil}, 403, "scope_missing"},

		{"a room is read by name", request{owner, "GET", lobby, "", nil}, 200, ""},
		{"an ended room is read by id", request{owner, "GET", ended, "", nil}, 200, ""},
		{"an ended room is read by name", request{owner, "GET", rooms + "/over", "", nil}, 404, "room_not_found"},
		{"another's room is read", request{stranger, "GET", lobby, "", nil}, 404, "room_not_found"},
		{"another's room is read by an operator", request{operator, "GET", lobby, "", nil}, 200, ""},
		{"a room is read by nobody", request{nobody, "GET", lobby, "", nil}, 401, "credentials_required"},
		{"a room is read without the scope", request{unscoped, "GET", lobby, "", nil}, 403, "scope_missing"},
		{"a room is read for no subject", request{owner, "GET", lobby, "", actAsNobody}, 400, "subject_invalid"},

		{"a room is changed", request{owner, "PATCH", lobby, `{"seats":9}`, nil}, 200, ""},
		{"a change has no body", request{owner, "PATCH", lobby, "", nil}, 415, "media_type_unsupported"},
		{"a change is not possible", request{owner, "PATCH", lobby, `{"seats":-1}`, nil}, 400, "room_invalid"},
		{"a change is too large", request{owner, "PATCH", lobby, large, nil}, 413, "body_too_large"},
		{"a changed room has ended", request{owner, "PATCH", ended, `{"seats":9}`, nil}, 410, "room_ended"},
		{"a changed room is another's", request{stranger, "PATCH", lobby, `{"seats":9}`, nil}, 404, "room_not_found"},
		{"a changed room has changed", request{owner, "PATCH", lobby, `{"seats":9}`, map[string]string{"If-Match": `"1"`}}, 412, "room_changed"},
		{"nobody changes a room", request{nobody, "PATCH", lobby, `{"seats":9}`, nil}, 401, "credentials_required"},
		{"a room is changed without the scope", request{unscoped, "PATCH", lobby, `{"seats":9}`, nil}, 403, "scope_missing"},

		{"a room is ended for too long a reason", request{owner, "DELETE", lobby, asJSON(t, client.EndRequest{Reason: strings.Repeat("x", 124)}), nil}, 400, "reason_invalid"},
		{"a room is ended in text", request{owner, "DELETE", lobby, "now", text}, 415, "media_type_unsupported"},
		{"a room is ended at length", request{owner, "DELETE", lobby, large, nil}, 413, "body_too_large"},
		{"a room is ended again", request{owner, "DELETE", ended, "", nil}, 410, "room_ended"},
		{"another's room is ended", request{stranger, "DELETE", lobby, "", nil}, 404, "room_not_found"},
		{"nobody ends a room", request{nobody, "DELETE", lobby, "", nil}, 401, "credentials_required"},
		{"a room is ended without the scope", request{unscoped, "DELETE", lobby, "", nil}, 403, "scope_missing"},

		{"a participant is added without a body", request{owner, "POST", lobby + "/participants", "", nil}, 201, ""},
		{"a participant is added with a key", request{owner, "POST", lobby + "/participants", `{"name":"Ann"}`, keyed}, 201, ""},
		{"a key is used for another participant", request{owner, "POST", lobby + "/participants", `{"name":"Ben"}`, keyed}, 409, "idempotency_key_reused"},
		{"a role is unknown", request{owner, "POST", lobby + "/participants", `{"role":"king"}`, nil}, 400, "role_unknown"},
		{"a participant is added to an ended room", request{owner, "POST", ended + "/participants", "", nil}, 410, "room_ended"},
		{"a participant is added to another's room", request{stranger, "POST", lobby + "/participants", "", nil}, 404, "room_not_found"},
		{"a participant is text", request{owner, "POST", lobby + "/participants", "Ann", text}, 415, "media_type_unsupported"},
		{"a participant is too large", request{owner, "POST", lobby + "/participants", large, nil}, 413, "body_too_large"},
		{"nobody adds a participant", request{nobody, "POST", lobby + "/participants", "", nil}, 401, "credentials_required"},
		{"a participant is added without the scope", request{unscoped, "POST", lobby + "/participants", "", nil}, 403, "scope_missing"},

		{"participants are listed", request{owner, "GET", lobby + "/participants?limit=1", "", nil}, 200, ""},
		{"participants from a wrong cursor", request{owner, "GET", lobby + "/participants?cursor=x", "", nil}, 400, "query_invalid"},
		{"another's participants are listed", request{stranger, "GET", lobby + "/participants", "", nil}, 404, "room_not_found"},
		{"nobody lists participants", request{nobody, "GET", lobby + "/participants", "", nil}, 401, "credentials_required"},
		{"participants are listed without the scope", request{unscoped, "GET", lobby + "/participants", "", nil}, 403, "scope_missing"},

		{"a participant is read", request{owner, "GET", in(open.ID, ready, ""), "", nil}, 200, ""},
		{"a participant is read in another room", request{owner, "GET", in(small.ID, ready, ""), "", nil}, 404, "participant_not_found"},
		{"nobody reads a participant", request{nobody, "GET", in(open.ID, ready, ""), "", nil}, 401, "credentials_required"},
		{"a participant is read without the scope", request{unscoped, "GET", in(open.ID, ready, ""), "", nil}, 403, "scope_missing"},

		{"a participant is read for no subject", request{owner, "GET", in(open.ID, ready, ""), "", actAsNobody}, 400, "subject_invalid"},

		{"a secret is renewed", request{owner, "POST", in(open.ID, ready, "/secret"), "", nil}, 200, ""},
		{"a secret of choice is asked for", request{owner, "POST", in(open.ID, ready, "/secret"), `{"secret":"x"}`, nil}, 400, "field_unknown"},
		{"a secret is renewed in text", request{owner, "POST", in(open.ID, ready, "/secret"), "x", text}, 415, "media_type_unsupported"},
		{"a secret is renewed at length", request{owner, "POST", in(open.ID, ready, "/secret"), large, nil}, 413, "body_too_large"},
		{"a removed participant's secret is renewed", request{owner, "POST", in(open.ID, removed, "/secret"), "", nil}, 409, "participant_removed"},
		{"a joined participant's secret is renewed", request{owner, "POST", in(small.ID, joined, "/secret"), "", nil}, 409, "participant_joined"},
		{"a secret is renewed in an ended room", request{owner, "POST", in(over.ID, late, "/secret"), "", nil}, 410, "room_ended"},
		{"another's secret is renewed", request{stranger, "POST", in(open.ID, ready, "/secret"), "", nil}, 404, "room_not_found"},
		{"nobody renews a secret", request{nobody, "POST", in(open.ID, ready, "/secret"), "", nil}, 401, "credentials_required"},
		{"a secret is renewed without the scope", request{unscoped, "POST", in(open.ID, ready, "/secret"), "", nil}, 403, "scope_missing"},

		{"a place is claimed", request{nobody, "POST", in(open.ID, s.invite(owner, "lobby"), "/claim"), "", nil}, 415, "media_type_unsupported"},
		{"a claim has no secret", request{nobody, "POST", in(open.ID, ready, "/claim"), "{}", nil}, 404, "participant_not_found"},
		{"a claim has too much", request{nobody, "POST", in(open.ID, ready, "/claim"), `{"secret":"x","role":"host"}`, nil}, 400, "field_unknown"},
		{"a claim is too large", request{nobody, "POST", in(open.ID, ready, "/claim"), large, nil}, 413, "body_too_large"},
		{"a claim with a renewed secret", request{nobody, "POST", in(open.ID, ready, "/claim"), secret(ready), nil}, 404, "participant_not_found"},
		{"a claim of a removed participant", request{nobody, "POST", in(open.ID, removed, "/claim"), secret(removed), nil}, 404, "participant_not_found"},
		{"a claim again", request{nobody, "POST", in(small.ID, joined, "/claim"), secret(joined), nil}, 404, "participant_not_found"},
		{"a claim of the last seat but none", request{nobody, "POST", in(small.ID, squeezed, "/claim"), secret(squeezed), nil}, 503, "room_full"},
		{"a claim before the time", request{nobody, "POST", in(later.ID, early, "/claim"), secret(early), nil}, 503, "room_not_open"},
		{"a claim after the end", request{nobody, "POST", in(over.ID, late, "/claim"), secret(late), nil}, 410, "room_ended"},
		{"a claim by the room's name", request{nobody, "POST", lobby + "/participants/" + string(ready.ID) + "/claim", secret(ready), nil}, 404, "room_not_found"},
		{"a claim in no room", request{nobody, "POST", in(none, ready, "/claim"), secret(ready), nil}, 404, "room_not_found"},

		{"a participant is removed for a reason that can't be told", request{owner, "DELETE", in(open.ID, ready, ""), `{"reason":"a\nb"}`, nil}, 400, "reason_invalid"},
		{"a participant is removed in text", request{owner, "DELETE", in(open.ID, ready, ""), "x", text}, 415, "media_type_unsupported"},
		{"a participant is removed at length", request{owner, "DELETE", in(open.ID, ready, ""), large, nil}, 413, "body_too_large"},
		{"another's participant is removed", request{stranger, "DELETE", in(open.ID, ready, ""), "", nil}, 404, "room_not_found"},
		{"nobody removes a participant", request{nobody, "DELETE", in(open.ID, ready, ""), "", nil}, 401, "credentials_required"},
		{"a participant is removed without the scope", request{unscoped, "DELETE", in(open.ID, ready, ""), "", nil}, 403, "scope_missing"},
		{"a participant is removed", request{owner, "DELETE", in(open.ID, ready, ""), `{"reason":"Bye."}`, nil}, 200, ""},
		{"a participant is removed again", request{owner, "DELETE", in(open.ID, ready, ""), "", nil}, 409, "participant_removed"},

		{"a back end is registered", request{operator, "POST", clients, newClient, nil}, 201, ""},
		{"a back end is registered again", request{operator, "POST", clients, newClient, nil}, 409, "client_exists"},
		{"a back end has no key", request{operator, "POST", clients, `{"name":"x","public_key":""}`, nil}, 400, "client_invalid"},
		{"a back end is text", request{operator, "POST", clients, newClient, text}, 415, "media_type_unsupported"},
		{"a back end is too large", request{operator, "POST", clients, large, nil}, 413, "body_too_large"},
		{"nobody registers a back end", request{nobody, "POST", clients, newClient, nil}, 401, "credentials_required"},
		{"a back end registers another", request{owner, "POST", clients, newClient, nil}, 403, "operators_only"},
		{"back ends are listed", request{operator, "GET", clients, "", nil}, 200, ""},
		{"back ends with no limit", request{operator, "GET", clients + "?limit=0", "", nil}, 400, "query_invalid"},
		{"nobody lists back ends", request{nobody, "GET", clients, "", nil}, 401, "credentials_required"},
		{"a back end lists back ends", request{owner, "GET", clients, "", nil}, 403, "operators_only"},
		{"a back end is read", request{operator, "GET", clients + "/" + string(backend.ID), "", nil}, 200, ""},
		{"an unknown back end is read", request{operator, "GET", clients + "/" + string(none), "", nil}, 404, "client_not_found"},
		{"nobody reads a back end", request{nobody, "GET", clients + "/" + string(backend.ID), "", nil}, 401, "credentials_required"},
		{"a back end reads another", request{owner, "GET", clients + "/" + string(backend.ID), "", nil}, 403, "operators_only"},
		{"a back end is read for no subject", request{robot, "GET", clients + "/" + string(backend.ID), "", actAsNobody}, 400, "subject_invalid"},
		{"a key is rotated", request{operator, "POST", clients + "/" + string(backend.ID) + "/rotate", rotate, nil}, 200, ""},
		{"a key is rotated to none", request{operator, "POST", clients + "/" + string(backend.ID) + "/rotate", `{"public_key":"x"}`, nil}, 400, "client_invalid"},
		{"a revoked key is rotated", request{operator, "POST", clients + "/" + string(revoked.ID) + "/rotate", rotate, nil}, 410, "client_revoked"},
		{"an unknown key is rotated", request{operator, "POST", clients + "/" + string(none) + "/rotate", rotate, nil}, 404, "client_not_found"},
		{"a key is rotated in text", request{operator, "POST", clients + "/" + string(backend.ID) + "/rotate", rotate, text}, 415, "media_type_unsupported"},
		{"a key is too large", request{operator, "POST", clients + "/" + string(backend.ID) + "/rotate", large, nil}, 413, "body_too_large"},
		{"nobody rotates a key", request{nobody, "POST", clients + "/" + string(backend.ID) + "/rotate", rotate, nil}, 401, "credentials_required"},
		{"a back end rotates a key", request{owner, "POST", clients + "/" + string(backend.ID) + "/rotate", rotate, nil}, 403, "operators_only"},
		{"a back end is revoked with a reason", request{operator, "DELETE", clients + "/" + string(backend.ID), `{"reason":"x"}`, nil}, 400, "field_unknown"},
		{"a back end is revoked in text", request{operator, "DELETE", clients + "/" + string(backend.ID), "x", text}, 415, "media_type_unsupported"},
		{"a back end is revoked at length", request{operator, "DELETE", clients + "/" + string(backend.ID), large, nil}, 413, "body_too_large"},
		{"nobody revokes a back end", request{nobody, "DELETE", clients + "/" + string(backend.ID), "", nil}, 401, "credentials_required"},
		{"a back end revokes another", request{owner, "DELETE", clients + "/" + string(backend.ID), "", nil}, 403, "operators_only"},
		{"an unknown back end is revoked", request{operator, "DELETE", clients + "/" + string(none), "", nil}, 404, "client_not_found"},
		{"a back end is revoked", request{operator, "DELETE", clients + "/" + string(backend.ID), "", nil}, 200, ""},
		{"a back end is revoked again", request{operator, "DELETE", clients + "/" + string(backend.ID), "", nil}, 410, "client_revoked"},

		{"nobody asks how to sign in at the page", request{nobody, "GET", "/api/v1/web/config", "", nil}, 200, ""},
		{"the document is read", request{owner, "GET", "/api/v1/openapi.yaml", "", nil}, 200, ""},
		{"nobody reads the document", request{nobody, "GET", "/api/v1/openapi.yaml", "", nil}, 401, "credentials_required"},
		{"the document is read for no subject", request{owner, "GET", "/api/v1/openapi.yaml", "", actAsNobody}, 400, "subject_invalid"},
		{"the document is read for a subject without the scope", request{unscoped, "GET", "/api/v1/openapi.yaml", "", actAsNobody}, 403, "scope_missing"},

		{"a room is ended", request{owner, "DELETE", lobby, `{"reason":"Bye."}`, nil}, 200, ""},
	}
	for _, tt := range slices.Concat(tests, credentialStatuses(t, s), accessStatuses(t, s), callStatuses(t, s), contactStatuses(t, s), operatorStatuses(t, s)) {
		t.Run(tt.name, func(t *testing.T) {
			got := s.send(tt.request)
			if got.status != tt.status {
				t.Fatalf("got status %d, want %d: %s", got.status, tt.status, got.body)
			}
			if tt.code == "" {
				return
			}
			p := got.problem(t)
			if p.Code != tt.code {
				t.Errorf("got code %q, want %q", p.Code, tt.code)
			}
			if p.RequestID == "" || p.RequestID != got.header.Get("X-Request-ID") {
				t.Errorf("got request id %q, want that of the header, %q", p.RequestID, got.header.Get("X-Request-ID"))
			}
		})
	}

	withoutRelay(t, s.recorder)
	var documented []string
	for path, item := range s.recorder.doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status := range op.Responses.Map() {
				// Failures of our own are not to be had from outside; claims show what
				// else is 503, and another test what is 429.
				if status != "500" && status != "429" && (status != "503" || op.OperationID == "claim") {
					documented = append(documented, method+" "+path+" "+status)
				}
			}
		}
	}
	slices.Sort(documented)
	if diff := cmp.Diff(documented, s.recorder.recorded()); diff != "" {
		t.Errorf("statuses that were had differ from the document (-document +had):\n%s", diff)
	}
	if log := s.log.String(); strings.Contains(log, ready.Secret.Reveal()) || strings.Contains(log, joined.Secret.Reveal()) || strings.Contains(log, "Bearer") {
		t.Error("the log has a secret in it")
	}
}

func TestWhatIsNotThere(t *testing.T) {
	s := newServer(t)
	open := s.room(owner, client.CreateRoomRequest{Name: "lobby"})
	tests := []struct {
		name, method, path string
		status             int
		code, allow        string
	}{
		{"another method", "PUT", "/api/v1/rooms/lobby", 405, "method_not_allowed", "DELETE, GET, HEAD, PATCH"},
		{"another path", "GET", "/api/v1/room", 404, "route_not_found", ""},
		{"a slash at the end", "GET", "/api/v1/rooms/", 404, "route_not_found", ""},
		{"two slashes", "GET", "/api/v1//rooms", 404, "route_not_found", ""},
		{"dots in the path", "GET", "/api/v1/rooms/../rooms", 404, "route_not_found", ""},
		{"escaped dots as a room", "GET", "/api/v1/rooms/%2e%2e", 404, "room_not_found", ""},
		{"escaped slashes as a room", "GET", "/api/v1/rooms/lobby%2Fparticipants", 404, "room_not_found", ""},
		{"a path escaped twice", "GET", "/api/v1/rooms/%256cobby", 404, "room_not_found", ""},
		{"a null byte", "GET", "/api/v1/rooms/lobby%00", 404, "room_not_found", ""},
		{"bytes that are no text", "GET", "/api/v1/rooms/%ff%fe", 404, "room_not_found", ""},
		{"a room of 2,000 bytes", "GET", "/api/v1/rooms/" + strings.Repeat("a", 2000), 404, "room_not_found", ""},
		{"an id in capitals", "GET", "/api/v1/rooms/" + strings.ToUpper(string(open.ID)), 404, "room_not_found", ""},
		{"an id of another spelling", "GET", "/api/v1/rooms/" + string(open.ID)[:25] + "b", 404, "room_not_found", ""},
		{"a participant with quotes", "GET", "/api/v1/rooms/lobby/participants/'%20OR%201=1", 404, "participant_not_found", ""},
		{"a participant of dots", "DELETE", "/api/v1/rooms/lobby/participants/%2e%2e", 404, "participant_not_found", ""},
		{"a client by name", "GET", "/api/v1/clients/shop", 404, "client_not_found", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := s.send(request{caller: operator, method: tt.method, path: tt.path})
			if p := got.problem(t); got.status != tt.status || p.Code != tt.code {
				t.Errorf("got %d %s, want %d %s", got.status, p.Code, tt.status, tt.code)
			}
			if allow := got.header.Get("Allow"); allow != tt.allow {
				t.Errorf("Allow: got %q, want %q", allow, tt.allow)
			}
		})
	}
	if r := must(s.as(owner).Room(t.Context(), "lobby"))(t); r.Version != open.Version {
		t.Errorf("the room has changed: %+v", r)
	}
}

func TestBodiesThatAreRefused(t *testing.T) {
	s := newServer(t)
	tests := []struct {
		name, body string
		code       string
		field      usher.FieldProblem
	}{
		{"an unknown field", `{"seat":1}`, "field_unknown", usher.FieldProblem{Field: "seat", Message: "is not known here"}},
		{"text for a number", `{"seats":"1"}`, "json_invalid", usher.FieldProblem{Field: "seats", Message: "must be a whole number, not string"}},
		{"a fraction", `{"seats":1.5}`, "json_invalid", usher.FieldProblem{Field: "seats", Message: "must be a whole number, not number 1.5"}},
		{"no time", `{"opens_at":"soon"}`, "json_invalid", usher.FieldProblem{Field: "opens_at", Message: "must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z, not something else"}},
		{"a number for a time", `{"opens_at":5}`, "json_invalid", usher.FieldProblem{Field: "opens_at", Message: "must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z, not something else"}},
		{"a time before time", `{"closes_at":"0001-01-01T00:00:00Z"}`, "json_invalid", usher.FieldProblem{Field: "closes_at", Message: "must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z, not one outside the years 1970 to 9999"}},
		{"a time that has passed", `{"closes_at":"1999-01-01T00:00:00Z"}`, "room_invalid", usher.FieldProblem{Field: "closes_at", Message: "has passed already; end the room to close it now"}},
		{"an array", `[]`, "json_invalid", usher.FieldProblem{}},
		{"null", `null`, "json_invalid", usher.FieldProblem{}},
		{"white space", "  ", "json_invalid", usher.FieldProblem{}},
		{"half of it", `{"seats":`, "json_invalid", usher.FieldProblem{}},
		{"two of them", `{}{}`, "json_invalid", usher.FieldProblem{}},
		{"something after it", `{}x`, "json_invalid", usher.FieldProblem{}},
		{"depth", strings.Repeat(`{"name":`, 7000), "json_invalid", usher.FieldProblem{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := s.send(request{caller: owner, method: "POST", path: "/api/v1/rooms", body: tt.body})
			p := got.problem(t)
			if got.status != http.StatusBadRequest || p.Code != tt.code {
				t.Errorf("got %d %s, want 400 %s", got.status, p.Code, tt.code)
			}
			var field usher.FieldProblem
			if len(p.Fields) > 0 {
				field = p.Fields[0]
			}
			if tt.name != "depth" && field != tt.field {
				t.Errorf("got field %q, want %q", field, tt.field)
			}
		})
	}
	if got := must(s.as(operator).RoomPage(t.Context(), client.RoomQuery{}))(t); len(got.Rooms) != 0 {
		t.Errorf("got %d rooms after refusals only", len(got.Rooms))
	}
}
