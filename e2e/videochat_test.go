package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/client"
)

// videoChat is the configuration that the serverless video chat is served with.
const videoChat = "compat: {videochat: {enabled: true}}\n"

// chatter is somebody with a token, as the app's page is.
type chatter struct {
	s     *Server
	token string
}

// wantJSON calls as the app does, with a token alone in the header, and compares
// the answer.
func (c chatter) wantJSON(status int, method, path, body, want string) {
	c.s.t.Helper()
	c.s.Secret(c.token)
	a := c.s.must(status, method, path, body, "Authorization", c.token, "Origin", "https://chat.example")
	if got := a.Header.Get("Access-Control-Allow-Origin"); got != "*" {
		c.s.t.Errorf("%s %s: the page of another origin may not read the answer: %q", method, path, got)
	}
	if want == "" {
		if a.Body != "" {
			c.s.t.Errorf("%s %s: got %s, want nothing", method, path, a.Body)
		}
		return
	}
	var got, wanted any
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		c.s.t.Fatalf("%s %s: %v: %s", method, path, err, a.Body)
	}
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		c.s.t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		c.s.t.Errorf("%s %s (-want +got):\n%s", method, path, diff)
	}
}

// wantContacts goes through the whole API of the app with two of its users, of
// whom the second's objects are given, as contacts without online.
func wantContacts(ann, ben chatter, annID, benID, benUser string) {
	contact := func(user string, online bool) string {
		return strings.TrimSuffix(user, "}") + fmt.Sprintf(`,"online":%v}`, online)
	}
	const add = `{"email":"BEN@example.org"}`
	ann.wantJSON(404, "POST", "/contacts", add, `{"message":"There is no such user; who was never here can't be found yet."}`)
	ben.wantJSON(200, "GET", "/user", "", benUser)
	ben.wantJSON(200, "GET", "/user", "", benUser)
	ann.wantJSON(200, "GET", "/contacts", "", `[]`)
	ann.wantJSON(201, "POST", "/contacts", add, contact(benUser, false))
	ann.wantJSON(200, "POST", "/contacts", add, contact(benUser, false))
	ann.wantJSON(200, "GET", "/contacts", "", `[`+contact(benUser, false)+`]`)
	ben.wantJSON(200, "GET", "/contacts", "", `[]`)
	ann.wantJSON(204, "DELETE", "/contacts/"+url.PathEscape(annID), "", "") // who is no contact
	ann.wantJSON(204, "DELETE", "/contacts/"+url.PathEscape(benID), "", "")
	ann.wantJSON(204, "DELETE", "/contacts/"+url.PathEscape(benID), "", "")
	ann.wantJSON(200, "GET", "/contacts", "", `[]`)
	ann.wantJSON(201, "POST", "/contacts", add, contact(benUser, false))
}

func TestTheServerlessVideoChatWithACognitoPool(t *testing.T) {
	onEachStorage(t, testVideoChatWithAUserPool)
}

func testVideoChatWithAUserPool(t *testing.T, on storage) {
	c := newUserPool(t)
	wantVideoChatOfPool(start(t, options{Config: trusting(c.entry()) + videoChat, On: on}), c)
}

// wantVideoChatOfPool goes through the app with two users of a pool.
func wantVideoChatOfPool(s *Server, c *userPool) {
	t := s.t
	t.Helper()
	c.addUser("ben@example.org")
	subject := func(token string) string {
		sub, _ := claimsOf(t, payloadOf(t, token))["sub"].(string)
		return sub
	}
	anns, bens := c.signIn(c.app), c.signInAs(c.app, "ben@example.org")
	annID, benID := subject(anns.ID), subject(bens.ID)
	ann, ben := chatter{s, anns.ID}, chatter{s, bens.ID}
	// Ann's address is not verified, so that nobody finds her by it.
	annUser := s.must(200, "GET", "/user", "", "Authorization", anns.ID)
	if annUser.text(t, "userId") != annID || annUser.text(t, "email") != "" {
		t.Errorf("ann is %s", annUser.Body)
	}
	name, _ := claimsOf(t, payloadOf(t, bens.ID))["cognito:username"].(string)
	benUser := fmt.Sprintf(`{"userId":%q,"email":"ben@example.org","name":%q}`, benID, name)
	wantContacts(ann, ben, annID, benID, benUser)
	ben.wantJSON(404, "POST", "/contacts", `{"email":"ann@example.org"}`, `{"message":"There is no such user; who was never here can't be found yet."}`)

	// An access token, of which the app has one as well, is the same person.
	chatter{s, bens.Access}.wantJSON(200, "GET", "/user", "", benUser)
	chatter{s, "Bearer " + bens.Access}.wantJSON(200, "GET", "/user", "", benUser)
}

func TestTheServerlessVideoChatWithAnOpenIDProvider(t *testing.T) {
	onEachStorage(t, testVideoChatWithAProvider)
}

func testVideoChatWithAProvider(t *testing.T, on storage) {
	p := newProvider(t)
	wantVideoChatOfProvider(start(t, options{Config: trusting(p.entry()) + videoChat, On: on}), p)
}

// wantVideoChatOfProvider goes through the app with users of a provider, of whom
// ben is erased in the end.
func wantVideoChatOfProvider(s *Server, p *provider) {
	t := s.t
	t.Helper()
	ann, ben := chatter{s, p.signIn(clientID, "ann", audience).ID}, chatter{s, p.signIn(clientID, "ben", audience).ID}
	ann.wantJSON(200, "GET", "/user", "", `{"userId":"ann","email":"ann@example.org","name":"User ann"}`)
	wantContacts(ann, ben, "ann", "ben", `{"userId":"ben","email":"ben@example.org","name":"User ben"}`)

	eve := chatter{s, p.signIn(clientID, "unverified-eve", audience).ID}
	eve.wantJSON(200, "GET", "/user", "", `{"userId":"unverified-eve","email":"","name":"User unverified-eve"}`)
	ann.wantJSON(404, "POST", "/contacts", `{"email":"unverified-eve@example.org"}`, `{"message":"There is no such user; who was never here can't be found yet."}`)

	// It outlives the process, and what is deleted is gone everywhere.
	s.Kill()
	s.Restart()
	const benContact = `[{"userId":"ben","email":"ben@example.org","name":"User ben","online":false}]`
	ann.wantJSON(200, "GET", "/contacts", "", benContact)
	key := p.user("ben")
	if err := s.operator().EraseUser(within(t, time.Minute), key); err != nil {
		t.Fatal(err)
	}
	ann.wantJSON(200, "GET", "/contacts", "", `[]`)
	_, err := s.operator().UserOf(within(t, time.Minute), key)
	if e, ok := err.(*client.Error); !ok || e.Status != http.StatusNotFound {
		t.Errorf("the erased user: got %v, want 404", err)
	}
}

// hostileToken is a token that nobody may take, and what the app is told of it.
type hostileToken struct{ token, message string }

// hostileTokens returns tokens of every kind that must be refused, and a genuine
// one of ann's.
func hostileTokens(t *testing.T, p *provider, c *userPool) (map[string]hostileToken, string) {
	t.Helper()
	genuine, pool := p.signIn(clientID, "ann", audience), c.signIn(c.app)
	id, poolID := claimsOf(t, payloadOf(t, genuine.ID)), claimsOf(t, payloadOf(t, pool.ID))
	key := p.keys[0]
	past := time.Now().Add(-time.Hour).Unix()
	publicPEM, _ := publicKeyOf(t, key)
	const unauthorized, expired = "Unauthorized", "The incoming token has expired"
	return map[string]hostileToken{
		"not signed at all":            {unsigned(t, `{"alg":"none","typ":"JWT"}`, id), unauthorized},
		"HS256 with the public key":    {signHS256(t, publicPEM, `{"alg":"HS256","typ":"JWT","kid":"first"}`, id), unauthorized},
		"signed with another key":      {signWith(t, newRSAKey(t, key.KeyID), nil, id), unauthorized},
		"of another app":               {p.signIn(stranger, "ann", audience).ID, unauthorized},
		"of an issuer nobody trusts":   {signWith(t, key, nil, id.with("iss", p.url+"/other")), unauthorized},
		"expired":                      {signWith(t, key, nil, id.with("exp", past)), expired},
		"not yet valid":                {signWith(t, key, nil, id.with("nbf", time.Now().Add(time.Hour).Unix())), unauthorized},
		"of another client of Cognito": {c.signIn(c.other).ID, unauthorized},
		"of Cognito and expired":       {signWith(t, c.key, nil, poolID.with("exp", past)), expired},
		"nonsense":                     {"nonsense", unauthorized},
	}, genuine.ID
}

func TestHostileTokensHaveNoContacts(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t), newUserPool(t)
	s := start(t, options{Config: trusting(p.entry(), c.entry()) + videoChat + unlimited})
	tests, genuine := hostileTokens(t, p, c)
	for name, test := range tests {
		s.Secret(test.token)
		for _, form := range []string{"", "Bearer "} {
			for _, call := range [][3]string{{"GET", "/user"}, {"GET", "/contacts"}, {"POST", "/contacts", `{"email":"ann@example.org"}`}, {"DELETE", "/contacts/ann"}} {
				a := s.do(call[0], call[1], call[2], "Authorization", form+test.token, "Origin", "https://chat.example")
				if a.Status != http.StatusUnauthorized || a.text(t, "message") != test.message || a.Header.Get("Access-Control-Allow-Origin") != "*" {
					t.Errorf("%s, %s %s: got %d %s, want 401 %q that a page can read", name, call[0], call[1], a.Status, a.Body, test.message)
				}
			}
		}
	}
	page, err := s.operator().UserPage(within(t, time.Minute), client.UserQuery{})
	if err != nil || len(page.Users) > 0 {
		t.Errorf("users were made: %+v, %v", page.Users, err)
	}
	chatter{s, genuine}.wantJSON(200, "GET", "/user", "", `{"userId":"ann","email":"ann@example.org","name":"User ann"}`)
}

// The commands of the README, with the login of development mode.
func TestTheVideoChatOfTheTour(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	login := func(name string) chatter {
		body := fmt.Sprintf(`{"name":%q,"email":%q}`, name, strings.ToLower(name)+"@example.org")
		return chatter{s, s.must(200, "POST", "/dev/login", body, asJSON...).text(t, "token")}
	}
	ann, ben := login("Ann"), login("Ben")
	for name, c := range map[string]chatter{"Ann": ann, "Ben": ben} {
		if got := s.must(200, "GET", "/user", "", "Authorization", c.token).text(t, "name"); got != name {
			t.Errorf("%s is called %q", name, got)
		}
	}
	s.must(201, "POST", "/contacts", `{"email":"ben@example.org"}`, "Authorization", ann.token)
	a := s.must(200, "GET", "/contacts", "", "Authorization", ann.token)
	if !strings.Contains(a.Body, `"email":"ben@example.org","name":"Ben","online":false`) {
		t.Errorf("ann's contacts: %s", a.Body)
	}
	// The same natively, and with a ticket for a connection.
	api := s.as(usher.Secret(ann.token))
	list, err := api.Contacts(within(t, time.Minute))
	if err != nil || len(list) != 1 || list[0].Email != "ben@example.org" {
		t.Fatalf("natively: got %+v, %v", list, err)
	}
	ticket, err := api.Ticket(within(t, time.Minute))
	if err != nil || ticket.ExpiresIn != 30 {
		t.Errorf("a ticket: good for %d s, %v", ticket.ExpiresIn, err)
	}
	s.Secret(ticket.Ticket.Reveal())
	if err := api.RemoveContact(within(t, time.Minute), list[0].Key); err != nil {
		t.Error(err)
	}
	ann.wantJSON(200, "GET", "/contacts", "", `[]`)

	// Who presents nothing is the developer, who is no user.
	if a := s.do("GET", "/contacts", ""); a.Status != http.StatusForbidden || a.text(t, "message") == "" {
		t.Errorf("without a token: got %d %s", a.Status, a.Body)
	}
}
