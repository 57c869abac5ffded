package vpaas_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/vpaas"
)

// rsaKey is slow to make, so that all tests share one.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		panic(err)
	}
	return key
})

func TestAnswersAreUnchanged(t *testing.T) {
	f, p := connect(t)
	opened, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if opened.Room != meeting || string(opened.Body) != meetingBody {
		t.Errorf("got the room %q and the body %q, want %q and %q", opened.Room, opened.Body, meeting, meetingBody)
	}
	c, err := p.Issue(t.Context(), request(opened.Room))
	if err != nil {
		t.Fatal(err)
	}
	if c.Platform != "vpaas" || c.Token.Reveal() != secret || string(c.Body) != participantBody || !c.ExpiresAt.IsZero() {
		t.Errorf("got the credential %+v with the body %q", c, c.Body)
	}
	want := []string{"/v1/meetings", "/v1/meetings/" + meeting + "/participants"}
	if diff := cmp.Diff(want, f.callsMade()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if got := f.tokenRequests(); got != 1 {
		t.Errorf("got %d token requests for two calls, want 1", got)
	}
}

func TestAssertionsOfEveryKeyAreAccepted(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key crypto.Signer
		alg jose.SignatureAlgorithm
	}{
		"RSA, 4096 bits": {rsaKey(), jose.RS384},
		"EC, P-384":      {p384(t), jose.ES384},
		"Ed25519":        {ed, jose.EdDSA},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, test.key.Public(), test.alg)
			p, err := vpaas.New(vpaas.Config{
				APIAddress: base + "/", ClientID: clientID, Signer: test.key, HTTP: &http.Client{Transport: transport{f}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Open(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWithoutCredentialsNoTokenIsFetched(t *testing.T) {
	var paths []string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		if r.Header["Authorization"] != nil {
			t.Error("there is an Authorization header")
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	p, err := vpaas.New(vpaas.Config{APIAddress: "http://usher.internal", HTTP: &http.Client{Transport: transport{handler}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Open(t.Context())
	if got := usher.AsError(err); got.Code != "vpaas_refused" {
		t.Errorf("got %v, want vpaas_refused", err)
	}
	if want := []string{"/v1/meetings"}; !slices.Equal(paths, want) {
		t.Errorf("got calls to %v, want %v", paths, want)
	}
}

// Ids come from browsers: only one that VPaaS can have made goes into a path.
func TestNoPathIsInjected(t *testing.T) {
	f, p := connect(t)
	f.before = func(_ http.ResponseWriter, r *http.Request) bool {
		t.Errorf("a call reached VPaaS: %s", r.URL)
		return false
	}
	for _, id := range []string{
		"", ".", "..", "a/b", "../..", "a?x=1", "a#f", "%2e%2e", "a%2Fb",
		meeting + "/", meeting + "/participants/x/regenerate_secret?", "../" + meeting,
		meeting + "?", meeting + "\n", " " + meeting, strings.ToUpper(meeting), meeting[:25], meeting + "a",
		meeting[:25] + "r", // the same bytes, not spelled canonically
		meeting[:25] + "1", meeting[:24] + "ä", strings.Repeat("a", 1<<20),
	} {
		_, err := p.Issue(t.Context(), request(id))
		if got := usher.AsError(err); got.Kind != usher.Invalid || got.Code != "meeting_id_malformed" {
			t.Errorf("%.40q: got %v, want meeting_id_malformed", id, err)
		}
	}
}

func TestGrantsAreNeverWidened(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	roles := usher.BuiltinRoles()
	for name, test := range map[string]struct {
		grant   usher.Grant
		allowed bool
	}{
		"a speaker":             {usher.Grant{Permissions: roles[usher.Speaker]}, true},
		"a host, who gets less": {usher.Grant{Permissions: roles[usher.Host]}, true},
		"from now on":           {usher.Grant{Permissions: roles[usher.Speaker], NotBefore: now}, true},
		"a viewer":              {usher.Grant{Permissions: roles[usher.Viewer]}, false},
		"nothing at all":        {usher.Grant{}, false},
		"until later":           {usher.Grant{Permissions: roles[usher.Speaker], Expires: now.Add(time.Hour)}, false},
		"from later on":         {usher.Grant{Permissions: roles[usher.Speaker], NotBefore: now.Add(time.Second)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f, p := connect(t, func(c *vpaas.Config) { c.Now = func() time.Time { return now } })
			f.now = func() time.Time { return now }
			test.grant.Room = meeting
			_, err := p.Issue(t.Context(), platform.Request{Grant: test.grant})
			if test.allowed {
				if err != nil {
					t.Errorf("got %v, want a credential", err)
				}
				return
			}
			if got := usher.AsError(err); got.Kind != usher.Forbidden || got.Code != "grant_not_expressible" {
				t.Errorf("got %v, want grant_not_expressible", err)
			}
			if got := f.callsMade(); len(got) > 0 {
				t.Errorf("VPaaS was called: %v", got)
			}
		})
	}
}

func TestNewNamesEveryMistake(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := func() vpaas.Config {
		return vpaas.Config{APIAddress: base, ClientID: clientID, Signer: p384(t), HTTP: &http.Client{}}
	}
	for name, test := range map[string]struct {
		change func(*vpaas.Config)
		want   []string // none: all is well
	}{
		"nothing wrong":                      {func(*vpaas.Config) {}, nil},
		"a path before the routes":           {func(c *vpaas.Config) { c.APIAddress = base + "/eu/" }, nil},
		"http on this machine":               {func(c *vpaas.Config) { c.APIAddress = "http://127.0.0.1:8080" }, nil},
		"http by the machine's name":         {func(c *vpaas.Config) { c.APIAddress = "http://localhost:8080" }, nil},
		"http in a network":                  {func(c *vpaas.Config) { c.APIAddress = "http://vpaas.example" }, []string{"https://"}},
		"a name that begins like this one":   {func(c *vpaas.Config) { c.APIAddress = "http://localhost.example" }, []string{"https://"}},
		"another scheme":                     {func(c *vpaas.Config) { c.APIAddress = "file:///etc/passwd" }, []string{"must be a URL"}},
		"no scheme":                          {func(c *vpaas.Config) { c.APIAddress = "vpaas.example" }, []string{"must be a URL"}},
		"no host":                            {func(c *vpaas.Config) { c.APIAddress = "https:///x" }, []string{"must be a URL"}},
		"a password in the address":          {func(c *vpaas.Config) { c.APIAddress = "https://u:canary@vpaas.example" }, []string{"must not have a user"}},
		"a query":                            {func(c *vpaas.Config) { c.APIAddress = base + "?a=b" }, []string{"must not have a user"}},
		"a fragment":                         {func(c *vpaas.Config) { c.APIAddress = base + "#" }, []string{"must not have a user"}},
		"a key without a client id":          {func(c *vpaas.Config) { c.ClientID = "" }, []string{"client id is missing"}},
		"a client id without a key":          {func(c *vpaas.Config) { c.Signer = nil }, []string{"private key: it is missing"}},
		"an RSA key that VPaaS won't accept": {func(c *vpaas.Config) { c.Signer = small }, []string{"2048 bits", "rsa_keygen_bits:4096"}},
		"several": {
			func(c *vpaas.Config) { c.APIAddress, c.HTTP, c.Signer = "", nil, small },
			[]string{"must be a URL", "HTTP client is missing", "2048 bits"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := good()
			test.change(&config)
			_, err := vpaas.New(config)
			if len(test.want) == 0 {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to say %q", err, want)
				}
			}
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "vpaas: ") {
					t.Errorf("%q does not begin with the package's name", line)
				}
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("%q repeats a password", err)
			}
		})
	}
}

// brokenReader is a source of randomness that has none.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestWithoutRandomnessThereIsNoAssertion(t *testing.T) {
	f, p := connect(t, func(c *vpaas.Config) { c.Random = brokenReader{} })
	_, err := p.Open(t.Context())
	if got := usher.AsError(err); got.Kind != usher.Internal || !strings.Contains(err.Error(), "no entropy") {
		t.Errorf("got %v, want an internal error with its cause", err)
	}
	if f.tokenRequests() != 0 {
		t.Error("a token was fetched")
	}
}
