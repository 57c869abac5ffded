package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"usher"
	"usher/client"
)

// contactStatuses are the statuses of users, contacts and tickets.
func contactStatuses(t *testing.T, s *server) []statusTest {
	const thirdKey = "user:https://id.example#third"
	must(s.as(ben).User(t.Context()))(t)
	must(s.as(robot).User(t.Context(), client.ActFor(thirdKey)))(t)
	const user, contacts, users, ticket = "/api/v1/user", "/api/v1/contacts", "/api/v1/users", "/api/v1/signal/ticket"
	annAt, benAt := "/"+url.PathEscape(annKey), "/"+url.PathEscape(benKey)
	byMail := func(email string) string { return asJSON(t, map[string]string{"email": email}) }
	large := `{"email":"` + strings.Repeat("x", 70_000) + `"}`
	tests := []statusTest{
		{"a user is told what is kept of it", request{ann, "GET", user, "", nil}, 200, ""},
		{"contacts are listed", request{ann, "GET", contacts, "", nil}, 200, ""},
		{"contacts by a parameter", request{ann, "GET", contacts + "?limit=1", "", nil}, 400, "query_invalid"},
		{"a contact is made", request{ann, "POST", contacts, byMail("BEN@example.org"), nil}, 201, ""},
		{"a contact is made again", request{ann, "POST", contacts, asJSON(t, client.AddContactRequest{User: benKey}), nil}, 200, ""},
		{"an address of nobody", request{ann, "POST", contacts, byMail("eve@example.org"), nil}, 404, "user_not_found"},
		{"a key of nobody", request{ann, "POST", contacts, asJSON(t, client.AddContactRequest{User: "user:https://id.example#eve"}), nil}, 404, "user_not_found"},
		{"an address that is none", request{ann, "POST", contacts, byMail("ben"), nil}, 400, "contact_invalid"},
		{"no contact in particular", request{ann, "POST", contacts, "{}", nil}, 400, "contact_invalid"},
		{"two contacts at once", request{ann, "POST", contacts, asJSON(t, client.AddContactRequest{User: benKey, Email: "ben@example.org"}), nil}, 400, "contact_invalid"},
		{"one's own contact", request{ann, "POST", contacts, byMail("ann@example.org"), nil}, 400, "contact_self"},
		{"a contact more than there may be", request{ann, "POST", contacts, asJSON(t, client.AddContactRequest{User: thirdKey}), nil}, 409, "contacts_full"},
		{"a contact is ended", request{ann, "DELETE", contacts + benAt, "", nil}, 204, ""},
		{"a contact is ended again", request{ann, "DELETE", contacts + benAt, "", nil}, 204, ""},
		{"a ticket is made", request{ann, "POST", ticket, "", nil}, 201, ""},

		{"users are listed", request{operator, "GET", users + "?limit=1", "", nil}, 200, ""},
		{"a user is looked for", request{operator, "GET", users + "?email=ben@example.org", "", nil}, 200, ""},
		{"users by no address", request{operator, "GET", users + "?email=ben", "", nil}, 400, "query_invalid"},
		{"users from an empty cursor", request{operator, "GET", users + "?cursor=", "", nil}, 400, "query_invalid"},
		{"a user is read", request{operator, "GET", users + benAt, "", nil}, 200, ""},
		{"nobody is read", request{operator, "GET", users + "/eve", "", nil}, 404, "user_not_found"},
	}
	for _, op := range []struct {
		name, method, path string
		body               bool
	}{
		{"a user is read", "GET", user, false}, {"a user goes", "DELETE", user, true}, {"contacts are read", "GET", contacts, false},
		{"a contact comes", "POST", contacts, true}, {"a contact goes", "DELETE", contacts + benAt, true}, {"a ticket is got", "POST", ticket, true},
	} {
		tests = append(tests,
			statusTest{op.name + " by nobody", request{nobody, op.method, op.path, "", nil}, 401, "credentials_required"},
			statusTest{op.name + " for nobody", request{robot, op.method, op.path, "", map[string]string{"Usher-Act-As": "nobody"}}, 400, "subject_invalid"},
		)
		if !op.body {
			tests = append(tests, statusTest{op.name + " by a back end", request{owner, op.method, op.path, "", nil}, 403, "users_only"})
			continue
		}
		forbidden := "{}"
		if op.method == "POST" && op.path == contacts {
			forbidden = byMail("ben@example.org")
		}
		tests = append(tests,
			statusTest{op.name + " by a back end", request{owner, op.method, op.path, forbidden, nil}, 403, "users_only"},
			statusTest{op.name + " on this machine", request{operator, op.method, op.path, forbidden, nil}, 403, "users_only"},
			statusTest{op.name + " with an unknown field", request{ann, op.method, op.path, `{"x":1}`, nil}, 400, "field_unknown"},
			statusTest{op.name + " at length", request{ann, op.method, op.path, large, nil}, 413, "body_too_large"},
			statusTest{op.name + " in text", request{ann, op.method, op.path, "x", map[string]string{"Content-Type": "text/plain"}}, 415, "media_type_unsupported"},
		)
	}
	tests = append(tests, refusals("users are listed", "GET", users, "")...)
	tests = append(tests, refusals("a user is read by key", "GET", users+benAt, "")...)
	tests = append(tests, refusals("a user is erased", "DELETE", users+benAt, "{}")...)
	return append(tests,
		statusTest{"a user erases itself", request{ann, "DELETE", user, "", nil}, 204, ""},
		statusTest{"a user erases itself again", request{ann, "DELETE", user, "", nil}, 404, "user_not_found"},
		statusTest{"the erased user is gone", request{operator, "GET", users + annAt, "", nil}, 404, "user_not_found"},
		statusTest{"a user is erased", request{operator, "DELETE", users + benAt, "", nil}, 204, ""},
		statusTest{"a user is erased again", request{operator, "DELETE", users + benAt, "", nil}, 404, "user_not_found"},
	)
}

func TestUsersAreWalkedThroughByOperators(t *testing.T) {
	s := newServer(t)
	must(s.as(ben).User(t.Context()))(t)
	must(s.as(ann).User(t.Context()))(t)
	var keys []string
	for u, err := range s.as(operator).Users(t.Context(), client.UserQuery{PageQuery: client.PageQuery{Limit: 1}}) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, u.Key)
	}
	if want := annKey + " " + benKey; strings.Join(keys, " ") != want {
		t.Errorf("got %q, want %s", keys, want)
	}
	page := must(s.as(operator).UserPage(t.Context(), client.UserQuery{Email: "ANN@example.org"}))(t)
	if len(page.Users) != 1 || page.Users[0].Key != annKey || page.NextCursor != "" {
		t.Errorf("the user of an address: got %+v", page)
	}
	if page := must(s.as(operator).UserPage(t.Context(), client.UserQuery{Email: "eve@example.org"}))(t); len(page.Users) != 0 {
		t.Errorf("an address of nobody: got %+v", page)
	}
}

func TestContactsOverTheNativeAPI(t *testing.T) {
	s := newServer(t)
	must(s.as(ben).User(t.Context()))(t)
	me := must(s.as(ann).User(t.Context()))(t)
	if me.ID != "ann" || me.Key != annKey || me.Email != "ann@example.org" || me.Name != "ann" {
		t.Errorf("the user: got %+v", me)
	}
	c := must(s.as(ann).AddContact(t.Context(), client.AddContactRequest{Email: "ben@example.org"}))(t)
	if c.ID != "ben" || c.Key != benKey || c.Online {
		t.Errorf("the contact: got %+v", c)
	}
	list := must(s.as(ann).Contacts(t.Context()))(t)
	if len(list) != 1 || list[0] != c {
		t.Errorf("the list: got %+v, want %+v", list, c)
	}
	// A back end acts for the user, whom it knows by key only.
	list = must(s.as(robot).Contacts(t.Context(), client.ActFor(annKey)))(t)
	if len(list) != 1 || list[0].Key != benKey {
		t.Errorf("the list to a back end that acts for the user: got %+v", list)
	}
	if me := must(s.as(robot).User(t.Context(), client.ActFor(annKey)))(t); me.Email != "ann@example.org" {
		t.Errorf("the user after a back end acted for it: got %+v", me)
	}
	if err := s.as(ann).RemoveContact(t.Context(), benKey); err != nil {
		t.Fatal(err)
	}
	if list := must(s.as(ann).Contacts(t.Context()))(t); len(list) != 0 {
		t.Errorf("after the contact was removed: got %+v", list)
	}
}

func TestATicketIsShownOnceAndLoggedNever(t *testing.T) {
	s := newServer(t)
	got := must(s.as(ann).Ticket(t.Context()))(t)
	if got.ExpiresIn != 30 || !got.ExpiresAt.After(s.clock()) {
		t.Errorf("the ticket is good for %d s, until %v", got.ExpiresIn, got.ExpiresAt)
	}
	id, err := s.access.RedeemTicket(t.Context(), got.Ticket)
	if err != nil || id.Key() != annKey {
		t.Errorf("redeemed: got %q, %v", id.Key(), err)
	}
	if _, err := s.access.RedeemTicket(t.Context(), got.Ticket); usher.AsError(err).Code != "ticket_invalid" {
		t.Errorf("redeemed again: got %v", err)
	}
	if strings.Contains(s.log.String(), got.Ticket.Reveal()) {
		t.Error("the ticket is in the log")
	}
	if a := s.send(request{caller: ann, method: http.MethodPost, path: "/api/v1/signal/ticket"}); !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
		t.Errorf("a ticket may be cached: %q", a.header.Get("Cache-Control"))
	}
}
