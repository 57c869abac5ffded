package janus_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/janus"
	"usher/internal/platform/platformtest"
)

const (
	tokenAuthSecret = "token-auth-secret-canary"
	adminSecret     = "admin-secret-canary"
	adminKey        = "admin-key-canary"
	apiSecret       = "api-secret-canary"
)

var (
	now    = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)
	random = rand.Reader
)

// newKey makes one key for all tests: that takes a while.
var newKey = sync.OnceValue(func() *rsa.PrivateKey { return generate(2048) })

// otherKey is one that nobody trusts.
var otherKey = sync.OnceValue(func() *rsa.PrivateKey { return generate(2048) })

func generate(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(random, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func config() janus.Config {
	c := janus.DefaultConfig()
	c.Signer = newKey()
	c.TokenAuthSecret = tokenAuthSecret
	return c
}

func newPlatform(t testing.TB, c janus.Config) *janus.Platform {
	t.Helper()
	p, err := janus.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func request(format string) platform.Request {
	return platform.Request{
		Grant:   usher.Grant{Room: "my-room", Permissions: usher.AllPermissions, NotBefore: now, Expires: now.Add(5 * time.Minute)},
		Subject: "alice", Format: format, Now: now,
	}
}

func issue(t testing.TB, p *janus.Platform, req platform.Request) usher.Credential {
	t.Helper()
	c, err := p.Issue(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func payload(t testing.TB, token usher.Secret) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token.Reveal(), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestPermissionTokenIsTheSeeds(t *testing.T) {
	tests := map[string]struct {
		subject string
		role    usher.Role
		want    map[string]any
	}{
		"the owner, a user with a number": {"1", usher.Host, map[string]any{"sub": "1", "user_id": 1.0, "kick_users": true}},
		"another, a user with a name":     {"alice", usher.Speaker, map[string]any{"sub": "alice", "user_id": "alice", "kick_users": false}},
		"a number with a zero in front":   {"007", usher.Speaker, map[string]any{"sub": "007", "user_id": "007", "kick_users": false}},
		"a number that browsers round":    {"9007199254740993", usher.Speaker, map[string]any{"sub": "9007199254740993", "user_id": "9007199254740993", "kick_users": false}},
		"nobody in particular":            {"", usher.Speaker, map[string]any{"sub": "anon", "kick_users": false}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			req := request("")
			req.Subject, req.Grant.Permissions = test.subject, usher.BuiltinRoles()[test.role]
			c := issue(t, newPlatform(t, config()), req)
			head, _, _ := strings.Cut(c.Token.Reveal(), ".")
			if got, _ := base64.RawURLEncoding.DecodeString(head); string(got) != `{"alg":"RS512","typ":"JWT"}` {
				t.Errorf("the header is %s", got)
			}
			want := map[string]any{
				"aud": "webrtc_auth", "exp": float64(now.Unix() + 300), "iat": float64(now.Unix()), "nbf": float64(now.Unix() - 1),
				"iss": "", "typ": "access", "join_hub": true, "room_ids": []any{"my-room"},
			}
			for claim, value := range test.want {
				want[claim] = value
			}
			got := payload(t, c.Token)
			id, _ := got["jti"].(string)
			delete(got, "jti")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
				t.Errorf("the jti %q is no version 4 UUID", id)
			}
			if again := payload(t, issue(t, newPlatform(t, config()), req).Token); again["jti"] == id {
				t.Error("two tokens have one jti")
			}
		})
	}
}

func TestBrowserKickCanBeSwitchedOff(t *testing.T) {
	c := config()
	c.BrowserKick, c.Audience = false, ""
	got := payload(t, issue(t, newPlatform(t, c), request("sfu")).Token)
	if got["kick_users"] != false {
		t.Errorf("kick_users is %v", got["kick_users"])
	}
	if aud, said := got["aud"]; said {
		t.Errorf("aud is %v, want none", aud)
	}
}

func TestSignedTokensAreJanuss(t *testing.T) {
	// Computed with: printf %s DATA | openssl dgst -sha1 -hmac token-auth-secret-canary -binary | base64
	tests := map[string]string{
		"core":      "1795176300,janus,janus.plugin.videoroom:7LnGivdQNIDt8zaRH+QoA6NUC08=",
		"videoroom": "1795176300,janus.plugin.videoroom,room=my-room:H3ce9XdJv42Ma4NiDSGxGkwcWBc=",
	}
	for format, want := range tests {
		if got := issue(t, newPlatform(t, config()), request(format)).Token.Reveal(); got != want {
			t.Errorf("format %s: got %s, want %s", format, got, want)
		}
	}
}

func TestLifetimes(t *testing.T) {
	c := config()
	c.TTL, c.MaxTTL = 5*time.Minute, 20*time.Minute
	p := newPlatform(t, c)
	tests := map[string]struct {
		expires time.Time
		want    time.Duration
	}{
		"that of the grant":                        {now.Add(7 * time.Minute), 7 * time.Minute},
		"a grant that ends within a second":        {now.Add(7*time.Minute + time.Second - 1), 7 * time.Minute},
		"the usual one, if the grant does not end": {time.Time{}, 5 * time.Minute},
		"the longest, if the grant ends later":     {now.Add(time.Hour), 20 * time.Minute},
		"one second":                               {now.Add(time.Second), time.Second},
	}
	for name, test := range tests {
		for _, format := range []string{"sfu", "core", "videoroom"} {
			req := request(format)
			req.Grant.Expires = test.expires
			if got := issue(t, p, req).ExpiresAt.Sub(now); got != test.want {
				t.Errorf("%s, %s: got %v, want %v", name, format, got, test.want)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	tests := map[string]struct {
		format string
		change func(*janus.Config, *platform.Request)
		want   *usher.Error
	}{
		"a viewer, who could speak": {"", func(_ *janus.Config, r *platform.Request) {
			r.Grant.Permissions = usher.BuiltinRoles()[usher.Viewer]
		}, &usher.Error{Kind: usher.Forbidden, Code: "grant_not_expressible"}},
		"who may not share a screen": {"videoroom", func(_ *janus.Config, r *platform.Request) {
			r.Grant.Permissions = usher.Permissions{usher.Join, usher.Subscribe, usher.PublishAudio, usher.PublishVideo, usher.PublishData}
		}, &usher.Error{Kind: usher.Forbidden, Code: "grant_not_expressible"}},
		"a grant that begins later": {"core", func(_ *janus.Config, r *platform.Request) {
			r.Grant.NotBefore = now.Add(time.Second)
		}, &usher.Error{Kind: usher.Forbidden, Code: "grant_not_expressible"}},
		"a grant that ends in this second": {"", func(_ *janus.Config, r *platform.Request) {
			r.Grant.Expires = now.Add(time.Second - 1)
		}, &usher.Error{Kind: usher.Forbidden, Code: "grant_expired"}},
		"no key": {"", func(c *janus.Config, _ *platform.Request) { c.Signer = nil }, &usher.Error{Kind: usher.Invalid, Code: "format_unavailable"}},
		"no secret": {"core", func(c *janus.Config, _ *platform.Request) {
			c.TokenAuthSecret = ""
		}, &usher.Error{Kind: usher.Invalid, Code: "format_unavailable"}},
		"a room that a signed token can't name": {"videoroom", func(_ *janus.Config, r *platform.Request) {
			r.Grant.Room = "a,room=b"
		}, &usher.Error{Kind: usher.Invalid, Code: "janus_room_invalid"}},
		"a room that Janus would cut": {"videoroom", func(_ *janus.Config, r *platform.Request) {
			r.Grant.Room = strings.Repeat("a", 95)
		}, &usher.Error{Kind: usher.Invalid, Code: "janus_room_invalid"}},
		"a name for a VideoRoom with numbers": {"videoroom", func(c *janus.Config, _ *platform.Request) {
			c.NumericRooms = true
		}, &usher.Error{Kind: usher.Invalid, Code: "janus_room_invalid"}},
		"a subject that JSON would change": {"", func(_ *janus.Config, r *platform.Request) {
			r.Subject = "alice\xff"
		}, &usher.Error{Kind: usher.Invalid, Code: "janus_subject_invalid"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, req := config(), request(test.format)
			test.change(&c, &req)
			_, err := newPlatform(t, c).Issue(t.Context(), req)
			if !errors.Is(err, test.want) || !strings.HasPrefix(fmt.Sprint(err), "janus: ") {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// TestPlatform runs the suite with the checkers, which are independent of what
// made the tokens.
func TestPlatform(t *testing.T) {
	der, err := janus.ExportDER(newKey())
	if err != nil {
		t.Fatal(err)
	}
	platformtest.Run(t, platformtest.Harness{
		Platform: newPlatform(t, config()),
		Ordinary: request(""),
		Formats:  []string{"", "sfu", "core", "videoroom"},
		Unbound:  []string{"core"},
		Nameless: []string{"core", "videoroom"},
		Secrets:  []usher.Secret{tokenAuthSecret},
		Decode:   func(c usher.Credential) (platformtest.Allowed, error) { return allowed(plugin{authKey: der}, c) },
	})
}

// allowed is what the bearer of a credential may do.
func allowed(sfu plugin, c usher.Credential) (platformtest.Allowed, error) {
	token := c.Token.Reveal()
	// Who is in a room may speak in it.
	a := platformtest.Allowed{Permissions: usher.BuiltinRoles()[usher.Speaker], Expires: c.ExpiresAt}
	if data, _, ok := strings.Cut(token, ":"); ok {
		fields := strings.Split(data, ",")
		if !core(tokenAuthSecret, token, fields[1], fields[2], c.ExpiresAt) || core(tokenAuthSecret, token, fields[1], fields[2], c.ExpiresAt.Add(time.Second)) {
			return a, fmt.Errorf("%s is not good until %v", data, c.ExpiresAt)
		}
		if fields[1] == "janus" && fields[2] != "janus.plugin.videoroom" || len(fields) != 3 {
			return a, fmt.Errorf("%s allows another plugin, or several things", data)
		}
		a.Room = strings.TrimPrefix(fields[2], "room=")
		return a, nil
	}
	claims, err := sfu.validate(token, c.ExpiresAt)
	if err != nil {
		return a, err
	}
	if claims.rooms == nil || len(*claims.rooms) != 1 {
		return a, errors.New("it is good for any number of rooms")
	}
	if sfu.join(&token, (*claims.rooms)[0], c.ExpiresAt) != accepted || sfu.join(&token, (*claims.rooms)[0], c.ExpiresAt.Add(time.Second)) == accepted {
		return a, fmt.Errorf("it is not good until %v", c.ExpiresAt)
	}
	if claims.kick {
		a.Permissions = append(a.Permissions, usher.Moderate)
	}
	a.Room = (*claims.rooms)[0]
	text, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	var named struct {
		Sub  string
		User any `json:"user_id"`
	}
	if err := json.Unmarshal(text, &named); err != nil {
		return a, err
	}
	a.Subject = named.Sub
	if id := fmt.Sprint(named.User); named.User != nil && id != named.Sub && id != strconv.FormatFloat(mustFloat(named.Sub), 'g', -1, 64) {
		return a, fmt.Errorf("it is for %q and for %q", named.Sub, id)
	}
	return a, nil
}

func mustFloat(s string) float64 {
	f, _ := strconv.ParseFloat(s, 64)
	return f
}

func TestNewFindsEveryMistake(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*janus.Config)
		want   []string
	}{
		"nothing at all":      {func(c *janus.Config) { *c = janus.DefaultConfig() }, []string{"janus: nothing is configured"}},
		"a key that is small": {func(c *janus.Config) { c.Signer = generate(1024) }, []string{"janus: private key: it has 1024 bits"}},
		"a key of a curve":    {func(c *janus.Config) { c.Signer = curve }, []string{"janus: private key: it is no RSA key"}},
		"a key not read":      {func(c *janus.Config) { c.Signer, c.KeyFile = nil, "key.pem" }, []string{"private key: there is none"}},
		"secrets that everybody knows": {func(c *janus.Config) {
			c.TokenAuthSecret, c.AdminURL, c.AdminSecret, c.APISecret = "short", "http://127.0.0.1:7088/admin", "janusoverlord", "janusrocks"
		}, []string{"tokenAuthSecret: must have", "adminSecret: must not", "apiSecret: must not"}},
		"rooms without tokens": {func(c *janus.Config) {
			c.TokenAuthSecret, c.AdminURL = "", "http://127.0.0.1:7088/admin"
		}, []string{"tokenAuthSecret: must be", "adminSecret: must be"}},
		"a plugin without a key": {func(c *janus.Config) { c.Signer, c.PluginURL = nil, "ws://localhost:8188" }, []string{"private key: there is none"}},
		"addresses": {func(c *janus.Config) {
			c.PluginURL, c.APIURL, c.AdminURL, c.AdminSecret = "http://janus:8088", "ws://janus.example.com", "https://user@janus.example.com/admin", adminSecret
		}, []string{"pluginURL: must be a URL", "apiURL: must begin with wss://", "adminURL: must not have a user"}},
		"lifetimes": {func(c *janus.Config) { c.TTL, c.MaxTTL, c.ClockLeeway = time.Minute, 25*time.Hour, 0 },
			[]string{"ttl: ", "maxTTL: ", "clockLeeway: "}},
		"a default that is longer than the most": {func(c *janus.Config) { c.TTL = 2 * time.Hour }, []string{"ttl: "}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := config()
			test.change(&c)
			_, err := janus.New(c)
			text := fmt.Sprint(err)
			if err == nil {
				t.Fatal("nothing was found")
			}
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("got %v, want %q in it", err, want)
				}
			}
			if got := strings.Count(text, "\n") + 1; got != len(test.want) {
				t.Errorf("%d mistakes were found, want %d:\n%s", got, len(test.want), text)
			}
		})
	}
}

func TestAKeyThatIsStillBeingMadeIsWaitedFor(t *testing.T) {
	made := make(chan crypto.Signer)
	asked := 0
	c := config()
	c.Signer, c.Own = nil, func(ctx context.Context) (crypto.Signer, error) {
		asked++
		select {
		case key := <-made:
			return key, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	p, err := janus.New(c)
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Issue(gone, request("")); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever does not wait got %v", err)
	}
	go func() { made <- newKey() }()
	for range 2 { // the second finds it made
		credential, err := p.Issue(t.Context(), request(""))
		if err != nil {
			t.Fatal(err)
		}
		if found, ok := p.Inspect(credential.Token, request("").Now); !ok || found.Verified != platform.Good {
			t.Errorf("the token was inspected as %+v", found)
		}
	}
	if asked != 2 {
		t.Errorf("the key was asked for %d times, want once in vain and once more", asked)
	}
}

func TestAKeyThatCannotBeMadeIsAskedForAgain(t *testing.T) {
	broken := errors.New("the disk is full")
	c := config()
	c.Signer, c.Own = nil, func(context.Context) (crypto.Signer, error) { return newKey(), broken }
	p, err := janus.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Issue(t.Context(), request("")); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	broken = nil
	if _, err := p.Issue(t.Context(), request("")); err != nil {
		t.Errorf("once it could be made: %v", err)
	}
}

// slowSigner signs when it is told to.
type slowSigner struct {
	*rsa.PrivateKey
	begun, finish chan struct{}
}

func (s slowSigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.begun <- struct{}{}
	<-s.finish
	return s.PrivateKey.Sign(r, digest, opts)
}

// TestSigningLeavesAProcessor has more callers than may sign: those who wait
// can give up.
func TestSigningLeavesAProcessor(t *testing.T) {
	newKey() // not within the bubble
	synctest.Test(t, func(t *testing.T) {
		c := config()
		slow := slowSigner{newKey(), make(chan struct{}, 100), make(chan struct{})}
		c.Signer = slow
		p := newPlatform(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var failed atomic.Int32
		for range 100 {
			wg.Go(func() {
				if _, err := p.Issue(ctx, request("")); errors.Is(err, context.Canceled) {
					failed.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		signing := len(slow.begun)
		if limit := max(1, runtime.GOMAXPROCS(0)-1); signing != limit {
			t.Errorf("%d sign at once, want %d", signing, limit)
		}
		cancel()
		synctest.Wait()
		close(slow.finish)
		wg.Wait()
		if got := int(failed.Load()); got != 100-signing {
			t.Errorf("%d gave up, want %d", got, 100-signing)
		}
	})
}
