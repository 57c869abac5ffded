package livekit_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/livekit"
	"usher/internal/platform/platformtest"
)

const (
	apiKey    = "APIusher"
	apiSecret = "a secret of thirty-two characters"
	serverURL = "wss://livekit.example.com"
)

var now = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

func newPlatform(t testing.TB) *livekit.Platform {
	t.Helper()
	p, err := livekit.New(livekit.Config{URL: serverURL, APIKey: apiKey, APISecret: apiSecret})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func request(permissions usher.Permissions) platform.Request {
	return platform.Request{
		Grant: usher.Grant{
			Identity:    usher.Identity{Kind: usher.UserIdentity, Issuer: "https://id.example.com", Subject: "alice", Name: "Alice"},
			Room:        "standup",
			Permissions: permissions,
			NotBefore:   now,
			Expires:     now.Add(time.Hour),
		},
		Subject: "alice",
		Now:     now,
	}
}

// payload reads a token with go-jose, as LiveKit's server does.
func payload(credential usher.Credential) (map[string]any, error) {
	parsed, err := jwt.ParseSigned(credential.Token.Reveal(), []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	return claims, parsed.Claims([]byte(apiSecret), &claims)
}

// allowed is what LiveKit lets the bearer of a token do: what a token does not
// deny about publishing and subscribing, it allows.
func allowed(credential usher.Credential) (platformtest.Allowed, error) {
	claims, err := payload(credential)
	if err != nil {
		return platformtest.Allowed{}, err
	}
	video := claims["video"].(map[string]any)
	may := func(right string) bool { return video[right] != false }
	source := func(name string) bool {
		sources, _ := video["canPublishSources"].([]any)
		return may("canPublish") && (len(sources) == 0 || slices.Contains(sources, any(name)))
	}
	var permissions usher.Permissions
	for permission, given := range map[usher.Permission]bool{
		usher.Join:          video["roomJoin"] == true,
		usher.Subscribe:     may("canSubscribe"),
		usher.PublishAudio:  source("microphone"),
		usher.PublishVideo:  source("camera"),
		usher.PublishScreen: source("screen_share") || source("screen_share_audio"),
		usher.PublishData:   may("canPublishData"),
		usher.Moderate:      video["roomAdmin"] == true,
	} {
		if given {
			permissions = append(permissions, permission)
		}
	}
	if permissions.Has(usher.Moderate) {
		permissions = usher.AllPermissions // they can be given to oneself
	}
	for right := range video {
		if !slices.Contains([]string{"roomJoin", "room", "roomAdmin", "canPublish", "canPublishSources", "canPublishData", "canSubscribe"}, right) {
			return platformtest.Allowed{}, fmt.Errorf("the token gives %s", right)
		}
	}
	return platformtest.Allowed{
		Room:        video["room"].(string),
		Subject:     claims["sub"].(string),
		Permissions: permissions,
		NotBefore:   time.Unix(int64(claims["nbf"].(float64)), 0).UTC(),
		Expires:     time.Unix(int64(claims["exp"].(float64)), 0).UTC(),
	}, nil
}

func TestPlatform(t *testing.T) {
	platformtest.Run(t, platformtest.Harness{
		Platform: newPlatform(t),
		Ordinary: request(usher.AllPermissions),
		Decode:   allowed,
		Secrets:  []usher.Secret{apiSecret},
	})
}

type vectors struct {
	Tokens []struct{ Name, Token string }
}

// token returns one of the tokens that livekit-server-sdk made.
func (v vectors) token(t *testing.T, name string) usher.Credential {
	t.Helper()
	for _, token := range v.Tokens {
		if token.Name == name {
			return usher.Credential{Token: usher.Secret(token.Token)}
		}
	}
	t.Fatalf("there is no vector %q", name)
	return usher.Credential{}
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	raw, err := os.ReadFile("testdata/server-sdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTokensSayWhatTheServerSDKWouldSay(t *testing.T) {
	roles := usher.BuiltinRoles()
	for name, test := range map[string]struct {
		subject, display string
		permissions      usher.Permissions
		lifetime         time.Duration
	}{
		"a speaker":         {"alice", "Alice", roles[usher.Speaker], time.Hour},
		"a viewer":          {"bob", "", roles[usher.Viewer], 10 * time.Minute},
		"a host":            {"carol", "", roles[usher.Host], time.Hour},
		"only a microphone": {"dave", "", usher.Permissions{usher.Join, usher.PublishAudio}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			req := request(test.permissions)
			req.Subject, req.Grant.Identity.Name = test.subject, test.display
			req.Grant.Expires = now.Add(test.lifetime)
			got, err := newPlatform(t).Issue(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			want, err := payload(readVectors(t).token(t, name))
			if err != nil {
				t.Fatal(err)
			}
			claims, err := payload(got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("claims (-server SDK +ours):\n%s", diff)
			}
			if got.URL != serverURL || got.Platform != "livekit" || !got.ExpiresAt.Equal(req.Grant.Expires) {
				t.Errorf("got %s at %s until %v", got.Platform, got.URL, got.ExpiresAt)
			}
		})
	}
}

func TestWhoNamesNoSubjectIsKnownByTheIdentitysKey(t *testing.T) {
	req := request(usher.BuiltinRoles()[usher.Viewer])
	req.Subject = ""
	c, err := newPlatform(t).Issue(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := allowed(c)
	if err != nil {
		t.Fatal(err)
	}
	if want := "user:https://id.example.com#alice"; got.Subject != want {
		t.Errorf("got the identity %q, want %q", got.Subject, want)
	}
}

func TestTimesAreRoundedToWithinTheGrant(t *testing.T) {
	req := request(usher.BuiltinRoles()[usher.Viewer])
	req.Grant.NotBefore = now.Add(90*time.Second + time.Nanosecond)
	req.Grant.Expires = now.Add(time.Hour + 999*time.Millisecond)
	c, err := newPlatform(t).Issue(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := allowed(c)
	if err != nil {
		t.Fatal(err)
	}
	if want := now.Add(91 * time.Second); !got.NotBefore.Equal(want) {
		t.Errorf("good from %v, want %v", got.NotBefore, want)
	}
	if want := now.Add(time.Hour); !got.Expires.Equal(want) || !c.ExpiresAt.Equal(want) {
		t.Errorf("good until %v, said to be until %v, want %v", got.Expires, c.ExpiresAt, want)
	}
}

func TestWhatATokenCantExpressIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*platform.Request)
		code   string
	}{
		"a room without a name, since its bearer could choose": {func(r *platform.Request) { r.Grant.Room = "" }, "livekit_room_invalid"},
		"a room that JSON would turn into another":             {func(r *platform.Request) { r.Grant.Room = "a\xff" }, "livekit_room_invalid"},
		"a room that LiveKit refuses":                          {func(r *platform.Request) { r.Grant.Room = strings.Repeat("r", 257) }, "livekit_room_invalid"},
		"nobody in particular":                                 {func(r *platform.Request) { r.Subject, r.Grant.Identity = "", usher.Identity{} }, "livekit_identity_invalid"},
		"an identity that JSON would turn into another":        {func(r *platform.Request) { r.Subject = "\xff" }, "livekit_identity_invalid"},
		"who may not join":                                     {func(r *platform.Request) { r.Grant.Permissions = usher.Permissions{usher.Subscribe} }, "grant_not_expressible"},
		"a moderator who could give himself a microphone": {func(r *platform.Request) {
			r.Grant.Permissions = usher.Permissions{usher.Join, usher.Subscribe, usher.Moderate}
		}, "grant_not_expressible"},
		"a grant without an end":                {func(r *platform.Request) { r.Grant.Expires = time.Time{} }, "grant_not_expressible"},
		"a grant that is over":                  {func(r *platform.Request) { r.Grant.Expires = now }, "grant_expired"},
		"a grant that is over before it begins": {func(r *platform.Request) { r.Grant.NotBefore = now.Add(2 * time.Hour) }, "grant_expired"},
		"a format that LiveKit does not have":   {func(r *platform.Request) { r.Format = "007" }, "format_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			req := request(usher.AllPermissions)
			test.change(&req)
			c, err := newPlatform(t).Issue(t.Context(), req)
			refused, ok := errors.AsType[*usher.Error](err)
			if !ok || refused.Code != test.code {
				t.Errorf("got %v, want the code %s", err, test.code)
			}
			if c.Token != "" {
				t.Error("a token came with the refusal")
			}
		})
	}
}

func TestConfigurationIsCheckedAtStart(t *testing.T) {
	good := livekit.Config{URL: serverURL, APIKey: apiKey, APISecret: apiSecret}
	for name, test := range map[string]struct {
		change func(*livekit.Config)
		fields []string
	}{
		"a good one":                  {func(*livekit.Config) {}, nil},
		"LiveKit on this machine":     {func(c *livekit.Config) { c.URL = "ws://127.0.0.1:7880" }, nil},
		"no LiveKit":                  {func(c *livekit.Config) { *c = livekit.Config{} }, nil},
		"no URL":                      {func(c *livekit.Config) { c.URL = "" }, []string{"url"}},
		"tokens in the clear":         {func(c *livekit.Config) { c.URL = "ws://livekit.example.com" }, []string{"url"}},
		"another scheme":              {func(c *livekit.Config) { c.URL = "ftp://livekit.example.com" }, []string{"url"}},
		"a password in the URL":       {func(c *livekit.Config) { c.URL = "wss://a:b@livekit.example.com" }, []string{"url"}},
		"no key":                      {func(c *livekit.Config) { c.APIKey = "" }, []string{"apiKey"}},
		"a short secret":              {func(c *livekit.Config) { c.APISecret = "31 characters are not enough..." }, []string{"apiSecret"}},
		"everything wrong at a time":  {func(c *livekit.Config) { *c = livekit.Config{URL: "x"} }, []string{"url", "apiKey", "apiSecret"}},
		"a key with a trailing space": {func(c *livekit.Config) { c.APIKey += " " }, []string{"apiKey"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			test.change(&config)
			var fields []string
			for _, problem := range config.Validate() {
				fields = append(fields, problem.Field)
				if secret := config.APISecret.Reveal(); secret != "" && strings.Contains(problem.Message, secret) {
					t.Errorf("the problem with %s shows the secret", problem.Field)
				}
			}
			if diff := cmp.Diff(test.fields, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			_, err := livekit.New(config)
			if works := config.Enabled() && len(test.fields) == 0; works != (err == nil) {
				t.Errorf("New: %v", err)
			}
		})
	}
}

func BenchmarkIssue(b *testing.B) {
	p, req := newPlatform(b), request(usher.AllPermissions)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Issue(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}

// sign makes a token with any claims, as somebody else might.
func sign(t testing.TB, header, claims, secret string) usher.Secret {
	t.Helper()
	if secret == "" {
		part := base64.RawURLEncoding.EncodeToString
		return usher.Secret(part([]byte(header)) + "." + part([]byte(claims)) + ".")
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(header), Key: []byte(secret)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return usher.Secret(token)
}
