package turnrest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/platformtest"
	"usher/internal/platform/turnrest"
)

const (
	secret = "a secret of thirty-two characters"
	server = "turn:turn.example.com:3478?transport=udp"
)

var now = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

// iceServer is what a browser reads.
type iceServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username"`
	Credential string   `json:"credential"`
}

func newPlatform(t testing.TB, config turnrest.Config) *turnrest.Platform {
	t.Helper()
	if config.URLs == nil {
		config.URLs = []string{server}
	}
	config.Secret = secret
	p, err := turnrest.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var alice = usher.Identity{Kind: usher.UserIdentity, Issuer: "https://id.example.com", Subject: "alice"}

// request is one by a back end, for one of its users.
func request() platform.Request {
	return platform.Request{
		Grant: usher.Grant{
			Identity:    usher.Identity{Kind: usher.ClientIdentity, Subject: "shop"},
			Room:        "standup",
			Permissions: usher.AllPermissions,
			NotBefore:   now,
			Expires:     now.Add(time.Hour),
		},
		Subject: "alice",
		Now:     now,
	}
}

func issue(t testing.TB, p *turnrest.Platform, req platform.Request) (usher.Credential, iceServer) {
	t.Helper()
	c, err := p.Issue(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	var s iceServer
	if err := json.Unmarshal(c.Body, &s); err != nil {
		t.Fatal(err)
	}
	return c, s
}

func TestPlatform(t *testing.T) {
	platformtest.Run(t, platformtest.Harness{
		Platform: newPlatform(t, turnrest.Config{}),
		Ordinary: request(),
		Unbound:  []string{""},
		Secrets:  []usher.Secret{secret},
		Decode: func(c usher.Credential) (platformtest.Allowed, error) {
			var s iceServer
			if err := json.Unmarshal(c.Body, &s); err != nil {
				return platformtest.Allowed{}, err
			}
			digits, user, _ := strings.Cut(s.Username, ":")
			if strings.Contains(user, ":") || len(s.Username) > 508 {
				return platformtest.Allowed{}, fmt.Errorf("servers misread the user name %q", s.Username)
			}
			expires, err := strconv.ParseInt(digits, 10, 64)
			if err != nil {
				return platformtest.Allowed{}, err
			}
			user, err = url.QueryUnescape(user)
			return platformtest.Allowed{
				Subject: user, Permissions: usher.Permissions{usher.Join}, Expires: time.Unix(expires, 0).UTC(),
			}, err
		},
	})
}

func TestPasswordIsTheHMACOfTheUserName(t *testing.T) {
	req := request()
	req.Subject, req.Grant.Identity = "", alice
	c, got := issue(t, newPlatform(t, turnrest.Config{URLs: []string{"stun:turn.example.com", server}}), req)
	want := iceServer{
		URLs:     []string{"stun:turn.example.com", server},
		Username: "1795179600:user%3Ahttps%3A%2F%2Fid.example.com%23alice",
		// By openssl dgst -sha1 -hmac.
		Credential: "SPZ+SzWjtrk47K7yYRm/cYi0TfE=",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ICE server (-want +got):\n%s", diff)
	}
	if c.Token.Reveal() != want.Credential || c.Platform != "turn" || !c.ExpiresAt.Equal(now.Add(time.Hour)) {
		t.Errorf("got %s until %v", c.Platform, c.ExpiresAt)
	}
}

func TestUsersWithColonsAreNotMistakenForOthers(t *testing.T) {
	p := newPlatform(t, turnrest.Config{})
	seen := make(map[string]string)
	for _, subject := range []string{"a", "a:b", "a:c", ":a", "a:", "a%3Ab", "a b", "a+b"} {
		req := request()
		req.Subject = subject
		_, s := issue(t, p, req)
		user := strings.Split(s.Username, ":")[1] // as some servers do
		if other, ok := seen[user]; ok {
			t.Errorf("%q and %q are both %q", subject, other, user)
		}
		seen[user] = subject
	}
}

func TestCredentialEndsWithItsGrantOrEarlier(t *testing.T) {
	for name, test := range map[string]struct {
		ttl     time.Duration
		expires time.Time
		want    time.Time
	}{
		"with its grant":                        {0, now.Add(90 * time.Second), now.Add(90 * time.Second)},
		"at the whole second before":            {0, now.Add(90*time.Second + 999*time.Millisecond), now.Add(90 * time.Second)},
		"with its grant, sooner than the limit": {time.Hour, now.Add(time.Minute), now.Add(time.Minute)},
		"at the limit":                          {time.Hour, now.Add(24 * time.Hour), now.Add(time.Hour)},
		"at the limit of an endless grant":      {time.Hour, time.Time{}, now.Add(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			req := request()
			req.Grant.Expires = test.expires
			c, s := issue(t, newPlatform(t, turnrest.Config{TTL: test.ttl}), req)
			if !c.ExpiresAt.Equal(test.want) || !strings.HasPrefix(s.Username, fmt.Sprint(test.want.Unix(), ":")) {
				t.Errorf("%q ends at %v, want %v", s.Username, c.ExpiresAt, test.want)
			}
		})
	}
}

func TestWhatACredentialCantExpressIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*platform.Request)
		code   string
	}{
		"nobody in particular":    {func(r *platform.Request) { r.Subject, r.Grant.Identity = "", usher.Identity{} }, "turn_subject_invalid"},
		"an id too long for STUN": {func(r *platform.Request) { r.Subject = strings.Repeat(":", 170) }, "turn_subject_invalid"},
		"a user by another name":  {func(r *platform.Request) { r.Grant.Identity = alice }, "turn_subject_invalid"},
		"a guest by another's name": {func(r *platform.Request) {
			r.Grant.Identity, r.Subject = usher.Identity{Kind: usher.GuestIdentity, Subject: "gus"}, alice.Key()
		}, "turn_subject_invalid"},
		"who may not join":              {func(r *platform.Request) { r.Grant.Permissions = nil }, "grant_not_expressible"},
		"a grant that begins later":     {func(r *platform.Request) { r.Grant.NotBefore = now.Add(time.Second) }, "grant_not_expressible"},
		"a grant without an end":        {func(r *platform.Request) { r.Grant.Expires = time.Time{} }, "grant_not_expressible"},
		"a grant that is over":          {func(r *platform.Request) { r.Grant.Expires = now }, "grant_expired"},
		"a grant of less than a second": {func(r *platform.Request) { r.Grant.Expires = now.Add(time.Second - 1) }, "grant_expired"},
		"another format":                {func(r *platform.Request) { r.Format = "sha256" }, "format_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			req := request()
			test.change(&req)
			_, err := newPlatform(t, turnrest.Config{}).Issue(t.Context(), req)
			if refused, ok := errors.AsType[*usher.Error](err); !ok || refused.Code != test.code {
				t.Errorf("got %v, want the code %s", err, test.code)
			}
		})
	}
}

func TestConfigurationIsCheckedAtStart(t *testing.T) {
	for name, test := range map[string]struct {
		config turnrest.Config
		fields []string
	}{
		"a good one":        {turnrest.Config{URLs: []string{"stun:a.example", "stuns:a.example:5349", "turn:192.0.2.1", "turn:[2001:db8::1]:3478", "turns:[2001:db8::1]?transport=tcp"}, Secret: secret}, nil},
		"no TURN":           {turnrest.Config{}, nil},
		"no servers":        {turnrest.Config{Secret: secret}, []string{"urls"}},
		"only STUN":         {turnrest.Config{URLs: []string{"stun:a.example"}, Secret: secret}, []string{"urls"}},
		"a weak secret":     {turnrest.Config{URLs: []string{server}, Secret: "north"}, []string{"secret"}},
		"a short lifetime":  {turnrest.Config{URLs: []string{server}, Secret: secret, TTL: time.Second}, []string{"ttl"}},
		"a negative one":    {turnrest.Config{URLs: []string{server}, Secret: secret, TTL: -time.Hour}, []string{"ttl"}},
		"all wrong at once": {turnrest.Config{URLs: []string{"https://a.example"}, TTL: 1}, []string{"urls", "secret", "ttl"}},
	} {
		t.Run(name, func(t *testing.T) {
			var fields []string
			for _, problem := range test.config.Validate() {
				fields = append(fields, problem.Field)
			}
			if diff := cmp.Diff(test.fields, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			_, err := turnrest.New(test.config)
			if works := test.config.Enabled() && len(test.fields) == 0; works != (err == nil) {
				t.Errorf("New: %v", err)
			}
		})
	}
}

func TestAddressesThatBrowsersRefuseAreRefused(t *testing.T) {
	for _, u := range []string{
		"", "turn", "turn:", "turn://turn.example.com", "turn:a.example:0", "turn:a.example:65536", "turn:a.example:", "turn:a.example:x",
		"turn:a.example?transport=sctp", "turn:a.example?", "turn:a.example?transport=udp&x=y", "stun:a.example?transport=udp",
		"turn:2001:db8::1", "turn:[2001:db8::1", "turn:[a.example]:1:2", "turn:user@a.example", "turn:a.example/x", "turn:a example", "TURN:a.example", "http:a.example",
	} {
		config := turnrest.Config{URLs: []string{u, server}, Secret: secret}
		if len(config.Validate()) == 0 {
			t.Errorf("%q is accepted", u)
		}
	}
}

func TestInspection(t *testing.T) {
	p := newPlatform(t, turnrest.Config{})
	c, s := issue(t, p, request())
	for name, test := range map[string]struct {
		text     string
		at       time.Time
		verified platform.Verified
		subject  string
		problems []string
	}{
		"a good credential":    {string(c.Body), now, platform.Good, "alice", nil},
		"an expired one":       {string(c.Body), now.Add(2 * time.Hour), platform.Good, "alice", []string{"It expired 1h0m0s ago."}},
		"one at its last":      {string(c.Body), now.Add(time.Hour), platform.Good, "alice", []string{"It expired 0s ago."}},
		"a changed user":       {strings.Replace(string(c.Body), "alice", "bob", 1), now, platform.Bad, "bob", []string{"The password does not belong to the user name by our secret: the secret is another one, or the user name was changed."}},
		"a user name alone":    {s.Username, now, platform.Unknown, "alice", []string{"The password is not there, without which nothing can be said of who made it."}},
		"a user with a colon":  {"1795179600:a%3Ab", now, platform.Unknown, "a:b", []string{"The password is not there, without which nothing can be said of who made it."}},
		"a user written plain": {"1795179600:100%", now, platform.Unknown, "100%", []string{"The password is not there, without which nothing can be said of who made it."}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := p.Inspect(usher.Secret(test.text), test.at)
			if !ok {
				t.Fatal("not recognised")
			}
			if got.Verified != test.verified || got.Subject != test.subject || !got.ExpiresAt.Equal(now.Add(time.Hour)) {
				t.Errorf("got %+v", got)
			}
			if diff := cmp.Diff(test.problems, got.Problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOtherTextIsNotRecognised(t *testing.T) {
	for _, text := range []string{"", ":", "1795179600", "1795179600:", "alice:1795179600", "-1:alice", "99999999999999999999:alice", "253402300800:alice", "{", `{"urls":[]}`, `{"username":7}`, "[]", "007eJx", strings.Repeat("1", 20000)} {
		if got, ok := newPlatform(t, turnrest.Config{}).Inspect(usher.Secret(text), now); ok {
			t.Errorf("%.40q is recognised as %+v", text, got)
		}
	}
}

func FuzzInspect(f *testing.F) {
	p := newPlatform(f, turnrest.Config{})
	c, s := issue(f, p, request())
	f.Add(string(c.Body))
	f.Add(s.Username)
	f.Add(`{"username":"1:\ud800","credential":"x"}`)
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := p.Inspect(usher.Secret(text), now)
		if !ok {
			return
		}
		out, err := json.Marshal(got)
		if err != nil {
			t.Fatalf("the inspection can't be told: %v", err)
		}
		if strings.Contains(string(out), secret) && !strings.Contains(text, secret) {
			t.Fatal("the inspection shows the secret")
		}
	})
}
